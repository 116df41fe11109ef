"""What a data set holds, in one streaming pass: exact counts by column, vector and difference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.arrow import holds, list_parts, numbers
from lossctl.decode_lists import SUM_TOLERANCE
from lossctl.exact import Workspace
from lossctl.groups import dictionary_codes
from lossctl.plan import GROUP_KEY
from lossctl.tallies import Counts, Floats, Numbers, added

__all__ = ["Numbers", "Profile", "Texts", "Vectors", "kinds_of", "profile"]


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
        self.counts = added(self.counts, more) if self.counts is not None else None


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
    """'number', 'text', 'list' or 'lists' by column; else the type's own name. CSV by its first rows."""
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
