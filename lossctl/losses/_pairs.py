"""All pairs of rows within groups, in runs that bound memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lossctl.loss import Codes

PAIRS = 1 << 18  # pairs of one run; bounds the memory of losses over all pairs of a group


def row_pairs(offsets: Codes, limit: int = PAIRS) -> Iterator[tuple[slice, Codes, Codes]]:
    """Every row with every row of its group, in runs of at most `limit` pairs (at least one row).

    A run is its rows, the bounds of each row's pairs within the run, and the row opposite in each pair.
    """
    lengths = np.diff(offsets)
    starts, sizes = np.repeat(offsets[:-1], lengths), np.repeat(lengths, lengths)
    ends = np.cumsum(sizes)
    row = 0
    while row < len(sizes):
        done = int(ends[row] - sizes[row])
        stop = max(row + 1, int(np.searchsorted(ends, done + limit, side="right")))
        bounds = np.concatenate([[0], ends[row:stop] - done])
        other = np.arange(bounds[-1]) - np.repeat(bounds[:-1] - starts[row:stop], sizes[row:stop])
        yield slice(row, stop), bounds, other
        row = stop
