"""Arrow arrays as NumPy arrays without importing pandas, which `to_numpy` and `__array__` would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.doubles import EXACT, TOO_LONG
from lossctl.errors import DataError

Mask = NDArray[np.bool_]

_WIDTHS = {
    pa.float64(): np.float64,
    pa.float32(): np.float32,
    pa.float16(): np.float16,
    pa.int64(): np.int64,
    pa.int32(): np.int32,
    pa.int16(): np.int16,
    pa.int8(): np.int8,
    pa.uint64(): np.uint64,
    pa.uint32(): np.uint32,
    pa.uint16(): np.uint16,
    pa.uint8(): np.uint8,
}

_KINDS = {np.dtype(width): kind for kind, width in _WIDTHS.items()}


def holds(kind: pa.DataType) -> str:
    """'number', 'text' or 'list' for what can be read; otherwise the type's own name."""
    if isinstance(kind, pa.BaseExtensionType):
        return holds(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return holds(kind.value_type)
    if kind in _WIDTHS or pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    return "list" if is_list(kind) else str(kind)


def is_list(kind: pa.DataType | None) -> bool:
    """Whether values are lists, of any kind."""
    if kind is None:
        return False
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    plain = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(plain or _is_view(kind))


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def valid_bits(array: pa.Array) -> Mask | None:
    """Which rows are not null, or None when all are."""
    if array.null_count == 0:
        return None
    if array.buffers()[0] is None:  # the null type, or a dictionary whose nulls are in its values
        return np.array(array.is_valid().to_pylist(), dtype=bool)
    return _bits(array.buffers()[0], array.offset, len(array))


def _bits(buffer: pa.Buffer, offset: int, rows: int) -> Mask:
    raw = np.frombuffer(buffer, np.uint8)
    bits = np.unpackbits(raw[offset // 8 : (offset + rows + 7) // 8], bitorder="little")
    return bits[offset % 8 : offset % 8 + rows].view(np.bool_)


def numbers(array: pa.Array) -> tuple[NDArray[Any], Mask | None]:
    """The values of a numeric array in its own width (booleans as 0/1), and which are valid.

    Values at null places are arbitrary.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    valid = valid_bits(array)
    kind = array.type
    if pa.types.is_boolean(kind):
        return _bits(array.buffers()[1], array.offset, len(array)).view(np.uint8), valid
    if pa.types.is_decimal(kind):
        return _decimals(array), valid
    width = _WIDTHS[kind]
    if len(array) == 0:
        return np.empty(0, width), valid
    values: NDArray[Any] = np.frombuffer(array.buffers()[1], width)[array.offset : array.offset + len(array)]
    return values, valid


def _decimals(array: pa.Array) -> NDArray[np.float64]:
    """The nearest doubles: Python rounds correctly, while Arrow's own conversion scales in floating point.

    Raises DataError for a whole number of a type of whole numbers that is no double.
    """
    found = array.to_pylist()
    made = np.array([0.0 if value is None else float(value) for value in found])
    if array.type.scale <= 0:
        for at in np.flatnonzero(np.abs(made) >= EXACT).tolist():
            if int(made[at]) != found[at]:
                raise DataError(f"{int(found[at])} {TOO_LONG}", hint="store it as a float, or rescale")
    return made


def list_parts(array: pa.Array) -> tuple[pa.Array, NDArray[np.int64], Mask | None]:
    """A list array as its flat values, row offsets into them (starting at 0) and which rows are valid.

    `flatten` drops what null rows hold, so their length counts as 0.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    valid = valid_bits(array)
    rows = len(array)
    if pa.types.is_fixed_size_list(array.type):
        lengths = np.full(rows, array.type.list_size, np.int64)
    elif _is_view(array.type):
        width = np.int64 if pa.types.is_large_list_view(array.type) else np.int32
        sizes = np.frombuffer(array.buffers()[2], width)[array.offset : array.offset + rows]
        lengths = sizes.astype(np.int64)
    else:
        width = np.int64 if pa.types.is_large_list(array.type) else np.int32
        ends = np.frombuffer(array.buffers()[1], width)[array.offset : array.offset + rows + 1]
        lengths = np.diff(ends).astype(np.int64) if rows else np.empty(0, np.int64)
    if valid is not None:
        lengths = np.where(valid, lengths, 0)
    return array.flatten(), offsets_of(lengths), valid


def offsets_of(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Where each of neighbours of these lengths begins, and where the last ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])


def list_width(column: pa.Array) -> int | None:
    """The length of the first list that is neither missing nor empty; of the first step in lists of lists."""
    flat, offsets, _ = list_parts(column)
    while holds(flat.type) == "list":
        flat, offsets, _ = list_parts(flat)
    return first_length(np.diff(offsets))


def first_length(lengths: NDArray[np.int64]) -> int | None:
    """The first that is not 0."""
    full = lengths[lengths > 0]
    return int(full[0]) if len(full) else None


def from_numpy(values: NDArray[Any]) -> pa.Array:
    """A zero-copy Arrow array over a one-dimensional float64, int64 or uint64 array, without nulls."""
    flat = np.ascontiguousarray(values)
    return pa.Array.from_buffers(_KINDS[flat.dtype], len(flat), [None, pa.py_buffer(flat)])
