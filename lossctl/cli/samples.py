"""`--reduction none`: every row's value, streamed in input order to stdout or to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from lossctl.advice import clipped
from lossctl.cli.progress import progress
from lossctl.cli.terminal import say, warn
from lossctl.errors import UsageError, visible
from lossctl.gradients import gradient_columns
from lossctl.loss.kinds import Ragged
from lossctl.render import DIGITS
from lossctl.render.grid import column_notes
from lossctl.render.output import atomic, stdout_for
from lossctl.render.samples import Kind, SampleColumn, open_writer
from lossctl.result import RowCount, check_counts
from lossctl.spine import run as evaluate
from lossctl.worker import SampleBlock

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")  # what an int64 holds
_FLOATS = ("halffloat", "float", "double")
_TYPES = {"int": np.int64, "number": np.float64}


def run_samples(plan: Any, dataset: Any, targets: Sequence[Any], values: Mapping[str, Any]) -> None:
    """Stream the rows; with output files, stdout stays silent unless a format was asked for."""
    units = {job.bound.loss.unit for job in plan.jobs}
    if len(units) > 1:
        raise UsageError("losses per row and losses per group cannot share one per-sample output")
    columns = [SampleColumn("row", "int")]
    ids = {name: _id_kind(dataset, name) for name in values["ids"] or ()}
    columns += [SampleColumn(name, kind, carried=True) for name, kind in ids.items()]
    columns += [SampleColumn(spec.text, "number") for spec in plan.specs]
    columns += [SampleColumn(name, kind) for name, kind in _gradients(plan)]
    if values["verbose"]:
        for note in column_notes(plan.columns, plan.guessed):
            say(visible(note, 1000))
    with ExitStack() as stack:
        sinks: list[Any] = [
            (t.format, stack.enter_context(atomic(t.path, clobber=not values["no_clobber"]))) for t in targets
        ]
        if not targets or values["format_"] != "table":
            sinks.append((values["format_"], stdout_for(values["format_"])))
        digits = values["digits"] or DIGITS
        writers = [open_writer(kind, sink, columns, digits=digits) for kind, sink in sinks]

        def sample(block: SampleBlock) -> None:
            made, masks = _columns(block, ids)
            for writer in writers:
                writer.write(made, masks)

        with progress(values["progress"], dataset.nbytes, dataset.promised_rows) as tick:
            outcome = evaluate(plan, dataset, progress=tick, sample=sample)
        tally = outcome.tally
        rows = RowCount(tally.read, tally.used, tally.filtered, tally.skipped)
        check_counts(rows, dataset.promised_rows)
        warn([*getattr(dataset, "warnings", ()), *rows.warnings, *clipped(plan, outcome)], values)
        for writer in writers:
            writer.close()
        for _, sink in sinks:
            sink.flush()


def _gradients(plan: Any) -> list[tuple[str, Any]]:
    if not plan.settings.grad:
        return []
    made: list[tuple[str, Any]] = []
    for name, parts in gradient_columns(plan.specs, plan.job_of).items():
        shape = plan.job_of[parts[0][1]].feeds[parts[0][2]].form.shape
        kind = {"scalar": "number", "vector": "vector"}.get(shape, "ragged")
        made.append((name, kind))
    return made


def _id_kind(dataset: Any, name: str) -> Kind:
    """A column of numbers stays one; what is written as text, all of CSV too, is passed on as written."""
    type_ = next((str(column.type) for column in dataset.columns if column.name == name), "")
    return "int" if type_ in _INTEGERS else "number" if type_ in _FLOATS else "text"


def _columns(block: SampleBlock, ids: Mapping[str, Kind]) -> tuple[dict[str, Any], dict[str, Any]]:
    made: dict[str, Any] = {"row": block.rows}
    masks: dict[str, Any] = {}
    for name, column in block.extra.items():
        cells = _texts(column)
        if ids[name] == "text":
            made[name] = [None if v is None else str(v) for v in cells]
            continue
        gone = np.array([v is None for v in cells], np.bool_)
        made[name] = np.array([0 if v is None else v for v in cells], _TYPES[ids[name]])
        if gone.any():
            masks[name] = gone
    for name, values in block.values.items():
        made[name] = values
        used = block.used[name]
        if used is not None:
            masks[name] = ~np.asarray(used)
    made.update({name: _rows_of(values) for name, values in block.gradients.items()})
    return made, masks


def _rows_of(values: Any) -> Any:
    """An array as it is; a ragged block as one array per row."""
    return np.split(values.values, values.offsets[1:-1]) if isinstance(values, Ragged) else values


def _texts(column: Any) -> list[Any]:
    if isinstance(column, list):
        return [v.as_py() for v in column]
    values: list[Any] = column.to_pylist()
    return values
