"""Errors of a predicted number that limit what outliers can do, or weigh the two sides apart."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, POSITIVE, Interval
from lossctl.elementary import log_ratio_parts
from lossctl.errorfree import Double, finite_rest, square_parts, squared_ratio, two_product, two_sum
from lossctl.loss import Array, Param, Real, Residual, gradient, like, loss
from lossctl.losses._robust import (
    LARGEST,
    by_half_square,
    log1p_ratio,
    log1p_square,
    named_member,
    parabola,
    parted,
    ratio_and_rest,
    root_rise,
    share,
)
from lossctl.numeric import atanh_rest
from lossctl.special import log_ratio

Scale = Annotated[float, Param("residual from which an error counts as an outlier", POSITIVE)]


ANY_POWER = Interval(-math.inf, 2.0)


@loss(
    range=NONNEG,
    tasks=("regression", "outliers"),
    likes=(like("xgboost", "mphe", note="delta is called huber_slope"),),
)
def pseudo_huber(
    target: Real,
    pred: Real,
    *,
    delta: Annotated[float, Param("where the parabola bends into the line", POSITIVE)] = 1.0,
) -> Array:
    """Pseudo-Huber loss: huber's shape with all derivatives continuous.

    Formula: δ²(√(1 + (r/δ)²) − 1), r = pred − target.
    Gradient: r / √(1 + (r/δ)²).
    Use when: huber is wanted with a smooth second derivative.
    Numerics: what rounding took from √(1 + (r/δ)²) is put back, so that small r lose nothing.
    References: Charbonnier et al. (1997), Deterministic Edge-Preserving Regularization.

    >>> import lossctl
    >>> lossctl.compute("pseudo-huber:delta=4", [0], [3]).value  # 16·(5/4 − 1)
    4.0
    """
    square, rest = ratio_and_rest(pred, target, delta)
    rest /= np.sqrt(1.0 + square)
    value = parabola(by_half_square(2.0 * root_rise(square), delta, rest), square, target, pred)
    far = np.isinf(square) | (delta < 1e-145)
    if far.any():
        size = np.abs(pred - target)
        value = np.where(far, delta * size * (size / (np.hypot(delta, size) + delta)), value)
    return value


@gradient(pseudo_huber)
def _(target: Array, pred: Array, *, delta: float) -> Array:
    residual = pred - target
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
    Numerics: the two terms cancel near zero; their difference is summed as a series there.
    References: Fair (1974), On the Robust Estimation of Econometric Models.

    >>> import lossctl
    >>> round(lossctl.compute("fair", [0], [1]).value, 12)  # 1 − log 2
    0.30685281944
    """
    size, slack = parted(target, pred)
    quotient = Double(size, slack).over(Double(*two_sum(size, np.full_like(size, 2.0 * c))))
    s = quotient.high
    square = np.minimum(s * s, 0.25)
    near, rest = two_product(size, s)
    rest += size * quotient.low + s * slack
    near += rest - near * (s * (1.0 - s) * atanh_rest(square))
    bulk, low = two_product(np.log1p(np.minimum(size / c, LARGEST)), c)
    far = size - (bulk + (low - slack / (1.0 + c / size)))
    value = c * np.where(s <= 0.5, near, far)
    return parabola(value, near, target, pred) if c > 1.0 else value


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
    Numerics: (r/c)² is taken with what rounding took.
    References: Black & Anandan (1996), The Robust Estimation of Multiple Motions.

    >>> import lossctl
    >>> round(lossctl.compute("cauchy", [0], [1]).value, 12)  # ½·log 2
    0.34657359028
    """
    square, rest = ratio_and_rest(pred, target, c)
    value = np.log1p(square)
    if np.isinf(square).any():  # its logarithm is not
        far = 2.0 * log_ratio(np.abs(pred - target), np.full_like(pred, c))
        value = np.where(np.isinf(square), far, value)
    return parabola(by_half_square(value, c, rest / (1.0 + square)), square, target, pred)


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
def welsch(target: Real, pred: Real, *, c: Scale = 1.0) -> Array:
    """Welsch loss: bounded; a gross outlier costs c²/2 and no more.

    Formula: (c²/2)(1 − e^(−(r/c)²)), r = pred − target.
    Gradient: r·e^(−(r/c)²).
    Use when: part of the targets is wrong and must not matter at all.
    Numerics: (r/c)² is taken with what rounding took.
    References: Dennis & Welsch (1978), Techniques for nonlinear least squares and robust regression.

    >>> import lossctl
    >>> round(lossctl.compute("welsch", [0], [1]).value, 12)  # ½(1 − 1/e)
    0.316060279414
    """
    square, rest = ratio_and_rest(pred, target, c)
    fall = np.expm1(-square)
    return parabola(by_half_square(-fall, c, rest * (1.0 + fall)), square, target, pred)


@gradient(welsch)
def _(target: Array, pred: Array, *, c: float) -> Array:
    residual = pred - target
    x = residual / c
    return residual * np.exp(-x * x)


@loss(
    range=Interval(0.0, 2.0),
    tasks=("regression", "outliers"),
    likes=(like("kornia", "kornia.losses.geman_mcclure_loss"),),
)
def geman_mcclure(target: Real, pred: Real, *, c: Scale = 2.0) -> Array:
    """Geman–McClure loss: bounded by 2, half-way at |r| = c.

    Formula: 2r² / (r² + c²), r = pred − target.
    Gradient: 4c²r / (r² + c²)².
    Use when: outliers should cost a constant.
    Numerics: written as 2u / (1 + u) with u = (r/c)², bounded so that a large residual does not overflow.
    References: Geman & McClure (1987), Statistical Methods for Tomographic Image Reconstruction.

    >>> import lossctl
    >>> lossctl.compute("geman-mcclure", [0], [2]).value
    1.0
    """
    return 2.0 * share(squared_ratio(pred, target, c))


@gradient(geman_mcclure)
def _(target: Array, pred: Array, *, c: float) -> Array:
    x = (pred - target) / c
    return 4.0 * x / (c * (1.0 + x * x) ** 2)


@loss(aliases=("biweight",), range=NONNEG, tasks=("regression", "outliers"))
def tukey(target: Real, pred: Real, *, c: Scale = 4.685) -> Array:
    """Tukey's biweight loss: constant beyond c, with no gradient there.

    Formula: (c²/6)(1 − (1 − (r/c)²)³) where |r| ≤ c, otherwise c²/6.
    Gradient: r(1 − (r/c)²)² where |r| ≤ c, otherwise 0.
    Use when: outliers should have no influence at all; c = 4.685 keeps 95 % efficiency for unit normals.
    Numerics: with u = (r/c)² it is r²/2·(1 − u + u²/3) for small u, where the cube would cancel.
    References: Beaton & Tukey (1974), The Fitting of Power Series.

    >>> import lossctl
    >>> lossctl.compute("tukey:c=2", [0, 0], [2, 50]).value  # 4 / 6
    0.6666666666666666
    """
    bulk, rest = square_parts(pred, target)
    bulk += rest
    u = np.fmin(bulk / (c * c), 1.0)
    half = 0.5 * bulk
    near = half - half * (u - u * u / 3.0)
    top = c * c / 6.0
    far = top - top * (1.0 - u) ** 3 if top < math.inf else np.full_like(u, top)
    return np.where(u < 0.35, near, far)


@gradient(tukey)
def _(target: Array, pred: Array, *, c: float) -> Array:
    residual = pred - target
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
    Numerics: the members with a name by their own formulas; others by expm1 of the power's logarithm, taken
        in twice the digits.
    References: Barron (2019), A General and Adaptive Robust Loss Function.

    >>> import lossctl
    >>> lossctl.compute("barron:alpha=2", [0], [3]).value  # 9 / 2
    4.5
    """
    if abs(alpha) < 1e-290:  # half of it may be none
        alpha = 0.0
    if alpha in (2.0, 1.0, 0.0, -2.0, -math.inf):
        half = 0.5 * squared_ratio(pred, target, c)
        return named_member(alpha, half, np.abs(pred - target) / c)
    width = abs(alpha - 2.0)
    logs = log1p_ratio(pred, target, c, width).times(Double(np.asarray(0.5 * alpha)))
    rise = np.expm1(logs.high)
    rise += finite_rest((1.0 + rise) * logs.low)
    value = rise * width / alpha
    if alpha > 0.0 and np.isinf(value).any():  # the factor may bring it back
        one = np.ones_like(value)
        less = logs.plus(log_ratio_parts(Double(width / alpha * one), Double(one)))
        part = np.exp(less.high)
        value = np.where(np.isinf(value), part + finite_rest(part * less.low), value)
    faint = value < 1e-290
    if faint.any():  # digits lost below the doubles
        value = np.where(faint, 0.5 * squared_ratio(pred, target, c), value)
    return value


@gradient(barron)
def _(target: Array, pred: Array, *, alpha: float, c: float) -> Array:
    x = (pred - target) / c
    if alpha == 2.0:
        return x / c
    if math.isinf(alpha):
        return x / c * np.exp(-0.5 * x * x)
    width = abs(alpha - 2.0)
    return x / c * np.exp((0.5 * alpha - 1.0) * log1p_square(np.abs(x), width))
