"""Unit vectors and the angle between them, with the digits of small angles."""

from __future__ import annotations

import numpy as np

from lossctl.loss import Array
from lossctl.numeric import row_sum


def unit_rows(x: Array) -> tuple[Array, Array]:
    """Each row divided by its norm, and the norms; a zero row stays zero.

    Rows are scaled by a power of two first, so that no square over- or underflows.
    """
    exponent = np.frexp(np.max(np.abs(x), axis=1))[1]
    scaled = np.ldexp(x, -exponent[:, None])
    size = np.sqrt(row_sum(scaled * scaled))
    return scaled / np.where(size == 0.0, 1.0, size)[:, None], np.ldexp(size, exponent)


def cosine(first: Array, second: Array, eps: float) -> tuple[Array, Array]:
    """The cosine and one minus it, each with its own digits; a zero row has cosine 0.

    Near 1 the latter is ½‖â − b̂‖² of the unit vectors, which does not cancel.
    """
    (a, reach_a), (b, reach_b) = unit_rows(first), unit_rows(second)
    value = np.clip(row_sum(a * b), -1.0, 1.0)
    gap = a - b
    near = 0.5 * row_sum(gap * gap)
    whole = value > 0.5
    if eps:
        whole &= (reach_a >= eps) & (reach_b >= eps)
        value = value * np.minimum(reach_a / eps, 1.0) * np.minimum(reach_b / eps, 1.0)
    return value, np.where(whole, near, 1.0 - value)


def cosine_slope(fixed: Array, moved: Array, eps: float) -> Array:
    """d cosine / d moved; 0 for a zero row without eps."""
    (a, reach_a), (b, reach_b) = unit_rows(fixed), unit_rows(moved)
    away = cosine(a, b, 0.0)[1]
    short = reach_b <= eps
    slope = np.where(short[:, None], a, (a - b) + away[:, None] * b)
    reach = np.where(short, eps or np.inf, reach_b)
    scale = np.minimum(reach_a / eps, 1.0) / reach if eps else 1.0 / reach
    return slope * scale[:, None]
