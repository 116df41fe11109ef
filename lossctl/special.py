"""Functions that NumPy lacks, or has with fewer digits than a kernel needs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lossctl.elementary import log_ratio_parts, weighted
from lossctl.errorfree import Double, two_product, two_sum
from lossctl.numeric import atanh_rest

Array = NDArray[np.float64]
HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)


def lgamma(x: Array) -> Array:
    """log Γ(x) for x > 0."""
    return np.fromiter(map(math.lgamma, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def erf(x: Array) -> Array:
    """The error function."""
    return np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def erfc(x: Array) -> Array:
    """One minus the error function."""
    return np.fromiter(map(math.erfc, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


_TINY, _LIFT = 1e-280, 2.0**400
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400)
_FROM = 8.0  # from here on Stirling's terms reach the last bit


def stirling_rest(x: Array) -> Array:
    """log Γ(x) − [(x − ½)·log x − x + ½·log 2π], to double precision for x ≥ 8."""
    inverse = 1.0 / x
    square = inverse * inverse
    total = np.zeros_like(x)
    for coefficient in reversed(_STIRLING):
        total = total * square + coefficient
    return inverse * total


# log Γ(1 + z)/z on [0, ½] within 2e-17, highest power first: Chebyshev's fit at 40 digits.
_GAMMA = (
    0.002504762399546448,
    -0.01272632447473824,
    0.03193370642462208,
    -0.05436134645692531,
    0.07346549526022364,
    -0.08765852421959457,
    0.09926932274753236,
    -0.11117769346270144,
    0.1254878881059108,
    -0.144047713066944,
    0.16955702463289418,
    -0.20738554401054143,
    0.27058080823138425,
    -0.40068563438363325,
    0.8224670334240962,
    -0.5772156649015329,
)


def log_factorial_rest(x: Array) -> Array:
    """log Γ(x + 1) − x·log x + x for x ≥ 0: minus the log-probability that Poisson(x) gives to x.

    Never negative, and of the size of ½·log x where its parts are of the size of x·log x.
    """
    high = np.maximum(x, _FROM)
    made = (HALF_LOG_TAU + stirling_rest(high)) + 0.5 * np.log(high)
    low = x < _FROM
    z = x[low]
    made[low] = np.where(z < 0.5, _small_rest(np.minimum(z, 0.5)), _middle_rest(np.maximum(z, 0.5)))
    return made


def _small_rest(z: Array) -> Array:
    """log_factorial_rest for z ≤ ½; z + 1 would lose digits of z."""
    series = np.full_like(z, _GAMMA[0])
    for coefficient in _GAMMA[1:]:
        series *= z
        series += coefficient
    bulk, low = two_product(z, -np.log(np.where(z == 0.0, 1.0, z)))
    return bulk + (z * (1.0 + series) + np.where(z < _TINY, 0.0, low))


def gosper_rest(x: Array) -> Array:
    """log_factorial_rest(x) − ½·log(2π(x + ⅙)): below 0.03 in size, tending to 0 (Gosper, 1978, Decision
    procedure for indefinite hypergeometric summation)."""
    high = np.maximum(x, _FROM)
    made = stirling_rest(high) - 0.5 * np.log1p(1.0 / (6.0 * high))
    low = x < _FROM
    z = x[low]
    middle = np.maximum(z, 0.5)
    rest = _stirling_at(middle) - 0.5 * np.log1p(1.0 / (6.0 * middle))
    small = _small_rest(np.minimum(z, 0.5)) - (HALF_LOG_TAU + 0.5 * np.log(z + 1.0 / 6.0))
    made[low] = np.where(z < 0.5, small, rest)
    return made


def _middle_rest(z: Array) -> Array:
    """log_factorial_rest for z ≥ ½."""
    return HALF_LOG_TAU + (0.5 * np.log(z) + _stirling_at(z))


def _stirling_at(z: Array) -> Array:
    """What Stirling's formula leaves for z ≥ ½: at z it is more than at z + 1 by (z + ½)·log(1 + 1/z) − 1,
    which is artanh(s)/s − 1 with s = 1/(2z + 1): a sum of positive terms."""
    total = stirling_rest(z + _FROM)
    for step in range(int(_FROM) - 1, -1, -1):
        s = 1.0 / (2.0 * (z + step) + 1.0)
        total += s * s * atanh_rest(s * s)
    return total


def log_ratio(a: Array, b: Array) -> Array:
    """log(a/b) for positive a and b, also where the quotient leaves the range of doubles."""
    quotient = a / b
    plain = (quotient > 1e-290) & (quotient < 1e290)
    return np.where(plain, np.log(quotient), np.log(a) - np.log(b))


def relative_entropy(a: Array, b: Array | Double, gap: Double | None = None) -> Array:
    """a·log(a/b) − a + b for a ≥ 0 and b > 0, within 1.5 ulp: never negative, also where a is near b.

    gap: a − b, where it is known better than b.

    With s = (a − b)/(a + b) it is s·(a − b)·(1 + s(1 + s)(1/3 + s²/5 + …)), in which little cancels up to
    |s| = ½; quotient and product are taken with what rounding took. Halves, so that no sum overflows.
    """
    b = b if isinstance(b, Double) else Double(b)
    gap = Double(a).minus(b) if gap is None else gap
    total, lost = two_sum(0.5 * a, 0.5 * b.high)
    tiny = (total < _TINY) & (np.maximum(a, b.high) > 0.0)
    np.maximum(total, _TINY, out=total)
    share = gap.scaled(0.5).over(Double(total, lost + 0.5 * b.low))
    s = share.high
    square = np.minimum(s * s, 0.25)
    value, rest = two_product(gap.high, s)
    rest += gap.high * share.low + s * gap.low
    rest += value * (s * (1.0 + s) * atanh_rest(square))
    value += rest
    apart = np.abs(s) > 0.5
    if apart.any():
        value[apart] = _apart(Double(a[apart]), b.take(apart))
    if tiny.any():  # what rounding took would be lost below the doubles
        lifted = b.take(tiny).scaled(_LIFT), gap.take(tiny).scaled(_LIFT)
        value[tiny] = relative_entropy(a[tiny] * _LIFT, *lifted) / _LIFT
    return value


def _apart(a: Double, b: Double) -> Array:
    """a·log(a/b) − a + b as it stands, in twice the digits."""
    return weighted(a, log_ratio_parts(a, b)).minus(a.minus(b)).rounded


def digamma(x: Array) -> Array:
    """d log Γ(x)/dx for x > 0: stepped up to x ≥ 10, where the asymptotic series holds to 1e-15."""
    step = np.array(x, dtype=np.float64)
    total = np.zeros_like(step)
    for _ in range(10):
        low = step < 10.0
        total = total - np.where(low, 1.0 / step, 0.0)
        step = np.where(low, step + 1.0, step)
    square = 1.0 / (step * step)
    tail = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    return total + np.log(step) - 0.5 / step - tail
