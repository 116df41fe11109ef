"""Focal losses: cross-entropy with the rows that are already right played down."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from lossctl.domain import ANY, NONNEG, UNIT
from lossctl.elementary import exp_parts, times_power, weighted
from lossctl.errorfree import Double
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
    cost_of_shares,
    kept,
    logistic,
    pick,
    put,
)
from lossctl.numeric import row_blocks, row_sum, sum_parts

Gamma = Annotated[float, Param("how strongly easy rows are played down; 0 is plain cross-entropy", NONNEG)]


def _both_sides(pred: Array, from_logits: bool) -> tuple[Array, Array]:
    """p and 1 − p, neither by cancellation."""
    return (logistic(pred), logistic(-pred)) if from_logits else (pred, 1.0 - pred)


def _binary_parts(y: Array, pred: Array, from_logits: bool) -> tuple[Double, Double]:
    """Binary cross-entropy, and y(1 − p) + (1 − y)p, in twice the digits: a power multiplies their errors."""
    one, yes = Double(np.ones_like(y)), Double(y)
    no = Double.between(one.high, y)
    if not from_logits:
        return cost_of_shares(yes, no, pred), yes.times(Double.between(one.high, pred)).plus(
            no.times(Double(pred))
        )
    far = np.abs(pred)
    tail = exp_parts(Double(-far))
    whole = one.plus(tail)
    wrong, right = (Double.choose(side, yes, no) for side in (pred < 0.0, pred >= 0.0))
    cost = wrong.times(Double(far)).plus(Double(np.log1p(tail.high), tail.low / whole.high))
    return cost, right.times(tail.over(whole)).plus(wrong.times(one.over(whole)))


def _ends(eps: float, from_logits: bool) -> tuple[float, float]:
    """eps and 1 − eps, or their logits."""
    low, high = eps, 1.0 - eps
    return (math.log(low / high), math.log(high / (1.0 - high))) if from_logits else (low, high)


def _balance(y: Array, alpha: float) -> Double:
    """The weight of a row's truth: alpha for a positive, 1 − alpha for a negative one."""
    ones, alike = np.ones_like(y), np.full_like(y, alpha)
    return Double(y).times(Double(alike)).plus(Double.between(ones, y).times(Double.between(ones, alike)))


@loss(
    range=BOUNDLESS,
    best=None,
    tasks=("binary", "imbalance", "multi-label", "segmentation"),
    likes=(
        like("torchvision", "torchvision.ops.sigmoid_focal_loss", alpha=0.25, note="logits; −1 is none"),
        like(
            "keras",
            "keras.losses.BinaryFocalCrossentropy",
            eps=1e-7,
            note="alpha only when asked; clips in float32 to 1 − 1.19e-7: at most 15.94 for y = 0",
        ),
        like("optax", "optax.losses.sigmoid_focal_loss", note="logits only"),
        like("smp", "FocalLoss(mode='binary')", note="logits only"),
        like("monai", "monai.losses.FocalLoss", note="logits only"),
        like("kornia", "kornia.losses.binary_focal_loss_with_logits", alpha=0.25, note="logits only"),
        like("catboost", "Focal", eps=1e-13, note="logits; alpha and gamma have no default there"),
    ),
)
def binary_focal(
    target: Prob,
    pred: ProbOrLogit,
    *,
    gamma: Gamma = 2.0,
    alpha: Annotated[float | None, Param("weight of positives; negatives have 1 − alpha", UNIT)] = None,
    from_logits: FromLogits = False,
    eps: Eps = 0.0,
) -> Array:
    """Binary focal loss: binary cross-entropy in which sure and right rows hardly count.

    Formula: −α_t·(1 − p_t)^γ·log p_t, p_t = p for y = 1 and 1 − p for y = 0, α_t likewise; for soft y
        bce·m^γ with m = y(1 − p) + (1 − y)p.
    Gradient: with respect to a logit ±α_t·(1 − p_t)^γ·(γ·p_t·log p_t − (1 − p_t)), + for y = 1.
    Use when: positives are rare and easy negatives would swamp the mean, as in object detection.
    Avoid when: probabilities must be calibrated (bce): focal is not proper.
    Numerics: 1 − p_t is taken from the other side's logistic, never by subtraction from a rounded 1, and in
        twice the digits, as its error counts γ times. Up to γ = 8 rows are within 2 ulp, within 3 where γ is
        no multiple of ½. eps clips what logits stand for as well.
    See also: bce is gamma = 0; focal for several classes.
    References: Lin, Goyal, Girshick, He & Dollár (2017), Focal Loss for Dense Object Detection.

    >>> import lossctl
    >>> round(lossctl.compute("binary-focal", [1, 0], [0.5, 0.5]).value, 12)  # ¼·log 2
    0.17328679514
    """
    value = np.empty_like(pred)
    if eps:
        pred = np.clip(pred, *_ends(eps, from_logits))
    for rows in row_blocks(pred):
        y = target[rows]
        cost, missed = _binary_parts(y, pred[rows], from_logits)
        if alpha is not None:
            cost = weighted(_balance(y, alpha), cost)
        made = times_power(cost, missed, gamma)
        value[rows] = np.where(np.isinf(cost.high), cost.high, made.rounded)
    return value


@gradient(binary_focal)
def _(
    target: Array, pred: Array, *, gamma: float, alpha: float | None, from_logits: bool, eps: float
) -> Array:
    y, (p, q) = target, _both_sides(pred, from_logits)
    cost, missed = (part.rounded for part in _binary_parts(y, pred, from_logits))
    ease = (1.0 - 2.0 * y) * np.where(missed == 0.0, 0.0, gamma * cost / missed) if gamma else 0.0
    if from_logits:
        inner = (1.0 - y) * p - y * q + ease * p * q
    else:
        inner = np.where(y == 0.0, 0.0, -y / p) + np.where(y == 1.0, 0.0, (1.0 - y) / q) + ease
    factor = np.ones_like(y) if alpha is None else _balance(y, alpha).rounded
    slope = np.where(factor == 0.0, 0.0, factor * missed**gamma * inner)
    if not eps:
        return slope
    low, high = _ends(eps, from_logits)
    return np.where((pred < low) | (pred > high), 0.0, slope)


def _parts(pred: Array, label: Codes | None, form: ScoreForm) -> tuple[Double, Double]:
    """1 − p and −log p of each row's label, or of all classes, in twice the digits; neither cancels."""
    if form.from_logits:
        return _logit_parts(pred, label)
    if form.from_log_probs:
        logs = np.minimum(pred if label is None else pick(pred, label), 0.0)  # rounding may lift them above
        return Double(np.maximum(-np.expm1(logs), 0.0)), Double(-logs)
    p = form.shares(pred) if label is None else pick(form.shares(pred), label)
    p = np.clip(p, form.eps, 1.0) if form.eps else p
    return Double.between(np.ones_like(p), p), Double(-np.log(p))


def _logit_parts(z: Array, label: Codes | None) -> tuple[Double, Double]:
    """As `_parts`; the greatest logit's own term is 1 and is kept apart from the rest of the normaliser."""
    top = np.argmax(z, axis=1)
    lead = Double.between(z, pick(z, top)[:, None])
    share = exp_parts(lead)
    for part in (share.high, share.low):
        put(part, top, np.zeros(len(z)))
    others, lost = sum_parts(share.high)
    rest = Double(others, lost + row_sum(share.low))
    if label is None:
        rest, best = Double(rest.high[:, None], rest.low[:, None]), np.arange(z.shape[1]) == top[:, None]
    else:
        lead, share = (Double(pick(x.high, label), pick(x.low, label)) for x in (lead, share))
        best = label == top
    whole = Double(np.ones_like(rest.high)).plus(rest)
    missed = Double.choose(best, rest, whole.minus(share)).over(whole)
    return missed, Double(np.log1p(rest.high), rest.low / whole.high).minus(lead)


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
    Numerics: from logits 1 − p_y is the other classes' share, summed without p_y; 0·log 0 = 0. Rows of up to
        10 numbers are within 2 ulp.
    See also: cross-entropy is gamma = 0; binary-focal for independent labels.
    References: Lin, Goyal, Girshick, He & Dollár (2017), Focal Loss for Dense Object Detection.

    >>> import lossctl
    >>> round(lossctl.compute("focal", [0, 1], [[0.5, 0.5], [0.5, 0.5]]).value, 12)  # ¼·log 2
    0.17328679514
    """
    form = ScoreForm(from_logits, from_log_probs, eps, normalize).checked()
    balance = _class_balance(alpha, pred.shape[1])
    label, used = (None, None) if target.ndim == 2 else kept(target, ignore_index)
    value = np.empty(len(pred))
    for rows in row_blocks(pred, 1 << (14 if from_logits else 17)):
        at = None if label is None else label[rows]
        missed, cost = _parts(pred[rows], at, form)
        scale = Double(target[rows] * balance if at is None else balance[at])
        made = times_power(weighted(scale, cost), missed, gamma).rounded
        made = np.where(scale.high == 0.0, 0.0, made)
        value[rows] = row_sum(made) if at is None else made
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
    parts = _parts(pred, label, form)
    missed, cost = parts[0].rounded, parts[1].rounded
    p = np.exp(-cost)
    ease = gamma * np.where(p == 0.0, 0.0, p * cost) * np.where(missed == 0.0, 1.0, 1.0 / missed)
    steep = missed**gamma * (1.0 + np.where(missed == 0.0, gamma, ease))
    if label is None:
        share = target * balance
        return form.through(np.where(share == 0.0, 0.0, -share * steep), pred)
    weight = np.where(balance[label] == 0.0, 0.0, balance[label] * steep)
    slope = form.label_slope(label, weight, pred)
    return slope if used is None else np.where(used[:, None], slope, 0.0)
