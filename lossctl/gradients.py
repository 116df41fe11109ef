"""d(row's loss)/d(prediction) for a block, from the gradients the losses declare."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossctl.apply import Job
from lossctl.batch import Block
from lossctl.errors import UsageError
from lossctl.loss.kinds import Mean, Ragged
from lossctl.loss.spec import Spec

__all__ = ["combined", "gradient_columns", "gradients_of", "require_gradients"]


def gradients_of(job: Job, block: Block, shared: dict[Any, Any]) -> dict[str, Any]:
    """Gradient arrays of the row's loss by input name, each of the input's shape."""
    made: dict[str, Any] = {}
    for names, function in job.bound.loss.gradients.items():
        arguments = [job.argument(name, block, shared) for name in job.bound.arguments]
        result = function(*arguments, **job.bound.params)
        results = result if isinstance(result, tuple) and not isinstance(result, Ragged) else (result,)
        made.update(zip(names.split(","), results, strict=True))
    if job.vector_rows and isinstance(job.bound.loss.reduction, Mean) and job.elements == "mean":
        made = {name: value / value.shape[1] for name, value in made.items()}
    if block.void is not None:
        made = {name: _voided(value, block.void) for name, value in made.items()}
    return made


def _voided(value: Any, void: NDArray[np.bool_]) -> Any:
    if isinstance(value, Ragged):
        return Ragged(_voided(value.values, np.repeat(void, value.lengths)), value.offsets)
    return np.where(void if value.ndim == 1 else void[:, None], np.nan, value)


def combined(parts: Sequence[tuple[float, Any]]) -> Any:
    """Σ coefficient·gradient of parts of one shape; the gradient itself where it stands alone."""
    coefficient, first = parts[0]
    if len(parts) == 1 and coefficient == 1.0:
        return first
    if isinstance(first, Ragged):
        return Ragged(combined([(c, value.values) for c, value in parts]), first.offsets)
    scaled = [c * value for c, value in parts]
    return sum(scaled[1:], scaled[0])


def require_gradients(jobs: Sequence[Job]) -> None:
    """Refuse losses that declare none."""
    for job in jobs:
        if not job.bound.loss.gradients:
            raise UsageError(
                f"{job.bound.loss.name} has no gradient",
                hint="it is not differentiable, or not declared; leave out --grad",
            )
        if job.bound.loss.unit == "group":
            raise UsageError(f"{job.bound.loss.name} is a loss of groups, --grad needs one of rows")


def gradient_columns(specs: Sequence[Spec], jobs: dict[str, Job]) -> dict[str, list[tuple[float, str, str]]]:
    """Output column → (coefficient, job, input) it sums; parts of a sum that read one column add up."""
    columns: dict[str, list[tuple[float, str, str]]] = {}
    for spec in specs:
        prefix = f"{spec.text}." if len(specs) > 1 else ""
        for term in spec.terms:
            job = jobs[term.bound.text]
            for name in (n for names in job.bound.loss.gradients for n in names.split(",")):
                column = f"{prefix}grad_{name}"
                first = next(iter(columns.get(column, [])), None)
                if first is not None and jobs[first[1]].feeds[name].columns != job.feeds[name].columns:
                    column = f"{prefix}{term.bound.text}.grad_{name}"
                columns.setdefault(column, []).append((term.coefficient, term.bound.text, name))
    return columns
