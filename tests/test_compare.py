"""Paired comparison: differences, tests and refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossctl.resample import holm, p_value

I = np.arange(1, 61)  # noqa: E741
X = ((I * 37) % 61) ** 1.5 / 10
Y = X + ((I * 17) % 23 - 9.5) / 4
KEY = (I * 7) % 61


def saved(path: Path, pred: Any, target: Any = None, key: Any = KEY) -> str:
    target = np.zeros(len(pred)) if target is None else target
    band = np.where(np.asarray(key) % 2, "odd", "even")
    pq.write_table(pa.table({"id": key, "target": target, "pred": pred, "band": band}), path)
    return str(path)


def lossctl(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lossctl", "compare", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True)


def compared(*words: object) -> list[dict[str, Any]]:
    done = lossctl(*words, "-f", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["differences"]
    return found


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    return saved(tmp_path / "a.parquet", X + 10), saved(tmp_path / "b.parquet", Y + 10)


def test_as_scipy_has_it(pair: tuple[str, str]) -> None:
    """scipy.stats 1.17.1 on y - x: bootstrap (200,000, percentile), permutation_test (400,000, samples)."""
    (found,) = compared("mae", *pair, "--resamples", "20000")
    assert found["difference"] == pytest.approx(0.4625, abs=1e-12)
    assert (found["low"], found["high"]) == pytest.approx(
        (0.04583333333333339, 0.8791666666666667), abs=0.025
    )
    assert found["p"] == pytest.approx(0.035579911050222374, abs=0.006)
    assert found["p"] == found["p_adjusted"]
    assert found["verdict"] == "worse"
    (turned,) = compared("mae", *reversed(pair))
    assert (turned["difference"], turned["verdict"]) == (-found["difference"], "better")


def test_a_key_pairs_rows_in_any_order(pair: tuple[str, str], tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(60)
    other = saved(tmp_path / "c.parquet", Y[order] + 10, key=KEY[order])
    for more in ((), ("--by", "band")):
        straight = compared("mae,rmse,r2-loss+mae" if not more else "mae", *pair, *more)
        keyed = compared("mae,rmse,r2-loss+mae" if not more else "mae", pair[0], other, "--on", "id", *more)
        assert [{**d, "system": "", "group": list(d["group"].values())} for d in keyed] == [
            {**d, "system": "", "group": list(d["group"].values())} for d in straight
        ]


def test_chunks_and_threads_change_nothing(pair: tuple[str, str]) -> None:
    expected = compared("mae,rmse", *pair)
    assert compared("mae,rmse", *pair, "--chunk-rows", "7", "--threads", "3") == expected
    assert compared("mae,rmse", *pair, "--seed", "1") != expected


def test_p_is_never_zero(tmp_path: Path) -> None:
    a, b = saved(tmp_path / "a.parquet", X + 10), saved(tmp_path / "b.parquet", X)
    (found,) = compared("mae", a, b)
    assert found["p"] == 1 / 10000
    assert found["verdict"] == "better"
    (same,) = compared("mae", a, a)
    assert (same["difference"], same["p"], same["verdict"]) == (0.0, 1.0, "no evidence")
    assert p_value(2.0, np.array([1.0, -2.0, 3.0])) == 3 / 4


def test_holm_by_hand() -> None:
    """p = .01 .04 .03 .005: sorted .005·4, .01·3, .03·2, .04·1 raised to the largest before it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, float("nan"), 0.7])[::2] == pytest.approx([1.0, 1.0])


def test_rows_that_are_not_the_same_are_refused(pair: tuple[str, str], tmp_path: Path) -> None:
    target = np.zeros(60)
    target[41] = 5e-324
    moved = saved(tmp_path / "m.parquet", Y, target)
    done = lossctl("mae", pair[0], moved)
    assert done.returncode == 3
    assert "row 41" in done.stderr
    assert "'target'" in done.stderr
    assert lossctl("mae", pair[0], moved, "--on", "id").returncode == 3
    short = saved(tmp_path / "s.parquet", Y[:59], key=KEY[:59])
    done = lossctl("mae", pair[0], short)
    assert done.returncode == 3
    assert "row 59" in done.stderr
    assert lossctl("mae", pair[0]).returncode == 2


def test_three_systems_in_markdown(pair: tuple[str, str]) -> None:
    done = lossctl("mae,rmse", *pair, pair[0], "-f", "markdown")
    assert done.returncode == 0, done.stderr
    assert "Holm over 4 tests" in done.stdout
    assert done.stdout.startswith("| system | loss | baseline")


@pytest.mark.parametrize(("rows", "more"), [(110, ["--cluster", "c"]), (2020, [])])
def test_as_many_rows_of_a_bucket_are_not_the_same_rows(rows: int, more: list[str], tmp_path: Path) -> None:
    """Rows 0 and 1 are of one cluster; 2004 and 2015, past those that stand alone, hash to one bucket."""
    left, other = (0, 1) if more else (2004, 2015)
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    for path, missing in ((first, left), (second, other)):
        pred = ["" if i == missing else "1000" if i == left else "1" for i in range(rows)]
        path.write_text("target,pred,c\n" + "".join(f"0,{p},{i // 2}\n" for i, p in enumerate(pred)))
    done = lossctl("mae", first, second, "--nan", "skip", *more)
    assert done.returncode == 3
    assert "mae uses other rows" in done.stderr
    same = tmp_path / "same.csv"
    same.write_text(first.read_text().replace(",1000,", ",2,").replace(",1,", ",3,"))
    assert lossctl("mae", first, same, "--nan", "skip", *more).returncode == 0


def test_an_infinite_value_is_no_evidence_and_said_to_be_infinite(tmp_path: Path) -> None:
    target = KEY % 2
    good = saved(tmp_path / "a.parquet", np.where(target, 0.9, 0.1), target)
    bad = saved(tmp_path / "b.parquet", np.where(I == 1, 1.0 - target, np.where(target, 0.9, 0.1)), target)
    for pair, note, status in (
        ((good, bad), "the value is infinite", "inf"),
        ((bad, good), "the baseline is infinite", "-inf"),
        ((bad, bad), "the baseline is infinite and the value is infinite", "nan"),
    ):
        (found,) = compared("bce", *pair)
        assert (found["verdict"], found["note"], found["status"]) == ("no evidence", note, status)


def test_skipped_rows_are_told(tmp_path: Path) -> None:
    gaps = np.where(I < 3, np.nan, X)
    pair = saved(tmp_path / "a.parquet", gaps), saved(tmp_path / "b.parquet", gaps + 1)
    done = lossctl("mae", *pair, "--nan", "skip")
    told = [f"{path}: 2 of 60 rows were skipped" for path in pair]
    assert done.stderr.splitlines() == [f"warning: {each}" for each in told]
    assert "58 rows paired by row order (60 rows read: 58 used, 2 skipped, 0 filtered)" in done.stdout
    made = json.loads(lossctl("mae", *pair, "--nan", "skip", "--on", "id", "-f", "json").stdout)
    assert made["warnings"] == told
    assert made["rows"] == {"read": 60, "used": 58, "filtered": 0, "skipped": 2}
