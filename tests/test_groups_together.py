"""Groups whose rows are not together, or not of one weight: the first is told by its file and row."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from lossctl import evaluate
from lossctl.errors import BadRow


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_group_that_breaks_a_rule_is_named_by_its_file_and_row(suffix: str, tmp_path: Path) -> None:
    def write(name: str, groups: list[int], weights: list[float]) -> str:
        table = pa.table(
            {"target": [1.0] * len(groups), "pred": [1.0] * len(groups), "q": groups, "w": weights}
        )
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "csv":
            csv.write_csv(table, path)
        else:
            pq.write_table(table, path, row_group_size=2)
        return str(path)

    first = write("a", [1, 1, 2, 2, 2], [1.0] * 5)
    back = write("b", [2, 3, 3, 1, 1], [1.0] * 5)
    uneven = write("c", [4, 4, 5, 5, 5], [1.0, 1.0, 1.0, 1.0, 2.0])
    for rows in (None, 1, 3):
        with pytest.raises(BadRow, match=rf"b\.{suffix}, row 3, column 'q': this group already ended"):
            evaluate([first, back], "listnet", group="q", chunk_rows=rows)
        with pytest.raises(BadRow, match=rf"c\.{suffix}, row 4: weights differ within a group"):
            evaluate([first, uneven], "listnet", group="q", weight="w", chunk_rows=rows)


def test_a_missing_weight_spoils_its_group_and_is_no_other_weight(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for weights in ([2.0, None, 2.0], [None, 2.0, 2.0], [None, None, None]):
        rows = {"q": [1, 1, 1, 2, 2], "target": [1, 0, 0, 1, 0], "pred": [0.1, 0.2, 0.0, 0.5, 0.1]}
        pq.write_table(pa.table({**rows, "w": pa.array([*weights, 3.0, 3.0])}), path)
        for rows_of_a_block in (None, 1):
            options = {"weight": "w", "nan": "propagate", "chunk_rows": rows_of_a_block}
            assert math.isnan(evaluate(path, "ranknet", group="q", **options).value)
            assert evaluate(path, "ranknet", group="q", where="q > 1", **options).value > 0
    uneven = {**rows, "w": pa.array([2.0, None, 5.0, 3.0, 3.0])}
    pq.write_table(pa.table(uneven), path)
    with pytest.raises(BadRow, match=r"a\.parquet, row 2: weights differ within a group"):
        evaluate(path, "ranknet", group="q", weight="w", nan="propagate")


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()])
def test_a_group_that_is_not_a_number_is_missing_and_minus_zero_is_zero(
    kind: pa.DataType, tmp_path: Path
) -> None:
    path = tmp_path / "a.parquet"
    rows = {"target": [0.0] * 3, "pred": [1.0, 2.0, 3.0]}
    pq.write_table(pa.table({**rows, "g": pa.array([0.0, -0.0, math.nan], kind)}), path)
    with pytest.raises(BadRow, match="row 2, column 'g': the group is missing"):
        evaluate(path, "mae", by="g")
    found = evaluate(path, "mae", by="g", where="pred < 3")
    assert [(score.group, score.value) for score in found.scores] == [({"g": "0"}, 1.5), ({}, 1.5)]
    pq.write_table(pa.table({**rows, "g": pa.array([0.0, None, -0.0], kind)}), path)
    with pytest.raises(BadRow, match="row 1, column 'g': the group is missing"):
        evaluate(path, "mae", by="g")
