"""Groups whose rows are not together, or not of one weight: the first is told by its file and row."""

from __future__ import annotations

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
