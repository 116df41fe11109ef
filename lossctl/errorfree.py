"""Error-free transformations: a sum or product of doubles and, exactly, what rounding took from it.

T. Ogita, S. M. Rump and S. Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26 (2005).
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Double",
    "difference",
    "finite_rest",
    "leading",
    "ratio_parts",
    "raw_two_sum",
    "square_parts",
    "squared_ratio",
    "two_product",
    "two_sum",
]

Array = NDArray[np.float64]

_NOTHING = np.zeros(())
_NOTHING.flags.writeable = False
_LEADING, _HALF = np.int64(-1 << 27), np.int64(1 << 26)  # a double's sign, exponent and 26 bits


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b rounded, and what rounding took (0 where the sum is not finite)."""
    total, rest = raw_two_sum(a, b)
    return total, finite_rest(rest)


def raw_two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Knuth's sum of two numbers: what rounding took is NaN where the sum is not finite."""
    total = a + b
    part = total - a
    rest = total - part
    np.subtract(a, rest, out=rest)
    np.subtract(b, part, out=part)
    rest += part
    return total, rest


def difference(a: Array, b: Array | float) -> tuple[Array, Array]:
    """a − b rounded, and what rounding took (0 where the difference is not finite)."""
    gap = a - b
    part = a - gap
    rest = gap + part
    np.subtract(a, rest, out=rest)
    part -= b
    rest += part
    return gap, finite_rest(rest)


def finite_rest(rest: Array) -> Array:
    """The same with 0 for what is not finite; one sum tells whether there is any."""
    return rest if math.isfinite(np.add.reduce(rest, axis=None)) else np.where(np.isfinite(rest), rest, 0.0)


def leading(x: Array) -> Array:
    """x rounded to 26 bits: a product of two such numbers is exact, and so is one of what they leave."""
    cut: Array = ((x.view(np.int64) + _HALF) & _LEADING).view(np.float64)
    return cut


def two_product(a: Array, b: Array | float) -> tuple[Array, Array]:
    """a·b rounded, and what rounding took, in full between 1e-290 and 1e300 (0 where that overflows).

    Dekker (1971), A floating-point technique for extending the available precision; halves cut by a mask.
    """
    product = a * b
    high_a, high_b = leading(a), leading(np.asarray(b))
    low_a, low_b = a - high_a, b - high_b
    rest = high_a * high_b
    rest -= product
    high_a *= low_b
    rest += high_a
    rest += low_a * high_b
    low_a *= low_b
    rest += low_a
    return product, finite_rest(rest)


def square_parts(a: Array, b: Array, scale: float = 1.0) -> tuple[Array, Array]:
    """(scale·(a − b))², scale a power of two, as the exact square of 26 bits and the rest, 2⁻²⁵ of it."""
    gap, slack = difference(a, b)
    if scale != 1.0:
        gap *= scale
        slack *= scale
    high = leading(gap)
    rest = gap - high
    rest *= gap + high
    slack += slack
    slack *= gap
    rest += slack
    high *= high
    return high, finite_rest(rest)


def ratio_parts(a: Array, b: Array, c: float, over: float = 1.0) -> tuple[Array, Array]:
    """((a − b)/c)²/over in two parts, to be added: square and factor are split, so the first is exact."""
    exponent = min(1 - math.frexp(c)[1], 1000)
    bulk, rest = square_parts(a, b, math.ldexp(1.0, exponent))
    factor = 1 / (Fraction(math.ldexp(c, exponent)) ** 2 * Fraction(over))
    if factor == 1:
        return bulk, rest
    high = float(leading(np.asarray(float(factor))))
    top = leading(bulk)
    rest *= float(factor)
    rest += bulk * float(factor - Fraction(high))
    bulk -= top
    bulk *= high
    rest += bulk
    top *= high
    return top, finite_rest(rest)


def squared_ratio(a: Array, b: Array, c: float) -> Array:
    """((a − b)/c)², rounded once."""
    bulk, rest = ratio_parts(a, b, c)
    bulk += rest
    return bulk


class Double(NamedTuple):
    """An unevaluated sum of two numbers, the second what rounding took from the first: twice the digits.

    A product or quotient adds about 2⁻¹⁰⁴ to the relative error (Dekker, 1971, A Floating-Point Technique
    for Extending the Available Precision), where it is neither below 1e-290 nor beyond 1e300.
    """

    high: Array
    low: Array = _NOTHING

    @classmethod
    def between(cls, a: Array, b: Array) -> Double:
        """a − b."""
        return cls(*difference(a, b))

    @classmethod
    def choose(cls, where: NDArray[np.bool_], first: Double, second: Double) -> Double:
        """The first where asked, otherwise the second."""
        return cls(np.where(where, first.high, second.high), np.where(where, first.low, second.low))

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Double:
        """These rows, or the chosen ones."""
        return Double(self.high[rows], np.broadcast_to(self.low, self.high.shape)[rows])

    def scaled(self, factor: float) -> Double:
        """Times a power of two."""
        return Double(factor * self.high, factor * self.low)

    @property
    def rounded(self) -> Array:
        return self.high + self.low

    def plus(self, other: Double) -> Double:
        total, lost = two_sum(self.high, other.high)
        return Double(total, lost + (self.low + other.low))

    def minus(self, other: Double) -> Double:
        gap, lost = difference(self.high, other.high)
        return Double(gap, lost + (self.low - other.low))

    def times(self, other: Double) -> Double:
        product, lost = two_product(self.high, other.high)
        return Double(product, finite_rest(lost + (self.high * other.low + self.low * other.high)))

    def over(self, other: Double) -> Double:
        share = self.high / other.high
        product, lost = two_product(share, other.high)
        rest = (self.high - product) - lost
        return Double(share, (rest + (self.low - share * other.low)) / other.high)

    def root(self) -> Double:
        """√ of it, 0 for 0."""
        share = np.sqrt(self.high)
        square, lost = two_product(share, share)
        rest = ((self.high - square) - lost) + self.low
        return Double(share, 0.5 * rest / np.where(share == 0.0, 1.0, share))
