"""Arrow batches to arrays by role: blocks of rows in which every value has been checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.arrow import offsets_of
from lossctl.columns import Feed
from lossctl.decode import Fault, Loader
from lossctl.decode_lists import loader
from lossctl.errors import BadRow, DataError
from lossctl.groups import GroupTable, Keys, dictionary_codes
from lossctl.loss.kinds import Ragged

Mask = NDArray[np.bool_]
HEAD = 1000  # first rows that advice is based on, the same whatever the block size

__all__ = ["Block", "Reader", "Reading"]


@dataclass
class Block:
    """Rows that take part, as arrays by feed.

    index: global row numbers of the rows, None when they are start, start + 1, …; void: rows whose
    result is NaN because a value is missing (only under `propagate`); codes: their `--by` group.
    """

    start: int
    rows: int
    arrays: dict[Feed, Any]
    index: NDArray[np.int64] | None = None
    weight: NDArray[np.float64] | None = None
    codes: NDArray[np.int64] | None = None
    void: Mask | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def row_numbers(self) -> NDArray[np.int64]:
        if self.index is not None:
            return self.index
        return np.arange(self.start, self.start + self.rows, dtype=np.int64)


@dataclass
class Tally:
    """What became of the rows one worker saw."""

    read: int = 0
    used: int = 0
    filtered: int = 0
    skipped: int = 0

    def add(self, other: Tally) -> None:
        self.read += other.read
        self.used += other.used
        self.filtered += other.filtered
        self.skipped += other.skipped


@dataclass(frozen=True)
class Reading:
    """What a pass takes from each row; `missing` is 'error', 'skip' or 'propagate'."""

    feeds: Sequence[Feed]
    weight: Feed | None
    groups: GroupTable | None
    missing: str
    extra: Sequence[str] = ()
    keep: Callable[[pa.RecordBatch], Mask] | None = None
    texts: frozenset[str] = frozenset()
    keys: dict[Feed, Keys] = field(default_factory=dict)
    cluster: str | None = None
    widths: dict[Feed, int] = field(default_factory=dict)


class Reader:
    """Cuts one worker's batches into checked blocks; keeps what must agree over the whole data set."""

    def __init__(self, reading: Reading, block_rows: int) -> None:
        self.reading = reading
        self.block_rows = block_rows
        self.tally = Tally()
        self.head: dict[Feed, NDArray[Any] | None] = {}
        feeds = list(reading.feeds)
        if reading.weight is not None:
            feeds.append(reading.weight)
        self.loaders: dict[Feed, Loader] = {
            feed: loader(feed, reading.missing, reading.keys, reading.texts) for feed in feeds
        }
        for feed, width in reading.widths.items():
            self.loaders[feed].width = width

    def blocks(self, batch: pa.RecordBatch, start: int, path: str, first_row: int) -> Iterator[Block]:
        """Blocks of one Arrow batch whose first row is `start` in the data set, `first_row` in its file."""
        try:
            for each in self.loaders.values():
                each.attach(batch)
            keep = self.reading.keep(batch) if self.reading.keep else None
        except DataError as error:  # a loader does not know the file
            error.locate(path)
            raise
        if start == 0:
            self.head = {feed: each.head(HEAD) for feed, each in self.loaders.items()}
        groups = self.reading.groups
        codes = groups.codes(batch, path, first_row, keep) if groups is not None else None
        clusters = self._clusters(batch, path, first_row) if self.reading.cluster is not None else None
        for low in range(0, batch.num_rows, self.block_rows):
            high = min(low + self.block_rows, batch.num_rows)
            block = self._block(low, high, path, first_row, keep)
            block.start = start + low
            if block.index is not None:
                block.index += start
            if codes is not None:
                block.codes = codes[low:high] if block.index is None else codes[block.index - start]
            for name in self.reading.extra:
                block.extra[name] = self._extra(batch.column(name), low, high, block, start)
            if clusters is not None:
                block.extra["\0cluster"] = self._extra(clusters, low, high, block, start)
            self.tally.used += block.rows
            yield block
        self.tally.read += batch.num_rows

    def _clusters(self, batch: pa.RecordBatch, path: str, first_row: int) -> pa.Array:
        """The hash of every row's cluster."""
        from lossctl.buckets import hash_texts  # only intervals need it

        name = self.reading.cluster
        local, words, null = dictionary_codes(batch.column(name))
        if null is not None:
            raise BadRow("the cluster is missing", path=path, row=first_row + null, column=name)
        used, inverse = np.unique(local, return_inverse=True)
        hashes = hash_texts([words[code] for code in used.tolist()])[inverse].view(np.int64)
        return pa.Array.from_buffers(pa.int64(), len(hashes), [None, pa.py_buffer(hashes)])

    def _extra(self, column: pa.Array, low: int, high: int, block: Block, start: int) -> pa.Array:
        if block.index is None:
            return column.slice(low, high - low)
        chosen = pa.Array.from_buffers(
            pa.int64(), block.rows, [None, pa.py_buffer(np.ascontiguousarray(block.index - start))]
        )
        return column.take(chosen)

    def _block(self, low: int, high: int, path: str, first_row: int, keep: Mask | None) -> Block:
        count = high - low
        wanted = None if keep is None else keep[low:high]
        try:
            loaded = {feed: each.load(low, high) for feed, each in self.loaders.items()}
        except DataError as error:
            error.locate(path)
            raise
        missing = self._missing(loaded, count, wanted, path, first_row + low)
        kept, void = wanted, None
        if missing is not None and self.reading.missing == "skip":
            kept = ~missing if kept is None else kept & ~missing
        elif missing is not None:
            void = missing
        if wanted is not None:
            self.tally.filtered += count - int(np.count_nonzero(wanted))
        self._note(loaded, kept, missing)
        arrays = {feed: item.values for feed, item in loaded.items()}
        if void is not None:
            self._weigh(arrays, loaded)
            arrays = {feed: _emptied(values, void) for feed, values in arrays.items()}
        if kept is None:
            return self._made(low, count, arrays, None, void)
        index = np.flatnonzero(kept)
        self.tally.skipped += (
            count - len(index) - (0 if wanted is None else count - int(np.count_nonzero(wanted)))
        )
        arrays = {feed: take_rows(values, index) for feed, values in arrays.items()}
        return self._made(low, len(index), arrays, index + low, None if void is None else void[index])

    def _weigh(self, arrays: dict[Feed, Any], loaded: Mapping[Feed, Any]) -> None:
        """Give rows without a weight one of 1: with 0 they would not be there, nor what they spoil."""
        feed = self.reading.weight
        if feed is not None and loaded[feed].missing is not None:
            arrays[feed] = np.where(loaded[feed].missing, 1.0, arrays[feed])

    def _note(self, loaded: Mapping[Feed, Any], kept: Mask | None, missing: Mask | None) -> None:
        """Count what is no distribution among the rows that take part."""
        for feed, item in loaded.items():
            rows = item.unnormalised
            if rows is not None and rows.any():
                rows = rows if kept is None else rows & kept
                rows = rows if missing is None else rows & ~missing
                self.loaders[feed].unnormalised += int(np.count_nonzero(rows))

    def _made(
        self, low: int, rows: int, arrays: dict[Feed, Any], index: NDArray[np.int64] | None, void: Mask | None
    ) -> Block:
        weight = arrays.pop(self.reading.weight) if self.reading.weight is not None else None
        return Block(low, rows, arrays, index, weight, None, void)

    def _missing(
        self, loaded: Mapping[Feed, Any], count: int, wanted: Mask | None, path: str, first_row: int
    ) -> Mask | None:
        """Rows with a missing value; raises BadRow for the first row that cannot be accepted."""
        missing: Mask | None = None
        worst: Fault | None = None
        for item in loaded.values():
            if item.missing is not None:
                missing = item.missing if missing is None else missing | item.missing
            for trouble in item.troubles:
                here = trouble.first(wanted, None if self.reading.missing == "error" else item.missing)
                if here is not None and (worst is None or here < worst.row):
                    worst = trouble.at(here)
        if worst is not None:
            raise BadRow(
                worst.message, path=path, row=first_row + worst.row, column=worst.column, hint=worst.hint
            )
        return missing

    def merge_flags(self, others: Sequence[Reader]) -> None:
        """Check what only the whole data set can decide, such as labels 0/1 against ±1."""
        for feed, mine in self.loaders.items():
            mine.agree([other.loaders[feed] for other in others])


def _emptied(values: Any, void: Mask) -> Any:
    """A Ragged block whose void rows hold nothing, so that all inputs of such a row are alike."""
    if not isinstance(values, Ragged) or not void.any():
        return values
    kept = take_rows(values, np.flatnonzero(~void))
    lengths = np.where(void, 0, values.lengths)
    return Ragged(kept.values, offsets_of(lengths))


def take_rows(values: Any, index: NDArray[np.int64]) -> Any:
    """The rows of `index` of an array or a Ragged block."""
    if not isinstance(values, Ragged):
        return values[index]
    lengths = values.lengths[index]
    offsets = offsets_of(lengths)
    within = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], lengths)
    return Ragged(values.values[np.repeat(values.offsets[:-1][index], lengths) + within], offsets)
