"""States to results: the one place where totals become numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lossctl.advice import warnings_of
from lossctl.apply import Job
from lossctl.errors import DataError
from lossctl.exact import ExactSum, centred_second_moment, ratio
from lossctl.groups import sort_key
from lossctl.loss.kinds import Pooled, Whole
from lossctl.loss.spec import Spec
from lossctl.plan import Plan
from lossctl.result import InputFile, Part, Result, RowCount, Score, check_counts, conditions_of
from lossctl.spine import Outcome
from lossctl.state import KeptState, MaxState, State, TermState

__all__ = ["codes_of", "to_result", "value_of"]


def value_of(job: Job, state: State, code: int | None) -> float:
    """The aggregate of one group, or of everything (`code` None)."""
    reduction = job.bound.loss.reduction
    if isinstance(state, MaxState):
        return state.largest(code)
    with np.errstate(all="ignore"):
        if isinstance(state, KeptState):
            assert isinstance(reduction, Whole)
            terms, weights = state.arrays(code)
            if any(np.isnan(term).any() for term in terms):
                return float("nan")
            return float(reduction.value(*terms, weights, **job.value_params))
        assert isinstance(state, TermState)
        if job.reduction == "pooled" and isinstance(reduction, Pooled):
            return _pooled(job, reduction, state, code)
        return _mean(job, state, code)


def _mean(job: Job, state: TermState, code: int | None) -> float:
    total = state.term(0, code)
    if job.reduction == "sum":
        return total.value()
    if job.reduction == "mean-n":
        return ratio(total, ExactSum.of_int(state.rows.total(code)))
    return ratio(total, state.term(1, code) if len(state.sums) > 1 else state.weight_of(code))


def _pooled(job: Job, reduction: Pooled, state: TermState, code: int | None) -> float:
    count = len(state.sums)
    totals = [state.term(place, code).value() for place in range(count)]
    width = count // state.columns
    for place in (at + m for at in range(0, count, width) for m in state.moments):
        parts = state.moments_of(place, code)
        totals[place] = centred_second_moment(parts.weight, parts.first, parts.second)
    values = [
        float(reduction.value(*(np.float64(t) for t in totals[at : at + width]), **job.value_params))
        for at in range(0, count, width)
    ]
    return values[0] if len(values) == 1 else float(np.mean(values))


def _score(job: Job, spec: str, state: State, code: int | None, group: dict[str, str]) -> Score:
    rows = state.rows.total(code)
    weight = state.weight_of(code) if isinstance(state, TermState | MaxState) else _kept_weight(state, code)
    empty = rows == 0 or weight.value() == 0.0
    repeat = state.repeat
    return Score(
        spec=spec,
        loss=job.bound.loss.name,
        params=job.bound.params,
        reduction=job.reduction,
        value=float("nan") if empty else value_of(job, state, code),
        rows=rows // repeat,
        weight=weight.value() / repeat,
        signature=job.signature,
        group=group,
        ignored=state.ignored.total(code) // repeat,
        nonfinite={} if empty else _nonfinite(state, code),
        direction=job.bound.loss.direction,
        empty=empty,
        weightless=state.weightless.total(code) // repeat,
    )


def _kept_weight(state: State, code: int | None) -> ExactSum:
    from lossctl.exact import Workspace

    assert isinstance(state, KeptState)
    weights = state.arrays(code)[1]
    total = ExactSum.of_int(state.rows.total(code) if weights is None else 0)
    if weights is not None:
        total.add(weights, Workspace(), nonneg=True)
    return total


def _nonfinite(state: State, code: int | None) -> dict[str, int]:
    if isinstance(state, KeptState):
        terms = state.arrays(code)[0]
        odd = np.logical_or.reduce([np.isnan(term).reshape(len(term), -1).any(axis=1) for term in terms])
        return {"nan": int(np.count_nonzero(odd))} if odd.any() else {}
    if isinstance(state, MaxState):
        many = state.undefined.total(code)
        return {"nan": many} if many else {}
    if not isinstance(state, TermState) or not state.sums:
        return {}
    total = state.sums[0].total(code)
    counts = {"nan": total.nan, "inf": total.posinf, "-inf": total.neginf}
    return {name: count for name, count in counts.items() if count}


def _combined(spec: Spec, scores: list[Score]) -> Score:
    """A weighted sum of losses: its value and each part's."""
    parts = tuple(
        Part(score.spec, term.coefficient, score.value)
        for term, score in zip(spec.terms, scores, strict=True)
    )
    first = scores[0]
    return Score(
        spec=spec.text,
        loss="+".join(s.loss for s in scores),
        params={},
        reduction="+".join(dict.fromkeys(s.reduction for s in scores)),
        value=sum(part.coefficient * part.value for part in parts),
        rows=first.rows,
        weight=first.weight,
        group=first.group,
        signature="+".join(
            f"{t.coefficient!r}*{s.signature}" for t, s in zip(spec.terms, scores, strict=True)
        ),
        ignored=max(s.ignored for s in scores),
        parts=parts,
        empty=any(s.empty for s in scores),
        weightless=first.weightless,
    )


def to_result(plan: Plan, outcome: Outcome, dataset: Any) -> Result:
    """The result of a pass: one score per spec and group, groups in natural order, the total last.

    Raises DataError when rows do not add up or all weights are zero.
    """
    rows = RowCount(outcome.tally.read, outcome.tally.used, outcome.tally.filtered, outcome.tally.skipped)
    check_counts(rows, dataset.promised_rows)
    inputs = [
        InputFile(s.path, s.format, outcome.rows_of[s.path] or s.rows, s.checksums) for s in dataset.sources
    ]
    scores = [
        _spec_score(plan, outcome, spec, code, group) for code, group in _groups(plan) for spec in plan.specs
    ]
    if plan.settings.ci is not None:
        from lossctl.intervals import with_intervals  # only when asked for

        scores = with_intervals(plan, outcome, scores, codes_of(plan))
    whole = [score for score in scores if not score.group]
    if plan.reading.weight and all(s.empty for s in whole) and any(s.rows for s in whole):
        raise DataError("the weights add up to zero", column=plan.reading.weight.columns[0])
    warnings = [*getattr(dataset, "warnings", ()), *warnings_of(plan, outcome, scores)]
    said = plan.settings
    conditions = conditions_of(said.where, said.missing, said.na, said.join)
    return Result(inputs, plan.columns, plan.guessed, rows, scores, warnings, conditions)


def codes_of(plan: Plan) -> list[int | None]:
    """The group codes of the scores of `to_result`, in their order."""
    return [code for code, _ in _groups(plan) for _ in plan.specs]


def _spec_score(plan: Plan, outcome: Outcome, spec: Spec, code: int | None, group: dict[str, str]) -> Score:
    scores = []
    for term in spec.terms:
        text = term.bound.text
        scores.append(_score(plan.job_of[text], text, outcome.states[text], code, group))
    return _combined(spec, scores) if spec.is_sum else scores[0]


def _groups(plan: Plan) -> Iterable[tuple[int | None, dict[str, str]]]:
    table = plan.reading.groups
    if table is not None:
        keys = table.keys()
        for code in sorted(table.met(), key=lambda code: sort_key(keys[code])):
            yield code, keys[code]
    yield None, {}
