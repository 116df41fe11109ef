"""What a gate is asked and what it answers: checks, rules, verdicts and the report of all. No I/O.

A check is passed, failed, inconclusive (it could not be judged; a failure unless the check says otherwise) or
not significant (beyond its limit, but not by more than chance explains; a warning).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lossctl.result import Confidence, InputFile, RowCount, plain
from lossctl.version import __version__

SCHEMA = "lossctl.gate/1"
PASS, FAIL, INCONCLUSIVE, NOT_SIGNIFICANT = "pass", "fail", "inconclusive", "not-significant"
OUTCOMES = (PASS, NOT_SIGNIFICANT, INCONCLUSIVE, FAIL)  # each graver than the one before
VALUE, SIGNIFICANT = "value", "significant"

__all__ = ["Allowance", "Check", "Report", "Rule", "Verdict"]


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
    """One line of a gate. direction: which way of the loss is better: lower, higher, or zero.

    needs: what a failure takes: the value beyond the limit, or (`significant`) its whole interval.
    level: that of the interval, None where none was asked for.
    """

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
    needs: str = VALUE
    level: float | None = None
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
    """What became of one check in one group; `value` is None where there is no number.

    interval: the confidence interval of the value, where the check asked for one; weightless: rows of
    weight zero among the rows; account: what became of all rows of the check's pass, where it had any left.
    """

    check: Check
    group: Mapping[str, str]
    rules: tuple[Rule, ...]
    value: float | None = None
    status: str = "missing"
    rows: int = 0
    signature: str = ""
    interval: Confidence | None = None
    weightless: int = 0
    account: RowCount | None = None

    @property
    def outcome(self) -> str:
        """The gravest of its rules."""
        return max((rule.outcome for rule in self.rules), key=OUTCOMES.index)

    @property
    def counts_as(self) -> str:
        """pass, warning or failure, after severity and on-inconclusive."""
        said = {FAIL: "failure", PASS: "pass", NOT_SIGNIFICANT: "warning"}.get(self.outcome)
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
            "needs": self.check.needs,
            "counts_as": self.counts_as,
            "value": plain(self.value),
            "status": self.status,
            "ci": None if self.interval is None else self.interval.to_dict(),
            "rows": self.rows,
            **({"weightless": self.weightless} if self.weightless else {}),
            "account": None if self.account is None else self.account.to_dict(),
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
            "not_significant": outcomes.count(NOT_SIGNIFICANT),
            "warnings": sum(verdict.counts_as == "warning" for verdict in self.verdicts),
        }

    def row_notes(self, verbose: bool = False) -> list[str]:
        """Rows that were skipped, or with `verbose` what became of all rows, by check where that differs."""
        checks: dict[RowCount, dict[str, None]] = {}
        for verdict in self.verdicts:
            if verdict.account is not None:
                checks.setdefault(verdict.account, {})[verdict.check.name] = None
        made = []
        for account, names in checks.items():
            head = f"{', '.join(names)}: " if len(checks) > 1 else ""
            if verbose:
                made.append(head + account.text)
            else:
                made += [head + warning for warning in account.warnings]
        return made

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, `lossctl.gate/1`, as plain data."""
        return {
            "schema": SCHEMA,
            "lossctl": __version__,
            "verdict": FAIL if self.failed else PASS,
            "counts": self.counts,
            "baseline": self.baseline,
            "inputs": [file.to_dict() for file in self.inputs],
            "checks": [verdict.to_dict() for verdict in self.verdicts],
            "warnings": list(self.warnings),
        }
