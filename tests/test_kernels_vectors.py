"""Kernels over vectors and distributions, and of adversarial games: values, extremes, slopes.

Where a comment names a library, the literal is what that library returned for the same input: torch 2.13.0,
scipy 1.17.1. Everything else is derived in its comment.
"""

from __future__ import annotations

import inspect
import itertools
import math
from typing import Any

import numpy as np
import pytest

from lossctl.loss import Masked, Pooled
from lossctl.loss.registry import get

P = [[0.6, 0.3, 0.1], [0.0, 1.0, 0.0]]
Q = [[0.5, 0.25, 0.25], [0.2, 0.7, 0.1]]
A = [[0.0, 0.0, 1.0], [1.0, 2.0, -2.0], [0.5, -0.5, 0.25], [3.0, 0.0, 0.0]]
B = [[1.0, 0.0, 1.0], [1.5, 2.0, -1.0], [0.25, -0.5, 0.0], [2.0, 1.0, 0.0]]


def near(expected: Any, rel: float = 1e-14) -> Any:
    """Relative to the value alone: pytest.approx would also allow 1e-12 whatever the size."""
    return pytest.approx(expected, rel=rel, abs=0.0, nan_ok=True)


def arrays(inputs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: np.asarray(value, dtype=np.int64 if name == "group" else np.float64)
        for name, value in inputs.items()
    }


def rows(name: str, params: dict[str, Any] | None = None, **inputs: Any) -> Any:
    """Each row's value as the spine makes it: NaN where the loss leaves a row out."""
    loss = get(name)
    given = loss.resolve(params or {})
    known = arrays(inputs)
    with np.errstate(all="ignore"):
        found = loss.kernel(*(known[argument] for argument in loss.arguments), **given)
        if isinstance(found, Masked):
            return np.where(found.used, found.terms, np.nan)
        if isinstance(loss.reduction, Pooled):
            return loss.reduction.value(
                *(term.sum(axis=1) if term.ndim == 2 else term for term in found), **named(loss, given)
            )
    return found


def named(loss: Any, params: dict[str, Any]) -> dict[str, Any]:
    wanted = inspect.signature(loss.reduction.value).parameters
    return {name: value for name, value in params.items() if name in wanted}


def pooled(name: str, params: dict[str, Any] | None = None, **inputs: Any) -> float:
    """The value of the totals, which arrive as Python floats."""
    loss = get(name)
    given = loss.resolve(params or {})
    known = arrays(inputs)
    found = loss.kernel(*(known[argument] for argument in loss.arguments), **given)
    return float(loss.reduction.value(*(float(np.sum(term)) for term in found), **named(loss, given)))


def check_slopes(
    name: str, params: dict[str, Any] | None = None, *, by_group: bool = False, **inputs: Any
) -> None:
    """Every declared gradient against (f(x−2h) − 8f(x−h) + 8f(x+h) − f(x+2h)) / 12h of the sum of the values.

    One element of every row is moved at a time; rows do not influence each other unless by_group.
    """
    loss = get(name)
    given, known = loss.resolve(params or {}), arrays(inputs)
    assert loss.gradients, name
    for names, function in loss.gradients.items():
        with np.errstate(all="ignore"):
            found = function(*(known[argument] for argument in loss.arguments), **given)
        found = found if isinstance(found, tuple) else (found,)
        for argument, slope in zip(names.split(","), found, strict=True):
            base = known[argument]
            assert slope.shape == base.shape, (name, argument)
            step = 2e-4
            for place in np.ndindex(base.shape):
                total = 0.0
                for factor, shift in ((1, -2), (-8, -1), (8, 1), (-1, 2)):
                    moved = base.copy()
                    moved[place] += shift * step
                    value = np.nan_to_num(rows(name, params, **{**known, argument: moved}))
                    total += factor * (value.sum() if by_group else value[place[0]])
                numeric = total / (12.0 * step)
                assert slope[place] == pytest.approx(numeric, rel=2e-7, abs=2e-9), (
                    name,
                    params,
                    argument,
                    place,
                )


# ---------------------------------------------------------------- distributions

INF = math.inf
VALUES = [
    # torch F.kl_div(log(target), pred, reduction="none").sum(1); the second row has no mass where pred has
    ("reverse-kl", {}, {"target": P, "pred": Q}, [0.09233151537307283, INF]),
    ("reverse-kl", {"base": 2}, {"target": P, "pred": Q}, [0.09233151537307283 / math.log(2), INF]),
    ("reverse-kl", {"log_target": True}, {"target": np.log(P[:1]), "pred": Q[:1]}, [0.09233151537307283]),
    ("reverse-kl", {"log_input": True}, {"target": P[:1], "pred": np.log(Q[:1])}, [0.09233151537307283]),
    ("reverse-kl", {"from_logits": True}, {"target": P[:1], "pred": np.log(Q[:1])}, [0.09233151537307283]),
    ("reverse-kl", {"normalize": True}, {"target": [[6, 3, 1]], "pred": [[2, 1, 1]]}, [0.09233151537307283]),
    # a zero of both costs nothing: 1·log(1/1)
    ("reverse-kl", {}, {"target": [[1.0, 0.0]], "pred": [[1.0, 0.0]]}, [0.0]),
    # both sides clipped to [eps, 1]: ½·log(½/1) + ½·log(½/0.01)
    ("reverse-kl", {"eps": 0.01}, {"target": [[1, 0]], "pred": [[0.5, 0.5]]}, [0.5 * math.log(0.5 * 50)]),
    # scipy.spatial.distance.jensenshannon squared
    ("js", {}, {"target": P, "pred": Q}, [0.020017380814281983, 0.11727693677854407]),
    ("js", {"base": 2}, {"target": P, "pred": Q}, [0.028878976032350498, 0.1691948551010541]),
    ("js", {"normalize": True}, {"target": [[6, 3, 1]], "pred": [[2, 1, 1]]}, [0.020017380814281983]),
    ("js", {"base": 2}, {"target": [[1, 0, 0]], "pred": [[0, 1, 0]]}, [1.0]),
    # scipy.stats.entropy
    ("entropy", {}, {"pred": Q}, [1.0397207708399179, 0.8018185525433373]),
    ("entropy", {"base": 2}, {"pred": [[0.25] * 4, [1, 0, 0, 0]]}, [2.0, 0.0]),
    # scipy.stats.wasserstein_distance over bins 0, 1, 2
    ("emd", {}, {"target": P, "pred": Q}, [0.25, 0.3]),
    ("emd", {"normalize": True}, {"target": [[2, 5, 3]], "pred": [[3, 4, 4]]}, [0.1363636363636363]),
    # CDF differences −0.5, −0.5 (or a whole unit over two bins): (2·0.5^p)^(1/p)
    ("emd", {"p": 2}, {"target": [[1, 0, 0]], "pred": [[0.5, 0, 0.5]]}, [math.sqrt(0.5)]),
    ("emd", {"p": 3}, {"target": [[1, 0, 0]], "pred": [[0.5, 0, 0.5]]}, [0.25 ** (1 / 3)]),
    # 1 − and −torch.nn.functional.cosine_similarity
    (
        "cosine-distance",
        {},
        {"target": A, "pred": B},
        [0.29289321881345254, 0.0715233091147407, 0.10557280900008426, 0.10557280900008414],
    ),
    (
        "cosine-distance",
        {"eps": 2},
        {"target": A, "pred": B},
        [0.75, 0.0715233091147407, 0.90625, 0.10557280900008414],
    ),
    (
        "cosine-proximity",
        {},
        {"target": A, "pred": B},
        [-0.7071067811865475, -0.9284766908852593, -0.8944271909999157, -0.8944271909999159],
    ),
    ("cosine-distance", {}, {"target": [[0, 0], [1, 2]], "pred": [[1, 2], [0, 0]]}, [1.0, 1.0]),
    ("cosine-proximity", {}, {"target": [[0, 0], [1, 2]], "pred": [[1, 2], [0, 0]]}, [0.0, 0.0]),
    # 3-4-5 and 4-3-5 at the ends of the range of doubles: 24/25
    ("cosine-distance", {}, {"target": [[3e300, 4e300]], "pred": [[4e-300, 3e-300]]}, [0.04]),
    (
        "cosine-proximity",
        {},
        {"target": [[3e-320, 4e-320]], "pred": [[1.5e308, 1.5e308]]},
        [-7 / math.sqrt(50)],
    ),
    # one apart by 1e-9 radians: 1 − cos = ½·1e-18
    ("cosine-distance", {}, {"target": [[1.0, 0.0]], "pred": [[1.0, 1e-9]]}, [5e-19]),
    ("perceptual", {}, {"target": A, "pred": B}, [1.0, 1.25, 0.125, 2.0]),
    ("perceptual", {"normalize": True}, {"target": A, "pred": B}, [1 / 3, 1.25 / 3, 0.125 / 3, 2 / 3]),
    # torch.distributions.kl_divergence(Normal(A, exp(B/2)), Normal(0, 1)).sum(1)
    (
        "kl-normal",
        {},
        {"mu": A, "logvar": B},
        [1.2182818284590455, 7.869312305220078, 0.35152803820018746, 7.053668963694847],
    ),
    # e^x − 1 − x = x²/2 + x³/6 + ...
    (
        "kl-normal",
        {},
        {"mu": [[0.0], [0.0]], "logvar": [[1e-9], [-1e-4]]},
        [0.25e-18 + 1e-27 / 12, 0.25e-8 - 1e-12 / 12 + 1e-16 / 48 - 1e-20 / 240],
    ),
    ("kl-normal", {}, {"mu": [[0.0], [0.0]], "logvar": [[-1e6], [1e3]]}, [499999.5, INF]),
    # Σ(p − y)² + ½·Σmu² and Σ binary cross-entropy
    ("vae", {"beta": 2}, {"target": [[1, 0]], "pred": [[0, 2]], "mu": [[1, 3]], "logvar": [[0, 0]]}, [15.0]),
    (
        "vae",
        {"reconstruction": "bce"},
        {"target": [[1, 0, 0.5]], "pred": [[0.5, 0.75, 0.5]], "mu": [[0.0]], "logvar": [[0.0]]},
        [math.log(2) + math.log(4) + math.log(2)],
    ),
    (
        "vae",
        {"reconstruction": "bce"},
        {"target": [[1, 0]], "pred": [[1, 0]], "mu": [[0.0]], "logvar": [[0.0]]},
        [0.0],
    ),
]


@pytest.mark.parametrize(("name", "params", "inputs", "expected"), VALUES)
def test_value(name: str, params: dict[str, Any], inputs: dict[str, Any], expected: list[float]) -> None:
    assert rows(name, params, **inputs).tolist() == near(expected, rel=1e-14)


def test_js_of_nearly_equal_distributions_keeps_its_digits() -> None:
    # p = (½, ½), q = (½ + e, ½ − e): 2·½M·u² with u ≈ e, so ½e² + O(e⁴)
    e = 2.0**-30
    assert rows("js", target=[[0.5, 0.5]], pred=[[0.5 + e, 0.5 - e]]) == near(0.5 * e * e, rel=1e-14)


def test_normalised_histograms_end_together() -> None:
    from lossctl.losses.transport import _climb

    rng = np.random.default_rng(3)
    assert (_climb(rng.random((50, 9)), rng.random((50, 9)), True)[:, -1] == 0.0).all()


def test_logits_may_be_large() -> None:
    huge = rows("reverse-kl", {"from_logits": True}, target=[[0.5, 0.5]], pred=[[1000.0, -1000.0]])
    assert huge.tolist() == [math.log(2)]


def test_js_is_symmetric_and_bounded() -> None:
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.full(5, 0.1), 200), rng.dirichlet(np.full(5, 0.1), 200)
    there, back = rows("js", target=p, pred=q), rows("js", target=q, pred=p)
    assert (there == back).all()
    assert (there >= 0).all()
    assert (there <= math.log(2) * (1 + 1e-15)).all()


def test_equal_distributions_cost_exactly_nothing() -> None:
    q = np.random.default_rng(1).dirichlet(np.ones(7), 50)
    for name in ("js", "reverse-kl", "emd", "cosine-distance"):
        assert (rows(name, target=q, pred=q) == 0.0).all(), name


def test_wasserstein() -> None:
    value = get("wasserstein").reduction.value  # type: ignore[union-attr]
    y, p = np.array([0.5, -1.0, 7.0, 3.0, 3.0]), np.array([1.0, 4.0, -2.5, 0.0, 3.0])
    w = np.array([1.0, 2.0, 0.5, 0.0, 3.0])
    assert value(y, p, None) == near(1.4, rel=1e-15)  # scipy.stats.wasserstein_distance(y, p)
    assert value(y, p, w) == near(1.5769230769230769, rel=1e-15)  # the same with (y, p, w, w)
    assert value(y, p, np.full(5, 2.0)) == near(1.4, rel=1e-15)


def test_wasserstein_does_not_depend_on_the_order_of_rows() -> None:
    value = get("wasserstein").reduction.value  # type: ignore[union-attr]
    rng = np.random.default_rng(2)
    y, p = rng.integers(0, 4, 60) / 3, rng.integers(0, 4, 60) / 3
    w = rng.random(60)
    for _ in range(20):
        order = rng.permutation(60)
        assert value(y[order], p[order], w[order]) == value(y, p, w)
        assert value(y[order], p[order], None) == value(y, p, None)


# ---------------------------------------------------------------- adversarial games

REAL, FAKE = [2.0, -1.0, 0.5], [0.5, -2.0, 1.25, 0.0]
GAME = {"target": [1, 1, 1, 0, 0, 0, 0], "pred": REAL + FAKE}
ODDS = {"target": [1, 0, 0], "pred": [0.5, 0.5, 0.75]}


def sp(z: float) -> float:
    return math.log1p(math.exp(z))


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


GAMES = [
    ("gan", {}, ODDS, math.log(2) + 0.5 * (math.log(2) + math.log(4))),
    ("gan", {"side": "generator"}, ODDS, -0.5 * (math.log(2) + math.log(4))),
    ("gan", {"side": "generator", "mode": "non-saturating"}, ODDS, 0.5 * (math.log(2) + math.log(4 / 3))),
    ("gan", {"from_logits": True}, GAME, mean([sp(-z) for z in REAL]) + mean([sp(z) for z in FAKE])),
    ("gan", {"from_logits": True, "side": "generator"}, GAME, -mean([sp(z) for z in FAKE])),
    (
        "gan",
        {"from_logits": True, "side": "generator", "mode": "non-saturating"},
        GAME,
        mean([sp(-z) for z in FAKE]),
    ),
    ("lsgan", {}, GAME, 0.5 * mean([(z - 1) ** 2 for z in REAL]) + 0.5 * mean([z * z for z in FAKE])),
    ("lsgan", {"half": False, "side": "generator"}, GAME, mean([(z - 1) ** 2 for z in FAKE])),
    (
        "lsgan",
        {"real_label": 0.9, "fake_label": -1},
        GAME,
        0.5 * mean([(z - 0.9) ** 2 for z in REAL]) + 0.5 * mean([(z + 1) ** 2 for z in FAKE]),
    ),
    ("wgan", {}, GAME, mean(FAKE) - mean(REAL)),
    ("wgan", {"side": "generator"}, GAME, -mean(FAKE)),
    ("hinge-gan", {}, GAME, mean([0.0, 2.0, 0.5]) + mean([1.5, 0.0, 2.25, 1.0])),
    ("hinge-gan", {"side": "generator"}, GAME, -mean(FAKE)),
]


@pytest.mark.parametrize(("name", "params", "inputs", "expected"), GAMES)
def test_game(name: str, params: dict[str, Any], inputs: dict[str, Any], expected: float) -> None:
    assert pooled(name, params, **inputs) == near(expected, rel=1e-14)


def test_a_row_of_a_game_alone_is_its_own_sides() -> None:
    assert rows("lsgan", target=[1, 0], pred=[3.0, 3.0]).tolist() == [2.0, 4.5]
    assert rows("wgan", {"side": "generator"}, target=[1, 0], pred=[3.0, 3.0]).tolist() == near(
        [math.nan, -3.0]
    )


def test_a_certain_judge_that_is_right_costs_nothing_and_wrong_everything() -> None:
    assert rows("gan", target=[1, 0, 1, 0], pred=[1.0, 0.0, 0.0, 1.0]).tolist() == [0.0, 0.0, INF, INF]
    logits = {"target": [1, 0, 1], "pred": [1000.0, 1000.0, -1000.0]}
    assert rows("gan", {"from_logits": True}, **logits).tolist() == [0.0, 1000.0, 1000.0]
    assert rows("gan", {"eps": 0.25}, target=[1], pred=[0.0]) == near(math.log(4))


# ---------------------------------------------------------------- slopes

PARTS = [[0.6, 0.3, 0.1], [0.15, 0.05, 0.8]]
GUESS = [[0.5, 0.25, 0.25], [0.2, 0.7, 0.1]]
UNEVEN = [[0.5, 0.25, 0.3], [0.2, 0.75, 0.1]]
SLOPES = [
    *(
        ("reverse-kl", {**form, "base": base}, {"target": PARTS, "pred": pred})
        for base in (None, 2)
        for form, pred in (
            ({}, GUESS),
            ({"normalize": True}, GUESS),
            ({"log_input": True}, np.log(GUESS)),
            ({"from_logits": True}, [[1.0, -0.5, 0.25], [0.0, 2.0, -1.0]]),
            ({"eps": 0.12}, GUESS),
        )
    ),
    ("js", {}, {"target": PARTS, "pred": GUESS}),
    ("js", {"base": 2, "normalize": True}, {"target": PARTS, "pred": GUESS}),
    ("entropy", {}, {"pred": GUESS}),
    ("entropy", {"base": 2}, {"pred": GUESS}),
    *(
        ("emd", {"p": p, "normalize": normalize}, {"target": PARTS, "pred": UNEVEN})
        for p, normalize in itertools.product((1, 2, 2.5), (False, True))
    ),
    ("cosine-distance", {}, {"target": A, "pred": B}),
    ("cosine-distance", {"eps": 2}, {"target": A, "pred": B}),
    ("cosine-proximity", {}, {"target": B, "pred": B[1:] + A[:1]}),
    ("perceptual", {}, {"target": A, "pred": B}),
    ("perceptual", {"normalize": True}, {"target": A, "pred": B}),
    ("kl-normal", {}, {"mu": A, "logvar": B}),
    *(
        (
            "vae",
            {"reconstruction": how, "beta": 0.5},
            {"target": PARTS, "pred": GUESS, "mu": A[:2], "logvar": B[:2]},
        )
        for how in ("mse", "bce")
    ),
    *(
        ("gan", {"side": side, "mode": mode, "from_logits": logits}, GAME if logits else ODDS)
        for side, mode, logits in itertools.product(
            ("discriminator", "generator"), ("minimax", "non-saturating"), (False, True)
        )
    ),
    *(
        ("lsgan", {"side": side, "half": half}, GAME)
        for side in ("discriminator", "generator")
        for half in (True, False)
    ),
    *(("wgan", {"side": side}, GAME) for side in ("critic", "generator")),
    *(("hinge-gan", {"side": side}, GAME) for side in ("discriminator", "generator")),
]


@pytest.mark.parametrize(("name", "params", "inputs"), SLOPES)
def test_slope(name: str, params: dict[str, Any], inputs: dict[str, Any]) -> None:
    check_slopes(name, params, **inputs)


def test_slopes_at_the_edge_are_defined() -> None:
    gan = get("gan").gradients["pred"]
    options = {"side": "discriminator", "mode": "minimax", "from_logits": False, "eps": 0.25}
    judged = np.array([1.0, 0.0, 1.0]), np.array([0.125, 0.9, 0.5])
    assert gan(*judged, **options).tolist() == [0.0, 0.0, -2.0]  # clipped, clipped, −1/D
    cosine = get("cosine-distance").gradients["pred"]
    assert (cosine(np.array([[1.0, 2.0]]), np.zeros((1, 2)), eps=0.0) == 0.0).all()
    emd = get("emd").gradients["pred"]
    # mass moved up by one bin: both totals are one but for rounding, which must not count as a direction
    move = np.array([[0.1, 0.2, 0.3, 0.4]]), np.array([[0.1, 0.1, 0.4, 0.4]])
    assert emd(*move, p=1.0, normalize=False).tolist() == [[-1.0, -1.0, 0.0, 0.0]]
    same = np.array([[0.25, 0.75]])
    assert (emd(same, same, p=2.0, normalize=False) == 0.0).all()
    # d/dq ½q·log(2q/(p+q)) at p = q = 0 is ½·log 2
    js = get("js").gradients["pred"]
    assert js(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]]), base=None, normalize=False).tolist() == [
        [0.0, 0.5 * math.log(2)]
    ]
