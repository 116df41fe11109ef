"""Embeddings against all others of their group."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, POSITIVE
from lossctl.errorfree import Double, finite_rest, two_product
from lossctl.loss import (
    Array,
    Codes,
    Group,
    Param,
    RealVec,
    gradient,
    like,
    loss,
)
from lossctl.losses._directions import scaled_rows, square_sum, unit_rows
from lossctl.losses._pairs import PAIRS, row_pairs
from lossctl.numeric import NARROW, row_sum, segment_sum, sum_parts


def _one_way(query: Array, key: Array, group: Codes, temperature: float, normalize: bool) -> Array:
    """Cross-entropy of each query against all keys of its group, its own being the right one.

    What rounding takes from a similarity becomes the relative error of a small loss, so lengths and leads
    are taken in twice the digits.
    """
    value = np.empty(len(query))
    if normalize:
        query, key = scaled_rows(query)[0], scaled_rows(key)[0]
    scale, size = (_reciprocal_lengths(x, normalize) for x in (query, key))
    own = _inner(query, key).times(size)
    for rows, bounds, other in row_pairs(group, max(PAIRS // query.shape[1], 1)):
        mine = np.arange(rows.start, rows.stop).repeat(np.diff(bounds))
        likeness = _inner(query[mine], key[other]).times(size.take(other))
        lead = likeness.minus(own.take(mine)).times(scale.take(mine))
        lead = lead.over(Double(np.full_like(lead.high, temperature)))
        wild = np.isnan(lead.high)
        if wild.any():  # inner products beyond the doubles, whose difference may be within
            lead.high[wild] = _leads(query, key, rows, bounds, other, temperature)[wild]
        lead.high[mine == other] = -np.inf
        top = np.maximum(np.maximum.reduceat(lead.high, bounds[:-1]), 0.0)
        shift = np.where(np.isfinite(top), top, 0.0)
        share = np.exp(lead.high - shift.repeat(np.diff(bounds)))
        low = np.clip(lead.low, -0.5, 0.5)  # more is lost only from leads beyond 2⁵²
        rest = segment_sum(share + finite_rest(share * low), bounds)
        value[rows] = np.where(top > 0.0, top + np.log(rest + np.exp(-top)), np.log1p(rest))
    return value


def _inner(a: Array, b: Array) -> Double:
    """Inner products of rows; of up to 16 numbers in twice the digits."""
    if a.shape[1] > NARROW:
        return Double(*sum_parts(a * b))
    return Double(*sum_parts(np.concatenate(two_product(a, b), axis=1)))


def _reciprocal_lengths(x: Array, normalize: bool) -> Double:
    """What inner products with a row are multiplied by: 0 for a zero row."""
    one = Double(np.ones(len(x)))
    if not normalize:
        return one
    length = square_sum(x).root()
    empty = length.high == 0.0
    made = one.over(Double(np.where(empty, 1.0, length.high), length.low))
    return Double(np.where(empty, 0.0, made.high), made.low)


def _leads(query: Array, key: Array, rows: slice, bounds: Codes, other: Codes, temperature: float) -> Array:
    """How much more like a query the other key is than its own."""
    sizes = np.diff(bounds)
    return (
        row_sum(query[rows].repeat(sizes, axis=0) * (key[other] - key[rows].repeat(sizes, axis=0)))
        / temperature
    )


def _one_way_slopes(query: Array, key: Array, group: Codes, temperature: float) -> tuple[Array, Array]:
    """d Σ _one_way / d query and / d key."""
    value = _one_way(query, key, group, temperature, False)
    by_query, by_key = np.empty_like(query), np.empty_like(key)
    for rows, bounds, other in row_pairs(group, max(PAIRS // query.shape[1], 1)):
        sizes = np.diff(bounds)
        mine = np.arange(rows.start, rows.stop).repeat(sizes)
        share = np.exp(_leads(query, key, rows, bounds, other, temperature) - value[mine])[:, None]
        by_query[rows] = np.add.reduceat(share * (key[other] - key[mine]), bounds[:-1], axis=0)
        lead = row_sum(query[other] * (key[mine] - key[other])) / temperature
        share = np.exp(lead - value[other])[:, None]
        by_key[rows] = np.add.reduceat(share * query[other], bounds[:-1], axis=0) - query[rows]
    return by_query / temperature, by_key / temperature


def _along_sphere(x: Array, slope: Array) -> Array:
    """From the slope with respect to x/‖x‖ that with respect to x; 0 for a zero row."""
    unit, reach = unit_rows(x)
    flat = slope - row_sum(slope * unit)[:, None] * unit
    return flat / np.where(reach == 0.0, np.inf, reach)[:, None]


@loss(
    aliases=("ntxent",),
    range=NONNEG,
    best=None,
    tasks=("similarity",),
    likes=(
        like("info-nce-pytorch", "InfoNCE(negative_keys=None)"),
        like(
            "pml",
            "losses.NTXentLoss",
            exists=False,
            note="both views of every other pair are negatives",
        ),
        like(
            "optax", "optax.losses.ntxent", exists=False, note="both views of every other pair are negatives"
        ),
        like(
            "monai",
            "monai.losses.ContrastiveLoss",
            exists=False,
            note="both views of other pairs are negatives",
        ),
    ),
)
def info_nce(
    anchor: RealVec,
    positive: RealVec,
    group: Group,
    *,
    temperature: Annotated[float, Param("what similarities are divided by", POSITIVE)] = 0.1,
    symmetric: Annotated[bool, Param("mean of both directions, as CLIP")] = False,
    normalize: Annotated[bool, Param("cosine similarity; otherwise the inner product")] = True,
) -> Array:
    """InfoNCE: each anchor should find its own positive among all positives of its group.

    Formula: −log(e^(s_ii/τ) / Σ_j e^(s_ij/τ)), s_ij = cos(aᵢ, pⱼ), j over the rows of the group.
    Gradient: (Σ_j π_j·p̂_j − p̂ᵢ)/τ for the unit anchor, π the softmax of a row's similarities. The gradient
        of a positive counts its part as a negative of the others: it is that of the group's sum.
    Aggregate: mean over rows; a group is a batch, and a group of one row costs nothing.
    Use when: a representation is judged by how well it tells pairs apart.
    Avoid when: other rows of a group may be right answers too.
    Numerics: log-sum-exp of differences to a row's own similarity, in twice the digits, so a loss near zero
        keeps its own; pairs are taken in runs, so memory does not grow with the square of a group's size.
        Rows of up to 10 numbers are within 4 ulp: cosines are ratios of rounded sums.
    See also: triplet takes one negative per row.
    References: van den Oord, Li & Vinyals (2018), Representation Learning with Contrastive Predictive
        Coding; Radford et al. (2021), Learning Transferable Visual Models (symmetric).

    >>> import lossctl
    >>> same = [[1, 0], [1, 0]]
    >>> lossctl.compute("info-nce", anchor=same, positive=same, group=["b", "b"]).value  # log 2
    0.6931471805599453
    """
    there = _one_way(anchor, positive, group, temperature, normalize)
    return 0.5 * (there + _one_way(positive, anchor, group, temperature, normalize)) if symmetric else there


@gradient(info_nce, "anchor", "positive")
def _(
    anchor: Array, positive: Array, group: Codes, *, temperature: float, symmetric: bool, normalize: bool
) -> tuple[Array, Array]:
    a, p = (unit_rows(anchor)[0], unit_rows(positive)[0]) if normalize else (anchor, positive)
    by_a, by_p = _one_way_slopes(a, p, group, temperature)
    if symmetric:
        back_p, back_a = _one_way_slopes(p, a, group, temperature)
        by_a, by_p = 0.5 * (by_a + back_a), 0.5 * (by_p + back_p)
    if not normalize:
        return by_a, by_p
    return _along_sphere(anchor, by_a), _along_sphere(positive, by_p)
