"""The Tweedie deviance between and beyond its closed cases."""

from __future__ import annotations

import numpy as np

from lossctl.loss import Array

# Gauss's rule with 16 points on [0, 1]; the weights are times 1 − s.
_POINTS = (
    0.005299532504175033,
    0.02771248846338371,
    0.06718439880608412,
    0.12229779582249849,
    0.19106187779867811,
    0.2709916111713863,
    0.35919822461037054,
    0.4524937450811813,
    0.5475062549188188,
    0.6408017753896295,
    0.7290083888286137,
    0.8089381222013219,
    0.8777022041775016,
    0.9328156011939158,
    0.9722875115366163,
    0.994700467495825,
)
_WEIGHTS = (
    0.013504282035266605,
    0.030264161937346566,
    0.04438267214191139,
    0.05469356138767828,
    0.06050694914106577,
    0.06165826083200347,
    0.058506296276498206,
    0.051862697111169274,
    0.04286260811636497,
    0.032795411245963586,
    0.0229199988654978,
    0.014291045267222602,
    0.007620924240088657,
    0.0031965836993350055,
    0.0008626000319773807,
    7.194767061044208e-05,
)


def general_deviance(y: Array, mu: Array, p: float) -> Array:
    share = (y - mu) / mu
    near = (share >= -2.0 / 3.0) & (share <= 2.0)
    value = np.empty_like(share)
    value[near] = _near_deviance(mu[near], share[near], p)
    value[~near] = _far_deviance(y[~near], mu[~near], share[~near], p)
    return value


def _near_deviance(mu: Array, share: Array, p: float) -> Array:
    """2·share²·mu^(2 − p)·∫₀¹ (1 − s)(1 + share·s)^(−p) ds, whose terms are all positive."""
    total = np.zeros_like(share)
    for point, weight in zip(_POINTS, _WEIGHTS, strict=True):
        power = np.log1p(share * point)
        power *= -p
        np.exp(power, out=power)
        power *= weight
        total += power
    power = mu ** (2.0 - p)
    value = 2.0 * total * (power * share * share)
    usual = (power > 1e-200) & (power < 1e200)
    if not usual.all():  # the power may leave the doubles where the product does not
        root = share * mu ** (1.0 - 0.5 * p)
        value = np.where(usual, value, 2.0 * total * root * root)
    return np.where(share == 0.0, 0.0, value)


def _far_deviance(y: Array, mu: Array, share: Array, p: float) -> Array:
    """The formula, with the pole at a = 0 or b = 0, whichever is nearer, taken out by expm1 unless the
    numbers are so far apart that nothing cancels."""
    a, b = 2.0 - p, 1.0 - p
    ratio = np.where(y > 0.0, y / mu, 1.0)
    logs = np.log(ratio)
    pole = a if abs(a) <= abs(b) else b
    rise = np.expm1(pole * logs) / pole
    apart = mu**a * ((rise - share) / b if pole == a else (ratio * rise - share) / a)
    root = mu ** (0.5 * b)
    plain = y**a / (a * b) - y * root * root / b + mu**a / a
    plain = np.where(np.isnan(plain), np.inf, plain)  # the largest of overflowing terms is positive
    usual = (y > 0.0) & (np.abs(pole * logs) < 2.0) & np.isfinite(apart) & (mu**a > 1e-290)
    return 2.0 * np.where(usual, apart, plain)
