"""Losses of vectors by their definitions; importing this adds them to `ALL`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mpmath import mp, mpf
from references import N, of, times, xlogy

V = Sequence[N]
FEW = 0.2  # vectors: a fifth of the points, sequences and pictures fewer still


def log_softmax(z: V) -> list[N]:
    top = max(z)
    norm = mp.log(mp.fsum(mp.exp(x - top) for x in z))
    return [x - top - norm for x in z]


def dot(a: V, b: V) -> N:
    return mp.fsum(x * y for x, y in zip(a, b, strict=True))


def distance(a: V, b: V) -> N:
    return mp.sqrt(mp.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def log_probs(pred: V, from_logits: bool) -> list[N]:
    return log_softmax(pred) if from_logits else [mp.log(p) for p in pred]


# --- classes


@of("cross-entropy", "cross-entropy:from-logits=true", layout="label", share=FEW)
def cross_entropy(target: int, pred: V, from_logits: bool, **_: Any) -> N:
    return -(log_softmax(pred)[target] if from_logits else mp.log(pred[target]))


@of(
    "perplexity:from-logits=true",
    layout="label",
    share=FEW,
    note="e to the row's cross-entropy: its rounding times that",
)
def perplexity(target: int, pred: V, **_: Any) -> N:
    return mp.exp(-log_softmax(pred)[target])


@of("cross-entropy", "cross-entropy:from-logits=true", layout="vector", share=FEW)
def soft_cross_entropy(target: V, pred: V, from_logits: bool, **_: Any) -> N:
    logs = log_probs(pred, from_logits)
    return mp.fsum(times(q, -x) for q, x in zip(target, logs, strict=True))


@of("brier", layout="vector", share=FEW)
def brier(target: V, pred: V, **_: Any) -> N:
    return distance(target, pred) ** 2


@of("focal", "focal:gamma=1.5", "focal:from-logits=true", layout="label", share=FEW)
def focal(target: int, pred: V, gamma: N, from_logits: bool, **_: Any) -> N:
    log_p = log_probs(pred, from_logits)[target]
    return times((1 - mp.exp(log_p)) ** gamma, -log_p)


@of("multiclass-hinge", layout="label", share=FEW)
def multiclass_hinge(target: int, pred: V, **_: Any) -> N:
    return max(mpf(0), 1 + max(s for k, s in enumerate(pred) if k != target) - pred[target])


@of("multi-margin", layout="label", share=FEW)
def multi_margin(target: int, pred: V, margin: N, **_: Any) -> N:
    short = (max(mpf(0), margin - pred[target] + s) for k, s in enumerate(pred) if k != target)
    return mp.fsum(short) / len(pred)


@of("hamming", layout="vector", share=FEW)
def hamming(target: V, pred: V, threshold: N) -> N:
    return mpf(sum((p > threshold) != (y == 1) for y, p in zip(target, pred, strict=True))) / len(pred)


@of("label-ranking", layout="vector", share=FEW)
def label_ranking(target: V, pred: V) -> N:
    true = [s for y, s in zip(target, pred, strict=True) if y]
    false = [s for y, s in zip(target, pred, strict=True) if not y]
    wrong = sum(t <= f for t in true for f in false)
    return mpf(wrong) / max(len(true) * len(false), 1)


@of("lovasz-hinge", layout="vector", share=FEW)
def lovasz_hinge(target: V, pred: V) -> N:
    errors = [1 - z * (2 * y - 1) for y, z in zip(target, pred, strict=True)]
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    ink, wrong, before, value = sum(target), set(), mpf(0), mpf(0)
    for i in order:
        wrong.add(i)
        missed = sum(1 for j in wrong if target[j])
        union = ink + len(wrong) - missed
        jaccard = 1 - (ink - missed) / mpf(union)
        value += max(errors[i], mpf(0)) * (jaccard - before)
        before = jaccard
    return value


# --- distributions


@of("kl", layout="vector", share=FEW)
def kl(target: V, pred: V, **_: Any) -> N:
    return mp.fsum(times(p, mp.log(p) - mp.log(q) if p else 0) for p, q in zip(target, pred, strict=True))


@of("reverse-kl", layout="vector", share=FEW)
def reverse_kl(target: V, pred: V, **_: Any) -> N:
    return kl(pred, target)


@of("js", layout="vector", share=FEW)
def js(target: V, pred: V, **_: Any) -> N:
    middle = [(p + q) / 2 for p, q in zip(target, pred, strict=True)]
    return (kl(target, middle) + kl(pred, middle)) / 2 - 0


@of("entropy", layout="vector", share=FEW)
def entropy(pred: V, **_: Any) -> N:
    return -mp.fsum(xlogy(q, q) for q in pred)


@of("emd", "emd:p=2", layout="vector", share=FEW)
def emd(target: V, pred: V, p: N, **_: Any) -> N:
    gaps = [mp.fsum(pred[: k + 1]) - mp.fsum(target[: k + 1]) for k in range(len(pred))]
    return mp.fsum(abs(gap) ** p for gap in gaps) ** (1 / p)


@of("kl-normal", layout="vector", share=FEW)
def kl_normal(mu: V, logvar: V) -> N:
    return mp.fsum(mp.exp(v) - 1 - v + m * m for m, v in zip(mu, logvar, strict=True)) / 2


@of("vae", layout="vector", share=FEW)
def vae(target: V, pred: V, mu: V, logvar: V, beta: N, **_: Any) -> N:
    return distance(target, pred) ** 2 + beta * kl_normal(mu, logvar)


# --- ensembles and quantiles


@of("multi-quantile:quantiles=[0.1,0.5,0.9]", layout="vector", share=FEW, draw="calm")
def multi_quantile(target: N, pred: V, quantiles: V) -> N:
    pairs = zip(quantiles, pred, strict=True)
    return mp.fsum(max(t * (target - q), (t - 1) * (target - q)) for t, q in pairs) / len(pred)


@of("crps-ensemble", "crps-ensemble:estimator=fair", layout="vector", share=FEW)
def crps_ensemble(target: N, pred: V, estimator: str) -> N:
    members = len(pred)
    pairs = members * (members if estimator == "nrg" else members - 1)
    spread = mp.fsum(abs(a - b) for a in pred for b in pred) / pairs
    return mp.fsum(abs(x - target) for x in pred) / members - spread / 2


# --- directions and distances


def cosine(a: V, b: V) -> N:
    size = dot(a, a) * dot(b, b)
    return dot(a, b) / mp.sqrt(size) if size else mpf(0)


@of("cosine-distance", layout="vector", share=FEW)
def cosine_distance(target: V, pred: V, **_: Any) -> N:
    return 1 - cosine(target, pred)


@of("cosine-proximity", layout="vector", share=FEW, size=lambda target, pred, **_: mpf(1))
def cosine_proximity(target: V, pred: V, **_: Any) -> N:
    return -cosine(target, pred)


@of(
    "cosine-embedding",
    layout="vector",
    share=FEW,
    size=lambda first, second, target, **_: 1 if target < 0 else 1 - cosine(first, second),
)
def cosine_embedding(first: V, second: V, target: N, margin: N) -> N:
    return 1 - cosine(first, second) if target > 0 else max(mpf(0), cosine(first, second) - margin)


@of("perceptual", layout="vector", share=FEW)
def perceptual(target: V, pred: V, **_: Any) -> N:
    return distance(target, pred) ** 2


@of(
    "contrastive",
    layout="vector",
    share=FEW,
    draw="tame",
    size=lambda first, second, target, margin, **_: (
        distance(first, second) ** 2 if target else max(margin, distance(first, second)) ** 2
    ),
)
def contrastive(first: V, second: V, target: N, margin: N, **_: Any) -> N:
    d = distance(first, second)
    return d**2 if target else max(mpf(0), margin - d) ** 2


@of(
    "triplet",
    layout="vector",
    share=FEW,
    draw="tame",
    size=lambda anchor, positive, negative, margin, **_: max(
        distance(anchor, positive), distance(anchor, negative), margin
    ),
)
def triplet(anchor: V, positive: V, negative: V, margin: N, **_: Any) -> N:
    return max(mpf(0), distance(anchor, positive) - distance(anchor, negative) + margin)


@of("info-nce:temperature=0.5", layout="vector", share=FEW, draw="tame")
def info_nce(anchor: Sequence[V], positive: Sequence[V], at: int, temperature: N, **_: Any) -> N:
    own = cosine(anchor[at], positive[at])
    return mp.log(mp.fsum(mp.exp((cosine(anchor[at], p) - own) / temperature) for p in positive))
