"""Orderings within groups: queries with their candidates."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np

from lossctl.domain import NONNEG, REAL, UNIT, Interval
from lossctl.errorfree import difference
from lossctl.loss import (
    Array,
    BinaryVec,
    Codes,
    Group,
    Masked,
    Nonneg,
    Param,
    Real,
    RealVec,
    gradient,
    like,
    loss,
)
from lossctl.losses._pairs import row_pairs
from lossctl.numeric import row_sum, segment_sum, softplus

UNWEIGHED = "a group without positives enters Σw·score as 1 whatever its weight"


def segment_max(values: Array, offsets: Codes) -> Array:
    """Maximum of each non-empty segment."""
    top: Array = np.maximum.reduceat(values, offsets[:-1])
    return top


def segment_log_softmax(values: Array, offsets: Codes) -> Array:
    """log softmax within each segment, one value per row."""
    lengths = np.diff(offsets)
    shifted, slack = difference(values, np.repeat(segment_max(values, offsets), lengths))
    top = np.flatnonzero(~(shifted < 0.0))  # the first of each segment counts as 1, and not in `others`
    top = top[np.searchsorted(top, offsets[:-1])]
    others = np.exp(shifted) * (1.0 + slack)
    others[top] = 0.0
    logs, lost = difference(shifted, np.repeat(np.log1p(segment_sum(others, offsets)), lengths))
    logs += slack + lost
    return logs


@loss(
    unit="group",
    range=REAL,
    best=None,
    tasks=("ranking",),
    likes=(
        like("optax", "optax.losses.ranking_softmax_loss", labels="raw", note="labels enter unnormalised"),
        like("catboost", "QuerySoftMax", exists=False, note="weighs groups by the sum of their labels"),
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
    Aggregate: mean over groups; a group without any relevance has no distribution and is ignored, but as
        given (labels=raw) it costs 0.
    Use when: scores of one query compete with each other.
    Numerics: groups are within 4 ulp: shares are ratios of sums.
    References: Cao, Qin, Liu, Tsai & Li (2007), Learning to Rank: From Pairwise to Listwise Approach.

    >>> import lossctl
    >>> lossctl.compute("listnet", [1, 0], [0.0, 0.0], group=["q", "q"]).value  # log 2
    0.6931471805599453
    """
    logs = segment_log_softmax(pred, group)
    lengths = np.diff(group)
    total = segment_sum(target, group)
    used = np.ones(len(lengths), bool)
    if labels == "softmax":
        shares = np.exp(segment_log_softmax(target, group))
    elif labels == "normalized":
        used = total > 0.0
        whole = np.repeat(np.where(used, total, 1.0), lengths)
        shares = target / whole
        faint = (shares < 1e-290) & (target > 0.0)  # digits lost, which a logarithm of 1e300 makes count
        if faint.any():
            shares[faint], logs[faint] = target[faint], logs[faint] / whole[faint]
    else:
        shares = target
    return Masked(segment_sum(np.where(shares == 0.0, 0.0, -shares * logs), group), used)


@gradient(listnet)
def _(group: Codes, target: Array, pred: Array, *, labels: str) -> Array:
    soft = np.exp(segment_log_softmax(pred, group))
    if labels == "softmax":
        return soft - np.exp(segment_log_softmax(target, group))
    total = np.repeat(segment_sum(target, group), np.diff(group))
    if labels == "raw":
        return soft * total - target
    return np.where(total > 0.0, soft - target / np.where(total > 0.0, total, 1.0), 0.0)


@loss(
    unit="group",
    range=NONNEG,
    tasks=("ranking",),
    likes=(
        like("catboost", "PairLogit", exists=False, note="averages over the pairs of all groups together"),
        like("rax", "rax.pairwise_logistic_loss", exists=False, note="averages over the pairs of all lists"),
        like("xgboost", "rank:pairwise", exists=False, note="an objective without a reported value"),
    ),
)
def ranknet(group: Group, target: Nonneg, pred: Real) -> Masked:
    """RankNet: logistic loss of the score difference over all pairs of a group that relevance orders.

    Formula: mean of log(1 + e^−(sᵢ − sⱼ)) over the pairs with yᵢ > yⱼ of a group.
    Gradient: −σ(sⱼ − sᵢ) for the better row and +σ(sⱼ − sᵢ) for the worse, over the number of pairs.
    Aggregate: mean over groups; a group whose rows are all equally relevant has no pair and is ignored.
    Use when: what matters is which of two rows comes first.
    Avoid when: only the top of the list matters (ndcg-loss).
    Numerics: pairs are taken in runs, so memory does not grow with the square of a group's size. Groups are
        within 4 ulp: a sum over its pairs.
    See also: listnet compares whole lists, bpr takes the pairs from the data.
    References: Burges et al. (2005), Learning to Rank using Gradient Descent.

    >>> import lossctl
    >>> lossctl.compute("ranknet", [1, 0], [0.0, 0.0], group=["q", "q"]).value  # log 2
    0.6931471805599453
    """
    cost, pairs = np.zeros(len(pred)), np.zeros(len(pred))
    for rows, bounds, other in row_pairs(group):
        sizes = np.diff(bounds)
        better = np.repeat(target[rows], sizes) > target[other]
        lead = difference(pred[other], np.repeat(pred[rows], sizes))
        cost[rows] = segment_sum(np.where(better, softplus(*lead), 0.0), bounds)
        pairs[rows] = segment_sum(better.astype(np.float64), bounds)
    count = segment_sum(pairs, group)
    return Masked(segment_sum(cost, group) / np.maximum(count, 1.0), count > 0.0)


@gradient(ranknet)
def _(group: Codes, target: Array, pred: Array) -> Array:
    slope, pairs = np.zeros(len(pred)), np.zeros(len(pred))
    for rows, bounds, other in row_pairs(group):
        sizes = np.diff(bounds)
        side = np.sign(np.repeat(target[rows], sizes) - target[other])
        gap = side * (np.repeat(pred[rows], sizes) - pred[other])
        slope[rows] = segment_sum(-side * np.exp(-softplus(gap)), bounds)
        pairs[rows] = segment_sum((side > 0.0).astype(np.float64), bounds)
    count = np.repeat(segment_sum(pairs, group), np.diff(group))
    return slope / np.maximum(count, 1.0)


def _gains(target: Array, group: Codes, gain: str) -> Array:
    """Gain of each row, up to a factor that a group's rows share."""
    if gain == "linear":
        return target
    top = np.repeat(segment_max(target, group), np.diff(group))
    small = np.expm1(np.minimum(target, 1.0) * math.log(2.0)) * np.exp2(-top)
    return np.where(target < 0.5, small, np.exp2(target - top) - np.exp2(-top))


@loss(
    unit="group",
    range=UNIT,
    tasks=("ranking",),
    scores=("ndcg", "map", "mrr", "hit-rate"),
    likes=(
        like(
            "sklearn", "1 − sklearn.metrics.ndcg_score", empty="0", note="a group without positives scores 0"
        ),
        like(
            "torchmetrics",
            "1 − torchmetrics.retrieval.RetrievalNormalizedDCG",
            empty="0",
            note="a group without positives scores 0",
        ),
        like("xgboost", "1 − ndcg", gain="exponential", note=f"ties keep the order of the rows; {UNWEIGHED}"),
        like(
            "lightgbm",
            "1 − ndcg",
            gain="exponential",
            note=f"k is eval_at; ties keep the order of the rows; {UNWEIGHED}",
        ),
        like(
            "catboost",
            "1 − NDCG",
            note="type=Base; type=Exp is gain=exponential; ties take the worst order; weights: group_weight",
        ),
    ),
)
def ndcg_loss(
    group: Group,
    target: Nonneg,
    pred: Real,
    *,
    k: Annotated[int | None, Param("only the first k ranks count", Interval(1.0, math.inf))] = None,
    gain: Annotated[
        Literal["linear", "exponential"], Param("what a relevance y is worth: y, or 2^y − 1")
    ] = "linear",
    empty: Annotated[
        Literal["1", "0", "skip"], Param("score of a group without positives; skip leaves it out")
    ] = "1",
) -> Masked:
    """One minus the normalised discounted cumulative gain of each group.

    Formula: 1 − DCG/IDCG, DCG = Σ_i gain(y_i) / log₂(1 + rank_i) by descending score, IDCG that of the
        best order.
    Aggregate: mean over groups; a group without positives scores what `empty` says.
    Use when: the top of each ranking matters most.
    Avoid when: a differentiable loss is wanted (listnet, ranknet).
    Numerics: tied scores share the mean of their ranks' discounts, so the order of rows never matters.
        Groups of a few rows are within 2 ulp of 1.
    References: Järvelin & Kekäläinen (2002), Cumulated Gain-based Evaluation of IR Techniques; McSherry &
        Najork (2008), Computing Information Retrieval Performance Measures Efficiently in the Presence of
        Tied Scores.

    >>> import lossctl
    >>> lossctl.compute("ndcg-loss:k=1", [2, 1], [0.0, 1.0], group=["q", "q"]).value  # 1 − 1/2
    0.5
    """
    lengths = np.diff(group)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    rank = np.arange(len(pred)) - np.repeat(group[:-1], lengths)
    discount = 1.0 / np.log2(rank + 2.0)
    if k is not None:
        discount[rank >= k] = 0.0
    worth = _gains(target, group, gain)
    order = np.lexsort((worth, -pred, owner))
    score = pred[order]
    fresh = rank == 0
    fresh[1:] |= score[1:] != score[:-1]
    ties = np.append(np.flatnonzero(fresh), len(pred))
    shared = np.repeat(segment_sum(discount, ties) / np.diff(ties), np.diff(ties))
    reached = segment_sum(worth[order] * shared, group)
    best = segment_sum(worth[np.lexsort((-worth, owner))] * discount, group)
    filled = best > 0.0
    short = np.maximum(best - reached, 0.0) / np.where(filled, best, 1.0)
    terms = np.where(filled, short, 1.0 if empty == "0" else 0.0)
    return Masked(terms, filled if empty == "skip" else np.ones(len(lengths), bool))


@loss(
    aliases=("label-ranking-loss",),
    range=UNIT,
    tasks=("multi-label", "ranking"),
    likes=(
        like("sklearn", "sklearn.metrics.label_ranking_loss"),
        like(
            "torchmetrics",
            "torchmetrics.classification.MultilabelRankingLoss",
            exists=False,
            note="a tie between a true and a false label is right or wrong by their order",
        ),
    ),
)
def label_ranking(target: BinaryVec, pred: RealVec) -> Array:
    """Label ranking loss: share of (true, false) label pairs of a row that the scores put in the wrong order.

    Formula: #{(i, j): yᵢ = 1, yⱼ = 0, sᵢ ≤ sⱼ} / (#true · #false); 0 where one of the two is empty.
    Use when: a row has several labels and their ranking matters, not a threshold.
    Avoid when: scores should be probabilities (bce over vectors).
    Numerics: counts are exact; a tie is an error; sorted, not all pairs.
    See also: coverage-error.
    References: Tsoumakas, Katakis & Vlahavas (2010), Mining Multi-label Data.

    >>> import lossctl
    >>> lossctl.compute("label-ranking", [[1, 0, 0]], [[0.5, 0.2, 0.9]]).value  # 1 of 2 pairs
    0.5
    """
    order = np.argsort(pred, axis=1)
    score = np.take_along_axis(pred, order, axis=1)
    true = np.take_along_axis(target > 0.5, order, axis=1)
    above = np.cumsum(~true[:, ::-1], axis=1)[:, ::-1]  # false labels from here upwards
    fresh = np.ones(score.shape, bool)
    fresh[:, 1:] = score[:, 1:] != score[:, :-1]
    first = np.maximum.accumulate(np.where(fresh, np.arange(score.shape[1]), 0), axis=1)
    wrong = np.sum(np.where(true, np.take_along_axis(above, first, axis=1), 0), axis=1)
    positives = np.sum(true, axis=1)
    pairs = positives * (score.shape[1] - positives)
    share: Array = wrong / np.maximum(pairs, 1)
    return share


@loss(
    range=NONNEG,
    best=None,
    tasks=("multi-label", "ranking"),
    likes=(
        like("sklearn", "sklearn.metrics.coverage_error"),
        like(
            "torchmetrics",
            "torchmetrics.classification.MultilabelCoverageError",
            note="applies a sigmoid to scores outside [0, 1]",
        ),
    ),
)
def coverage_error(target: BinaryVec, pred: RealVec) -> Array:
    """Coverage error: how far down a row's ranked labels one has to go to meet all true ones.

    Formula: #{j: s_j ≥ min over true labels of s}; 0 for a row without true labels.
    Use when: every true label has to be found; the best possible value is the number of true labels.
    Avoid when: rows differ much in their number of labels (label-ranking is a share).
    Numerics: counts are exact; labels tied with the lowest true one count.
    References: Tsoumakas, Katakis & Vlahavas (2010), Mining Multi-label Data.

    >>> import lossctl
    >>> lossctl.compute("coverage-error", [[1, 0, 0]], [[0.5, 0.2, 0.9]]).value  # ranks 1 and 2
    2.0
    """
    lowest = np.min(np.where(target > 0.5, pred, np.inf), axis=1)
    return row_sum((pred >= lowest[:, None]).astype(np.float64))
