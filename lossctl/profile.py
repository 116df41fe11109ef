"""What a data set holds, in one streaming pass: exact, mergeable counts by column, vector and difference.

Quantiles come from a histogram of the leading 20 bits of the doubles' patterns (eight of the fraction, so
bins are 0.4 % wide): merging is integer addition, and no order, chunking or split changes anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.arrow import holds, list_parts, numbers
from lossctl.decode_lists import SUM_TOLERANCE
from lossctl.exact import ExactSum, Workspace
from lossctl.groups import dictionary_codes
from lossctl.plan import GROUP_KEY

__all__ = ["Numbers", "Profile", "Texts", "Vectors", "kinds_of", "profile"]

DISTINCT = 4096  # distinct values that are counted one by one
_SHIFT = 44
_FLIP = 0x7FFFFFFFFFFFFFFF
_FENCE = 3.0  # interquartile ranges beyond the quartiles: Tukey's far out
_NORMAL_IQR = 1.3489795003921634

Floats = NDArray[np.float64]
Counts = dict[Any, int]


def _added(mine: Counts | None, more: Mapping[Any, int] | None) -> Counts | None:
    """The counts together, or None as soon as there are too many values to keep."""
    if mine is None or more is None:
        return None
    for value, count in more.items():
        mine[value] = mine.get(value, 0) + count
    return mine if len(mine) <= DISTINCT else None


def _tally(values: NDArray[Any]) -> Counts:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _bin_value(key: int) -> float:
    """The end of a bin that is nearest to zero, so that small whole numbers come back as they are."""
    bits = key << _SHIFT if key >= 0 else ((key << _SHIFT) | ((1 << _SHIFT) - 1)) ^ _FLIP
    return float(np.array(bits, np.int64).view(np.float64))


@dataclass
class Numbers:
    """Statistics of numbers. `counts` is None beyond DISTINCT values; `runs` counts equal neighbours as one."""

    size: int = 0
    nulls: int = 0
    nan: int = 0
    posinf: int = 0
    neginf: int = 0
    low: float = math.inf
    high: float = -math.inf
    whole: bool = True
    runs: int = 0
    counts: Counts | None = field(default_factory=dict)
    bins: Counts = field(default_factory=dict)
    total: ExactSum = field(default_factory=ExactSum)
    first: float | None = None
    last: float | None = None

    @property
    def finite(self) -> int:
        return self.size - self.nulls - self.nan - self.posinf - self.neginf

    @property
    def missing(self) -> int:
        return self.size - self.finite

    @property
    def distinct(self) -> int | None:
        return None if self.counts is None else len(self.counts)

    @property
    def mean(self) -> float:
        return float(self.total.fraction() / self.finite) if self.finite else math.nan

    def within(self, low: float, high: float) -> bool:
        return self.finite > 0 and self.low >= low and self.high <= high

    def add(self, values: NDArray[Any], valid: NDArray[np.bool_] | None, work: Workspace) -> None:
        """Take in a block, shape (n,); places that are not valid count as nulls."""
        self.size += len(values)
        if valid is not None:
            self.nulls += len(values) - int(np.count_nonzero(valid))
            values = values[valid]
        data = values.astype(np.float64) + 0.0  # minus zero becomes zero
        self._runs(data)
        good = np.isfinite(data)
        if not good.all():
            self.nan += int(np.count_nonzero(np.isnan(data)))
            self.posinf += int(np.count_nonzero(data == math.inf))
            self.neginf += int(np.count_nonzero(data == -math.inf))
            data = data[good]
        if not data.size:
            return
        self.low, self.high = min(self.low, float(data.min())), max(self.high, float(data.max()))
        self.whole = self.whole and bool(np.all(data == np.floor(data)))
        self.counts = _added(self.counts, _tally(data)) if self.counts is not None else None
        bits = data.view(np.int64)
        _added_bins(self.bins, _tally(np.where(bits < 0, bits ^ _FLIP, bits) >> _SHIFT))
        self.total.add(data, work)

    def _runs(self, data: Floats) -> None:
        if data.size:
            self.runs += int(np.count_nonzero(data[1:] != data[:-1])) + int(data[0] != self.last)
            self.first = float(data[0]) if self.last is None else self.first
            self.last = float(data[-1])

    def quantile(self, share: float) -> float:
        """The value below which `share` of the finite ones lie, to the width of a bin."""
        seen, wanted = 0, share * self.finite
        for key in sorted(self.bins):
            seen += self.bins[key]
            if seen >= wanted:
                return min(max(_bin_value(key), self.low), self.high)
        return math.nan

    @property
    def spread(self) -> float:
        """The interquartile range as the standard deviation of a normal with the same one."""
        return (self.quantile(0.75) - self.quantile(0.25)) / _NORMAL_IQR if self.finite else 0.0

    @property
    def outliers(self) -> int:
        """Values more than three interquartile ranges outside the quartiles; none when that range is 0."""
        if not self.finite:
            return 0
        first, third = self.quantile(0.25), self.quantile(0.75)
        reach = _FENCE * (third - first)
        if reach <= 0:
            return 0
        return sum(n for key, n in self.bins.items() if not first - reach <= _bin_value(key) <= third + reach)

    def merge(self, other: Numbers) -> None:
        """Add what was seen after this."""
        for name in ("size", "nulls", "nan", "posinf", "neginf", "runs"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.whole = self.whole and other.whole
        self.counts = _added(self.counts, other.counts)
        _added_bins(self.bins, other.bins)
        self.total += other.total
        if other.last is not None:
            self.runs -= int(self.last == other.first)
            self.first = other.first if self.last is None else self.first
            self.last = other.last


def _added_bins(bins: Counts, more: Mapping[Any, int]) -> None:
    for key, count in more.items():
        bins[key] = bins.get(key, 0) + count


@dataclass
class Texts:
    """Statistics of texts; `spaced` are those of several words."""

    size: int = 0
    nulls: int = 0
    spaced: int = 0
    counts: Counts | None = field(default_factory=dict)

    @property
    def missing(self) -> int:
        return self.nulls

    @property
    def distinct(self) -> int | None:
        return None if self.counts is None else len(self.counts)

    def add(self, column: pa.Array) -> None:
        codes, words, first_null = dictionary_codes(column)
        nulls = column.null_count if first_null is not None else 0
        self.size, self.nulls = self.size + len(column), self.nulls + nulls
        if not words:
            return
        each = np.bincount(codes, minlength=len(words))
        each[0] -= nulls
        more = {word: int(n) for word, n in zip(words, each, strict=True) if n}
        self.spaced += sum(n for word, n in more.items() if len(word.split()) > 1)
        self.counts = _added(self.counts, more)


@dataclass
class Vectors:
    """Statistics of vector rows, or of the steps of matrix rows (then `lengths` are the steps per row)."""

    rows: int = 0
    nulls: int = 0
    steps: int = 0
    widths: tuple[int, int] | None = None
    lengths: tuple[int, int] | None = None
    unit: int = 0
    sums: int = 0
    log_sums: int = 0
    rising: int = 0
    values: Numbers = field(default_factory=Numbers)

    @property
    def width(self) -> int | None:
        """The one width of all rows."""
        return self.widths[0] if self.widths and self.widths[0] == self.widths[1] else None

    @property
    def missing(self) -> int:
        return self.nulls + self.values.nulls + self.values.nan + self.values.posinf

    def add(self, flat: Floats, offsets: NDArray[np.int64], work: Workspace) -> None:
        """Take in rows flat[offsets[i]:offsets[i + 1]]; what is missing is NaN."""
        lengths = np.diff(offsets)
        self.steps += len(lengths)
        if not len(lengths):
            return
        self.widths = _range(self.widths, lengths)
        self.values.add(flat, None, work)
        lengths, starts = lengths[lengths > 0], offsets[:-1][lengths > 0]
        if not len(lengths):
            return
        with np.errstate(all="ignore"):
            inside = np.add.reduceat(~((flat >= 0) & (flat <= 1)), starts, dtype=np.int64) == 0
            gap = np.abs(np.add.reduceat(flat, starts) - 1.0)
            log_gap = np.abs(np.add.reduceat(np.exp(flat), starts) - 1.0)
            drops = np.concatenate([[False], np.diff(flat) < 0])
        drops[starts] = False
        near = SUM_TOLERANCE * lengths
        self.unit += int(np.count_nonzero(inside))
        self.sums += int(np.count_nonzero(gap <= near))
        self.log_sums += int(np.count_nonzero(log_gap <= near))
        self.rising += int(np.count_nonzero(np.add.reduceat(drops, starts, dtype=np.int64) == 0))

    def add_lists(self, column: pa.Array, work: Workspace) -> None:
        """Take in a list column, or a list of lists column as the vectors inside."""
        flat, offsets, valid = list_parts(column)
        self.rows += len(column)
        keep = slice(None) if valid is None else valid
        self.nulls += 0 if valid is None else int(np.count_nonzero(~valid))
        if holds(flat.type) == "list":
            self.lengths = _range(self.lengths, np.diff(offsets)[keep])
            flat, offsets, valid = list_parts(flat)
            self.nulls += 0 if valid is None else int(np.count_nonzero(~valid))
        elif valid is not None:
            offsets = np.concatenate([offsets[:-1][valid], offsets[-1:]])
        self.add(_doubles(flat), offsets, work)


def _range(known: tuple[int, int] | None, lengths: NDArray[np.int64]) -> tuple[int, int] | None:
    if not len(lengths):
        return known
    low, high = int(lengths.min()), int(lengths.max())
    return (low, high) if known is None else (min(low, known[0]), max(high, known[1]))


def _doubles(column: pa.Array) -> Floats:
    values, valid = numbers(column)
    data = values.astype(np.float64)
    return data if valid is None else np.where(valid, data, np.nan)


Stats = Numbers | Texts | Vectors


@dataclass
class Profile:
    """Everything that was seen: by column, by vector of columns, and by difference pred − target."""

    rows: int
    kinds: dict[str, str]
    columns: dict[str, Stats]
    vectors: dict[tuple[str, ...], Vectors]
    differences: dict[tuple[str, str], Numbers]


def kinds_of(dataset: Any) -> dict[str, str]:
    """'number', 'text', 'list' or 'lists' by column; else the type's own name. CSV shows by its first rows."""
    names = [column.name for column in dataset.columns]
    once = [column for column in dataset.columns if names.count(column.name) == 1]
    untyped = [column.name for column in once if column.type is None]
    head = dataset.peek(untyped) if untyped else {}
    return {c.name: _kind(c.type) if c.type is not None else _guessed(head[c.name]) for c in once}


def _kind(kind: pa.DataType) -> str:
    found = holds(kind)
    if found != "list":
        return found
    inner = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    held = holds(inner.value_type)
    deep = held == "list" and holds(inner.value_type.value_type) == "number"
    return "list" if held == "number" else "lists" if deep else str(kind)


def _guessed(texts: Iterable[Any]) -> str:
    for text in texts:
        try:
            float(text or "nan")
        except ValueError:
            return "text"
    return "number"


def profile(
    dataset: Any,
    kinds: Mapping[str, str],
    vectors: Sequence[tuple[str, ...]] = (),
    differences: Sequence[tuple[str, str]] = (),
) -> Profile:
    """One pass over the readable columns of `dataset`."""
    empty = {"number": Numbers, "text": Texts, "list": Vectors, "lists": Vectors}
    columns: dict[str, Stats] = {name: empty[kind]() for name, kind in kinds.items() if kind in empty}
    made = Profile(
        0, dict(kinds), columns, {v: Vectors() for v in vectors}, {d: Numbers() for d in differences}
    )
    work = Workspace()
    wanted = {name: GROUP_KEY if kinds[name] == "text" else pa.float64() for name in columns}
    for piece in dataset.pieces(wanted):
        for batch in piece.read():
            _take(made, batch, work)
    dataset.finish()
    return made


def _take(made: Profile, batch: pa.RecordBatch, work: Workspace) -> None:
    made.rows += batch.num_rows
    for name, stats in made.columns.items():
        column = batch.column(name)
        if isinstance(stats, Numbers):
            stats.add(*numbers(column), work)
        elif isinstance(stats, Texts):
            stats.add(column)
        else:
            stats.add_lists(column, work)
    for names, vector in made.vectors.items():
        table = np.column_stack([_doubles(batch.column(name)) for name in names])
        vector.rows += len(table)
        vector.add(table.reshape(-1), np.arange(len(table) + 1) * len(names), work)
    for (target, pred), difference in made.differences.items():
        with np.errstate(all="ignore"):
            gap = _doubles(batch.column(pred)) - _doubles(batch.column(target))
        difference.add(gap, None, work)
