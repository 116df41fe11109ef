"""Negative log-likelihoods and deviances of a predicted distribution's parameters."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, POSITIVE, REAL, Interval
from lossctl.errorfree import Double, difference, finite_rest, two_sum
from lossctl.loss import Array, Form, Nonneg, Param, Positive, Real, gradient, like, loss
from lossctl.losses._counts import factorials, gamma_deviance_of, half_deviance_of_log, none_counted
from lossctl.losses._deviance import below_zero, general_deviance
from lossctl.numeric import xlogy
from lossctl.special import HALF_LOG_TAU, digamma, log_factorial_rest, relative_entropy

OPEN_UNIT = Interval(0.0, 1.0, open_low=True, open_high=True)
BELOW_HALF_LOG_TAU = 7.22393608818432e-17  # what rounding took from ½·log 2π
Rate = Annotated[
    Array,
    Form("positive", domain=POSITIVE),
    Form("real", when="log_input"),
    Form("nonneg", domain=NONNEG, when="eps"),
]
Variance = Annotated[
    Array,
    Form("positive", domain=POSITIVE),
    Form("nonneg", domain=NONNEG, when="eps"),
]
Amount = Annotated[Array, Form("nonneg", domain=NONNEG), Form("real", when="power<1")]
Expected = Annotated[Array, Form("positive", domain=POSITIVE), Form("real", when="power=0")]
Full = Annotated[bool, Param("add the terms that do not depend on the prediction")]


@loss(
    aliases=("poisson",),
    range=REAL,
    best=None,
    tasks=("counts",),
    likes=(
        like("torch", "torch.nn.PoissonNLLLoss", eps=1e-8, note="log input by default; full uses Stirling"),
        like("keras", "keras.losses.Poisson", eps=1e-7),
        like("xgboost", "poisson-nloglik", full=True),
        like("lightgbm", "poisson"),
        like("catboost", "Poisson", note="raw values are logarithms: log-input"),
    ),
)
def poisson_nll(
    target: Nonneg,
    pred: Rate,
    *,
    log_input: Annotated[bool, Param("pred holds the logarithm of the rate")] = False,
    full: Full = False,
    eps: Annotated[float, Param("added to the rate inside the logarithm", NONNEG)] = 0.0,
) -> Array:
    """Negative log-likelihood of a count under a Poisson rate.

    Formula: μ − y·log(μ + ε), from the logarithm x of the rate e^x − y·x; full adds log Γ(y + 1).
    Gradient: 1 − y/(μ + ε); e^x − y with respect to the logarithm.
    Use when: targets are counts and the prediction is their expected number.
    Numerics: full is half the deviance plus what y alone contributes, so that it keeps its digits where μ,
        y·log μ and log Γ(y + 1) are large and cancel. Rows are within 2 ulp of the larger part of the
        difference.
    See also: poisson-deviance is zero for a perfect prediction.
    References: Nelder & Wedderburn (1972), Generalized Linear Models.

    >>> import lossctl
    >>> lossctl.compute("poisson-nll", [0, 3], [2, 1]).value  # (2 + 1) / 2
    1.5
    """
    if not full:
        if not log_input:
            return pred - xlogy(target, pred + eps)
        value = np.exp(pred) - target * pred
        sign = np.where(pred > np.log(target) + np.log(np.abs(pred)), 1.0, -1.0)
        return np.where(np.isnan(value), sign * np.inf, value)  # ∞ − ∞
    if log_input:
        return half_deviance_of_log(target, pred) + log_factorial_rest(target)
    return relative_entropy(target, pred + eps) + log_factorial_rest(target) - eps


@gradient(poisson_nll)
def _(target: Array, pred: Array, *, log_input: bool, full: bool, eps: float) -> Array:
    return np.exp(pred) - target if log_input else 1.0 - target / (pred + eps)


@loss(
    range=REAL,
    best=None,
    tasks=("forecast", "regression"),
    likes=(
        like("torch", "torch.nn.GaussianNLLLoss", eps=1e-6),
        like("scoringrules", "scoringrules.logs_normal", full=True, note="takes the standard deviation"),
        like("catboost", "RMSEWithUncertainty", full=True, note="takes the log of the standard deviation"),
    ),
)
def gaussian_nll(
    target: Real,
    pred: Real,
    variance: Variance,
    *,
    full: Full = False,
    eps: Annotated[float, Param("lower bound of the variance", NONNEG, clips=True)] = 0.0,
) -> Array:
    """Negative log-likelihood of a target under a normal distribution.

    Formula: ½(log v + r²/v), v = max(variance, ε), r = pred − target; full adds ½·log 2π.
    Gradient: r/v for the mean, ½(1/v − r²/v²) for the variance, 0 where ε bounds it.
    Use when: a model predicts its own uncertainty.
    Avoid when: the noise has heavy tails (laplace-nll).
    Numerics: rows are within 2 ulp of the larger part of the difference.
    References: Nix & Weigend (1994), Estimating the mean and variance of the target distribution.

    >>> import lossctl
    >>> lossctl.compute("gaussian-nll", [0], [2], variance=[1]).value  # ½(0 + 4)
    2.0
    """
    v = np.maximum(variance, eps)
    residual, slack = difference(pred, target)
    steep = residual / v
    half = residual * (0.5 * steep)
    if np.isinf(steep).any():
        root = residual / np.sqrt(v)
        half = np.where(np.isinf(steep), root * (0.5 * root), half)
    rest = finite_rest(steep * slack)
    if not full:
        return (0.5 * np.log(v) + rest) + half
    return (0.5 * np.log(v) + (rest + BELOW_HALF_LOG_TAU)) + HALF_LOG_TAU + half


@gradient(gaussian_nll, "pred", "variance")
def _(target: Array, pred: Array, variance: Array, *, full: bool, eps: float) -> tuple[Array, Array]:
    v = np.maximum(variance, eps)
    slope = (pred - target) / v
    return slope, np.where(variance < eps, 0.0, 0.5 * (1.0 / v - slope * slope))


@loss(
    range=REAL,
    best=None,
    tasks=("forecast", "outliers"),
    likes=(like("scoringrules", "scoringrules.logs_laplace"),),
)
def laplace_nll(target: Real, pred: Real, scale: Positive) -> Array:
    """Negative log-likelihood of a target under a Laplace distribution.

    Formula: log(2b) + |r|/b, r = pred − target.
    Gradient: sign(r)/b for the location, 1/b − |r|/b² for the scale.
    Use when: a model predicts its own uncertainty and errors have heavy tails.
    Numerics: rows are within 2 ulp of the larger part of the difference.
    References: Laplace (1774), Mémoire sur la probabilité des causes par les événements.

    >>> import lossctl
    >>> lossctl.compute("laplace-nll", [0], [3], scale=[0.5]).value  # log 1 + 6
    6.0
    """
    value = np.log(2.0 * scale) + np.abs(pred - target) / scale
    if np.isinf(value).any():  # 2·scale may be past the doubles where its logarithm is not
        far = np.log(scale) + math.log(2.0) + np.abs(pred - target) / scale
        value = np.where(np.isinf(value), far, value)
    return value


@gradient(laplace_nll, "pred", "scale")
def _(target: Array, pred: Array, scale: Array) -> tuple[Array, Array]:
    residual = pred - target
    return np.sign(residual) / scale, (1.0 - np.abs(residual) / scale) / scale


@loss(
    range=REAL,
    best=None,
    tasks=("counts",),
    likes=(like("scoringrules", "scoringrules.logs_negbinom", exists=False, note="other parameters"),),
)
def negative_binomial_nll(target: Nonneg, pred: Positive, dispersion: Positive) -> Array:
    """Negative log-likelihood of a count under a negative binomial with mean μ and size k.

    Formula: log Γ(k) − log Γ(y + k) + log Γ(y + 1) − k·log(k/(k + μ)) − y·log(μ/(μ + k)).
    Gradient: k(μ − y) / (μ(μ + k)) for the mean, with the digamma function for the size.
    Use when: counts vary more than a Poisson does; its variance is μ + μ²/k.
    Numerics: saddle-point form: deviances of y and k from their shares of y + k, and what is left of three
        factorials, one logarithm; none of them grows with y or k, so that k → ∞ tends to Poisson without
        noise. Rows of whole counts are within 2 ulp; below ½, where none lies, digits may cancel.
    References: Anscombe (1950), Sampling Theory of the Negative Binomial Distribution; Loader (2000), Fast
        and Accurate Computation of Binomial Probabilities.

    >>> import lossctl
    >>> round(lossctl.compute("negative-binomial-nll", [0], [1], dispersion=[1]).value, 12)  # log 2
    0.69314718056
    """
    y, mu, k = target, pred, dispersion
    total, both, ratio = Double(*two_sum(y, k)), Double(*two_sum(k, mu)), y / k
    lead = np.where(ratio < 1e290, np.log1p(ratio), np.log(y) - np.log(k))
    tiny = (mu < 1e-280) & (y > 0.0)  # its share of the total would lose digits, or vanish
    gap = Double(k).times(Double.between(y, mu).over(both))
    of_mean = relative_entropy(
        y,
        total.times(Double(np.where(tiny, mu * 2.0**200, mu)).over(both)),
        Double.choose(tiny, Double(y), gap),
    )
    of_mean += np.where(tiny, y * (200.0 * math.log(2.0)), 0.0)
    of_size = relative_entropy(k, total.times(Double(k).over(both)), gap.scaled(-1.0))
    bulk, rest = factorials(y, k, total)
    return np.where(y > 0.0, (lead + bulk) + (rest + (of_mean + of_size)), none_counted(mu, k))


@gradient(negative_binomial_nll, "pred", "dispersion")
def _(target: Array, pred: Array, dispersion: Array) -> tuple[Array, Array]:
    gap = (pred - target) / (pred + dispersion)
    by_size = digamma(dispersion) - digamma(target + dispersion) + np.log1p(pred / dispersion) - gap
    return (pred - target) / pred / (1.0 + pred / dispersion), by_size


@loss(
    range=NONNEG,
    tasks=("counts",),
    likes=(
        like("sklearn", "sklearn.metrics.mean_poisson_deviance"),
        like("torchmetrics", "torchmetrics.TweedieDevianceScore(power=1)"),
    ),
)
def poisson_deviance(target: Nonneg, pred: Positive) -> Array:
    """Poisson deviance: twice the log-likelihood ratio to a perfect prediction.

    Formula: 2(y·log(y/μ) − y + μ), with 0·log 0 = 0.
    Gradient: 2(1 − y/μ).
    Use when: targets are counts or rates and zero should mean perfect.
    Numerics: near y = μ the terms cancel; their difference is summed as a series there.
    References: Nelder & Wedderburn (1972), Generalized Linear Models.

    >>> import lossctl
    >>> lossctl.compute("poisson-deviance", [0], [1.5]).value
    3.0
    """
    return 2.0 * relative_entropy(target, pred)


@gradient(poisson_deviance)
def _(target: Array, pred: Array) -> Array:
    return 2.0 * (pred - target) / pred


@loss(
    range=NONNEG,
    tasks=("positive-targets",),
    likes=(
        like("sklearn", "sklearn.metrics.mean_gamma_deviance"),
        like("torchmetrics", "torchmetrics.TweedieDevianceScore(power=2)"),
        like("xgboost", "gamma-deviance", exists=False, note="adds 1e-6 to both"),
        like("lightgbm", "gamma_deviance", exists=False, note="a sum, not a mean"),
    ),
)
def gamma_deviance(target: Positive, pred: Positive) -> Array:
    """Gamma deviance: relative errors of positive targets.

    Formula: 2(log(μ/y) + y/μ − 1).
    Gradient: 2(μ − y)/μ².
    Use when: targets are positive and their spread grows with their size.
    Numerics: near y = μ the terms cancel; their difference is summed as a series there.
    References: Nelder & Wedderburn (1972), Generalized Linear Models.

    >>> import lossctl
    >>> round(lossctl.compute("gamma-deviance", [2], [1]).value, 12)  # 2(1 − log 2)
    0.61370563888
    """
    return gamma_deviance_of(target, pred)


@gradient(gamma_deviance)
def _(target: Array, pred: Array) -> Array:
    return 2.0 * (pred - target) / pred / pred


@loss(
    range=Interval(0.0, math.inf),
    tasks=("counts", "positive-targets"),
    likes=(
        like("sklearn", "sklearn.metrics.mean_tweedie_deviance", power=0.0),
        like("torchmetrics", "torchmetrics.TweedieDevianceScore", power=0.0),
        like("utilsforecast", "tweedie_deviance"),
        like("xgboost", "tweedie-nloglik", exists=False, note="the likelihood, not the deviance"),
    ),
)
def tweedie_deviance(
    target: Amount,
    pred: Expected,
    *,
    power: Annotated[
        float, Param("variance ∝ mean^power: 0 normal, 1 Poisson, 2 gamma, 3 inverse Gaussian", gap=OPEN_UNIT)
    ] = 1.5,
) -> Array:
    """Tweedie deviance: one family from squared error over Poisson to gamma and beyond.

    Formula: 2(y^(2−p)/((1−p)(2−p)) − y·μ^(1−p)/(1−p) + μ^(2−p)/(2−p)), with its limits at p = 1 and 2; for
        p < 0 without the first term where y < 0.
    Gradient: 2(μ − y)·μ^(−p).
    Use when: targets are zero or positive amounts, such as insurance claims (1 < p < 2).
    Avoid when: a target is zero and p ≥ 2: there is no such distribution and the value is infinite.
    Numerics: numbers within a factor of 2 by Taylor's series of 2∫(y − t)·t^(−p) dt; others by the formula in
        twice the digits, with expm1, which passes p = 1 and 2 without a jump, or as it stands when far apart.
    References: Tweedie (1984), An index which distinguishes between some important exponential families.

    >>> import lossctl
    >>> lossctl.compute("tweedie-deviance:power=0", [1], [3]).value  # (3 − 1)²
    4.0
    """
    p = power
    if p == 0.0:
        return (pred - target) ** 2
    if p < 0.0:
        below = target < 0.0
        above = general_deviance(np.where(below, 0.0, target), pred, p)
        return np.where(below, below_zero(target, pred, p), above)
    outside = target <= 0.0 if p >= 2.0 else np.zeros(target.shape, bool)
    y = np.where(outside, 1.0, target)
    if p == 1.0:
        value = 2.0 * relative_entropy(y, pred)
    elif p == 2.0:
        value = gamma_deviance_of(y, pred)
    else:
        value = general_deviance(y, pred, p)
    return np.where(outside, np.inf, value)


@gradient(tweedie_deviance)
def _(target: Array, pred: Array, *, power: float) -> Array:
    return 2.0 * (pred - target) * pred**-power
