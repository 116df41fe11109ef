"""`lossctl worst`: the rows with the worst loss, with all their columns, in bounded memory."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossctl.cli.reading import memory, opened, outputs, settings_said
from lossctl.cli.shared import Option, check_choices, options
from lossctl.cli.specs import spec_group
from lossctl.cli.terminal import warn
from lossctl.errors import UsageError
from lossctl.loss.kinds import Pooled, Whole
from lossctl.loss.spec import Spec, parse
from lossctl.options import spec_command

__all__ = ["Worst", "command"]

KEPT = (
    *("where", "target_file", "on", "join", "like", "elements", "nan", "width", "output", "no_clobber"),
    *("input_format", "delimiter", "na", "expect_rows", "require_checksums", "threads", "chunk_rows"),
    *("max_memory", "progress", "digits", "quiet"),
)
FORMAT = {"help": "table, json, jsonl, csv, tsv, markdown or value."}
MOST = 100_000
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)  # 007 is a name
_NUMBER = re.compile(rf"{_WHOLE.pattern}|-?(0|[1-9]\d{{0,15}})(\.\d{{1,17}})?([eE][+-]?\d{{1,2}})?", re.ASCII)


def command(name: str) -> Any:
    """The `worst` group."""
    return spec_group(
        _worst_command,
        "SPEC [OPTIONS] FILE...",
        "The rows with the worst loss, with their columns; ties by row number.",
        "lossctl worst huber:delta=1.5 preds.parquet -n 20",
    )


def _worst_command(text: str) -> Any:
    if len(parse(text)) != 1:
        raise UsageError("worst takes one loss", hint="run it once for each, or add them up with +")
    number = Option(
        *("number", int, 20, ("-n", "--number")),
        {"min": 1, "max": MOST, "metavar": "N", "help": "How many rows."},
    )
    parameters = [number.parameter(), *options(*KEPT, format_=FORMAT)]
    help_ = "The rows with the worst loss, worst first; ties by row number."
    return spec_command(text, _run, parameters, help_)


def _run(text: str, files: Sequence[str], **values: Any) -> None:
    from lossctl.advice import clipped
    from lossctl.cli.progress import progress
    from lossctl.plan import make_plan
    from lossctl.render.output import check_targets
    from lossctl.render.samples import SAMPLE_FORMATS
    from lossctl.result import RowCount, check_counts
    from lossctl.spine import run

    check_choices(values, [each for each in SAMPLE_FORMATS if each != "parquet"])
    specs = parse(text, like=values["like"])
    _check_rows(specs[0])
    targets = outputs(values["output"], SAMPLE_FORMATS)
    with opened(files, values, memory(values["max_memory"])) as dataset:
        check_targets(targets, [s.path for s in dataset.sources], clobber=not values["no_clobber"])
        ids = _names(dataset)
        plan = make_plan(specs, settings_said(values, ids=ids, reduction="none"), dataset)
        worst = Worst(specs[0], values["number"])
        spelt = _numeric(dataset, ids)  # before the run: a stream can be peeked into only until then
        with progress(values["progress"], dataset.nbytes, dataset.promised_rows) as tick:
            outcome = run(plan, dataset, progress=tick, sample=worst.take)
        tally = outcome.tally
        rows = RowCount(tally.read, tally.used, tally.filtered, tally.skipped)
        check_counts(rows, dataset.promised_rows)
        warn([*dataset.warnings, *rows.warnings, *clipped(plan, outcome)], values)
    _write(worst, {name: name in spelt for name in ids}, targets, values)


def _check_rows(spec: Spec) -> None:
    for term in spec.terms:
        own = term.bound.loss.reduction
        if isinstance(own, Pooled | Whole) and not own.row:
            raise UsageError(
                f"{term.bound.loss.name} has no value per row, so no row is the worst",
                hint="choose a loss with a value per row, such as mse or bce",
            )


def _names(dataset: Any) -> list[str]:
    """The columns to show; of two joined files, one that both have stands there by side."""
    names = [column.name for column in dataset.columns]
    if not getattr(dataset, "joined", False):
        return names
    return [name for name in names if not {f"pred.{name}", f"target.{name}"} <= set(names)]


class Worst:
    """The `number` worst rows so far: worst value first, then lowest row number. NaN is worse than all."""

    def __init__(self, spec: Spec, number: int) -> None:
        self.direction = spec.direction or "lower"
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


def _numeric(dataset: Any, ids: Sequence[str]) -> set[str]:
    """Text columns whose first rows are all numbers: a CSV says no types."""
    untyped = {column.name for column in dataset.columns if column.type is None} & set(ids)
    head = dataset.peek(sorted(untyped)) if untyped else {}
    return {name for name, texts in head.items() if all(_NUMBER.fullmatch(str(text or 0)) for text in texts)}


def _write(worst: Worst, ids: Mapping[str, bool], targets: Sequence[Any], values: Mapping[str, Any]) -> None:
    from lossctl.render.output import atomic, stdout_for
    from lossctl.render.samples import SampleColumn, open_writer

    columns = [SampleColumn("row", "int"), SampleColumn(worst.name, "number")]
    block: dict[str, Any] = {
        "row": np.array([row for _, row, _, _ in worst.rows], np.int64),
        worst.name: np.array([value for _, _, value, _ in worst.rows], np.float64),
    }
    missing: dict[str, Any] = {}
    for name, spelt in ids.items():
        shown = f"data.{name}" if name in block else name
        found = [extra[name] for _, _, _, extra in worst.rows]
        kind, block[shown] = _cells(found, spelt)
        columns.append(SampleColumn(shown, kind, carried=True))
        if kind != "text":
            missing[shown] = np.array([value is None for value in found], np.bool_)
    options = {} if values["digits"] is None else {"digits": values["digits"]}
    for target in targets:
        with atomic(target.path, clobber=not values["no_clobber"]) as file:
            writer = open_writer(target.format, file, columns, **options)
            writer.write(block, missing)
            writer.close()
    out = stdout_for(values["format_"])
    writer = open_writer(values["format_"], out, columns, **options)
    writer.write(block, missing)
    writer.close()
    out.flush()


def _cells(found: Sequence[Any], spelt: bool) -> tuple[Any, Any]:
    """Numbers as numbers where all are, also `spelt` ones, 0 for a missing one; everything else as text."""
    there = [value for value in found if value is not None]
    if spelt and all(isinstance(value, str) and _NUMBER.fullmatch(value) for value in there):
        whole = all(_WHOLE.fullmatch(value) for value in there)
        there = [int(value) if whole else float(value) for value in there]
    kinds = {type(value) for value in there}
    whole = kinds == {int} and all(-(2**63) <= value < 2**63 for value in there)
    if kinds == {float}:
        whole = all(math.isfinite(v) and v == int(v) and abs(v) < 2**53 for v in there)
    elif not whole:
        return "text", [_text(value) for value in found]
    cells = np.zeros(len(found), np.int64 if whole else np.float64)
    cells[[value is not None for value in found]] = there
    return "int" if whole else "number", cells


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, default=str) if isinstance(value, list | dict) else str(value)
