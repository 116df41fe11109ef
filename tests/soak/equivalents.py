"""Mutants that no test can kill, because they compute the same numbers, with the reason for each."""

from __future__ import annotations

SPEED = "only the time it takes"
MARGIN = "a bound with room on both sides"
SAME = "the same value on this side of the bound"
TYPES = "all elements are alike here"
CHECKED = "the lengths are equal by construction"

REASONS: dict[str, dict[str, tuple[str, ...]]] = {
    "state": {
        SPEED: (
            "False  ->  True",
            "True  ->  False",
            "nonneg=nonneg  ->  (argument gone)",
        ),
        SAME: (
            "self.groups.size < groups  ->  self.groups.size <= groups",
            "size > len(self.values)  ->  size >= len(self.values)",
            "size > len(self.top)  ->  size >= len(self.top)",
        ),
    },
}


def reason_of(module: str, text: str) -> str | None:
    """Why a mutant, told as `before  ->  after`, changes nothing; None when it does."""
    return next((why for why, texts in REASONS.get(module, {}).items() if text in texts), None)
