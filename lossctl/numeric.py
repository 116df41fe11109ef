"""Stable primitives shared by the kernels: logarithms, exponentials, sums, and what rounding took."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "atanh_rest",
    "difference",
    "expm1_minus",
    "logsumexp",
    "row_blocks",
    "row_sum",
    "segment_sum",
    "short_by",
    "softplus",
    "sure_sum",
    "two_product",
    "two_sum",
    "xlog1py",
    "xlogy",
]

Array = NDArray[np.float64]


# (artanh(√z)/√z − 1)/z on [0, ¼] within 7e-18, highest power first: Chebyshev's fit at 60 digits.
_ATANH = (
    0.21098097885975797,
    -0.14450491183414468,
    0.13557903913692299,
    0.012292448728540531,
    0.05441915418234587,
    0.05160769881147162,
    0.05893099692590042,
    0.06665886352701884,
    0.07692345940270638,
    0.09090907881509189,
    0.11111111133938968,
    0.14285714285490106,
    0.20000000000000864,
    0.3333333333333333,
)
_HALVES = 134217729.0  # 2²⁷ + 1 splits a double into two of 26 bits


def softplus(x: Array, slack: Array | None = None) -> Array:
    """log(1 + eˣ) without overflow; the tail e^−|x| keeps full relative accuracy for very negative x.

    slack: what rounding took from x; e^x loses |x| times that, so it counts where x is far below zero.
    """
    tail = np.exp(-np.abs(x))
    value: Array = np.maximum(x, 0.0) + np.log1p(tail)
    if slack is None:
        return value
    return value + slack * (np.where(x < 0.0, tail, 1.0) / (1.0 + tail))


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b rounded, and what rounding took (0 where the sum is not finite)."""
    return difference(a, -b)


def difference(a: Array, b: Array) -> tuple[Array, Array]:
    """a − b rounded, and what rounding took (0 where the difference is not finite)."""
    gap = a - b
    part = a - gap
    rest = gap + part
    np.subtract(a, rest, out=rest)
    part -= b
    rest += part
    return gap, _finite(rest)


def _finite(rest: Array) -> Array:
    """The same with 0 for what is not finite; one sum tells whether there is any."""
    return rest if math.isfinite(np.add.reduce(rest, axis=None)) else np.where(np.isfinite(rest), rest, 0.0)


def short_by(first: Array, second: Array, margin: float) -> Array:
    """first − second + margin, rounded once: the margin may all but cancel the difference."""
    gap, slack = difference(first, second)
    total, lost = two_sum(gap, np.full_like(gap, margin))
    return total + (slack + lost)


def two_product(a: Array, b: Array | float) -> tuple[Array, Array]:
    """a·b rounded, and what rounding took, in full between 1e-290 and 1e300 (0 where that overflows)."""
    product = a * b
    high_a, high_b = _HALVES * a, _HALVES * b
    high_a, high_b = high_a - (high_a - a), high_b - (high_b - b)
    low_a, low_b = a - high_a, b - high_b
    rest = high_a * high_b
    rest -= product
    high_a *= low_b
    rest += high_a
    rest += low_a * high_b
    low_a *= low_b
    rest += low_a
    return product, _finite(rest)


def xlogy(x: Array, y: Array) -> Array:
    """x·log(y), with 0·log(0) = 0; the pass that mends it is made only where there is a log(0)."""
    value: Array = np.log(y)
    value *= x
    return value if _above(y, 0.0) else np.where(x == 0.0, 0.0, value)


def xlog1py(x: Array, y: Array) -> Array:
    """x·log(1 + y), with 0·log(0) = 0."""
    value: Array = np.log1p(y)
    value *= x
    return value if _above(y, -1.0) else np.where(x == 0.0, 0.0, value)


def _above(x: Array, bound: float) -> bool:
    return bool(np.min(x, initial=np.inf) > bound)


def logsumexp(x: Array) -> Array:
    """log Σ exp over the last axis, shifted by the maximum; a row of −∞ gives −∞."""
    top = np.max(x, axis=-1, keepdims=True)
    shift = np.where(np.isfinite(top), top, 0.0)
    total: Array = np.log(row_sum(np.exp(x - shift))) + shift[..., 0]
    return total


def row_sum(x: Array) -> Array:
    """Sum over the last axis of a C-contiguous array.

    NumPy adds along a contiguous last axis pairwise and by row, so a row's sum does not depend on how
    many rows are in the block: results stay the same for every chunk size.
    """
    total: Array = np.add.reduce(np.ascontiguousarray(x), axis=-1)
    return total


def sure_sum(x: Array) -> Array:
    """Sum over the last axis as if in twice the precision: terms may cancel."""
    rest = np.zeros(x.shape[:-1])
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        total, lost = two_sum(x[..., :half], x[..., half : 2 * half])
        rest += row_sum(lost)
        x = np.concatenate([total, x[..., 2 * half :]], axis=-1)
    return x[..., 0] + rest


def row_blocks(x: Array, cells: int = 1 << 14) -> Iterator[slice]:
    """Slices of rows of about `cells` numbers, whose temporaries stay in the cache."""
    size = max(cells // max(x.shape[-1], 1), 1)
    for start in range(0, len(x), size):
        yield slice(start, start + size)


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


def atanh_rest(square: Array) -> Array:
    """(artanh(s)/s − 1)/s² for s² ≤ ¼: what log((1 + s)/(1 − s)) is beyond 2s, over 2s³."""
    total = np.full_like(square, _ATANH[0])
    for coefficient in _ATANH[1:]:
        total *= square
        total += coefficient
    return total


def expm1_minus(x: Array) -> Array:
    """eˣ − 1 − x with full relative accuracy near 0: the series x²/2 + x³/6 + … for |x| < 1."""
    small = np.where(np.abs(x) < 1.0, x, 0.0)
    tail = np.ones_like(small)
    for k in range(20, 2, -1):
        tail *= small
        tail *= 1.0 / k
        tail += 1.0
    return np.where(np.abs(x) < 1.0, 0.5 * small * small * tail, np.expm1(x) - x)
