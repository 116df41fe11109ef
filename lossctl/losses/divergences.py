"""Distances between distributions given as histograms or as samples."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, POSITIVE, REAL, UNIT, Interval
from lossctl.loss import Array, Form, Param, Simplex, gradient, like, loss
from lossctl.numeric import logsumexp, row_sum

HALF = Interval(0.0, 0.5, open_high=True)
LOGS = Interval(-math.inf, math.inf, open_high=True)

Target = Annotated[
    Array,
    Form("prob", "vector", UNIT, sums_to_one=True),
    Form("real", "vector", LOGS, when="log_target"),
]
Pred = Annotated[
    Array,
    Form("prob", "vector", UNIT, sums_to_one=True),
    Form("real", "vector", LOGS, when="log_input"),
    Form("real", "vector", LOGS, when="from_logits"),
]
Eps = Annotated[float, Param("clip both distributions into [eps, 1]", HALF)]
Base = Annotated[float | None, Param("base of the logarithm; e unless said", POSITIVE)]
Normalize = Annotated[bool, Param("divide each row by its sum")]


def _shares(values: Array, eps: float, normalize: bool) -> Array:
    p = values / row_sum(values)[:, None] if normalize else values
    return np.clip(p, eps, 1.0) if eps else p


def _unit(base: float | None) -> float:
    return 1.0 if base is None else 1.0 / math.log(base)


def _logs(values: Array, logs: bool, from_logits: bool, eps: float, normalize: bool) -> Array:
    if from_logits:
        return values - logsumexp(values)[:, None]
    return values if logs else np.log(_shares(values, eps, normalize))


@loss(
    aliases=("kl-divergence",),
    range=REAL,
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
    Numerics: the difference of logarithms, so that tiny quotients neither under- nor overflow.
    References: Kullback & Leibler (1951), On Information and Sufficiency.

    >>> import lossctl
    >>> round(lossctl.compute("kl:base=2", [[0.5, 0.5]], [[0.25, 0.75]]).value, 12)  # 1 − ½log₂3
    0.207518749639
    """
    logs = _logs(target, log_target, False, eps, normalize)
    shares = np.exp(target) if log_target else _shares(target, eps, normalize)
    gaps = logs - _logs(pred, log_input, from_logits, eps, normalize)
    return row_sum(np.where(shares == 0.0, 0.0, shares * gaps)) * _unit(base)


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
    shares = np.exp(target) if log_target else _shares(target, eps, normalize)
    if from_logits:
        soft = np.exp(pred - logsumexp(pred)[:, None])
        return (soft * row_sum(shares)[:, None] - shares) * _unit(base)
    if log_input:
        return -shares * _unit(base)
    total = row_sum(pred)[:, None] if normalize else np.ones((len(pred), 1))
    q = pred / total
    slope = np.where((q < eps) | (shares == 0.0), 0.0, -shares / np.maximum(q, eps))
    centred = slope - row_sum(slope * q)[:, None] if normalize else slope
    return centred / total * _unit(base)
