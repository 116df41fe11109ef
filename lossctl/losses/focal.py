"""Focal losses: cross-entropy with the rows that are already right played down."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from lossctl.domain import ANY, NONNEG, UNIT
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
    gradient,
    like,
    loss,
)
from lossctl.losses._classes import (
    BOUNDLESS,
    Classes,
    Eps,
    FromLogits,
    FromLogProbs,
    IgnoreIndex,
    Normalize,
    ScoreForm,
    binary_cost,
    kept,
    logistic,
    pick,
    put,
    softmax_parts,
)
from lossctl.numeric import row_sum, xlog1py, xlogy

Gamma = Annotated[float, Param("how strongly easy rows are played down; 0 is plain cross-entropy", NONNEG)]


def _both_sides(pred: Array, from_logits: bool) -> tuple[Array, Array]:
    """p and 1 − p, neither by cancellation."""
    return (logistic(pred), logistic(-pred)) if from_logits else (pred, 1.0 - pred)


def _binary_cost(y: Array, pred: Array, from_logits: bool) -> Array:
    if from_logits:
        return binary_cost(y, pred)
    return -(xlogy(y, pred) + xlog1py(1.0 - y, -pred))


def _balance(y: Array, alpha: float | None) -> Array:
    return np.ones_like(y) if alpha is None else alpha * y + (1.0 - alpha) * (1.0 - y)


@loss(
    range=BOUNDLESS,
    best=None,
    tasks=("binary", "imbalance", "multi-label", "segmentation"),
    likes=(
        like("torchvision", "torchvision.ops.sigmoid_focal_loss", alpha=0.25, note="logits; −1 is none"),
        like(
            "keras",
            "keras.losses.BinaryFocalCrossentropy",
            note="alpha only when asked; clips at 1e-7",
        ),
        like("optax", "optax.losses.sigmoid_focal_loss", note="logits only"),
        like("smp", "FocalLoss(mode='binary')", note="logits only"),
        like("monai", "monai.losses.FocalLoss", note="logits only"),
        like("kornia", "kornia.losses.binary_focal_loss_with_logits", alpha=0.25, note="logits only"),
        like("catboost", "Focal", note="logits; alpha and gamma have no default there"),
    ),
)
def binary_focal(
    target: Prob,
    pred: ProbOrLogit,
    *,
    gamma: Gamma = 2.0,
    alpha: Annotated[float | None, Param("weight of positives; negatives have 1 − alpha", UNIT)] = None,
    from_logits: FromLogits = False,
) -> Array:
    """Binary focal loss: binary cross-entropy in which sure and right rows hardly count.

    Formula: −α_t·(1 − p_t)^γ·log p_t, p_t = p for y = 1 and 1 − p for y = 0, α_t likewise; for soft y
        bce·m^γ with m = y(1 − p) + (1 − y)p.
    Gradient: with respect to a logit ±α_t·(1 − p_t)^γ·(γ·p_t·log p_t − (1 − p_t)), + for y = 1.
    Use when: positives are rare and easy negatives would swamp the mean, as in object detection.
    Avoid when: probabilities must be calibrated (bce): focal is not proper.
    Numerics: 1 − p_t is taken from the other side's logistic, never by subtraction from a rounded 1. Rows
        are within 16 ulp.
    See also: bce is gamma = 0; focal for several classes.
    References: Lin, Goyal, Girshick, He & Dollár (2017), Focal Loss for Dense Object Detection.

    >>> import lossctl
    >>> round(lossctl.compute("binary-focal", [1, 0], [0.5, 0.5]).value, 12)  # ¼·log 2
    0.17328679514
    """
    p, q = _both_sides(pred, from_logits)
    missed = target * q + (1.0 - target) * p
    factor = _balance(target, alpha)
    plain = _binary_cost(target, pred, from_logits)
    root = missed ** (0.5 * gamma)  # the whole power may vanish where the product does not
    cost = np.where(np.isinf(plain), plain, root * plain * root)
    return np.where(factor == 0.0, 0.0, factor * cost)


@gradient(binary_focal)
def _(target: Array, pred: Array, *, gamma: float, alpha: float | None, from_logits: bool) -> Array:
    y, (p, q) = target, _both_sides(pred, from_logits)
    missed = y * q + (1.0 - y) * p
    cost = _binary_cost(y, pred, from_logits) if gamma else np.zeros_like(y)
    ease = np.where(missed == 0.0, 0.0, gamma * cost / missed) * (1.0 - 2.0 * y)
    if from_logits:
        inner = (1.0 - y) * p - y * q + ease * p * q
    else:
        inner = np.where(y == 0.0, 0.0, -y / p) + np.where(y == 1.0, 0.0, (1.0 - y) / q) + ease
    factor = _balance(y, alpha)
    return np.where(factor == 0.0, 0.0, factor * missed**gamma * inner)


def _pieces(pred: Array, label: Codes | None, form: ScoreForm) -> tuple[Array, Array, Array]:
    """p, 1 − p and −log p of each row's label, or of all classes; 1 − p without cancellation."""
    if form.from_logits:
        parts = softmax_parts(pred)
        p, whole = parts.probabilities(), 1.0 + parts.rest
        missed = 1.0 - p
        others = parts.rest / whole
        put(missed, parts.top, others - others * (((1.0 - whole) + parts.rest) / whole))
        cost = np.log1p(parts.rest)[:, None] - parts.shifted
        return (
            (p, missed, cost) if label is None else (pick(p, label), pick(missed, label), pick(cost, label))
        )
    if form.from_log_probs:
        logs = np.minimum(pred if label is None else pick(pred, label), 0.0)  # rounding may lift them above
        return np.exp(logs), np.maximum(-np.expm1(logs), 0.0), -logs
    p = form.shares(pred) if label is None else pick(form.shares(pred), label)
    p = np.clip(p, form.eps, 1.0) if form.eps else p
    return p, 1.0 - p, -np.log(p)


def _class_balance(alpha: float | tuple[float, ...] | None, width: int) -> Array:
    if isinstance(alpha, tuple) and len(alpha) != width:
        raise BadValue("alpha", list(alpha), f"{width} weights, one per class")
    return np.broadcast_to(np.asarray(1.0 if alpha is None else alpha, dtype=np.float64), (width,))


@loss(
    aliases=("categorical-focal",),
    range=ANY,
    best=None,
    tasks=("multi-class", "imbalance", "segmentation"),
    likes=(
        like(
            "keras",
            "keras.losses.CategoricalFocalCrossentropy",
            alpha=0.25,
            eps=1e-7,
            normalize=True,
            note="one alpha for all classes; rescales each row to sum to one, then clips at 1e-7",
        ),
        like("kornia", "kornia.losses.focal_loss", exists=False, note="mean over rows and classes"),
        like(
            "monai",
            "FocalLoss(use_softmax=True)",
            exists=False,
            note="mean over rows and classes",
        ),
        like("smp", "FocalLoss(mode='multiclass')", exists=False, note="mean of K binary focals"),
    ),
)
def focal(
    target: LabelOrSoft,
    pred: ClassScores,
    *,
    gamma: Gamma = 2.0,
    alpha: Annotated[float | tuple[float, ...] | None, Param("factor, or one per class", NONNEG)] = None,
    from_logits: FromLogits = False,
    from_log_probs: FromLogProbs = False,
    eps: Eps = 0.0,
    normalize: Normalize = False,
    ignore_index: IgnoreIndex = None,
    classes: Classes = None,
) -> Any:
    """Focal loss over classes: cross-entropy in which sure and right rows hardly count.

    Formula: −α_y·(1 − p_y)^γ·log p_y; for soft targets Σ_k q_k of it.
    Gradient: with respect to logits c·(softmax(z) − e_y), c = α_y·(1 − p_y)^γ·(1 − γ·p_y·log p_y/(1 − p_y)).
    Aggregate: mean over rows; alpha scales a row's loss and does not enter the divisor.
    Use when: some classes are rare and easy rows of the others would swamp the mean.
    Avoid when: probabilities must be calibrated (cross-entropy): focal is not proper.
    Numerics: from logits 1 − p_y is the other classes' share, summed without p_y; 0·log 0 = 0. Rows of up
        to 10 numbers are within 8 ulp.
    See also: cross-entropy is gamma = 0; binary-focal for independent labels.
    References: Lin, Goyal, Girshick, He & Dollár (2017), Focal Loss for Dense Object Detection.

    >>> import lossctl
    >>> round(lossctl.compute("focal", [0, 1], [[0.5, 0.5], [0.5, 0.5]]).value, 12)  # ¼·log 2
    0.17328679514
    """
    form = ScoreForm(from_logits, from_log_probs, eps, normalize).checked()
    balance = _class_balance(alpha, pred.shape[1])
    if target.ndim == 2:
        _, missed, cost = _pieces(pred, None, form)
        share = target * balance
        return row_sum(np.where(share == 0.0, 0.0, share * missed**gamma * cost))
    label, used = kept(target, ignore_index)
    _, missed, cost = _pieces(pred, label, form)
    scale = balance[label]
    value = np.where(scale == 0.0, 0.0, scale * missed**gamma * cost)
    return value if used is None else Masked(value, used)


@gradient(focal)
def _(
    target: NDArray[Any],
    pred: Array,
    *,
    gamma: float,
    alpha: float | tuple[float, ...] | None,
    ignore_index: int | None,
    **params: Any,
) -> Array:
    form = ScoreForm.of(params).checked()
    balance = _class_balance(alpha, pred.shape[1])
    label, used = (None, None) if target.ndim == 2 else kept(target, ignore_index)
    p, missed, cost = _pieces(pred, label, form)
    ease = gamma * np.where(p == 0.0, 0.0, p * cost) * np.where(missed == 0.0, 1.0, 1.0 / missed)
    steep = missed**gamma * (1.0 + np.where(missed == 0.0, gamma, ease))
    if label is None:
        share = target * balance
        return form.through(np.where(share == 0.0, 0.0, -share * steep), pred)
    weight = np.where(balance[label] == 0.0, 0.0, balance[label] * steep)
    slope = form.label_slope(label, weight, pred)
    return slope if used is None else np.where(used[:, None], slope, 0.0)
