"""Proper scores of quantile, interval and distribution forecasts."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np

from lossctl.domain import NONNEG, REAL, UNIT, Interval
from lossctl.errorfree import Double, difference, two_product
from lossctl.loss import Array, BadValue, Form, Param, Positive, Real, RealVec, gradient, like, loss
from lossctl.numeric import row_sum, sum_parts
from lossctl.special import erf, erfc

OPEN_UNIT = Interval(0.0, 1.0, open_low=True, open_high=True)
ROOT_PI = 1.0 / math.sqrt(math.pi)
PEAK = 0.7978845608028654  # √(2/π)
AT_ZERO = 0.23369497725510907  # (√2 − 1)/√π
# Of z², z⁴, … in z(2Φ(z) − 1) + 2φ(z) − 2φ(0), whose second derivative is 2φ(z).
_BELL = [PEAK * (-0.5) ** n / (math.factorial(n) * (2 * n + 1) * (2 * n + 2)) for n in range(13)]


@loss(
    aliases=("mql",),
    range=NONNEG,
    tasks=("quantiles", "forecast"),
    likes=(
        like("utilsforecast", "mqloss"),
        like("catboost", "MultiQuantile", note="takes 1e-6 off each error"),
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
    Numerics: rows are within 2 ulp of the larger part of the difference.
    References: Winkler (1972), A Decision-Theoretic Approach to Interval Estimation; Gneiting & Raftery
        (2007), Strictly Proper Scoring Rules.

    >>> import lossctl
    >>> lossctl.compute("interval-score:alpha=0.5", [2], lower=[0], upper=[1]).value  # 1 + 4·1
    5.0
    """
    miss, slack = difference(np.maximum(target, lower), np.minimum(target, upper))
    return 2.0 * miss / alpha + ((upper - lower) + 2.0 / alpha * slack)


@gradient(interval_score, "lower", "upper")
def _(target: Array, lower: Array, upper: Array, *, alpha: float) -> tuple[Array, Array]:
    penalty = 2.0 / alpha
    return np.where(target < lower, penalty - 1.0, -1.0), np.where(target > upper, 1.0 - penalty, 1.0)


def _pairs(pred: Array, estimator: str) -> int:
    """By how many members a mean over pairs divides beside their number."""
    members: int = pred.shape[1]
    if estimator == "fair" and members < 2:
        raise BadValue("estimator", estimator, "nrg for a single member: fair needs two")
    return members if estimator == "nrg" else members - 1


@loss(
    range=NONNEG,
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
    Numerics: sorted members cut the line into gaps, each of which counts with a weight ≥ 0: nothing cancels,
        and neither estimator falls below 0. Rows of up to 10 numbers are within 2 ulp.
    References: Gneiting & Raftery (2007), Strictly Proper Scoring Rules; Ferro (2014), Fair scores for
        ensemble forecasts.

    >>> import lossctl
    >>> lossctl.compute("crps-ensemble", [0], [[-1, 1]]).value  # 1 − ½·(2·2/4)
    0.5
    """
    members, others = pred.shape[1], _pairs(pred, estimator)
    y, ordered = target[:, None], np.sort(pred, axis=1)
    low, high = ordered[:, :-1], ordered[:, 1:]
    below = np.arange(1.0, members)
    above = members - below
    spare = float(members - others)  # fair: of k members on one side k(k − 1) pairs, not k²
    middle = np.clip(y, low, high)
    left = Double.between(middle, low).times(Double(below * (below - spare)))
    right = Double.between(high, middle).times(Double(above * (above - spare)))
    total, lost = sum_parts(np.concatenate([left.high, right.high], axis=1))
    inside = total + (lost + row_sum(left.low + right.low))
    outside = np.maximum(ordered[:, 0] - target, 0.0) + np.maximum(target - ordered[:, -1], 0.0)
    value: Array = inside / float(members * others) + outside
    return value


@gradient(crps_ensemble)
def _(target: Array, pred: Array, *, estimator: str) -> Array:
    members, others = pred.shape[1], _pairs(pred, estimator)
    balance = np.zeros_like(pred)  # members below minus members above; equal ones count for neither
    for each in range(members):
        balance += np.sign(pred - pred[:, each : each + 1])
    return (np.sign(pred - target[:, None]) - balance / float(others)) / float(members)


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
    Numerics: the series around z = 0 for z² ≤ ½, erfc and expm1 beyond.
    See also: gaussian-nll is harsher on overconfidence.
    References: Gneiting, Raftery, Westveld & Goldman (2005), Calibrated Probabilistic Forecasting Using
        Ensemble Model Output Statistics.

    >>> import lossctl
    >>> round(lossctl.compute("crps-normal", [0], [0], scale=[1]).value, 12)  # (√2 − 1)/√π
    0.233694977255
    """
    gap, slack = difference(np.maximum(target, pred), np.minimum(target, pred))
    z = gap / scale
    square = np.minimum(z * z, 0.5)
    series = np.full_like(z, _BELL[-1])
    for coefficient in reversed(_BELL[:-1]):
        series *= square
        series += coefficient
    value: Array = scale * AT_ZERO + gap * z * series
    far = z * z > 0.5
    if far.any():
        value[far] = _far_crps(gap[far], slack[far], scale[far])
    return value


def _far_crps(gap: Array, slack: Array, scale: Array) -> Array:
    """The formula with 1 − erfc for erf, which leaves less to round; what rounding took from z counts in
    neither of its terms, as the two errors cancel."""
    x = gap / scale * math.sqrt(0.5)
    missing = erfc(x)
    bulk, low = two_product(np.where(missing == 0.0, 0.0, gap), missing)  # beyond the doubles 0·∞ = 0
    rest = scale * (AT_ZERO + PEAK * np.expm1(-x * x)) + (slack * (1.0 - missing) - low)
    value: Array = gap + (rest - bulk)
    return value


@gradient(crps_normal, "pred", "scale")
def _(target: Array, pred: Array, scale: Array) -> tuple[Array, Array]:
    z = (target - pred) / scale
    return -erf(z * math.sqrt(0.5)), math.sqrt(2.0) * ROOT_PI * np.exp(-0.5 * z * z) - ROOT_PI
