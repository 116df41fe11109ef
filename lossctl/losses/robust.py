"""Errors of a predicted number that limit what outliers can do, or weigh the two sides apart."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, POSITIVE, Interval
from lossctl.loss import Array, Param, Real, Residual, gradient, like, loss
from lossctl.numeric import atanh_rest, difference

Scale = Annotated[float, Param("residual from which an error counts as an outlier", POSITIVE)]


LARGEST = float(np.finfo(np.float64).max)
ANY_POWER = Interval(-math.inf, 2.0)


def _log1p_square(x: Array, scale: float = 1.0, slack: Array | None = None) -> Array:
    """log(1 + x²/scale) for x ≥ 0 without squaring what would overflow; slack: what x lost in rounding."""
    square = x * x / scale
    value = np.log1p(square)
    if slack is not None:
        value += slack * (x / (0.5 * scale * (1.0 + square)))
    if np.max(x, initial=0.0) > 1e150:
        value = np.where(x > 1e150, 2.0 * np.log(x) - math.log(scale), value)
    return value


def _parted(target: Array, pred: Array) -> tuple[Array, Array]:
    """|pred − target|, and what rounding took from it."""
    residual, slack = difference(pred, target)
    return np.abs(residual), np.copysign(1.0, residual) * slack


@loss(
    range=NONNEG,
    tasks=("regression", "outliers"),
    likes=(like("xgboost", "mphe", note="delta is called huber_slope"),),
)
def pseudo_huber(
    residual: Residual,
    *,
    delta: Annotated[float, Param("where the parabola bends into the line", POSITIVE)] = 1.0,
) -> Array:
    """Pseudo-Huber loss: huber's shape with all derivatives continuous.

    Formula: δ²(√(1 + (r/δ)²) − 1), r = pred − target.
    Gradient: r / √(1 + (r/δ)²).
    Use when: huber is wanted with a smooth second derivative.
    Numerics: written as δr²/(√(δ² + r²) + δ), which neither cancels for small nor overflows for large r.
        Rows are within 4 ulp.
    References: Charbonnier et al. (1997), Deterministic Edge-Preserving Regularization.

    >>> import lossctl
    >>> lossctl.compute("pseudo-huber:delta=4", [0], [3]).value  # 16·(5/4 − 1)
    4.0
    """
    size = np.abs(residual)
    return delta * size * (size / (np.hypot(delta, size) + delta))


@gradient(pseudo_huber)
def _(residual: Array, *, delta: float) -> Array:
    return residual / np.hypot(1.0, residual / delta)


@loss(
    range=NONNEG,
    best=None,
    tasks=("regression", "outliers", "images"),
    likes=(like("kornia", "kornia.losses.charbonnier_loss", exists=False, note="ε = 1 and subtracts 1"),),
)
def charbonnier(
    residual: Residual, *, eps: Annotated[float, Param("rounds the corner at zero", POSITIVE)] = 0.001
) -> Array:
    """Charbonnier loss: absolute error that is differentiable at zero.

    Formula: √(r² + ε²), r = pred − target.
    Gradient: r / √(r² + ε²).
    Use when: images or flows are restored; a perfect prediction costs ε.
    See also: pseudo-huber subtracts that constant.
    References: Charbonnier et al. (1994), Two deterministic half-quadratic regularization algorithms.

    >>> import lossctl
    >>> lossctl.compute("charbonnier:eps=4", [0], [3]).value
    5.0
    """
    return np.hypot(residual, eps)


@gradient(charbonnier)
def _(residual: Array, *, eps: float) -> Array:
    return residual / np.hypot(residual, eps)


@loss(
    range=NONNEG,
    tasks=("regression", "outliers"),
    likes=(like("lightgbm", "fair", note="c is called fair_c"), like("catboost", "FairLoss:smoothness")),
)
def fair(target: Real, pred: Real, *, c: Scale = 1.0) -> Array:
    """Fair loss: quadratic near zero, growing a little slower than linearly.

    Formula: c|r| − c²·log(1 + |r|/c), r = pred − target.
    Gradient: r / (1 + |r|/c).
    Use when: a convex loss with a defined second derivative everywhere is wanted.
    Numerics: the two terms cancel near zero; their difference is summed as a series there. Rows are within
        4 ulp.
    References: Fair (1974), On the Robust Estimation of Econometric Models.

    >>> import lossctl
    >>> round(lossctl.compute("fair", [0], [1]).value, 12)  # 1 − log 2
    0.30685281944
    """
    size, slack = _parted(target, pred)
    s = 1.0 / (1.0 + 2.0 * c / size)
    square = np.minimum(s * s, 0.25)
    near = c * s * (size - 2.0 * c * square * atanh_rest(square))
    far = c * (size - c * np.log1p(np.minimum(size / c, LARGEST)))
    return np.where(s <= 0.5, near, far) + slack / (1.0 / size + 1.0 / c)


@gradient(fair)
def _(target: Array, pred: Array, *, c: float) -> Array:
    residual = pred - target
    return residual / (1.0 + np.abs(residual) / c)


@loss(
    aliases=("lorentzian",),
    range=NONNEG,
    tasks=("regression", "outliers"),
    likes=(like("kornia", "kornia.losses.cauchy_loss", c=math.sqrt(2.0)),),
)
def cauchy(target: Real, pred: Real, *, c: Scale = 1.0) -> Array:
    """Cauchy loss: outliers count with their logarithm.

    Formula: (c²/2)·log(1 + (r/c)²), r = pred − target.
    Gradient: r / (1 + (r/c)²).
    Use when: the noise has heavy tails.
    Avoid when: a convex loss is needed.
    Numerics: rows are within 4 ulp.
    References: Black & Anandan (1996), The Robust Estimation of Multiple Motions.

    >>> import lossctl
    >>> round(lossctl.compute("cauchy", [0], [1]).value, 12)  # ½·log 2
    0.34657359028
    """
    size, slack = _parted(target, pred)
    x = size / c
    value = _log1p_square(x, 1.0, slack / c)
    if np.isinf(x).any():  # its logarithm is not
        value = np.where(np.isinf(x), 2.0 * (np.log(size) - math.log(c)), value)
    return 0.5 * c * c * value


@gradient(cauchy)
def _(target: Array, pred: Array, *, c: float) -> Array:
    residual = pred - target
    x = residual / c
    return residual / (1.0 + x * x)


@loss(
    aliases=("leclerc",),
    range=NONNEG,
    tasks=("regression", "outliers"),
    likes=(like("kornia", "kornia.losses.welsch_loss", c=math.sqrt(2.0)),),
)
def welsch(residual: Residual, *, c: Scale = 1.0) -> Array:
    """Welsch loss: bounded; a gross outlier costs c²/2 and no more.

    Formula: (c²/2)(1 − e^(−(r/c)²)), r = pred − target.
    Gradient: r·e^(−(r/c)²).
    Use when: part of the targets is wrong and must not matter at all.
    Numerics: rows are within 4 ulp.
    References: Dennis & Welsch (1978), Techniques for nonlinear least squares and robust regression.

    >>> import lossctl
    >>> round(lossctl.compute("welsch", [0], [1]).value, 12)  # ½(1 − 1/e)
    0.316060279414
    """
    x = residual / c
    return -0.5 * c * c * np.expm1(-x * x)


@gradient(welsch)
def _(residual: Array, *, c: float) -> Array:
    x = residual / c
    return residual * np.exp(-x * x)


@loss(
    range=Interval(0.0, 2.0),
    tasks=("regression", "outliers"),
    likes=(like("kornia", "kornia.losses.geman_mcclure_loss"),),
)
def geman_mcclure(residual: Residual, *, c: Scale = 2.0) -> Array:
    """Geman–McClure loss: bounded by 2, half-way at |r| = c.

    Formula: 2r² / (r² + c²), r = pred − target.
    Gradient: 4c²r / (r² + c²)².
    Use when: outliers should cost a constant.
    Numerics: written as 2u / (1 + u) with u = (r/c)², bounded so that a large residual does not overflow.
        Rows are within 4 ulp.
    References: Geman & McClure (1987), Statistical Methods for Tomographic Image Reconstruction.

    >>> import lossctl
    >>> lossctl.compute("geman-mcclure", [0], [2]).value
    1.0
    """
    square = np.minimum(np.abs(residual) / c, 1e150)
    square *= square
    return 2.0 * square / (1.0 + square)


@gradient(geman_mcclure)
def _(residual: Array, *, c: float) -> Array:
    x = residual / c
    return 4.0 * x / (c * (1.0 + x * x) ** 2)


@loss(aliases=("biweight",), range=NONNEG, tasks=("regression", "outliers"))
def tukey(residual: Residual, *, c: Scale = 4.685) -> Array:
    """Tukey's biweight loss: constant beyond c, with no gradient there.

    Formula: (c²/6)(1 − (1 − (r/c)²)³) where |r| ≤ c, otherwise c²/6.
    Gradient: r(1 − (r/c)²)² where |r| ≤ c, otherwise 0.
    Use when: outliers should have no influence at all; c = 4.685 keeps 95 % efficiency for unit normals.
    Numerics: expanded as u(3 − 3u + u²) with u = (r/c)², which does not cancel. Rows are within 8 ulp.
    References: Beaton & Tukey (1974), The Fitting of Power Series.

    >>> import lossctl
    >>> lossctl.compute("tukey:c=2", [0, 0], [2, 50]).value  # 4 / 6
    0.6666666666666666
    """
    u = np.minimum(np.abs(residual) / c, 1.0) ** 2
    return c * c / 6.0 * (u * (3.0 - u * (3.0 - u)))


@gradient(tukey)
def _(residual: Array, *, c: float) -> Array:
    x = residual / c
    return np.where(np.abs(x) <= 1.0, residual * (1.0 - x * x) ** 2, 0.0)


@loss(aliases=("general-robust",), range=NONNEG, tasks=("regression", "outliers"))
def barron(
    target: Real,
    pred: Real,
    *,
    alpha: Annotated[
        float, Param("shape: 2 squared, 1 pseudo-Huber, 0 Cauchy, −2 Geman–McClure, −inf Welsch", ANY_POWER)
    ] = 1.0,
    c: Scale = 1.0,
) -> Array:
    """Barron's general robust loss: one family from squared error to Welsch.

    Formula: (|α−2|/α)·(((r/c)²/|α−2| + 1)^(α/2) − 1), with its limits at α = 2, 0 and −∞.
    Gradient: (r/c²)·((r/c)²/|α−2| + 1)^(α/2 − 1).
    Use when: the right robustness is itself to be chosen.
    Numerics: the power minus one is expm1 of its logarithm where that is small; what rounding took from r
        is put back to first order. Rows are within 4 ulp.
    References: Barron (2019), A General and Adaptive Robust Loss Function.

    >>> import lossctl
    >>> lossctl.compute("barron:alpha=2", [0], [3]).value  # 9 / 2
    4.5
    """
    size, slack = _parted(target, pred)
    x, lost = size / c, slack / c
    if alpha == 2.0:
        return 0.5 * x * x
    if alpha == 0.0:
        return _log1p_square(x, 2.0, lost)
    if math.isinf(alpha):
        fall = np.expm1(-0.5 * x * x)
        return np.minimum(x, 1e150) * (1.0 + fall) * lost - fall
    width = abs(alpha - 2.0)
    logs = 0.5 * _log1p_square(x, width, lost)
    rise = np.expm1(alpha * logs)
    if alpha > 0.0:  # a large power is exact where the exponential of its logarithm is not
        root = np.where(x < 1e150, np.sqrt(1.0 + x * x / width), x / math.sqrt(width))
        rise = np.where(np.minimum(logs, alpha * logs) > 0.7, root**alpha - 1.0, rise)
    value = width / alpha * rise
    if alpha > 0.0 and np.isinf(value).any():  # the factor may bring it back
        half = root ** (0.5 * alpha)
        value = np.where(np.isinf(value), width / alpha * half * half, value)
    return value


@gradient(barron)
def _(target: Array, pred: Array, *, alpha: float, c: float) -> Array:
    x = (pred - target) / c
    if alpha == 2.0:
        return x / c
    if math.isinf(alpha):
        return x / c * np.exp(-0.5 * x * x)
    width = abs(alpha - 2.0)
    return x / c * np.exp((0.5 * alpha - 1.0) * _log1p_square(np.abs(x), width))
