"""Two distances or scores that were computed elsewhere: which should be the smaller, and by how much."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG
from lossctl.errorfree import difference
from lossctl.loss import Array, Binary, Nonneg, Param, Real, Sign, gradient, like, loss
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
from lossctl.numeric import short_by, softplus


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
    return pair_cost(near, distance, similarity(target, similar_label), margin, half, squared)


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
    return pair_slope(distance, similarity(target, similar_label), margin, half, squared)


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
