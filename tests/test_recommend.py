"""`lossctl recommend`: what it recognises, that what it recommends runs, and what it warns of."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossctl.exact import Workspace
from lossctl.loss.registry import get
from lossctl.process import run
from lossctl.tallies import Numbers

DATA = Path(__file__).parent.parent / "examples" / "data"
RNG = np.random.default_rng(7)
N = 400

Advise = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def advise(capsys: pytest.CaptureFixture[str]) -> Advise:
    """The views of a file; every recommended command is run and must succeed."""

    def made(path: Path, *options: str) -> list[dict[str, Any]]:
        assert run(["recommend", str(path), "-f", "json", *options], False) == 0, capsys.readouterr().err
        views: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["views"]
        for view in views:
            for warning in view["warnings"]:
                assert not set(warning["avoid"]) & {pick["loss"] for pick in view["recommended"]}, warning
            for pick in view["recommended"]:
                code = run(shlex.split(pick["command"])[1:], False)
                assert code == 0, (pick["command"], capsys.readouterr().err)
        capsys.readouterr()
        return views

    return made


def write(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def tasks(view: dict[str, Any]) -> list[str]:
    return [each["task"] for each in view["tasks"]]


def losses(view: dict[str, Any]) -> list[str]:
    return [each["loss"] for each in view["recommended"]]


def kinds(view: dict[str, Any]) -> dict[str, Any]:
    return {each["kind"]: each for each in view["warnings"]}


def vectors(values: Any) -> pa.Array:
    return pa.array([list(map(float, row)) for row in values])


EXAMPLES = {
    "preds.csv": ("regression", "mse"),
    "counts.parquet": ("counts", "poisson-deviance"),
    "cancer.csv": ("binary", "bce"),
    "cancer.parquet": ("binary", "bce"),
    "digits.csv": ("multi-class", "cross-entropy"),
    "digits_logits.parquet": ("multi-class", "cross-entropy"),
    "masks.parquet": ("segmentation", "dice"),
    "masks_pixels.csv": ("segmentation", "dice"),
    "quantiles.parquet": ("quantiles", "multi-quantile"),
    "ranking.parquet": ("ranking", "ndcg-loss"),
    "epochs.csv": ("binary", "bce"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name: str, advise: Advise) -> None:
    task, loss = EXAMPLES[name]
    view = advise(DATA / name)[0]
    assert task in tasks(view)
    assert loss in losses(view)


def test_columns_named_like_inputs(advise: Advise) -> None:
    (view,) = advise(DATA / "triplets.parquet")
    assert losses(view) == ["triplet"]
    views = {view["pred"]: losses(view) for view in advise(DATA / "quantiles.parquet")}
    assert {"crps-normal", "gaussian-nll"} <= set(views["mean"])
    assert views["members"] == ["crps-ensemble"]
    assert views[None] == ["interval-score"]


def test_reasons_come_from_the_declaration(advise: Advise) -> None:
    for view in advise(DATA / "cancer.parquet"):
        for pick in view["recommended"]:
            assert pick["reason"].startswith(get(pick["loss"]).doc.sections["Use when"])


def test_logits_and_probabilities(advise: Advise) -> None:
    by = {view["pred"]: view for view in advise(DATA / "cancer.parquet")}
    assert "bce:from-logits=true" in [pick["spec"] for pick in by["logit"]["recommended"]]
    assert "hinge" in losses(by["score"])
    assert "hinge" not in losses(by["prob"])
    assert "mse" in kinds(by["prob"])["classes-as-numbers"]["avoid"]


def test_outliers(advise: Advise, tmp_path: Path) -> None:
    y = RNG.normal(50, 10, N)
    pred = y + RNG.normal(0, 1, N)
    assert "outliers" not in tasks(advise(write(tmp_path / "a.parquet", y_true=y, y_pred=pred))[0])
    pred[::40] += 500
    (view,) = advise(write(tmp_path / "b.parquet", y_true=y, y_pred=pred))
    assert tasks(view)[0] == "outliers"
    warning = kinds(view)["outliers"]
    assert "mse" in warning["avoid"]
    assert "mae" in warning["instead"]
    assert "mse" not in warning["instead"]
    assert not {"quantile", "mape", "bias"} & set(warning["avoid"])


def test_whole_numbers_may_be_classes(advise: Advise, tmp_path: Path) -> None:
    y = RNG.integers(0, 5, N)
    pred = np.where(RNG.random(N) < 0.8, y, RNG.integers(0, 5, N))
    for name in ("pred", "p"):
        (view,) = advise(write(tmp_path / "a.parquet", **{"target": y, name: pred}))
        assert tasks(view) == ["regression", "multi-class"]
        assert {"mse", "zero-one"} <= set(losses(view))
        assert {kind: each["instead"] for kind, each in kinds(view).items()} == {
            "perhaps-classes": ["zero-one"]
        }
    for other in (pred + 0.5, -pred, np.arange(N)):
        (view,) = advise(write(tmp_path / "b.parquet", target=y, pred=other))
        assert "multi-class" not in tasks(view)


def test_probabilities_that_are_logits(advise: Advise, tmp_path: Path) -> None:
    y = RNG.integers(0, 2, N)
    (view,) = advise(write(tmp_path / "a.parquet", label=y, prob=RNG.normal(0, 3, N)))
    assert "looks-like-logits" in kinds(view)
    assert "bce:from-logits=true" in [pick["spec"] for pick in view["recommended"]]
    (view,) = advise(write(tmp_path / "b.parquet", label=y, logit=RNG.random(N)))
    assert "looks-like-probabilities" in kinds(view)


def test_rows_not_summing_to_one(advise: Advise, tmp_path: Path) -> None:
    columns = {f"p_{k}": RNG.random(N) for k in range(3)}
    (view,) = advise(write(tmp_path / "a.parquet", label=RNG.integers(0, 3, N), **columns))
    assert "rows-not-summing-to-one" in kinds(view)
    assert "cross-entropy:normalize=true" in [pick["spec"] for pick in view["recommended"]]


def test_imbalance(advise: Advise, tmp_path: Path) -> None:
    y = (np.arange(N) % 40 == 0).astype(float)
    (view,) = advise(write(tmp_path / "a.parquet", label=y, prob=RNG.random(N)))
    assert "imbalance" in tasks(view)
    assert "binary-focal" in kinds(view)["imbalance"]["instead"]


def test_multi_label_and_sequences(advise: Advise, tmp_path: Path) -> None:
    y = RNG.integers(0, 2, (N, 4))
    (view,) = advise(write(tmp_path / "a.parquet", labels=vectors(y), probs=vectors(RNG.random((N, 4)))))
    assert tasks(view) == ["multi-label"]
    assert {"hamming", "bce", "label-ranking"} <= set(losses(view))
    words = pa.array(["the cat sat", "a dog"])
    (view,) = advise(write(tmp_path / "b.parquet", target=words, hypothesis=pa.array(["the cat", "a dog"])))
    assert losses(view) == ["wer", "cer"]
    names = pa.array(["cat", "dog"] * 20)
    (view,) = advise(write(tmp_path / "c.parquet", target=names, pred=pa.array(["cat"] * 40)))
    assert "zero-one" in losses(view)


def test_token_sequences(advise: Advise, tmp_path: Path) -> None:
    lengths = [3, 5, 2]
    target = pa.array([[float(k % 4) for k in range(n)] for n in lengths])
    pred = pa.array([RNG.normal(0, 3, (n, 4)).tolist() for n in lengths])
    (view,) = advise(write(tmp_path / "a.parquet", target=target, logits=pred))
    assert "sequences" in tasks(view)
    assert "token-nll:from-logits=true" in [pick["spec"] for pick in view["recommended"]]


def test_missing_values_are_skipped(advise: Advise, tmp_path: Path) -> None:
    file = tmp_path / "a b.csv"
    file.write_text("truth,the pred\n1.5,2\n,3\n4.25,nan\n7,8\n")
    (view,) = advise(file, "--pred", "the pred")
    assert "missing-values" in kinds(view)
    assert all("--nan skip" in pick["command"] for pick in view["recommended"])


def test_text_output_is_plain(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", **{"y_true": [1.0, 2.5], "y\x1b[31m": [1.0, 2.0]})
    assert run(["recommend", str(file), "--pred", "y\x1b*"], False) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "Fits" in out


def test_nothing_to_go_by(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["recommend", str(write(tmp_path / "a.parquet", a=[1.0], b=[2.0]))], False) == 3
    assert "--target" in capsys.readouterr().err


@pytest.mark.parametrize("cuts", [[], [1], [500], [3, 700, 700, 701]])
def test_statistics_do_not_depend_on_the_blocks(cuts: list[int]) -> None:
    data = np.concatenate([RNG.normal(0, 1, 990), [1e6, -0.0, 0.0, np.nan, np.inf, -np.inf, 5, 5, 5, -1e300]])
    whole, parts = Numbers(), Numbers()
    whole.add(data, None, Workspace())
    for part in np.split(data, cuts):
        parts.add(part, None, Workspace())
    names = "size nan posinf neginf low high runs counts bins mean outliers"
    for name in names.split():
        assert getattr(parts, name) == getattr(whole, name), name
    finite = data[np.isfinite(data)]
    assert whole.quantile(0.5) == pytest.approx(np.median(finite), rel=0.02, abs=0.02)
    assert whole.outliers == 5


def test_columns_that_no_loss_reads_are_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import datetime

    file = tmp_path / "in.parquet"
    times = [datetime.datetime(2020, 1, 1)] * 3
    pq.write_table(pa.table({"target": times, "pred": [{"a": 1}] * 3}), file)
    for words, says in (([], "no columns are named"), (["--target", "target"], "holds timestamp[us]")):
        assert run(["recommend", str(file), *words], debug=False) == 3
        out, err = capfd.readouterr()
        assert out == ""
        assert says in err
