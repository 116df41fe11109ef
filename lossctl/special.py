"""Special functions that NumPy lacks, element by element from Python's math: slower, and right."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lossctl.numeric import atanh_rest, difference, two_product, two_sum

Array = NDArray[np.float64]
HALF_LOG_TAU = 0.5 * math.log(2.0 * math.pi)


def lgamma(x: Array) -> Array:
    """log Γ(x) for x > 0."""
    return np.fromiter(map(math.lgamma, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def erf(x: Array) -> Array:
    """The error function."""
    return np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


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
    made = HALF_LOG_TAU + 0.5 * np.log(high) + stirling_rest(high)
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
    return z * series + (z - np.where(z == 0.0, 0.0, z * np.log(z)))


def _middle_rest(z: Array) -> Array:
    """log_factorial_rest for z ≥ ½: what Stirling's formula leaves at z is more than at z + 1 by
    (z + ½)·log(1 + 1/z) − 1, which is artanh(s)/s − 1 with s = 1/(2z + 1): a sum of positive terms."""
    total = stirling_rest(z + _FROM)
    for step in range(int(_FROM) - 1, -1, -1):
        s = 1.0 / (2.0 * (z + step) + 1.0)
        total += s * s * atanh_rest(s * s)
    return HALF_LOG_TAU + 0.5 * np.log(z) + total


def log_ratio(a: Array, b: Array) -> Array:
    """log(a/b) for positive a and b, also where the quotient leaves the range of doubles."""
    quotient = a / b
    plain = (quotient > 1e-290) & (quotient < 1e290)
    return np.where(plain, np.log(quotient), np.log(a) - np.log(b))


def relative_entropy(a: Array, b: Array, gap: Array | None = None) -> Array:
    """a·log(a/b) − a + b for a ≥ 0 and b > 0: never negative, and all its digits where a is near b.

    gap: a − b, where b is rounded and the difference is known better.

    With s = (a − b)/(a + b) it is s·(a − b + 2a·s²(1/3 + s²/5 + …)), in which little cancels up to
    |s| = ½; the quotient is taken with what rounding took from a + b. Halves, so that no sum overflows.
    """
    gap = a - b if gap is None else gap
    total, lost = two_sum(0.5 * a, 0.5 * b)
    np.maximum(total, 5e-324, out=total)
    s = 0.5 * gap
    s /= total
    square = np.minimum(s * s, 0.25)
    rest = atanh_rest(square)
    rest *= 2.0 * square
    rest *= a
    value: Array = s * (gap + rest)
    value -= value * (lost / total)
    apart = np.abs(s) > 0.5
    if apart.any():
        value[apart] = _apart(a[apart], b[apart])
    return value


def _apart(a: Array, b: Array) -> Array:
    """a·log(a/b) − a + b as it stands, with what rounding took from the quotient."""
    product, lost = two_product(a / b, b)
    slack = ((a - product) - lost) / np.where(a == 0.0, 1.0, a)
    logs = log_ratio(a, b) + np.where(np.isfinite(slack), slack, 0.0)
    bulk, low = two_product(a, logs)
    gap, left = difference(a, b)
    return np.where(a == 0.0, b, (bulk - gap) + (low - left))


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
