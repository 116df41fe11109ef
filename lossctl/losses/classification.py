"""Errors of predicted classes: probabilities, logits and decision values against labels."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, REAL, UNIT, Interval
from lossctl.loss import (
    Array,
    BadValue,
    ClassScores,
    Codes,
    LabelOrSoft,
    Masked,
    Param,
    Prob,
    ProbOrLogit,
    Real,
    Sign,
    gradient,
    like,
    loss,
)
from lossctl.numeric import logsumexp, row_sum, softplus, xlog1py, xlogy

HALF = Interval(0.0, 0.5, open_high=True)

FromLogits = Annotated[bool, Param("pred holds logits, not probabilities")]
FromLogProbs = Annotated[bool, Param("pred holds log-probabilities")]
Eps = Annotated[float, Param("clip probabilities into [eps, 1 − eps] (vectors: [eps, 1])", HALF)]
Smoothing = Annotated[float, Param("share of each target spread over the classes", UNIT)]
ClassWeights = Annotated[tuple[float, ...] | None, Param("one weight per class", NONNEG)]
IgnoreIndex = Annotated[int | None, Param("rows with this label are left out")]
Classes = Annotated[tuple[str, ...] | None, Param("class names in column order, for text labels")]


@loss(
    aliases=("log-loss", "binary-cross-entropy"),
    range=Interval(0.0, np.inf),
    best=None,
    tasks=("binary", "multi-label"),
    likes=(
        like("torch", "torch.nn.BCELoss / BCEWithLogitsLoss", log_floor=-100.0, note="log clamped at −100"),
        like("keras", "keras.losses.BinaryCrossentropy", eps=1e-7, note="clips to [1e-7, 1 − 1e-7]"),
        like("sklearn", "sklearn.metrics.log_loss", eps=2.220446049250313e-16, note="clips to machine epsilon"),
        like("optax", "optax.losses.sigmoid_binary_cross_entropy", note="logits only"),
        like("xgboost", "logloss", log_floor=-36.841361487904734, note="log clamped at log 1e-16"),
        like("lightgbm", "binary_logloss", eps=1e-15, note="clips at 1e-15"),
        like("catboost", "Logloss", note="raw values are logits"),
    ),
)
def bce(
    target: Prob,
    pred: ProbOrLogit,
    *,
    from_logits: FromLogits = False,
    eps: Eps = 0.0,
    log_floor: Annotated[float | None, Param("lower bound of each logarithm", Interval(-np.inf, 0.0))] = None,
    pos_weight: Annotated[float, Param("factor on the positive part", NONNEG)] = 1.0,
    label_smoothing: Smoothing = 0.0,
) -> Array:
    """Binary cross-entropy: minus the log-likelihood of a 0/1 target under the predicted probability.

    Formula: −[y·log p + (1 − y)·log(1 − p)]; from logits z: max(z, 0) − zy + log(1 + e^−|z|).
    Gradient: (p − y) / (p(1 − p)); from logits σ(z) − y.
    Use when: probabilities of one class, or of several independent labels (vector rows), are judged.
    Avoid when: classes exclude each other (cross-entropy).
    Numerics: log1p for the negative part; 0·log 0 = 0; a certain and wrong prediction is infinite unless
        eps or log-floor bounds it.
    See also: brier is bounded; binary-focal down-weights easy rows.
    References: Good (1952), Rational Decisions.

    >>> import lossctl
    >>> round(lossctl.compute("bce", [1, 0], [0.5, 0.75]).value, 12)  # (log 2 + log 4) / 2
    1.039720770840
    """
    y = target * (1.0 - label_smoothing) + 0.5 * label_smoothing if label_smoothing else target
    if from_logits:
        if pos_weight == 1.0:
            return softplus(pred) - pred * y
        return (1.0 - y) * pred + (1.0 + (pos_weight - 1.0) * y) * softplus(-pred)
    p = np.clip(pred, eps, 1.0 - eps) if eps else pred
    if log_floor is None:
        return -(pos_weight * xlogy(y, p) + xlog1py(1.0 - y, -p))
    hit = np.maximum(np.log(p), log_floor)
    miss = np.maximum(np.log1p(-p), log_floor)
    return -(pos_weight * y * hit + (1.0 - y) * miss)


@gradient(bce)
def _(
    target: Array,
    pred: Array,
    *,
    from_logits: bool,
    eps: float,
    log_floor: float | None,
    pos_weight: float,
    label_smoothing: float,
) -> Array:
    y = target * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        p = np.exp(-softplus(-pred))
        return p * (1.0 - y + pos_weight * y) - pos_weight * y
    hit, miss = pos_weight * y / pred, (1.0 - y) / (1.0 - pred)
    if log_floor is not None:
        hit = np.where(np.log(pred) < log_floor, 0.0, hit)
        miss = np.where(np.log1p(-pred) < log_floor, 0.0, miss)
    slope = np.where(y == 0.0, 0.0, -hit) + np.where(y == 1.0, 0.0, miss)
    return np.where((pred < eps) | (pred > 1.0 - eps), 0.0, slope)


def _log_probs(pred: Array, from_logits: bool, from_log_probs: bool, eps: float, normalize: bool) -> Array:
    """Log-probabilities of all classes, shape (n, k)."""
    if from_logits:
        return pred - logsumexp(pred)[:, None]
    if from_log_probs:
        return pred
    p = pred / row_sum(pred)[:, None] if normalize else pred
    return np.log(np.clip(p, eps, 1.0) if eps else p)


def _log_prob_of(
    label: Codes, pred: Array, from_logits: bool, from_log_probs: bool, eps: float, normalize: bool
) -> Array:
    """Log-probability of one class per row: only that class's logarithm is taken."""
    picked: Array = np.take_along_axis(pred, label[:, None], axis=1)[:, 0]
    if from_logits:
        return picked - logsumexp(pred)
    if from_log_probs:
        return picked
    if normalize:
        picked = picked / row_sum(pred)
    return np.log(np.clip(picked, eps, 1.0) if eps else picked)


def _class_weights(weights: tuple[float, ...] | None, classes: int) -> Array | None:
    if weights is None:
        return None
    if len(weights) != classes:
        raise BadValue("class-weights", list(weights), f"{classes} weights, one per class")
    return np.array(weights)


@loss(
    aliases=(
        "ce",
        "cce",
        "categorical-cross-entropy",
        "sparse-categorical-cross-entropy",
        "softmax-cross-entropy",
        "nll",
    ),
    range=REAL,
    best=None,
    tasks=("multi-class", "imbalance"),
    likes=(
        like("torch", "torch.nn.CrossEntropyLoss / NLLLoss", note="logits, or log-probabilities for NLLLoss"),
        like(
            "keras",
            "keras.losses.CategoricalCrossentropy",
            eps=1e-7,
            normalize=True,
            note="rescales each row to sum to one, then clips to [1e-7, 1]",
        ),
        like("sklearn", "sklearn.metrics.log_loss", eps=2.220446049250313e-16, note="clips to machine epsilon"),
        like("optax", "optax.losses.softmax_cross_entropy", note="logits only"),
    ),
)
def cross_entropy(
    target: LabelOrSoft,
    pred: ClassScores,
    *,
    from_logits: FromLogits = False,
    from_log_probs: FromLogProbs = False,
    eps: Eps = 0.0,
    normalize: Annotated[bool, Param("divide each row of probabilities by its sum")] = False,
    label_smoothing: Smoothing = 0.0,
    class_weights: ClassWeights = None,
    ignore_index: IgnoreIndex = None,
    classes: Classes = None,
) -> object:
    """Cross-entropy: minus the log-probability given to the true class.

    Formula: −log p_y; for soft targets −Σ_k q_k·log p_k; from logits z: log Σ e^z − z_y.
    Gradient: with respect to logits softmax(z) − q; to probabilities −q/p.
    Aggregate: with class weights Σw·l / Σw, where a row's weight is its class's.
    Use when: exactly one of several classes is right and probabilities matter.
    Avoid when: several labels may hold at once (bce over vectors).
    Numerics: logits are shifted by their maximum; a masked logit of −∞ is legal; a true class of
        probability zero is infinite unless eps bounds it.
    See also: perplexity is its exponential, focal down-weights easy rows, brier is bounded.
    References: Good (1952), Rational Decisions; Szegedy et al. (2016), Rethinking the Inception
        Architecture (label smoothing).

    >>> import lossctl
    >>> lossctl.compute("cross-entropy:from-logits=true", [0, 1], [[0, 0], [0, 0]]).value  # log 2
    0.6931471805599453
    """
    width = pred.shape[1]
    if from_logits and from_log_probs:
        raise BadValue("from-log-probs", "true", "true or from-logits, not both")
    weights = _class_weights(class_weights, width)
    form = (from_logits, from_log_probs, eps, normalize)
    if target.ndim == 2:
        q = target * (1.0 - label_smoothing) + label_smoothing / width if label_smoothing else target
        scaled = q if weights is None else q * weights
        value = row_sum(np.where(scaled == 0.0, 0.0, -scaled * _log_probs(pred, *form)))
        return value if weights is None else (value, row_sum(target * weights))
    used = np.ones(len(target), bool) if ignore_index is None else target != ignore_index
    label = np.where(used, target, 0)
    factor = None if weights is None else weights[label]
    if label_smoothing:
        logs = _log_probs(pred, *form)
        spread = logs if weights is None else logs * weights
        picked = np.take_along_axis(spread, label[:, None], axis=1)[:, 0]
        value = -(1.0 - label_smoothing) * picked - label_smoothing / width * row_sum(spread)
    else:
        value = -_log_prob_of(label, pred, *form)
        value = value if factor is None else value * factor
    terms = value if factor is None else (value, factor)
    return terms if ignore_index is None else Masked(terms, used)


@loss(
    range=NONNEG,
    tasks=("binary", "margins"),
    likes=(
        like("keras", "keras.losses.Hinge", note="converts 0/1 labels only if a whole batch is 0/1"),
        like("sklearn", "sklearn.metrics.hinge_loss", note="labels of one class alone are all taken as −1"),
        like("optax", "optax.losses.hinge_loss", note="expects ±1"),
        like("catboost", "HingeLoss"),
        like("torchmetrics", "torchmetrics.HingeLoss", exists=False, note="applies a sigmoid to scores"),
    ),
)
def hinge(
    target: Sign,
    pred: Real,
    *,
    margin: Annotated[float, Param("how far on the right side costs nothing", NONNEG)] = 1.0,
) -> Array:
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
