"""Kernels of embeddings and rankings: values of other libraries, extremes, slopes.

Where a comment names a library, the literal is what that library returned for the same input: torch 2.13.0,
scikit-learn 1.9.1. Everything else is derived in its comment. `group` is the offsets of whole groups.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from test_kernels_vectors import A, B, check_slopes, near, rows

from lossctl.loss.registry import get

C = [[0.0, 0.5, 1.0], [-1.0, 0.0, 3.0], [0.5, 0.5, 0.75], [2.0, -1.0, 2.0]]
NAN = math.nan

# three groups: one plain, one with tied scores, one without positives
LISTS = {
    "group": [0, 4, 7, 9],
    "target": [3.0, 2.0, 0.0, 1.0, 0.0, 2.0, 1.0, 0.0, 0.0],
    "pred": [0.125, 0.5, 0.375, 0.25, 1.0, 1.0, -0.5, 2.0, -1.0],
}
BATCH = {"anchor": A, "positive": B, "group": [0, 3, 4]}
MULTI = [[1, 0, 1, 0], [0, 0, 1, 0], [1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]]
SCORES = [
    [0.75, 0.5, 1.0, 0.1],
    [0.3, 0.9, 0.3, 0.2],
    [0.5, 0.5, 0.5, 0.4],
    [0.1, 0.2, 0.3, 0.4],
    [0.9, 0.7, 0.6, 0.8],
]
PAIR = {
    "first": [[0, 0]] * 3,
    "second": [[0.3, 0.4], [0.3, 0.4], [3, 4]],
    "target": [1, 0, 0],
}  # 0.5, 0.5 and 5 apart
FAR = {"distance": [0.5, 0.5, 5.0], "target": [1, 0, 0]}

VALUES = [
    # d² = ¼, (1 − ½)² = ¼, nothing beyond the margin
    ("contrastive", {}, PAIR, [0.25, 0.25, 0.0]),
    ("contrastive", {"half": True, "similar_label": 0}, PAIR, [0.125, 0.125, 12.5]),
    ("contrastive", {"squared": False, "margin": 6}, PAIR, [0.5, 5.5, 1.0]),
    ("contrastive-distance", {}, FAR, [0.25, 0.25, 0.0]),
    ("contrastive-distance", {"half": True, "similar_label": 0}, FAR, [0.125, 0.125, 12.5]),
    ("contrastive-distance", {"squared": False, "margin": 6}, FAR, [0.5, 5.5, 1.0]),
    (
        "triplet-distance",
        {"margin": 0.5},
        {"positive": [1, 0, 2], "negative": [1, 5, 0.25]},
        [0.5, 0.0, 2.25],
    ),
    # torch F.triplet_margin_loss(A, B, B rotated by one, margin=2, eps=0)
    (
        "triplet",
        {"margin": 2},
        {"anchor": A, "positive": B, "negative": B[1:] + B[:1]},
        [0.0, 0.0, 0.21755245426389136, 1.1781455848733051],
    ),
    # 1 − cos (rows 1 and 3) and cos − 0.3, the cosines as torch has them
    (
        "cosine-embedding",
        {"margin": 0.3},
        {"first": A, "second": B, "target": [1, -1, 1, -1]},
        [0.29289321881345254, 0.6284766908852593, 0.10557280900008426, 0.5944271909999159],
    ),
    ("cosine-embedding", {}, {"first": [[0, 0]] * 2, "second": [[1, 2]] * 2, "target": [1, -1]}, [1.0, 0.0]),
    # torch F.margin_ranking_loss(margin=0.25)
    (
        "margin-ranking",
        {"margin": 0.25},
        {"first": [0.5, 2, -1], "second": [1, 1.5, -1], "target": [1, -1, 1]},
        [0.75, 0.75, 0.25],
    ),
    # log(1 + e^−x): −x far left, e^−x far right
    (
        "bpr",
        {},
        {"positive": [-1000.0, 0, 700], "negative": [0.0, 0, 0]},
        [1000.0, math.log(2), math.exp(-700)],
    ),
    # torch F.cross_entropy(cosines / 0.2, arange) within each group; a lone row has no negatives
    (
        "info-nce",
        {"temperature": 0.2},
        BATCH,
        [0.03313863321382116, 0.003986730895252174, 0.3330877674638638, 0.0],
    ),
    (
        "info-nce",
        {"temperature": 0.2, "symmetric": True},
        BATCH,
        [0.3653800010647042, 0.004137878521495683, 0.17282612431637967, 0.0],
    ),
    (
        "info-nce",
        {"temperature": 1, "normalize": False},
        BATCH,
        [0.4076059644443804, 0.00046461897419846347, 1.0549576172572752, 0.0],
    ),
    # torch F.softplus over the ordered pairs, mean; no pair in the third group
    ("ranknet", {}, LISTS, [0.7412998683081725, 0.8653245788418168, NAN]),
    # torch F.cross_entropy(scores, relevance / sum)
    ("listnet", {}, LISTS, [1.4377051218626793, 1.2989161848417257, NAN]),
    # 1 − sklearn.metrics.ndcg_score, with k=2, and with relevances 2^y − 1
    ("ndcg-loss", {}, LISTS, [0.2036662004555081, 0.19004688335796716, 0.0]),
    ("ndcg-loss", {"k": 2, "empty": "0"}, LISTS, [0.5307212739772434, 0.3800937667159343, 1.0]),
    (
        "ndcg-loss",
        {"gain": "exponential", "empty": "skip"},
        LISTS,
        [0.3064109365508888, 0.18852888094046671, NAN],
    ),
    # sklearn.metrics.label_ranking_loss and coverage_error
    ("label-ranking", {}, {"target": MULTI, "pred": SCORES}, [0.0, 0.6666666666666666, 1.0, 0.0, 0.0]),
    ("coverage-error", {}, {"target": MULTI, "pred": SCORES}, [2.0, 3.0, 4.0, 0.0, 4.0]),
]


@pytest.mark.parametrize(("name", "params", "inputs", "expected"), VALUES)
def test_value(name: str, params: dict[str, Any], inputs: dict[str, Any], expected: list[float]) -> None:
    assert rows(name, params, **inputs).tolist() == pytest.approx(expected, rel=1e-13, abs=1e-16, nan_ok=True)


def test_ranknet_keeps_the_tail() -> None:
    # one pair in the right order by 700: e^−700; in the wrong order: 700
    assert rows("ranknet", group=[0, 2, 4], target=[1, 0, 0, 1], pred=[700.0, 0, 700, 0]).tolist() == near(
        [math.exp(-700), 700.0], rel=1e-13
    )


def test_info_nce_keeps_the_digits_of_a_small_loss() -> None:
    # the other key is 2/τ = 80 less similar: log1p(e^−80)
    pair = [[1.0, 0.0], [-1.0, 0.0]]
    value = rows("info-nce", {"temperature": 0.025}, anchor=pair, positive=pair, group=[0, 2])
    assert value.tolist() == near([math.exp(-80)] * 2, rel=1e-13)
    # the other key 2/τ = 2000 more similar
    swapped = rows("info-nce", {"temperature": 0.001}, anchor=pair, positive=pair[::-1], group=[0, 2])
    assert swapped.tolist() == near([2000.0, 2000.0])


@pytest.mark.parametrize("name", ["ranknet", "ndcg-loss", "listnet"])
def test_groups_do_not_depend_on_their_neighbours(name: str) -> None:
    rng = np.random.default_rng(4)
    group = np.concatenate([[0], np.cumsum(rng.integers(1, 9, 40))])
    target, pred = rng.integers(0, 3, group[-1]).astype(float), rng.integers(0, 5, group[-1]) / 4
    together = rows(name, target=target, pred=pred, group=group)
    alone = [
        rows(name, target=target[i:j], pred=pred[i:j], group=[0, j - i])[0]
        for i, j in itertools.pairwise(group)
    ]
    np.testing.assert_array_equal(together, alone)


def test_ndcg_does_not_depend_on_the_order_of_tied_rows() -> None:
    rng = np.random.default_rng(5)
    target, pred = rng.integers(0, 4, 30).astype(float), rng.integers(0, 3, 30) / 2
    first = rows("ndcg-loss", {"k": 7}, target=target, pred=pred, group=[0, 30])
    for _ in range(20):
        order = rng.permutation(30)
        assert rows("ndcg-loss", {"k": 7}, target=target[order], pred=pred[order], group=[0, 30]) == first


def test_perfect_rankings_cost_exactly_nothing() -> None:
    rng = np.random.default_rng(6)
    for gain in ("linear", "exponential"):
        target = rng.integers(0, 5, 50).astype(float)
        for pred in (target, target + 0.01 * rng.random(50)):
            assert rows("ndcg-loss", {"gain": gain}, target=target, pred=pred, group=[0, 50])[0] == 0.0
    # a huge relevance overflows 2^y, but not the quotient: DCG/IDCG → 1/log₂3
    value = rows("ndcg-loss", {"gain": "exponential"}, target=[2000, 1], pred=[0.0, 1], group=[0, 2])
    assert value == near(1 - 1 / math.log2(3), rel=1e-14)


def test_long_groups_are_taken_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    import lossctl.losses.ranking as ranking

    rng = np.random.default_rng(7)
    lists = {"group": [0, 90, 91, 150], "target": rng.integers(0, 3, 150), "pred": rng.standard_normal(150)}
    vectors = {"anchor": rng.standard_normal((150, 3)), "positive": rng.standard_normal((150, 3))}
    whole = rows("ranknet", **lists)
    near = rows("info-nce", group=lists["group"], **vectors)
    slopes = get("ranknet").gradients["pred"]
    given = [
        np.asarray(lists[name], dtype) for name, dtype in (("group", int), ("target", float), ("pred", float))
    ]
    steep = slopes(*given)
    monkeypatch.setattr(ranking.row_pairs, "__defaults__", (100,))
    monkeypatch.setattr("lossctl.losses.contrast.PAIRS", 300)
    runs = [len(other) for _, _, other in ranking.row_pairs(given[0])]
    assert sum(runs) == 90**2 + 1 + 59**2
    assert max(runs) <= 100
    np.testing.assert_array_equal(rows("ranknet", **lists), whole)
    np.testing.assert_array_equal(slopes(*given), steep)
    np.testing.assert_array_equal(rows("info-nce", group=lists["group"], **vectors), near)


def test_label_ranking_against_all_pairs() -> None:
    rng = np.random.default_rng(8)
    target, pred = rng.integers(0, 2, (60, 9)), rng.integers(0, 4, (60, 9)) / 4
    expected = []
    for y, s in zip(target, pred, strict=True):
        pairs = [s[i] <= s[j] for i in range(9) for j in range(9) if y[i] and not y[j]]
        expected.append(sum(pairs) / len(pairs) if pairs else 0.0)
    assert rows("label-ranking", target=target, pred=pred).tolist() == expected


SLOPES = [
    *(
        (
            "contrastive",
            {"squared": squared, "half": half, "margin": 2.5, "similar_label": int(half)},
            {"first": A, "second": B, "target": [1, 0, 0, 1]},
        )
        for squared in (True, False)
        for half in (True, False)
    ),
    *(
        (
            "contrastive-distance",
            {"squared": squared, "half": squared},
            {"distance": [0.5, 0.25, 3, 2], "target": [1, 0, 0, 1]},
        )
        for squared in (True, False)
    ),
    ("triplet-distance", {}, {"positive": [1, 0.5, 2], "negative": [1.5, 5, 0.25]}),
    ("cosine-embedding", {"margin": 0.3}, {"first": A, "second": B, "target": [1, -1, 1, -1]}),
    ("cosine-embedding", {"margin": 0.9}, {"first": B, "second": C, "target": [-1, -1, 1, -1]}),
    (
        "margin-ranking",
        {"margin": 0.25},
        {"first": [0.5, 2, -1, 3], "second": [1, 1.5, -1, 0], "target": [1, -1, 1, 1]},
    ),
    ("bpr", {}, {"positive": [-3.0, 0, 5], "negative": [0.0, 0.5, 0]}),
]
GROUPED = [
    *(
        ("info-nce", {"temperature": 0.5, "symmetric": both, "normalize": unit}, BATCH)
        for both in (True, False)
        for unit in (True, False)
    ),
    ("ranknet", {}, LISTS),
    *(("listnet", {"labels": labels}, LISTS) for labels in ("normalized", "softmax", "raw")),
]


@pytest.mark.parametrize(("name", "params", "inputs"), SLOPES)
def test_slope(name: str, params: dict[str, Any], inputs: dict[str, Any]) -> None:
    check_slopes(name, params, **inputs)


@pytest.mark.parametrize(("name", "params", "inputs"), GROUPED)
def test_slope_of_the_groups_sum(name: str, params: dict[str, Any], inputs: dict[str, Any]) -> None:
    check_slopes(name, params, by_group=True, **inputs)


def test_slopes_where_points_coincide_are_zero() -> None:
    same = np.array([[1.0, 2.0]])
    slope = get("contrastive").gradients["first,second"]
    options = {"margin": 1.0, "similar_label": 1, "half": False, "squared": True}
    assert all((part == 0.0).all() for part in slope(same, same, np.array([0.0]), **options))
    pull = get("info-nce").gradients["anchor,positive"]
    zero = np.zeros((2, 3))
    found = pull(zero, zero, np.array([0, 2]), temperature=0.1, symmetric=True, normalize=True)
    assert all((part == 0.0).all() for part in found)
