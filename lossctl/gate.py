"""Verdicts from results: limits, allowances against a baseline, and what cannot be judged. No I/O.

Numbers are compared as the decimals they are written as, unrounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from lossctl.errors import UsageError, counted, visible
from lossctl.result import Score
from lossctl.saved import Entry, Saved, condition_changes, signature_changes
from lossctl.verdicts import (
    FAIL,
    INCONCLUSIVE,
    NOT_SIGNIFICANT,
    PASS,
    SIGNIFICANT,
    Allowance,
    Check,
    Rule,
    Verdict,
)

__all__ = ["Baseline", "judge", "one_sided", "unjudged"]


@dataclass(frozen=True)
class Baseline:
    """What to compare with: a saved result, or why there is none; `replacing` when it is written anew."""

    saved: Saved | None = None
    reason: str = "no baseline is named"
    replacing: bool = False

    def find(self, check: Check, group: Mapping[str, str]) -> Entry | None:
        """The check's own entry, else that of its spec in a result that `compute` wrote."""
        return next((entry for entry in self.entries(check) if entry.group == group), None)

    def entries(self, check: Check) -> list[Entry]:
        saved = self.saved.entries if self.saved is not None else ()
        own = [entry for entry in saved if entry.check == check.name]
        return own or [entry for entry in saved if entry.check is None and entry.spec == check.spec]


def judge(check: Check, scores: Sequence[Score], baseline: Baseline) -> list[Verdict]:
    """One verdict per group of the check (or one for all rows), vanished groups included.

    Raises UsageError when the baseline was made in another way.
    """
    mine = [s for s in scores if s.spec == check.spec and set(s.group) == set(check.by)]
    made = [_verdict(check, score, baseline) for score in mine]
    here = [dict(score.group) for score in mine]
    if not baseline.replacing:
        for entry in baseline.entries(check):
            if set(entry.group) == set(check.by) and dict(entry.group) not in here:
                reason = "this group is in the baseline but not in the data"
                made.append(Verdict(check, entry.group, (Rule("presence", INCONCLUSIVE, reason=reason),)))
    return made or [unjudged(check, "there is no such number")]


def one_sided(checks: Sequence[Check]) -> list[str]:
    """A warning for each spec whose checks let any worse value pass, together: a limit on the wrong side."""
    made = []
    for spec in dict.fromkeys(check.spec for check in checks):
        mine = [check for check in checks if check.spec == spec]
        if any(check.regression is not None for check in mine):
            continue
        above = any(check.maximum is not None for check in mine)
        below = any(check.minimum is not None for check in mine)
        better, lacking = {
            "lower": ("lower is better", "" if above else "max"),
            "higher": ("higher is better", "" if below else "min"),
            "zero": ("0 is best", "" if above and below else "min" if above else "max"),
        }[mine[0].direction]
        if lacking:
            made.append(f"{spec}: {better} and no check has a {lacking}, so any worse value would pass")
    return made


def unjudged(check: Check, reason: str) -> Verdict:
    """The verdict of a check for which there is no data."""
    return Verdict(check, {}, (Rule("value", INCONCLUSIVE, reason=reason),), status="empty")


def _verdict(check: Check, score: Score, baseline: Baseline) -> Verdict:
    if score.status in ("nan", "empty"):
        why = "the value is NaN" if score.status == "nan" else "there are no rows to judge"
        rules = [Rule("value", INCONCLUSIVE, reason=why)]
    elif check.min_rows is not None and score.counted < check.min_rows:
        more = f" ({score.weightless:,} more have weight 0)" if score.weightless else ""
        why = f"{counted(score.counted, 'row', 'rows')}{more} < min-rows {check.min_rows:,}"
        rules = [Rule("min-rows", INCONCLUSIVE, limit=float(check.min_rows), reason=why)]
    else:
        rules = _rules(check, score, baseline)
    value = None if score.empty else score.value
    interval = score.interval if check.level is not None else None
    return Verdict(
        check,
        score.group,
        tuple(rules),
        value,
        score.status,
        score.rows,
        score.signature,
        interval,
        score.weightless,
    )


def _rules(check: Check, score: Score, baseline: Baseline) -> list[Rule]:
    rules = []
    if check.maximum is not None:
        rules.append(_limit("max", score.value, check.maximum, 1))
    if check.minimum is not None:
        rules.append(_limit("min", score.value, check.minimum, -1))
    if check.regression is not None:
        rules.append(_regression(check, check.regression, score, baseline))
    return [_weighed(check, rule, score) for rule in rules] if check.needs == SIGNIFICANT else rules


def _weighed(check: Check, rule: Rule, score: Score) -> Rule:
    """A rule that fails only when the whole interval is beyond the limit, and needs one to say anything.

    An infinite value beyond the limit is no matter of chance: it fails as it is.
    """
    if rule.limit is None or (rule.outcome == FAIL and not math.isfinite(score.value)):
        return rule
    found = score.interval
    if found is None or math.isnan(found.low):
        why = f": {found.note}" if found is not None and found.note else ""
        return replace(rule, outcome=INCONCLUSIVE, reason=f"no interval to judge by{why}")
    if rule.outcome != FAIL:
        return rule
    low, high = found.low, found.high
    regression = rule.kind == "max-regression"
    if regression and check.direction == "zero":
        low, high = (0.0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))
    floor = rule.kind == "min" or (regression and check.direction == "higher")
    beyond = high < rule.limit if floor else low > rule.limit
    return rule if beyond else replace(rule, outcome=NOT_SIGNIFICANT, reason="not significant")


def _limit(kind: str, value: float, limit: float, sign: int) -> Rule:
    margin = sign * (_decimal(limit) - _decimal(value)) if math.isfinite(value) else None
    breached = margin < 0 if margin is not None else value * sign > limit * sign
    return Rule(kind, FAIL if breached else PASS, limit, margin=None if margin is None else float(margin))


def _regression(check: Check, allowed: Allowance, score: Score, baseline: Baseline) -> Rule:
    kind = "max-regression"
    if baseline.replacing:
        return Rule(kind, PASS, allowed=allowed.text, reason="the baseline is written anew")
    if baseline.saved is None:
        return Rule(kind, INCONCLUSIVE, allowed=allowed.text, reason=baseline.reason)
    entry = baseline.find(check, score.group)
    if entry is None:
        what = "this group" if score.group and baseline.entries(check) else "this check"
        return Rule(kind, INCONCLUSIVE, allowed=allowed.text, reason=f"{what} is not in the baseline")
    _same_making(check, score, entry, baseline.saved)
    if entry.status != "ok":
        return Rule(kind, INCONCLUSIVE, allowed=allowed.text, reason=f"the baseline is {entry.status}")
    if not math.isfinite(score.value):
        worse = check.direction == "zero" or (score.value > 0) == (check.direction == "lower")
        outcome = FAIL if worse else INCONCLUSIVE
        return Rule(kind, outcome, baseline=entry.value, allowed=allowed.text, reason="it is infinite")
    return _worse(check, allowed, _decimal(score.value), _decimal(entry.value))


def _worse(check: Check, allowed: Allowance, value: Decimal, before: Decimal) -> Rule:
    baseline = float(before)
    if check.direction == "zero":
        value, before = abs(value), abs(before)
    allowance = allowed.of(before)
    higher = check.direction == "higher"
    limit = before - allowance if higher else before + allowance
    margin = value - limit if higher else limit - value
    outcome = FAIL if margin < 0 else PASS
    return Rule("max-regression", outcome, float(limit), baseline, float(margin), allowed.text)


def _same_making(check: Check, score: Score, entry: Entry, saved: Saved) -> None:
    """Refuse to compare numbers that were not made in the same way."""
    changes = signature_changes(entry.signature, score.signature)
    changes += condition_changes(saved.conditions_of(entry), check.conditions)
    if changes:
        raise UsageError(
            f"check '{visible(check.name)}': the baseline {visible(saved.path)} was made in another way: "
            + visible("; ".join(changes), 1000),
            hint="undo the change, or accept the new numbers with --update-baseline",
            check=check.name,
            differs=changes,
        )


def _decimal(value: float) -> Decimal:
    """The decimal a number is written as."""
    return Decimal(repr(float(value)))
