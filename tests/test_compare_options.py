"""Every option of `compare`: weights, clusters, groups, filters, keys and outputs; SciPy as the judge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_compare import compared, lossctl

I = np.arange(1, 61)  # noqa: E741
X = ((I * 37) % 61) ** 1.5 / 10
Y = X + ((I * 17) % 23 - 9.5) / 4
W = 0.5 + (I * 13) % 7
USERS = 60  # clusters of three rows
PLAIN_T = 0.03386862198923996
WEIGHTED_P = 0.04428488928777678
WEIGHTED_CI = (0.02937700125484094, 1.0006416223404255)
CLUSTER_P = 0.037374906562733595
CLUSTER_WIDTH = 0.5541666666666668


def saved(path: Path, pred: Any, **columns: Any) -> str:
    made = {
        "id": I,
        "target": np.zeros(len(pred)),
        "pred": pred,
        "w": W,
        "band": np.where(I % 2, "odd", "even"),
    }
    pq.write_table(pa.table({**made, **columns}), path)
    return str(path)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    return saved(tmp_path / "a.parquet", X + 10), saved(tmp_path / "b.parquet", Y + 10)


@pytest.fixture
def users(tmp_path: Path) -> tuple[str, str]:
    """180 rows of 60 users whose rows differ alike."""
    user = np.repeat(np.arange(USERS), 3)
    shift = np.repeat(((np.arange(USERS) * 29) % 31 - 13.0) / 8, 3) + np.tile([0.1, -0.1, 0.02], USERS)
    base = 10 + np.tile(X, 3)
    more = {"id": np.arange(180), "w": np.ones(180), "band": np.full(180, "x"), "user": user}
    return (
        saved(tmp_path / "ua.parquet", base, **more),
        saved(tmp_path / "ub.parquet", base + shift, **more),
    )


def test_plain_as_the_paired_t_test(pair: tuple[str, str]) -> None:
    """scipy.stats 1.17.1: ttest_rel(y, x).pvalue; the sign-flip test has it within three standard errors."""
    (found,) = compared("mae", *pair)
    assert found["p"] == pytest.approx(PLAIN_T, abs=3 * (PLAIN_T / 9999) ** 0.5)


def test_weighted_as_scipy_permutes_it(pair: tuple[str, str]) -> None:
    """scipy.stats 1.17.1 on weighted means of y - x: permutation_test (400,000), bootstrap (100,000)."""
    (found,) = compared("mae", *pair, "--weight", "w", "--resamples", "20000")
    assert found["difference"] == pytest.approx(np.sum(W * (Y - X)) / np.sum(W), abs=1e-12)
    assert found["p"] == pytest.approx(WEIGHTED_P, abs=3 * (WEIGHTED_P / 9999) ** 0.5)
    assert (found["low"], found["high"]) == pytest.approx(WEIGHTED_CI, abs=0.03)


def test_clustered_as_scipy_permutes_the_clusters(users: tuple[str, str]) -> None:
    """scipy.stats 1.17.1: permutation_test and ttest_rel of the 60 users' mean differences."""
    (rows,) = compared("mae", *users)
    (found,) = compared("mae", *users, "--cluster", "user")
    assert found["difference"] == rows["difference"]
    assert found["p"] == pytest.approx(CLUSTER_P, abs=3 * (CLUSTER_P / 9999) ** 0.5 + 0.01)
    assert found["p"] > 2 * rows["p"]
    assert found["high"] - found["low"] > 1.4 * (rows["high"] - rows["low"])
    assert found["high"] - found["low"] == pytest.approx(CLUSTER_WIDTH, rel=0.06)


def test_p_is_hits_and_one_more(users: tuple[str, str]) -> None:
    """p = (1 + hits) / (1 + B) is a whole number of 1/10,000; Holm multiplies the smallest by the tests."""
    found = compared("mae,rmse,mse", *users, "--cluster", "user")
    counts = [10_000 * each["p"] for each in found]
    assert counts == pytest.approx([round(each) for each in counts], abs=1e-9)
    ordered = sorted(found, key=lambda each: each["p"])
    top = 0.0
    for rank, each in enumerate(ordered):
        top = max(top, min(1.0, (3 - rank) * each["p"]))
        assert each["p_adjusted"] == pytest.approx(top)


def test_a_weight_of_two_is_the_row_twice_in_value(pair: tuple[str, str], tmp_path: Path) -> None:
    twice = [saved(tmp_path / f"w{at}.parquet", p + 10, w=np.full(60, 2.0)) for at, p in enumerate((X, Y))]
    weighted, plain = compared("mae", *twice, "--weight", "w"), compared("mae", *pair)
    drop = {"system": ""}
    assert [{**each, **drop} for each in weighted] == [{**each, **drop} for each in plain]


@pytest.mark.parametrize("more", [(), ("--on", "id")], ids=["order", "key"])
def test_where_compares_the_rows_that_are_kept(
    more: tuple[str, ...], pair: tuple[str, str], tmp_path: Path
) -> None:
    (found,) = compared("mae", *pair, "--where", "band == 'odd'", *more)
    odd = I % 2 == 1
    assert found["rows"] == 30
    assert found["difference"] == pytest.approx(np.mean((Y - X)[odd]), abs=1e-12)
    by_band = compared("mae", *pair, "--by", "band", *more)
    assert [each["rows"] for each in by_band] == [30, 30, 60]
    assert [list(each["group"].values()) for each in by_band] == [["even"], ["odd"], []]
    assert by_band[1]["difference"] == found["difference"]
    done = lossctl("mae", *pair, "--where", "pred > 20", *more)
    assert done.returncode == 3
    assert "--where keeps this row in one" in done.stderr
    nothing = lossctl("mae", *pair, "--where", "id > 999", *more)
    assert nothing.returncode == 3


def test_all_options_agree_between_order_and_key(pair: tuple[str, str], tmp_path: Path) -> None:
    table = pq.read_table(pair[1])
    order = np.random.default_rng(0).permutation(60)
    pq.write_table(table.take(order), tmp_path / "shuffled.parquet")
    flags = ["--weight", "w", "--where", "id > 5", "--by", "band", "--cluster", "id"]
    keyed = compared("mae,rmse", pair[0], tmp_path / "shuffled.parquet", "--on", "id", *flags)
    straight = compared("mae,rmse", *pair, *flags)
    same = {"system": "", "group": 0}
    assert [{**a, **same} for a in keyed] == [{**b, **same} for b in straight]
    assert [list(a["group"].values()) for a in keyed] == [list(b["group"].values()) for b in straight]


@pytest.mark.parametrize("more", [(), ("--on", "id")], ids=["order", "key"])
def test_weights_and_groups_must_be_the_same(
    more: tuple[str, ...], pair: tuple[str, str], tmp_path: Path
) -> None:
    heavier = saved(tmp_path / "h.parquet", Y + 10, w=np.where(I == 8, 9.0, W))
    done = lossctl("mae", pair[0], heavier, "--weight", "w", *more)
    assert done.returncode == 3
    assert "row 7" in done.stderr
    assert "'w'" in done.stderr or "'pred.w'" in done.stderr
    assert lossctl("mae", pair[0], heavier, *more).returncode == 0


def test_too_few_clusters_are_refused(pair: tuple[str, str]) -> None:
    done = lossctl("mae", *pair, "--cluster", "band")
    assert done.returncode == 3
    assert "2 clusters, an interval needs 50" in done.stderr


def test_outputs(pair: tuple[str, str], tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("r.json", "r.md", "r.txt")]
    done = lossctl("mae", *pair, *(word for each in files for word in ("-o", each)))
    assert done.returncode == 0, done.stderr
    assert files[2].read_text() == done.stdout
    assert json.loads(files[0].read_text())["schema"] == "lossctl.compare/1"
    assert files[1].read_text() == lossctl("mae", *pair, "-f", "markdown").stdout
    before = sorted(path.name for path in tmp_path.iterdir())
    assert before == ["a.parquet", "b.parquet", "r.json", "r.md", "r.txt"]


def test_outputs_refused(pair: tuple[str, str], tmp_path: Path) -> None:
    content = Path(pair[1]).read_bytes()
    os.link(pair[1], tmp_path / "link.json")
    for target in (f"json:{pair[1]}", str(tmp_path / "link.json")):
        done = lossctl("mae", *pair, "-o", target)
        assert done.returncode == 2
        assert "is the input" in done.stderr
    assert Path(pair[1]).read_bytes() == content
    assert lossctl("mae", *pair, "-o", "r.parquet").returncode == 2
    assert lossctl("mae", *pair, "-o", tmp_path / "none" / "r.json").returncode == 4
    (tmp_path / "old.json").write_text("old")
    assert lossctl("mae", *pair, "-o", tmp_path / "old.json", "--no-clobber").returncode == 2
    assert (tmp_path / "old.json").read_text() == "old"


def test_progress_changes_no_byte(pair: tuple[str, str]) -> None:
    for options in ((), ("--on", "id"), ("--where", "id > 9")):
        silent, shown = (lossctl("mae", *pair, *options, "--progress", p) for p in ("never", "always"))
        assert (silent.returncode, silent.stderr, silent.stdout) == (0, "", shown.stdout)
        assert shown.stderr


def test_schema_holds(pair: tuple[str, str]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(
        subprocess.run(
            [sys.executable, "-m", "lossctl", "schema", "compare"], capture_output=True, text=True
        ).stdout
    )
    validator = jsonschema.Draft202012Validator
    validator.check_schema(schema)
    for flags in ([], ["--by", "id"], ["--where", "id < 4"]):
        data = json.loads(lossctl("mae,rmse", *pair, pair[0], "-f", "json", *flags).stdout)
        validator(schema).validate(data)
        data["differences"][0]["p"] = 0
        with pytest.raises(jsonschema.ValidationError):
            validator(schema).validate(data)
