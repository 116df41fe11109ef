"""Errors of a predicted number."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, POSITIVE, REAL, UNIT
from lossctl.errorfree import difference, square_parts
from lossctl.loss import Array, Param, Real, Residual, gradient, like, loss
from lossctl.losses._robust import far_log_cosh, near_log_cosh


@loss(
    aliases=("l2", "mean-squared-error"),
    range=NONNEG,
    tasks=("regression",),
    likes=(
        like("torch", "torch.nn.MSELoss"),
        like("keras", "keras.losses.MeanSquaredError"),
        like("sklearn", "sklearn.metrics.mean_squared_error"),
        like("optax", "optax.losses.squared_error"),
        like("torchmetrics", "torchmetrics.MeanSquaredError"),
        like("lightgbm", "l2"),
    ),
)
def mse(residual: Residual) -> Array:
    """Squared error.

    Formula: r², r = pred − target.
    Gradient: 2r.
    Use when: large errors are disproportionately bad and the noise is roughly Gaussian.
    Avoid when: outliers dominate (huber, mae), or targets are class labels (bce, cross-entropy).
    Numerics: a square below 2.2e-308 (|r| < 1.5e-154) loses digits and becomes 0 (|r| < 1.6e-162); beyond
        |r| = 1.3e154 it is infinite.
    See also: rmse is its root, half-mse its half, r2-loss scales it by the variance of the target.
    References: Gauss (1809), Theoria motus corporum coelestium.

    >>> import lossctl
    >>> lossctl.compute("mse", [1, 2], [2, 4]).value  # (1 + 4) / 2
    2.5
    """
    return residual * residual


@gradient(mse)
def _(residual: Array) -> Array:
    return 2.0 * residual


@loss(
    aliases=("l1", "mean-absolute-error"),
    range=NONNEG,
    tasks=("regression", "outliers"),
    likes=(
        like("torch", "torch.nn.L1Loss"),
        like("keras", "keras.losses.MeanAbsoluteError"),
        like("sklearn", "sklearn.metrics.mean_absolute_error"),
        like("torchmetrics", "torchmetrics.MeanAbsoluteError"),
        like("xgboost", "mae"),
        like("lightgbm", "l1"),
        like("catboost", "MAE", note="takes 1e-6 off each error"),
    ),
)
def mae(residual: Residual) -> Array:
    """Absolute error.

    Formula: |r|, r = pred − target.
    Gradient: sign(r), 0 at r = 0.
    Use when: every unit of error costs the same, or outliers should not dominate; its best constant
        prediction is the median.
    Avoid when: rare large errors are what matters (mse).
    References: Laplace (1774), Mémoire sur la probabilité des causes par les événements.

    >>> import lossctl
    >>> lossctl.compute("mae", [1, 2], [2, 4]).value  # (1 + 2) / 2
    1.5
    """
    return np.abs(residual)


@gradient(mae)
def _(residual: Array) -> Array:
    return np.sign(residual)


@loss(
    range=NONNEG,
    tasks=("regression", "outliers"),
    likes=(
        like("torch", "torch.nn.HuberLoss"),
        like("keras", "keras.losses.Huber"),
        like("optax", "optax.losses.huber_loss"),
        like("lightgbm", "huber", delta=0.9, note="its alpha is delta, 0.9 unless said"),
        like("catboost", "Huber:delta", note="delta has no default there"),
    ),
)
def huber(
    residual: Residual,
    *,
    delta: Annotated[float, Param("where the parabola meets the line", POSITIVE)] = 1.0,
) -> Array:
    """Huber loss: squared near zero, absolute far away.

    Formula: ½r² where |r| ≤ δ, otherwise δ(|r| − ½δ), r = pred − target.
    Gradient: r clipped to [−δ, δ].
    Use when: the noise is Gaussian with some outliers; δ is the error from which an error is an outlier.
    Numerics: the linear branch never squares a large residual.
    See also: smooth-l1 is huber/δ.
    References: Huber (1964), Robust Estimation of a Location Parameter.

    >>> import lossctl
    >>> lossctl.compute("huber:delta=1", [0, 0], [0.5, 3]).value  # (0.125 + 2.5) / 2
    1.3125
    """
    size = np.abs(residual)
    inner = np.minimum(size, delta)
    size -= 0.5 * inner
    size *= inner
    return size


@gradient(huber)
def _(residual: Array, *, delta: float) -> Array:
    return np.clip(residual, -delta, delta)


@loss(
    aliases=("logcosh",),
    range=NONNEG,
    tasks=("regression", "outliers"),
    likes=(
        like("keras", "keras.losses.LogCosh"),
        like("optax", "optax.losses.log_cosh"),
        like("torchmetrics", "torchmetrics.LogCoshError", note="overflows beyond |r| ≈ 710"),
        like("catboost", "LogCosh", note="a fast logarithm, up to 1e-4 off"),
    ),
)
def log_cosh(target: Real, pred: Real) -> Array:
    """Logarithm of the hyperbolic cosine of the error: smooth everywhere, linear far away.

    Formula: log cosh r, r = pred − target.
    Gradient: tanh r.
    Use when: huber's shape is wanted with no parameter and a smooth second derivative.
    Numerics: ½r² and a rational function of r² up to |r| = 1, |r| − log 2 + log(1 + e^−2|r|) beyond; what
        rounding takes from r, which alone could cost 2 ulp, is put back.
    References: Green (1990), Bayesian reconstructions from emission tomography data.

    >>> import lossctl
    >>> round(lossctl.compute("log-cosh", [0.0], [1.0]).value, 9)  # log((e + 1/e) / 2)
    0.43378083
    """
    residual, slack = difference(pred, target)
    value = near_log_cosh(residual, slack)
    far = np.nonzero(np.abs(residual) > 1.0)  # faster than the mask, where few are far
    if len(far[0]):
        value[far] = far_log_cosh(residual[far], slack[far])
    return value


@gradient(log_cosh)
def _(target: Array, pred: Array) -> Array:
    return np.tanh(pred - target)


@loss(
    aliases=("pinball",),
    range=NONNEG,
    tasks=("quantiles", "regression"),
    likes=(
        like("sklearn", "sklearn.metrics.mean_pinball_loss", note="tau is called alpha"),
        like("lightgbm", "quantile", tau=0.9, note="its alpha is tau, 0.9 unless said"),
        like("xgboost", "quantile", note="quantile_alpha, a mean over several levels"),
    ),
)
def quantile(
    residual: Residual,
    *,
    tau: Annotated[float, Param("the quantile that is predicted", UNIT)] = 0.5,
) -> Array:
    """Quantile (pinball) loss: an error below the target costs τ, above it 1 − τ, per unit.

    Formula: max(−τr, (1 − τ)r), r = pred − target.
    Gradient: 1 − τ where r > 0, −τ where r < 0, 0 at r = 0.
    Use when: the prediction is a quantile rather than a mean; τ = 0.5 is half of mae.
    See also: multi-quantile for several levels at once, interval-score for an interval.
    References: Koenker & Bassett (1978), Regression Quantiles.

    >>> import lossctl
    >>> lossctl.compute("quantile:tau=0.75", [0, 0], [-2, 2]).value  # (1.5 + 0.5) / 2
    1.0
    """
    return np.maximum(-tau * residual, (1.0 - tau) * residual)


@gradient(quantile)
def _(residual: Array, *, tau: float) -> Array:
    return np.where(residual > 0.0, 1.0 - tau, np.where(residual < 0.0, -tau, 0.0))


@loss(
    aliases=("l2-loss",),
    range=NONNEG,
    tasks=("regression",),
    likes=(
        like("optax", "optax.losses.l2_loss"),
        like("xgboost", "reg:squarederror", note="the objective; its metric rmse has no half"),
    ),
)
def half_mse(residual: Residual) -> Array:
    """Half the squared error, whose gradient is the residual itself.

    Formula: ½r², r = pred − target.
    Gradient: r.
    Use when: numbers are compared with a training objective that has the half.
    Numerics: squares as in mse.
    See also: mse is twice as large.
    References: Gauss (1809), Theoria motus corporum coelestium.

    >>> import lossctl
    >>> lossctl.compute("half-mse", [0], [3]).value  # 9 / 2
    4.5
    """
    return 0.5 * residual * residual


@gradient(half_mse)
def _(residual: Array) -> Array:
    return residual.copy()


@loss(
    range=NONNEG,
    tasks=("regression", "outliers", "images"),
    likes=(like("torch", "torch.nn.SmoothL1Loss"),),
)
def smooth_l1(
    target: Real,
    pred: Real,
    *,
    beta: Annotated[float, Param("where the parabola meets the line; 0 is mae", NONNEG)] = 1.0,
) -> Array:
    """Smooth L1 loss: absolute error with its corner rounded off.

    Formula: r²/(2β) where |r| < β, otherwise |r| − ½β, r = pred − target.
    Gradient: r/β clipped to [−1, 1].
    Use when: box coordinates or other targets with a few large errors are regressed.
    See also: huber is β times as large.
    References: Girshick (2015), Fast R-CNN.

    >>> import lossctl
    >>> lossctl.compute("smooth-l1:beta=2", [0, 0], [1, 3]).value  # (0.25 + 2) / 2
    1.125
    """
    size = np.abs(pred - target)
    if beta == 0.0:
        return size
    scale = math.ldexp(1.0, -(math.frexp(beta)[1] // 2))  # near 1/√β: neither square nor quotient overflows
    bulk, rest = square_parts(pred, target, scale)
    return np.where(size < beta, (bulk + rest) / (2.0 * (beta * scale * scale)), size - 0.5 * beta)


@gradient(smooth_l1)
def _(target: Array, pred: Array, *, beta: float) -> Array:
    residual = pred - target
    return np.sign(residual) if beta == 0.0 else np.clip(residual / beta, -1.0, 1.0)


@loss(
    aliases=("mean-error",),
    range=REAL,
    direction="zero",
    tasks=("regression", "forecast"),
    likes=(like("utilsforecast", "bias"),),
)
def bias(residual: Residual) -> Array:
    """Signed error: positive when the prediction is too high.

    Formula: r = pred − target.
    Gradient: 1.
    Use when: systematic over- or underestimation is looked for, beside an error that has no sign.
    Avoid when: it stands alone: errors cancel.
    References: Gauss (1823), Theoria combinationis observationum.

    >>> import lossctl
    >>> lossctl.compute("bias", [0, 0], [1, -3]).value
    -1.0
    """
    return residual.copy()


@gradient(bias)
def _(residual: Array) -> Array:
    return np.ones_like(residual)
