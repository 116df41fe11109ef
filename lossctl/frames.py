"""Arrays and DataFrames to Arrow tables, at the library's face only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from lossctl.arrow import from_numpy
from lossctl.errors import DataError, UsageError


def table_of(data: Any) -> pa.Table:
    """A pyarrow Table of a DataFrame, Table or mapping of names to arrays of equal length."""
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, Mapping):
        columns = {name: column_of(name, values) for name, values in data.items()}
        sizes = {name: len(column) for name, column in columns.items()}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise DataError(f"the inputs differ in length: {listed} rows")
        return pa.table(columns)
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    raise UsageError(
        f"data is a {type(data).__name__}", hint="give a DataFrame, a pyarrow Table or a mapping of columns"
    )


def column_of(name: str, values: Any) -> pa.Array:
    """One column: numbers (n,), vectors (n, k) as fixed-size lists, texts, or lists of any length."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        return pa.array(list(values))
    if array.dtype.kind not in "iuf":
        return pa.array(array.tolist() if array.dtype != object else list(values))
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float64)
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
    if array.ndim == 1:
        return from_numpy(array)
    if array.ndim == 2 and array.shape[1]:
        return pa.FixedSizeListArray.from_arrays(from_numpy(array.reshape(-1)), array.shape[1])
    if array.ndim in (2, 3):
        kind = pa.list_(pa.float64())
        return pa.array(array.tolist(), kind if array.ndim == 2 else pa.list_(kind))
    raise DataError(
        f"{name} has {array.ndim} dimensions", column=name, hint="one row per sample, at most two more"
    )
