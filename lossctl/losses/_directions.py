"""Unit vectors and the angle between them, with the digits of small angles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lossctl.loss import Array
from lossctl.numeric import row_blocks, row_sum, two_product


def _scaled(x: Array) -> tuple[Array, NDArray[np.int32]]:
    """Each row over a power of two that makes its largest number about one, and the exponents."""
    exponent = np.frexp(np.max(np.abs(x), axis=1))[1]
    return np.ldexp(x, -exponent[:, None]), exponent


def unit_rows(x: Array) -> tuple[Array, Array]:
    """Each row divided by its norm, and the norms; a zero row stays zero.

    Rows are scaled by a power of two first, so that no square over- or underflows.
    """
    scaled, exponent = _scaled(x)
    size = np.sqrt(row_sum(scaled * scaled))
    return scaled / np.where(size == 0.0, 1.0, size)[:, None], np.ldexp(size, exponent)


def _off_axis(a: Array, b: Array) -> Array:
    """sin² of the angle between rows of length about one: of what is left of b without its part along a.

    The first subtraction is exact but for the error of the factor, which two more take away.
    """
    square = row_sum(a * a)[:, None]
    along, lost = two_product(a, row_sum(a * b)[:, None] / square)
    left = (b - along) - lost
    for _ in range(2):
        left = left - a * (row_sum(left * a)[:, None] / square)
    sine: Array = row_sum(left * left) / row_sum(b * b)
    return sine


def cosine(first: Array, second: Array, eps: float) -> tuple[Array, Array]:
    """The cosine and one minus it, each with its own digits; a zero row has cosine 0.

    Near 1 the latter is sin²/(1 + cos), which does not cancel.
    """
    (a, reach_a), (b, reach_b) = unit_rows(first), unit_rows(second)
    value = np.clip(row_sum(a * b), -1.0, 1.0)
    whole = value > 0.5
    if eps:
        whole &= (reach_a >= eps) & (reach_b >= eps)
        value = value * np.minimum(reach_a / eps, 1.0) * np.minimum(reach_b / eps, 1.0)
    away = 1.0 - value
    rows = np.flatnonzero(whole)
    for part in row_blocks(np.broadcast_to(first[:1], (len(rows), first.shape[1]))):
        near = rows[part]
        away[near] = _off_axis(_scaled(first[near])[0], _scaled(second[near])[0]) / (1.0 + value[near])
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
