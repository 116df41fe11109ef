"""Arrays and DataFrames to Arrow tables, at the library's face only."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from lossctl.arrow import from_numpy
from lossctl.errors import DataError, UsageError, visible


class Held(NamedTuple):
    """Data in memory, and the names of its columns by what they are for."""

    table: pa.Table
    columns: dict[str, Any]
    weight: str | None
    by: list[str]
    cluster: str | None


def of_columns(data: Any, roles: Mapping[str, Any], weight: Any, by: Any, cluster: Any) -> Held:
    """The columns of `data` that were named."""
    keys = [] if by is None else [by] if isinstance(by, str) else list(by)
    for name, said in {**roles, "by": keys, "weight": weight, "cluster": cluster}.items():
        listed = said if isinstance(said, list | tuple) and name not in ("weight", "cluster") else [said]
        if said is not None and not all(isinstance(each, str) for each in listed):
            raise UsageError(f"{name} is not the name of a column", hint="beside data=... give names only")
    return Held(table_of(data), dict(roles), weight, keys, cluster)


def of_arrays(roles: Mapping[str, Any], weight: Any, by: Any, cluster: Any) -> Held:
    """The arrays as columns under the names of what they are for."""
    groups = dict(by) if isinstance(by, Mapping) else {} if by is None else {"by": by}
    arrays = {**roles, **({} if weight is None else {"weight": weight})}
    for name in groups:
        if name in arrays:
            raise UsageError(f"by calls a group {name}, as an input is called", hint="choose another name")
    drawn = next(name for name in ("cluster", "cluster_", "cluster__") if name not in {**arrays, **groups})
    arrays |= {**groups, **({} if cluster is None else {drawn: cluster})}
    for name, values in arrays.items():
        if isinstance(values, str | bytes):
            raise UsageError(f"{name} is a text, not an array", hint="columns are named beside data=...")
    names = {name: name for name in roles}
    weighs, clusters = None if weight is None else "weight", None if cluster is None else drawn
    return Held(table_of(arrays), names, weighs, list(groups), clusters)


def table_of(data: Any) -> pa.Table:
    """A pyarrow Table of a DataFrame, Table or mapping of names to arrays of equal length."""
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, Mapping):
        _refuse_disorder(data)
        columns = {name: column_of(name, values) for name, values in data.items()}
        sizes = {name: len(column) for name, column in columns.items()}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise DataError(f"the inputs differ in length: {listed} rows")
        return pa.table(columns)
    if not hasattr(data, "__arrow_c_stream__"):
        hint = "give a DataFrame, a pyarrow Table or a mapping of columns"
        raise UsageError(f"data is a {type(data).__name__}", hint=hint)
    try:
        return pa.table(data)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _unreadable("data", error, "convert or drop that column first") from error


def column_of(name: str, values: Any) -> pa.Array:
    """One column: numbers (n,), vectors (n, k) as fixed-size lists, texts, or lists of any length.

    What is masked, None, NA or, among texts, NaN is missing.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if isinstance(values, Mapping | Set):
        raise DataError(
            f"{name} is a {type(values).__name__}, whose values have no order", hint="give a list"
        )
    try:
        return _column(name, values.tolist() if isinstance(values, np.ma.MaskedArray) else values)
    except (pa.ArrowException, OverflowError, RuntimeError, TypeError) as error:
        raise _unreadable(name, error, "give numbers, texts or lists of numbers") from error


def _column(name: str, values: Any) -> pa.Array:
    try:
        array = np.asarray(values)
    except ValueError:  # rows of different lengths
        return pa.array(list(values))
    if array.dtype.kind not in "iuf":
        return pa.array(array.tolist() if array.dtype != object else list(values), from_pandas=True)
    kind = np.float64 if array.dtype.kind == "f" else np.uint64 if array.dtype.str[1:] == "u8" else np.int64
    array = array.astype(kind, copy=False)
    flat = from_numpy(array.reshape(-1))
    if array.ndim == 1:
        return flat
    if array.ndim == 2 and array.shape[1]:
        return pa.FixedSizeListArray.from_arrays(flat, array.shape[1])
    if array.ndim in (2, 3):
        steps = pa.list_(pa.float64())
        return pa.array(array.tolist(), steps if array.ndim == 2 else pa.list_(steps))
    raise DataError(
        f"{name} has {array.ndim} dimensions", column=name, hint="one row per sample, at most two more"
    )


def _unreadable(name: str, error: Exception, hint: str) -> DataError:
    told = " ".join(" ".join(str(part) for part in error.args).split())
    return DataError(f"{name} cannot be read: {visible(told, 300)}", hint=hint)


def _refuse_disorder(data: Mapping[str, Any]) -> None:
    """Rows are matched by position. The same labels of pandas in two orders are rows in two orders."""
    labels: dict[str, Any] = {name: getattr(values, "index", None) for name, values in data.items()}
    labelled = [(name, index) for name, index in labels.items() if hasattr(index, "equals")]
    for name, index in labelled[1:]:
        first, other = labelled[0]
        if len(index) == len(other) and not index.equals(other) and set(index) == set(other):
            raise DataError(
                f"{first} and {name} have the same index in different orders",
                hint="put them in one order, or give .to_numpy() of both to match rows by position",
            )
