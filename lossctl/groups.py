"""`--by` columns: rows to group codes, the same code for the same key on every thread."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.arrow import numbers
from lossctl.errors import BadRow

Codes = NDArray[np.int64]

__all__ = ["GroupTable", "Keys", "dictionary_codes"]


class Keys:
    """Values to consecutive integers, in order of first sight; safe to share between threads."""

    def __init__(self) -> None:
        self.codes: dict[Any, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.codes)

    def of(self, values: Sequence[Any]) -> Codes:
        codes = self.codes
        with self._lock:
            return np.array([codes.setdefault(v, len(codes)) for v in values], dtype=np.int64)

    def names(self) -> list[Any]:
        return list(self.codes)


def dictionary_codes(column: pa.Array) -> tuple[Codes, list[str], int | None]:
    """Local codes per row, their texts, and the first null row if there is one.

    Numbers group by their text, so that CSV and Parquet give the same groups; NaN is null, and -0 is 0.
    """
    return _coded(_plain(column))


def _coded(column: pa.Array) -> tuple[Codes, list[str], int | None]:
    if not pa.types.is_dictionary(column.type):
        if not pa.types.is_string(column.type):
            column = column.cast(pa.string())
        column = column.dictionary_encode()
    indices = column.indices
    null = None
    if indices.null_count:
        valid = np.frombuffer(indices.is_valid().cast(pa.uint8()).buffers()[1], np.uint8)[: len(indices)]
        null = int(np.argmin(valid))
        indices = indices.fill_null(0)
    local = np.from_dlpack(indices).astype(np.int64)
    words = column.dictionary
    if not pa.types.is_string(words.type):
        words = words.cast(pa.string())
    return local, [str(word) for word in words.to_pylist()], null


def _plain(column: pa.Array) -> pa.Array:
    """The same with null for NaN and 0 for -0."""
    if not pa.types.is_floating(column.type):
        return column
    values, valid = numbers(column)
    strange = np.isnan(values)
    if not strange.any() and not (np.signbit(values) & (values == 0)).any():
        return column
    present = ~strange if valid is None else valid & ~strange
    bits = pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(
        column.type, len(column), [bits, pa.py_buffer(values + values.dtype.type(0))]
    )


class GroupTable:
    """Codes of the combined keys of several columns."""

    def __init__(self, columns: Sequence[str], missing: str = "error") -> None:
        self.columns = list(columns)
        self.missing = missing
        self._each = [Keys() for _ in columns]
        self._pairs = [Keys() for _ in columns[1:]]
        self._met: set[int] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pairs[-1] if self._pairs else self._each[0])

    def codes(
        self, batch: pa.RecordBatch, path: str, first_row: int, keep: NDArray[np.bool_] | None = None
    ) -> Codes:
        """One code per row; raises BadRow at a null key. Rows that `keep` leaves out have no group."""
        combined: Codes | None = None
        for position, name in enumerate(self.columns):
            column = _plain(batch.column(name))
            local, words, null = _coded(column)
            if null is not None and keep is not None:
                missing = np.flatnonzero(keep & ~np.asarray(column.is_valid().to_pylist(), np.bool_))
                null = int(missing[0]) if len(missing) else None
            if null is not None:
                raise BadRow(
                    "the group is missing",
                    path=path,
                    row=first_row + null,
                    column=name,
                    hint="fill it in, or drop those rows with --where",
                )
            known = self._each[position].of(words or [""])
            mine = local if np.array_equal(known, np.arange(len(known))) else known.take(local)
            combined = mine if combined is None else self._pair(position - 1, combined, mine)
        assert combined is not None
        self._note(combined if keep is None else combined[keep])
        return combined

    def _note(self, codes: Codes) -> None:
        """Remember which groups have rows: a dictionary may list others, and so may rows left out."""
        if len(self._met) < len(self) and len(codes):
            found = np.flatnonzero(np.bincount(codes)).tolist()
            with self._lock:
                self._met.update(found)

    def met(self) -> list[int]:
        """The codes of the groups that have rows."""
        with self._lock:
            return sorted(self._met)

    def _pair(self, position: int, first: Codes, second: Codes) -> Codes:
        packed, inverse = np.unique((first << 32) | second, return_inverse=True)
        return self._pairs[position].of(packed.tolist())[inverse]

    def keys(self) -> list[dict[str, str]]:
        """The key of every code, by column name."""
        values: list[tuple[str, ...]] = [(name,) for name in self._each[0].names()]
        for each, pairs in zip(self._each[1:], self._pairs, strict=True):
            names = each.names()
            values = [(*values[p >> 32], names[p & 0xFFFFFFFF]) for p in pairs.names()]
        return [dict(zip(self.columns, key, strict=True)) for key in values]


def sort_key(group: dict[str, str]) -> tuple[tuple[int, float, str], ...]:
    """Groups in natural order: numbers by value, then texts."""
    return tuple(_natural(value) for value in group.values())


def _natural(text: str) -> tuple[int, float, str]:
    try:
        number = float(text)
    except ValueError:
        return (1, 0.0, text)
    return (0, number, text) if number == number else (1, 0.0, text)
