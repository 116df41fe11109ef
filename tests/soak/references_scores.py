"""Likelihoods, scores of two classes and margins by their definitions; importing this adds them to `ALL`."""

from __future__ import annotations

from typing import Any

from mpmath import mp, mpf
from references import N, logistic, of, softplus, times, xlogy

# --- intervals and densities


@of(
    "interval-score",
    size=lambda target, lower, upper, alpha: max(
        abs(upper - lower), interval(target, min(lower, upper), max(lower, upper), alpha)
    ),
)
def interval(target: N, lower: N, upper: N, alpha: N) -> N:
    return upper - lower + 2 / alpha * (max(lower - target, mpf(0)) + max(target - upper, mpf(0)))


@of("crps-normal")
def crps_normal(target: N, pred: N, scale: N) -> N:
    z = (target - pred) / scale
    density = mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)
    return scale * (z * mp.erf(z / mp.sqrt(2)) + 2 * density - 1 / mp.sqrt(mp.pi))


@of(
    "gaussian-nll:full=true",
    "gaussian-nll",
    size=lambda target, pred, variance, **_: (
        max(abs(mp.log(variance)), (pred - target) ** 2 / variance, mpf(1)) / 2
    ),
)
def gaussian_nll(target: N, pred: N, variance: N, full: bool, eps: N) -> N:
    value = (mp.log(variance) + (pred - target) ** 2 / variance) / 2
    return value + mp.log(2 * mp.pi) / 2 if full else value


@of("laplace-nll", size=lambda target, pred, scale: max(abs(mp.log(2 * scale)), abs(pred - target) / scale))
def laplace_nll(target: N, pred: N, scale: N) -> N:
    return mp.log(2 * scale) + abs(pred - target) / scale


# --- counts and amounts


@of("poisson-nll", size=lambda target, pred, **_: max(pred, abs(xlogy(target, pred))))
def poisson_nll(target: N, pred: N, **_: Any) -> N:
    return pred - xlogy(target, pred)


@of("poisson-nll:log-input=true", size=lambda target, pred, **_: max(mp.exp(pred), abs(target * pred)))
def poisson_log(target: N, pred: N, **_: Any) -> N:
    return mp.exp(pred) - target * pred


@of("poisson-nll:full=true", share=0.2)
def poisson_full(target: N, pred: N, **_: Any) -> N:
    return pred - xlogy(target, pred) + mp.loggamma(target + 1)


@of("negative-binomial-nll", share=0.1, draw="counts", note="whole targets up to 1e100")
def negative_binomial_nll(target: N, pred: N, dispersion: N) -> N:
    y, k, both = target, dispersion, pred + dispersion
    factorials = mp.loggamma(k) - mp.loggamma(y + k) + mp.loggamma(y + 1)
    return factorials - k * mp.log(k / both) - y * mp.log(pred / both)


@of("poisson-deviance", "tweedie-deviance:power=1")
def poisson_deviance(target: N, pred: N, **_: Any) -> N:
    return 2 * ((target * mp.log(target / pred) if target else 0) - target + pred)


@of("gamma-deviance")
def gamma_deviance(target: N, pred: N) -> N:
    return 2 * (mp.log(pred / target) + target / pred - 1)


@of(
    "tweedie-deviance",
    "tweedie-deviance:power=1.9",
    "tweedie-deviance:power=3",
    "tweedie-deviance:power=-1.5",
)
def tweedie_deviance(target: N, pred: N, power: N) -> N:
    a, b = 2 - power, 1 - power
    if target == 0 and power >= 2:
        return mp.inf
    first = target**a / (a * b) if target > 0 else 0
    return 2 * (first - target * pred**b / b + pred**a / a)


# --- two classes, margins, pairs of scores


@of("bce", "bce:label-smoothing=0.1")
def bce(target: N, pred: N, label_smoothing: N, **_: Any) -> N:
    y = target * (1 - label_smoothing) + label_smoothing / 2
    return -xlogy(y, pred) - xlogy(1 - y, 1 - pred)


@of("bce:from-logits=true")
def bce_logits(target: N, pred: N, **_: Any) -> N:
    return times(target, softplus(-pred)) + times(1 - target, softplus(pred))


@of("brier")
def brier(target: N, pred: N, **_: Any) -> N:
    return (pred - target) ** 2


@of("binary-focal", "binary-focal:gamma=1.5:alpha=0.25")
def binary_focal(target: N, pred: N, gamma: N, alpha: N | None, **_: Any) -> N:
    missed = target * (1 - pred) + (1 - target) * pred
    factor = mpf(1) if alpha is None else alpha * target + (1 - alpha) * (1 - target)
    return times(factor * missed**gamma, bce(target, pred, mpf(0)))


@of("binary-focal:from-logits=true")
def binary_focal_logits(target: N, pred: N, gamma: N, **_: Any) -> N:
    missed = target * logistic(-pred) + (1 - target) * logistic(pred)
    return times(missed**gamma, bce_logits(target, pred))


@of("hinge")
def hinge(target: N, pred: N, margin: N) -> N:
    return max(margin - target * pred, mpf(0))


@of("squared-hinge")
def squared_hinge(target: N, pred: N, margin: N) -> N:
    return max(margin - target * pred, mpf(0)) ** 2


@of("soft-margin")
def soft_margin(target: N, pred: N) -> N:
    return softplus(-target * pred)


@of("exponential")
def exponential(target: N, pred: N) -> N:
    return mp.exp(-target * pred)


@of("hinge-embedding")
def hinge_embedding(target: N, pred: N, margin: N) -> N:
    return pred if target > 0 else max(margin - pred, mpf(0))


@of("contrastive-distance")
def contrastive_distance(distance: N, target: N, margin: N, **_: Any) -> N:
    return distance**2 if target else max(margin - distance, mpf(0)) ** 2


@of("triplet-distance")
def triplet_distance(positive: N, negative: N, margin: N) -> N:
    return max(positive - negative + margin, mpf(0))


@of("margin-ranking:margin=0.1")
def margin_ranking(first: N, second: N, target: N, margin: N) -> N:
    return max(-target * (first - second) + margin, mpf(0))


@of("bpr")
def bpr(positive: N, negative: N) -> N:
    return softplus(negative - positive)


@of("gan")
def gan(target: N, pred: N, **_: Any) -> N:
    return -mp.log(pred) if target else -mp.log(1 - pred)


@of("gan:from-logits=true")
def gan_logits(target: N, pred: N, **_: Any) -> N:
    return softplus(-pred) if target else softplus(pred)


@of("lsgan")
def lsgan(target: N, pred: N, **_: Any) -> N:
    return (pred - target) ** 2 / 2


@of("wgan")
def wgan(target: N, pred: N, **_: Any) -> N:
    return -pred if target else pred


@of("hinge-gan")
def hinge_gan(target: N, pred: N, **_: Any) -> N:
    return max(1 - pred if target else 1 + pred, mpf(0))


@of('custom:expr="log1p((pred - target)**2)"', draw="calm", note="each operation of an expression rounds")
def custom(target: N, pred: N, **_: Any) -> N:
    return mp.log(1 + (pred - target) ** 2)
