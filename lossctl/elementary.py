"""Logarithms, exponentials and powers of numbers in two parts (`errorfree.Double`)."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lossctl.errorfree import Double, difference, two_sum
from lossctl.numeric import atanh_rest, expm1_minus

LOG_2 = (0.6931471805599453, 2.3190468138462996e-17)  # rounded, and what rounding took

Array = NDArray[np.float64]
_LOG_2 = (0.6931471803691238, 1.9082149292705877e-10)  # the first with 33 bits: whole multiples are exact
_LOG_2_DOUBLE = Double(np.asarray(LOG_2[0]), np.asarray(LOG_2[1]))


def log_ratio_parts(a: Double, b: Double) -> Double:
    """log(a/b) of positive numbers within 2⁻⁵⁶ of itself; −∞ where a is 0, ∞ where b is.

    Of mantissas within √½…√2 of each other it is 2·artanh((a − b)/(a + b)): the difference is exact, the
    quotient is taken in twice the digits, and the series adds less than a twentieth to it.
    """
    (top, up), (bottom, down) = np.frexp(a.high), np.frexp(b.high)
    above, below = top > math.sqrt(2.0) * bottom, bottom > math.sqrt(2.0) * top
    down, up = down - above, up - below
    top, bottom = np.ldexp(a.high, -up), np.ldexp(b.high, -down)
    top_low, bottom_low = np.ldexp(a.low, -up), np.ldexp(b.low, -down)
    power = (up - down).astype(np.float64)
    gap, total = two_sum(top - bottom, top_low - bottom_low), two_sum(top, bottom)
    s = Double(*gap).over(Double(total[0], total[1] + (top_low + bottom_low)))
    square = s.high * s.high
    rest = s.low + s.high * square * atanh_rest(square)
    logs = Double(power * _LOG_2[0], power * _LOG_2[1]).plus(Double(2.0 * s.high, 2.0 * rest))
    high, low = two_sum(logs.high, logs.low)
    for x, limit in ((a, -np.inf), (b, np.inf)):
        nothing = x.high == 0.0
        if nothing.any():
            high[nothing], low[nothing] = limit, 0.0
    return Double(high, low)


def exp_parts(x: Double) -> Double:
    """e^x within 2⁻⁵⁴ of itself: one plus the expm1 of what is left of x beside a whole number of log 2."""
    power = np.rint(np.clip(x.high, -1100.0, 1100.0) / _LOG_2[0])
    left = Double(x.high - power * _LOG_2[0], x.low - power * _LOG_2[1])
    most, lost = two_sum(left.high, left.low)
    total, rest = two_sum(np.ones_like(most), np.expm1(most))
    rest += lost * total
    whole = power.astype(np.int32)
    return Double(np.ldexp(total, whole), np.ldexp(rest, whole))


_SPLIT = 11  # bits of a fraction of an exponent of two that have a table
_TURN = 1.5 * 2.0**52  # added to a number below 2⁵¹ it leaves the nearest whole one in the last bits
# log 2/2¹¹: 21 bits, of which multiples below 2³² are exact, 21 more, and the rest.
_STEPS = (0.0003384505398571491, 2.3190060982614114e-10, 2.684532723978697e-17)
_FAR = 2.0**36


@cache
def _powers() -> tuple[Array, Array]:
    """Of each 2^(j/2¹¹) 26 bits, and the rest."""
    digits = 160
    root = 2 << digits
    for _ in range(_SPLIT):
        root = math.isqrt(root << digits)
    made, power = [], 1 << digits
    for _ in range(1 << _SPLIT):
        made.append(power)
        power = power * root >> digits
    tops = [power >> digits - 25 << digits - 25 for power in made]
    rests = [power - top for power, top in zip(made, tops, strict=True)]
    return np.array([top / (1 << digits) for top in tops]), np.array([rest / (1 << digits) for rest in rests])


def exp_split(x: Double) -> tuple[Array, Double]:
    """e^x as a power of two and a factor of about 1 to 2; the power is −∞ where x is, or where it overflows.

    Within 2⁻⁶³ of itself for |x| < 1e6, beyond that of e^x with an x an ulp off. What is left of x beside a
    multiple of log 2/2¹¹ is below 2⁻¹², so its expm1 in one double is good to 2⁻⁶⁵ of the whole. The factor's
    high part has 26 bits, so that products with as many are exact; its low part is up to 2⁻¹² of it.
    """
    far = np.abs(x.high) > _FAR
    if far.any():
        return _exp_split_far(x, far)
    turned = x.high * (1.0 / (_STEPS[0] + _STEPS[1]))
    turned += _TURN
    whole = turned - _TURN
    left = x.high - whole * _STEPS[0]
    left -= whole * _STEPS[1]
    left += x.low - whole * _STEPS[2]
    more = left * (1.0 / 24.0)
    more += 1.0 / 6.0
    more *= left
    more += 0.5
    more *= left
    more *= left
    more += left
    place = turned.view(np.int64)
    place &= (1 << _SPLIT) - 1
    tops, rests = _powers()
    high, low = tops.take(place), rests.take(place)
    more *= high + low
    more += low
    whole *= 2.0**-_SPLIT
    return np.floor(whole, out=whole), Double(high, more)


def _exp_split_far(x: Double, far: NDArray[np.bool_]) -> tuple[Array, Double]:
    """Where the table's multiple would leave the whole numbers: the power first, by a division."""
    whole = np.where(far, np.rint(x.high / _LOG_2_DOUBLE.high), 0.0)
    left = x.minus(Double(whole).times(_LOG_2_DOUBLE)).rounded
    left = np.clip(np.where(np.isfinite(whole), left, 0.0), -1.0, 1.0)  # a part of an ulp of x
    power, factor = exp_split(Double(np.where(far, left, x.high), np.where(far, 0.0, x.low)))
    return power + whole, factor


def log_split(power: Array, x: Double) -> Double:
    """log(x·2^power), x > 0 and whole powers, within 2⁻⁶² of itself, also near 0; −∞ where the power is.

    As `log_ratio_parts`, with another term of the series in twice the digits.
    """
    turn = np.rint(np.log2(x.high))
    shift = -turn.astype(np.int32)
    high, low = two_sum(np.ldexp(x.high, shift), np.ldexp(x.low, shift))
    gap = Double(*two_sum(high - 1.0, low))
    total, lost = two_sum(high, np.ones_like(high))
    s = gap.over(Double(total, lost + low))
    square = s.times(s)
    tail = np.zeros_like(high)
    for n in range(27, 3, -2):
        tail = tail * square.high + 1.0 / n
    series = square.times(Double(np.asarray(1.0 / 3.0), np.asarray(2.0**-54 / 3.0)))
    series = series.plus(Double(square.high * square.high * tail))
    return Double(power + turn).times(_LOG_2_DOUBLE).plus(s.plus(s.times(series)).scaled(2.0))


def expm1_parts(x: Double) -> Double:
    """e^x − 1 within 2⁻⁵⁵ of itself, or of 1 where it is larger, by what is left of x beside whole log 2."""
    power = np.rint(np.clip(x.high, -1100.0, 1100.0) / _LOG_2[0])
    left, low = two_sum(x.high - power * _LOG_2[0], x.low - power * _LOG_2[1])
    most, rest = two_sum(left, expm1_minus(left))
    rest += low * (1.0 + left)
    whole = power.astype(np.int32)
    shift = Double(*difference(np.ldexp(np.ones_like(most), whole), 1.0))
    return shift.plus(Double(np.ldexp(most, whole), np.ldexp(rest, whole)))


def weighted(weight: Double, cost: Double) -> Double:
    """weight·cost, with 0·∞ = 0."""
    made = weight.times(cost)
    return Double(np.where(weight.high == 0.0, 0.0, made.high), made.low)


def times_power(value: Double, base: Double, exponent: float) -> Double:
    """value·base^exponent; powers up to 8 by multiplication, so that none vanishes where the result does not.

    A half is a square root; what else is left of the exponent has the 0.7 ulp of NumPy's power.
    """
    whole = min(int(exponent), 8)
    for _ in range(whole):
        value = value.times(base)
    left = exponent - whole
    if not left:
        return value
    if left == 0.5:
        return value.times(base.root())
    power = base.high**left
    low = power * left * base.low / np.where(base.high == 0.0, 1.0, base.high)
    return value.times(Double(power, low))
