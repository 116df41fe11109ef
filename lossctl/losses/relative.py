"""Errors relative to the size of the target: percentages and logarithms."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np

from lossctl.domain import NONNEG, POSITIVE, Interval
from lossctl.elementary import log_ratio_parts
from lossctl.errorfree import Double, two_sum
from lossctl.loss import Array, Form, Masked, Param, Pooled, Real, gradient, like, loss
from lossctl.losses._values import root_of_ratio, root_slope
from lossctl.numeric import row_sum

UNBOUNDED = Interval(0.0, math.inf)  # an error at a target of zero costs infinitely much
AboveMinusOne = Annotated[Array, Form("real", domain=Interval(-1.0, math.inf, open_low=True, open_high=True))]


def _in_range(target: Array, pred: Array) -> tuple[Array, Array]:
    """Both numbers, a quarter of them in rows where their sum or difference could overflow."""
    top = np.maximum(np.abs(target), np.abs(pred))
    if np.max(top, initial=0.0) < 1e300:
        return target, pred
    share = np.where(top < 1e300, 1.0, 0.25)
    return target * share, pred * share


def _log_gap(target: Array, pred: Array) -> Double:
    """log(1 + pred) − log(1 + target) as one logarithm, so that near values do not cancel."""
    one = np.ones_like(target)
    return log_ratio_parts(Double(*two_sum(pred, one)), Double(*two_sum(target, one)))


def _relative(error: Any, size: Any) -> Any:
    return np.where(error == 0.0, 0.0, error / size)


@loss(
    Pooled(_relative),
    aliases=("wmape", "nd"),
    range=UNBOUNDED,
    tasks=("forecast", "counts"),
    likes=(
        like(
            "torchmetrics",
            "torchmetrics.WeightedMeanAbsolutePercentageError",
            note="adds nothing but clamps the denominator at 1.17e-6",
        ),
    ),
)
def wape(target: Real, pred: Real) -> tuple[Array, Array]:
    """Weighted absolute percentage error: total absolute error over total absolute target.

    Formula: Σ|pred − target| / Σ|target|; 0/0 = 0.
    Gradient: of a row alone sign(pred − target) / Σ|target|.
    Aggregate: a ratio of totals; a row alone gives |r|/|target|.
    Use when: percentage errors are wanted but single targets may be near zero (unlike mape).
    References: Kolassa & Schütz (2007), Advantages of the MAD/Mean Ratio over the MAPE.

    >>> import lossctl
    >>> lossctl.compute("wape", [1, 3], [2, 5]).value  # (1 + 2) / (1 + 3)
    0.75
    """
    return np.abs(pred - target), np.abs(target)


@gradient(wape)
def _(target: Array, pred: Array) -> Array:
    size = np.abs(target)
    bottom = size if size.ndim == 1 else row_sum(size)[:, None]
    return np.sign(pred - target) / bottom


@loss(
    aliases=("mean-squared-log-error",),
    range=NONNEG,
    tasks=("regression", "counts", "positive-targets"),
    likes=(
        like("sklearn", "sklearn.metrics.mean_squared_log_error"),
        like("torchmetrics", "torchmetrics.MeanSquaredLogError"),
        like("catboost", "MSLE"),
        like(
            "keras", "keras.losses.MeanSquaredLogarithmicError", exists=False, note="clips both to 1e-7 first"
        ),
    ),
)
def msle(target: AboveMinusOne, pred: AboveMinusOne) -> Array:
    """Squared error of logarithms: relative errors count, the size of the target does not.

    Formula: (log(1 + pred) − log(1 + target))².
    Gradient: 2·(log(1 + pred) − log(1 + target)) / (1 + pred).
    Use when: targets span orders of magnitude and are not negative.
    Numerics: one logarithm of a ratio, in twice the digits, as its error counts twice.
    See also: rmsle is its root.
    References: Tofallis (2015), A better measure of relative prediction accuracy.

    >>> import lossctl
    >>> round(lossctl.compute("msle", [0], [1]).value, 12)  # (log 2)²
    0.480453013918
    """
    logs = _log_gap(target, pred)
    return logs.high * logs.high + 2.0 * logs.high * logs.low


@gradient(msle)
def _(target: Array, pred: Array) -> Array:
    return 2.0 * _log_gap(target, pred).rounded / (1.0 + pred)


@loss(
    Pooled(root_of_ratio),
    aliases=("root-mean-squared-log-error",),
    range=NONNEG,
    tasks=("regression", "counts", "positive-targets"),
    likes=(
        like("sklearn", "sklearn.metrics.root_mean_squared_log_error"),
        like("xgboost", "rmsle"),
    ),
)
def rmsle(target: AboveMinusOne, pred: AboveMinusOne) -> tuple[Array, int]:
    """Root of the mean squared error of logarithms.

    Formula: √(Σw·(log(1 + pred) − log(1 + target))² / Σw).
    Gradient: of a row alone sign(gap) / (1 + pred).
    Aggregate: the root is taken once, of the exact mean.
    Use when: msle is wanted on the scale of a relative error.
    References: Tofallis (2015), A better measure of relative prediction accuracy.

    >>> import lossctl
    >>> lossctl.compute("rmsle", [0], [1]).value  # log 2
    0.6931471805599453
    """
    return msle(target, pred), 1


@gradient(rmsle)
def _(target: Array, pred: Array) -> Array:
    return root_slope(_log_gap(target, pred).rounded) / (1.0 + pred)


@loss(
    aliases=("mean-absolute-percentage-error",),
    range=UNBOUNDED,
    tasks=("forecast", "regression"),
    likes=(
        like("sklearn", "sklearn.metrics.mean_absolute_percentage_error", zero="eps"),
        like("keras", "keras.losses.MeanAbsolutePercentageError", zero="eps", eps=1e-7, scale=100.0),
        like("torchmetrics", "torchmetrics.MeanAbsolutePercentageError", zero="eps", eps=1.17e-06),
        like("xgboost", "mape", note="no guard either: infinite at a target of zero, nan if pred is 0 too"),
        like("lightgbm", "mape", zero="eps", eps=1.0, note="divides by max(1, |target|)"),
        like("catboost", "MAPE", zero="eps", eps=1.0, note="divides by max(1, |target|)"),
        like("utilsforecast", "mape", zero="skip", note="leaves zero targets out"),
    ),
)
def mape(
    target: Real,
    pred: Real,
    *,
    zero: Annotated[
        Literal["inf", "skip", "eps"],
        Param("a target of zero: an infinite error, left out, or divided by eps"),
    ] = "inf",
    eps: Annotated[float, Param("smallest denominator under zero=eps", POSITIVE)] = 2.220446049250313e-16,
    scale: Annotated[float, Param("1 for fractions, 100 for percent", POSITIVE)] = 1.0,
) -> Any:
    """Absolute error relative to the target.

    Formula: scale·|pred − target| / |target|; 0/0 = 0.
    Gradient: scale·sign(pred − target) / |target|.
    Use when: errors of one percent cost the same whatever the size, and no target is near zero.
    Avoid when: targets may be zero or tiny (wape, smape).
    Numerics: exact division unless zero=eps bounds the denominator from below.
    References: Makridakis (1993), Accuracy Measures: Theoretical and Practical Concerns.

    >>> import lossctl
    >>> lossctl.compute("mape", [2, 4], [3, 4]).value  # (0.5 + 0) / 2
    0.25
    """
    target, pred = _in_range(target, pred) if zero != "eps" else (target, pred)
    size, bottom = np.abs(pred - target), np.abs(target)
    if zero == "eps":
        return scale * (size / np.maximum(bottom, eps))
    value = np.where(size == 0.0, 0.0, scale * (size / bottom))
    return Masked(value, bottom > 0.0) if zero == "skip" else value


@gradient(mape)
def _(target: Array, pred: Array, *, zero: str, eps: float, scale: float) -> Array:
    bottom = np.abs(target)
    return scale * np.sign(pred - target) / (np.maximum(bottom, eps) if zero == "eps" else bottom)


@loss(
    range=NONNEG,
    tasks=("forecast", "regression"),
    likes=(
        like(
            "torchmetrics",
            "torchmetrics.SymmetricMeanAbsolutePercentageError",
            note="clamps the denominator at 1.17e-6",
        ),
        like("catboost", "SMAPE", scale=200.0),
        like("utilsforecast", "smape", scale=1.0),
    ),
)
def smape(
    target: Real,
    pred: Real,
    *,
    scale: Annotated[float, Param("largest value: 1, 2, 100 or 200 as conventions go", POSITIVE)] = 2.0,
) -> Array:
    """Absolute error relative to the sum of both sizes, so that it is bounded.

    Formula: scale·|pred − target| / (|pred| + |target|); 0/0 = 0.
    Gradient: scale·(sign(r)·S − |r|·sign(pred)) / S², S = |pred| + |target|.
    Use when: percentage errors are wanted and targets may be zero.
    Avoid when: over- and underestimates must cost the same: it punishes underestimates more.
    Numerics: a ratio of two rounded sums: rows are within 4 ulp.
    References: Armstrong (1985), Long-Range Forecasting.

    >>> import lossctl
    >>> lossctl.compute("smape", [1], [3]).value  # 2·2 / 4
    1.0
    """
    target, pred = _in_range(target, pred)
    size = np.abs(pred - target)
    return np.where(size == 0.0, 0.0, scale * (size / (np.abs(pred) + np.abs(target))))


@gradient(smape)
def _(target: Array, pred: Array, *, scale: float) -> Array:
    residual, total = pred - target, np.abs(pred) + np.abs(target)
    slope = scale * (np.sign(residual) - np.abs(residual) / total * np.sign(pred)) / total
    return np.where(total == 0.0, 0.0, slope)
