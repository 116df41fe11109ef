"""Errors of predicted probabilities: the logarithm and the square of what was given to the truth."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from lossctl.domain import ANY, NONNEG, UNIT, Interval
from lossctl.errorfree import Double
from lossctl.loss import (
    Array,
    ClassScores,
    Form,
    LabelOrSoft,
    Masked,
    Param,
    Pooled,
    Prob,
    ProbOrLogit,
    gradient,
    like,
    loss,
)
from lossctl.losses._classes import (
    BOUNDLESS,
    Classes,
    ClassWeights,
    Eps,
    FromLogits,
    FromLogProbs,
    IgnoreIndex,
    Normalize,
    ScoreForm,
    Smoothing,
    SoftNorm,
    binary_cost,
    cost_of_shares,
    kept,
    logistic,
    per_class,
    target_shares,
)
from lossctl.numeric import row_blocks, row_sum, squared_distance, xlog1py, xlogy


def _smoothed_cost(target: Array, p: Array, smoothing: float, pos_weight: float) -> Array:
    """The cost of the target mixed with ½: its rounding would count beside that of the logarithms."""
    value = np.empty_like(p)
    for rows in row_blocks(p):
        one = np.ones_like(p[rows])
        share = smoothing * one
        yes = Double(target[rows]).times(Double.between(one, share)).plus(Double(0.5 * share))
        no = Double(one).minus(yes)
        value[rows] = cost_of_shares(yes.times(Double(pos_weight * one)), no, p[rows]).rounded
    return value


@loss(
    aliases=("log-loss", "binary-cross-entropy"),
    scores=("auc", "auroc", "roc-auc", "roc", "pr-auc", "average-precision"),
    range=BOUNDLESS,
    best=None,
    tasks=("binary", "multi-label"),
    likes=(
        like("torch", "torch.nn.BCELoss / BCEWithLogitsLoss", log_floor=-100.0, note="log clamped at −100"),
        like(
            "keras",
            "keras.losses.BinaryCrossentropy",
            eps=1e-7,
            note="clips to [1e-7, 1 − 1e-7], in float32 to 1 − 1.19e-7: at most 15.94 for y = 0",
        ),
        like(
            "sklearn",
            "sklearn.metrics.log_loss",
            eps=2.220446049250313e-16,
            note="clips at 2.2e-16, probabilities in float32 at 1.19e-7",
        ),
        like("optax", "optax.losses.sigmoid_binary_cross_entropy", note="logits only"),
        like("xgboost", "logloss", log_floor=-36.841361487904734, note="log clamped at log 1e-16"),
        like("lightgbm", "binary_logloss", log_floor=-34.53877639770508, note="log 1e-15 in float32"),
        like("catboost", "Logloss", note="raw values are logits"),
    ),
)
def bce(
    target: Prob,
    pred: ProbOrLogit,
    *,
    from_logits: FromLogits = False,
    eps: Eps = 0.0,
    log_floor: Annotated[
        float | None, Param("lower bound of each logarithm", Interval(-np.inf, 0.0), clips=True)
    ] = None,
    pos_weight: Annotated[float, Param("factor on the positive part", NONNEG)] = 1.0,
    label_smoothing: Smoothing = 0.0,
) -> Array:
    """Binary cross-entropy: minus the log-likelihood of a 0/1 target under the predicted probability.

    Formula: −[y·log p + (1 − y)·log(1 − p)]; from logits z: max(z, 0) − z·y + log(1 + e^−|z|).
    Gradient: (p − y) / (p(1 − p)); from logits σ(z) − y.
    Use when: probabilities of one class, or of several independent labels (vector rows), are judged.
    Avoid when: classes exclude each other (cross-entropy).
    Numerics: log1p for the negative part; 0·log 0 = 0; no cancellation from logits; a certain and wrong
        prediction is infinite unless eps or log-floor bounds it. Rows are within 2 ulp.
    See also: brier is bounded; binary-focal down-weights easy rows.
    References: Good (1952), Rational Decisions.

    >>> import lossctl
    >>> round(lossctl.compute("bce", [1, 0], [0.5, 0.75]).value, 12)  # (log 2 + log 4) / 2
    1.03972077084
    """
    y = target * (1.0 - label_smoothing) + 0.5 * label_smoothing if label_smoothing else target
    if from_logits:
        return binary_cost(y, pred, pos_weight)
    # 1 − y would keep y's rounding, which is large beside it where y is near 1
    off = (1.0 - target) * (1.0 - label_smoothing) + 0.5 * label_smoothing if label_smoothing else 1.0 - y
    p = np.clip(pred, eps, 1.0 - eps) if eps else pred
    if log_floor is None and label_smoothing:
        return _smoothed_cost(target, p, label_smoothing, pos_weight)
    if log_floor is None:
        cost = xlogy(y if pos_weight == 1.0 else pos_weight * y, p)
        cost += xlog1py(off, -p)
        return np.negative(cost, out=cost)
    hit = np.maximum(np.log(p), log_floor)
    miss = np.maximum(np.log1p(-p), log_floor)
    return -(pos_weight * y * hit + off * miss)


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
        return (1.0 - y) * logistic(pred) - pos_weight * y * logistic(-pred)
    hit, miss = pos_weight * y / pred, (1.0 - y) / (1.0 - pred)
    if log_floor is not None:
        hit = np.where(np.log(pred) < log_floor, 0.0, hit)
        miss = np.where(np.log1p(-pred) < log_floor, 0.0, miss)
    slope = np.where(pos_weight * y == 0.0, 0.0, -hit) + np.where(y == 1.0, 0.0, miss)
    return np.where((pred < eps) | (pred > 1.0 - eps), 0.0, slope)


@loss(
    aliases=(
        "ce",
        "cce",
        "nll",
        "softmax-cross-entropy",
        "categorical-cross-entropy",
        "sparse-categorical-cross-entropy",
    ),
    range=ANY,
    best=None,
    tasks=("multi-class", "imbalance"),
    likes=(
        like(
            "torch",
            "torch.nn.CrossEntropyLoss / NLLLoss",
            ignore_index=-100,
            soft_norm="rows",
            note="logits, or log-probabilities for NLLLoss; soft targets with class weights are divided by "
            "N; the sum of ignored rows alone is 0; reduction='none' gives w·l",
        ),
        like(
            "keras",
            "keras.losses.CategoricalCrossentropy",
            eps=1e-7,
            normalize=True,
            note="clips at 1e-7; where ignore_class leaves no row it is 0",
        ),
        like(
            "sklearn",
            "sklearn.metrics.log_loss",
            eps=2.220446049250313e-16,
            note="clips at 2.2e-16, probabilities in float32 at 1.19e-7",
        ),
        like("optax", "optax.losses.softmax_cross_entropy", note="logits only"),
        like("xgboost", "mlogloss", eps=1e-16, note="clips at 1e-16"),
        like("lightgbm", "multi_logloss", eps=9.99999997205607e-16, note="e^log 1e-15 in float32"),
        like("catboost", "MultiClass", note="raw values are logits"),
    ),
)
def cross_entropy(
    target: LabelOrSoft,
    pred: ClassScores,
    *,
    from_logits: FromLogits = False,
    from_log_probs: FromLogProbs = False,
    eps: Eps = 0.0,
    normalize: Normalize = False,
    label_smoothing: Smoothing = 0.0,
    class_weights: ClassWeights = None,
    soft_norm: SoftNorm = "weights",
    ignore_index: IgnoreIndex = None,
    classes: Classes = None,
) -> Any:
    """Cross-entropy: minus the log-probability given to the true class.

    Formula: −log p_y; for soft targets −Σ_k q_k·log p_k; from logits z: log Σ e^z − z_y.
    Gradient: with respect to logits softmax(z) − q; to log-probabilities −q; to probabilities −q/p.
    Aggregate: with class weights Σw·l / Σw, where a row's weight is its class's; the row's own value, as
        --reduction none and worst have it, is l.
    Use when: exactly one of several classes is right and probabilities matter.
    Avoid when: several labels may hold at once (bce over vectors).
    Numerics: logits are shifted by their maximum, whose own term is kept apart (log1p); a masked logit of −∞
        is legal; a true class of probability zero is infinite unless eps bounds it. Rows of up to 10 numbers
        are within 2 ulp.
    See also: perplexity is its exponential, focal down-weights easy rows, brier is bounded.
    References: Good (1952), Rational Decisions; Szegedy et al. (2016), Rethinking the Inception
        Architecture (label smoothing).

    >>> import lossctl
    >>> lossctl.compute("cross-entropy:from-logits=true", [0, 1], [[0, 0], [0, 0]]).value  # log 2
    0.6931471805599453
    """
    form = ScoreForm(from_logits, from_log_probs, eps, normalize).checked()
    weights = per_class(class_weights, pred.shape[1])
    label, used = (target, None) if target.ndim == 2 else kept(target, ignore_index)
    if target.ndim == 1 and not label_smoothing:
        value = -form.log_prob_of(label, pred)
        if weights is not None:
            value = np.where(weights[label] == 0.0, 0.0, value * weights[label])
    else:
        scaled = target_shares(label, pred.shape[1], label_smoothing) * (1.0 if weights is None else weights)
        value = form.expected_cost(scaled, pred)
    terms: Any = value
    if weights is not None and target.ndim == 1:
        terms = value, weights[label]
    elif weights is not None and soft_norm == "weights":
        terms = value, row_sum(target * weights)
    return terms if used is None else Masked(terms, used)


@gradient(cross_entropy)
def _cross_entropy_slope(
    target: NDArray[Any],
    pred: Array,
    *,
    label_smoothing: float,
    class_weights: tuple[float, ...] | None,
    soft_norm: str,
    ignore_index: int | None,
    **params: Any,
) -> Array:
    form = ScoreForm.of(params)
    weights = per_class(class_weights, pred.shape[1])
    label, used = (target, None) if target.ndim == 2 else kept(target, ignore_index)
    if target.ndim == 1 and not label_smoothing:
        slope = form.label_slope(label, np.ones(len(label)), pred)
    else:
        share = target_shares(label, pred.shape[1], label_smoothing)
        if weights is not None:
            share = share * weights
        if weights is not None and target.ndim == 1:
            share = share / weights[label][:, None]
        elif weights is not None and soft_norm == "weights":
            share = share / row_sum(target * weights)[:, None]
        slope = form.through(-share, pred)
    return slope if used is None else np.where(used[:, None], slope, 0.0)


@loss(
    Pooled(lambda total, weight: np.exp(total / weight)),
    range=BOUNDLESS,
    best=None,
    tasks=("sequences", "multi-class"),
    likes=(
        like("torchmetrics", "torchmetrics.text.Perplexity", note="logits; inf once a softmax underflows"),
        like("torch", "torch.nn.CrossEntropyLoss()(...).exp()", ignore_index=-100, soft_norm="rows"),
    ),
)
def perplexity(
    target: LabelOrSoft,
    pred: ClassScores,
    *,
    from_logits: FromLogits = False,
    from_log_probs: FromLogProbs = False,
    eps: Eps = 0.0,
    normalize: Normalize = False,
    label_smoothing: Smoothing = 0.0,
    class_weights: ClassWeights = None,
    soft_norm: SoftNorm = "weights",
    ignore_index: IgnoreIndex = None,
    classes: Classes = None,
) -> Any:
    """Perplexity: how many equally likely classes the prediction was as unsure as.

    Formula: exp(Σw·l / Σw), l = −log p_y.
    Gradient: of a row alone, exp(l) times cross-entropy's.
    Aggregate: the exponential is taken once, of the exact mean; a row alone gives 1/p_y.
    Use when: language models are compared on the same tokens.
    Avoid when: vocabularies or tokenisations differ: the unit is a token.
    Numerics: as cross-entropy; infinite once any row is. Rows are within 512 ulp: e to a mean has the
        rounding of the mean times the mean.
    See also: cross-entropy is its logarithm, token-nll takes whole sequences.
    References: Jelinek, Mercer, Bahl & Baker (1977), Perplexity – a Measure of Difficulty of Speech Tasks.

    >>> import lossctl
    >>> round(lossctl.compute("perplexity", [0, 1], [[0.5, 0.5], [0.875, 0.125]]).value, 12)  # √(2·8)
    4.0
    """
    form = ScoreForm(from_logits, from_log_probs, eps, normalize)
    rest: dict[str, Any] = {
        "label_smoothing": label_smoothing,
        "class_weights": class_weights,
        "soft_norm": soft_norm,
    }
    found = cross_entropy(target, pred, **form._asdict(), **rest, ignore_index=ignore_index)
    terms, used = found if isinstance(found, Masked) else (found, None)
    pair = terms if isinstance(terms, tuple) else (terms, 1)
    return pair if used is None else Masked(pair, used)


@gradient(perplexity)
def _(target: NDArray[Any], pred: Array, **params: Any) -> Array:
    found = perplexity(target, pred, **params)
    total, weight = found.terms if isinstance(found, Masked) else found
    slope = _cross_entropy_slope(target, pred, **params)
    return np.where(slope == 0.0, 0.0, np.exp(total / weight)[:, None] * slope)


@loss(
    range=Interval(0.0, 2.0),
    tasks=("binary", "multi-class"),
    likes=(
        like("sklearn", "sklearn.metrics.brier_score_loss", note="scale_by_half=False doubles it for 0/1"),
        like("catboost", "BrierScore", note="two classes only"),
        like("scoringrules", "scoringrules.brier_score", note="two classes only"),
        like("properscoring", "properscoring.brier_score", note="two classes only"),
    ),
)
def brier(
    target: Annotated[
        NDArray[Any],
        Form("prob", domain=UNIT),
        Form("label", of="pred", names="classes"),
        Form("prob", "vector", UNIT, sums_to_one=True),
    ],
    pred: Annotated[Array, Form("prob", domain=UNIT), Form("prob", "vector", UNIT, sums_to_one=True)],
    *,
    half: Annotated[bool, Param("half of it")] = False,
    classes: Classes = None,
) -> Array:
    """Brier score: squared error of predicted probabilities.

    Formula: (p − y)²; with one probability per class Σ_k (p_k − q_k)², q the true class or its shares.
    Gradient: 2(p − y).
    Use when: probabilities should be calibrated and no single row may dominate: it is proper and bounded.
    Avoid when: rare events must be told from very rare ones (bce).
    Numerics: rows of up to 10 numbers are within 2 ulp.
    See also: bce and cross-entropy are the logarithmic scores.
    References: Brier (1950), Verification of Forecasts Expressed in Terms of Probability.

    >>> import lossctl
    >>> lossctl.compute("brier", [1, 0], [0.5, 0.75]).value  # (0.25 + 0.5625) / 2
    0.40625
    """
    scale = 0.5 if half else 1.0
    if pred.ndim == 1:
        gap: Array = pred - target
        return scale * gap * gap
    return scale * squared_distance(pred, target_shares(target, pred.shape[1], 0.0))


@gradient(brier)
def _(target: NDArray[Any], pred: Array, *, half: bool, classes: object) -> Array:
    truth: Array = target if pred.ndim == 1 else target_shares(target, pred.shape[1], 0.0)
    return (1.0 if half else 2.0) * (pred - truth)
