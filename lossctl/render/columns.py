"""Columns of per-sample output as Arrow text: casts and joins run in C++, Python only where text needs care.

Turning 1,048,576 doubles into text takes Python repr 532 ms, json.dumps 534 ms, the Arrow cast 123 ms; with
the row number and the line around it f-strings 698 ms, pyarrow.csv 137 ms, cast and join 135 ms. The cast
gives the shortest digits that read back to the same bits, checked on a million random bit patterns, but
writes "-0", which a reader of integers takes for 0: it is written "-0.0". Joining, unlike pyarrow.csv, serves
every format and quotes only what needs it. A str handed to a compute function would import pandas, so scalars
are taken out of arrays.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossctl.errors import UsageError, visible

Kind = Literal["int", "text", "number", "vector", "ragged"]
Piece = Any  # a StringArray, or a str that is the same in every row
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


def ragged_text(values: Sequence[NDArray[np.float64]]) -> list[str]:
    """The rows as JSON; what is not finite is null."""
    return [json.dumps(_nulled(v.tolist()), separators=(",", ":")) for v in values]


def _nulled(value: Any) -> Any:
    if isinstance(value, list):
        return [_nulled(v) for v in value]
    return value if np.isfinite(value) else None


@lru_cache(maxsize=4096)
def literal(text: str) -> pa.Scalar:
    return text_array([text])[0]


def chosen(flags: Flags, text: str, otherwise: pa.Array) -> pa.Array:
    """`text` where flagged."""
    condition = pa.Array.from_buffers(pa.bool_(), len(flags), [None, bits(flags)])
    return pc.if_else(condition, literal(text), otherwise)


def int_text(values: NDArray[np.int64], ignored: Flags | None = None) -> pa.Array:
    return pc.cast(int_array(values, ignored), pa.string())


def number_text(values: NDArray[np.float64], ignored: Flags | None = None) -> pa.Array:
    """The shortest decimals that read back to the same doubles; nan, inf and -inf as such."""
    text = pc.cast(double_array(values, ignored), pa.string())
    negative_zero = (values == 0) & np.signbit(values)
    if ignored is not None:
        negative_zero &= ~ignored
    return chosen(negative_zero, "-0.0", text) if negative_zero.any() else text


def joined(pieces: Sequence[Piece], null: str) -> pa.Array:
    """One string per row out of the pieces, side by side; `null` stands for a missing one."""
    merged: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    arguments = [literal(piece) if isinstance(piece, str) else piece for piece in merged]
    return pc.binary_join_element_wise(
        *arguments, literal(""), null_handling="replace", null_replacement=null
    )


def text_bytes(lines: pa.Array) -> memoryview:
    """All strings one after the other, as they lie in memory."""
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(data)[int(ends[0]) : int(ends[-1])] if data is not None else memoryview(b"")
