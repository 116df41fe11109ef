"""Questions that have no right answer are refused, never answered with a wrong number."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lossctl
from lossctl.errors import BadSpec, BadValue, DataError, UsageError
from lossctl.loss.registry import all_losses
from lossctl.loss.spec import parse

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
        ("lossctl compute mae digits_logits.parquet --target label --pred name --by logits", 3, "no groups"),
        ("lossctl list > /dev/full", 4, "cannot write"),
        ("lossctl explain bce | true; exit ${PIPESTATUS[0]}", 141, ""),
    ],
)
def test_refused_as_a_process(command: str, code: int, text: str) -> None:
    found, stderr = run(command)
    assert found == code, stderr
    assert text in stderr


def test_weights_of_zero_are_refused_whatever_else_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("target,pred,w\n0,1,0\n0,2,0\n")
    for spec in ("mae", "mae,mape:zero=skip", "mape:zero=skip,mae"):
        with pytest.raises(DataError, match="the weights add up to zero"):
            lossctl.evaluate(str(path), spec, weight="w")


def test_the_median_of_infinite_errors_is_infinite() -> None:
    target, pred = [-1e308, -1e308, 0.0], [1e308, 1e308, 1.0]
    for rows in (3, 2):
        for weight in (None, [1.0] * rows):
            assert lossctl.compute("medae", target[:rows], pred[:rows], weight=weight).value == math.inf
    assert lossctl.compute("medae", [0.0, -1e308], [1.0, 1e308]).value == math.inf


def test_total_weight_of_zero_and_no_rows_left_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("target,pred,w\n1,2,0\n3,4,0\n")
    assert run(f"lossctl compute mae {file} --weight w") == (
        3,
        "error: column 'w': the weights add up to zero\n",
    )
    code, message = run(f"lossctl compute mae {file} --where 'target > 9'")
    assert code == 3
    assert "no row is left of 2" in message


@pytest.mark.parametrize(
    "loss", ["mae", "rmse", "r2-loss", "wape", "medae", "bce", "dice", "ndcg-loss", "max-error"]
)
@pytest.mark.parametrize("rows", [1, 3])
def test_perfect_predictions_one_row_and_one_class_are_defined_or_not_a_number(loss: str, rows: int) -> None:
    extra = {"group": ["q"] * rows} if loss == "ndcg-loss" else {}
    for value in (0.0, 1.0):
        score = lossctl.compute(loss, [value] * rows, [value] * rows, **extra).scores[0]
        assert score.value == 0.0 or score.status in ("nan", "empty"), (value, score)


def test_squares_that_overflow_are_said_to_be_infinite() -> None:
    made = lossctl.compute("mse", [1e200, 0.0], [-1e200, 0.0])
    assert made.scores[0].status == "inf"
    assert made.to_dict()["results"][0]["value"] is None
    assert made.scores[0].nonfinite == {"inf": 1}


def test_probabilities_outside_are_refused_and_certain_ones_are_not_clipped() -> None:
    with pytest.raises(DataError, match=r"1\.5 is not a probability"):
        lossctl.compute("bce", [1, 0], [0.5, 1.5])
    made = lossctl.compute("bce", [1, 0], [0.0, 0.5])
    assert made.scores[0].status == "inf"
    assert not any("clipped" in warning for warning in made.warnings)


@pytest.mark.parametrize(
    ("spec", "target", "pred", "rows"),
    [
        ("bce:eps=0.01", [1, 0, 1, 1], [0.5, 0.0, 1.0, 0.99], 2),
        ("bce:log-floor=-2", [1, 0, 1, 1], [0.5, 0.0, 0.01, 0.99], 1),
        ("cross-entropy:eps=0.01", [0, 1, 1], [[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]], 1),
        ("kl:eps=0.01", [[0.5, 0.5], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]], 1),
        ("bce:eps=0.01:from-logits=true", [1, 0, 1], [0.0, -20.0, 20.0], 0),
        ("bce:eps=0.01", [[1, 1], [1, 1]], [[0.5, 0.0], [0.5, 0.5]], 1),
        ("bce:eps=0.01", [1], [0.5], 0),
        ("bce", [1], [1.0], 0),
    ],
)
def test_clipped_rows_are_counted(spec: str, target: list[object], pred: list[object], rows: int) -> None:
    found = [w for w in lossctl.compute(spec, target, pred).warnings if "clipped" in w]
    assert len(found) == (rows > 0)
    assert not rows or f" {rows} of {len(target)} rows were clipped (" in found[0]


@pytest.mark.parametrize(
    ("name", "given"),
    [("elements", "max"), ("nan", "x"), ("reduction", "none"), ("width", 0), ("width", 2.5)],
)
def test_python_refuses_what_the_command_line_does(name: str, given: object) -> None:
    with pytest.raises(UsageError, match=f"{name} cannot be"):
        lossctl.compute("mae", [1.0], [1.0], **{name: given})


@pytest.mark.parametrize("name", ["threads", "chunk_rows", "expect_rows", "max_memory"])
def test_python_refuses_counts_below_one(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("target,pred\n1,2\n")
    for given in (0, "2", True):
        with pytest.raises(UsageError, match=f"{name} cannot be"):
            lossctl.evaluate(str(path), "mae", **{name: given})


def test_python_filters_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("target,pred,g\n1,2,a\n1,9,b\n")
    made = lossctl.evaluate(str(path), "mae", where="g == 'a'")
    assert (made.value, made.rows.filtered) == (1.0, 1)
    assert (
        lossctl.compute("mae", [1.0, 2.0, 3.0], [2.0, 4.0, 9.0], where="target > 1 and pred < 5").value == 2.0
    )


def test_a_required_parameter_is_asked_for_by_name() -> None:
    required = [loss for loss in all_losses() for p in loss.params.values() if p.required]
    assert required
    for loss in required:
        name = next(p.kebab for p in loss.params.values() if p.required)
        with pytest.raises(
            UsageError, match=rf"{loss.name} needs {name}: .*; it takes .*{loss.name}:{name}="
        ):
            lossctl.compute(loss.name, [1.0], [1.0])


def test_options_that_would_be_ignored_are_refused() -> None:
    for options, says in {
        "mae preds.csv --id id": "--id belongs to per-sample output",
        "mae preds.csv --grad": "--grad belongs to per-sample output",
        "mae preds.csv --width 3": "--width is for lists of steps and classes",
        "mae preds.csv --weight w --reduction none": "use --id to carry the column",
        "mae preds.csv --by g --reduction none": "use --id to carry the column",
        "mae preds.csv -o parquet:x.parquet": "parquet is for values by row",
        "mae preds.csv -o x.parquet": "add --reduction none",
        "mae,huber preds.csv --delta 2": "huber:delta=2",
        "mae preds.csv --fail-above 1e400": "not a finite number",
        "mae preds.csv --fail-below nan": "not a finite number",
        "mae preds.csv --max-memory 1e-9": "a size such as 500MB or 4GB",
        "mae preds.csv --digits 1_0": "not a whole number",
        "mae preds.csv --ci ''": "a level such as 0.95",
    }.items():
        code, message = run(f"lossctl compute {options}")
        assert (code, says in message) == (2, True), message
    assert "passed 1 kB" in run("lossctl compute medae preds.csv --max-memory 1K")[1]


@pytest.mark.parametrize(
    ("option", "says"), [("--seed 0", "seed is for"), ("--baseline ''", "--baseline cannot be")]
)
def test_options_of_a_gate_without_effect_are_refused(option: str, says: str) -> None:
    code, message = run(f"lossctl gate preds.csv --max mae=99 {option}")
    assert (code, says in message) == (2, True), message


def test_a_loss_may_stand_after_the_options_and_two_dashes() -> None:
    for words in (
        "-- mae preds.csv",
        "-q -- mae preds.csv",
        "-qf value mae preds.csv",
        "-2*mae -fvalue preds.csv",
    ):
        assert run(f"lossctl compute {words}")[0] == 0, words
    assert run("lossctl compute --from-logits bce cancer.csv --pred logit")[0] == 0


def test_quotes_of_either_kind_hold_a_value_of_a_spec() -> None:
    for text in ("custom:expr='target - pred'", 'custom:expr="target - pred"', "custom:expr=target - pred"):
        assert parse(text)[0].text == 'custom:expr="target - pred"'
    (made,) = parse("""cross-entropy:classes=['a,b',"c:d",it's]""")
    assert made.terms[0].bound.params["classes"] == ("a,b", "c:d", "it's")
    assert parse(made.text) == [made]
    with pytest.raises(BadSpec, match="loss name is expected"):
        parse("2*")


def test_a_csv_column_may_be_compared_as_a_number_and_group_the_rows() -> None:
    assert run("lossctl compute mae preds.csv --by w --where 'w > 1'")[0] == 0
    assert run("lossctl compute wer preds.csv --where 'y_true > 100'")[0] == 0
    code, message = run("lossctl compute mae preds.csv --by age_band --where 'age_band > 1'")
    assert code == 3
    assert "is not a number" in message


def test_an_option_given_twice_is_refused_however_it_is_spelt() -> None:
    for words in (
        "-f csv -f json",
        "-fjson -f csv",
        "-qfjson -fcsv",
        "--format json -qf csv",
        "--digits=3 --digits 4",
    ):
        code, message = run(f"lossctl compute mae preds.csv {words}")
        assert (code, "given twice" in message) == (2, True), words
    assert run("lossctl compute mae preds.csv -qvfvalue")[0] == 0
