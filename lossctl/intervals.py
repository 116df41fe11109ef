"""Confidence intervals of scores: percentiles of the aggregates of resampled buckets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lossctl.buckets import ENOUGH, HASHED, ROWS, Bootstrap, Buckets
from lossctl.errors import DataError
from lossctl.resample import Leaf, leaf, percentiles, poisson, under
from lossctl.result import Confidence, Score

__all__ = ["method_of", "require_enough", "with_intervals"]

Floats: TypeAlias = NDArray[np.float64]


def method_of(asked: Bootstrap, read: int) -> str:
    """What is drawn: rows, buckets of rows, or clusters."""
    if asked.cluster is not None:
        return "cluster-bootstrap"
    return "row-bootstrap" if read < ROWS else "bucket-bootstrap"


def require_enough(buckets: Buckets) -> None:
    """Refuse an interval from too few clusters."""
    cluster = buckets.asked.cluster
    if cluster is not None and len(buckets.clusters) < ENOUGH:
        raise DataError(
            f"there are {len(buckets.clusters)} clusters, an interval needs {ENOUGH}",
            column=cluster,
            hint="name a column with more values as --cluster, or leave it out to draw rows",
        )


def with_intervals(
    plan: Any, outcome: Any, scores: Sequence[Score], codes: Sequence[int | None]
) -> list[Score]:
    """The scores with their intervals; `codes` are their groups, the specs of the plan in turn."""
    buckets: Buckets = outcome.buckets
    asked = buckets.asked
    require_enough(buckets)
    method = method_of(asked, buckets.read)
    leaves: dict[tuple[str, int | None], Leaf] = {}
    wanted: list[tuple[int, Any, int | None]] = []
    notes: dict[int, str] = {}
    for at, (score, code) in enumerate(zip(scores, codes, strict=True)):
        spec = plan.specs[at % len(plan.specs)]
        texts = [term.bound.text for term in spec.terms]
        if score.status != "ok":
            notes[at] = f"the value is {score.status}"
            continue
        drawn = []
        for text in texts:
            sums = buckets.sums(text, code)
            drawn.append(sums.filled)
            leaves[text, code] = leaf(plan.job_of[text], sums)
        if min(drawn) < asked.least:
            what = "clusters" if asked.cluster is not None else "rows"
            notes[at] = f"fewer than {asked.least} {what}{' of non-zero weight' if score.weightless else ''}"
        else:
            wanted.append((at, spec, code))
    found = _percentiles(wanted, leaves, asked)
    made = list(scores)
    for at, score in enumerate(scores):
        low, high = found.get(at) or (math.nan, math.nan)
        note = notes.get(at, "" if found.get(at) else "some resamples have no value")
        made[at] = replace(
            score, interval=Confidence(asked.level, low, high, method, asked.resamples, asked.seed, note)
        )
    return made


def _percentiles(
    wanted: Sequence[tuple[int, Any, int | None]],
    leaves: dict[tuple[str, int | None], Leaf],
    asked: Bootstrap,
) -> dict[int, tuple[float, float] | None]:
    if not wanted:
        return {}
    needed = {(term.bound.text, code) for _, spec, code in wanted for term in spec.terms}
    size = max((len(leaves[key].columns) for key in needed), default=HASHED)
    values: dict[int, list[Floats]] = {at: [] for at, _, _ in wanted}
    for weights in poisson(asked.seed, asked.resamples, size):
        each = {key: leaves[key].at(under(weights, leaves[key].columns)) for key in needed}
        for at, spec, code in wanted:
            parts = [term.coefficient * each[term.bound.text, code] for term in spec.terms]
            values[at].append(parts[0] if len(parts) == 1 else np.sum(parts, axis=0))
    return {at: percentiles(np.concatenate(drawn), asked.level) for at, drawn in values.items()}
