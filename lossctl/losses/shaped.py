"""Errors of a predicted number with a shape of their own: one-sided, with a dead zone, or a power."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, POSITIVE, UNIT, Interval
from lossctl.errorfree import difference, finite_rest, square_parts, two_product
from lossctl.loss import Array, Param, Real, Residual, gradient, like, loss
from lossctl.numeric import expm1_minus, short_by


@loss(
    range=NONNEG,
    tasks=("quantiles", "regression"),
    likes=(like("catboost", "Expectile:alpha", note="tau is called alpha"),),
)
def expectile(
    target: Real,
    pred: Real,
    *,
    tau: Annotated[float, Param("the expectile that is predicted", UNIT)] = 0.5,
) -> Array:
    """Expectile loss: a squared error that weighs the two sides apart.

    Formula: |τ − 1[r > 0]|·r², r = pred − target.
    Gradient: 2·|τ − 1[r > 0]|·r.
    Use when: the prediction is an expectile; τ = 0.5 is half of mse.
    See also: quantile does the same for absolute errors.
    References: Newey & Powell (1987), Asymmetric Least Squares Estimation and Testing.

    >>> import lossctl
    >>> lossctl.compute("expectile:tau=0.75", [0, 0], [-2, 2]).value  # (3 + 1) / 2
    2.0
    """
    bulk, rest = square_parts(pred, target)
    side = np.where(pred > target, 1.0 - tau, tau)
    value = side * (bulk + rest)
    far = np.isinf(bulk)
    if far.any():  # the share may bring it back
        size = np.abs(pred - target)
        value = np.where(far, side * size * size, value)
    return value


@gradient(expectile)
def _(target: Array, pred: Array, *, tau: float) -> Array:
    residual = pred - target
    return 2.0 * np.where(residual > 0.0, 1.0 - tau, tau) * residual


@loss(
    range=NONNEG,
    tasks=("regression", "images"),
    likes=(like("smp", "losses._functional.wing_loss"),),
)
def wing(
    residual: Residual,
    *,
    width: Annotated[float, Param("errors below this are on the logarithmic part", POSITIVE)] = 5.0,
    curvature: Annotated[float, Param("limits the slope at zero", POSITIVE)] = 0.5,
) -> Array:
    """Wing loss: a logarithm that magnifies small errors, then linear.

    Formula: w·log(1 + |r|/ε) where |r| < w, otherwise |r| − w + w·log(1 + w/ε).
    Gradient: sign(r)·w/(ε + |r|) where |r| < w, otherwise sign(r).
    Use when: landmarks are localised and the last pixel matters.
    References: Feng et al. (2018), Wing Loss for Robust Facial Landmark Localisation.

    >>> import lossctl
    >>> round(lossctl.compute("wing:width=1:curvature=1", [0], [3]).value, 12)  # 3 − 1 + log 2
    2.69314718056
    """
    size = np.abs(residual)
    return np.where(
        size < width,
        width * np.log1p(size / curvature),
        size - (width - width * math.log1p(width / curvature)),
    )


@gradient(wing)
def _(residual: Array, *, width: float, curvature: float) -> Array:
    size = np.abs(residual)
    return np.sign(residual) * np.where(size < width, width / (curvature + size), 1.0)


@loss(
    aliases=("svr",),
    range=NONNEG,
    tasks=("regression", "margins"),
    likes=(like("sklearn", "epsilon_insensitive of sklearn.linear_model.SGDRegressor"),),
)
def epsilon_insensitive(
    target: Real,
    pred: Real,
    *,
    epsilon: Annotated[float, Param("errors up to this cost nothing", NONNEG)] = 0.1,
    squared: Annotated[bool, Param("square what is beyond")] = False,
) -> Array:
    """Epsilon-insensitive loss: absolute error beyond a tube.

    Formula: max(0, |r| − ε), squared on request, r = pred − target.
    Gradient: sign(r) where |r| > ε, otherwise 0; times 2(|r| − ε) when squared.
    Use when: a support vector regression is judged, or small errors are of no consequence.
    Numerics: what is beyond the tube is rounded once.
    References: Vapnik (1995), The Nature of Statistical Learning Theory.

    >>> import lossctl
    >>> lossctl.compute("epsilon-insensitive:epsilon=1", [0, 0], [0.5, 3]).value  # (0 + 2) / 2
    1.0
    """
    beyond = short_by(np.maximum(pred, target), np.minimum(pred, target), -epsilon)
    np.maximum(beyond, 0.0, out=beyond)
    return beyond * beyond if squared else beyond


@gradient(epsilon_insensitive)
def _(target: Array, pred: Array, *, epsilon: float, squared: bool) -> Array:
    residual = pred - target
    beyond = np.maximum(np.abs(residual) - epsilon, 0.0)
    return np.sign(residual) * (2.0 * beyond if squared else np.where(beyond > 0.0, 1.0, 0.0))


@loss(range=NONNEG, tasks=("regression", "forecast"), likes=(like("utilsforecast", "linex"),))
def linex(
    target: Real,
    pred: Real,
    *,
    a: Annotated[float, Param("positive: underestimates cost exponentially; negative: overestimates")] = 1.0,
) -> Array:
    """Linear–exponential loss: one side grows exponentially, the other linearly.

    Formula: e^(−a·r) + a·r − 1, r = pred − target.
    Gradient: a(1 − e^(−a·r)).
    Use when: errors of one sign are far more costly, as in reserves or dosage.
    Numerics: e^x − 1 − x is summed as a series near zero; what rounding took from r and a·r is put back, as
        e^x would lose |x| times that; beyond the range of doubles it is infinite.
    References: Varian (1975), A Bayesian Approach to Real Estate Assessment; Zellner (1986).

    >>> import lossctl
    >>> round(lossctl.compute("linex", [1], [0]).value, 12)  # e − 2
    0.718281828459
    """
    residual, slack = difference(pred, target)
    x, lost = two_product(residual, -a)
    return np.where(x == np.inf, np.inf, expm1_minus(x, lost - a * slack))


@gradient(linex)
def _(target: Array, pred: Array, *, a: float) -> Array:
    residual = pred - target
    return -a * np.expm1(-a * residual)


@loss(
    aliases=("minkowski",),
    range=NONNEG,
    tasks=("regression",),
    likes=(
        like("catboost", "Lq:q"),
        like(
            "torchmetrics", "torchmetrics.MinkowskiDistance", exists=False, note="root of the sum over rows"
        ),
    ),
)
def lq(
    target: Real,
    pred: Real,
    *,
    q: Annotated[float, Param("power of the error", Interval(1.0, math.inf, open_high=True))] = 1.5,
) -> Array:
    """Absolute error to a power between and beyond mae and mse.

    Formula: |r|^q, r = pred − target.
    Gradient: q·|r|^(q−1)·sign(r).
    Use when: something between absolute and squared error is wanted.
    Numerics: what rounding took from r, times q, is put back.
    References: Box & Tiao (1962), A Further Look at Robustness via Bayes's Theorem.

    >>> import lossctl
    >>> lossctl.compute("lq:q=3", [0], [2]).value
    8.0
    """
    residual, slack = difference(pred, target)
    slack *= q
    slack /= residual
    value: Array = np.abs(residual) ** q
    return value + finite_rest(np.expm1(slack) * value)


@gradient(lq)
def _(target: Array, pred: Array, *, q: float) -> Array:
    residual = pred - target
    return q * np.abs(residual) ** (q - 1.0) * np.sign(residual)
