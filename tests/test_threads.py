"""Threads that share one row group, batch by batch, and files that fail in different places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossctl
import lossctl.spine
from lossctl.errors import DataError
from lossctl.loss.spec import parse
from lossctl.plan import Settings, make_plan
from lossctl.sources import open_dataset
from lossctl.worker import SampleBlock

ROWS, ODD = 300_000, 290_123


@pytest.fixture
def one_group(tmp_path: Path) -> str:
    """A file of one row group that comes in several batches."""
    rng = np.random.default_rng(0)
    path = tmp_path / "one.parquet"
    pq.write_table(pa.table({"y": rng.normal(size=ROWS), "p": rng.normal(size=ROWS)}), path)
    assert pq.read_metadata(path).num_row_groups == 1
    assert path.stat().st_size > lossctl.spine.SMALL
    return str(path)


def ran(path: str, threads: int, sample: Any = None, **more: Any) -> tuple[Any, list[tuple[int, int]], int]:
    ticks: list[tuple[int, int]] = []
    with open_dataset([path], threads=threads) as dataset:
        settings = Settings({"target": "y", "pred": "p"}, threads=threads, **more)
        plan = make_plan(parse("mae"), settings, dataset)
        outcome = lossctl.spine.run(plan, dataset, progress=lambda *n: ticks.append(n), sample=sample)
        return outcome, ticks, dataset.nbytes


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_rows_come_in_order_and_are_counted_once(one_group: str, threads: int) -> None:
    blocks: list[SampleBlock] = []
    outcome, ticks, size = ran(one_group, threads, blocks.append, reduction="none")
    table = pq.read_table(one_group)
    assert np.concatenate([block.rows for block in blocks]).tolist() == list(range(ROWS))
    wanted = np.abs(table["p"].to_numpy() - table["y"].to_numpy())
    assert np.array_equal(np.concatenate([block.values["mae"] for block in blocks]), wanted)
    assert [sum(part) for part in zip(*ticks, strict=True)] == [ROWS, size]
    assert (len(ticks) > 1) == (threads > 1)
    assert outcome.rows_of == {one_group: ROWS}


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_late_row_is_refused_by_its_number(tmp_path: Path, threads: int) -> None:
    values = np.random.default_rng(0).normal(size=ROWS)
    odd = values.copy()
    odd[ODD:] = np.nan
    pq.write_table(pa.table({"y": values, "p": odd}), tmp_path / "odd.parquet")
    with pytest.raises(DataError, match=rf"row {ODD}, column 'p': the value is NaN"):
        ran(str(tmp_path / "odd.parquet"), threads)


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize("good", [0, 1, 2])
def test_the_first_fault_is_told_with_any_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: int, threads: int
) -> None:
    monkeypatch.setattr(lossctl.spine, "SMALL", 0)
    texts = ["y,p\n1,2\n"] * good + ["y,p\n1,2\n3,oops\n", "y,p\n", "y,p\n1,2\n"]
    for at, text in enumerate(texts):
        (tmp_path / f"{at}.csv").write_text(text)
    paths = [str(tmp_path / f"{at}.csv") for at in range(len(texts))]
    with pytest.raises(DataError, match="oops"):
        lossctl.evaluate(paths, "mae", target="y", pred="p", threads=threads)
