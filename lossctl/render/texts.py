"""Columns of per-sample output as text: casts and joins run in C++, Python only where text needs care.

Turning 1,048,576 doubles into text takes Python repr 532 ms, json.dumps 534 ms, the Arrow cast 123 ms; with
the row number and the line around it f-strings 698 ms, pyarrow.csv 137 ms, cast and join 135 ms. The cast
gives the shortest digits that read back to the same bits, checked on a million random bit patterns, but
writes "-0", which a reader of integers takes for 0: it is written "-0.0". Joining, unlike pyarrow.csv, serves
every format and quotes only what needs it. A str handed to a compute function would import pandas, so scalars
are taken out of arrays.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossctl.render.columns import Flags, bits, double_array, int_array, text_array

Piece = Any  # a StringArray, or a str that is the same in every row


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
