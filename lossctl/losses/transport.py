"""How far mass must be moved: distances of histograms and of samples."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, Interval
from lossctl.errorfree import difference
from lossctl.loss import Array, Param, Real, Whole, gradient, like, loss
from lossctl.losses._histograms import Normalize, Shares, shares_of, through_sum
from lossctl.numeric import row_blocks, row_sum


def _climb(target: Array, pred: Array, normalize: bool) -> Array:
    """CDF of the prediction minus CDF of the target; both end at one if normalised."""
    p, q = shares_of(target, 0.0, normalize), shares_of(pred, 0.0, normalize)
    gap = np.empty_like(p)
    for rows in row_blocks(p):
        gap[rows] = _running_difference(q[rows], p[rows])
    if normalize:
        gap[:, -1] = 0.0
    return gap


def _running_difference(a: Array, b: Array) -> Array:
    """Running sums of a − b, which may cancel, with what each rounding took."""
    step, slack = difference(a, b)
    total = np.cumsum(step, axis=1)
    before = total[:, :-1]
    taken = total[:, 1:] - before
    slack[:, 1:] += (before - (total[:, 1:] - taken)) + (step[:, 1:] - taken)
    total += np.cumsum(slack, axis=1)
    return total


def _length(gap: Array, p: float) -> Array:
    size = np.abs(gap)
    if p == 1.0:
        return row_sum(size)
    exponent = np.frexp(np.max(size, axis=1))[1]  # dividing by a power of two rounds nothing
    root: Array = row_sum(np.ldexp(size, -exponent[:, None]) ** p) ** (1.0 / p)
    return np.ldexp(root, exponent)


def _sample_distance(target: Array, pred: Array, weights: Array | None) -> float:
    """∫|F − G| of the two empirical distribution functions, the same for every order of the rows."""
    if weights is None:
        return float(np.mean(np.abs(np.sort(pred) - np.sort(target))))
    place = np.concatenate([target, pred])
    signed = np.concatenate([weights, -weights])
    order = np.lexsort((signed, place))
    gap = np.abs(np.cumsum(signed[order])[:-1])
    return float(np.sum(gap * np.diff(place[order])) / np.sum(np.sort(weights)))


@loss(
    range=NONNEG,
    tasks=("distributions", "multi-class"),
    likes=(
        like(
            "scipy",
            "scipy.stats.wasserstein_distance(positions, positions, target, pred)",
            normalize=True,
            note="rescales both histograms to sum to one",
        ),
    ),
)
def emd(
    target: Shares,
    pred: Shares,
    *,
    p: Annotated[
        float, Param("order of the norm of the CDF differences", Interval(1.0, math.inf, open_high=True))
    ] = 1.0,
    normalize: Normalize = False,
) -> Array:
    """Earth mover's distance of two histograms over ordered bins, in bins.

    Formula: (Σ_k |CDF_P(k) − CDF_Q(k)|^p)^(1/p); for p = 1 the mass moved times the bins it is moved by.
    Gradient: for p = 1, with respect to Q_k, Σ_{j≥k} sign(CDF_Q(j) − CDF_P(j)).
    Use when: classes are ordered, so that a near miss should cost less than a far one.
    Avoid when: classes have no order (kl, cross-entropy).
    Numerics: the differences are accumulated, not the two CDFs, with what each rounding took; if normalised,
        both end at one exactly. Rows of up to 10 numbers are within 2 ulp.
    See also: wasserstein compares two samples.
    References: Rubner, Tomasi & Guibas (2000), The Earth Mover's Distance; Hou, Yu & Samaras (2016),
        Squared Earth Mover's Distance-based Loss.

    >>> import lossctl
    >>> lossctl.compute("emd", [[1, 0, 0, 0]], [[0, 0, 0.5, 0.5]]).value  # ½·2 + ½·3
    2.5
    """
    return _length(_climb(target, pred, normalize), p)


@gradient(emd)
def _(target: Array, pred: Array, *, p: float, normalize: bool) -> Array:
    gap = _climb(target, pred, normalize)
    noise = pred.shape[1] * np.finfo(np.float64).eps * (row_sum(target) + row_sum(pred))[:, None]
    slope = np.sign(gap) * (np.abs(gap) > (0.0 if normalize else noise))  # equal totals end at rounding noise
    if p != 1.0:
        length = _length(gap, p)[:, None]
        slope = slope * (np.abs(gap) / np.where(length == 0.0, 1.0, length)) ** (p - 1.0)
    later = np.cumsum(slope[:, ::-1], axis=1)[:, ::-1]
    return through_sum(later, shares_of(pred, 0.0, normalize), pred, normalize)


@loss(
    Whole(_sample_distance, row=False),
    aliases=("wasserstein-1",),
    range=NONNEG,
    tasks=("distributions", "generative"),
    likes=(like("scipy", "scipy.stats.wasserstein_distance"),),
)
def wasserstein(target: Real, pred: Real) -> tuple[Array, Array]:
    """Wasserstein-1 distance of two samples: how far the predictions' distribution is from the targets'.

    Formula: ∫|F − G| of the two empirical distribution functions; unweighted, the mean of
        |pred₍ᵢ₎ − target₍ᵢ₎| over both columns sorted.
    Aggregate: needs all rows in memory (16 bytes each); which target stands beside which prediction does
        not matter, and a row alone has no value. A row's weight counts for both its numbers.
    Use when: generated values should have the right distribution, row by row agreement being no aim.
    Avoid when: rows are pairs (mae).
    See also: emd for histograms, wgan for a critic's scores.
    References: Vallender (1974), Calculation of the Wasserstein Distance between Probability Distributions
        on the Line.

    >>> import lossctl
    >>> lossctl.compute("wasserstein", [0, 1, 3], [8, 5, 6]).value  # (5 + 5 + 5) / 3
    5.0
    """
    return target, pred
