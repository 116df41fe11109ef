"""Adversarial games and variational autoencoders."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np

from lossctl.domain import ANY, NONNEG, REAL, UNIT, Interval
from lossctl.loss import Array, Binary, Form, Param, Pooled, ProbOrLogit, Real, RealVec, gradient, like, loss
from lossctl.numeric import expm1_minus, row_sum, softplus, squared_distance, sure_sum, xlog1py, xlogy

HALF = Interval(0.0, 0.5, open_high=True)

Side = Annotated[Literal["discriminator", "generator"], Param("whose loss: the judge's or the generator's")]


def sides(real_cost: Any, real: Any, fake_cost: Any, fake: Any) -> Any:
    """Mean over real rows plus mean over generated rows; NaN where neither takes part."""
    of_real = real_cost / np.where(real == 0.0, 1.0, real)
    of_fake = fake_cost / np.where(fake == 0.0, 1.0, fake)
    return np.where((real == 0.0) & (fake == 0.0), np.nan, of_real + of_fake)


def _shares(target: Array, side: str) -> tuple[Array, Array]:
    """How much of each row is real and generated; the generator's loss has no real rows."""
    return (np.zeros_like(target) if side == "generator" else target), 1.0 - target


def _part(share: Array, cost: Array) -> Array:
    """share·cost, with 0·∞ = 0."""
    return np.where(share == 0.0, 0.0, share * cost)


def _terms(target: Array, side: str, on_real: Array, on_fake: Array) -> tuple[Array, Array, Array, Array]:
    real, fake = _shares(target, side)
    return _part(real, on_real), real, _part(fake, on_fake), fake


def _blend(target: Array, side: str, on_real: Array, on_fake: Array) -> Array:
    """Slope of a row alone: its own side's; each side of a vector row is a mean of its elements."""
    real, fake = _shares(target, side)
    return _part(_mean_share(real), on_real) + _part(_mean_share(fake), on_fake)


def _mean_share(share: Array) -> Array:
    here = (share > 0.0).astype(np.float64)
    return here if here.ndim == 1 else here / np.maximum(row_sum(here), 1.0)[:, None]


@loss(
    Pooled(sides, skips=True),
    range=ANY,
    best=None,
    tasks=("generative",),
    likes=(
        like(
            "monai",
            "monai.losses.PatchAdversarialLoss(criterion='bce')",
            mode="non-saturating",
            note="logits, through a sigmoid; logs at least −100; one call per side",
        ),
    ),
)
def gan(
    target: Binary,
    pred: ProbOrLogit,
    *,
    side: Side = "discriminator",
    mode: Annotated[
        Literal["minimax", "non-saturating"],
        Param("the generator minimises log(1 − D), or −log D, whose slope does not vanish"),
    ] = "minimax",
    from_logits: Annotated[bool, Param("pred holds logits, not probabilities")] = False,
    eps: Annotated[float, Param("clip probabilities into [eps, 1 − eps]", HALF, clips=True)] = 0.0,
) -> tuple[Array, Array, Array, Array]:
    """Adversarial loss of a discriminator that tells real rows (1) from generated ones (0).

    Formula: discriminator −mean log D over real − mean log(1 − D) over generated; generator
        mean log(1 − D) over generated (minimax) or −mean log D (non-saturating).
    Gradient: −1/D for a real row, 1/(1 − D) for a generated one; from logits σ(z) − 1 and σ(z); the
        generator −1/(1 − D) or −1/D.
    Aggregate: the two means are taken apart, so unequal numbers of real and generated rows do not shift
        the value; a side without rows adds nothing. A row alone is its own side's.
    Use when: the two players of a GAN are monitored.
    Avoid when: discriminators are compared with other classifiers (bce averages over all rows).
    Numerics: from logits softplus of ±z; 1 − D by log1p.
    See also: lsgan, wgan, hinge-gan.
    References: Goodfellow et al. (2014), Generative Adversarial Nets.

    >>> import lossctl
    >>> round(lossctl.compute("gan", [1, 0, 0], [0.5, 0.5, 0.75]).value, 12)  # log 2 + (log 2 + log 4) / 2
    1.7328679514
    """
    if from_logits:
        on_real, on_fake = softplus(-pred), softplus(pred)
    else:
        p = np.clip(pred, eps, 1.0 - eps) if eps else pred
        on_real, on_fake = -np.log(p), -np.log1p(-p)
    if side == "generator":
        on_fake = -on_fake if mode == "minimax" else on_real
    return _terms(target, side, on_real, on_fake)


@gradient(gan)
def _(target: Array, pred: Array, *, side: str, mode: str, from_logits: bool, eps: float) -> Array:
    if from_logits:
        on_real, on_fake = -np.exp(-softplus(pred)), np.exp(-softplus(-pred))
    else:
        clipped = (pred < eps) | (pred > 1.0 - eps)
        on_real = np.where(clipped, 0.0, -1.0 / pred)
        on_fake = np.where(clipped, 0.0, 1.0 / (1.0 - pred))
    if side == "generator":
        on_fake = -on_fake if mode == "minimax" else on_real
    return _blend(target, side, on_real, on_fake)


@loss(
    Pooled(sides, skips=True),
    range=NONNEG,
    tasks=("generative",),
    likes=(
        like(
            "monai",
            "monai.losses.PatchAdversarialLoss(criterion='least_squares', no_activation_leastsq=True)",
            half=False,
            note="without that flag scores pass a leaky ReLU; one call per side",
        ),
    ),
)
def lsgan(
    target: Binary,
    pred: Real,
    *,
    side: Side = "discriminator",
    real_label: Annotated[float, Param("score that real rows should have", REAL)] = 1.0,
    fake_label: Annotated[float, Param("score that generated rows should have", REAL)] = 0.0,
    half: Annotated[bool, Param("half of the squares, as in the paper")] = True,
) -> tuple[Array, Array, Array, Array]:
    """Least-squares adversarial loss: scores of real (1) and generated (0) rows against their labels.

    Formula: discriminator ½·mean (D − b)² over real + ½·mean (D − a)² over generated; generator
        ½·mean (D − b)² over generated; b the real label, a the fake one.
    Gradient: D − b or D − a; twice that without half.
    Aggregate: the two means are taken apart; a side without rows adds nothing. A row alone is its own
        side's.
    Use when: a GAN was trained with it.
    See also: gan, wgan, hinge-gan.
    References: Mao et al. (2017), Least Squares Generative Adversarial Networks.

    >>> import lossctl
    >>> lossctl.compute("lsgan", [1, 0, 0], [2.0, 1.0, -3.0]).value  # ½·1 + ½·(1 + 9)/2
    3.0
    """
    factor = 0.5 if half else 1.0
    above, off = pred - real_label, pred - (real_label if side == "generator" else fake_label)
    return _terms(target, side, factor * above * above, factor * off * off)


@gradient(lsgan)
def _(target: Array, pred: Array, *, side: str, real_label: float, fake_label: float, half: bool) -> Array:
    factor = 1.0 if half else 2.0
    aim = real_label if side == "generator" else fake_label
    return _blend(target, side, factor * (pred - real_label), factor * (pred - aim))


@loss(Pooled(sides, skips=True), range=REAL, best=None, tasks=("generative",))
def wgan(
    target: Binary,
    pred: Real,
    *,
    side: Annotated[
        Literal["critic", "generator"], Param("whose loss: the critic's or the generator's")
    ] = "critic",
) -> tuple[Array, Array, Array, Array]:
    """Wasserstein adversarial loss of a critic that scores real (1) rows above generated (0) ones.

    Formula: critic mean D over generated − mean D over real; generator −mean D over generated.
    Gradient: −1 for a real row and 1 for a generated one; the generator −1.
    Aggregate: the two means are taken apart; a side without rows adds nothing. A row alone is its own
        side's.
    Use when: a critic is monitored; minus its loss estimates the Wasserstein distance times the critic's
        Lipschitz constant.
    Avoid when: two samples are given (wasserstein) or two histograms (emd): those are exact.
    See also: gan, lsgan, hinge-gan.
    References: Arjovsky, Chintala & Bottou (2017), Wasserstein Generative Adversarial Networks.

    >>> import lossctl
    >>> lossctl.compute("wgan", [1, 0, 0], [2.0, 1.0, -3.0]).value  # −1 − 2
    -3.0
    """
    return _terms(target, side, -pred, -pred if side == "generator" else pred)


@gradient(wgan)
def _(target: Array, pred: Array, *, side: str) -> Array:
    ones = np.ones_like(pred)
    return _blend(target, side, -ones, -ones if side == "generator" else ones)


@loss(
    Pooled(sides, skips=True),
    range=REAL,
    best=None,
    tasks=("generative",),
    likes=(
        like(
            "monai",
            "monai.losses.PatchAdversarialLoss(criterion='hinge')",
            exists=False,
            note="scores pass tanh first, and the generator's loss is a hinge too",
        ),
    ),
)
def hinge_gan(
    target: Binary, pred: Real, *, side: Side = "discriminator"
) -> tuple[Array, Array, Array, Array]:
    """Hinge adversarial loss: real (1) scores above 1 and generated (0) ones below −1 cost nothing.

    Formula: discriminator mean max(0, 1 − D) over real + mean max(0, 1 + D) over generated; generator
        −mean D over generated.
    Gradient: −1 for a real row below 1, 1 for a generated one above −1; the generator −1.
    Aggregate: the two means are taken apart; a side without rows adds nothing. A row alone is its own
        side's.
    Use when: a GAN was trained with it.
    See also: gan, lsgan, wgan.
    References: Lim & Ye (2017), Geometric GAN; Miyato et al. (2018), Spectral Normalization for Generative
        Adversarial Networks.

    >>> import lossctl
    >>> lossctl.compute("hinge-gan", [1, 0, 0], [0.5, 1.0, -3.0]).value  # 0.5 + (2 + 0)/2
    1.5
    """
    on_fake = -pred if side == "generator" else np.maximum(1.0 + pred, 0.0)
    return _terms(target, side, np.maximum(1.0 - pred, 0.0), on_fake)


@gradient(hinge_gan)
def _(target: Array, pred: Array, *, side: str) -> Array:
    on_fake = np.where(pred > -1.0, 1.0, 0.0) if side != "generator" else -np.ones_like(pred)
    return _blend(target, side, np.where(pred < 1.0, -1.0, 0.0), on_fake)


def _latent(mu: Array, logvar: Array) -> Array:
    return 0.5 * sure_sum(np.concatenate([expm1_minus(logvar), mu * mu], axis=1))


@loss(
    range=Interval(0.0, math.inf),
    tasks=("generative", "distributions"),
    likes=(like("torch", "torch.distributions.kl_divergence(Normal, Normal(0, 1)), summed per row"),),
)
def kl_normal(mu: RealVec, logvar: RealVec) -> Array:
    """Kullback–Leibler divergence of a diagonal normal distribution from the standard normal.

    Formula: −½·Σ_k (1 + logvar − mu² − e^logvar) = ½·Σ_k (e^logvar − 1 − logvar + mu²).
    Gradient: mu, and ½(e^logvar − 1).
    Use when: the latent code of a variational autoencoder is watched.
    Numerics: e^x − 1 − x by its series near 0, where expm1(x) − x would cancel to nothing.
    See also: vae adds the reconstruction.
    References: Kingma & Welling (2014), Auto-Encoding Variational Bayes.

    >>> import lossctl
    >>> lossctl.compute("kl-normal", mu=[[1, 2]], logvar=[[0, 0]]).value  # ½·(1 + 4)
    2.5
    """
    return _latent(mu, logvar)


@gradient(kl_normal, "mu", "logvar")
def _(mu: Array, logvar: Array) -> tuple[Array, Array]:
    return mu, 0.5 * np.expm1(logvar)


Pixels = Annotated[Array, Form("real", "vector"), Form("prob", "vector", UNIT, when="reconstruction=bce")]


@loss(
    aliases=("negative-elbo",),
    range=Interval(0.0, math.inf),
    best=None,
    tasks=("generative", "images"),
)
def vae(
    target: Pixels,
    pred: Pixels,
    mu: RealVec,
    logvar: RealVec,
    *,
    reconstruction: Annotated[
        Literal["mse", "bce"], Param("squared error, or cross-entropy of values in [0, 1]")
    ] = "mse",
    beta: Annotated[float, Param("weight of the divergence", NONNEG)] = 1.0,
) -> Array:
    """Variational autoencoder loss: reconstruction error plus the divergence of the latent code.

    Formula: Σ_k (p_k − y_k)², or −Σ_k [y_k·log p_k + (1 − y_k)·log(1 − p_k)], plus β times kl-normal.
    Gradient: 2(p − y) or (p − y)/(p(1 − p)) for the reconstruction; β·mu; ½β(e^logvar − 1).
    Aggregate: mean over rows; elements are summed, not averaged, so that β = 1 is the evidence bound.
    Use when: a variational autoencoder is judged by what it was trained on.
    Avoid when: models with other decoders are compared: a squared error is a log-likelihood up to scale.
    Numerics: rows of up to 10 numbers are within 2 ulp.
    See also: kl-normal; mse and bce for the reconstruction alone.
    References: Kingma & Welling (2014), Auto-Encoding Variational Bayes; Higgins et al. (2017), beta-VAE.

    >>> import lossctl
    >>> lossctl.compute("vae", [[1, 0]], [[0, 2]], mu=[[1]], logvar=[[0]]).value  # 1 + 4 + ½
    5.5
    """
    if reconstruction == "bce":
        error = -row_sum(xlogy(target, pred) + xlog1py(1.0 - target, -pred))
    else:
        error = squared_distance(pred, target)
    return error + beta * _latent(mu, logvar)


@gradient(vae, "pred", "mu", "logvar")
def _(
    target: Array, pred: Array, mu: Array, logvar: Array, *, reconstruction: str, beta: float
) -> tuple[Array, Array, Array]:
    if reconstruction == "bce":
        by_pred = np.where(target == 0.0, 0.0, -target / pred)
        by_pred = by_pred + np.where(target == 1.0, 0.0, (1.0 - target) / (1.0 - pred))
    else:
        by_pred = 2.0 * (pred - target)
    return by_pred, beta * mu, 0.5 * beta * np.expm1(logvar)
