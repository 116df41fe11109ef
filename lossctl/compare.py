"""Paired comparison of systems on the same rows: differences, intervals, p-values and verdicts.

A test asks whether the two systems could change places in any bucket of rows: both aggregates are made anew
from buckets swapped at random, which for a mean is a flip of the signs of the bucket differences.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lossctl.bootstrap import Bootstrap
from lossctl.errors import DataError, UsageError, visible
from lossctl.intervals import method_of, require_enough
from lossctl.resample import FLIPS, Leaf, centres, holm, leaf, p_value, percentiles, poisson, signs, under
from lossctl.result import STATUS_WORDS, RowCount, Score, plain, status_of
from lossctl.state import TermState
from lossctl.version import __version__

SCHEMA = "lossctl.compare/1"
BETTER, WORSE, NOTHING = "better", "worse", "no evidence"

__all__ = ["Comparison", "Difference", "Run", "compare", "direction_of"]

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """One system's pass: its name, and the plan, outcome, rows and scores with their group codes."""

    name: str
    plan: Any
    outcome: Any
    rows: RowCount
    scores: Sequence[Score]
    codes: Sequence[int | None]


@dataclass(frozen=True)
class Difference:
    """One system against the baseline in one loss and group; `p` as it came, `adjusted` by Holm."""

    system: str
    spec: str
    group: Mapping[str, str]
    direction: str
    rows: int
    baseline: float
    value: float
    difference: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    adjusted: float = math.nan
    verdict: str = NOTHING
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        made = {
            "system": self.system,
            "spec": self.spec,
            "group": dict(self.group),
            "direction": self.direction,
            "rows": self.rows,
            "baseline": plain(self.baseline),
            "value": plain(self.value),
            "difference": plain(self.difference),
            "status": status_of(self.difference),
            "low": plain(self.low),
            "high": plain(self.high),
            "p": plain(self.p),
            "p_adjusted": plain(self.adjusted),
            "verdict": self.verdict,
        }
        return made | ({"note": self.note} if self.note else {})


@dataclass(frozen=True)
class Comparison:
    """All differences of a comparison and how they were judged.

    rows: what became of the baseline's rows; tests: how many Holm corrects for.
    """

    baseline: str
    rows: RowCount
    systems: Sequence[str]
    asked: Bootstrap
    method: str
    pairing: str
    differences: Sequence[Difference]
    tests: int
    warnings: Sequence[str] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "lossctl": __version__,
            "baseline": self.baseline,
            "rows": self.rows.to_dict(),
            "systems": list(self.systems),
            "pairing": self.pairing,
            "level": self.asked.level,
            "method": self.method,
            "resamples": self.asked.resamples,
            "flips": FLIPS,
            "seed": self.asked.seed,
            "correction": "holm",
            "tests": self.tests,
            "differences": [each.to_dict() for each in self.differences],
            "warnings": list(self.warnings),
        }


def direction_of(spec: Any) -> str:
    """Which way a loss gets better: lower, higher or zero; raises UsageError when its parts differ."""
    if spec.direction is None:
        raise UsageError(
            f"'{visible(spec.text)}' has no better and worse: its parts get better in different ways",
            hint="compare the parts one by one",
        )
    return str(spec.direction)


def compare(runs: Sequence[Run], asked: Bootstrap, pairing: str) -> Comparison:
    """Every run against the first, all on the same rows. Raises DataError when rows or groups differ."""
    first = runs[0]
    for run in runs:
        require_enough(run.outcome.buckets)
    made = [each for run in runs[1:] for each in _against(first, run, asked)]
    adjusted = holm([each.p for each in made])
    judged = [
        replace(each, adjusted=p, verdict=_verdict(each, p, asked))
        for each, p in zip(made, adjusted, strict=True)
    ]
    return Comparison(
        first.name,
        first.rows,
        [run.name for run in runs[1:]],
        asked,
        method_of(asked, first.outcome.buckets.read),
        pairing,
        judged,
        sum(not math.isnan(each.p) for each in judged),
    )


def _verdict(each: Difference, p: float, asked: Bootstrap) -> str:
    if math.isnan(p) or p > 1 - asked.level or each.difference == 0:
        return NOTHING
    up = abs(each.value) > abs(each.baseline) if each.direction == "zero" else each.difference > 0
    return BETTER if up == (each.direction == "higher") else WORSE


def _against(first: Run, run: Run, asked: Bootstrap) -> list[Difference]:
    """The differences of one system, tested all with the same weights and signs."""
    places = {_key(score): at for at, score in enumerate(run.scores)}
    if sorted(places) != sorted(_key(score) for score in first.scores):
        raise DataError(f"{visible(run.name)} has other groups than {visible(first.name)}")
    made: list[Difference] = []
    pairs: dict[int, _Pair] = {}
    for at, score in enumerate(first.scores):
        other = places[_key(score)]
        its = run.scores[other]
        spec = first.plan.specs[at % len(first.plan.specs)]
        direction = direction_of(spec)
        pair = _Pair(first, run, spec, first.codes[at], run.codes[other], direction == "zero")
        note = _untestable(score, its)
        if not note and pair.filled < asked.least:
            note = f"fewer than {asked.least} {'rows' if asked.cluster is None else 'clusters'}"
        if not note:
            pairs[at] = pair
        change = pair.exact() if score.status == its.status == "ok" else its.value - score.value
        made.append(
            Difference(
                run.name,
                spec.text,
                score.group,
                direction,
                score.rows,
                score.value,
                its.value,
                change,
                note=note,
            )
        )
    for at, (low, high, p) in _tested(pairs, asked).items():
        made[at] = replace(made[at], low=low, high=high, p=p)
    return made


def _untestable(baseline: Score, value: Score) -> str:
    """Which of the two is no finite number, and what it is instead; empty where both are."""
    both = {"baseline": baseline.status, "value": value.status}
    odd = [f"the {name} is {STATUS_WORDS[status]}" for name, status in both.items() if status != "ok"]
    return " and ".join(odd)


def _key(score: Score) -> tuple[str, ...]:
    return (score.spec, *score.group.values())


def _tested(pairs: Mapping[int, _Pair], asked: Bootstrap) -> dict[int, tuple[float, float, float]]:
    if not pairs:
        return {}
    size = next(iter(pairs.values())).size
    spread: dict[int, list[Floats]] = {at: [] for at in pairs}
    flipped: dict[int, list[Floats]] = {at: [] for at in pairs}
    for weights in poisson(asked.seed, asked.resamples, size):
        for at, pair in pairs.items():
            spread[at].append(pair.resampled(weights))
    for sign in signs(asked.seed, FLIPS, size):
        for at, pair in pairs.items():
            flipped[at].append(pair.swapped(sign))
    found = {}
    for at, pair in pairs.items():
        low, high = percentiles(np.concatenate(spread[at]), asked.level) or (math.nan, math.nan)
        observed = float(pair.swapped(np.ones((1, size)))[0])
        found[at] = low, high, p_value(observed, np.concatenate(flipped[at]))
    return found


class _Pair:
    """The bucket sums of two systems in one loss and group."""

    def __init__(
        self, first: Run, second: Run, spec: Any, code: int | None, other: int | None, magnitudes: bool
    ) -> None:
        self.magnitudes = magnitudes
        self.runs = ((first, code), (second, other))
        self.spec = spec
        self.leaves: list[tuple[float, Leaf, Leaf]] = []
        for term in spec.terms:
            text = term.bound.text
            mine = first.outcome.buckets.sums(text, code)
            its = second.outcome.buckets.sums(text, other)
            if not mine.of_the_rows_of(its):
                raise DataError(
                    f"{text} uses other rows of {visible(second.name)} than of {visible(first.name)}",
                    hint="a comparison is of the same rows: see which values are missing or ignored",
                )
            self.filled = mine.filled
            self.size = len(mine.rows)
            middle = centres(mine)
            a = leaf(first.plan.job_of[text], mine, middle)
            b = leaf(second.plan.job_of[text], its, middle)
            self.leaves.append((term.coefficient, a, b))

    def resampled(self, weights: Floats) -> Floats:
        """The change under other weights of the buckets; of values, whichever way is better."""
        made = np.zeros(len(weights))
        for c, a, b in self.leaves:
            made = made + c * (b.at(under(weights, b.columns)) - a.at(under(weights, a.columns)))
        return made

    def swapped(self, sign: Floats) -> Floats:
        """The change, of magnitudes where zero is best, with the systems swapped where the sign is −1."""
        before, after = np.zeros(len(sign)), np.zeros(len(sign))
        for c, a, b in self.leaves:
            middle = ((a.columns + b.columns) / 2).sum(axis=0)
            half = under(sign, (b.columns - a.columns) / 2)
            before = before + c * a.at(middle - half)
            after = after + c * b.at(middle + half)
        made: Floats = np.abs(after) - np.abs(before) if self.magnitudes else after - before
        return made

    def exact(self) -> float:
        """The difference of the aggregates, rounded once where both are ratios of exact sums."""
        total = Fraction(0)
        for term in self.spec.terms:
            for sign, (run, code) in zip((-1, 1), self.runs, strict=True):
                total += sign * Fraction(term.coefficient) * _fraction(run, term.bound.text, code)
        try:
            return float(total)
        except OverflowError:
            return math.copysign(math.inf, total)


def _fraction(run: Run, text: str, code: int | None) -> Fraction:
    from lossctl.aggregate import value_of

    job, state = run.plan.job_of[text], run.outcome.states[text]
    if job.reduction in ("mean", "sum", "mean-n") and isinstance(state, TermState):
        above = state.term(0, code).fraction()
        if job.reduction == "sum":
            return above
        if job.reduction == "mean-n":
            return above / state.rows.total(code)
        return above / (state.term(1, code) if len(state.sums) > 1 else state.weight_of(code)).fraction()
    return Fraction(value_of(job, state, code))
