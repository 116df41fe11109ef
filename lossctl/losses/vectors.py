"""Vectors against vectors: directions and feature distances."""

from __future__ import annotations

from typing import Annotated

from lossctl.domain import NONNEG, Interval
from lossctl.loss import Array, Param, RealVec, gradient, like, loss
from lossctl.losses._directions import cosine, cosine_slope
from lossctl.numeric import squared_distance

Eps = Annotated[float, Param("lower bound of each norm", NONNEG)]


@loss(
    range=Interval(0.0, 2.0),
    tasks=("similarity",),
    likes=(
        like("torch", "1 − torch.nn.CosineSimilarity", eps=1e-8, note="each norm at least 1e-8"),
        like("optax", "optax.losses.cosine_distance", note="a zero vector gives nan there"),
        like("scipy", "scipy.spatial.distance.cosine", note="a zero vector gives nan there"),
    ),
)
def cosine_distance(target: RealVec, pred: RealVec, *, eps: Eps = 0.0) -> Array:
    """Cosine distance: one minus the cosine of the angle between two vectors.

    Formula: 1 − t·p / (‖t‖‖p‖); a zero vector has no direction and gives 1.
    Gradient: −(t̂ − cos·p̂) / ‖p‖, hats marking unit vectors; 0 for a zero vector.
    Use when: only the direction of an embedding matters.
    Avoid when: lengths carry meaning (perceptual, mse).
    Numerics: norms are scaled against over- and underflow; small angles use sin²/(1 + cos), the sine from
        what is left of one vector without its part along the other, by exact products. Rows of up to 10
        numbers are within 4 ulp: a ratio of rounded sums.
    See also: cosine-proximity is the same minus one; cosine-embedding judges similar and dissimilar pairs.
    References: Salton, Wong & Yang (1975), A Vector Space Model for Automatic Indexing.

    >>> import lossctl
    >>> round(lossctl.compute("cosine-distance", [[3, 4]], [[4, 3]]).value, 12)  # 1 − 24/25
    0.04
    """
    return cosine(target, pred, eps)[1]


@gradient(cosine_distance)
def _(target: Array, pred: Array, *, eps: float) -> Array:
    return -cosine_slope(target, pred, eps)


@loss(
    aliases=("cosine-similarity",),
    range=Interval(-1.0, 1.0),
    best=-1.0,
    tasks=("similarity",),
    likes=(
        like(
            "keras",
            "keras.losses.CosineSimilarity",
            eps=1e-7,
            note="each norm at least 1e-7; the metric of that name has the other sign",
        ),
        like("torch", "−torch.nn.CosineSimilarity", eps=1e-8, note="each norm at least 1e-8"),
        like("optax", "−optax.losses.cosine_similarity", note="a zero vector gives nan there"),
        like("torchmetrics", "−torchmetrics.CosineSimilarity", note="sums over rows unless told otherwise"),
    ),
)
def cosine_proximity(target: RealVec, pred: RealVec, *, eps: Eps = 0.0) -> Array:
    """Cosine proximity: minus the cosine of the angle between two vectors.

    Formula: −t·p / (‖t‖‖p‖); a zero vector has no direction and gives 0.
    Gradient: −(t̂ − cos·p̂) / ‖p‖, hats marking unit vectors; 0 for a zero vector.
    Use when: only the direction of an embedding matters; the sign makes smaller better.
    Avoid when: the value should vanish for a perfect prediction (cosine-distance).
    Numerics: norms are scaled against over- and underflow. Rows of up to 10 numbers are within 2 ulp of the
        larger part of the difference.
    References: Salton, Wong & Yang (1975), A Vector Space Model for Automatic Indexing.

    >>> import lossctl
    >>> round(lossctl.compute("cosine-proximity", [[3, 4]], [[4, 3]]).value, 12)  # −24/25
    -0.96
    """
    return 0.0 - cosine(target, pred, eps)[0]


@gradient(cosine_proximity)
def _(target: Array, pred: Array, *, eps: float) -> Array:
    return -cosine_slope(target, pred, eps)


@loss(
    range=NONNEG,
    tasks=("images", "similarity"),
    likes=(
        like("torch", "torch.nn.MSELoss(reduction='none') of one layer's features, summed per row"),
        like("monai", "monai.losses.PerceptualLoss", exists=False, note="runs a network to get its features"),
    ),
)
def perceptual(
    target: RealVec,
    pred: RealVec,
    *,
    normalize: Annotated[bool, Param("divide by the number of features")] = False,
) -> Array:
    """Perceptual loss of one layer: squared distance between a network's features of both images.

    Formula: Σ_k (φ_k(pred) − φ_k(target))², the mean over k with normalize.
    Gradient: 2(φ(pred) − φ(target)) with respect to the features.
    Aggregate: mean over rows; several layers are a sum of losses, each bound to its own columns.
    Use when: images should look alike rather than agree pixel by pixel; features come from the data.
    Numerics: rows of up to 10 numbers are within 2 ulp.
    See also: mse of pixels, ssim-loss.
    References: Johnson, Alahi & Fei-Fei (2016), Perceptual Losses for Real-Time Style Transfer and
        Super-Resolution.

    >>> import lossctl
    >>> lossctl.compute("perceptual", [[1, 2, 3]], [[2, 0, 3]]).value  # 1 + 4 + 0
    5.0
    """
    total = squared_distance(pred, target)
    return total / pred.shape[1] if normalize else total


@gradient(perceptual)
def _(target: Array, pred: Array, *, normalize: bool) -> Array:
    return (2.0 / pred.shape[1] if normalize else 2.0) * (pred - target)
