"""Laws between runs, by Hypothesis, for every registered loss: LOSSCTL_EXAMPLES sets how many of each."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from cases import Case, Data, has_rows, per_row, plain_cases, repeated, rows_of, take
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from passes import bits, brings_weights, row_values, total

from lossctl.loss import Mean, Whole
from lossctl.loss.kinds import Largest

EXAMPLES = int(os.environ.get("LOSSCTL_EXAMPLES", "6"))
many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES < 100,
    suppress_health_check=list(HealthCheck),
)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 9)

# Degrees of homogeneous losses: inputs times 2ᵏ give the loss times 2^(degree·k), bit by bit.
DEGREES = {
    "bias": 1,
    "box-ciou": 0,
    "box-diou": 0,
    "box-giou": 0,
    "box-iou": 0,
    "cosine-distance": 0,
    "cosine-proximity": 0,
    "crps-ensemble": 1,
    "crps-normal": 1,
    "expectile": 2,
    "gamma-deviance": 0,
    "half-mse": 2,
    "interval-score": 1,
    "mae": 1,
    "mape": 0,
    "max-error": 1,
    "medae": 1,
    "mse": 2,
    "multi-quantile": 1,
    "perceptual": 2,
    "poisson-deviance": 1,
    "quantile": 1,
    "r2-loss": 0,
    "rmse": 1,
    "smape": 0,
    "total-variation": 2,
    "wape": 0,
    "wasserstein": 1,
    "wgan": 1,
}
# Pairs of inputs that may change places.
SWAPS = {
    **dict.fromkeys(
        ("mse", "half-mse", "mae", "huber", "smooth-l1", "log-cosh", "rmse", "medae", "max-error", "smape"),
        ("target", "pred"),
    ),
    **dict.fromkeys(
        (
            "pseudo-huber",
            "charbonnier",
            "fair",
            "cauchy",
            "welsch",
            "geman-mcclure",
            "tukey",
            "barron",
            "wing",
        ),
        ("target", "pred"),
    ),
    **dict.fromkeys(
        (
            "wing",
            "epsilon-insensitive",
            "lq",
            "msle",
            "rmsle",
            "brier",
            "js",
            "emd",
            "perceptual",
            "wasserstein",
        ),
        ("target", "pred"),
    ),
    **dict.fromkeys(("box-iou", "box-giou", "box-diou", "box-ciou"), ("target", "pred")),
    "cosine-proximity": ("target", "pred"),
    **dict.fromkeys(("contrastive", "cosine-embedding"), ("first", "second")),
}
# Losses of a sign and a score: both may change sign.
SIGNED = ("hinge", "squared-hinge", "soft-margin", "exponential")


def over(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case.id for case in cases])


def named(names: Any) -> list[Case]:
    return [case for case in plain_cases() if case.loss.name in names]


def drawn(case: Case, seed: int, rows: int) -> dict[str, Any]:
    return case.draw(rows, ends=bool(seed % 2), seed=seed)


def same(case: Case, found: float, expected: float) -> None:
    """The same bits; a value of all rows at once may round too."""
    if isinstance(case.loss.reduction, Whole):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-300, nan_ok=True)
    else:
        assert bits(found) == bits(expected)


def shuffled(data: Data, seed: int) -> dict[str, Any]:
    """Rows in another order; of groups, the groups."""
    rng = np.random.default_rng(seed)
    if "group" not in data:
        return take(data, rng.permutation(rows_of(data)))
    names = rng.permutation(list(dict.fromkeys(data["group"])))
    return take(data, np.concatenate([np.flatnonzero(data["group"] == name) for name in names]))


@over(plain_cases())
@many
@given(seed=seeds, rows=sizes)
def test_order_pieces_and_copies(case: Case, seed: int, rows: int) -> None:
    data = drawn(case, seed, rows)
    once = total(case, data)
    assert bits(total(case, shuffled(data, seed)).value) == bits(once.value)
    parts = total(case, data, piece=1 + seed % rows, chunk_rows=1 + seed % 3, threads=2)
    assert bits(parts.value) == bits(once.value)
    if not case.loss.scale_free:  # a row is one of those that another is compared with
        return
    twice = repeated(data, np.full(rows, 2))
    same(case, total(case, twice).value, once.value)
    if isinstance(case.loss.reduction, Mean) and not brings_weights(case, data):
        sums = [total(case, part, reduction="sum").value for part in (data, twice)]
        assert bits(sums[1]) == bits(2.0 * sums[0])


def weighted_mean(values: Any, weights: Any) -> float:
    """What the contract says: each w·l the nearest double, the rest exact and rounded once."""
    with np.errstate(all="ignore"):
        parts = values * weights
    if not np.isfinite(parts).all():
        return float(np.sum(parts[~np.isfinite(parts)]))
    whole = sum((Fraction(w) for w in weights.tolist()), Fraction(0))
    return float(sum((Fraction(part) for part in parts.tolist()), Fraction(0)) / whole) if whole else math.nan


@over(plain_cases())
@many
@given(seed=seeds, rows=sizes)
def test_weights(case: Case, seed: int, rows: int) -> None:
    data = drawn(case, seed, rows)
    powers = per_row(case, data, [1, 2, 4], seed=seed)
    plain = total(case, {**data, "weight": powers.astype(np.float64)})
    same(case, plain.value, total(case, repeated(data, powers)).value)
    if case.loss.scale_free:
        other = total(case, {**data, "weight": powers * 2.0 ** (seed % 41 - 20)})
        assert bits(other.value) == bits(plain.value)
    if not isinstance(case.loss.reduction, Mean) or brings_weights(case, data):
        return
    choices = [1.0, 3.0, 0.3, 7.0] if case.loss.grouped else [0.0, 1.0, 3.0, 0.3, 7.0]
    weights = per_row(case, data, choices, seed=seed)
    weights[0] = weights[0] or 0.5  # weights that add up to zero are refused
    values, used, _ = row_values(case, data)
    each = weights
    if case.loss.unit == "group":
        each = weights[np.concatenate([[True], data["group"][1:] != data["group"][:-1]])]
    counted = used & (each > 0.0)
    found = total(case, {**data, "weight": weights})
    assert bits(found.value) == bits(weighted_mean(values[counted], each[counted]))


def scaled(case: Case, data: Data, factor: float) -> dict[str, Any]:
    kinds = {name: form.kind for name, form in case.forms.items()}
    free = ("real", "positive", "nonneg")
    return {n: v * factor if kinds[n] in free else v for n, v in data.items()}


@over(named(DEGREES))
@many
@given(seed=seeds, power=st.integers(-30, 30))
def test_scaling_the_inputs_scales_the_loss(case: Case, seed: int, power: int) -> None:
    data = case.draw(6, seed=seed)
    factor, growth = 2.0**power, 2.0 ** (power * DEGREES[case.loss.name])
    found, plain = total(case, scaled(case, data, factor)).value, total(case, data).value
    assert bits(found) == bits(plain * growth)
    if has_rows(case):
        values = [row_values(case, part)[0] for part in (scaled(case, data, factor), data)]
        assert values[0].tolist() == (values[1] * growth).tolist()


def swappable(case: Case) -> bool:
    first, second = SWAPS[case.loss.name]
    return (
        case.forms[first].kind == case.forms[second].kind
        and case.forms[first].shape == case.forms[second].shape
    )


@over([case for case in named(SWAPS) if swappable(case)])
@many
@given(seed=seeds)
def test_symmetric_inputs_may_change_places(case: Case, seed: int) -> None:
    data = case.draw(6, seed=seed)
    first, second = SWAPS[case.loss.name]
    turned = {**data, first: data[second], second: data[first]}
    found, plain = total(case, turned).value, total(case, data).value
    assert found == pytest.approx(plain, rel=1e-14, abs=1e-300)


@over(named(SIGNED))
@many
@given(seed=seeds)
def test_signs_may_change_together(case: Case, seed: int) -> None:
    data = drawn(case, seed, 6)
    turned = {name: -values for name, values in data.items()}
    assert bits(total(case, turned).value) == bits(total(case, data).value)


@over([case for case in named(("bce", "brier", "binary-focal")) if case.layout == "scalar"])
@many
@given(seed=seeds)
def test_classes_may_change_names(case: Case, seed: int) -> None:
    data = {name: np.round(values * 2.0**20) / 2.0**20 for name, values in case.draw(6, seed=seed).items()}
    turned = {name: 1.0 - values for name, values in data.items()}
    assert total(case, turned).value == pytest.approx(total(case, data).value, rel=1e-14)


def two_numbers(case: Case) -> bool:
    """Whether a row compares two numbers of one kind and is best, at zero, where they are equal."""
    inputs = set(case.forms) == {"target", "pred"} and case.layout == "scalar"
    kinds = {(form.kind, form.shape) for form in case.forms.values()}
    numbers = kinds <= {(kind, "scalar") for kind in ("real", "positive", "nonneg")}
    return inputs and numbers and case.loss.best == 0.0 and case.loss.direction == "lower" and has_rows(case)


def climbs(case: Case, data: Data) -> Iterator[Data]:
    """One target, and predictions further and further away on either side of it."""
    steps = np.concatenate([[0.0], np.cumsum(np.abs(data["target"]) + 1e-3)])
    target = np.full(len(steps), data["target"][0])
    low, high = case.forms["pred"].domain.ends
    for pred in (target + steps, target - steps):
        yield {"target": target, "pred": np.clip(pred, low + 1e-9 if math.isfinite(low) else low, high)}


@over([case for case in plain_cases() if two_numbers(case)])
@many
@given(seed=seeds)
def test_further_away_is_no_better(case: Case, seed: int) -> None:
    for data in climbs(case, case.draw(6, seed=seed)):
        values = row_values(case, data)[0]
        assert values[0] == 0.0
        assert (np.diff(values) >= -1e-15 * values[1:]).all()


@over([case for case in plain_cases() if case.loss.best == case.loss.range.low])
@many
@given(seed=seeds, rows=sizes)
def test_nothing_is_better_than_the_best(case: Case, seed: int, rows: int) -> None:
    found = total(case, drawn(case, seed, rows))
    assert found.status == "empty" or math.isnan(found.value) or found.value >= case.loss.best


def test_the_tables_name_losses_and_max_is_one() -> None:
    names = {case.loss.name for case in plain_cases()}
    assert {*DEGREES, *SWAPS, *SIGNED} <= names
    assert any(isinstance(case.loss.reduction, Largest) for case in named(DEGREES))
