"""Orderings within groups: queries with their candidates."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from lossctl.domain import REAL
from lossctl.loss import Array, Codes, Group, Masked, Nonneg, Param, Real, like, loss
from lossctl.numeric import segment_sum


def segment_max(values: Array, offsets: Codes) -> Array:
    """Maximum of each non-empty segment."""
    return np.maximum.reduceat(values, offsets[:-1])


def segment_log_softmax(values: Array, offsets: Codes) -> Array:
    """log softmax within each segment, one value per row."""
    lengths = np.diff(offsets)
    shifted = values - np.repeat(segment_max(values, offsets), lengths)
    return shifted - np.repeat(np.log(segment_sum(np.exp(shifted), offsets)), lengths)


@loss(
    unit="group",
    range=REAL,
    best=None,
    tasks=("ranking",),
    likes=(
        like("optax", "optax.losses.ranking_softmax_loss", labels="raw", note="labels enter unnormalised"),
        like("catboost", "QuerySoftMax", note="labels are divided by their sum"),
    ),
)
def listnet(
    group: Group,
    target: Nonneg,
    pred: Real,
    *,
    labels: Annotated[
        Literal["normalized", "softmax", "raw"],
        Param("how relevances become the target distribution: divided by their sum, softmax, or as given"),
    ] = "normalized",
) -> Masked:
    """ListNet: cross-entropy between the relevances and the softmax of the scores within a group.

    Formula: −Σ_i q_i·log softmax(s)_i over the group's rows, q from the relevances.
    Gradient: softmax(s)·Σq − q.
    Aggregate: mean over groups; a group without any relevance has no distribution and is ignored.
    Use when: scores of one query compete with each other.
    References: Cao, Qin, Liu, Tsai & Li (2007), Learning to Rank: From Pairwise to Listwise Approach.

    >>> import lossctl
    >>> lossctl.compute("listnet", [1, 0], [0.0, 0.0], group=["q", "q"]).value  # log 2
    0.6931471805599453
    """
    logs = segment_log_softmax(pred, group)
    lengths = np.diff(group)
    total = segment_sum(target, group)
    used = total > 0.0
    if labels == "softmax":
        shares, used = np.exp(segment_log_softmax(target, group)), np.ones(len(lengths), bool)
    elif labels == "normalized":
        shares = target / np.repeat(np.where(used, total, 1.0), lengths)
    else:
        shares = target
    return Masked(segment_sum(np.where(shares == 0.0, 0.0, -shares * logs), group), used)
