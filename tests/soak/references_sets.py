"""Boxes, masks, pictures, groups and sequences by their definitions; importing this adds them to `ALL`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, product
from typing import Any

from mpmath import mp, mpf
from references import N, of, softplus, times
from references_vectors import FEW, V, distance, dot, log_probs, log_softmax

# --- boxes


def overlap(a: V, b: V) -> tuple[N, N]:
    wide = max(mpf(0), min(a[2], b[2]) - max(a[0], b[0]))
    high = max(mpf(0), min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return wide * high, areas - wide * high


def around(a: V, b: V) -> tuple[N, N]:
    return max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])


@of("box-iou", layout="vector", share=FEW, draw="boxes")
def box_iou(target: V, pred: V, **_: Any) -> N:
    inter, union = overlap(target, pred)
    return 1 - inter / union


@of("box-giou", layout="vector", share=FEW, draw="boxes")
def box_giou(target: V, pred: V, **_: Any) -> N:
    wide, high = around(target, pred)
    return box_iou(target, pred) + (wide * high - overlap(target, pred)[1]) / (wide * high)


@of("box-diou", layout="vector", share=FEW, draw="boxes")
def box_diou(target: V, pred: V, **_: Any) -> N:
    wide, high = around(target, pred)
    x, y = (((target[i] + target[i + 2]) - (pred[i] + pred[i + 2])) / 2 for i in (0, 1))
    return box_iou(target, pred) + (x * x + y * y) / (wide * wide + high * high)


@of("box-ciou", layout="vector", share=FEW, draw="boxes")
def box_ciou(target: V, pred: V, **_: Any) -> N:
    angles = [mp.atan2(b[2] - b[0], b[3] - b[1]) for b in (target, pred)]
    shape = 4 / mp.pi**2 * (angles[0] - angles[1]) ** 2
    extra = shape * shape / (box_iou(target, pred) + shape) if shape else mpf(0)
    return box_diou(target, pred) + extra


# --- masks and pictures


def masks(target: V, pred: V) -> tuple[N, N, N]:
    return (
        dot(target, pred),
        mp.fsum(p * (1 - y) for y, p in zip(target, pred, strict=True)),
        mp.fsum(y * (1 - p) for y, p in zip(target, pred, strict=True)),
    )


@of("dice", layout="vector", share=FEW, draw="masks")
def dice(target: V, pred: V, **_: Any) -> N:
    return 1 - 2 * dot(target, pred) / (mp.fsum(target) + mp.fsum(pred))


@of("jaccard", layout="vector", share=FEW, draw="masks")
def jaccard(target: V, pred: V, **_: Any) -> N:
    both = dot(target, pred)
    return 1 - both / (mp.fsum(target) + mp.fsum(pred) - both)


@of("tversky", layout="vector", share=FEW, draw="masks")
@of("focal-tversky", layout="vector", share=FEW, draw="inked")
def tversky(target: V, pred: V, alpha: N, beta: N, gamma: N = 1, **_: Any) -> N:
    hit, extra, missed = masks(target, pred)
    wrong = alpha * extra + beta * missed
    return (wrong / (hit + wrong)) ** gamma


@of(
    "psnr-loss:data-range=2",
    layout="vector",
    share=FEW,
    draw="tame",
    size=lambda target, pred, data_range: max(abs(psnr(target, pred, data_range)), 10 / mp.log(10)),
)
def psnr(target: V, pred: V, data_range: N) -> N:
    return 10 * mp.log10(distance(target, pred) ** 2 / len(pred) / data_range**2)


@of("total-variation:shape=2x3", layout="vector", share=FEW, draw="pixels")
def total_variation(pred: V, **_: Any) -> N:
    rows = [pred[:3], pred[3:]]
    across = mp.fsum((r[i + 1] - r[i]) ** 2 for r in rows for i in (0, 1))
    return across + distance(*rows) ** 2


@of("ssim-loss:shape=2x3:window=2", layout="vector", share=FEW, draw="pixels")
def ssim(target: V, pred: V, sigma: N, k1: N, k2: N, data_range: N, **_: Any) -> N:
    c1, c2 = (k1 * data_range) ** 2, (k2 * data_range) ** 2
    parts = []
    for left in (0, 1):  # a window of 2 × 2: all four weights are ¼
        places = [left, left + 1, left + 3, left + 4]
        x, y = [target[i] for i in places], [pred[i] for i in places]
        mx, my = mp.fsum(x) / 4, mp.fsum(y) / 4
        vx, vy, both = dot(x, x) / 4 - mx * mx, dot(y, y) / 4 - my * my, dot(x, y) / 4 - mx * my
        parts.append((2 * mx * my + c1) * (2 * both + c2) / (mx * mx + my * my + c1) / (vx + vy + c2))
    return 1 - mp.fsum(parts) / 2


# --- groups and sequences


@of("listnet", share=0.3)
def listnet(target: V, pred: V, **_: Any) -> N:
    whole = mp.fsum(target)
    return mp.fsum(times(y / whole, -x) for y, x in zip(target, log_softmax(pred), strict=True))


@of("ranknet", share=0.3, draw="calm")
def ranknet(target: V, pred: V) -> N:
    rows = list(zip(target, pred, strict=True))
    costs = [softplus(t - s) for y, s in rows for z, t in rows if y > z]
    return mp.fsum(costs) / len(costs)


@of(
    "ndcg-loss",
    "ndcg-loss:gain=exponential",
    share=0.05,
    draw="relevances",
    size=lambda **_: mpf(1),
    note="in ulp of 1, of which the score is taken",
)
def ndcg(target: V, pred: V, gain: str, **_: Any) -> N:
    worth = [y if gain == "linear" else mpf(2) ** y - 1 for y in target]
    rank, reached = 0, mpf(0)
    ordered = sorted(zip(pred, worth, strict=True), key=lambda pair: -pair[0])
    for _score, tied in groupby(ordered, key=lambda pair: pair[0]):
        gains = [g for _, g in tied]
        discounts = [1 / mp.log(rank + i + 2, 2) for i in range(len(gains))]
        reached += mp.fsum(gains) * mp.fsum(discounts) / len(gains)
        rank += len(gains)
    best = mp.fsum(g / mp.log(i + 2, 2) for i, g in enumerate(sorted(worth, reverse=True)))
    return 1 - reached / best if best else mpf(0)


@of("token-nll:from-logits=true", "pixel-cross-entropy", layout="vector", share=FEW, draw="steps")
def steps(target: Sequence[int], pred: Sequence[V], from_logits: bool, **_: Any) -> N:
    costs = [-log_probs(row, from_logits)[label] for label, row in zip(target, pred, strict=True)]
    return mp.fsum(costs) / len(costs)


def alignments(target: Sequence[int], pred: Sequence[V], from_logits: bool) -> list[N]:
    """Log-probability of every path that gives the target."""
    logs = [log_softmax(row) for row in pred] if from_logits else pred
    paths = product(range(len(logs[0])), repeat=len(logs))
    fitting = [path for path in paths if [k for k, _ in groupby(path) if k] == list(target)]
    return [mp.fsum(row[k] for row, k in zip(logs, path, strict=True)) for path in fitting]


def left_of_best(target: Sequence[int], pred: Sequence[V], from_logits: bool, **_: Any) -> N:
    """What other paths leave when they take 99.9 % of the best one's cost; 1e-3 beside probabilities above 1.

    1 + 1e-32 is the next of two doubles to 1, so its digits run out below 1e-16.
    """
    best = abs(max(alignments(target, pred, from_logits), default=-mp.inf))
    above = not from_logits and any(step[k] > 0 for step in pred for k in (0, *target))
    return max(best / 1000, min(best, mpf("1e-16")), mpf("1e-3") if above else 0)


@of(
    "ctc",
    "ctc:from-logits=true",
    layout="vector",
    draw="unaligned",
    size=left_of_best,
    note="in ulp of the loss, or of 1e-3 of the best path's cost if that is more",
)
def ctc(target: Sequence[int], pred: Sequence[V], from_logits: bool, **_: Any) -> N:
    paths = alignments(target, pred, from_logits)
    return -mp.log(mp.fsum(mp.exp(path) for path in paths)) if paths else mp.inf
