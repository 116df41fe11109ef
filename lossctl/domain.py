"""Intervals: whether a batch lies inside, and random samples from inside for tests."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossctl.errors import BadValue

__all__ = ["ANY", "NONNEG", "POSITIVE", "REAL", "UNIT", "Interval"]

Array = NDArray[np.float64]


class Interval(NamedTuple):
    """The numbers between `low` and `high`; each end is part of it unless open. NaN is never inside."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """Smallest and largest double inside: membership is then two comparisons."""
        low = math.nextafter(self.low, math.inf) if self.open_low else self.low
        high = math.nextafter(self.high, -math.inf) if self.open_high else self.high
        return low, high

    def contains(self, value: float) -> bool:
        low, high = self.ends
        return low <= value <= high

    def covers(self, values: NDArray[Any]) -> bool:
        """Whether every element is inside: two reductions and no temporary (NaN fails both)."""
        if values.size == 0:
            return True
        low, high = self.ends
        flat = values.reshape(-1, order="A")  # no copy, and `reduce` saves what `np.min` does around it
        return bool(np.minimum.reduce(flat) >= low) and bool(np.maximum.reduce(flat) <= high)

    def outside(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        low, high = self.ends
        return ~((values >= low) & (values <= high))

    def require(self, name: str, value: float) -> float:
        """`value`, or BadValue naming the interval."""
        if not self.contains(value):
            raise BadValue(name, value, f"a number in {self}")
        return value

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Random values inside, closed finite ends among them; unbounded sides reach a few units out."""
        low, high = self.ends
        near = 0.0 if low <= 0.0 <= high else (low if math.isfinite(self.low) else high)
        bottom = low if math.isfinite(self.low) else near - 4.0
        top = high if math.isfinite(self.high) else near + 4.0
        values = rng.uniform(bottom, top, shape)
        flat = values.reshape(-1)
        for end, at in ((self.low, 0), (self.high, 1)):
            if flat.size > 4 and math.isfinite(end) and self.contains(end):
                flat[at] = end
        return values

    def __str__(self) -> str:
        left = "(" if self.open_low else "["
        right = ")" if self.open_high else "]"
        return f"{left}{_short(self.low)}, {_short(self.high)}{right}"


def _short(end: float) -> str:
    if math.isinf(end):
        return "∞" if end > 0 else "−∞"
    return f"{end:g}"


REAL = Interval(-math.inf, math.inf, open_low=True, open_high=True)
ANY = Interval(-math.inf, math.inf)
UNIT = Interval(0.0, 1.0)
POSITIVE = Interval(0.0, math.inf, open_low=True, open_high=True)
NONNEG = Interval(0.0, math.inf, open_high=True)
