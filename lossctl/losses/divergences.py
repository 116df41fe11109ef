"""Distances between distributions given as histograms or as samples."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.domain import ANY, NONNEG, UNIT, Interval
from lossctl.elementary import log_ratio_parts, weighted
from lossctl.errorfree import Double, difference, two_sum
from lossctl.loss import Array, Form, Param, Simplex, gradient, like, loss
from lossctl.losses._histograms import Normalize, Shares, shares_of, through_sum
from lossctl.numeric import logsumexp, row_blocks, row_sum, sure_sum, xlogy

HALF = Interval(0.0, 0.5, open_high=True)


LOGS = Interval(-math.inf, math.inf, open_high=True)


ABOVE_ONE = Interval(1.0, math.inf, open_low=True, open_high=True)


Target = Annotated[
    Array,
    Form("prob", "vector", UNIT, sums_to_one=True),
    Form("real", "vector", LOGS, when="log_target"),
    Form("nonneg", "vector", NONNEG, when="normalize"),
]


Pred = Annotated[
    Array,
    Form("prob", "vector", UNIT, sums_to_one=True),
    Form("real", "vector", LOGS, when="log_input"),
    Form("real", "vector", LOGS, when="from_logits"),
    Form("nonneg", "vector", NONNEG, when="normalize"),
]


Eps = Annotated[float, Param("clip both distributions into [eps, 1]", HALF, clips=True)]


Base = Annotated[float | None, Param("base of the logarithm; e unless said", ABOVE_ONE)]


def _unit(base: float | None) -> float:
    """What a value in nats is divided by."""
    return 1.0 if base is None else math.log(base)


def _logs(values: Array, logs: bool, from_logits: bool, eps: float, normalize: bool) -> Array:
    if from_logits:
        return values - logsumexp(values)[:, None]
    return values if logs else np.log(shares_of(values, eps, normalize))


def _divergence(p: Array, q: Array) -> Array:
    """Σ p·log(p/q): near equality the sum is far below its terms, so these are taken in twice the digits."""
    value = np.empty(len(p))
    for rows in row_blocks(p):
        value[rows] = sure_sum(_costs(p[rows], q[rows]))
    return value


def _costs(p: Array, q: Array) -> Array:
    """p·log(p/q), each as two numbers to be summed; 0·log 0 = 0.

    Of shares that agree in 40 bits it is p − q, which is exact, and (p − q)·s·(1 + s/3), s = (p − q)/(p + q).
    """
    made = weighted(Double(p), log_ratio_parts(Double(p), Double(q)))
    gap = p - q
    s = gap / (p + q)
    alike = np.abs(s) < 2.0**-40
    parts = np.where(alike, gap, made.high), np.where(alike, gap * s * (1.0 + s / 3.0), made.low)
    return np.concatenate(parts, axis=1)


def _reverse_parts(
    target: Array,
    pred: Array,
    log_input: bool,
    log_target: bool,
    from_logits: bool,
    eps: float,
    normalize: bool,
) -> tuple[Array, Array]:
    """Q and log(Q/P)."""
    logs = _logs(pred, log_input, from_logits, eps, normalize)
    shares = np.exp(logs) if log_input or from_logits else shares_of(pred, eps, normalize)
    return shares, logs - _logs(target, log_target, False, eps, normalize)


def _contrast(target: Array, pred: Array, normalize: bool) -> tuple[Array, Array]:
    """Middle m = (P + Q)/2 and (P − Q)/(P + Q); the latter is 0 where both are 0."""
    p, q = shares_of(target, 0.0, normalize), shares_of(pred, 0.0, normalize)
    total = p + q
    return 0.5 * total, (p - q) / np.where(total == 0.0, 1.0, total)


@loss(
    aliases=("kl-divergence",),
    range=ANY,
    tasks=("distributions", "generative"),
    likes=(
        like("torch", "torch.nn.KLDivLoss(reduction='batchmean')", note="pred first, and as logarithms"),
        like("keras", "keras.losses.KLDivergence", eps=1e-7, note="clips both to [1e-7, 1]"),
        like("optax", "optax.losses.kl_divergence", note="pred as logarithms"),
        like("torchmetrics", "torchmetrics.KLDivergence", normalize=True, note="rescales rows to sum to one"),
    ),
)
def kl(
    target: Target,
    pred: Pred,
    *,
    log_input: Annotated[bool, Param("pred holds log-probabilities")] = False,
    log_target: Annotated[bool, Param("target holds log-probabilities")] = False,
    from_logits: Annotated[bool, Param("pred holds logits, not probabilities")] = False,
    eps: Eps = 0.0,
    normalize: Normalize = False,
    base: Base = None,
) -> Array:
    """Kullback–Leibler divergence of the predicted distribution Q from the target distribution P.

    Formula: Σ_k P_k·log(P_k / Q_k), with 0·log 0 = 0.
    Gradient: −P/Q with respect to Q; softmax(z) − P with respect to logits.
    Use when: the target is itself a distribution; it is cross-entropy minus the entropy of the target.
    Avoid when: Q may be zero where P is not: the value is infinite (js stays bounded).
    Numerics: of probabilities, logarithms, products and their sum are taken in twice the digits, so that near
        equality nothing is lost; of logarithms and logits, their difference. Rows of up to 10 numbers are
        within 2 ulp.
    References: Kullback & Leibler (1951), On Information and Sufficiency.

    >>> import lossctl
    >>> round(lossctl.compute("kl:base=2", [[0.5, 0.5]], [[0.25, 0.75]]).value, 12)  # 1 − ½log₂3
    0.207518749639
    """
    if not (log_input or log_target or from_logits):
        p, q = shares_of(target, eps, normalize), shares_of(pred, eps, normalize)
        return _divergence(p, q) / _unit(base)
    logs = _logs(target, log_target, False, eps, normalize)
    shares = np.exp(target) if log_target else shares_of(target, eps, normalize)
    gaps = logs - _logs(pred, log_input, from_logits, eps, normalize)
    return row_sum(np.where(shares == 0.0, 0.0, shares * gaps)) / _unit(base)


@gradient(kl)
def _(
    target: Array,
    pred: Array,
    *,
    log_input: bool,
    log_target: bool,
    from_logits: bool,
    eps: float,
    normalize: bool,
    base: float | None,
) -> Array:
    shares = np.exp(target) if log_target else shares_of(target, eps, normalize)
    if from_logits:
        soft = np.exp(pred - logsumexp(pred)[:, None])
        return (soft * row_sum(shares)[:, None] - shares) / _unit(base)
    if log_input:
        return -shares / _unit(base)
    total = row_sum(pred)[:, None] if normalize else np.ones((len(pred), 1))
    q = pred / total
    slope = np.where((q < eps) | (shares == 0.0), 0.0, -shares / np.maximum(q, eps))
    centred = slope - row_sum(slope * q)[:, None] if normalize else slope
    return centred / total / _unit(base)


@loss(
    range=ANY,
    tasks=("distributions", "generative"),
    likes=(
        like("torch", "torch.nn.KLDivLoss, arguments swapped", note="target as logarithms"),
        like(
            "keras", "keras.losses.KLDivergence, arguments swapped", eps=1e-7, note="clips both to [1e-7, 1]"
        ),
        like("scipy", "scipy.special.rel_entr(pred, target)", note="one term per class, to be summed"),
    ),
)
def reverse_kl(
    target: Target,
    pred: Pred,
    *,
    log_input: Annotated[bool, Param("pred holds log-probabilities")] = False,
    log_target: Annotated[bool, Param("target holds log-probabilities")] = False,
    from_logits: Annotated[bool, Param("pred holds logits, not probabilities")] = False,
    eps: Eps = 0.0,
    normalize: Normalize = False,
    base: Base = None,
) -> Array:
    """Kullback–Leibler divergence of the target distribution P from the predicted distribution Q.

    Formula: Σ_k Q_k·log(Q_k / P_k), with 0·log 0 = 0.
    Gradient: log(Q/P) + 1 with respect to Q; Q·(log(Q/P) − Σ Q·log(Q/P)) with respect to logits.
    Use when: the prediction should put no mass where the target has none (mode seeking).
    Avoid when: the target may be zero where the prediction is not: the value is infinite.
    Numerics: of probabilities, logarithms, products and their sum are taken in twice the digits, so that near
        equality nothing is lost; of logarithms and logits, their difference. Rows of up to 10 numbers are
        within 2 ulp.
    See also: kl, js.
    References: Kullback & Leibler (1951), On Information and Sufficiency.

    >>> import lossctl
    >>> round(lossctl.compute("reverse-kl:base=2", [[0.25, 0.75]], [[0.5, 0.5]]).value, 12)  # 1 − ½log₂3
    0.207518749639
    """
    if not (log_input or log_target or from_logits):
        p, q = shares_of(target, eps, normalize), shares_of(pred, eps, normalize)
        return _divergence(q, p) / _unit(base)
    shares, gaps = _reverse_parts(target, pred, log_input, log_target, from_logits, eps, normalize)
    return row_sum(np.where(shares == 0.0, 0.0, shares * gaps)) / _unit(base)


@gradient(reverse_kl)
def _(
    target: Array,
    pred: Array,
    *,
    log_input: bool,
    log_target: bool,
    from_logits: bool,
    eps: float,
    normalize: bool,
    base: float | None,
) -> Array:
    shares, gaps = _reverse_parts(target, pred, log_input, log_target, from_logits, eps, normalize)
    weighted = np.where(shares == 0.0, 0.0, shares * gaps)
    if from_logits:
        return (weighted - shares * row_sum(weighted)[:, None]) / _unit(base)
    if log_input:
        return (weighted + shares) / _unit(base)
    slope = np.where(np.isnan(gaps), np.inf, gaps + 1.0)
    if eps:
        slope = np.where(shares_of(pred, 0.0, normalize) < eps, 0.0, slope)
    return through_sum(slope, shares_of(pred, 0.0, normalize), pred, normalize) / _unit(base)


@loss(
    aliases=("jensen-shannon",),
    range=NONNEG,
    tasks=("distributions",),
    likes=(
        like("scipy", "scipy.spatial.distance.jensenshannon", normalize=True, note="is the square root"),
        like("torchmetrics", "torchmetrics.JensenShannonDivergence", normalize=True, note="rescales rows"),
        like("kornia", "kornia.losses.js_div_loss_2d", note="of heat maps, after their own softmax"),
    ),
)
def js(target: Shares, pred: Shares, *, base: Base = None, normalize: Normalize = False) -> Array:
    """Jensen–Shannon divergence: how far two distributions are from their average.

    Formula: ½·KL(P ‖ M) + ½·KL(Q ‖ M), M = (P + Q)/2; at most log 2.
    Gradient: ½·log(Q/M) with respect to Q.
    Use when: a bounded and symmetric divergence is wanted, also where one distribution is zero.
    Avoid when: a zero predicted where the target has mass must cost without bound (kl).
    Numerics: where u = (P − Q)/(P + Q) has |u| < ½ a class costs the series ½M·Σ u²ⁿ/(n(2n − 1)): every term
        is positive, so near equality nothing cancels; elsewhere both logarithms are taken in twice the
        digits. Rows of up to 10 numbers are within 2 ulp.
    See also: kl; its square root is a distance.
    References: Lin (1991), Divergence Measures Based on the Shannon Entropy.

    >>> import lossctl
    >>> lossctl.compute("js:base=2", [[1, 0]], [[0, 1]]).value  # disjoint: log₂ 2
    1.0
    """
    p, q = shares_of(target, 0.0, normalize), shares_of(pred, 0.0, normalize)
    value = np.empty(len(p))
    for rows in row_blocks(p):
        value[rows] = row_sum(_js_costs(p[rows], q[rows]))
    return value / _unit(base)


def _js_costs(p: Array, q: Array) -> Array:
    """½p·log(p/m) + ½q·log(q/m) of each class, m = (p + q)/2."""
    gap, slack = difference(p, q)
    total, lost = two_sum(p, q)
    u = gap / np.where(total == 0.0, 1.0, total)
    far = np.abs(u) > 0.5
    square = np.where(far, 0.0, u * u)
    rest = np.zeros_like(square)
    for n in range(26, 1, -1):
        rest += 1.0 / (n * (2 * n - 1))
        rest *= square
    cost = 0.25 * gap * u
    cost += cost * rest + 0.25 * u * (2.0 * slack - u * lost)
    middle = Double(total[far], lost[far])
    sides = [weighted(Double(x), log_ratio_parts(Double(2.0 * x), middle)) for x in (p[far], q[far])]
    cost[far] = 0.5 * sides[0].plus(sides[1]).rounded
    return cost


@gradient(js)
def _(target: Array, pred: Array, *, base: float | None, normalize: bool) -> Array:
    middle, u = _contrast(target, pred, normalize)
    slope = np.where(middle == 0.0, 0.5 * math.log(2.0), 0.5 * np.log1p(-u))
    return through_sum(slope, shares_of(pred, 0.0, normalize), pred, normalize) / _unit(base)


@loss(
    range=NONNEG,
    best=None,
    tasks=("distributions",),
    likes=(
        like("scipy", "scipy.stats.entropy", note="rescales rows to sum to one"),
        like("torch", "torch.special.entr", note="one term per class, to be summed"),
    ),
)
def entropy(pred: Simplex, *, base: Base = None) -> Array:
    """Shannon entropy of the predicted distribution: how undecided it is.

    Formula: −Σ_k Q_k·log Q_k, with 0·log 0 = 0.
    Gradient: −(log Q + 1).
    Use when: predictions should be, or should not be, confident; cross-entropy = entropy of the target + kl.
    Avoid when: there is a target to be compared with: entropy looks at the prediction alone.
    See also: kl, cross-entropy.
    References: Shannon (1948), A Mathematical Theory of Communication.

    >>> import lossctl
    >>> lossctl.compute("entropy:base=2", pred=[[0.5, 0.25, 0.25]]).value  # ½·1 + 2·¼·2
    1.5
    """
    return row_sum(-xlogy(pred, pred)) / _unit(base) + 0.0


@gradient(entropy)
def _(pred: Array, *, base: float | None) -> Array:
    return -(np.log(pred) + 1.0) / _unit(base)
