"""What the losses that limit outliers are made of: functions of the residual and of its square over c²."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from lossctl.elementary import LOG_2, log_ratio_parts
from lossctl.errorfree import Double, difference, finite_rest, ratio_parts, two_product, two_sum
from lossctl.loss import Array

LARGEST = float(np.finfo(np.float64).max)
# (log cosh r − r²/2)/r⁴ as p(r²)/q(r²) on [0, 1] within 9e-17, highest power first: the interpolant at
# Chebyshev's nodes at 60 digits. All of p and all of q have one sign, so nothing cancels.
_LOG_COSH = (
    -3.0742191421914023e-05,
    -0.001405406587464646,
    -0.016011635670615903,
    -0.06433567320534425,
    -0.08333333333333333,
)
_LOG_COSH_OVER = (
    6.857654680506504e-05,
    0.004017348460164665,
    0.06253612257399703,
    0.3881725124638268,
    1.0386947451307798,
    1.0,
)


def log1p_square(x: Array, scale: float) -> Array:
    """log(1 + x²/scale) for x ≥ 0 without squaring what would overflow."""
    value = np.log1p(x * x / scale)
    if np.max(x, initial=0.0) > 1e150:
        value = np.where(x > 1e150, 2.0 * np.log(x) - math.log(scale), value)
    return value


def parted(target: Array, pred: Array) -> tuple[Array, Array]:
    """|pred − target|, and what rounding took from it."""
    residual, slack = difference(pred, target)
    return np.abs(residual), np.copysign(1.0, residual) * slack


def root_rise(x: Array) -> Array:
    """√(1 + x) − 1 for x ≥ 0: the root minus one is exact up to 2, and what rounding took is put back."""
    base, low = two_sum(x, np.ones_like(x))
    root = np.sqrt(base)
    square, rest = two_product(root, root)
    low += (base - square) - rest
    low /= root + root
    return (root - 1.0) + low


def share(x: Array) -> Array:
    """x/(1 + x) for x ≥ 0, below 1 as x and what that is too much, which rounds less."""
    x = np.minimum(x, 1e300)
    value = x / (1.0 + x)
    return np.where(x < 1.0, x - x * value, value)


def ratio_and_rest(a: Array, b: Array, c: float, over: float = 1.0) -> tuple[Array, Array]:
    """((a − b)/c)²/over rounded, and what rounding took."""
    bulk, rest = ratio_parts(a, b, c, over)
    square = bulk + rest
    bulk -= square
    rest += bulk
    return square, finite_rest(rest)


def by_half_square(value: Array, c: float, low: Array) -> Array:
    """c²/2·(value + low), rounded once."""
    half = 0.5 * c * c
    if c == 1.0 or math.isinf(half):
        return half * (value + low)
    product, rest = two_product(value, half)
    rest += float(Fraction(c) ** 2 / 2 - Fraction(half)) * value
    return product + finite_rest(rest + half * low)


def parabola(value: Array, square: Array, target: Array, pred: Array) -> Array:
    """The value, and r²/2 where (r/c)² has lost digits below the doubles that c² would magnify."""
    if np.min(square, initial=1.0) > 1e-290:
        return value
    residual = pred - target
    return np.where(square > 1e-290, value, 0.5 * residual * residual)


def named_member(alpha: float, half: Array, size: Array) -> Array:
    """Barron's loss where it has a name, of u/2 and √u, u = (r/c)²."""
    if alpha == 2.0:
        return np.where(np.isinf(half), size * (0.5 * size), half)
    if alpha == 1.0:
        return np.where(np.isinf(half), size, root_rise(2.0 * half))
    if alpha == 0.0:
        return np.where(np.isinf(half), 2.0 * np.log(size) - math.log(2.0), np.log1p(half))
    if alpha == -2.0:
        return 2.0 * share(0.5 * half)
    return -np.expm1(-half)


def log1p_ratio(a: Array, b: Array, c: float, over: float) -> Double:
    """log(1 + ((a − b)/c)²/over)"""
    square, rest = ratio_and_rest(a, b, c, over)
    one = Double(np.ones_like(square))
    base, low = two_sum(np.minimum(square, LARGEST), one.high)
    logs = log_ratio_parts(Double(base, low + rest), one)
    far = np.isinf(square)
    if far.any():
        half = log_ratio_parts(Double(np.abs(0.5 * a - 0.5 * b)), Double(c * one.high))
        whole = half.plus(half).minus(log_ratio_parts(Double(0.25 * over * one.high), one))
        logs = Double.choose(far, whole, logs)
    return logs


def near_log_cosh(residual: Array, slack: Array) -> Array:
    """log cosh of residual + slack, for |residual| ≤ 1, the slack being what rounding took from it."""
    square = residual * residual
    value = _polynomial(_LOG_COSH, square)
    value /= _polynomial(_LOG_COSH_OVER, square)
    value *= square
    value *= square
    value += slack * residual
    square *= 0.5
    value += square
    return value


def far_log_cosh(residual: Array, slack: Array) -> Array:
    """The same for |residual| > 1."""
    size = np.abs(residual)
    decay = np.exp(-2.0 * size)
    slope = np.copysign((1.0 - decay) / (1.0 + decay), residual)
    value: Array = (size - LOG_2[0]) + (np.log1p(decay) + (slack * slope - LOG_2[1]))
    return value


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    value = coefficients[0] * x
    for coefficient in coefficients[1:-1]:
        value += coefficient
        value *= x
    value += coefficients[-1]
    return value
