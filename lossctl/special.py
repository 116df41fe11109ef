"""Special functions that NumPy lacks, element by element from Python's math: slower, and right."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

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


def log_factorial_rest(x: Array) -> Array:
    """log Γ(x + 1) − x·log x + x for x ≥ 0: minus the log-probability that Poisson(x) gives to x.

    Never negative, and of the size of ½·log x where its parts are of the size of x·log x.
    """
    high = np.maximum(x, _FROM)
    made = HALF_LOG_TAU + 0.5 * np.log(high) + stirling_rest(high)
    low = x < _FROM
    z = x[low]
    # z + 1 loses the digits of a tiny z: three terms of the Taylor series at 1 do not
    tiny = z * (-0.5772156649015329 + z * (0.8224670334241132 - z * 0.40068563438653143))
    made[low] = np.where(z < 1e-5, tiny, lgamma(z + 1.0)) + (z - np.where(z == 0.0, 0.0, z * np.log(z)))
    return made


def log_ratio(a: Array, b: Array) -> Array:
    """log(a/b) for positive a and b, also where the quotient leaves the range of doubles."""
    quotient = a / b
    plain = (quotient > 1e-290) & (quotient < 1e290)
    return np.where(plain, np.log(quotient), np.log(a) - np.log(b))


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
