"""Distances between embeddings that should be near or far."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, POSITIVE, UNIT, Interval
from lossctl.loss import (
    Array,
    Binary,
    Nonneg,
    Param,
    Real,
    RealVec,
    Sign,
    gradient,
    like,
    loss,
)
from lossctl.losses._directions import cosine, cosine_slope
from lossctl.numeric import difference, row_sum, short_by, softplus

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


PairMargin = Annotated[float, Param("distance beyond which a dissimilar pair costs nothing", NONNEG)]
SimilarLabel = Annotated[int, Param("target of a similar pair, 1 or 0", UNIT)]
Half = Annotated[bool, Param("half of the value, as in the original papers")]
Squared = Annotated[bool, Param("square the distance and the shortfall")]


def _similarity(target: Array, similar_label: int) -> Array:
    return target if similar_label else 1.0 - target


def _pair_cost(
    near: Array, distance: Array, similar: Array, margin: float, half: bool, squared: bool
) -> Array:
    """`near` is what a similar pair costs."""
    short = np.maximum(margin - distance, 0.0)
    cost: Array = np.where(similar > 0.5, near, short * short if squared else short)
    return 0.5 * cost if half else cost


def _pair_slope(distance: Array, similar: Array, margin: float, half: bool, squared: bool) -> Array:
    """d cost / d distance."""
    short = np.maximum(margin - distance, 0.0)
    pull = 2.0 * distance if squared else np.ones_like(distance)
    push = 2.0 * short if squared else (short > 0.0).astype(np.float64)
    slope = similar * pull - (1.0 - similar) * push
    return 0.5 * slope if half else slope


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
    Numerics: rows of up to 10 numbers are within 4 ulp of the larger part of the difference.
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
        (similar-label); nothing is guessed. Rows of up to 10 numbers are within 4 ulp of the larger part of
        the difference.
    See also: contrastive-distance takes distances, cosine-embedding judges angles.
    References: Hadsell, Chopra & LeCun (2006), Dimensionality Reduction by Learning an Invariant Mapping.

    >>> import lossctl
    >>> first, second = [[0, 0], [0, 0]], [[3, 4], [0, 0.5]]
    >>> lossctl.compute("contrastive", first=first, second=second, target=[1, 0]).value  # (25 + 0.25) / 2
    12.625
    """
    distance = _distance(first, second, 2.0, 0.0, False)
    near = _distance(first, second, 2.0, 0.0, True) if squared else distance
    return _pair_cost(near, distance, _similarity(target, similar_label), margin, half, squared)


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
    by_distance = _pair_slope(distance, _similarity(target, similar_label), margin, half, squared)
    slope = by_distance[:, None] * _slope(first, second, 2.0, 0.0, False)
    return slope, -slope


@loss(
    range=NONNEG,
    tasks=("similarity",),
    likes=(like("tensorflow-addons", "tfa.losses.contrastive_loss"),),
)
def contrastive_distance(
    distance: Nonneg,
    target: Binary,
    *,
    margin: PairMargin = 1.0,
    similar_label: SimilarLabel = 1,
    half: Half = False,
    squared: Squared = True,
) -> Array:
    """Contrastive loss of a pair whose distance is given.

    Formula: d² for a similar pair, max(0, m − d)² for a dissimilar one; without squared d and max(0, m − d).
    Gradient: 2d if similar, −2·max(0, m − d) if dissimilar.
    Use when: distances were computed elsewhere, by whatever measure.
    See also: contrastive takes the vectors.
    References: Hadsell, Chopra & LeCun (2006), Dimensionality Reduction by Learning an Invariant Mapping.

    >>> import lossctl
    >>> spec = "contrastive-distance:half=true"
    >>> lossctl.compute(spec, distance=[2, 0.5], target=[1, 0]).value  # (2 + 0.125) / 2
    1.0625
    """
    near = distance * distance if squared else distance
    return _pair_cost(near, distance, _similarity(target, similar_label), margin, half, squared)


@gradient(contrastive_distance, "distance")
def _(
    distance: Array,
    target: Array,
    *,
    margin: float,
    similar_label: int,
    half: bool,
    squared: bool,
) -> Array:
    return _pair_slope(distance, _similarity(target, similar_label), margin, half, squared)


@loss(
    range=NONNEG,
    tasks=("similarity",),
    likes=(like("torch", "torch.nn.TripletMarginWithDistanceLoss"),),
)
def triplet_distance(positive: Nonneg, negative: Nonneg, *, margin: Margin = 1.0) -> Array:
    """Triplet loss of two given distances from the anchor.

    Formula: max(0, d₊ − d₋ + m).
    Gradient: 1 for the positive's distance and −1 for the negative's where the loss is positive.
    Use when: distances were computed elsewhere, by whatever measure.
    Numerics: difference and margin are added as if exactly and rounded once.
    See also: triplet takes the vectors.
    References: Weinberger & Saul (2009), Distance Metric Learning for Large Margin Nearest Neighbor
        Classification.

    >>> import lossctl
    >>> lossctl.compute("triplet-distance", positive=[5, 1], negative=[2, 3]).value  # (4 + 0) / 2
    2.0
    """
    return np.maximum(short_by(positive, negative, margin), 0.0)


@gradient(triplet_distance, "positive", "negative")
def _(positive: Array, negative: Array, *, margin: float) -> tuple[Array, Array]:
    active = (positive - negative + margin > 0.0).astype(np.float64)
    return active, 0.0 - active


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
    Numerics: as cosine-distance: scaled norms, and ½‖â − b̂‖² for small angles. Rows of up to 10 numbers
        are within 4 ulp of the larger part of the difference.
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


@loss(
    range=NONNEG,
    tasks=("ranking", "margins"),
    likes=(like("torch", "torch.nn.MarginRankingLoss"),),
)
def margin_ranking(
    first: Real,
    second: Real,
    target: Sign,
    *,
    margin: Annotated[float, Param("how far ahead the better score must be", NONNEG)] = 0.0,
) -> Array:
    """Margin ranking loss: the first score should be above the second (+1) or below it (−1).

    Formula: max(0, −y(s₁ − s₂) + m), y = ±1.
    Gradient: −y for the first and y for the second where the loss is positive.
    Use when: pairs say which of two is better.
    Numerics: difference and margin are added as if exactly and rounded once.
    See also: bpr is its smooth relative, ranknet takes all pairs of a group.
    References: Herbrich, Graepel & Obermayer (2000), Large Margin Rank Boundaries for Ordinal Regression.

    >>> import lossctl
    >>> lossctl.compute("margin-ranking", first=[1, 1], second=[3, 3], target=[1, -1]).value  # (2 + 0) / 2
    1.0
    """
    return np.maximum(short_by(target * second, target * first, margin), 0.0)


@gradient(margin_ranking, "first", "second")
def _(first: Array, second: Array, target: Array, *, margin: float) -> tuple[Array, Array]:
    slope = np.where(margin - target * (first - second) > 0.0, -target, 0.0)
    return slope, -slope


@loss(
    range=NONNEG,
    tasks=("ranking",),
    likes=(like("torch", "−torch.nn.functional.logsigmoid(positive − negative)"),),
)
def bpr(positive: Real, negative: Real) -> Array:
    """Bayesian personalised ranking: a chosen item should score above one that was not.

    Formula: −log σ(s₊ − s₋) = log(1 + e^−(s₊ − s₋)).
    Gradient: −σ(s₋ − s₊) for the positive and +σ(s₋ − s₊) for the negative.
    Use when: a recommender is judged on pairs of a chosen and another item.
    Numerics: softplus, which neither overflows nor loses the tail.
    See also: ranknet forms the pairs itself.
    References: Rendle, Freudenthaler, Gantner & Schmidt-Thieme (2009), BPR: Bayesian Personalized Ranking
        from Implicit Feedback.

    >>> import lossctl
    >>> lossctl.compute("bpr", positive=[1.5], negative=[1.5]).value  # log 2
    0.6931471805599453
    """
    return softplus(*difference(negative, positive))


@gradient(bpr, "positive", "negative")
def _(positive: Array, negative: Array) -> tuple[Array, Array]:
    slope = np.exp(-softplus(positive - negative))
    return -slope, slope
