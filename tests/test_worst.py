"""`lossctl worst`: the worst rows, ties, ordering, and their columns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from test_gate import DATA, PREDS, lossctl

from lossctl.cli.worst import Worst
from lossctl.loss.spec import parse
from lossctl.process import run
from lossctl.worker import SampleBlock


def worst(values: list[list[float]], number: int, spec: str = "mae") -> list[tuple[int, float]]:
    keeper, start = Worst(parse(spec)[0], number), 0
    for block in values:
        rows = np.arange(start, start + len(block))
        keeper.take(SampleBlock(rows, {}, {spec: np.array(block)}, {spec: None}))
        start += len(block)
    return [(row, value) for _, row, value, _ in keeper.rows]


def test_ties_go_by_row_number_whatever_the_blocks() -> None:
    values = [1.0, 3.0, 3.0, 2.0, 3.0, 0.0]
    for cut in range(7):
        assert worst([values[:cut], values[cut:]], 2) == [(1, 3.0), (2, 3.0)]


def test_against_sorting() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 50, 1000).astype(float)
    expected = np.lexsort((np.arange(1000), -values))[:37].tolist()
    blocks = [part.tolist() for part in np.array_split(values, 13)]
    assert [row for row, _ in worst(blocks, 37)] == expected


def test_nan_then_infinity_then_numbers() -> None:
    made = worst([[1e308, 5.0, float("inf"), float("nan"), 1.7976931348623157e308]], 4)
    assert [row for row, _ in made] == [3, 2, 4, 0]


def test_direction_zero_counts_distance() -> None:
    assert [row for row, _ in worst([[1.0, -3.0, 2.0]], 2, "bias")] == [1, 2]


def test_a_negative_coefficient_turns_the_order_round() -> None:
    assert worst([[-1.0, 0.0, -2.0]], 2, "-1*mae") == [(2, -2.0), (0, -1.0)]
    assert [row for row, _ in worst([[1.0, -3.0, 2.0]], 2, "-1*bias")] == [1, 2]


@pytest.mark.parametrize("file", ["preds.csv", "preds.parquet"])
@pytest.mark.parametrize("extra", [[], ["--chunk-rows", "7"], ["--threads", "1"]])
def test_command_shows_all_columns(file: str, extra: list[str]) -> None:
    done = lossctl("worst", "mae", file, "-n", "3", "-f", "json", *extra, cwd=DATA)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["row"] for row in rows] == [56, 222, 102]
    assert set(rows[0]) == {"row", "mae", "id", "y_true", "y_pred", "age_band", "w"}
    assert rows[0]["mae"] == pytest.approx(abs(float(rows[0]["y_true"]) - float(rows[0]["y_pred"])))


def test_options_first_filter_and_vectors(tmp_path: Path) -> None:
    done = lossctl("worst", "-n", "2", "mae", PREDS, "--where", "row_id < 0", cwd=tmp_path)
    assert done.returncode == 3
    done = lossctl("worst", "-n", "1", "mae", PREDS, "--where", "id < 50", "-f", "json", cwd=tmp_path)
    assert json.loads(done.stdout)[0]["row"] < 50
    done = lossctl("worst", "triplet", DATA / "triplets.parquet", "-n", "2", "-f", "csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_a_column_called_row_keeps_its_values(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("row,mae,y_true,y_pred\nx,9,1,2\ny,8,1,3\n")
    done = lossctl("worst", "mae", "p.csv", "-n", "1", "-f", "csv", "-o", "w.parquet", cwd=tmp_path)
    assert done.stdout.splitlines() == ["row,mae,data.row,data.mae,y_true,y_pred", "1,2,y,8,1,3"]
    assert (tmp_path / "w.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["mae,mse", PREDS], 2),
        (["mea", PREDS], 2),
        (["mae", PREDS, "-n", "0"], 2),
        (["mae", "none.csv"], 3),
        (["mae", PREDS, "-o", "no/dir/x.csv"], 4),
        (["mae", PREDS, "-f", "parquet"], 2),
    ],
)
def test_refusals(arguments: list[object], code: int, tmp_path: Path) -> None:
    done = lossctl("worst", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr


def test_numbers_of_a_csv_are_numbers_in_json(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("target,pred,zip,price,mixed,whole\n1,1,007,1.50,1,-3\n1,5,12,2.25,a,9007199254740993\n")
    out = tmp_path / "out.jsonl"
    assert run(["worst", "mae", str(file), "-n", "1", "-o", str(out)], debug=False) == 0
    row = json.loads(out.read_text())
    assert row["zip"] == "12"  # 007 in the same column is no number
    assert (row["price"], row["mixed"], row["whole"]) == (2.25, "a", 9007199254740993)


@pytest.mark.parametrize("target", ["1.5", "1"])
def test_value_prints_losses_whatever_the_columns_hold(target: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(f"target,pred,g\n{target},3.5,a\n")
    expected = f"{3.5 - float(target)!r}\n".replace(".0\n", "\n")
    done = lossctl("worst", "mae", "p.csv", "-f", "value", cwd=tmp_path)
    assert done.stdout == expected
    rows = ("--reduction", "none", "--id", "target", "--id", "pred", "-f", "value")
    assert lossctl("compute", "mae", "p.csv", *rows, cwd=tmp_path).stdout == expected


def test_skipped_rows_are_told(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("target,pred\n1,\n1,2\n,1\n")
    done = lossctl("worst", "mae", "p.csv", "--nan", "skip", "-f", "json", cwd=tmp_path)
    assert [row["row"] for row in json.loads(done.stdout)] == [1]
    assert done.stderr == "warning: 2 of 3 rows were skipped\n"
    assert lossctl("worst", "mae", "p.csv", "--nan", "skip", "-q", cwd=tmp_path).stderr == ""
