"""The exact, order-free sum: a float64 sum kept as one integer, its products, its ratios and its merge.

Every finite float64 is a whole multiple of 2⁻¹⁰⁷⁴, so a sum of them is a Python integer. Adding integers is
associative and commutative: any order, chunking, thread count or file split leaves the same state, and the
only rounding is the one in `value`.

Blocks reach the integer by extraction. For a power of two u and σ = 1.5·2⁵²·u, the float x + σ lies in the
binade whose spacing is u, so its bit pattern is bits(σ) + k with k = x/u rounded to an integer; the integer
sum of the patterns is the sum of the k, modulo 2⁶⁴. The remainder x − ku is a float64 and goes to a finer u.

Sources: S. M. Rump, T. Ogita and S. Oishi, "Accurate floating-point summation part I: faithful rounding",
SIAM J. Sci. Comput. 31 (2008), for extraction by an added constant; R. M. Neal, "Fast exact summation using
small and large superaccumulators" (2015), for the exact state.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lossctl.errors import ResourceError

__all__ = [
    "BLOCK",
    "ExactSum",
    "Workspace",
    "centred_second_moment",
    "check_arithmetic",
    "ratio",
]

Floats: TypeAlias = NDArray[np.float64]

BLOCK = 65536
_LOWEST = -1074
_ONE = 1 << 1074
# σ stays finite while the bound on |x| is below 2^1017 (47 payload bits); 2^960 leaves the margin round.
_HUGE = 960
_DOWN = 128


class Workspace:
    """Scratch for one thread: `floats` is three rows of BLOCK float64. Every call may overwrite all of it."""

    __slots__ = ("floats",)

    def __init__(self) -> None:
        self.floats: list[Floats] = [np.empty(BLOCK) for _ in range(3)]


def sigma_of(unit: int) -> tuple[float, int]:
    """σ = 1.5·2⁵²·2^unit and its bit pattern, for −1074 ≤ unit ≤ 970."""
    return math.ldexp(1.5, unit + 52), ((unit + 1075) << 52) | (1 << 51)


def bounds(x: Floats, scratch: Floats, nonneg: bool) -> tuple[float, float]:
    """The largest and smallest |x| of a block; the largest is not finite when any element is not.

    `nonneg` saves the pass that forms |x|; a negative element voids it, because the minimum shows it.
    """
    if nonneg:
        low = float(np.minimum.reduce(x))
        if not low < 0:
            return float(np.maximum.reduce(x)), low
    np.abs(x, out=scratch)
    return float(np.maximum.reduce(scratch)), float(np.minimum.reduce(scratch))


def lowest_bit(low: float) -> int:
    """The exponent of a unit that divides every float64 of magnitude `low` or more."""
    return max(math.frexp(low)[1] - 53, _LOWEST) if low > 0 else _LOWEST


def any_bits(x: Floats) -> int:
    """The bitwise or of |x|'s patterns: 0 when all are zeros, and its exponent field bounds every row's."""
    return int(np.bitwise_or.reduce(x.view(np.int64))) & 0x7FFFFFFFFFFFFFFF


# ns per row and pass on 32,768 rows: max or min 0.11, or of patterns 0.11, integer sum 0.11, |x| 0.16, x + σ
# 0.17, − σ in place 0.12, x − ku in place 0.19 (0.25 into a third buffer); as tests for a remainder `np.any`
# 0.20 and `count_nonzero` 0.17–0.45 lose to the or. Knowing min |x| saves the last subtraction and its test,
# 0.42. Whole `add`: 1.4 for squared errors of normals, 1.2 for 0/1, 2.0 with zeros among them, 1.6 signed, 11
# for exponents over ±300, 39–44 for any bit patterns at all. Blocks of 16,384 rows 1.6, of 8,192 rows 2.2, of
# 65,536 as of 32,768; with two threads, which hand each other the interpreter's lock, 5 % less.
class ExactSum:
    """A sum of float64 values that never rounds: `units`·2⁻¹⁰⁷⁴, and how many terms were not finite.

    Domain: any float64. Non-finite terms are counted apart and decide `value` as IEEE 754 addition would.
    """

    __slots__ = ("nan", "neginf", "posinf", "units")
    __hash__ = None  # type: ignore[assignment]  # mutable

    def __init__(self, units: int = 0, nan: int = 0, posinf: int = 0, neginf: int = 0) -> None:
        self.units = units
        self.nan = nan
        self.posinf = posinf
        self.neginf = neginf

    @classmethod
    def of_int(cls, count: int) -> ExactSum:
        """The exact integer `count`."""
        return cls(count << 1074)

    def add(self, x: Floats, work: Workspace, *, nonneg: bool = False) -> None:
        """Add every element of `x`, shape (n,), any strides; `x` is not modified.

        `nonneg` says no element is negative. It only saves time: a wrong promise costs a pass, not the sum.
        """
        with np.errstate(all="ignore"):
            for start in range(0, x.shape[0], BLOCK):
                self.add_block(x[start : start + BLOCK], work, nonneg, 0)

    def add_block(self, x: Floats, work: Workspace, nonneg: bool, shift: int) -> None:
        """Add 2^shift times the elements of `x`, at most BLOCK of them, with floating-point warnings off."""
        n = x.shape[0]
        if n == 0:
            return
        rest, high = work.floats[0][:n], work.floats[1][:n]
        top_value, low = bounds(x, rest, nonneg)
        if not top_value < math.inf:
            self.add_block(self._count_non_finite(x), work, nonneg, shift)
            return
        top = math.frexp(top_value)[1]
        if top > _HUGE:
            big = np.abs(x) >= 1.0
            self.add_block(np.where(big, x * 2.0**-_DOWN, 0.0), work, nonneg, shift + _DOWN)
            self.add_block(np.where(big, 0.0, x), work, nonneg, shift)
            return
        # |k| ≤ 2^bits and n·2^bits ≤ 2^62, so the wrapped int64 sum names one integer; one bit more and
        # 2^15 copies of nextafter(1, 0) would come back negative.
        bits = min(51, 62 - (n - 1).bit_length())
        last = lowest_bit(low)
        source = x
        while top_value:
            unit = max(top - bits, _LOWEST)
            sigma, pattern = sigma_of(unit)
            np.add(source, sigma, out=high)
            wrapped = (int(np.add.reduce(high.view(np.int64))) - n * pattern) & 0xFFFFFFFFFFFFFFFF
            self.units += (wrapped - ((wrapped >> 63) << 64)) << (unit + 1074 + shift)
            if unit <= last:
                return
            np.subtract(high, sigma, out=high)
            np.subtract(source, high, out=rest)
            source, top = rest, unit - 1
            if top - bits > last:
                left = any_bits(rest)
                if left == 0:
                    return
                top = min(top, (left >> 52) - 1022)

    def _count_non_finite(self, x: Floats) -> Floats:
        self.nan += int(np.count_nonzero(np.isnan(x)))
        self.posinf += int(np.count_nonzero(x == math.inf))
        self.neginf += int(np.count_nonzero(x == -math.inf))
        finite: Floats = x[np.isfinite(x)]
        return finite

    def __add__(self, other: ExactSum) -> ExactSum:
        return ExactSum(self.units, self.nan, self.posinf, self.neginf).__iadd__(other)

    def __iadd__(self, other: ExactSum) -> ExactSum:
        self.units += other.units
        self.nan += other.nan
        self.posinf += other.posinf
        self.neginf += other.neginf
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExactSum):
            return NotImplemented
        return self._state() == other._state()

    def __repr__(self) -> str:
        return f"ExactSum({self.value()!r})"

    def _state(self) -> tuple[int, int, int, int]:
        return self.units, self.nan, self.posinf, self.neginf

    def scaled(self, weight: int) -> ExactSum:
        """The sum of every term taken `weight` times; a negative weight also swaps the infinities."""
        times = abs(weight)
        up, down = (self.posinf, self.neginf) if weight >= 0 else (self.neginf, self.posinf)
        return ExactSum(self.units * weight, self.nan * times, up * times, down * times)

    def special(self) -> float | None:
        """nan, inf or -inf when the terms force it, else None."""
        if self.nan or (self.posinf and self.neginf):
            return math.nan
        if self.posinf or self.neginf:
            return math.inf if self.posinf else -math.inf
        return None

    def value(self) -> float:
        """The sum rounded once, to nearest even; beyond the float64 range a signed infinity."""
        special = self.special()
        return _divided(self.units, _ONE) if special is None else special

    def fraction(self) -> Fraction:
        """The sum of the finite terms as a rational number."""
        return Fraction(self.units, _ONE)


def _sign(units: int) -> float:
    return float((units > 0) - (units < 0))


def _divided(num: int, den: int) -> float:
    try:
        return num / den if num else 0.0
    except OverflowError:
        return math.inf if (num < 0) == (den < 0) else -math.inf


def ratio(num: ExactSum, den: ExactSum) -> float:
    """num/den rounded once; non-finite sums as IEEE 754 division has them; nan when den is zero."""
    above, below = num.special(), den.special()
    if below is None and den.units == 0:
        return math.nan
    if above is None and below is None:
        return _divided(num.units, den.units)
    return (_sign(num.units) if above is None else above) / (_sign(den.units) if below is None else below)


def centred_second_moment(sum_w: ExactSum, sum_wx: ExactSum, sum_wxx: ExactSum) -> float:
    """Σwx² − (Σwx)²/Σw as one rational number, rounded once; nan when Σw is zero or a sum is not finite."""
    if any(s.special() is not None for s in (sum_w, sum_wx, sum_wxx)) or sum_w.units == 0:
        return math.nan
    return _divided(sum_wxx.units * sum_w.units - sum_wx.units**2, sum_w.units << 1074)


def check_arithmetic() -> None:
    """Raise ResourceError unless float64 rounds to nearest even, once, and underflows gradually."""
    ulp = 2.0**-52
    cases = [
        (5e-324, 0.0, 5e-324),
        (2.0**-1022, -5e-324, math.nextafter(2.0**-1022, 0.0)),
        (1.0, ulp / 2, 1.0),
        (1.0 + ulp, ulp / 2, 1.0 + 2 * ulp),
        (-1.0, -ulp / 2, -1.0),
        (-1.0 - ulp, -ulp / 2, -1.0 - 2 * ulp),
        # A wider register would round this twice and lose the last bit.
        (1.0, ulp / 2 + ulp / 4096, 1.0 + ulp),
    ]
    left, right, wanted = (np.repeat(np.array(column), 9) for column in zip(*cases, strict=True))
    with np.errstate(all="ignore"):
        sound = bool(np.all(left + right == wanted)) and bool(np.all(right[:9] == 0)) and 5e-324 * 1.0 != 0.0
    if not sound:
        raise ResourceError(
            "this processor state does not round float64 to nearest with gradual underflow",
            hint="a library has set flush-to-zero or another rounding mode; exact sums need IEEE 754",
        )
