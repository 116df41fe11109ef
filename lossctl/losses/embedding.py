"""Distances between embeddings that should be near or far."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, POSITIVE
from lossctl.loss import Array, Param, RealVec, gradient, like, loss
from lossctl.numeric import row_sum

Margin = Annotated[float, Param("how much further the negative must be", NONNEG)]


def _distance(first: Array, second: Array, p: float, eps: float, squared: bool) -> Array:
    gap = first - second
    if eps:
        gap = gap + eps
    if squared or p == 2.0:
        total = row_sum(gap * gap)
        return total if squared else np.sqrt(total)
    size = np.abs(gap)
    if p == 1.0:
        return row_sum(size)
    total = row_sum(size**p) ** (1.0 / p)
    return total


@loss(
    aliases=("triplet-margin",),
    range=NONNEG,
    tasks=("similarity",),
    likes=(
        like("torch", "torch.nn.TripletMarginLoss", eps=1e-6, note="adds 1e-6 to every coordinate difference"),
        like("optax", "optax.losses.triplet_margin_loss", exists=False, note="adds its epsilon under the root"),
    ),
)
def triplet(
    anchor: RealVec,
    positive: RealVec,
    negative: RealVec,
    *,
    margin: Margin = 1.0,
    squared: Annotated[bool, Param("squared Euclidean distances, as FaceNet")] = False,
    p: Annotated[float, Param("order of the norm", POSITIVE)] = 2.0,
    swap: Annotated[bool, Param("use the nearer of anchor–negative and positive–negative")] = False,
    eps: Annotated[float, Param("added to every coordinate difference", NONNEG)] = 0.0,
) -> Array:
    """Triplet loss: the positive should be nearer to the anchor than the negative, by the margin.

    Formula: max(0, d(a, p) − d(a, n) + m).
    Gradient: where the loss is positive, (a − p)/d(a, p) − (a − n)/d(a, n) for the anchor.
    Use when: embeddings are judged by relative similarity.
    References: Weinberger & Saul (2009), Distance Metric Learning for Large Margin Nearest Neighbor
        Classification; Schroff, Kalenichenko & Philbin (2015), FaceNet (squared).

    >>> import lossctl
    >>> lossctl.compute("triplet:margin=1", anchor=[[0, 0]], positive=[[3, 4]], negative=[[0, 2]]).value
    4.0
    """
    near = _distance(anchor, positive, p, eps, squared)
    far = _distance(anchor, negative, p, eps, squared)
    if swap:
        far = np.minimum(far, _distance(positive, negative, p, eps, squared))
    return np.maximum(near - far + margin, 0.0)


def _slope(first: Array, second: Array, p: float, eps: float, squared: bool) -> Array:
    """d distance / d first; zero where the two coincide."""
    gap = first - second + eps
    if squared:
        return 2.0 * gap
    reach = _distance(first, second, p, eps, False)[:, None]
    with np.errstate(all="ignore"):
        slope = np.sign(gap) * (np.abs(gap) / reach) ** (p - 1.0)
    return np.where(reach == 0.0, 0.0, slope)


@gradient(triplet, "anchor", "positive", "negative")
def _(
    anchor: Array,
    positive: Array,
    negative: Array,
    *,
    margin: float,
    squared: bool,
    p: float,
    swap: bool,
    eps: float,
) -> tuple[Array, Array, Array]:
    near = _distance(anchor, positive, p, eps, squared)
    far = _distance(anchor, negative, p, eps, squared)
    pull, push = _slope(anchor, positive, p, eps, squared), _slope(anchor, negative, p, eps, squared)
    by_anchor, by_positive, by_negative = pull - push, -pull, push
    if swap:
        other = _distance(positive, negative, p, eps, squared)
        swapped = (other < far)[:, None]
        across = _slope(positive, negative, p, eps, squared)
        far = np.minimum(far, other)
        by_anchor = np.where(swapped, pull, by_anchor)
        by_positive = np.where(swapped, -pull - across, by_positive)
        by_negative = np.where(swapped, across, by_negative)
    active = (near - far + margin > 0.0)[:, None]
    return by_anchor * active, by_positive * active, by_negative * active
