"""Two saved results against each other: old, new and change of every number. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lossctl.result import plain
from lossctl.saved import Entry, Saved, condition_changes, signature_changes
from lossctl.version import __version__

SCHEMA = "lossctl.diff/1"

__all__ = ["Change", "Diff", "compare_saved"]


@dataclass(frozen=True)
class Change:
    """One number then and now. status: same, within (the tolerance), changed, added or removed.

    conditions: what decided otherwise which rows count.
    """

    spec: str
    group: Mapping[str, str]
    status: str
    old: Entry | None = None
    new: Entry | None = None
    check: str | None = None
    conditions: Sequence[str] = ()

    @property
    def change(self) -> float | None:
        if self.old is None or self.new is None or {self.old.status, self.new.status} != {"ok"}:
            return None
        return float(_decimal(self.new.value) - _decimal(self.old.value))

    @property
    def relative(self) -> float | None:
        if self.change is None or self.old is None or self.old.value == 0.0:
            return None
        made = self.change / abs(self.old.value)
        return made if math.isfinite(made) else None

    @property
    def signature(self) -> list[str]:
        """How the number is made differently."""
        if self.old is None or self.new is None:
            return []
        return signature_changes(self.old.signature, self.new.signature)

    def to_dict(self) -> dict[str, Any]:
        made: dict[str, Any] = {"spec": self.spec, "group": dict(self.group), "status": self.status}
        if self.check is not None:
            made["check"] = self.check
        for name, entry in (("old", self.old), ("new", self.new)):
            made[name] = None if entry is None else plain(entry.value)
            made[f"{name}_status"] = "missing" if entry is None else entry.status
            made[f"{name}_rows"] = None if entry is None else entry.rows
        return {
            **made,
            "change": self.change,
            "relative": self.relative,
            "signature": self.signature,
            "conditions": list(self.conditions),
        }


@dataclass(frozen=True)
class Diff:
    """All changes; `weights` names a change of the weight column."""

    old: str
    new: str
    changes: Sequence[Change]
    weights: str | None = None

    @property
    def different(self) -> bool:
        """Beyond tolerance, there and not there, or made differently (lossctl's own version aside)."""
        made = any(not part.startswith("lossctl ") for each in self.changes for part in each.signature)
        made = made or self.weights is not None or any(each.conditions for each in self.changes)
        return made or any(each.status not in ("same", "within") for each in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, `lossctl.diff/1`, as plain data."""
        return {
            "schema": SCHEMA,
            "lossctl": __version__,
            "old": self.old,
            "new": self.new,
            "different": self.different,
            "weight": self.weights,
            "changes": [change.to_dict() for change in self.changes],
        }


def compare_saved(old: Saved, new: Saved, rtol: float = 0.0, atol: float = 0.0) -> Diff:
    """Numbers matched by loss and group (and check, where both know it), in the order of the new result."""
    checks = all(entry.check is not None for entry in (*old.entries, *new.entries))
    before = {_key(entry, checks): entry for entry in reversed(old.entries)}
    now = {_key(entry, checks): entry for entry in reversed(new.entries)}
    changes = []
    for key in dict.fromkeys(_key(entry, checks) for entry in (*new.entries, *old.entries)):
        a, b = before.get(key), now.get(key)
        either = b or a
        assert either is not None
        status = _status(a, b, _decimal(rtol), _decimal(atol))
        check = either.check if checks else None
        changes.append(Change(either.spec, either.group, status, a, b, check, _conditions(old, a, new, b)))
    weights = None if old.weight == new.weight else f"{old.weight or 'none'} -> {new.weight or 'none'}"
    return Diff(old.path, new.path, changes, weights)


def _conditions(old: Saved, before: Entry | None, new: Saved, now: Entry | None) -> list[str]:
    """What differs but the weight of the whole result, of which `Diff.weights` tells."""
    if before is None or now is None:
        return []
    was, became = old.conditions_of(before), new.conditions_of(now)
    if old.weight != new.weight:
        was.pop("weight", None)
        became.pop("weight", None)
    return condition_changes(was, became)


def _key(entry: Entry, checks: bool) -> Any:
    return entry.key if checks else entry.key[1:]


def _status(old: Entry | None, new: Entry | None, rtol: Decimal, atol: Decimal) -> str:
    if old is None or new is None:
        return "added" if old is None else "removed"
    if {old.status, new.status} != {"ok"}:
        return "same" if old.status == new.status else "changed"
    before, now = _decimal(old.value), _decimal(new.value)
    if before == now:
        return "same"
    return "within" if abs(now - before) <= atol + rtol * abs(before) else "changed"


def _decimal(value: float) -> Decimal:
    return Decimal(repr(float(value)))
