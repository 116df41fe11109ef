"""Special functions that NumPy lacks, element by element from Python's math: slower, and right."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def lgamma(x: Array) -> Array:
    """log Γ(x) for x > 0."""
    return np.fromiter(map(math.lgamma, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def erf(x: Array) -> Array:
    """The error function."""
    return np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def stirling_rest(x: Array) -> Array:
    """log Γ(x) − [(x − ½)·log x − x + ½·log 2π], to double precision for x ≥ 100."""
    inverse = 1.0 / x
    square = inverse * inverse
    return inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square / 1260.0))


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
