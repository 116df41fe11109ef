"""Losses where the textbook form cancels or overflows; literals are mpmath, 400 digits, rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lossctl.loss.registry import get

CASES: list[tuple[str, dict[str, Any], list[list[float]], list[float], float]] = [
    (
        "poisson-nll",
        {"full": True},
        [[250.0, 1000000.0, 1000000000.0], [260.0, 1000000.0, 1000010000.0]],
        [3.8748240369710283, 7.826693895520143, 11.330571118430377],
        1e-14,
    ),
    ("poisson-nll", {"full": True, "log_input": True}, [[1000000.0], [13.8]], [127.49588720459796], 1e-12),
    (
        "negative-binomial-nll",
        {},
        [[0.0, 10000000.0, 83245618.0], [1e-12, 10000000.0, 71756520.0], [5.0, 99.0, 547.0]],
        [9.999999999999e-13, 14.740320957050306, 22.34685870875168],
        1e-14,
    ),
    ("poisson-deviance", {}, [[1e200, 1e-200], [1e-200, 1e200]], [1.8400680743952366e203, 2e200], 1e-14),
    (
        "tweedie-deviance",
        {"power": 1.0000001},
        [[15.246604354512948, 3.0, 3.0], [7.856613468842711, 2.9, 40.0]],
        [5.43704959854278, 0.0034093096872316567, 58.45837927572434],
        1e-14,
    ),
    (
        "tweedie-deviance",
        {"power": 1.000000000001},
        [[15.246604354512948, 3.0, 3.0], [7.856613468842711, 2.9, 40.0]],
        [5.43705084579043, 0.0034093100540844266, 58.45839700714771],
        1e-14,
    ),
    (
        "tweedie-deviance",
        {"power": 1.9999999},
        [[15.246604354512948, 3.0, 3.0], [7.856613468842711, 2.9, 40.0]],
        [0.5552131536260324, 0.001162414015089946, 3.3305352215907806],
        1e-14,
    ),
    (
        "tweedie-deviance",
        {"power": 2.000000001},
        [[15.246604354512948, 3.0, 3.0], [7.856613468842711, 2.9, 40.0]],
        [0.5552130263524828, 0.0011624138887658827, 3.3305343219846626],
        1e-14,
    ),
    (
        "barron",
        {"alpha": 1.5},
        [[0.0, 0.0], [1e120, 10000000000.0]],
        [5.60597610169143e179, 560597610169142.7],
        1e-14,
    ),
    ("crps-normal", {}, [[1e100], [0.0], [1e-300]], [1e100], 1e-14),
]


@pytest.mark.parametrize(("name", "params", "columns", "expected", "rtol"), CASES)
def test_digits_survive(
    name: str, params: dict[str, Any], columns: list[list[float]], expected: list[float], rtol: float
) -> None:
    loss = get(name)
    with np.errstate(all="ignore"):
        found = loss.kernel(*map(np.array, columns), **loss.resolve(params))
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=0.0)


@pytest.mark.parametrize(("estimator", "slope"), [("nrg", [4 / 9, 4 / 9, 1 / 9]), ("fair", [0.5, 0.5, 0.0])])
def test_equal_members_have_equal_slopes(estimator: str, slope: list[float]) -> None:
    # by hand: (1 − (−1)/3)/3 = 4/9 twice, (1 − 2/3)/3 = 1/9
    made = get("crps-ensemble").gradients["pred"](
        np.zeros(1), np.array([[1.0, 1.0, 2.0]]), estimator=estimator
    )
    np.testing.assert_allclose(made[0], slope, atol=1e-15)
