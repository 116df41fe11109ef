"""Kernels of numbers, counts and forecasts: exact values, extremes, slopes.

Literals without another origin are the formulas of the docstrings in mpmath 1.4.1, 400 digits, rounded once.
Where a comment names a library, the literal is what that library returned: torch 2.13.0, catboost 1.2.10,
scoringrules 0.10.0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from regression_values import PAIRS, RESIDUAL

import lossctl
from lossctl.errors import DataError, UsageError
from lossctl.loss import Loss, Masked
from lossctl.loss.registry import get
from lossctl.loss.spec import bind


def columns(loss: Loss, inputs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name; a residual stands for a pair that has it, and a pair for its residual."""
    known = {key: np.asarray(value, dtype=np.float64) for key, value in inputs.items()}
    if "residual" in loss.arguments and "target" in known:
        known["residual"] = known["pred"] - known["target"]
    elif "residual" in known and "residual" not in loss.arguments:
        known = {"target": np.zeros_like(known["residual"]), "pred": known["residual"]}
    return known


def rows(name: str, params: dict[str, Any] | None = None, **inputs: Any) -> Any:
    """What the kernel returns for each row, warnings off as in the spine."""
    loss = get(name)
    given = loss.resolve(params or {})
    known = columns(loss, inputs)
    with np.errstate(all="ignore"):
        return loss.kernel(*(known[argument] for argument in loss.arguments), **given)


def close(found: Any, expected: Any, rtol: float = 1e-14) -> None:
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=0.0)


@pytest.mark.parametrize(("name", "params", "residual", "expected"), RESIDUAL)
def test_loss_of_a_residual(
    name: str, params: dict[str, Any], residual: list[float], expected: list[float]
) -> None:
    close(rows(name, params, residual=residual), expected)
    if name not in ("expectile", "linex"):
        close(rows(name, params, residual=[-r for r in residual]), expected)


@pytest.mark.parametrize(("name", "params", "inputs", "expected"), PAIRS)
def test_loss_of_a_row(
    name: str, params: dict[str, Any], inputs: dict[str, list[float]], expected: list[float]
) -> None:
    close(rows(name, params, **inputs), expected)
    whole = {key: np.array(value) for key, value in inputs.items()}
    if get(name).pointwise:  # vector rows: the same numbers in two dimensions
        close(rows(name, params, **{key: value[:, None] for key, value in whole.items()})[:, 0], expected)


def test_quantiles_and_ensembles() -> None:
    # by hand: τ = 0.25 costs 0.25·2 below and 0.75·2 above, τ = 0.75 the reverse
    made = rows("multi-quantile", {"quantiles": [0.25, 0.75]}, target=[0, 0], pred=[[-2, 2], [2, -2]])
    close(made, [0.5, 1.5])
    # scoringrules.crps_ensemble(estimator="nrg" and "fair"); the third row by hand: equal members are mae
    inputs = {"target": [0.0, 5.0, 2.0], "pred": [[-1.0, 0.0, 2.0], [1.0, 1.0, 3.0], [4.0, 4.0, 4.0]]}
    close(rows("crps-ensemble", None, **inputs), [1 / 3, 26 / 9, 2.0])
    np.testing.assert_allclose(
        rows("crps-ensemble", {"estimator": "fair"}, **inputs), [0.0, 8 / 3, 2.0], rtol=1e-14, atol=1e-15
    )
    with pytest.raises(UsageError, match="fair"):
        rows("crps-ensemble", {"estimator": "fair"}, target=[0.0], pred=[[1.0]])


def test_an_ensemble_costs_the_same_in_any_order_and_scales() -> None:
    rng = np.random.default_rng(3)
    target, pred = rng.normal(size=50), rng.normal(size=(50, 7))
    for estimator in ("nrg", "fair"):
        value = rows("crps-ensemble", {"estimator": estimator}, target=target, pred=pred)
        mixed = rows("crps-ensemble", {"estimator": estimator}, target=target, pred=pred[:, ::-1])
        np.testing.assert_array_equal(value, mixed)
        eight = rows("crps-ensemble", {"estimator": estimator}, target=8 * target, pred=8 * pred)
        np.testing.assert_array_equal(8 * value, eight)


def test_percentage_errors_of_a_zero_target() -> None:
    both = {"target": [0.0, 0.0, 2.0], "pred": [1.0, 0.0, 3.0]}
    assert rows("mape", None, **both).tolist() == [math.inf, 0.0, 0.5]
    skipped = rows("mape", {"zero": "skip"}, **both)
    assert isinstance(skipped, Masked)
    assert skipped.used.tolist() == [False, False, True]
    assert rows("mape", {"zero": "eps", "eps": 0.25}, **both).tolist() == [4.0, 0.0, 0.5]


def test_bounded_losses_stay_bounded() -> None:
    far = {"residual": [1e10, -1e100, 1e308]}
    close(rows("welsch", {"c": 3.0}, **far), [4.5] * 3)
    close(rows("geman-mcclure", None, **far), [2.0] * 3)
    close(rows("tukey", {"c": 3.0}, **far), [1.5] * 3)
    close(rows("barron", {"alpha": -2.0}, **far), [2.0] * 3)
    close(rows("cauchy", None, residual=[1e308]), [308 * math.log(10)])


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("pseudo-huber", {}),
        ("charbonnier", {}),
        ("fair", {}),
        ("smooth-l1", {}),
        ("wing", {}),
        ("epsilon-insensitive", {}),
        ("barron", {"alpha": 1.0}),
    ],
)
def test_a_linear_tail_is_never_squared(name: str, params: dict[str, Any]) -> None:
    close(rows(name, params, residual=[1e300, -1e300]), [1e300] * 2, rtol=1e-12)


def test_a_rate_of_zero_and_tiny_targets() -> None:
    assert rows("poisson-nll", None, target=[0.0], pred=[0.0]).tolist() == [0.0]
    assert rows("poisson-nll", None, target=[3.0], pred=[0.0]).tolist() == [math.inf]
    assert rows("poisson-deviance", None, target=[0.0], pred=[1e-300]).tolist() == [2e-300]
    # at 1e8 against 1e8 + 1 the textbook formula gives 0; the series gives 1/y − 1/(3·y²)·2 …
    close(rows("poisson-deviance", None, target=[1e8], pred=[1e8 + 1]), [9.999999933333334e-09])


def test_tweedie_meets_its_members() -> None:
    rng = np.random.default_rng(5)
    data = {"target": rng.uniform(0.1, 9, 100), "pred": rng.uniform(0.1, 9, 100)}
    close(rows("tweedie-deviance", {"power": 1.0}, **data), rows("poisson-deviance", None, **data))
    close(rows("tweedie-deviance", {"power": 2.0}, **data), rows("gamma-deviance", None, **data))
    close(rows("tweedie-deviance", {"power": 0.0}, **data), (data["pred"] - data["target"]) ** 2)
    # p = 1.5 is 4(√y − √μ)²/√μ and p = 3 is (y − μ)²/(yμ²)
    root = 4 * (np.sqrt(data["target"]) - np.sqrt(data["pred"])) ** 2 / np.sqrt(data["pred"])
    close(rows("tweedie-deviance", None, **data), root, rtol=1e-11)
    inverse = (data["target"] - data["pred"]) ** 2 / (data["target"] * data["pred"] ** 2)
    close(rows("tweedie-deviance", {"power": 3.0}, **data), inverse, rtol=1e-11)
    with pytest.raises(UsageError, match="power"):
        rows("tweedie-deviance", {"power": 0.5}, **data)


def test_tweedie_below_zero() -> None:
    """At p = −1 a negative target costs 2μ²(|y|/2 + μ/3)."""
    close(rows("tweedie-deviance", {"power": -1.0}, target=[-1.0, 0.0], pred=[0.5, 3.0]), [1 / 3, 18.0])
    close(rows("tweedie-deviance", {"power": -1.0}, target=[-1.7e308], pred=[1e-3]), [1.7e302], rtol=1e-14)
    found = rows("tweedie-deviance", {"power": -0.5}, target=[-1e308], pred=[1e-320])
    close(found, [1.3333110677606694e-172], rtol=1e-15)


@pytest.mark.parametrize(
    ("power", "target", "pred", "column"),
    [
        (-1.0, 1.0, -1.0, "pred"),
        (-1.0, 1.0, 0.0, "pred"),
        (1.0, -1.0, 1.0, "target"),
        (1.5, -1.0, 1.0, "target"),
        (1.5, 1.0, 0.0, "pred"),
        (3.0, -1.0, 1.0, "target"),
    ],
)
def test_tweedie_domains_are_the_powers(power: float, target: float, pred: float, column: str) -> None:
    with pytest.raises(DataError, match=f"column '{column}'"):
        lossctl.compute(f"tweedie-deviance:power={power}", [2.0, target], [2.0, pred])


def test_nothing_to_explain() -> None:
    """0/0 and a constant target; sklearn 1.9.1 gives 1 − r2_score of 1 and 0 there (force_finite)."""
    for found, plain, bounded in (([1.0, 3.0], math.inf, 1.0), ([2.0, 2.0], math.nan, 0.0)):
        pair = {"target": [2.0, 2.0], "pred": found}
        assert lossctl.compute("r2-loss", **pair).value == pytest.approx(plain, nan_ok=True)
        assert lossctl.compute("r2-loss:finite=true", **pair).value == bounded
    assert lossctl.compute("r2-loss:finite=true", [2.0, 2.0], [2.0, 1e200]).value == 1.0
    zero = {"target": [0.0, 0.0], "pred": [0.0, 0.0]}
    assert lossctl.compute("wape", **zero).value == 0.0
    assert lossctl.compute("wape", [0.0, 1.0], [0.0, 2.0], reduction="mean").value == 0.5
    assert lossctl.compute("wape", target=[0.0], pred=[1.0]).value == math.inf


@pytest.mark.parametrize(
    ("spec", "library", "inputs", "expected"),
    [
        # torch.nn.GaussianNLLLoss of y = 1, μ = 0, variance 0: raised to 1e-6
        ("gaussian-nll", "torch", {"target": [1.0], "pred": [0.0], "variance": [0.0]}, 499993.0922447210),
        # torch.nn.PoissonNLLLoss(log_input=False) of y = 3, μ = 0: −3·log 1e-8
        ("poisson-nll", "torch", {"target": [3.0], "pred": [0.0]}, 55.26204223185709),
        # catboost MAPE of y = 2, 0.5, 100 and 3, 1, 110 divides by max(1, |y|)
        ("mape", "catboost", {"target": [2.0, 0.5, 100.0], "pred": [3.0, 1.0, 110.0]}, 1.1),
        ("smape", "catboost", {"target": [1.0], "pred": [3.0]}, 100.0),
    ],
)
def test_another_library_by_its_settings(
    spec: str, library: str, inputs: dict[str, list[float]], expected: float
) -> None:
    close(rows(spec, bind(get(spec), {}, library), **inputs).sum(), expected)


def four_point(name: str, params: dict[str, Any], wrt: str, inputs: dict[str, Any]) -> Any:
    """d row/d wrt by central differences of fourth order, one step length for each row."""
    at = np.asarray(inputs[wrt], dtype=np.float64)
    step = 1e-3 * np.maximum(np.abs(at), 0.1)

    def value(count: int) -> Any:
        return rows(name, params, **{**inputs, wrt: at + count * step})

    return (8.0 * (value(1) - value(-1)) - (value(2) - value(-2))) / (12.0 * step)


SLOPES: list[tuple[str, dict[str, Any]]] = [
    *[("smooth-l1", {"beta": beta}) for beta in (0.0, 0.25)],
    *[("barron", {"alpha": alpha, "c": 0.7}) for alpha in (2.0, 1.0, 0.0, -2.0, "-inf")],
    *[(name, {"c": 0.8}) for name in ("fair", "cauchy", "welsch", "geman-mcclure", "tukey")],
    ("pseudo-huber", {"delta": 0.3}),
    ("charbonnier", {"eps": 0.2}),
    ("expectile", {"tau": 0.8}),
    ("wing", {"width": 0.9}),
    ("epsilon-insensitive", {"epsilon": 0.3, "squared": True}),
    ("epsilon-insensitive", {"epsilon": 0.3}),
    *[("linex", {"a": a}) for a in (1.5, -0.5)],
    *[("lq", {"q": q}) for q in (1.0, 1.5, 3.0)],
    ("half-mse", {}),
    ("bias", {}),
    ("msle", {}),
    ("mape", {"scale": 100.0}),
    ("mape", {"zero": "eps", "eps": 2.0}),
    ("smape", {"scale": 1.0}),
    ("poisson-nll", {"full": True}),
    ("poisson-nll", {"eps": 0.5}),
    ("poisson-nll", {"log_input": True}),
    ("poisson-deviance", {}),
    ("gamma-deviance", {}),
    *[("tweedie-deviance", {"power": power}) for power in (-1.0, 0.0, 1.0, 1.5, 2.0, 3.0)],
    ("gaussian-nll", {}),
    ("laplace-nll", {}),
    ("negative-binomial-nll", {}),
    ("interval-score", {"alpha": 0.3}),
    ("crps-normal", {}),
]


@pytest.mark.parametrize(("name", "params"), SLOPES)
def test_gradient_is_the_slope(name: str, params: dict[str, Any]) -> None:
    loss = get(name)
    rng = np.random.default_rng(11)
    inputs = {role: rng.uniform(0.5, 4.0, 40) for role in loss.inputs}
    for names, function in loss.gradients.items():
        known = {**inputs, "residual": inputs["pred"] - inputs["target"]} if "pred" in inputs else inputs
        with np.errstate(all="ignore"):
            found = function(*(known[a] for a in loss.arguments), **loss.resolve(params))
        found = found if isinstance(found, tuple) else (found,)
        for role, slope in zip(names.split(","), found, strict=True):
            np.testing.assert_allclose(slope, four_point(name, params, role, inputs), rtol=2e-7, atol=2e-8)


@pytest.mark.parametrize("estimator", ["nrg", "fair"])
def test_gradient_of_an_ensemble(estimator: str) -> None:
    rng = np.random.default_rng(13)
    target, pred = rng.normal(size=20), rng.normal(size=(20, 5))
    slope = get("crps-ensemble").gradients["pred"](target, pred, estimator=estimator)
    for member in range(5):
        step = np.zeros_like(pred)
        step[:, member] = 1e-7
        up, down = (
            rows("crps-ensemble", {"estimator": estimator}, target=target, pred=pred + sign * step)
            for sign in (1, -1)
        )
        np.testing.assert_allclose(slope[:, member], (up - down) / 2e-7, atol=1e-7)


def slopes(name: str, params: dict[str, Any], **inputs: Any) -> Any:
    loss = get(name)
    known = columns(loss, inputs)
    (function,) = loss.gradients.values()
    with np.errstate(all="ignore"):
        return function(*(known[argument] for argument in loss.arguments), **loss.resolve(params))


def test_slopes_where_a_loss_has_a_corner_or_a_bound() -> None:
    assert slopes("smooth-l1", {"beta": 0.0}, residual=[-2.0, 0.0, 2.0]).tolist() == [-1.0, 0.0, 1.0]
    assert slopes("lq", {"q": 1.0}, residual=[-2.0, 0.0, 2.0]).tolist() == [-1.0, 0.0, 1.0]
    assert slopes("wing", {}, residual=[0.0]).tolist() == [0.0]
    assert slopes("epsilon-insensitive", {}, residual=[0.05, -0.05]).tolist() == [0.0, 0.0]
    close(slopes("lq", {"q": 3.0}, residual=[-2.0, 2.0]), [-12.0, 12.0])
    # opposite signs cost 2 whatever the distance; at one sign 2·2|y|/(|y| + |p|)²
    made = slopes("smape", {}, target=[1.0, 1.0, 3.0, 0.0], pred=[-3.0, 3.0, 1.0, 0.0])
    np.testing.assert_allclose(made, [0.0, 0.25, -0.75, 0.0], atol=1e-15)
    below = {"target": [3.0], "pred": [1.0], "variance": [0.25]}
    by_mean, by_variance = slopes("gaussian-nll", {"eps": 0.5}, **below)
    assert (by_mean.tolist(), by_variance.tolist()) == ([-4.0], [0.0])


def test_slopes_of_several_quantiles() -> None:
    levels = {"quantiles": [0.25, 0.75]}
    pred = [[-2.0, 2.0], [2.0, 2.0], [-2.0, -2.0], [0.0, 0.0]]
    made = slopes("multi-quantile", levels, target=[0.0] * 4, pred=pred)
    assert made.tolist() == [[-0.125, 0.125], [0.375, 0.125], [-0.125, -0.375], [0.0, 0.0]]
    close(rows("multi-quantile", levels, target=[0.0] * 4, pred=pred), [0.5, 1.0, 1.0, 0.0])


def test_roots_are_taken_of_the_mean() -> None:
    squares, count = rows("rmsle", None, target=[0.0, 3.0], pred=[1.0, 3.0])
    close(squares, [math.log(2.0) ** 2, 0.0])
    assert count == 1
    assert get("rmsle").reduction.value(18.0, 2.0) == 3.0


def test_far_residuals_of_the_general_loss() -> None:
    # log(½·10^320) and ½·10^−200 by hand
    close(rows("barron", {"alpha": 0.0}, residual=[1e160]), [320 * math.log(10.0) - math.log(2.0)])
    close(rows("barron", {"alpha": 0.0}, residual=[1e-100]), [5e-201])


def test_a_large_dispersion_is_nearly_poisson() -> None:
    # mpmath, 60 digits; the second differs from poisson-nll with full by 2e-11
    given = {"target": [30.0, 3.0], "pred": [20.0, 2.0], "dispersion": [150.0, 1e11]}
    close(rows("negative-binomial-nll", None, **given), [4.589007021662515, 1.712317927558219], rtol=1e-13)
    assert slopes("mape", {"zero": "eps", "eps": 2.0}, target=[0.0], pred=[3.0]).tolist() == [0.5]
