"""Questions that have no right answer are refused, never answered with a wrong number."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lossctl
from lossctl.errors import BadSpec, BadValue, DataError

DATA = Path(__file__).parent.parent / "examples" / "data"


@pytest.mark.parametrize("loss", ["bce", "mape", "wape", "dice", "zero-one", "r2-loss", "mse", "hinge"])
@pytest.mark.parametrize("rows", [2, 3])
def test_a_number_is_not_stretched_over_a_vector(loss: str, rows: int) -> None:
    target, pred = np.ones(rows), np.full((rows, 2), 0.5)
    with pytest.raises(DataError, match="one number per row"):
        lossctl.compute(loss, target, pred)


@pytest.mark.parametrize(
    ("loss", "first", "second"), [("mse", "target", "pred"), ("perceptual", "target", "pred")]
)
def test_vectors_differ_in_width(loss: str, first: str, second: str) -> None:
    with pytest.raises(DataError, match="differ in width"):
        lossctl.compute(loss, **{first: np.ones((3, 1)), second: np.ones((3, 4))})


def test_weighted_median_does_not_depend_on_the_scale_of_the_weights() -> None:
    errors = np.arange(1.0, 223.0)
    plain = lossctl.compute("medae", np.zeros(222), errors).value
    for weight in (1.0, 0.1, 1 / 3, 7e-9):
        assert lossctl.compute("medae", np.zeros(222), errors, weight=np.full(222, weight)).value == plain


def test_weighted_median_by_hand() -> None:
    # weights 1, 3, 1, 1: half of 6 is reached within the second value alone
    assert lossctl.compute("medae", [0] * 4, [1, 2, 3, 4], weight=[1, 3, 1, 1]).value == 2.0
    # weights 1, 2, 3: after the second exactly half, so the average with the third
    assert lossctl.compute("medae", [0] * 3, [1, 2, 9], weight=[0.1, 0.2, 0.1 + 0.2]).value in (5.5, 9.0)


def test_the_first_integer_that_a_double_cannot_hold_is_refused() -> None:
    with pytest.raises(DataError, match="9007199254740993"):
        lossctl.compute("mae", np.array([0, 0]), np.array([1, 2**53 + 1]))
    assert lossctl.compute("mae", np.array([0]), np.array([2**53])).value == 2.0**53


def test_classes_are_named_once_and_as_many_as_columns() -> None:
    pred = [[0.5, 0.5]]
    for names in ("[a,a]", "[a,b,c]"):
        with pytest.raises(BadValue, match="classes"):
            lossctl.compute(f"cross-entropy:classes={names}", ["a"], pred)


def test_coefficients_are_finite() -> None:
    with pytest.raises(BadSpec, match="finite"):
        lossctl.compute("1e400*mae", [0.0], [1.0])


def run(command: str) -> tuple[int, str]:
    program = f"{sys.executable} -m lossctl"
    done = subprocess.run(
        ["bash", "-c", command.replace("lossctl", program, 1)], capture_output=True, cwd=DATA
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("lossctl compute mae preds.csv --where 'id < 10' --where 'id > 5'", 2, "given twice"),
        ("lossctl compute huber --delta 1 --delta=2 preds.csv", 2, "given twice"),
        ("lossctl worst mae preds.csv --where 'id > 1000'", 3, "no row is left"),
        ("lossctl compute mae digits_logits.parquet --target label --pred label --by logits", 3, "no groups"),
        ("lossctl list > /dev/full", 4, "cannot write"),
        ("lossctl explain bce | true; exit ${PIPESTATUS[0]}", 141, ""),
    ],
)
def test_refused_as_a_process(command: str, code: int, text: str) -> None:
    found, stderr = run(command)
    assert found == code, stderr
    assert text in stderr
