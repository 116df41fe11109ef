"""`lossctl check`: what it reports and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossctl.process import run

DATA = Path(__file__).parent.parent / "examples" / "data"


def check(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> dict[str, Any]:
    assert run(["check", *map(str, words), "-f", "json"], False) == code
    made: dict[str, Any] = json.loads(capsys.readouterr().out)
    return made


def test_report(capsys: pytest.CaptureFixture[str]) -> None:
    made = check(capsys, DATA / "preds.parquet")
    assert list(made) == ["schema", "inputs", "rows", "columns", "roles", "groups", "problems", "notes"]
    assert made["rows"] == 442
    assert [column["name"] for column in made["columns"]] == ["id", "y_true", "y_pred", "age_band", "w"]
    assert made["roles"]["target"] == {"columns": ["y_true"], "guessed": True, "why": None}
    assert made["groups"] == ["age_band"]
    y = made["columns"][1]
    assert (y["min"], y["max"], y["nulls"], y["integers"]) == (25.0, 346.0, 0, True)


def test_csv_says_the_same_as_parquet(capsys: pytest.CaptureFixture[str]) -> None:
    text, binary = check(capsys, DATA / "cancer.csv"), check(capsys, DATA / "cancer.parquet")
    for mine, theirs in zip(text["columns"], binary["columns"], strict=True):
        assert {**mine, "type": ""} == {**theirs, "type": ""}


def test_why_there_is_no_role(capsys: pytest.CaptureFixture[str]) -> None:
    pred = check(capsys, DATA / "cancer.parquet")["roles"]["pred"]
    assert pred["columns"] == []
    assert "several columns could be pred: prob, logit, score" in pred["why"]
    assert check(capsys, DATA / "digits.csv", "--pred", "p_*")["roles"]["pred"]["columns"][9] == "p_9"


def test_missing_and_infinite(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("y,p,g\n1,inf,a\n,nan,b\n3,-inf,a\n4,0.5,\n")
    y, p, g = check(capsys, tmp_path / "a.csv")["columns"]
    assert (y["nulls"], p["nan"], p["inf"], g["nulls"]) == (1, 1, 2, 1)


def test_long_keys_are_told_apart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    keys = {"k": [2**60 + row for row in range(50)], "u": pa.array([2**64 - 1, 2**64 - 2] * 25, pa.uint64())}
    pq.write_table(pa.table({"y": [1.0] * 50, **keys}), tmp_path / "a.parquet", row_group_size=20)
    _, k, u = check(capsys, tmp_path / "a.parquet")["columns"]
    assert (k["distinct"], u["distinct"]) == (50, 2)


def test_vectors_and_strange_columns(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    table = pa.table(
        {
            "y": pa.array([0, 1]),
            "probs": pa.array([[0.5, 0.5], [0.25, 0.5]]),
            "when": pa.array([1, 2], pa.timestamp("s")),
            "s": pa.array([{"a": 1}, {"a": 2}]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    _, probs, when, struct = check(capsys, tmp_path / "a.parquet", "--pred", "probs")["columns"]
    assert (probs["width"], probs["rows_in_unit"], probs["rows_summing_to_one"]) == ([2, 2], 2, 1)
    assert not when["readable"]
    assert not struct["readable"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("y,p\n", "no rows"),
        ("y,p\n1,2\n3\n", "row 1"),
        ("y,p\n" + "1,2\n" * 2000 + "1,x\n", "row 2000"),
    ],
)
def test_unusable_files(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert run(["check", str(tmp_path / "a.csv")], False) == 3
    assert told in capsys.readouterr().err


def test_a_role_without_values(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("y,p\n1,\n2,nan\n")
    made = check(capsys, tmp_path / "a.csv", code=3)
    assert made["problems"] == ["column 'p' for pred has no usable value"]


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(DATA / "preds.csv"), "-f", "xml"], False) == 2
    assert run(["check", str(DATA / "preds.csv"), "--target", "nope"], False) == 3
    capsys.readouterr()
    assert run(["check", str(DATA / "preds.csv")], False) == 0
    assert "target: y_true (guessed)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "pred", "says"),
    [
        ([1.0, 2.0], [[1.0, 2.0], [1.0]], "target holds one number but pred holds 1 to 2 numbers per row"),
        ([[1.0], [1.0, 2.0]], [[1.0], [1.0, 2.0]], "target holds 1 to 2 numbers but pred holds 1 to 2"),
        ([[1.0, 2.0], [1.0, 2.0]], [1.0, 2.0], "target holds 2 numbers but pred holds one number"),
        ([[1.0, 2.0], [1.0, 2.0]], [[1.0], [2.0]], "target holds 2 numbers but pred holds 1 number"),
        ([[1.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [2.0, 1.0]], None),
        ([0, 1], [[1.0, 2.0], [2.0, 1.0]], None),
        ([[0, 1], [1]], [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.0]]], None),
        (["a", "b"], ["a", "c"], None),
    ],
)
def test_rows_that_no_loss_compares(
    target: object, pred: object, says: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "in.parquet"
    pq.write_table(pa.table({"target": target, "pred": pred}), file)
    assert run(["check", str(file)], debug=False) == (3 if says else 0)
    assert says is None or says in capfd.readouterr().err


@pytest.mark.parametrize(
    ("target", "pred", "says"),
    [
        (
            [[0, 1], [1]],
            [[0.5] * 4, [0.5] * 2],
            "as pixel-cross-entropy, token-nll, ctc can read with --width 2",
        ),
        ([[0, 1], [1, 2]], [[0.2, 0.3, 0.5] * 2] * 2, "token-nll, ctc can read with --width 3"),
        (
            [[1, 2], [1]],
            [[0.1] * 12, [0.1] * 15],
            "the prediction may hold vectors in one list per row, as ctc",
        ),
        ([[1, 2], [1]], [[0.1] * 7, [0.1] * 5], None),
        ([[0.5, 2], [1]], [[0.1] * 4, [0.1] * 2], None),
        ([[1, 2], [1]], [[0.1] * 2, [0.1]], None),
    ],
)
def test_vectors_in_one_list_are_no_problem(
    target: object, pred: object, says: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "in.parquet"
    pq.write_table(pa.table({"target": target, "pred": pred}), file)
    assert run(["check", str(file), "-f", "json"], debug=False) == (0 if says else 3)
    made = json.loads(capfd.readouterr().out)
    assert run(["recommend", str(file), "-f", "json"], debug=False) == 0
    warnings = json.loads(capfd.readouterr().out)["views"][0]["warnings"]
    (warned,) = [each for each in warnings if each["kind"] in ("vectors-in-one-list", "nothing-fits")]
    assert (made["notes"], bool(made["problems"])) == ([warned["message"]] if says else [], not says)
    assert says is None or says in warned["message"]
    if says and "--width 2" in says:
        assert run(["compute", "token-nll", str(file), "--width", "2"], debug=False) == 0
