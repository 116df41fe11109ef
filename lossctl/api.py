"""The Python face: losses over arrays and DataFrames, and over files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from lossctl.errors import BadValue, UsageError
from lossctl.machine import cores
from lossctl.result import Result

__all__ = ["compute", "evaluate"]

Path: TypeAlias = str | os.PathLike[str]


def compute(
    spec: str,
    target: Any = None,
    pred: Any = None,
    *,
    data: Any = None,
    weight: Any = None,
    by: Any = None,
    where: str | None = None,
    width: int | None = None,
    reduction: str | None = None,
    elements: str = "mean",
    nan: str = "error",
    like: str | None = None,
    ci: float | None = None,
    cluster: Any = None,
    seed: int | None = None,
    resamples: int | None = None,
    **inputs: Any,
) -> Result:
    """Evaluate a spec over arrays of shape (n,) or (n, k), or over the columns of a DataFrame.

    With `data` (a pandas or Polars DataFrame, pyarrow Table or mapping of columns) the other arguments are
    column names. Rows are matched by position; what is masked, None or NA is missing. `by` is one array or
    a mapping of names to arrays. Further inputs of the loss (anchor, lower, group, ...) are keywords. `where`
    is an expression over columns, of arrays over their keywords ("target > 0"), that keeps rows; `width` the
    values per step of a flat matrix column. `ci` is the level of a confidence interval in each score's
    `interval`: rows with one value of `cluster` are drawn together, `resamples` times (2000), from `seed`.
    Raises the errors of lossctl.errors: UsageError for the spec, DataError for the data.

    >>> compute("mae", [1.0, 2.0], [1.5, 2.0]).value
    0.25
    """
    from lossctl.frames import of_arrays, of_columns
    from lossctl.loss.spec import parse
    from lossctl.sources.memory import MemoryDataset

    inputs = {"target": target, "pred": pred, **inputs}
    roles = {name: value for name, value in inputs.items() if value is not None}
    specs = parse(spec, like=like)
    found = (
        of_arrays(roles, weight, by, cluster)
        if data is None
        else of_columns(data, roles, weight, by, cluster)
    )
    return _run(
        MemoryDataset(found.table),
        specs,
        columns=found.columns,
        weight=found.weight,
        by=found.by,
        where=where,
        width=width,
        reduction=reduction,
        elements=elements,
        missing=nan,
        ci=_interval(ci, found.cluster, seed, resamples),
    )


def evaluate(
    path: Path | Iterable[Path],
    spec: str,
    *,
    weight: str | None = None,
    by: str | Sequence[str] = (),
    where: str | None = None,
    width: int | None = None,
    reduction: str | None = None,
    elements: str = "mean",
    nan: str = "error",
    like: str | None = None,
    ci: float | None = None,
    cluster: str | None = None,
    seed: int | None = None,
    resamples: int | None = None,
    threads: int | None = None,
    chunk_rows: int | None = None,
    max_memory: int = 4 << 30,
    target_file: Path | Iterable[Path] | None = None,
    on: str | Sequence[str] = (),
    join: str = "strict",
    input_format: str | None = None,
    delimiter: str | None = None,
    na: str | Sequence[str] = (),
    expect_rows: int | None = None,
    require_checksums: bool = False,
    **columns: str,
) -> Result:
    """Evaluate a spec over files (CSV, Parquet, globs, directories), streaming.

    Column names are keywords: target="y", pred="p_*", anchor=...; unsaid ones are guessed. Targets in a file
    of their own (`target_file`) are joined one-to-one on the key columns `on`; `join` is strict or inner.
    `where` keeps rows, `width` is that of flat matrix columns, `max_memory` caps, in bytes, what losses
    of all rows and joins hold.
    `ci`, `cluster` (a column), `seed` and `resamples` ask for confidence intervals as in `compute`.
    `na`: CSV cells of these texts are empty; `expect_rows`: refuse data with more or fewer rows;
    `threads`: the cores there are, at most 8, unless said; no number depends on it.
    `require_checksums`: refuse what is not a Parquet file with a checksum on every page read.
    Raises the errors of lossctl.errors.
    """
    from lossctl.loss.spec import parse
    from lossctl.sources import open_dataset

    specs = parse(spec, like=like)
    keys = [by] if isinstance(by, str) else list(by)
    paths = _paths("path", path)
    if target_file is None and (on or join != "strict"):
        raise UsageError("on and join are for target_file")
    threads = cores() if threads is None else threads
    form: dict[str, Any] = {"input_format": input_format, "delimiter": delimiter, "threads": threads}
    form["require_checksums"] = require_checksums
    form["na"] = [na] if isinstance(na, str) else list(na)
    opened: Any
    if target_file is None:
        opened = open_dataset(paths, **form)
    else:
        from lossctl.sources.join import open_joined

        targets = _paths("target_file", target_file)
        opened = open_joined(paths, targets, on, join, max_memory=max_memory, **form)
    with opened as dataset:
        return _run(
            dataset,
            specs,
            columns=columns,
            weight=weight,
            by=keys,
            where=where,
            width=width,
            max_memory=max_memory,
            reduction=reduction,
            elements=elements,
            missing=nan,
            na=form["na"],
            join=join,
            threads=threads,
            chunk_rows=chunk_rows,
            expect_rows=expect_rows,
            ci=_interval(ci, cluster, seed, resamples),
        )


def _paths(name: str, given: Any) -> list[str]:
    """One path or several as text."""
    one = isinstance(given, str | os.PathLike)
    held = isinstance(given, Mapping | bytes) or hasattr(given, "__arrow_c_stream__")
    listed = [given] if one else list(given) if isinstance(given, Iterable) and not held else [given]
    for each in listed:
        if not isinstance(each, str | os.PathLike):
            raise UsageError(
                f"{name} is a {type(given).__name__}",
                hint="give a path or a list of paths; data in memory goes to lossctl.compute(spec, data=...)",
            )
    return [os.fsdecode(each) for each in listed]


def _interval(level: float | None, cluster: str | None, seed: int | None, resamples: int | None) -> Any:
    """The Bootstrap asked for, or None."""
    from lossctl.bootstrap import asked

    if level is not None:
        return asked("ci", level, seed=seed, resamples=resamples, cluster=cluster)
    if (cluster, seed, resamples) != (None, None, None):
        raise UsageError("cluster, seed and resamples are for an interval", hint="ask for one with ci=0.95")
    return None


def _run(dataset: Any, specs: Any, **said: Any) -> Result:
    from lossctl.aggregate import to_result
    from lossctl.config_values import whole
    from lossctl.plan import REDUCTIONS, Settings, make_plan
    from lossctl.spine import run

    settings = Settings(**said)
    for name, value, choices in (
        ("nan", settings.missing, ("error", "skip", "propagate")),
        ("elements", settings.elements, ("mean", "sum")),
        ("reduction", settings.reduction, (None, *REDUCTIONS[:-1])),
    ):
        if value not in choices:
            raise BadValue(name, value, " or ".join(choice for choice in choices if choice))
    for name in ("threads", "chunk_rows", "expect_rows", "width", "max_memory"):
        if said.get(name) is not None:
            whole(name, said[name])
    plan = make_plan(specs, settings, dataset)
    return to_result(plan, run(plan, dataset), dataset)
