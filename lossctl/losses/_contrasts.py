"""What a similar or dissimilar pair costs by its distance, and the options that say so."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, UNIT
from lossctl.loss import Array, Param

Margin = Annotated[float, Param("how much further the negative must be", NONNEG)]
PairMargin = Annotated[float, Param("distance beyond which a dissimilar pair costs nothing", NONNEG)]
SimilarLabel = Annotated[int, Param("target of a similar pair, 1 or 0", UNIT)]
Half = Annotated[bool, Param("half of the value, as in the original papers")]
Squared = Annotated[bool, Param("square the distance and the shortfall")]


def similarity(target: Array, similar_label: int) -> Array:
    return target if similar_label else 1.0 - target


def pair_cost(
    near: Array, distance: Array, similar: Array, margin: float, half: bool, squared: bool
) -> Array:
    """`near` is what a similar pair costs."""
    short = np.maximum(margin - distance, 0.0)
    cost: Array = np.where(similar > 0.5, near, short * short if squared else short)
    return 0.5 * cost if half else cost


def pair_slope(distance: Array, similar: Array, margin: float, half: bool, squared: bool) -> Array:
    """d cost / d distance."""
    short = np.maximum(margin - distance, 0.0)
    pull = 2.0 * distance if squared else np.ones_like(distance)
    push = 2.0 * short if squared else (short > 0.0).astype(np.float64)
    slope = similar * pull - (1.0 - similar) * push
    return 0.5 * slope if half else slope
