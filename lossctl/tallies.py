"""What is remembered of a stream of numbers: exact counts, the same in any blocks.

Quantiles come from a histogram of the leading 20 bits of the doubles' patterns (eight of the fraction, so
bins are 0.4 % wide), which is integer addition.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossctl.exact import ExactSum, Workspace

__all__ = ["DISTINCT", "Counts", "Floats", "Numbers", "added"]

DISTINCT = 4096  # distinct values that are counted one by one
_SHIFT = 44
_FLIP = 0x7FFFFFFFFFFFFFFF
_FENCE = 3.0  # interquartile ranges beyond the quartiles: Tukey's far out
_NORMAL_IQR = 1.3489795003921634

Floats = NDArray[np.float64]
Counts = dict[Any, int]


def added(mine: Counts, more: Mapping[Any, int]) -> Counts | None:
    """The counts together, or None as soon as there are too many values to keep."""
    for value, count in more.items():
        mine[value] = mine.get(value, 0) + count
    return mine if len(mine) <= DISTINCT else None


def _tally(values: NDArray[Any]) -> Counts:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _bin_value(key: int) -> float:
    """The end of a bin that is nearest to zero, so that small whole numbers come back as they are."""
    bits = key << _SHIFT if key >= 0 else ((key << _SHIFT) | ((1 << _SHIFT) - 1)) ^ _FLIP
    return float(np.array(bits, np.int64).view(np.float64))


@dataclass
class Numbers:
    """`counts` is None beyond DISTINCT values; `runs` counts equal neighbours as one."""

    size: int = 0
    nulls: int = 0
    nan: int = 0
    posinf: int = 0
    neginf: int = 0
    low: float = math.inf
    high: float = -math.inf
    whole: bool = True
    runs: int = 0
    counts: Counts | None = field(default_factory=dict)
    bins: Counts = field(default_factory=dict)
    total: ExactSum = field(default_factory=ExactSum)
    last: float | None = None

    @property
    def finite(self) -> int:
        return self.size - self.nulls - self.nan - self.posinf - self.neginf

    @property
    def missing(self) -> int:
        return self.size - self.finite

    @property
    def distinct(self) -> int | None:
        return None if self.counts is None else len(self.counts)

    @property
    def mean(self) -> float:
        return float(self.total.fraction() / self.finite) if self.finite else math.nan

    def within(self, low: float, high: float) -> bool:
        return self.finite > 0 and self.low >= low and self.high <= high

    def add(self, values: NDArray[Any], valid: NDArray[np.bool_] | None, work: Workspace) -> None:
        """Take in a block, shape (n,); places that are not valid count as nulls."""
        self.size += len(values)
        if valid is not None:
            self.nulls += len(values) - int(np.count_nonzero(valid))
            values = values[valid]
        data = values.astype(np.float64) + 0.0  # minus zero becomes zero
        self._runs(data)
        good = np.isfinite(data)
        if not good.all():
            self.nan += int(np.count_nonzero(np.isnan(data)))
            self.posinf += int(np.count_nonzero(data == math.inf))
            self.neginf += int(np.count_nonzero(data == -math.inf))
            data = data[good]
        if not data.size:
            return
        self.low, self.high = min(self.low, float(data.min())), max(self.high, float(data.max()))
        self.whole = self.whole and bool(np.all(data == np.floor(data)))
        exact = values if values.dtype.kind in "iu" else data  # doubles would take long keys for one another
        self.counts = added(self.counts, _tally(exact)) if self.counts is not None else None
        bits = data.view(np.int64)
        _add_bins(self.bins, _tally(np.where(bits < 0, bits ^ _FLIP, bits) >> _SHIFT))
        self.total.add(data, work)

    def _runs(self, data: Floats) -> None:
        if data.size:
            self.runs += int(np.count_nonzero(data[1:] != data[:-1])) + int(data[0] != self.last)
            self.last = float(data[-1])

    def quantile(self, share: float) -> float:
        """The value below which `share` of the finite ones lie, to the width of a bin; there must be one."""
        keys = sorted(self.bins)
        at = bisect_left(list(accumulate(self.bins[key] for key in keys)), share * self.finite)
        return min(max(_bin_value(keys[at]), self.low), self.high)

    @property
    def spread(self) -> float:
        """The interquartile range as the standard deviation of a normal with the same one."""
        return (self.quantile(0.75) - self.quantile(0.25)) / _NORMAL_IQR if self.finite else 0.0

    @property
    def outliers(self) -> int:
        """Values more than three interquartile ranges outside the quartiles; none when that range is 0."""
        if not self.finite:
            return 0
        first, third = self.quantile(0.25), self.quantile(0.75)
        reach = _FENCE * (third - first)
        if reach <= 0:
            return 0
        return sum(n for key, n in self.bins.items() if not first - reach <= _bin_value(key) <= third + reach)


def _add_bins(bins: Counts, more: Mapping[Any, int]) -> None:
    for key, count in more.items():
        bins[key] = bins.get(key, 0) + count
