"""Columns that a glob finds, against the levels of a loss that takes one column for each."""

from __future__ import annotations

import numpy as np
import pytest

import lossctl
from lossctl.errors import DataError

LEVELS = {"10": -1.0, "50": 0.0, "90": 1.0}


def value(order: list[str], levels: list[float], pred: str = "q*", form: str = "q{}") -> float:
    columns = {form.format(name): np.arange(30.0) + LEVELS[name] for name in order}
    spec = f"multi-quantile:quantiles={levels}".replace(" ", "")
    return lossctl.compute(spec, "target", pred, data={"target": np.arange(30.0), **columns}).value


def test_columns_in_the_order_of_the_levels_stand() -> None:
    right = value(["10", "50", "90"], [0.1, 0.5, 0.9])
    assert right == pytest.approx((0.1 + 0.0 + 0.1) / 3)
    assert value(["90", "10", "50"], [0.9, 0.1, 0.5]) == right
    assert value(["10", "50", "90"], [0.1, 0.5, 0.9], "q_*", "q_0.{}") == right


@pytest.mark.parametrize("form", ["q{}", "q_0.{}", "q{}_hat"])
@pytest.mark.parametrize(
    ("order", "levels"), [(["10", "90", "50"], [0.1, 0.5, 0.9]), (["10", "50", "90"], [0.1, 0.9, 0.5])]
)
def test_another_order_is_refused(order: list[str], levels: list[float], form: str) -> None:
    names = [form.format(name) for name in order]
    with pytest.raises(DataError, match="finds the columns in the order " + ", ".join(names)) as refused:
        value(order, levels, "q*", form)
    meant = [form.format(f"{round(100 * level)}") for level in levels]
    assert refused.value.hint is not None
    assert refused.value.hint.endswith(f"--pred {','.join(meant)}")
    assert value(order, levels, ",".join(meant), form) == pytest.approx(0.2 / 3)


def test_columns_that_are_named_stand_and_so_do_names_without_numbers() -> None:
    assert value(["10", "90", "50"], [0.1, 0.5, 0.9], "q10,q90,q50") == pytest.approx(0.2)
    words = {"q_low": np.zeros(3), "q_high": np.ones(3)}
    data = {"target": np.zeros(3), **words}
    assert lossctl.compute("multi-quantile:quantiles=[0.9,0.1]", "target", "q_*", data=data).value > 0
    twice = {"q50 of 3": np.zeros(3), "q10 of 3": np.zeros(3)}  # two numbers in a name say nothing
    data = {"target": np.ones(3), **twice}
    assert lossctl.compute("multi-quantile:quantiles=[0.1,0.5]", "target", "q*", data=data).value > 0
