"""Distances between embeddings that should be near or far."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, POSITIVE, Interval
from lossctl.loss import (
    Array,
    Binary,
    Param,
    RealVec,
    Sign,
    gradient,
    like,
    loss,
)
from lossctl.losses._contrasts import (
    Half,
    Margin,
    PairMargin,
    SimilarLabel,
    Squared,
    pair_cost,
    pair_slope,
    similarity,
)
from lossctl.losses._directions import cosine, cosine_slope
from lossctl.numeric import row_sum, squared_distance


def _distance(first: Array, second: Array, p: float, eps: float, squared: bool) -> Array:
    if squared or p == 2.0:
        pair = (first - second, np.full_like(first, -eps)) if eps else (first, second)
        total = squared_distance(*pair)
        return total if squared else np.sqrt(total)
    size = np.abs(first - second + eps)
    if p == 1.0:
        return row_sum(size)
    root: Array = row_sum(size**p) ** (1.0 / p)
    return root


def _slope(first: Array, second: Array, p: float, eps: float, squared: bool) -> Array:
    """d distance / d first; zero where the two coincide."""
    gap = first - second + eps
    if squared:
        return 2.0 * gap
    reach = _distance(first, second, p, eps, False)[:, None]
    with np.errstate(all="ignore"):
        slope = np.sign(gap) * (np.abs(gap) / reach) ** (p - 1.0)
    return np.where(reach == 0.0, 0.0, slope)


@loss(
    aliases=("triplet-margin",),
    range=NONNEG,
    tasks=("similarity",),
    likes=(
        like(
            "torch", "torch.nn.TripletMarginLoss", eps=1e-6, note="adds 1e-6 to every coordinate difference"
        ),
        like(
            "optax", "optax.losses.triplet_margin_loss", exists=False, note="adds its epsilon under the root"
        ),
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
    Numerics: rows of up to 10 numbers are within 2 ulp of the larger part of the difference.
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


@loss(
    range=NONNEG,
    tasks=("similarity",),
    likes=(
        like(
            "pml",
            "losses.ContrastiveLoss",
            exists=False,
            note="normalises the vectors and averages each side over its non-zero pairs",
        ),
        like("monai", "monai.losses.ContrastiveLoss", exists=False, note="is NT-Xent, see info-nce"),
    ),
)
def contrastive(
    first: RealVec,
    second: RealVec,
    target: Binary,
    *,
    margin: PairMargin = 1.0,
    similar_label: SimilarLabel = 1,
    half: Half = False,
    squared: Squared = True,
) -> Array:
    """Contrastive loss of a pair of vectors: similar ones together, dissimilar ones a margin apart.

    Formula: d² for a similar pair, max(0, m − d)² for a dissimilar one, d = ‖first − second‖; without
        squared d and max(0, m − d).
    Gradient: 2(a − b) if similar, −2(m − d)(a − b)/d if dissimilar and nearer than m, for the first; minus
        that for the second; 0 where both coincide.
    Use when: pairs are labelled as same or different.
    Avoid when: similarity is relative (triplet).
    Numerics: the three published conventions differ by a factor ½ (half) and by which label means similar
        (similar-label); nothing is guessed. Rows of up to 10 numbers are within 2 ulp of the larger part of
        the difference.
    See also: contrastive-distance takes distances, cosine-embedding judges angles.
    References: Hadsell, Chopra & LeCun (2006), Dimensionality Reduction by Learning an Invariant Mapping.

    >>> import lossctl
    >>> first, second = [[0, 0], [0, 0]], [[3, 4], [0, 0.5]]
    >>> lossctl.compute("contrastive", first=first, second=second, target=[1, 0]).value  # (25 + 0.25) / 2
    12.625
    """
    square = squared_distance(first, second)
    distance = np.sqrt(square)
    return pair_cost(
        square if squared else distance, distance, similarity(target, similar_label), margin, half, squared
    )


@gradient(contrastive, "first", "second")
def _(
    first: Array,
    second: Array,
    target: Array,
    *,
    margin: float,
    similar_label: int,
    half: bool,
    squared: bool,
) -> tuple[Array, Array]:
    distance = _distance(first, second, 2.0, 0.0, False)
    by_distance = pair_slope(distance, similarity(target, similar_label), margin, half, squared)
    slope = by_distance[:, None] * _slope(first, second, 2.0, 0.0, False)
    return slope, -slope


@loss(
    range=Interval(0.0, 2.0),
    tasks=("similarity", "margins"),
    likes=(like("torch", "torch.nn.CosineEmbeddingLoss", note="adds 1e-12 to the squared norms"),),
)
def cosine_embedding(
    first: RealVec,
    second: RealVec,
    target: Sign,
    *,
    margin: Annotated[
        float, Param("cosine below which a dissimilar pair costs nothing", Interval(-1.0, 1.0))
    ] = 0.0,
) -> Array:
    """Cosine embedding loss of a pair of vectors: similar ones in one direction, others not.

    Formula: 1 − cos for a target of +1, max(0, cos − m) for −1; a zero vector has cosine 0.
    Gradient: −(b̂ − cos·â)/‖a‖ for the first of a similar pair, the opposite for a dissimilar one that costs.
    Use when: pairs are labelled as same or different and only directions matter.
    Numerics: as cosine-distance: scaled norms, and sin²/(1 + cos) for small angles. Rows of up to 10 numbers
        are within 4 ulp of the larger part of the difference: a ratio of rounded sums.
    See also: contrastive judges distances.
    References: Salton, Wong & Yang (1975), A Vector Space Model for Automatic Indexing.

    >>> import lossctl
    >>> first, second = [[3, 4], [3, 4]], [[4, 3], [4, 3]]
    >>> found = lossctl.compute("cosine-embedding", first=first, second=second, target=[1, -1])
    >>> round(found.value, 12)  # (0.04 + 0.96) / 2
    0.5
    """
    value, away = cosine(first, second, 0.0)
    return np.where(target > 0.0, away, np.maximum(value - margin, 0.0))


@gradient(cosine_embedding, "first", "second")
def _(first: Array, second: Array, target: Array, *, margin: float) -> tuple[Array, Array]:
    over = cosine(first, second, 0.0)[0] > margin
    side = np.where(target > 0.0, -1.0, over.astype(np.float64))[:, None]
    return side * cosine_slope(second, first, 0.0), side * cosine_slope(first, second, 0.0)
