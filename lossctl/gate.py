"""Verdicts from results: limits, allowances against a baseline, and what cannot be judged. No I/O.

A check is passed, failed or inconclusive; inconclusive counts as a failure unless the check says otherwise.
Numbers are compared as the decimals they are written as, unrounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lossctl.errors import UsageError, visible
from lossctl.result import InputFile, Score, plain
from lossctl.saved import Entry, Saved, signature_changes
from lossctl.version import __version__

SCHEMA = "lossctl.gate/1"
PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"

__all__ = ["Allowance", "Baseline", "Check", "Report", "Rule", "Verdict", "judge", "unjudged"]


@dataclass(frozen=True)
class Allowance:
    """How much worse than the baseline is accepted: the larger of the two; `text` is what the user said."""

    text: str
    absolute: Decimal = Decimal(0)
    relative: Decimal = Decimal(0)

    def of(self, baseline: Decimal) -> Decimal:
        return max(self.absolute, self.relative * abs(baseline))


@dataclass(frozen=True)
class Check:
    """One line of a gate. direction: which way of the loss is better: lower, higher, or zero."""

    name: str
    spec: str
    direction: str = "lower"
    maximum: float | None = None
    minimum: float | None = None
    regression: Allowance | None = None
    by: tuple[str, ...] = ()
    min_rows: int | None = None
    severity: str = "error"
    on_inconclusive: str = "fail"
    conditions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """One comparison: value against limit. margin is how far the value is from breaching it."""

    kind: str
    outcome: str
    limit: float | None = None
    baseline: float | None = None
    margin: float | None = None
    allowed: str | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": self.kind,
            "verdict": self.outcome,
            "limit": plain(self.limit),
            "baseline": plain(self.baseline),
            "margin": plain(self.margin),
            "allowed": self.allowed,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Verdict:
    """What became of one check in one group; `value` is None where there is no number."""

    check: Check
    group: Mapping[str, str]
    rules: tuple[Rule, ...]
    value: float | None = None
    status: str = "missing"
    rows: int = 0
    signature: str = ""

    @property
    def outcome(self) -> str:
        outcomes = {rule.outcome for rule in self.rules}
        return FAIL if FAIL in outcomes else INCONCLUSIVE if INCONCLUSIVE in outcomes else PASS

    @property
    def counts_as(self) -> str:
        """pass, warning or failure, after severity and on-inconclusive."""
        said = {FAIL: "failure", PASS: "pass"}.get(self.outcome)
        said = said or {"fail": "failure", "warn": "warning", "pass": "pass"}[self.check.on_inconclusive]
        return "warning" if said == "failure" and self.check.severity == "warning" else said

    @property
    def label(self) -> str:
        inner = ", ".join(f"{name}={value}" for name, value in self.group.items())
        return f"{self.check.name} [{inner}]" if inner else self.check.name

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.check.name,
            "spec": self.check.spec,
            "group": dict(self.group),
            "verdict": self.outcome,
            "severity": self.check.severity,
            "counts_as": self.counts_as,
            "value": plain(self.value),
            "status": self.status,
            "rows": self.rows,
            "signature": self.signature,
            "rules": [rule.to_dict() for rule in self.rules],
        }


@dataclass(frozen=True)
class Report:
    """All verdicts of a gate; `baseline` is the file compared with."""

    verdicts: Sequence[Verdict]
    inputs: Sequence[InputFile] = ()
    baseline: str | None = None
    warnings: Sequence[str] = ()

    @property
    def failed(self) -> bool:
        return any(verdict.counts_as == "failure" for verdict in self.verdicts)

    @property
    def counts(self) -> dict[str, int]:
        outcomes = [verdict.outcome for verdict in self.verdicts]
        return {
            "checks": len(outcomes),
            "passed": outcomes.count(PASS),
            "failed": outcomes.count(FAIL),
            "inconclusive": outcomes.count(INCONCLUSIVE),
            "warnings": sum(verdict.counts_as == "warning" for verdict in self.verdicts),
        }

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, `lossctl.gate/1`, as plain data."""
        return {
            "schema": SCHEMA,
            "lossctl": __version__,
            "verdict": FAIL if self.failed else PASS,
            "counts": self.counts,
            "baseline": self.baseline,
            "inputs": [{"path": f.path, "format": f.format, "rows": f.rows} for f in self.inputs],
            "checks": [verdict.to_dict() for verdict in self.verdicts],
            "warnings": list(self.warnings),
        }


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


def unjudged(check: Check, reason: str) -> Verdict:
    """The verdict of a check for which there is no data."""
    return Verdict(check, {}, (Rule("value", INCONCLUSIVE, reason=reason),), status="empty")


def _verdict(check: Check, score: Score, baseline: Baseline) -> Verdict:
    if score.status in ("nan", "empty"):
        why = "the value is NaN" if score.status == "nan" else "there are no rows to judge"
        rules = [Rule("value", INCONCLUSIVE, reason=why)]
    elif check.min_rows is not None and score.rows < check.min_rows:
        why = f"{score.rows:,} rows < min-rows {check.min_rows:,}"
        rules = [Rule("min-rows", INCONCLUSIVE, limit=float(check.min_rows), reason=why)]
    else:
        rules = _rules(check, score, baseline)
    value = None if score.empty else score.value
    return Verdict(check, score.group, tuple(rules), value, score.status, score.rows, score.signature)


def _rules(check: Check, score: Score, baseline: Baseline) -> list[Rule]:
    rules = []
    if check.maximum is not None:
        rules.append(_limit("max", score.value, check.maximum, 1))
    if check.minimum is not None:
        rules.append(_limit("min", score.value, check.minimum, -1))
    if check.regression is not None:
        rules.append(_regression(check, check.regression, score, baseline))
    return rules


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
    now = dict(check.conditions)
    before = {"weight": saved.weight} if entry.conditions is None else dict(entry.conditions)
    for name in sorted({*before, *(now if entry.conditions is not None else ())}):
        if before.get(name) != now.get(name):
            changes.append(f"{name}={before.get(name) or 'none'} -> {name}={now.get(name) or 'none'}")
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
