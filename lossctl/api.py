"""The Python face: losses over arrays and DataFrames, and over files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lossctl.errors import DataError, UsageError
from lossctl.result import Result

__all__ = ["compute", "evaluate"]


def compute(
    spec: str,
    target: Any = None,
    pred: Any = None,
    *,
    data: Any = None,
    weight: Any = None,
    by: Any = None,
    reduction: str | None = None,
    elements: str = "mean",
    nan: str = "error",
    like: str | None = None,
    **inputs: Any,
) -> Result:
    """Evaluate a spec over arrays of shape (n,) or (n, k), or over the columns of a DataFrame.

    With `data` (a pandas DataFrame, pyarrow Table or mapping of columns) the other arguments are column
    names. Further inputs of the loss (anchor, lower, group, ...) are keywords.
    Raises the errors of lossctl.errors: UsageError for the spec, DataError for the data.

    >>> compute("mae", [1.0, 2.0], [1.5, 2.0]).value
    0.25
    """
    from lossctl.frames import table_of
    from lossctl.loss.spec import parse
    from lossctl.sources.memory import MemoryDataset

    roles = {
        name: value for name, value in {"target": target, "pred": pred, **inputs}.items() if value is not None
    }
    specs = parse(spec, like=like)
    if data is not None:
        table, columns = table_of(data), roles
        names = {"weight": weight, "by": by}
    else:
        arrays = {**roles, **({"weight": weight} if weight is not None else {})}
        by_columns = by if isinstance(by, Mapping) else {} if by is None else {"by": by}
        table = table_of({**arrays, **by_columns})
        columns = {name: name for name in roles}
        names = {"weight": None if weight is None else "weight", "by": list(by_columns)}
    keys = [names["by"]] if isinstance(names["by"], str) else list(names["by"] or ())
    return _run(
        MemoryDataset(table), specs, columns, names["weight"], keys, reduction, elements, nan, 2, None
    )


def evaluate(
    path: str | Sequence[str],
    spec: str,
    *,
    weight: str | None = None,
    by: str | Sequence[str] = (),
    reduction: str | None = None,
    elements: str = "mean",
    nan: str = "error",
    like: str | None = None,
    threads: int = 2,
    chunk_rows: int | None = None,
    target_file: str | Sequence[str] | None = None,
    on: str | Sequence[str] = (),
    join: str = "strict",
    **columns: str,
) -> Result:
    """Evaluate a spec over files (CSV, Parquet, globs, directories), streaming.

    Column names are keywords: target="y", pred="p_*", anchor=...; unsaid ones are guessed. Targets in a file
    of their own (`target_file`) are joined one-to-one on the key columns `on`; `join` is strict or inner.
    Raises the errors of lossctl.errors.
    """
    from lossctl.loss.spec import parse
    from lossctl.sources import open_dataset

    specs = parse(spec, like=like)
    keys = [by] if isinstance(by, str) else list(by)
    paths = [path] if isinstance(path, str) else list(path)
    if target_file is None and (on or join != "strict"):
        raise UsageError("on and join are for target_file")
    opened: Any
    if target_file is None:
        opened = open_dataset(paths, threads=threads)
    else:
        from lossctl.sources.join import open_joined

        opened = open_joined(paths, target_file, on, join, threads=threads)
    with opened as dataset:
        return _run(dataset, specs, columns, weight, keys, reduction, elements, nan, threads, chunk_rows)


def _run(
    dataset: Any,
    specs: Any,
    columns: Mapping[str, Any],
    weight: str | None,
    by: Sequence[str],
    reduction: str | None,
    elements: str,
    nan: str,
    threads: int,
    chunk_rows: int | None,
) -> Result:
    from lossctl.aggregate import to_result
    from lossctl.plan import REDUCTIONS, Settings, make_plan
    from lossctl.spine import run

    if nan not in ("error", "skip", "propagate"):
        raise UsageError(f"nan={nan!r} is not error, skip or propagate")
    if reduction is not None and reduction not in REDUCTIONS[:-1]:
        raise UsageError(f"reduction={reduction!r} is not one of {', '.join(REDUCTIONS[:-1])}")
    settings = Settings(
        columns=columns,
        weight=weight,
        by=by,
        reduction=reduction,
        elements=elements,
        missing=nan,
        threads=threads,
        chunk_rows=chunk_rows,
    )
    plan = make_plan(specs, settings, dataset)
    if dataset.promised_rows == 0:
        raise DataError("there are no rows")
    return to_result(plan, run(plan, dataset), dataset)
