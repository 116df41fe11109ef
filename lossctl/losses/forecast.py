"""Proper scores of quantile, interval and distribution forecasts."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np

from lossctl.domain import NONNEG, REAL, UNIT, Interval
from lossctl.loss import Array, BadValue, Form, Param, Positive, Real, RealVec, gradient, like, loss
from lossctl.numeric import row_sum
from lossctl.special import erf

OPEN_UNIT = Interval(0.0, 1.0, open_low=True, open_high=True)
ROOT_PI = 1.0 / math.sqrt(math.pi)


@loss(
    aliases=("mql",),
    range=NONNEG,
    tasks=("quantiles", "forecast"),
    likes=(
        like("utilsforecast", "mqloss"),
        like("catboost", "MultiQuantile"),
        like("xgboost", "quantile with several quantile_alpha"),
        like("scoringrules", "scoringrules.crps_quantile", exists=False, note="twice as large"),
    ),
)
def multi_quantile(
    target: Real,
    pred: Annotated[Array, Form("real", "vector", length="quantiles")],
    *,
    quantiles: Annotated[tuple[float, ...], Param("level of each column of pred", UNIT)],
) -> Array:
    """Quantile loss averaged over several predicted quantiles.

    Formula: mean over levels of max(τ(y − q), (τ − 1)(y − q)).
    Gradient: (1[q > y] − τ)/K for each level, 0 at q = y.
    Use when: a forecast consists of quantiles; twice this approaches the CRPS as levels fill up.
    See also: quantile for one level, interval-score for two.
    References: Koenker & Bassett (1978), Regression Quantiles.

    >>> import lossctl
    >>> lossctl.compute("multi-quantile:quantiles=[0.25,0.75]", [0], [[-2, 2]]).value  # (0.5 + 0.5) / 2
    0.5
    """
    tau = np.array(quantiles)
    gap = target[:, None] - pred
    return row_sum(np.maximum(tau * gap, (tau - 1.0) * gap)) / float(len(quantiles))


@gradient(multi_quantile)
def _(target: Array, pred: Array, *, quantiles: tuple[float, ...]) -> Array:
    tau = np.array(quantiles)
    gap = target[:, None] - pred
    return np.where(gap < 0.0, 1.0 - tau, np.where(gap > 0.0, -tau, 0.0)) / float(len(quantiles))


@loss(
    aliases=("winkler",),
    range=REAL,
    best=None,
    tasks=("quantiles", "forecast"),
    likes=(
        like("scoringrules", "scoringrules.interval_score"),
        like("utilsforecast", "winkler_score", note="takes the level: 90 for alpha = 0.1"),
    ),
)
def interval_score(
    target: Real,
    lower: Real,
    upper: Real,
    *,
    alpha: Annotated[float, Param("share of targets the interval may miss", OPEN_UNIT)] = 0.1,
) -> Array:
    """Interval (Winkler) score: the width, plus a penalty for targets outside.

    Formula: (u − l) + (2/α)·max(0, l − y) + (2/α)·max(0, y − u).
    Gradient: 1 − (2/α)·1[y > u] for the upper end, −1 + (2/α)·1[y < l] for the lower.
    Use when: a forecast is an interval meant to hold a share 1 − α of the targets.
    References: Winkler (1972), A Decision-Theoretic Approach to Interval Estimation; Gneiting & Raftery
        (2007), Strictly Proper Scoring Rules.

    >>> import lossctl
    >>> lossctl.compute("interval-score:alpha=0.5", [2], lower=[0], upper=[1]).value  # 1 + 4·1
    5.0
    """
    miss = np.maximum(lower - target, 0.0) + np.maximum(target - upper, 0.0)
    return (upper - lower) + 2.0 / alpha * miss


@gradient(interval_score, "lower", "upper")
def _(target: Array, lower: Array, upper: Array, *, alpha: float) -> tuple[Array, Array]:
    penalty = 2.0 / alpha
    return np.where(target < lower, penalty - 1.0, -1.0), np.where(target > upper, 1.0 - penalty, 1.0)


def _ensemble(target: Array, pred: Array, estimator: str) -> tuple[Array, Array, float]:
    """Members minus the target, sorted; the weights of the spread term; its divisor."""
    members = pred.shape[1]
    if estimator == "fair" and members < 2:
        raise BadValue("estimator", estimator, "nrg for a single member: fair needs two")
    ranks = 2.0 * np.arange(1, members + 1) - members - 1.0
    divisor = float(members * members if estimator == "nrg" else members * (members - 1))
    return np.sort(pred - target[:, None], axis=1), ranks, divisor


@loss(
    range=REAL,
    best=None,
    tasks=("forecast",),
    likes=(
        like("properscoring", "properscoring.crps_ensemble"),
        like("scoringrules", "scoringrules.crps_ensemble", note="estimator qd gives the same number"),
        like("torchmetrics", "torchmetrics.ContinuousRankedProbabilityScore"),
    ),
)
def crps_ensemble(
    target: Real,
    pred: RealVec,
    *,
    estimator: Annotated[
        Literal["nrg", "fair"], Param("nrg: of the empirical distribution; fair: unbiased in the members")
    ] = "nrg",
) -> Array:
    """Continuous ranked probability score of an ensemble of members.

    Formula: mean|x_i − y| − ½·mean|x_i − x_j| over all pairs; fair divides the second sum by M(M − 1).
    Gradient: sign(x_i − y)/M − Σ_j sign(x_i − x_j)/M², by rank.
    Use when: a forecast is a sample; for one member it is the absolute error.
    Numerics: the pair sum is Σ(2i − M − 1)·x_(i) over sorted members, taken relative to the target.
    References: Gneiting & Raftery (2007), Strictly Proper Scoring Rules; Ferro (2014), Fair scores for
        ensemble forecasts.

    >>> import lossctl
    >>> lossctl.compute("crps-ensemble", [0], [[-1, 1]]).value  # 1 − ½·(2·2/4)
    0.5
    """
    ordered, ranks, divisor = _ensemble(target, pred, estimator)
    return row_sum(np.abs(ordered)) / float(pred.shape[1]) - row_sum(ordered * ranks) / divisor


@gradient(crps_ensemble)
def _(target: Array, pred: Array, *, estimator: str) -> Array:
    _, ranks, divisor = _ensemble(target, pred, estimator)
    place = np.argsort(np.argsort(pred, axis=1, kind="stable"), axis=1, kind="stable")
    return np.sign(pred - target[:, None]) / float(pred.shape[1]) - ranks[place] / divisor


@loss(
    range=NONNEG,
    best=None,
    tasks=("forecast",),
    likes=(
        like("scoringrules", "scoringrules.crps_normal"),
        like("properscoring", "properscoring.crps_gaussian"),
    ),
)
def crps_normal(target: Real, pred: Real, scale: Positive) -> Array:
    """Continuous ranked probability score of a normal forecast.

    Formula: s[z(2Φ(z) − 1) + 2φ(z) − 1/√π], z = (y − μ)/s.
    Gradient: 1 − 2Φ(z) for the mean, 2φ(z) − 1/√π for the scale.
    Use when: a forecast is a mean and a standard deviation and should be judged in the target's unit.
    See also: gaussian-nll is harsher on overconfidence.
    References: Gneiting, Raftery, Westveld & Goldman (2005), Calibrated Probabilistic Forecasting Using
        Ensemble Model Output Statistics.

    >>> import lossctl
    >>> round(lossctl.compute("crps-normal", [0], [0], scale=[1]).value, 12)  # (√2 − 1)/√π
    0.233694977255
    """
    z = (target - pred) / scale
    density = math.sqrt(2.0) * ROOT_PI * np.exp(-0.5 * z * z)
    return scale * (z * erf(z * math.sqrt(0.5)) + density - ROOT_PI)


@gradient(crps_normal, "pred", "scale")
def _(target: Array, pred: Array, scale: Array) -> tuple[Array, Array]:
    z = (target - pred) / scale
    return -erf(z * math.sqrt(0.5)), math.sqrt(2.0) * ROOT_PI * np.exp(-0.5 * z * z) - ROOT_PI
