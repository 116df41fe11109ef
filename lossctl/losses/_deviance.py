"""The Tweedie deviance between and beyond its closed cases."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import numpy as np

from lossctl.elementary import expm1_parts, log_ratio_parts
from lossctl.errorfree import Double, finite_rest, two_product, two_sum
from lossctl.loss import Array

_TINY, _LIFT = 1e-280, np.float64(2.0**400)


def general_deviance(y: Array, mu: Array, p: float) -> Array:
    """The deviance for y ≥ 0 and μ > 0 with neither p = 1 nor p = 2."""
    middle = Double(*two_sum(0.5 * y, 0.5 * mu))
    share = Double.between(y, mu).over(middle)
    near = np.abs(share.high) <= _reach(p)
    value = np.empty_like(y)
    value[near] = _near_deviance(middle.take(near), share.take(near), p)
    value[~near] = _far_deviance(y[~near], mu[~near], p)
    tiny = middle.high < _TINY
    if tiny.any():  # halves and rests would be lost below the doubles
        value[tiny] = general_deviance(y[tiny] * _LIFT, mu[tiny] * _LIFT, p) * _LIFT ** (p - 2.0)
    return np.where(y == mu, 0.0, value)


def below_zero(y: Array, mu: Array, p: float) -> Array:
    """The deviance for p < 0, y < 0 and μ > 0, which has no power of y: μ^(1−p)·(2|y|/(1−p) + 2μ/(2−p))."""
    by_y, by_mu = (1 / (whole - Fraction(p)) for whole in (1, 2))
    parts = [
        Double(x).times(Double(np.full_like(x, float(f)), np.full_like(x, float(f - Fraction(float(f))))))
        for x, f in ((-y, by_y), (mu, by_mu))
    ]
    return _times_power(2.0, mu, 1.0 - p, parts[0].plus(parts[1]).rounded)


def _reach(p: float) -> float:
    """|y − μ| over their mean up to which the series is as good as the formula."""
    return 0.7 / max(1.0, 0.5 * abs(p))


@cache
def _coefficients(p: float) -> list[float]:
    """Of t, t², … in ∫ 2(1 + t/2 − x)·x^(−p) dx / t² from 1 − t/2 to 1 + t/2, to the last bit."""
    made: list[float] = []
    binomial = Fraction(1)
    if abs(p) > 1e17:  # no two numbers are within reach
        return made
    for k in range(1, 400):
        binomial *= Fraction(1.0 - p - k) / (2 * k)
        made.append(float(binomial / (k + 1) if k % 2 == 0 else -binomial / (k + 2)))
        binomial = Fraction(float(binomial)) if k > 3 else binomial
        if abs(binomial) * Fraction(_reach(p)) ** k < 1e-19:
            break
    return made


def _near_deviance(middle: Double, share: Double, p: float) -> Array:
    """m^(2 − p)·t²·(1 + p·t/6 + …) with m = (y + μ)/2 and t = (y − μ)/m: Taylor's series around m of the
    integral of 2(y − x)·x^(−p) from μ to y."""
    t, a = share.high, 2.0 - p
    series, slope = np.zeros_like(t), np.zeros_like(t)
    coefficients = _coefficients(p)
    for coefficient in reversed(coefficients[1:]):
        series += coefficient
        series *= t
    first, lost = two_sum(series, np.full_like(t, sum(coefficients[:1])))
    series, low = two_product(first, t)
    for k in range(min(len(coefficients), 4), 0, -1):
        slope *= t
        slope += k * coefficients[k - 1]
    low += lost * t + slope * share.low + (1.0 + series) * (a * middle.low / middle.high)
    square, power = share.times(share), middle.high**a
    lift = np.ones_like(power)
    far, faint = np.isinf(power), power < 1e-200  # it may leave the doubles where the product does not
    if far.any() or faint.any():
        step = 2.0 ** -math.copysign(max(1.0, round(140.0 / abs(a))), a)  # powers fall by about 2¹⁴⁰
        far &= step**a > 0.0
        lift = np.where(far, step**a, np.where(faint, _LIFT, 1.0))
        power = np.where(far, (middle.high * step) ** a, power * lift)
    bulk, rest = two_product(square.high, power)
    more, left = two_product(bulk, series)
    rest += square.low * power + bulk * low + left
    value: Array = (bulk + finite_rest(more + rest)) / lift
    return value


def _far_deviance(y: Array, mu: Array, p: float) -> Array:
    """2μ^b·(μ(ρ^a − 1) − a(y − μ))/(ab) with ρ = y/μ, a = 2 − p and b = 1 − p, in twice the digits: it is
    what is left of larger terms. The pole at a = 0 or b = 0, whichever is nearer, comes out of expm1: with
    b it is y(ρ^b − 1) − b(y − μ). The formula as it stands where that leaves the doubles."""
    a, b = 2.0 - p, 1.0 - p
    base, pole = (mu, a) if abs(a) <= abs(b) else (y, b)
    logs = log_ratio_parts(Double(np.where(y > 0.0, y, mu)), Double(mu))
    rise = Double(base).times(expm1_parts(logs.times(Double(np.asarray(pole)))))
    rest = rise.minus(Double.between(y, mu).times(Double(np.asarray(pole))))
    factor = 2 / ((2 - Fraction(p)) * (1 - Fraction(p)))
    high, low = np.full_like(mu, float(factor)), np.full_like(mu, float(factor - Fraction(float(factor))))
    power, root = mu**b, mu ** (0.5 * b)
    usual = np.isfinite(power) & (power > 1e-290)
    none = np.zeros_like(mu)
    rest = rest.times(Double(np.where(usual, power, root), none))
    if not usual.all():
        rest = rest.times(Double(np.where(usual, 1.0, root), none))
    value = rest.times(Double(high, low)).rounded
    plain = _times_power(2.0 / (a * b), y, a) - _times_power(2.0 / b, mu, b, y) + _times_power(2.0 / a, mu, a)
    plain = np.where(np.isnan(plain), np.inf, plain)  # the largest of overflowing terms is positive
    held = (y > 0.0) & np.isfinite(value) & (np.abs(pole * logs.high) < 300.0) & (np.abs(value) > 1e-300)
    return np.where(held, value, plain)


def _times_power(factor: float, x: Array, exponent: float, weight: Array | float = 1.0) -> Array:
    """factor·weight·x^exponent, also where the power alone leaves the doubles."""
    power, root = x**exponent, x ** (0.5 * exponent)
    usual = np.isfinite(power) & (power > 1e-307)
    made: Array = factor * np.where(usual, power, root) * weight
    return np.where(usual, made, made * root)
