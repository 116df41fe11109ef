"""`lossctl worst`: the rows with the worst loss, with all their columns, in bounded memory."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from lossctl.cli.allocator import keep_freed_memory
from lossctl.cli.compute import CHOICES, LossGroup
from lossctl.cli.plain import read_plainly
from lossctl.errors import BadValue, UsageError
from lossctl.loss.spec import Spec, parse
from lossctl.options import files_parameter, input_parameters, shared_parameters

__all__ = ["Worst", "command"]

KEPT = {"where", "like", "elements", "nan", "width", "format_", "output", "no_clobber", "input_format"}
KEPT |= {"delimiter", "threads", "chunk_rows", "progress", "digits"}
MOST = 100_000


class WorstGroup(LossGroup):
    """SPEC is a subcommand, so that its inputs are options."""

    def get_command(self, ctx: Any, name: str) -> Any:
        return _worst_command(name)


def command(name: str) -> Any:
    """The `worst` group."""
    app = typer.Typer(
        cls=WorstGroup,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        subcommand_metavar="SPEC [OPTIONS] FILE...",
    )

    @app.callback(epilog="lossctl worst huber:delta=1.5 preds.parquet -n 20")
    def worst() -> None:
        """The rows with the worst loss, with their columns; ties by row number."""

    return read_plainly(typer.main.get_command(app))


def _worst_command(text: str) -> Any:
    specs = parse(text)
    if len(specs) != 1:
        raise UsageError("worst takes one loss", hint="run it once for each, or add them up with +")
    names = dict.fromkeys(name for term in specs[0].terms for name in term.bound.inputs)
    number = Annotated[
        int, typer.Option("-n", "--number", min=1, max=MOST, metavar="N", help="How many rows.")
    ]
    parameters = [files_parameter(), *input_parameters(list(names))]
    parameters.append(
        inspect.Parameter("number", inspect.Parameter.KEYWORD_ONLY, default=20, annotation=number)
    )
    parameters += [each for each in shared_parameters() if each.name in KEPT]

    def run(**values: Any) -> None:
        _run(text, **values)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name=text, help="The rows with the worst loss, worst first; ties by row number.")(run)
    return read_plainly(typer.main.get_command(app))


def _run(text: str, files: Sequence[str], **values: Any) -> None:
    from lossctl.cli.progress import progress
    from lossctl.plan import make_plan
    from lossctl.render.output import check_targets, parse_target
    from lossctl.render.samples import SAMPLE_FORMATS
    from lossctl.result import RowCount, check_counts
    from lossctl.sources import open_dataset
    from lossctl.spine import run

    _check(values, SAMPLE_FORMATS)
    keep_freed_memory()
    specs = parse(text, like=values["like"])
    targets = [parse_target(each) for each in values["output"] or ()]
    source = {"input_format": values["input_format"], "delimiter": values["delimiter"]}
    with open_dataset(list(files), threads=values["threads"], **source) as dataset:
        check_targets(targets, [s.path for s in dataset.sources], clobber=not values["no_clobber"])
        ids = [column.name for column in dataset.columns]
        plan = make_plan(specs, _settings(values, ids), dataset)
        worst = Worst(specs[0], values["number"])
        with progress(values["progress"], dataset.nbytes, dataset.promised_rows) as tick:
            tally = run(plan, dataset, progress=tick, sample=worst.take).tally
        check_counts(RowCount(tally.read, tally.used, tally.filtered, tally.skipped), dataset.promised_rows)
    _write(worst, ids, targets, values)


def _settings(values: Mapping[str, Any], ids: Sequence[str]) -> Any:
    from lossctl.plan import Settings

    return Settings(
        columns={k.removeprefix("input_"): v for k, v in values.items() if k.startswith("input_") and v},
        ids=ids,
        reduction="none",
        elements=values["elements"],
        missing=values["nan"],
        width=values["width"],
        threads=values["threads"],
        chunk_rows=values["chunk_rows"],
        where=values["where"],
    )


class Worst:
    """The `number` worst rows so far: worst value first, then lowest row number. NaN is worse than all."""

    def __init__(self, spec: Spec, number: int) -> None:
        ways = {t.bound.loss.direction for t in spec.terms}
        self.direction = ways.pop() if len(ways) == 1 else "lower"
        self.name = spec.text
        self.number = number
        self.rows: list[tuple[float, int, float, dict[str, Any]]] = []  # badness negated, row, value, columns

    def take(self, block: Any) -> None:
        """Keep what belongs among the worst; only those rows' columns become Python values."""
        values: NDArray[np.float64] = block.values[self.name]
        bad = self._badness(values)
        used = block.used[self.name]
        if used is not None:
            bad = np.where(used, bad, -np.inf)
        candidates = np.arange(len(bad)) if used is None else np.flatnonzero(used)
        if len(self.rows) == self.number:  # blocks come in row order, so a tie is lost
            candidates = candidates[bad[candidates] > -self.rows[-1][0]]
        order = np.argsort(-bad[candidates], kind="stable")[: self.number]
        for at in candidates[order].tolist():
            extra = {name: column[at].as_py() for name, column in block.extra.items()}
            self.rows.append((-float(bad[at]), int(block.rows[at]), float(values[at]), extra))
        self.rows = sorted(self.rows, key=lambda row: row[:2])[: self.number]

    def _badness(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        bad = {"lower": values, "higher": -values}.get(self.direction, np.abs(values))
        top = np.finfo(np.float64).max
        bad = np.clip(bad, -top, np.nextafter(top, 0))  # room for inf above all numbers, and NaN above that
        bad = np.where(np.isinf(values) & (bad > 0), top, bad)
        return np.where(np.isnan(values), np.inf, bad)


def _write(worst: Worst, ids: Sequence[str], targets: Sequence[Any], values: Mapping[str, Any]) -> None:
    from lossctl.render.output import Stdout, atomic
    from lossctl.render.samples import SampleColumn, open_writer

    columns = [SampleColumn("row", "int"), SampleColumn(worst.name, "number")]
    block: dict[str, Any] = {
        "row": np.array([row for _, row, _, _ in worst.rows], np.int64),
        worst.name: np.array([value for _, _, value, _ in worst.rows], np.float64),
    }
    for name in ids:
        shown = f"data.{name}" if name in block else name
        kind, cells = _cells([extra[name] for _, _, _, extra in worst.rows])
        columns.append(SampleColumn(shown, kind))
        block[shown] = cells
    options = {} if values["digits"] is None else {"digits": values["digits"]}
    for target in targets:
        with atomic(target.path) as file:
            writer = open_writer(target.format, file, columns, **options)
            writer.write(block)
            writer.close()
    out = Stdout()
    writer = open_writer(values["format_"], out, columns, **options)
    writer.write(block)
    writer.close()
    out.flush()


def _cells(found: Sequence[Any]) -> tuple[Any, Any]:
    """Numbers as numbers where all are, everything else as text."""
    kinds = {type(value) for value in found}
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in found):
        return "int", np.array(found, np.int64)
    if kinds == {float}:
        if all(math.isfinite(v) and v == int(v) and abs(v) < 2**53 for v in found):
            return "int", np.array(found, np.int64)
        return "number", np.array(found, np.float64)
    return "text", [_text(value) for value in found]


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)


def _check(values: Mapping[str, Any], formats: Sequence[str]) -> None:
    for name in ("elements", "nan", "progress"):
        if values[name] not in CHOICES[name]:
            raise BadValue(f"--{name}", values[name], " or ".join(CHOICES[name]))
    if values["format_"] not in formats or values["format_"] == "parquet":
        raise BadValue("--format", values["format_"], " or ".join(f for f in formats if f != "parquet"))
