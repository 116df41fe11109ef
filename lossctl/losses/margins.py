"""Margins: decision values that should be on the right side, and by enough."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, REAL, Interval
from lossctl.loss import Array, Codes, Label, Param, Real, RealVec, Sign, gradient, like, loss
from lossctl.losses._classes import BOUNDLESS, Classes, logistic, pick, put
from lossctl.numeric import row_sum, short_by, softplus

Margin = Annotated[float, Param("how far on the right side costs nothing", NONNEG)]


@loss(
    range=NONNEG,
    tasks=("binary", "margins"),
    likes=(
        like("keras", "keras.losses.Hinge", note="converts 0/1 labels only if a whole batch is 0/1"),
        like("sklearn", "sklearn.metrics.hinge_loss", note="labels of one class alone are all taken as −1"),
        like("optax", "optax.losses.hinge_loss", note="expects ±1"),
        like("catboost", "HingeLoss"),
        like("torchmetrics", "torchmetrics.HingeLoss", exists=False, note="a sigmoid is applied"),
    ),
)
def hinge(target: Sign, pred: Real, *, margin: Margin = 1.0) -> Array:
    """Hinge loss of a decision value: zero once the right side is reached by the margin.

    Formula: max(0, m − y·z), y = ±1.
    Gradient: −y where y·z < m, otherwise 0.
    Use when: a support vector machine or another maximum-margin classifier is judged on its scores.
    Avoid when: the scores are probabilities (bce, brier).
    See also: squared-hinge, soft-margin.
    References: Cortes & Vapnik (1995), Support-Vector Networks.

    >>> import lossctl
    >>> lossctl.compute("hinge", [1, 0], [0.5, -3]).value  # (0.5 + 0) / 2
    0.25
    """
    return np.maximum(margin - target * pred, 0.0)


@gradient(hinge)
def _(target: Array, pred: Array, *, margin: float) -> Array:
    return np.where(target * pred < margin, -target, 0.0)


@loss(
    range=BOUNDLESS,
    tasks=("binary", "margins"),
    likes=(
        like("keras", "keras.losses.SquaredHinge", note="converts 0/1 labels only if a whole batch is 0/1"),
        like("sklearn", "SGDClassifier(loss='squared_hinge')"),
        like("torchmetrics", "HingeLoss(squared=True)", exists=False, note="a sigmoid is applied"),
    ),
)
def squared_hinge(target: Sign, pred: Real, *, margin: Margin = 1.0) -> Array:
    """Squared hinge loss: hinge with a slope that starts at zero.

    Formula: max(0, m − y·z)², y = ±1.
    Gradient: −2y·max(0, m − y·z).
    Use when: a linear support vector machine with squared slack is judged on its scores.
    Avoid when: single rows may be far on the wrong side: they dominate (hinge, soft-margin).
    See also: hinge.
    References: Chang, Hsieh & Lin (2008), Coordinate Descent Method for Large-scale L2-loss Linear SVM.

    >>> import lossctl
    >>> lossctl.compute("squared-hinge", [1, 0], [0.5, 1]).value  # (0.25 + 4) / 2
    2.125
    """
    short = np.maximum(margin - target * pred, 0.0)
    return short * short


@gradient(squared_hinge)
def _(target: Array, pred: Array, *, margin: float) -> Array:
    return -2.0 * target * np.maximum(margin - target * pred, 0.0)


@loss(
    aliases=("logistic",),
    range=NONNEG,
    best=None,
    tasks=("binary", "margins"),
    likes=(
        like("torch", "torch.nn.SoftMarginLoss", note="infinite where e^(−yz) overflows"),
        like("sklearn", "SGDClassifier(loss='log_loss')"),
    ),
)
def soft_margin(target: Sign, pred: Real) -> Array:
    """Soft margin (logistic) loss of a decision value.

    Formula: log(1 + e^(−y·z)), y = ±1.
    Gradient: −y·σ(−y·z).
    Use when: labels are ±1 and scores are logits; it equals bce from logits.
    See also: bce, hinge.
    References: Berkson (1944), Application of the Logistic Function to Bio-Assay.
    Numerics: max(−yz, 0) + log1p(e^−|z|): no overflow, and full accuracy far on the right side.

    >>> import lossctl
    >>> lossctl.compute("soft-margin", [1, 0], [0, 0]).value  # log 2
    0.6931471805599453
    """
    return softplus(-target * pred)


@gradient(soft_margin)
def _(target: Array, pred: Array) -> Array:
    return -target * logistic(-target * pred)


@loss(
    range=BOUNDLESS,
    best=None,
    tasks=("binary", "margins"),
    likes=(like("sklearn", "GradientBoostingClassifier(loss='exponential')", note="half the log-odds"),),
)
def exponential(target: Sign, pred: Real) -> Array:
    """Exponential loss of a decision value, what AdaBoost minimises.

    Formula: e^(−y·z), y = ±1.
    Gradient: −y·e^(−y·z).
    Use when: the scores of a boosted ensemble are judged.
    Avoid when: labels are noisy: one wrong label far off outweighs everything (soft-margin).
    Numerics: infinite beyond y·z ≈ −709.8.
    References: Freund & Schapire (1997), A Decision-Theoretic Generalization of On-Line Learning.

    >>> import lossctl
    >>> lossctl.compute("exponential", [1, 0], [0, 0]).value
    1.0
    """
    return np.exp(-target * pred)


@gradient(exponential)
def _(target: Array, pred: Array) -> Array:
    return -target * np.exp(-target * pred)


@loss(
    range=REAL,
    best=None,
    tasks=("similarity", "margins"),
    likes=(like("torch", "torch.nn.HingeEmbeddingLoss"),),
)
def hinge_embedding(
    target: Sign,
    pred: Real,
    *,
    margin: Annotated[float, Param("from which distance a dissimilar pair costs nothing", NONNEG)] = 1.0,
) -> Array:
    """Hinge embedding loss of a distance: similar pairs should be near, others at least the margin apart.

    Formula: d for y = 1; max(0, m − d) for y = −1.
    Gradient: 1 for y = 1; −1 for y = −1 where d < m, otherwise 0.
    Use when: pairs carry a measured distance and a similar/dissimilar label; of distances it is at least 0.
    Avoid when: numbers may be negative and are no distances: a similar pair then gains without bound.
    See also: contrastive-distance squares both parts and refuses negative distances.
    References: Hadsell, Chopra & LeCun (2006), Dimensionality Reduction by Learning an Invariant Mapping.

    >>> import lossctl
    >>> lossctl.compute("hinge-embedding", [1, -1], [0.25, 0.5]).value  # (0.25 + 0.5) / 2
    0.375
    """
    return np.where(target > 0.0, pred, np.maximum(margin - pred, 0.0))


@gradient(hinge_embedding)
def _(target: Array, pred: Array, *, margin: float) -> Array:
    return np.where(target > 0.0, 1.0, np.where(pred < margin, -1.0, 0.0))


def _rival(target: Codes, pred: Array) -> tuple[Codes, Array]:
    """The highest scored wrong class, and by how much the true class is short of leading it by 1."""
    others = pred.copy()
    put(others, target, np.full(len(pred), -np.inf))
    rival = np.argmax(others, axis=1)
    return rival, short_by(pick(others, rival), pick(pred, target), 1.0)


@loss(
    aliases=("crammer-singer",),
    range=BOUNDLESS,
    tasks=("multi-class", "margins"),
    likes=(
        like("sklearn", "sklearn.metrics.hinge_loss"),
        like("optax", "optax.losses.multiclass_hinge_loss"),
        like("keras", "keras.losses.CategoricalHinge", exists=False, note="its maximum includes a zero"),
        like("torchmetrics", "torchmetrics.HingeLoss", exists=False, note="a softmax is applied"),
    ),
)
def multiclass_hinge(
    target: Label,
    pred: RealVec,
    *,
    squared: Annotated[bool, Param("the square of it")] = False,
    classes: Classes = None,
) -> Array:
    """Multi-class hinge loss: the true class should lead the best wrong one by 1.

    Formula: max(0, 1 + max_{k≠y} s_k − s_y).
    Gradient: where it is positive, 1 for the best wrong class (the first of ties) and −1 for the true one.
    Use when: a multi-class support vector machine is judged on its scores.
    Avoid when: the scores are probabilities (cross-entropy, brier).
    See also: multi-margin counts every wrong class that comes too near.
    References: Crammer & Singer (2001), On the Algorithmic Implementation of Multiclass Kernel-based Vector
        Machines.

    >>> import lossctl
    >>> lossctl.compute("multiclass-hinge", [0, 2], [[1, 2, 3], [0, 1, 1.5]]).value  # (3 + 0.5) / 2
    1.75
    """
    short = np.maximum(_rival(target, pred)[1], 0.0)
    return short * short if squared else short


@gradient(multiclass_hinge)
def _(target: Codes, pred: Array, *, squared: bool, classes: tuple[str, ...] | None) -> Array:
    rival, short = _rival(target, pred)
    steep = np.where(short > 0.0, 2.0 * short if squared else 1.0, 0.0)
    slope = np.zeros_like(pred)
    put(slope, rival, steep)
    put(slope, target, -steep)
    return slope


def _short_by(target: Codes, pred: Array, margin: float) -> Array:
    """By how much the true class is short of leading each wrong one by the margin."""
    short = np.maximum(short_by(pred, pick(pred, target)[:, None], margin), 0.0)
    put(short, target, np.zeros(len(pred)))
    return short


@loss(
    range=BOUNDLESS,
    tasks=("multi-class", "margins"),
    likes=(like("torch", "torch.nn.MultiMarginLoss"),),
)
def multi_margin(
    target: Label,
    pred: RealVec,
    *,
    p: Annotated[float, Param("power of each shortfall", Interval(1.0, np.inf, open_high=True))] = 1.0,
    margin: Annotated[float, Param("by how much the true class should lead every other", NONNEG)] = 1.0,
    classes: Classes = None,
) -> Array:
    """Multi-margin loss: every wrong class that comes within the margin of the true one costs.

    Formula: (1/K)·Σ_{k≠y} max(0, m − s_y + s_k)^p.
    Gradient: (p/K)·max(0, m − s_y + s_k)^(p−1) for each wrong class within the margin; for the true one minus
        their sum.
    Use when: scores of several classes should be apart, not only the best two.
    Numerics: rows of up to 10 numbers are within 2 ulp.
    See also: multiclass-hinge counts the best wrong class alone.
    References: Weston & Watkins (1999), Support Vector Machines for Multi-Class Pattern Recognition.

    >>> import lossctl
    >>> round(lossctl.compute("multi-margin", [0], [[1, 2, 3]]).value, 12)  # (2 + 3) / 3
    1.666666666667
    """
    short = _short_by(target, pred, margin)
    value: Array = row_sum(short if p == 1.0 else short**p) / pred.shape[1]
    return value


@gradient(multi_margin)
def _(target: Codes, pred: Array, *, p: float, margin: float, classes: tuple[str, ...] | None) -> Array:
    short = _short_by(target, pred, margin)
    slope: Array = np.where(short > 0.0, p * short ** (p - 1.0), 0.0) / pred.shape[1]
    put(slope, target, -row_sum(slope))
    return slope
