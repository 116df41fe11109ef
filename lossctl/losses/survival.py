"""Times until an event, some of them cut off before it."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from lossctl.domain import ANY
from lossctl.loss import Array, Binary, Nonneg, Param, Real, Whole, like, loss
from lossctl.numeric import segment_sum

_REACH = 500.0  # e^±500 is a normal double, and so are sums of e^500 over any number of rows


def _running_logsumexp(x: Array, weights: Array) -> Array:
    """log Σ_{j≤i} w_j·e^{x_j} for each i, all terms positive.

    The shift follows the running maximum in steps of `_REACH`, so neither end of a wide range is lost.
    """
    out = np.empty(len(x))
    highest = np.maximum.accumulate(x)
    carried, shift, start = 0.0, 0.0, 0
    while start < len(x):
        carried *= math.exp(min(shift - highest[start], 0.0))
        shift = float(highest[start])
        end = int(np.searchsorted(highest, shift + _REACH, side="right"))
        total = np.cumsum(np.concatenate(([carried], weights[start:end] * np.exp(x[start:end] - shift))))
        out[start:end] = np.log(total[1:]) + shift
        carried, start = float(total[-1]), end
    return out


def _partial_likelihood(time: Array, event: Array, pred: Array, weights: Array | None, *, ties: str) -> float:
    w = np.ones(len(time)) if weights is None else weights
    order = np.lexsort((w, pred, event, -time))
    order = order[w[order] > 0.0]  # one order of rows whatever order they came in, so one rounding
    time, event, pred, w = time[order], event[order], pred[order], w[order]
    if not event.any():
        return math.nan
    first = np.flatnonzero(np.concatenate(([True], time[1:] != time[:-1])))
    bounds = np.append(first, len(time))
    at_risk = _running_logsumexp(pred, w)[bounds[1:] - 1]
    group = np.repeat(np.arange(len(first)), np.diff(bounds))
    dead = event > 0.0
    group, pred, w = group[dead], pred[dead], w[dead]
    terms = w * (at_risk[group] - pred)
    if ties == "efron":
        terms = np.concatenate((terms, _efron(group, w, pred - at_risk[group], len(first))))
    return math.fsum(terms) / math.fsum(w)


def _efron(group: NDArray[np.int64], w: Array, log_share: Array, groups: int) -> Array:
    """What Efron's correction adds per event: w̄·log(1 − (l/d)·share of the tied events in the risk set)."""
    deaths = np.bincount(group, minlength=groups)
    bounds = np.concatenate(([0], np.cumsum(deaths)))
    rank = np.arange(len(group)) - bounds[group]
    share = segment_sum(w * np.exp(log_share), bounds)[group]
    mean = (segment_sum(w, bounds) / np.maximum(deaths, 1))[group]
    terms: Array = mean * np.log1p(-rank / deaths[group] * np.minimum(share, 1.0))
    return terms


@loss(
    Whole(_partial_likelihood, row=False),
    aliases=("cox",),
    range=ANY,
    best=None,
    tasks=("survival",),
    scale_free=False,
    likes=(
        like("xgboost", "cox-nloglik", ties="breslow", note="its predictions are e^pred; ignores weights"),
        like("lifelines", "−CoxPHFitter.log_likelihood_", exists=False, note="sum over events, Efron's ties"),
        like("catboost", "Cox", exists=False, note="sum over events"),
    ),
)
def cox_ph(
    time: Nonneg,
    event: Binary,
    pred: Real,
    *,
    ties: Annotated[
        Literal["breslow", "efron"],
        Param("events at the same time: each faces the whole risk set, or the tied ones leave it one by one"),
    ] = "breslow",
) -> tuple[Array, Array, Array]:
    """Cox's negative log partial likelihood per event: the first to fail should carry the highest risk.

    Formula: (1/D)·Σ_events (log Σ_{t_j ≥ t_i} e^{h_j} − h_i), D the number of events.
    Gradient: none for a row; of the sum, Σ_{events t_i ≤ t_k} e^{h_k}/Σ_{t_j ≥ t_i} e^{h_j} − δ_k.
    Aggregate: needs all rows in memory (24 bytes each) and does not depend on their order; a weight counts
        the row that often in its risk sets and as an event, as in R.
    Use when: a log-hazard ratio is predicted and follow-up ends before the event for some rows.
    Avoid when: the time itself is predicted, or there are no events (the value is not a number).
    Numerics: running sums of exponentials with a shift that follows the maximum; Efron's terms as log1p of
        the tied share, so that no difference of risk sets is taken.
    References: Cox (1972), Regression Models and Life-Tables; Breslow (1974), Covariance Analysis of Censored
        Survival Data; Efron (1977), The Efficiency of Cox's Likelihood Function for Censored Data.

    >>> import lossctl
    >>> lossctl.compute("cox-ph", time=[1, 2], event=[1, 1], pred=[0, 0]).value  # (log 2 + log 1) / 2
    0.34657359027997264
    """
    return time, event, pred
