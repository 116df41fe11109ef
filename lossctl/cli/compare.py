"""`lossctl compare`: systems on the same rows, the first being the baseline."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from lossctl.cli.allocator import keep_freed_memory
from lossctl.cli.compute import CHOICES, LossGroup
from lossctl.cli.interval import asked_interval, interval_parameters
from lossctl.cli.plain import read_plainly
from lossctl.errors import BadValue, DataError, UsageError, visible
from lossctl.loss.spec import parse
from lossctl.options import input_parameters, shared_parameters

__all__ = ["command"]

KEPT = {"weight", "by", "on", "like", "reduction", "elements", "nan", "width", "format_", "input_format"}
KEPT |= {"delimiter", "threads", "chunk_rows", "max_memory", "digits", "quiet"}


class CompareGroup(LossGroup):
    """SPEC is a subcommand, so that its inputs are options."""

    def get_command(self, ctx: Any, name: str) -> Any:
        return _compare_command(name)


def command(name: str) -> Any:
    """The `compare` group."""
    app = typer.Typer(
        cls=CompareGroup,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        subcommand_metavar="SPEC [OPTIONS] A B [C]...",
    )

    @app.callback(epilog="lossctl compare mae,rmse baseline.parquet candidate.parquet --on id")
    def compare() -> None:
        """Are B and C better than A on the same rows? Differences, intervals, p-values, verdicts."""

    return read_plainly(typer.main.get_command(app))


def _compare_command(text: str) -> Any:
    names = dict.fromkeys(name for spec in parse(text) for term in spec.terms for name in term.bound.inputs)
    note = Annotated[
        list[str],
        typer.Argument(metavar="A B [C]...", help="CSV or Parquet files; the first is the baseline."),
    ]
    parameters = [inspect.Parameter("files", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=note)]
    parameters += input_parameters(list(names))
    parameters += [each for each in shared_parameters() if each.name in KEPT]
    parameters += interval_parameters("--level")

    def run(**values: Any) -> None:
        _run(text, **values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name=text, help="Compare systems on the same rows; the first is the baseline.")(run)
    return read_plainly(typer.main.get_command(app))


def _run(text: str, files: Sequence[str], **values: Any) -> None:
    from lossctl.cli.compute import memory, say
    from lossctl.compare import compare, direction_of
    from lossctl.plan import Settings
    from lossctl.render.compare import COMPARE_FORMATS, render_compare
    from lossctl.render.output import Stdout

    _check(files, values, COMPARE_FORMATS)
    keep_freed_memory()
    specs = parse(text, like=values["like"])
    for spec in specs:
        direction_of(spec)
    asked = asked_interval(values, flag="--level", default="0.95")
    settings = Settings(
        columns={k.removeprefix("input_"): v for k, v in values.items() if k.startswith("input_") and v},
        weight=values["weight"],
        by=values["by"] or (),
        reduction=values["reduction"],
        elements=values["elements"],
        missing=values["nan"],
        width=values["width"],
        threads=values["threads"],
        chunk_rows=values["chunk_rows"],
        max_memory=memory(values["max_memory"]),
        ci=asked,
    )
    keys = [key.strip() for key in values["on"].split(",")] if values["on"] is not None else None
    systems = _Systems(specs, settings, values, keys)
    runs = [systems.evaluated(path, files[0]) for path in files]
    pairing = "row order" if keys is None else "key " + ", ".join(keys)
    made = replace(compare(runs, asked, pairing), warnings=list(dict.fromkeys(systems.warnings)))
    if not values["quiet"]:
        for warning in made.warnings:
            say(f"warning: {visible(warning, 1000)}")
    out = Stdout()
    out.write(render_compare(made, values["format_"], digits=values["digits"] or 6).encode())
    out.flush()


def _check(files: Sequence[str], values: Mapping[str, Any], formats: Sequence[str]) -> None:
    for name in ("elements", "nan"):
        if values[name] not in CHOICES[name]:
            raise BadValue(f"--{name}", values[name], " or ".join(CHOICES[name]))
    if values["reduction"] is not None and values["reduction"] not in CHOICES["reduction"]:
        raise BadValue("--reduction", values["reduction"], " or ".join(CHOICES["reduction"]))
    if values["format_"] not in formats:
        raise BadValue("--format", values["format_"], " or ".join(formats))
    if len(files) < 2:
        raise UsageError("a comparison needs two files", hint="the first is the baseline: compare SPEC A B")
    if "-" in files:
        raise UsageError("compare reads its files twice, so not from standard input", hint="name files")


@dataclass
class _Systems:
    """How the files are read: alone and in row order, or beside the baseline by key."""

    specs: Any
    settings: Any
    values: Mapping[str, Any]
    keys: list[str] | None

    def __post_init__(self) -> None:
        self.warnings: list[str] = []
        self._base: Any = None
        self._names: list[str] = []

    def evaluated(self, path: str, baseline: str) -> Any:
        """The run of one file, its rows paired with the baseline's and found to have the same targets."""
        from lossctl.plan import make_plan

        with self._open([path]) as dataset:
            plan = make_plan(self.specs, self.settings, dataset)
            if self._base is None:
                self._base, self._names = plan, [column.name for column in dataset.columns]
                return self._folded(path, plan, dataset)
            if self.keys is None:
                self._same_rows(baseline, path, plan)
                return self._folded(path, plan, dataset)
            names = [column.name for column in dataset.columns]
        return self._beside(baseline, path, plan, names)

    def _open(self, paths: list[str]) -> Any:
        from lossctl.sources import open_dataset

        return open_dataset(paths, **self._options())

    def _options(self) -> dict[str, Any]:
        return {name: self.values[name] for name in ("input_format", "delimiter", "threads")}

    def _folded(self, path: str, plan: Any, dataset: Any) -> Any:
        from lossctl.aggregate import codes_of, to_result
        from lossctl.compare import Run
        from lossctl.spine import run

        outcome = run(plan, dataset)
        plain = replace(plan, settings=replace(plan.settings, ci=None))
        result = to_result(plain, outcome, dataset)
        self.warnings += result.warnings
        return Run(path, plan, outcome, result.scores, codes_of(plan))

    def _same_rows(self, baseline: str, path: str, plan: Any) -> None:
        from lossctl.sources.aligned import batches_of, rows_apart

        mine, its = (_paired_columns(each, self.settings) for each in (self._base, plan))
        with self._open([baseline]) as first, self._open([path]) as second:
            left = batches_of(first, {name: self._base.wanted[name] for name in mine})
            right = batches_of(second, {name: plan.wanted[name] for name in its})
            _refuse(rows_apart(left, right, list(zip(mine, its, strict=True))), baseline, path)

    def _beside(self, baseline: str, path: str, alone: Any, names: list[str]) -> Any:
        """The rows of `path` in the order of the baseline's."""
        from lossctl.plan import make_plan
        from lossctl.sources.aligned import differing_row

        assert self.keys is not None

        def own(name: str, prefix: str) -> str:
            both = name in names and name in self._names and name not in (self.keys or ())
            return f"{prefix}.{name}" if both else name

        ours = self.settings
        columns = {
            role: own(said, "target") if isinstance(said, str) else [own(each, "target") for each in said]
            for role, said in alone.columns.items()
            if role not in ("weight", "by", "cluster")
        }
        drawn = ours.ci if ours.ci.cluster is None else replace(ours.ci, cluster=own(ours.ci.cluster, "pred"))
        weight = None if ours.weight is None else own(ours.weight, "pred")
        by = [own(name, "pred") for name in ours.by]
        settings = replace(ours, columns=columns, weight=weight, by=by, ci=drawn)
        mine, its = (_paired_columns(each, None) for each in (self._base, alone))
        pairs = [(own(a, "pred"), own(b, "target")) for a, b in zip(mine, its, strict=True)]
        wanted = {own(name, "pred"): self._base.wanted[name] for name in mine}
        wanted |= {own(name, "target"): alone.wanted[name] for name in its}
        with self._joined(baseline, path) as dataset:
            start = 0
            for piece in dataset.pieces(wanted):
                for batch in piece.read():
                    found = differing_row(batch, batch, pairs)
                    _refuse(None if found is None else (start + found[0], found[1]), baseline, path)
                    start += batch.num_rows
            dataset.finish()
        with self._joined(baseline, path) as dataset:
            return self._folded(path, make_plan(self.specs, settings, dataset), dataset)

    def _joined(self, baseline: str, path: str) -> Any:
        from lossctl.sources.join import open_joined

        cap = self.settings.max_memory
        return open_joined([baseline], path, self.keys or (), "strict", max_memory=cap, **self._options())


def _paired_columns(plan: Any, settings: Any) -> list[str]:
    """The columns in which paired rows must agree: targets, and in row order weights, groups and clusters."""
    feeds = [job.feeds["target"] for job in plan.jobs if "target" in job.feeds]
    names = [name for feed in feeds for name in feed.columns]
    if settings is not None:
        names += [settings.weight] if settings.weight is not None else []
        names += [*settings.by, *([settings.ci.cluster] if settings.ci.cluster is not None else [])]
    return list(dict.fromkeys(names))


def _refuse(found: tuple[int, str | None] | None, baseline: str, path: str) -> None:
    if found is None:
        return
    row, column = found
    if column is None:
        raise DataError(
            f"one of it and {visible(baseline)} ends before row {row} while the other goes on",
            path=path,
            hint="systems are compared on the same rows; pair rows by a key with --on",
        )
    raise DataError(
        f"differs from {visible(baseline)}",
        path=path,
        row=row,
        column=column,
        hint="rows are not the same; pair them by a key with --on",
    )
