"""Confidence intervals: the same however the rows are cut, and as wide as they ought to be."""

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
from passes import Pieces

from lossctl import api
from lossctl.aggregate import to_result
from lossctl.bootstrap import Bootstrap
from lossctl.buckets import hash_rows, hash_texts
from lossctl.errors import DataError, UsageError
from lossctl.loss.spec import parse
from lossctl.plan import Settings, make_plan
from lossctl.resample import poisson, signs
from lossctl.result import Result
from lossctl.spine import run

SPEC = "mae,rmse,r2-loss,mse+0.5*mae"


def made(rows: int, seed: int = 5) -> pa.Table:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=rows) + 1e3
    columns: dict[str, Any] = {"target": target, "pred": target + rng.normal(size=rows)}
    columns |= {"w": rng.integers(0, 4, rows) / 2, "user": rng.integers(0, rows // 4, rows).astype(str)}
    columns["band"] = np.where(rng.random(rows) < 0.4, "a", "b")
    return pa.table(columns)


def evaluated(dataset: Any, spec: str = SPEC, level: float = 0.95, **said: Any) -> Result:
    asked = Bootstrap(level, **{k: said.pop(k) for k in ("seed", "resamples", "cluster") if k in said})
    plan = make_plan(parse(spec), Settings(**{"ci": asked, **said}), dataset)
    return to_result(plan, run(plan, dataset), dataset)


def ends(result: Result) -> list[tuple[float, float]]:
    found = [score.interval for score in result.scores]
    return [(each.low, each.high) for each in found if each is not None]


def simple(values: Any, spec: str = "mae", **said: Any) -> tuple[float, float]:
    """The interval of a loss whose rows are `values` for the absolute error."""
    columns = {"target": np.zeros(len(values)), "pred": np.asarray(values, float)}
    columns |= {"user": np.asarray(said.pop("users")).astype(str)} if "users" in said else {}
    return ends(evaluated(Pieces(pa.table(columns)), spec, **said))[0]


@pytest.mark.parametrize("rows", [700, 5000], ids=["rows", "buckets"])
@pytest.mark.parametrize("how", [{}, {"weight": "w", "by": ["band"]}, {"cluster": "user"}], ids=str)
def test_one_interval_however_the_rows_are_cut(rows: int, how: dict[str, Any], tmp_path: Path) -> None:
    from lossctl.sources import open_dataset

    whole = made(rows)
    expected = ends(evaluated(Pieces(whole), **how))
    assert len(expected) == 4 * (3 if "by" in how else 1)
    assert all(low < high for low, high in expected)
    assert ends(evaluated(Pieces(whole, 97), chunk_rows=41, **how)) == expected
    cuts = [0, 1, 333, rows // 2, rows]
    paths = [str(tmp_path / f"{at}.parquet") for at in range(4)]
    for path, low, high in zip(paths, cuts[:-1], cuts[1:], strict=True):
        pq.write_table(whole.slice(low, high - low), path, row_group_size=500)
    for threads in (1, 4):
        with open_dataset(paths, threads=threads) as dataset:
            dataset.nbytes = 1 << 30  # so that threads are started
            assert ends(evaluated(dataset, threads=threads, chunk_rows=128, **how)) == expected


def test_the_hashes_are_written_down() -> None:
    """splitmix64's first outputs for seeds 0 and 1 (Vigna's splitmix64.c), and b2sum -l 64 of 'a'."""
    assert hash_rows(np.array([0, 1])).tolist() == [0xE220A8397B1DCDAF, 0x910A2DEC89025CC1]
    assert hash_texts(["a"]).tolist() == [int.from_bytes(bytes.fromhex("40f89e395b66422f"), "little")]


def test_weights_are_poisson_and_signs_fair() -> None:
    weights = np.concatenate(list(poisson(0, 500, 999)))
    flips = np.concatenate(list(signs(0, 500, 999)))
    assert weights.shape == flips.shape == (500, 999)
    assert abs(weights.mean() - 1) < 0.006
    assert abs(weights.var() - 1) < 0.012
    assert abs((weights == 0).mean() - np.exp(-1)) < 0.003
    assert abs(flips.mean()) < 0.006
    assert set(np.unique(flips)) == {-1.0, 1.0}


# x = ((37i mod 61)^1.5)/10 for i = 1..60; scipy.stats.bootstrap 1.17.1, 200,000 resamples, percentile
X = ((np.arange(1, 61) * 37) % 61) ** 1.5 / 10
SCIPY = {"mae": (15.475911300940004, 22.572803167738254), "rmse": (20.133260830431414, 26.85826401376119)}


@pytest.mark.parametrize("spec", SCIPY)
def test_as_scipy_has_it(spec: str) -> None:
    found, expected = simple(X, spec, resamples=20000), SCIPY[spec]
    assert np.allclose(found, expected, atol=0.03 * (expected[1] - expected[0]))


def test_a_large_offset_keeps_a_centred_moment() -> None:
    near, far = made(900), made(900)
    far = far.set_column(0, "target", pa.array(np.asarray(far["target"]) + 2.0**30))
    far = far.set_column(1, "pred", pa.array(np.asarray(far["pred"]) + 2.0**30))
    a, b = (ends(evaluated(Pieces(table), "r2-loss"))[0] for table in (near, far))
    assert np.allclose(a, b, rtol=1e-5)


def test_a_sum_spreads_as_its_mean() -> None:
    mean, total = (
        simple(X),
        ends(evaluated(Pieces(pa.table({"target": X * 0, "pred": X})), "mae", reduction="sum")),
    )
    assert np.allclose(np.array(mean) * 60, total[0])


def test_clusters_widen_the_interval() -> None:
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(200), 20)
    values = rng.exponential(size=200)[users]
    apart, together = simple(values), simple(values, users=users, cluster="user")
    assert together[1] - together[0] > 3 * (apart[1] - apart[0])
    with pytest.raises(DataError, match="49 clusters"):
        simple(values, users=users % 49, cluster="user")


def test_what_has_no_interval_says_so() -> None:
    for spec in ("medae", "max-error"):
        with pytest.raises(UsageError, match="no interval"):
            simple(X, spec)
    few = evaluated(Pieces(pa.table({"target": [0.0] * 19, "pred": [1.0] * 19})), "mae").scores[0].interval
    assert few is not None
    assert few.to_dict()["low"] is None
    assert few.note == "fewer than 20 rows"


def coverage(kind: str, rows: int, trials: int, seed: int = 0, resamples: int = 500) -> float:
    """How many of the 95% intervals of a mean hold the true one."""
    hits = 0
    for trial in range(trials):
        rng = np.random.default_rng([seed, trial])
        said: dict[str, Any] = {"seed": trial, "resamples": resamples}
        if kind == "normal":
            values, truth = 10 + rng.normal(size=rows), 10.0
        elif kind == "lognormal":
            values, truth = rng.lognormal(size=rows), float(np.exp(0.5))
        elif kind == "bernoulli":
            values, truth = (rng.random(rows) < 0.2).astype(float), 0.2
        else:
            users = np.arange(rows) // 10
            values, truth = 10 + rng.normal(size=rows) + rng.normal(size=rows // 10 + 1)[users], 10.0
            said |= {"users": users, "cluster": "user"}
        low, high = simple(values, **said)
        hits += low <= truth <= high
    return hits / trials


@pytest.mark.parametrize("kind", ["normal", "clustered"])
def test_coverage_is_near_the_level(kind: str) -> None:
    assert 0.88 <= coverage(kind, 2100, 100, resamples=200) <= 1.0


def lossctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "lossctl", *words], capture_output=True, text=True)


def test_on_the_command_line(tmp_path: Path) -> None:
    path = str(tmp_path / "p.parquet")
    pq.write_table(made(300), path)
    plain = json.loads(lossctl("compute", "mae", path, "-f", "json").stdout)
    with_ci = json.loads(lossctl("compute", "mae", path, "-f", "json", "--ci", "95").stdout)
    ci = with_ci["results"][0].pop("ci")
    assert with_ci == plain
    assert list(ci) == ["level", "low", "high", "method", "resamples", "seed"]
    assert ci["low"] < plain["results"][0]["value"] < ci["high"]
    header = lossctl("compute", "mae", path, "-f", "csv", "--ci", "0.9").stdout.splitlines()[0]
    assert header == "spec,value,status,rows,ignored,weight,low,high"
    assert "95% CI" in lossctl("compute", "mae", path, "--ci", "0.95", "--by", "band").stdout
    assert lossctl("compute", "mae", path, "--seed", "1").returncode == 2
    assert lossctl("compute", "mae", path, "--ci", "1.5%").returncode == 2


def test_python_has_the_numbers_of_the_command_line(tmp_path: Path) -> None:
    path = str(tmp_path / "p.parquet")
    table = made(300)
    pq.write_table(table, path)
    cases: Any = (
        (["--ci", "0.9", "--seed", "7"], {"ci": 0.9, "seed": 7}),
        (
            ["--ci", "95%", "--cluster", "user", "--resamples", "500"],
            {"ci": "95%", "cluster": "user", "resamples": 500},
        ),
    )
    for flags, said in cases:
        shown = json.loads(lossctl("compute", "mae,rmse", path, "-f", "json", *flags).stdout)["results"]
        found = api.evaluate(path, "mae,rmse", **said)
        assert [score.to_dict() for score in found.scores] == shown
        frame = api.compute("mae,rmse", "target", "pred", data=table, **said)
        assert [score.to_dict() for score in frame.scores] == shown


def test_arrays_may_come_in_clusters() -> None:
    table = made(300)
    names = {"target": "target", "pred": "pred"}
    by_name = api.compute("mae", data=table, **names, ci=0.9, cluster="user")
    arrays = {role: table[name].to_numpy() for role, name in names.items()}
    by_array = api.compute("mae", **arrays, ci=90, cluster=table["user"].to_numpy())
    assert by_array.scores[0].interval == by_name.scores[0].interval
    with pytest.raises(UsageError, match="for an interval"):
        api.compute("mae", **arrays, seed=1)
    with pytest.raises(UsageError, match=r"from 0\.5"):
        api.compute("mae", **arrays, ci=0.1)
    with pytest.raises(UsageError, match="from 100"):
        api.compute("mae", **arrays, ci=0.9, resamples=9)
