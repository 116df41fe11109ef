"""Losses of numbers by their definitions, in mpmath at whatever precision is set; nothing from lossctl.

A formula takes the exact inputs and parameters by name and may cancel as it likes: the caller raises the
precision until the digits stand. Labels are integers, vectors lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mpmath import mp, mpf

N = Any  # an mpmath number
Formula = Callable[..., N]


@dataclass(frozen=True)
class Reference:
    """spec: the loss with its parameters; layout: how the inputs arrive; formula: its definition.

    size: where the value is a difference that may vanish, what it is a difference of: errors are then counted
    in ulp of that. draw: name of the sampler where a loss needs its own. share: of the points asked for.
    """

    spec: str
    formula: Formula
    layout: str = "scalar"
    size: Formula | None = None
    draw: str = "plain"
    share: float = 1.0
    note: str = ""

    @property
    def id(self) -> str:
        return self.spec if self.layout == "scalar" else f"{self.spec} ({self.layout})"


ALL: dict[str, Reference] = {}


def of(*specs: str, **settings: Any) -> Callable[[Formula], Formula]:
    """Declares the formula of some specs."""

    def declare(formula: Formula) -> Formula:
        for spec in specs:
            made = replace(Reference(spec, formula), **settings)
            assert made.id not in ALL
            ALL[made.id] = made
        return formula

    return declare


def xlogy(x: N, y: N) -> N:
    return mpf(0) if x == 0 else x * mp.log(y)


def softplus(x: N) -> N:
    return mp.log(1 + mp.exp(x))


def logistic(z: N) -> N:
    return 1 / (1 + mp.exp(-z))


def times(factor: N, cost: N) -> N:
    """factor·cost, with 0·∞ = 0."""
    return mpf(0) if factor == 0 else factor * cost


# --- errors of a predicted number


@of("mse")
def mse(target: N, pred: N) -> N:
    return (pred - target) ** 2


@of("half-mse")
def half_mse(target: N, pred: N) -> N:
    return (pred - target) ** 2 / 2


@of("mae", "max-error", "medae")
def mae(target: N, pred: N) -> N:
    return abs(pred - target)


@of("rmse", draw="moderate", note="its term r² leaves the doubles where |r| is not in 1e−140…1e150")
def rmse(target: N, pred: N) -> N:
    return abs(pred - target)


@of("bias")
def bias(target: N, pred: N) -> N:
    return pred - target


@of("huber", "huber:delta=0.1")
def huber(target: N, pred: N, delta: N) -> N:
    r = abs(pred - target)
    return r * r / 2 if r <= delta else delta * (r - delta / 2)


@of("smooth-l1", "smooth-l1:beta=0.3")
def smooth_l1(target: N, pred: N, beta: N) -> N:
    r = abs(pred - target)
    return r * r / (2 * beta) if r < beta else r - beta / 2


@of("log-cosh")
def log_cosh(target: N, pred: N) -> N:
    return mp.log(mp.cosh(pred - target))


@of("quantile", "quantile:tau=0.9")
def quantile(target: N, pred: N, tau: N) -> N:
    r = pred - target
    return max(-tau * r, (1 - tau) * r)


@of("pseudo-huber", "pseudo-huber:delta=0.3")
def pseudo_huber(target: N, pred: N, delta: N) -> N:
    return delta**2 * (mp.sqrt(1 + ((pred - target) / delta) ** 2) - 1)


@of("charbonnier")
def charbonnier(target: N, pred: N, eps: N) -> N:
    return mp.sqrt((pred - target) ** 2 + eps**2)


@of("fair", "fair:c=0.3")
def fair(target: N, pred: N, c: N) -> N:
    r = abs(pred - target)
    return c * r - c * c * mp.log(1 + r / c)


@of("cauchy", "cauchy:c=0.3")
def cauchy(target: N, pred: N, c: N) -> N:
    return c * c / 2 * mp.log(1 + ((pred - target) / c) ** 2)


@of("welsch", "welsch:c=0.3")
def welsch(target: N, pred: N, c: N) -> N:
    return c * c / 2 * (1 - mp.exp(-(((pred - target) / c) ** 2)))


@of("geman-mcclure")
def geman_mcclure(target: N, pred: N, c: N) -> N:
    square = (pred - target) ** 2
    return 2 * square / (square + c * c)


@of("tukey")
def tukey(target: N, pred: N, c: N) -> N:
    u = min(abs(pred - target) / c, mpf(1)) ** 2
    return c * c / 6 * (1 - (1 - u) ** 3)


@of("barron", "barron:alpha=0", "barron:alpha=2", "barron:alpha=-2", "barron:alpha=1.5", "barron:alpha=-inf")
def barron(target: N, pred: N, alpha: N, c: N) -> N:
    half = ((pred - target) / c) ** 2 / 2
    if alpha == 2:
        return half
    if alpha == 0:
        return mp.log(1 + half)
    if alpha == -mp.inf:
        return 1 - mp.exp(-half)
    width = abs(alpha - 2)
    return width / alpha * ((2 * half / width + 1) ** (alpha / 2) - 1)


@of("expectile:tau=0.9")
def expectile(target: N, pred: N, tau: N) -> N:
    r = pred - target
    return abs(tau - (r > 0)) * r * r


@of("wing")
def wing(target: N, pred: N, width: N, curvature: N) -> N:
    r = abs(pred - target)
    if r < width:
        return width * mp.log(1 + r / curvature)
    return r - width + width * mp.log(1 + width / curvature)


@of("epsilon-insensitive", "epsilon-insensitive:squared=true")
def epsilon_insensitive(target: N, pred: N, epsilon: N, squared: bool) -> N:
    return max(abs(pred - target) - epsilon, mpf(0)) ** (2 if squared else 1)


@of("linex", "linex:a=-1.5")
def linex(target: N, pred: N, a: N) -> N:
    r = pred - target
    return mp.exp(-a * r) + a * r - 1


@of("lq", "lq:q=3")
def lq(target: N, pred: N, q: N) -> N:
    return abs(pred - target) ** q


# --- errors relative to the target


def log_gap(target: N, pred: N) -> N:
    return mp.log(1 + pred) - mp.log(1 + target)


@of("msle")
def msle(target: N, pred: N) -> N:
    return log_gap(target, pred) ** 2


@of("rmsle", draw="moderate", note="its term leaves the doubles where the row is not in 1e−140…1e150")
def rmsle(target: N, pred: N) -> N:
    return abs(log_gap(target, pred))


@of("mape")
def mape(target: N, pred: N, **_: Any) -> N:
    if pred == target:
        return mpf(0)
    return mp.inf if target == 0 else abs(pred - target) / abs(target)


@of("wape", draw="filled")
def wape(target: N, pred: N) -> N:
    return abs(pred - target) / abs(target)


@of("smape")
def smape(target: N, pred: N, scale: N) -> N:
    return mpf(0) if pred == target else scale * abs(pred - target) / (abs(pred) + abs(target))
