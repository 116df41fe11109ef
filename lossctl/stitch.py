"""Blocks cut at group boundaries, for losses that need whole groups; groups must be contiguous."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossctl.batch import Block
from lossctl.columns import Feed
from lossctl.errors import DataError, RowRefused
from lossctl.loss.kinds import Ragged

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

__all__ = ["whole_groups"]


def whole_groups(blocks: Iterable[Block], feed: Feed) -> Iterator[Block]:
    """Regroup `blocks` so that every one holds whole groups, their starts in extra['offsets'].

    A group ends where its key, or the `--by` key, changes. Raises RowRefused when a group comes back later,
    or when weights differ within one.
    """
    closed = np.zeros(0, bool)
    carry: Block | None = None
    for block in blocks:
        if not block.rows:
            continue
        joined = block if carry is None else _joined(carry, block)
        starts = _starts(joined, feed)
        carry = _sliced(joined, int(starts[-1]), joined.rows)
        if len(starts) > 1:
            done = _sliced(joined, 0, int(starts[-1]))
            closed = _close(done, starts[:-1], feed, closed)
            yield done
    if carry is not None:
        _close(carry, np.zeros(1, np.int64), feed, closed)
        yield carry


def _starts(block: Block, feed: Feed) -> Codes:
    keys = block.arrays[feed]
    change = keys[1:] != keys[:-1]
    if block.codes is not None:
        change = change | (block.codes[1:] != block.codes[:-1])
    return np.concatenate([np.zeros(1, np.int64), np.flatnonzero(change) + 1])


def _close(block: Block, starts: Codes, feed: Feed, closed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Note the groups of a finished block, refuse those seen before, and set its offsets."""
    keys = block.arrays[feed][starts]
    top = int(keys.max()) + 1
    if top > len(closed):
        closed = np.concatenate([closed, np.zeros(max(top, 2 * len(closed)) - len(closed), bool)])
    order = np.argsort(keys, kind="stable")
    twice = np.zeros(len(keys), bool)
    twice[order[1:]] = keys[order[1:]] == keys[order[:-1]]
    again = twice | closed[keys]
    if again.any():
        told = "this group already ended earlier: its rows are not together"
        raise _refused(block, int(starts[int(np.argmax(again))]), told, "sort the data by group", feed)
    closed[keys] = True
    offsets = np.append(starts, block.rows)
    if block.weight is not None:
        differs = _uneven(block, block.weight, starts, np.diff(offsets))
        if differs.any():
            hint = "a group has one weight: give its rows the same"
            raise _refused(block, int(np.argmax(differs)), "weights differ within a group", hint)
    block.extra["offsets"] = offsets
    return closed


def _uneven(block: Block, weight: Floats, starts: Codes, lengths: Codes) -> NDArray[np.bool_]:
    """Which rows have another weight than the first of their group that has one."""
    if block.void is None:
        return np.asarray(weight != np.repeat(weight[starts], lengths))
    own = np.where(block.void, block.rows - 1, np.arange(block.rows))
    first = np.minimum.reduceat(own, starts)
    return np.asarray(~block.void & (weight != np.repeat(weight[first], lengths)))


def _refused(block: Block, at: int, told: str, hint: str, feed: Feed | None = None) -> RowRefused:
    refused = RowRefused("group", at, told, hint)
    refused.row = int(block.row_numbers()[at])
    refused.column = feed.columns[0] if feed is not None else None
    return refused


def _sliced(block: Block, low: int, high: int) -> Block:
    def cut(values: Any) -> Any:
        if values is None:
            return None
        return values[low:high]

    arrays = {feed: cut(values) for feed, values in block.arrays.items()}
    extra = {name: cut(values) for name, values in block.extra.items() if name != "offsets"}
    return Block(
        block.start,
        high - low,
        arrays,
        block.row_numbers()[low:high],
        cut(block.weight),
        cut(block.codes),
        cut(block.void),
        extra,
    )


def _joined(first: Block, second: Block) -> Block:
    def both(a: Any, b: Any, rows: int) -> Any:
        if a is None and b is None:
            return None
        if isinstance(a, Ragged):
            raise DataError("lists of varying length cannot be grouped")
        return np.concatenate(
            [np.zeros(rows, bool) if a is None else a, np.zeros(second.rows, bool) if b is None else b]
        )

    import pyarrow as pa

    arrays = {feed: both(first.arrays[feed], second.arrays[feed], first.rows) for feed in first.arrays}
    extra = {name: pa.concat_arrays([first.extra[name], second.extra[name]]) for name in second.extra}
    index = np.concatenate([first.row_numbers(), second.row_numbers()])
    return Block(
        first.start,
        first.rows + second.rows,
        arrays,
        index,
        both(first.weight, second.weight, first.rows),
        both(first.codes, second.codes, first.rows),
        both(first.void, second.void, first.rows),
        extra,
    )
