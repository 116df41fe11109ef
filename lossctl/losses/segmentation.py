"""Overlap of masks: a row is a pixel, or an image as a vector of pixels."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np

from lossctl.domain import NONNEG, POSITIVE, UNIT
from lossctl.loss import Array, BinaryVec, Param, Pooled, Prob, ProbOrLogit, RealVec, gradient, like, loss
from lossctl.losses._overlap import image_slope, parts, ranked_errors, ratio, totals
from lossctl.numeric import row_sum

Smooth = Annotated[float, Param("added once to numerator and denominator", NONNEG)]
Empty = Annotated[
    Literal["1", "0", "skip"],
    Param("score of a pair in which both masks are empty; skip leaves it out"),
]
FromLogits = Annotated[bool, Param("pred holds logits, not probabilities")]


def _dice(both: Any, apart: Any, *, smooth: float, empty: str) -> Any:
    return ratio(apart, 2.0 * both + apart + smooth, empty)


@loss(
    Pooled(_dice, skips=True),
    aliases=("f1-loss",),
    scores=("f1", "f1-score", "dice-score"),
    range=UNIT,
    tasks=("segmentation", "imbalance"),
    scale_free=False,
    likes=(
        like("keras", "keras.losses.Dice", empty="0", note="adds 1e-7 to the denominator"),
        like("smp", "DiceLoss(mode='binary')", note="an empty target costs nothing"),
        like("monai", "DiceLoss(batch=True)", smooth=1e-5, note="adds 1e-5; per image unless batch=True"),
        like(
            "optax",
            "optax.losses.binary_dice_loss",
            smooth=2.0,
            note="logits; adds 1 to half of both; per image",
        ),
        like("kornia", "kornia.losses.dice_loss", exists=False, note="softmax over two or more classes"),
    ),
)
def dice(
    target: Prob,
    pred: ProbOrLogit,
    *,
    smooth: Smooth = 0.0,
    empty: Empty = "1",
    from_logits: FromLogits = False,
) -> tuple[Array, Array]:
    """Dice loss: one minus twice the overlap over the sum of both masks.

    Formula: 1 − (2Σpy + s) / (Σp + Σy + s).
    Gradient: −(2y(Σp + Σy + s) − 2Σpy − s) / (Σp + Σy + s)² for each pixel of a row; 0 for an empty pair.
    Aggregate: pooled over all pixels of all rows; --reduction mean averages the images' own values.
    Use when: the foreground is a small share of the pixels.
    Avoid when: single pixels must be calibrated (bce).
    Numerics: computed as Σ|disagreement| over the sum, which keeps the digits of a small loss; no hidden
        epsilon; a pair of empty masks scores what `empty` says. Rows are within 4 ulp: a ratio of rounded
        sums.
    See also: jaccard orders predictions the same way; tversky weighs the two kinds of error apart.
    References: Dice (1945), Measures of the Amount of Ecologic Association Between Species; Milletari,
        Navab & Ahmadi (2016), V-Net.

    >>> import lossctl
    >>> lossctl.compute("dice", [[1, 1, 0, 0]], [[1, 0, 0, 0]]).value  # 1 − 2·1 / (1 + 2)
    0.3333333333333333
    """
    hit, extra, missed = parts(target, pred, from_logits)
    return hit, extra + missed


@gradient(dice)
def _(target: Array, pred: Array, *, smooth: float, empty: str, from_logits: bool) -> Array:
    y, p = target.reshape(len(target), -1), pred.reshape(len(pred), -1)
    hit, extra, missed = totals(y, p, from_logits)
    apart = extra + missed
    slope = image_slope(y, p, from_logits, apart, 2.0 * hit + apart + smooth, (1.0 - 2.0 * y, 1.0))
    return slope.reshape(pred.shape)


def _jaccard(both: Any, apart: Any, *, smooth: float, empty: str) -> Any:
    return ratio(apart, both + apart + smooth, empty)


@loss(
    Pooled(_jaccard, skips=True),
    aliases=("iou",),
    scores=("iou-score", "miou"),
    range=UNIT,
    tasks=("segmentation", "imbalance"),
    scale_free=False,
    likes=(
        like("smp", "JaccardLoss(mode='binary')", note="an empty target costs nothing"),
        like(
            "monai",
            "DiceLoss(jaccard=True, batch=True)",
            smooth=5e-6,
            note="adds 1e-5 to twice both; per image unless batch=True",
        ),
        like("sklearn", "1 − sklearn.metrics.jaccard_score", empty="0", note="of 0/1 predictions"),
    ),
)
def jaccard(
    target: Prob,
    pred: ProbOrLogit,
    *,
    smooth: Smooth = 0.0,
    empty: Empty = "1",
    from_logits: FromLogits = False,
) -> tuple[Array, Array]:
    """Jaccard loss: one minus the overlap over the union of both masks.

    Formula: 1 − (Σpy + s) / (Σp + Σy − Σpy + s).
    Gradient: −(yU − (1 − y)(Σpy + s)) / U² for each pixel of a row, U the denominator; 0 for an empty pair.
    Aggregate: pooled over all pixels of all rows; --reduction mean averages the images' own values.
    Use when: the intersection over union is what will be reported.
    Avoid when: single pixels must be calibrated (bce).
    Numerics: computed as Σ|disagreement| over the union, which keeps the digits of a small loss; no hidden
        epsilon; a pair of empty masks scores what `empty` says. Rows are within 4 ulp: a ratio of rounded
        sums.
    See also: dice orders predictions the same way; lovasz-hinge takes logits; box-iou takes boxes.
    References: Jaccard (1901), Étude comparative de la distribution florale dans une portion des Alpes et
        des Jura; Rahman & Wang (2016), Optimizing Intersection-Over-Union in Deep Neural Networks.

    >>> import lossctl
    >>> lossctl.compute("jaccard", [[1, 1, 0, 0]], [[1, 0, 0, 0]]).value  # 1 − 1/2
    0.5
    """
    hit, extra, missed = parts(target, pred, from_logits)
    return hit, extra + missed


@gradient(jaccard)
def _(target: Array, pred: Array, *, smooth: float, empty: str, from_logits: bool) -> Array:
    y, p = target.reshape(len(target), -1), pred.reshape(len(pred), -1)
    hit, extra, missed = totals(y, p, from_logits)
    apart = extra + missed
    slope = image_slope(y, p, from_logits, apart, hit + apart + smooth, (1.0 - 2.0 * y, 1.0 - y))
    return slope.reshape(pred.shape)


def _tversky(
    hit: Any, extra: Any, missed: Any, *, alpha: float, beta: float, smooth: float, empty: str
) -> Any:
    wrong = alpha * extra + beta * missed
    return ratio(wrong, hit + wrong + smooth, empty)


Alpha = Annotated[float, Param("weight of false positives", NONNEG)]
Beta = Annotated[float, Param("weight of false negatives", NONNEG)]


@loss(
    Pooled(_tversky, skips=True),
    scores=("precision", "recall", "sensitivity", "specificity", "fbeta", "f2"),
    range=UNIT,
    tasks=("segmentation", "imbalance"),
    scale_free=False,
    likes=(
        like("smp", "TverskyLoss(mode='binary')", note="an empty target costs nothing"),
        like("monai", "TverskyLoss(batch=True)", smooth=1e-5, note="adds 1e-5; per image unless batch=True"),
        like(
            "keras",
            "keras.losses.Tversky",
            exists=False,
            note="up to 3.15.1 its alpha weighs false negatives",
        ),
        like("kornia", "kornia.losses.tversky_loss", exists=False, note="softmax; only alpha + beta matters"),
    ),
)
def tversky(
    target: Prob,
    pred: Prob,
    *,
    alpha: Alpha = 0.5,
    beta: Beta = 0.5,
    smooth: Smooth = 0.0,
    empty: Empty = "1",
) -> tuple[Array, Array, Array]:
    """Tversky loss: dice with separate weights for the two kinds of error.

    Formula: 1 − (TP + s) / (TP + α·FP + β·FN + s), TP = Σpy, FP = Σp(1 − y), FN = Σ(1 − p)y.
    Gradient: −(yD − (TP + s)(y + α(1 − y) − βy)) / D² for each pixel of a row, D the denominator.
    Aggregate: pooled over all pixels of all rows; --reduction mean averages the images' own values.
    Use when: missing foreground is worse than inventing it (β > α), or the reverse.
    Avoid when: both errors weigh the same (dice is α = β = ½, jaccard α = β = 1).
    Numerics: computed as (α·FP + β·FN)/D, which keeps the digits of a small loss; no hidden epsilon. Rows are
        within 4 ulp: a ratio of rounded sums.
    See also: focal-tversky.
    References: Tversky (1977), Features of Similarity; Salehi, Erdogmus & Gholipour (2017), Tversky Loss
        Function for Image Segmentation.

    >>> import lossctl
    >>> spec = "tversky:alpha=0.25:beta=0.75"
    >>> lossctl.compute(spec, [[1, 1, 0]], [[1, 0, 1]]).value  # (¼·1 + ¾·1) / (1 + 1)
    0.5
    """
    return parts(target, pred, False)


def _tversky_slope(
    target: Array, pred: Array, alpha: float, beta: float, smooth: float
) -> tuple[Array, Array]:
    """A row's loss and its gradient."""
    hit, extra, missed = totals(target, pred, False)
    wrong = alpha * extra + beta * missed
    rise = alpha * (1.0 - target) - beta * target
    bottom = hit + wrong + smooth
    slope = image_slope(target, pred, False, wrong, bottom, (rise, target + rise))
    return wrong / np.where(bottom == 0.0, 1.0, bottom), slope


@gradient(tversky)
def _(target: Array, pred: Array, *, alpha: float, beta: float, smooth: float, empty: str) -> Array:
    y, p = target.reshape(len(target), -1), pred.reshape(len(pred), -1)
    return _tversky_slope(y, p, alpha, beta, smooth)[1].reshape(pred.shape)


def _focal_tversky(
    hit: Any,
    extra: Any,
    missed: Any,
    *,
    alpha: float,
    beta: float,
    gamma: float,
    smooth: float,
    empty: str,
) -> Any:
    return _tversky(hit, extra, missed, alpha=alpha, beta=beta, smooth=smooth, empty=empty) ** gamma


@loss(
    Pooled(_focal_tversky, skips=True),
    range=UNIT,
    tasks=("segmentation", "imbalance"),
    scale_free=False,
    likes=(
        like(
            "smp",
            "TverskyLoss(mode='binary', gamma=...)",
            alpha=0.5,
            beta=0.5,
            gamma=1.0,
            note="its defaults make it dice; an empty target costs nothing",
        ),
    ),
)
def focal_tversky(
    target: Prob,
    pred: Prob,
    *,
    alpha: Alpha = 0.3,
    beta: Beta = 0.7,
    gamma: Annotated[float, Param("exponent of the loss", POSITIVE)] = 0.75,
    smooth: Smooth = 0.0,
    empty: Empty = "1",
) -> tuple[Array, Array, Array]:
    """Focal Tversky loss: a power of the Tversky loss, so that hard or easy images weigh more.

    Formula: (1 − TI)^γ, TI the Tversky index of α and β.
    Gradient: γ(1 − TI)^(γ − 1) times that of tversky; 0 where the loss is 0.
    Aggregate: the power of the pooled Tversky loss; --reduction mean averages the images' own values.
    Use when: small structures among easy background; γ < 1 raises the share of nearly solved images.
    Avoid when: values should compare with dice (tversky).
    Numerics: rows are within 4 ulp: a ratio of rounded sums.
    See also: tversky is γ = 1.
    References: Abraham & Khan (2019), A Novel Focal Tversky Loss Function (whose exponent is 1/γ).

    >>> import lossctl
    >>> spec = "focal-tversky:alpha=0.5:beta=0.5:gamma=2"
    >>> lossctl.compute(spec, [[1, 1, 0]], [[1, 0, 1]]).value  # (1/2)²
    0.25
    """
    return parts(target, pred, False)


@gradient(focal_tversky)
def _(
    target: Array, pred: Array, *, alpha: float, beta: float, gamma: float, smooth: float, empty: str
) -> Array:
    y, p = target.reshape(len(target), -1), pred.reshape(len(pred), -1)
    value, slope = _tversky_slope(y, p, alpha, beta, smooth)
    power = np.where(value > 0.0, gamma * np.where(value > 0.0, value, 1.0) ** (gamma - 1.0), 0.0)
    return (power[:, None] * slope).reshape(pred.shape)


@loss(
    range=NONNEG,
    tasks=("segmentation", "imbalance"),
    likes=(
        like("kornia", "kornia.losses.lovasz_hinge_loss"),
        like(
            "smp", "LovaszLoss(mode='binary', per_image=True)", note="over the whole batch unless per_image"
        ),
    ),
)
def lovasz_hinge(target: BinaryVec, pred: RealVec) -> Array:
    """Lovász hinge: the convex surrogate of an image's Jaccard loss, on logits.

    Formula: Σ_i max(0, e_i)·ΔJ_i, e = 1 − z(2y − 1) sorted descending, ΔJ_i the growth of the Jaccard loss
        when the pixel of the i-th largest error becomes wrong.
    Gradient: −(2y − 1)·ΔJ where e > 0, otherwise 0.
    Aggregate: mean over images; an image without foreground costs its largest hinge error.
    Use when: a mask's intersection over union matters and predictions are logits.
    Avoid when: rows are single pixels: the loss is of whole images (jaccard).
    Numerics: counts are exact; the growths come from quotients of counts, not from their differences. Rows of
        up to 10 numbers are within 2 ulp.
    References: Yu & Blaschko (2015), Learning Submodular Losses with the Lovász Hinge; Berman, Rannen
        Triki & Blaschko (2018), The Lovász-Softmax Loss.

    >>> import lossctl
    >>> lossctl.compute("lovasz-hinge", [[1, 0]], [[-1.0, 0.0]]).value  # 2·1 + 1·0
    2.0
    """
    error, weight = ranked_errors(target, pred)
    return row_sum(np.maximum(error, 0.0) * weight)


@gradient(lovasz_hinge)
def _(target: Array, pred: Array) -> Array:
    error, weight = ranked_errors(target, pred)
    return np.where(error > 0.0, weight, 0.0) * np.where(target > 0.5, -1.0, 1.0)
