"""Join keys as NumPy and Arrow columns: read strictly, compared, hashed, looked up; no object per row."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossctl.arrow import from_numpy, numbers, valid_bits
from lossctl.doubles import EXACT
from lossctl.errors import BadRow, DataError, visible
from lossctl.sources.base import Column, kind

Mask: TypeAlias = NDArray[np.bool_]
Rows: TypeAlias = NDArray[np.int64]
Words: TypeAlias = NDArray[np.uint64]

__all__ = ["Index", "KeyReader", "Keys", "key_kind"]

_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93))
_HALF = np.uint64(32)
_ENDS = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)  # the first n bytes of a little-endian word
_KINDS = ("number", "text", "truth value")


@dataclass(frozen=True)
class Keys:
    """Rows of keys: columns of int64 (numbers, truth values) or of Arrow large_string, without nulls."""

    columns: tuple[Any, ...]
    rows: int

    @classmethod
    def joined(cls, parts: Sequence[Keys]) -> Keys:
        if len(parts) == 1:
            return parts[0]
        columns = zip(*(part.columns for part in parts), strict=True)
        made = [
            np.concatenate(each) if isinstance(each[0], np.ndarray) else pa.concat_arrays(each)
            for each in columns
        ]
        return cls(tuple(made), sum(part.rows for part in parts))

    @property
    def nbytes(self) -> int:
        return sum(column.nbytes for column in self.columns)

    def part(self, start: int, rows: int) -> Keys:
        cut = [
            c[start : start + rows] if isinstance(c, np.ndarray) else c.slice(start, rows)
            for c in self.columns
        ]
        return Keys(tuple(cut), rows)

    def take(self, index: Rows) -> Keys:
        at = from_numpy(index.astype(np.int64, copy=False))
        taken = [c[index] if isinstance(c, np.ndarray) else c.take(at) for c in self.columns]
        return Keys(tuple(taken), len(index))

    def equal(self, other: Keys) -> Mask:
        """Shape (rows,): where the keys are the same."""
        same = np.ones(self.rows, np.bool_)
        for mine, its in zip(self.columns, other.columns, strict=True):
            same &= mine == its if isinstance(mine, np.ndarray) else _truths(pc.equal(mine, its))
        return same

    def increasing(self, by_length: bool) -> bool:
        """Whether each key is above the one before it, so that none comes twice.

        `by_length`: of two texts the longer one is above, as in decimal numbers; else as in a dictionary.
        """
        tied = np.ones(max(self.rows - 1, 0), np.bool_)
        for column in self.columns:
            each = [column] if isinstance(column, np.ndarray) else [column, _lengths(column)]
            for values in reversed(each) if by_length else each[:1]:
                plain = isinstance(values, np.ndarray)
                a, b = values[:-1], values[1:]
                if (tied & (a > b if plain else _truths(pc.greater(a, b)))).any():
                    return False
                tied &= a == b if plain else _truths(pc.equal(a, b))
        return not tied.any()

    @property
    def plain(self) -> bool:
        """One column of numbers: its hash is the number itself."""
        return len(self.columns) == 1 and isinstance(self.columns[0], np.ndarray)

    def hashes(self, seed: int) -> Words:
        if self.plain:
            words: Words = self.columns[0].view(np.uint64)
            return words
        mixed = np.full(self.rows, seed, np.uint64)
        for column in self.columns:
            mixed = (
                _mix(mixed, column.view(np.uint64))
                if isinstance(column, np.ndarray)
                else _texts(mixed, column)
            )
        return mixed

    def told(self, names: Sequence[str], truths: Sequence[bool], index: Sequence[int]) -> str:
        """The keys of a few rows for a message: id=7, or (id=7, day=mon)."""
        said = []
        for row in index:
            parts = []
            for name, column, truth in zip(names, self.columns, truths, strict=True):
                value = column[row].item() if isinstance(column, np.ndarray) else column[row].as_py()
                parts.append(f"{visible(name)}={visible(bool(value) if truth else value, 60)}")
            said.append(parts[0] if len(parts) == 1 else f"({', '.join(parts)})")
        return ", ".join(said)


def _truths(array: pa.Array) -> Mask:
    return numbers(array)[0].view(np.bool_)


def _lengths(column: pa.Array) -> Rows:
    lengths: Rows = np.diff(_ends(column))
    return lengths


def _ends(column: pa.Array) -> Rows:
    """Where the texts of a large_string array lie in its bytes."""
    return np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]


def _mix(state: Words, words: Words) -> Words:
    made = (state ^ words) * _ODD[0]
    made ^= made >> _HALF
    made *= _ODD[1]
    made ^= made >> _HALF
    return made


def _texts(state: Words, column: pa.Array) -> Words:
    """Mix in texts eight bytes at a time; rows drop out when their text ends."""
    ends = _ends(column)
    starts, left = ends[:-1] - ends[0], np.diff(ends)
    body = column.buffers()[2]
    data = np.zeros(int(ends[-1] - ends[0]) + 8, np.uint8)
    data[:-8] = np.frombuffer(body or b"", np.uint8)[ends[0] : ends[-1]]
    words = np.ndarray((len(data) - 7,), np.dtype("<u8"), buffer=data.data, strides=(1,))
    state = _mix(state, left.view(np.uint64))
    rows: Any = slice(None)
    while left.size:
        longer = left > 0
        if not longer.all():
            rows = np.flatnonzero(longer) if isinstance(rows, slice) else rows[longer]
            starts, left = starts[longer], left[longer]
            if not left.size:
                break
        state[rows] = _mix(state[rows], words[starts] & _ENDS[np.minimum(left, 8)])
        starts, left = starts + 8, left - 8
    return state


class Index:
    """Rows by key. `repeats` are rows whose key another row has too, one for each row too many."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        seeds = _seeds()
        while True:
            self._seed = next(seeds)
            hashes = keys.hashes(self._seed)
            order = np.argsort(hashes)
            self._sorted = hashes[order]
            self._order = order.astype(np.int32) if keys.rows < 1 << 31 else order
            same = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
            one, two = order[same], order[same + 1]
            if keys.plain or not same.size or keys.take(one).equal(keys.take(two)).all():
                break  # otherwise two keys share a hash: take another
        self.repeats: Rows = np.sort(np.maximum(one, two))

    def find(self, keys: Keys) -> Rows:
        """The row of each key, -1 where there is none."""
        found = np.full(keys.rows, -1, np.int64)
        if not self._sorted.size:
            return found
        hashes = keys.hashes(self._seed)
        turn = np.argsort(hashes)  # sorted questions walk the index in order: four times faster
        asked = hashes[turn]
        at = np.minimum(np.searchsorted(self._sorted, asked), self._sorted.size - 1)
        hit = self._sorted[at] == asked
        found[turn[hit]] = self._order[at[hit]]
        if not keys.plain:
            some = np.flatnonzero(found >= 0)
            same = keys.take(some).equal(self.keys.take(found[some]))
            found[some[~same]] = -1
        return found


def _seeds() -> Iterator[int]:
    return (secrets.randbits(64) for _ in itertools.count())


def key_kind(name: str, left: Column, right: Column, left_path: str, right_path: str) -> str:
    """What a key holds in both files; CSV text goes by the other file. Raises DataError where they differ."""
    kinds = [None if c.type is None else kind(c.type) for c in (left, right)]
    for one, path in zip(kinds, (left_path, right_path), strict=True):
        if one not in (*_KINDS, None, "null"):
            raise DataError(f"holds {one}, which cannot be a key", path=path, column=name)
    known = [one for one in kinds if one not in (None, "null")]
    if len(set(known)) > 1:
        raise DataError(
            f"holds {kinds[0]} in {visible(left_path)} but {kinds[1]} here",
            path=right_path,
            column=name,
            hint="write the key with the same type in both files",
        )
    return known[0] or "text" if known else "text"


@dataclass(frozen=True)
class KeyReader:
    """Reads the key columns of one side; `other` is the other side's path, for messages."""

    names: Sequence[str]
    kinds: Sequence[str]
    other: str

    def read(self, batch: pa.RecordBatch, path: str, first_row: int) -> Keys:
        pairs = zip(self.names, self.kinds, strict=True)
        columns = [self._column(batch.column(n), n, kind_, path, first_row) for n, kind_ in pairs]
        return Keys(tuple(columns), batch.num_rows)

    def _column(self, array: pa.Array, name: str, kind_: str, path: str, first_row: int) -> Any:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        valid = valid_bits(array)
        if valid is not None:
            row = first_row + int(np.argmin(valid))
            raise BadRow(
                "the key is missing", path=path, row=row, column=name, hint="fill it in or drop the row"
            )
        if kind_ == "text":
            return array.cast(pa.large_string())
        if kind(array.type) == "text":
            array = self._typed(array, name, kind_, path, first_row)
        values = numbers(array)[0]
        bad = _unfit(values)
        if bad is not None:
            raise BadRow(
                f"the key {values[bad]} is not a whole number that is held exactly",
                path=path,
                row=first_row + bad,
                column=name,
                hint="write keys as integers or as text in both files",
            )
        return values.astype(np.int64)

    def _typed(self, array: pa.Array, name: str, kind_: str, path: str, first_row: int) -> pa.Array:
        """CSV text as the type the other file has: integers, or 7.0 for 7."""
        for type_ in (pa.int64(), pa.float64()) if kind_ == "number" else (pa.bool_(),):
            try:
                return array.cast(type_)
            except pa.ArrowInvalid:
                continue
        row = next(at for at in range(len(array)) if not _casts(array.slice(at, 1), type_))
        raise BadRow(
            f"the key '{visible(array[row].as_py(), 60)}' is text, but {visible(self.other)} holds {kind_}s",
            path=path,
            row=first_row + row,
            column=name,
            hint="write the key with the same type in both files",
        )


def _casts(array: pa.Array, type_: pa.DataType) -> bool:
    try:
        array.cast(type_)
    except pa.ArrowInvalid:
        return False
    return True


def _unfit(values: NDArray[Any]) -> int | None:
    """The first number that is no exact integer of 64 bits."""
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            wide = values.astype(np.float64)
            bad = ~(np.isfinite(wide) & (np.rint(wide) == wide) & (np.abs(wide) < EXACT))
    elif values.dtype == np.uint64:
        bad = values >= np.uint64(1 << 63)
    else:
        return None
    return int(np.argmax(bad)) if bad.any() else None
