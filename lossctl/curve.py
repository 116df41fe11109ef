"""What a training curve shows: values at numbered steps, one series per split, to findings. No I/O.

Every rule works on badness: the value where lower is better, its negative where higher is, its size where
zero is best. Points without a finite value take no part in a trend. The *scale* of a badness is its size, but
at least 0.01 times the median size over the series: a value that happens to touch zero is no yardstick.

nonfinite   a value is NaN or infinite; `since` is the first such step.
gap         most steps are evenly spaced, and two neighbours are 1.5 times that or more apart.
noisy       6 or more values; two neighbouring changes of opposite sign, each above `margin` x the scale of
            the value before it, are a reversal; 30 % or more of the inner values are reversals.

and exactly one trend per series, the first that holds:

none        no finite value.
short       fewer than `recent` + 1 finite values.
worsening   each of the last `recent` values is worse than the best by more than `margin` x its scale
            (when noisy, also by more than 3 times the median size of a change); `since` is that step.
plateau     walking along, a value that betters the reference by more than `tolerance` x its scale becomes
            the reference; at least `patience` values came after the last one; `since` is its step.
improving   the reference moved, and fewer than `patience` values came after.
undecided   none of these: no reference since the first value, and fewer than `patience` values after it.

overfitting the series is worsening since k, the training series is not, and its best value after k betters
            its best up to k by more than `tolerance` x scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median

from lossctl.errors import DataError
from lossctl.series import (
    FLOOR,
    JUMPS,
    LEAST_NOISY,
    REVERSALS,
    SPACING,
    Curve,
    Finding,
    Point,
    Rules,
    Series,
    number,
)

__all__ = ["judge", "ordered", "step_of", "train_of"]


def step_of(text: str, column: str) -> float:
    """A label of the step column as a number; raises DataError for anything else."""
    try:
        step = float(text) if "_" not in text else math.nan
    except ValueError:
        step = math.nan
    if not math.isfinite(step):
        raise DataError(
            f"the step {text!r} is not a finite number", column=column, hint="--by takes a column of numbers"
        )
    return step + 0.0


def ordered(points: Sequence[Point], column: str) -> list[Point]:
    """By step; raises DataError where two labels, such as 1 and 1.0, are one number."""
    made = sorted(points, key=lambda point: point.step)
    for one, two in pairwise(made):
        if one.step == two.step:
            raise DataError(
                f"the step {number(one.step)} is written in two ways",
                column=column,
                hint="write it in one way",
            )
    return made


def train_of(splits: Sequence[str], asked: str | None = None) -> str | None:
    """The training split: the one asked for, else the only one whose name begins with 'train'."""
    if asked is not None:
        return asked
    found = [name for name in splits if name.strip().casefold().startswith("train")]
    return found[0] if len(found) == 1 else None


def judge(
    splits: Mapping[str, Sequence[Point]],
    direction: str = "lower",
    rules: Rules | None = None,
    *,
    spec: str = "",
    train: str | None = None,
) -> Curve:
    """The findings of every split; points must be in the order of their steps."""
    rules = rules or Rules()
    made = {split: _Judged(points, direction, rules) for split, points in splits.items()}
    series = []
    for split, each in made.items():
        found = each.findings()
        if train in made and split != train:
            found = [*_overfitting(each, made[str(train)]), *found]
        series.append(Series(split, list(splits[split]), each.best, found))
    return Curve(spec, direction, train if train in made else None, series)


class _Judged:
    """The finite points of one series as badness."""

    def __init__(self, points: Sequence[Point], direction: str, rules: Rules) -> None:
        self.all, self.rules = points, rules
        self.points = [p for p in points if p.status == "ok"]
        self.bad = [_badness(p.value, direction) for p in self.points]
        self.floor = FLOOR * median(map(abs, self.bad)) if self.bad else 0.0
        self.at = min(range(len(self.bad)), key=self.bad.__getitem__, default=-1)
        self.best = self.points[self.at] if self.bad else None
        self.changes = [b - a for a, b in zip(self.bad, self.bad[1:], strict=False)]

    def scale(self, bad: float) -> float:
        return max(abs(bad), self.floor)

    def better(self, bad: float, reference: float) -> bool:
        return bad < reference - self.rules.tolerance * self.scale(reference)

    def findings(self) -> list[Finding]:
        share = self.reversals()
        noisy = share is not None and share >= REVERSALS
        found = [self.trend(noisy)]
        if noisy:
            found.append(Finding("noisy", None, {"reversals": share}))
        return [*found, *self.nonfinite(), *self.gaps()]

    def trend(self, noisy: bool) -> Finding:
        count, last = len(self.bad), self.points[-1] if self.bad else None
        if last is None:
            return Finding("none")
        if count <= self.rules.recent:
            return Finding("short", None, {"values": count, "needed": self.rules.recent + 1})
        lowest = self.bad[self.at]
        limit = lowest + self.rules.margin * self.scale(lowest)
        if noisy:
            limit = max(limit, lowest + JUMPS * median(map(abs, self.changes)))
        if self.at < count - self.rules.recent and min(self.bad[-self.rules.recent :]) > limit:
            assert self.best is not None
            return Finding("worsening", self.best.step, {"from": self.best.value, "to": last.value})
        at = 0
        for place, bad in enumerate(self.bad):
            if self.better(bad, self.bad[at]):
                at = place
        after = count - 1 - at
        facts = {"from": self.points[at].value, "to": last.value, "values": after}
        if after >= self.rules.patience:
            return Finding("plateau", self.points[at].step, facts)
        if at == 0:
            return Finding("undecided", None, facts)
        first = self.points[0]
        return Finding("improving", first.step, {"from": first.value, "to": last.value, "values": after})

    def reversals(self) -> float | None:
        """The share of inner values where the curve turns by more than the margin both ways."""
        if len(self.bad) < LEAST_NOISY:
            return None
        before = zip(self.bad, self.changes, strict=False)
        large = [c if abs(c) > self.rules.margin * self.scale(b) else 0.0 for b, c in before]
        turns = sum((a < 0 < b) or (b < 0 < a) for a, b in pairwise(large))
        return turns / (len(self.bad) - 2)

    def nonfinite(self) -> list[Finding]:
        wrong = [p for p in self.all if p.status not in ("ok", "empty")]
        if not wrong:
            return []
        tail = [p for p in self.all if not p.empty and p.step >= wrong[0].step]
        facts = {"status": wrong[0].status, "values": len(wrong), "to_the_end": len(tail) == len(wrong)}
        return [Finding("nonfinite", wrong[0].step, facts)]

    def gaps(self) -> list[Finding]:
        steps = [p.step for p in self.all if not p.empty]
        wide = [b - a for a, b in pairwise(steps)]
        usual = median(wide) if len(wide) > 2 else math.inf
        if math.isinf(usual) or sum(math.isclose(w, usual) for w in wide) * 2 <= len(wide):
            return []
        between = zip(steps, steps[1:], wide, strict=False)
        return [
            Finding("gap", a, {"from": number(a), "to": number(b), "usual": number(usual)})
            for a, b, w in between
            if w >= SPACING * usual
        ]


def _badness(value: float, direction: str) -> float:
    if direction == "lower":
        return value
    return -value if direction == "higher" else abs(value)


def _overfitting(other: _Judged, train: _Judged) -> list[Finding]:
    trend, of_train = other.findings()[0], train.findings()[0]
    if trend.kind != "worsening" or trend.since is None or of_train.kind == "worsening":
        return []
    since = trend.since
    before = [(b, p) for b, p in zip(train.bad, train.points, strict=True) if p.step <= since]
    after = [(b, p) for b, p in zip(train.bad, train.points, strict=True) if p.step > since]
    if not before or not after:
        return []
    then, now = min(before, key=lambda x: x[0]), min(after, key=lambda x: x[0])
    if not train.better(now[0], then[0]):
        return []
    return [
        Finding("overfitting", since, {**trend.facts, "train_from": then[1].value, "train_to": now[1].value})
    ]
