"""Columns of per-sample output as Arrow arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.errors import UsageError, visible

Kind = Literal["int", "text", "number", "vector", "ragged"]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class SampleColumn:
    """One column: int (int64), text (list of str or None), number (float64), vector (rows of float64), or
    ragged (a list of two-dimensional arrays, one per row). `carried`: data, no loss that may be ignored."""

    name: str
    kind: Kind
    carried: bool = False


@dataclass(frozen=True)
class Rows:
    """A run of rows of a block: arrays or lists by column, and which rows are ignored and so null."""

    size: int
    values: Mapping[str, Any]
    ignored: Mapping[str, Flags]

    @classmethod
    def of(
        cls, columns: Sequence[SampleColumn], block: Mapping[str, Any], ignored: Mapping[str, Flags]
    ) -> Rows:
        sizes = {len(block[column.name]) for column in columns}
        sizes |= {len(flags) for flags in ignored.values()}
        if len(sizes) != 1:
            raise ValueError(f"columns of one block differ in length: {sorted(sizes)}")
        return cls(sizes.pop(), block, {name: flags for name, flags in ignored.items() if flags.any()})

    def part(self, start: int, stop: int) -> Rows:
        return Rows(
            min(stop, self.size) - start,
            {name: values[start:stop] for name, values in self.values.items()},
            {name: flags[start:stop] for name, flags in self.ignored.items()},
        )


def check_columns(columns: Sequence[SampleColumn]) -> None:
    """Refuse two columns of one name: no reader could tell them apart."""
    names = [column.name for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two output columns are called '{visible(name)}'", hint="leave one out")


def bits(flags: Flags) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def validity(ignored: Flags | None) -> pa.Buffer | None:
    return None if ignored is None else bits(~ignored)


def int_array(values: NDArray[np.int64], ignored: Flags | None = None) -> pa.Array:
    data = np.ascontiguousarray(values, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(data), [validity(ignored), pa.py_buffer(data)])


def double_array(values: NDArray[np.float64], ignored: Flags | None = None) -> pa.Array:
    data = np.ascontiguousarray(values, dtype=np.float64)
    return pa.Array.from_buffers(pa.float64(), len(data), [validity(ignored), pa.py_buffer(data)])


def text_array(values: Sequence[str | None], ignored: Flags | None = None) -> pa.Array:
    """Strings as Arrow holds them; half of a surrogate pair is spelt out."""
    missing = ignored
    if None in values:
        absent = np.fromiter((value is None for value in values), bool, len(values))
        missing = absent if ignored is None else absent | ignored
    filled: Sequence[str] = [value or "" for value in values]
    joined = "".join(filled)
    if joined.isascii():
        lengths = list(map(len, filled))
        data = joined.encode("ascii")
    else:
        encoded = [value.encode("utf-8", "backslashreplace") for value in filled]
        lengths = list(map(len, encoded))
        data = b"".join(encoded)
    offsets = np.zeros(len(filled) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [validity(missing), pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(filled), buffers)


def list_array(values: NDArray[np.float64], ignored: Flags | None = None) -> pa.Array:
    rows, width = values.shape
    offsets = np.arange(rows + 1, dtype=np.int64) * width
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError("a block of vectors holds more than 2^31 numbers")
    buffers = [validity(ignored), pa.py_buffer(offsets.astype(np.int32))]
    return pa.Array.from_buffers(
        pa.list_(pa.float64()), rows, buffers, children=[double_array(values.reshape(-1))]
    )


def ragged_array(values: Sequence[NDArray[np.float64]]) -> pa.Array:
    """Lists of lists: a row's steps, and the numbers of each."""
    steps = np.cumsum([0, *(len(v) for v in values)]).astype(np.int32)
    flat = np.concatenate(values) if values else np.empty((0, 0))
    inner = list_array(np.ascontiguousarray(flat, dtype=np.float64))
    kind = pa.list_(pa.list_(pa.float64()))
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(steps)], children=[inner])
