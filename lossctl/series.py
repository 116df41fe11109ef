"""The points of a curve, what was found in them, and their JSON form `lossctl.curve/1`; curve.py finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lossctl.result import plain, status_of
from lossctl.version import __version__

SCHEMA = "lossctl.curve/1"
FLOOR, JUMPS, REVERSALS, LEAST_NOISY, SPACING = 0.01, 3.0, 0.3, 6, 1.5


@dataclass(frozen=True)
class Rules:
    """What the findings are measured by."""

    tolerance: float = 0.01
    patience: int = 5
    margin: float = 0.05
    recent: int = 3

    def to_dict(self) -> dict[str, float]:
        return {
            "tolerance": self.tolerance,
            "patience": self.patience,
            "margin": self.margin,
            "recent": self.recent,
            "scale_floor": FLOOR,
            "noisy_share": REVERSALS,
            "noisy_least": LEAST_NOISY,
            "noisy_jumps": JUMPS,
            "gap_spacing": SPACING,
        }


@dataclass(frozen=True)
class Point:
    """The value at one step; `empty` where there was nothing to aggregate."""

    step: float
    value: float
    rows: int = 0
    empty: bool = False

    @property
    def status(self) -> str:
        return "empty" if self.empty else status_of(self.value)

    def to_dict(self) -> dict[str, Any]:
        step = number(self.step)
        return {"step": step, "value": plain(self.value), "status": self.status, "rows": self.rows}


@dataclass(frozen=True)
class Finding:
    """One thing a series shows, from which step on, with the numbers behind it."""

    kind: str
    since: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        since = None if self.since is None else number(self.since)
        return {"kind": self.kind, "since": since, "facts": {k: plain(v) for k, v in self.facts.items()}}


@dataclass
class Series:
    """The points of one split in the order of their steps, and what they show; `split` is '' without one."""

    split: str
    points: Sequence[Point]
    best: Point | None = None
    findings: list[Finding] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        best = (
            None if self.best is None else {"step": number(self.best.step), "value": plain(self.best.value)}
        )
        return {
            "split": self.split or None,
            "best": best,
            "findings": [each.to_dict() for each in self.findings],
            "points": [each.to_dict() for each in self.points],
        }


@dataclass(frozen=True)
class Curve:
    """One spec over the steps."""

    spec: str
    direction: str
    train: str | None
    series: Sequence[Series]

    def to_dict(self) -> dict[str, Any]:
        series = [each.to_dict() for each in self.series]
        return {"spec": self.spec, "direction": self.direction, "train": self.train, "series": series}


def to_dict(curves: Sequence[Curve], rules: Rules, result: Any, by: str, split: str | None) -> dict[str, Any]:
    """The JSON form, `lossctl.curve/1`, as plain data; `result` is the Result the curves come from."""
    whole = result.to_dict()
    return {
        "schema": SCHEMA,
        "lossctl": __version__,
        "inputs": whole["inputs"],
        "columns": whole["columns"],
        "rows": whole["rows"],
        "step": by,
        "split": split,
        "rules": rules.to_dict(),
        "curves": [each.to_dict() for each in curves],
        "warnings": whole["warnings"],
    }


def number(step: float) -> float | int:
    """A whole step as an integer."""
    return int(step) if step == int(step) and abs(step) < 2**53 else step
