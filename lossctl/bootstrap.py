"""What an interval is asked for with, checked alike for the command line, configurations and Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lossctl.errors import BadValue, UsageError
from lossctl.loss.kinds import Largest, Whole

__all__ = ["ENOUGH", "LEVEL", "Bootstrap", "asked", "level_of", "require_totals"]

ENOUGH = 50  # clusters; with fewer an interval is not worth its name
LEVEL = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Bootstrap:
    """What an interval is asked for with; `cluster` is the column whose values are drawn as a whole."""

    level: float
    seed: int = 0
    resamples: int = RESAMPLES
    cluster: str | None = None

    @property
    def least(self) -> int:
        """The fewest buckets with rows that allow an interval."""
        return ENOUGH if self.cluster is not None else 20


def asked(
    name: str, level: Any, *, seed: Any = None, resamples: Any = None, cluster: str | None = None
) -> Bootstrap:
    """The Bootstrap of a level, checked; `name` is what the user calls the level, None means the default.

    Raises BadValue.
    """
    dashes = "--" if name.startswith("--") else ""
    return Bootstrap(
        level_of(name, level),
        _whole(f"{dashes}seed", 0 if seed is None else seed, 0, (1 << 64) - 1),
        _whole(f"{dashes}resamples", RESAMPLES if resamples is None else resamples, 100, 100_000),
        cluster,
    )


def level_of(name: str, given: Any) -> float:
    """A level from 0.5 to below 1; 95 and 95% mean 0.95. Raises BadValue."""
    text = str(given).strip()
    try:
        value = -1.0 if isinstance(given, bool) else float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if 1 < value < 100 or text.endswith("%"):
        value /= 100
    if not 0.5 <= value < 1:
        raise BadValue(name, given, "a level such as 0.95, from 0.5 to below 1")
    return value


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        top = "below 2^64" if high >= 1 << 63 else f"to {high:,}"
        raise BadValue(name, value, f"a whole number from {low} {top}")
    return value


def require_totals(bound: Any) -> None:
    """Refuse a loss that has no interval because it is no function of totals; raises UsageError."""
    if isinstance(bound.loss.reduction, Whole | Largest):
        raise UsageError(
            f"{bound.text} has no interval: it is not a function of sums over rows",
            hint="leave it out, or ask for the interval of another loss",
        )
