"""Stable primitives shared by the kernels: logarithms, exponentials and segment sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "expm1_minus",
    "log1p_minus",
    "log_softmax",
    "logsumexp",
    "row_sum",
    "segment_sum",
    "softplus",
    "xlog1py",
    "xlogy",
]

Array = NDArray[np.float64]


def softplus(x: Array) -> Array:
    """log(1 + eˣ) without overflow; the tail e^−|x| keeps full relative accuracy for very negative x."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def xlogy(x: Array, y: Array) -> Array:
    """x·log(y), with 0·log(0) = 0."""
    return np.where(x == 0.0, 0.0, x * np.log(y))


def xlog1py(x: Array, y: Array) -> Array:
    """x·log(1 + y), with 0·log(0) = 0."""
    return np.where(x == 0.0, 0.0, x * np.log1p(y))


def logsumexp(x: Array) -> Array:
    """log Σ exp over the last axis, shifted by the maximum; a row of −∞ gives −∞."""
    top = np.max(x, axis=-1, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0.0)
    total: Array = np.log(row_sum(np.exp(x - shift))) + shift[..., 0]
    return total


def log_softmax(x: Array) -> Array:
    """log of the softmax over the last axis."""
    return x - logsumexp(x)[..., None]


def row_sum(x: Array) -> Array:
    """Sum over the last axis of a C-contiguous array.

    NumPy adds along a contiguous last axis pairwise and by row, so a row's sum does not depend on how
    many rows are in the block: results stay the same for every chunk size.
    """
    total: Array = np.add.reduce(np.ascontiguousarray(x), axis=-1)
    return total


def segment_sum(values: Array, offsets: NDArray[np.int64]) -> Array:
    """Sum of values[offsets[i]:offsets[i+1]] for each i; an empty segment gives 0.

    `np.add.reduceat` returns a neighbour's value for an empty segment, hence the mask.
    """
    counts = np.diff(offsets)
    total = np.zeros(len(counts))
    filled = counts > 0
    if filled.any():
        total[filled] = np.add.reduceat(values, offsets[:-1][filled])
    return total


def log1p_minus(x: Array) -> Array:
    """log(1 + x) − x with full relative accuracy near 0, where the difference would cancel.

    With s = x/(2 + x), log(1 + x) = 2·atanh(s) and x = 2s/(1 − s), so the difference is
    −x·s + 2s³(1/3 + s²/5 + …): nothing cancels for |x| ≤ ½, where s² ≤ 1/9 and 16 terms reach 1e-17.
    """
    s = x / (2.0 + x)
    square = s * s
    tail = np.zeros_like(s)
    for k in range(35, 1, -2):
        tail = tail * square + 1.0 / k
    near = 2.0 * s * square * tail - x * s
    return np.where(np.abs(x) <= 0.5, near, np.log1p(x) - x)


def expm1_minus(x: Array) -> Array:
    """eˣ − 1 − x with full relative accuracy near 0: the series x²/2 + x³/6 + … for |x| ≤ ½."""
    tail = np.zeros_like(x)
    for k in range(17, 2, -1):
        tail = (tail + 1.0) * (x / k)
    return np.where(np.abs(x) <= 0.5, 0.5 * x * x * (tail + 1.0), np.expm1(x) - x)
