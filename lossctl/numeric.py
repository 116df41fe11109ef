"""Stable primitives shared by the kernels: logarithms, exponentials and sums."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lossctl.errorfree import difference, finite_rest, raw_two_sum, square_parts, two_sum

__all__ = [
    "NARROW",
    "atanh_rest",
    "expm1_minus",
    "logsumexp",
    "row_blocks",
    "row_sum",
    "segment_sum",
    "short_by",
    "softplus",
    "squared_distance",
    "sum_parts",
    "sure_sum",
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
NARROW = 16  # columns up to which a row's sum is compensated


def softplus(x: Array, slack: Array | None = None) -> Array:
    """log(1 + eˣ) without overflow; the tail e^−|x| keeps full relative accuracy for very negative x.

    slack: what rounding took from x; e^x loses |x| times that, so it counts where x is far below zero.
    """
    tail = np.exp(-np.abs(x))
    rest = np.log1p(tail)
    if slack is not None:
        rest += slack * (np.where(x < 0.0, tail, 1.0) / (1.0 + tail))
    value: Array = np.maximum(x, 0.0) + rest
    return value


def short_by(first: Array, second: Array, margin: float) -> Array:
    """first − second + margin, rounded once: the margin may all but cancel the difference."""
    gap, slack = difference(first, second)
    total, lost = two_sum(gap, np.full_like(gap, margin))
    return total + (slack + lost)


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
    """Sum over the last axis of a C-contiguous array; of up to 16 numbers as by `sure_sum`.

    A row's sum does not depend on how many rows are in the block, so results stay the same for every chunk
    size: NumPy adds along a contiguous last axis pairwise and by row. Compensation takes no longer than that
    up to 6 columns and twice as long with 10; wide rows would take 15 times as long.
    """
    if x.ndim == 2 and 2 < x.shape[1] <= NARROW:
        return sure_sum(x)
    total: Array = np.add.reduce(np.ascontiguousarray(x), axis=-1)
    return total


def sure_sum(x: Array) -> Array:
    """Sums of rows as if in twice the precision: terms may cancel."""
    total, rest = sum_parts(x)
    total += rest
    return total


def sum_parts(x: Array) -> tuple[Array, Array]:
    """Sums of rows, and what rounding took, where they are finite.

    Halves of the columns are added to each other, and so is what rounding took (Ogita, Rump & Oishi, 2005,
    Accurate Sum and Dot Product): the error left is the square of half an ulp, times Σ|x|.
    """
    total, rest = np.zeros(len(x)), np.zeros(len(x))
    if not x.shape[1]:
        return total, rest
    for rows in row_blocks(x):
        part = np.array(x[rows].T, order="C")
        low = np.zeros_like(part)
        while len(part) > 1:
            half = (len(part) + 1) // 2
            pairs = len(part) - half
            part[:pairs], lost = raw_two_sum(part[:pairs], part[half:])
            lost += low[half:]
            low[:pairs] += lost
            part, low = part[:half], low[:half]
        total[rows], rest[rows] = part[0], low[0]
    if not math.isfinite(np.add.reduce(rest)):
        wild = ~np.isfinite(rest)
        total[wild], rest[wild] = np.add.reduce(np.ascontiguousarray(x[wild]), axis=1), 0.0
    return total, rest


def squared_distance(a: Array, b: Array) -> Array:
    """Σ(a − b)² of each row; of up to 16 numbers rounded about once."""
    if a.shape[1] > NARROW:
        gap = a - b
        return row_sum(np.multiply(gap, gap, out=gap))
    total = np.empty(len(a))
    for rows in row_blocks(a):
        total[rows] = row_sum(np.add(*square_parts(a[rows], b[rows])))
    return total


def row_blocks(x: Array, cells: int = 1 << 14) -> Iterator[slice]:
    """Slices of rows of about `cells` numbers, whose temporaries stay in the cache."""
    size = max(cells * len(x) // max(x.size, 1), 1)
    for start in range(0, len(x), size):
        yield slice(start, start + size)


def segment_sum(values: Array, offsets: NDArray[np.int64]) -> Array:
    """Sum of values[offsets[i]:offsets[i+1]] for each i, rounded about once; an empty segment gives 0.

    What of each value is a multiple of one unit per segment adds up without rounding (Rump, Ogita & Oishi,
    2008, Accurate Floating-Point Summation); the rest is less than 2⁻⁵⁰ of the largest value each.
    `np.add.reduceat` returns a neighbour's value for an empty segment, hence the mask.
    """
    counts = np.diff(offsets)
    total = np.zeros(len(counts))
    filled = counts > 0
    if not filled.any():
        return total
    values = values[offsets[0] : offsets[-1]]
    starts, sizes = offsets[:-1][filled] - offsets[0], counts[filled]
    top = np.maximum.reduceat(np.abs(values), starts)
    unit = np.ldexp(1.0, np.frexp(top)[1] + np.frexp(sizes + 2.0)[1]).repeat(sizes)
    high = (values + unit) - unit
    found = np.add.reduceat(high, starts) + np.add.reduceat(values - high, starts)
    plain = np.isfinite(found)
    total[filled] = found if plain.all() else np.where(plain, found, np.add.reduceat(values, starts))
    return total


def atanh_rest(square: Array) -> Array:
    """(artanh(s)/s − 1)/s² for s² ≤ ¼: what log((1 + s)/(1 − s)) is beyond 2s, over 2s³."""
    total = np.full_like(square, _ATANH[0])
    for coefficient in _ATANH[1:]:
        total *= square
        total += coefficient
    return total


_EXPONENTIAL = [2.0 / math.factorial(k) for k in range(22, 2, -1)]


def expm1_minus(x: Array, slack: Array | None = None) -> Array:
    """eˣ − 1 − x with full relative accuracy near 0: x²/2 + x²/2·(x/3 + x²/12 + …) for −1 < x < 1.25.

    slack: what rounding took from x.
    """
    near = (x > -1.0) & (x < 1.25)
    small = np.where(near, x, 0.0)
    tail = np.full_like(small, _EXPONENTIAL[0])
    for coefficient in _EXPONENTIAL[1:]:
        tail *= small
        tail += coefficient
    tail *= small
    half = 0.5 * small * small
    tail *= half
    steep = np.expm1(x)
    if slack is None:
        return np.where(near, half + tail, steep - x)
    slack = finite_rest(slack * steep)
    far, lost = difference(steep, x)
    return np.where(near, half + (tail + slack), far + (lost + slack))
