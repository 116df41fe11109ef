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
