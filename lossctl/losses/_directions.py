"""Unit vectors and the angle between them, with the digits of small angles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lossctl.errorfree import Double, square_parts, two_product, two_sum
from lossctl.loss import Array
from lossctl.numeric import NARROW, row_blocks, row_sum, sum_parts


def scaled_rows(x: Array) -> tuple[Array, NDArray[np.int32]]:
    """Each row over a power of two that makes its largest number about one, and the exponents."""
    exponent = np.frexp(np.max(np.abs(x), axis=1))[1]
    return np.ldexp(x, -exponent[:, None]), exponent


def unit_rows(x: Array) -> tuple[Array, Array]:
    """Each row divided by its norm, and the norms; a zero row stays zero.

    Rows are scaled by a power of two first, so that no square over- or underflows.
    """
    scaled, exponent = scaled_rows(x)
    size = np.sqrt(row_sum(scaled * scaled))
    return scaled / np.where(size == 0.0, 1.0, size)[:, None], np.ldexp(size, exponent)


def square_sum(x: Array) -> Double:
    """Σx² of each row; of up to 16 numbers in twice the digits."""
    if x.shape[1] > NARROW:
        return Double(row_sum(x * x))
    return Double(*sum_parts(np.concatenate(square_parts(x, np.zeros_like(x)), axis=1)))


def _off_axis(a: Array, b: Array) -> Double:
    """sin² of the angle between rows of length about one: of what is left of b without its part along a.

    With a_m the largest number of a, a_m·b − b_m·a has no part along that axis, and its digits are those of
    exact products, however near the rows are to parallel; what is left of it along a is no larger than it.
    """
    rows, most = np.arange(len(a)), np.argmax(np.abs(a), axis=1)
    top, other = a[rows, most], b[rows, most]
    (bulk, lost), (part, cut) = two_product(b, top[:, None]), two_product(a, other[:, None])
    left = (bulk - part) + (lost - cut)
    left -= a * (row_sum(left * a) / row_sum(a * a))[:, None]
    return square_sum(left).over(square_sum(b).times(Double(top)).times(Double(top)))


def cosine(first: Array, second: Array, eps: float) -> tuple[Array, Array]:
    """The cosine and one minus it, each with its own digits; a zero row has cosine 0."""
    value, away = np.empty(len(first)), np.empty(len(first))
    for rows in row_blocks(first):
        value[rows], away[rows] = _block_cosine(first[rows], second[rows], eps)
    return value, away


def _block_cosine(first: Array, second: Array, eps: float) -> tuple[Array, Array]:
    """Near 1 one minus it is sin²/(1 + cos), which does not cancel."""
    (a, up_a), (b, up_b) = scaled_rows(first), scaled_rows(second)
    square_a, square_b = row_sum(a * a), row_sum(b * b)
    size = np.sqrt(square_a * square_b)
    value = np.clip(row_sum(a * b) / np.where(size == 0.0, 1.0, size), -1.0, 1.0)
    near = value > 0.5
    if eps:
        reach_a, reach_b = np.ldexp(np.sqrt(square_a), up_a), np.ldexp(np.sqrt(square_b), up_b)
        near &= (reach_a >= eps) & (reach_b >= eps)
        value = value * np.minimum(reach_a / eps, 1.0) * np.minimum(reach_b / eps, 1.0)
    away = 1.0 - value
    whole = Double(*two_sum(np.ones(np.count_nonzero(near)), value[near]))
    away[near] = _off_axis(a[near], b[near]).over(whole).rounded
    return value, away


def cosine_slope(fixed: Array, moved: Array, eps: float) -> Array:
    """d cosine / d moved; 0 for a zero row without eps."""
    (a, reach_a), (b, reach_b) = unit_rows(fixed), unit_rows(moved)
    away = cosine(a, b, 0.0)[1]
    short = reach_b <= eps
    slope = np.where(short[:, None], a, (a - b) + away[:, None] * b)
    reach = np.where(short, eps or np.inf, reach_b)
    scale = np.minimum(reach_a / eps, 1.0) / reach if eps else 1.0 / reach
    return slope * scale[:, None]
