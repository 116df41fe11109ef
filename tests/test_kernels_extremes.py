"""Legal numbers at which a value once was infinite, undefined, negative, or of few digits."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

import lossctl
from lossctl.losses.embedding import _distance

BIG = 1e200
SCALARS = [
    ("expectile:tau=1", 0.0, BIG, 0.0),
    ("smooth-l1:beta=1e308", 0.0, BIG, 5e91),
    ("lq:q=1e18", 1e-17, 1.0, math.exp(-10.0)),
    ("lsgan", 0.0, -1.5e154, 1.125e308),
    ("barron:alpha=5e-324", 0.0, 1.0, math.log(1.5)),
    ("barron:alpha=0.5", 1.7e308, -1.7e308, None),
    ("poisson-nll:log-input=true", 1e308, 710.0, -math.inf),
    ("crps-normal", 0.0, BIG, BIG),
]


@pytest.mark.parametrize(("spec", "target", "pred", "value"), SCALARS)
def test_scalars(spec: str, target: float, pred: float, value: float | None) -> None:
    more = {"scale": [1.0]} if spec == "crps-normal" else {}
    found = lossctl.compute(spec, [target], [pred], **more).value
    assert 0.0 < found < math.inf if value is None else found == pytest.approx(value, rel=1e-13)


@pytest.mark.parametrize("power", [100.0, 1000.0, 1e4, 1e6, -1e4])
def test_deviances_of_any_power(power: float) -> None:
    pairs = [(1.0, 1.001), (1.0 + 1e-5, 1.0), (1.0, 1.0 + 3e-7)]
    with mpmath.workdps(60):
        a, b = 2 - mpmath.mpf(power), 1 - mpmath.mpf(power)
        for y, mu in pairs:
            t, m = mpmath.mpf(y), mpmath.mpf(mu)
            right = 2 * (t**a / (a * b) - t * m**b / b + m**a / a)
            found = lossctl.compute(f"tweedie-deviance:power={power!r}", [y], [mu]).value
            assert found == pytest.approx(float(right), rel=1e-13)


def test_what_is_added_to_a_difference_is_not_rounded_away() -> None:
    here = np.full((1, 4), 1e10)
    assert _distance(here, here, 2.0, 1e-6, False)[0] == pytest.approx(2e-6, rel=1e-15)


def test_inner_products_of_any_size() -> None:
    rows = [[1e10, BIG], [BIG, 1e10]]
    found = lossctl.compute("info-nce:normalize=false", anchor=rows, positive=rows, group=["q", "q"])
    assert found.value >= 0.0


def test_an_undefined_score_gives_an_undefined_list() -> None:
    made = lossctl.compute("listnet", [1.0, 0.0], [math.nan, 0.0], group=["q", "q"], nan="propagate")
    assert math.isnan(made.value)


FAR = [
    ("ctc", [[1]], [[[0.0, -1.3e308]]], 1.3e308),
    ("ctc:zero-infinity=true", [[1]], [[[0.0, -1.3e308]]], 1.3e308),
    ("ctc", [[1, 2]], [[[0.0, -7e307, -9.0], [0.0, -9.0, -7e307]]], 1.4e308),
    ("ctc", [[1]], [[[1e307, 1.7e308]]], -1.7e308),
    ("ctc:from-logits=true", [[1]], [[[8e307, -8e307]]], 1.6e308),
    ("ctc", [[1, 1]], [[[0.0, -1.3e308]]], math.inf),
    ("ctc:zero-infinity=true", [[1, 1]], [[[0.0, -1.3e308]]], 0.0),
]


@pytest.mark.parametrize(("spec", "target", "pred", "value"), FAR)
def test_log_probabilities_near_the_largest_double(
    spec: str, target: list[list[int]], pred: list[list[list[float]]], value: float
) -> None:
    assert lossctl.compute(spec, target, pred).value == pytest.approx(value, rel=1e-15)
