"""What a refusal says: what is wrong in the user's own words, where, and what to write instead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossctl.errors import UsageError
from lossctl.loss.registry import all_losses, known_names
from lossctl.loss.spec import parse
from lossctl.process import run

ROWS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("messages")
    n = np.arange(ROWS)
    columns = {"id": n, "y_true": n / 7, "y_pred": n / 5, "n": n % 3}
    columns |= {"g": np.array(["a", "b"])[n % 2], "user": n % 8}
    table = pa.table({name: values.tolist() for name, values in columns.items()})
    (made / "flat").mkdir()
    for name in ("g", "flat/a", "flat/b"):
        pq.write_table(table, made / f"{name}.parquet")
    pq.write_table(table.slice(0, ROWS - 2), made / "short.parquet")
    other = table.set_column(1, "y_true", pa.array((n / 7 + (n == 4)).tolist())).take(
        pa.array(n[::-1].tolist())
    )
    pq.write_table(other, made / "other.parquet")
    files = {
        "flat/notes.txt": "hello there\nthis is text\n",
        "renamed.csv": "y_true,p2\n1,2\n",
        "alike.csv": "y_true,prediction\n1,2\n",
        "null.csv": "y_true,y_pred,c\n1,2,0.1234567890123\n3,,0.2\n5,6,\n7,9,0.3\n",
        "na.csv": "y_true,y_pred\n1,2\nNA,3\n-,4\n",
        "lossctl.toml": "[data]\n",
    }
    for name, text in files.items():
        (made / name).write_text(text)
    return made


def said(folder: Path, words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    """Both streams of a command; words are divided at `|`, so that they may hold blanks."""
    monkeypatch.chdir(folder)
    run([word.strip() for word in words.split("|")], False)
    captured = capfd.readouterr()
    return captured.out + captured.err


COLON = "write 'bce:eps=1e-7:label-smoothing=0.1'"
REFUSED = [
    # specs
    ("compute|bce:eps=1e-7,label-smoothing=0.1|g.parquet", ["character 14", "joined by ':'", COLON]),
    ("compute|bce:eps=1e-7,label-smoothing=0.1|g.parquet|-f|json", ["character 14", '"at": 14']),
    ("compute|huber:1.5|g.parquet", ["the parameters of huber are: delta"]),
    ("compute|mse-mea|g.parquet", ["did you mean 'mse'?"]),
    ("compute|accuracy|g.parquet", ["it is a score", "nearest loss is zero-one"]),
    ("compute|f1,mae|g.parquet", ["nearest loss is dice"]),
    ("compute|mae|rmse|g.parquet", ["'rmse' is a loss", "LOSS,rmse"]),
    ("compute|g.parquet|mae", ["'g.parquet' is a file", "compute LOSS FILE"]),
    ("worst|r2-loss|g.parquet", ["no row is the worst", "such as mse"]),
    # several files
    (
        "compare|mae|g.parquet|short.parquet|--on|id",
        ["2 of 60 only in g.parquet", "0 of 58 only in short.parquet"],
    ),
    ("compare|mae|g.parquet|short.parquet|--on|id", ["leave the other ones out of the files"]),
    ("compute|mae|g.parquet|--target-file|short.parquet|--on|id", ["only in g.parquet", "--join inner"]),
    (
        "compare|mae|g.parquet|other.parquet|--on|id",
        ["g.parquet, row 4, column 'y_true': differs from other.parquet", "same key", "correct one"],
    ),
    ("compare|mae|g.parquet|other.parquet", ["column 'y_true'", "pair them by a key with --on"]),
    ("compute|mae|flat/b.parquet|renamed.csv", ["error: renamed.csv: no column for pred", "are: y_true, p2"]),
    ("compute|mae|flat/b.parquet|alike.csv", ["alike.csv: 'prediction'", "in flat/b.parquet it is 'y_pred'"]),
    ("compute|mae|flat/*", ["error: flat/notes.txt: no column", "columns are: hello there"]),
    # gates
    ("gate|--init|lossctl.toml", ["takes a data file", "lossctl gate --init DATA -c lossctl.toml"]),
    (
        "gate|g.parquet|--max|mae=9|--needs|significant|--cluster|user",
        ["8 clusters", "needs 50", "as --cluster, or leave it out"],
    ),
    ("gate|g.parquet|--max|mae=9|--by|g,user", ["--by g --by user"]),
    # options
    ("compute|mae|g.parquet|--pred|y_*,y_pred", ["column 'y_pred' stands twice in --pred"]),
    ("compute|ranknet|g.parquet|--group|user|--target|n|--pred|y_*", ["ranknet takes one number per row"]),
    ("compute|mae|g.parquet|--by|g,usr", ["no column 'usr' for by; closest: user"]),
    ("curve|mae|g.parquet|--by|g,user", ["--by g --by user"]),
    ("curve|huber|g.parquet|--by|n|--delta=2", ["write it there: huber:delta=2"]),
    ("compare|mae,huber|g.parquet|g.parquet|--delta|2", ["write it there: huber:delta=2"]),
    ("compute|mae|g.parquet|--where|n == 'x'", ["holds numbers", "the text 'x'", "n == 1"]),
    ("compute|mae|g.parquet|--where|g > 1", ["holds text", "g == 'a'"]),
    ("compute|mae|na.csv|--na|NA,-", ["each --na is one text: --na 'NA' --na '-'"]),
    ("compute|mae|g.parquet|--expect-rows|9", ["there are 60 rows where 9 are expected"]),
]


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("mae*2", "2*mae"),
        ("mae/2", "0.5*mae"),
        ("(mae+mse)", "mae+mse"),
        ("0.5*(mae+mse)", "0.5*mae+0.5*mse"),
        ("(mae + mse)/4 - huber(delta=2)", "0.25*mae+0.25*mse+-1*huber:delta=2"),
        ("huber(delta=1.5)", "huber:delta=1.5"),
        ("huber delta=1.5", "huber:delta=1.5"),
        ("tversky(alpha=0.3, beta=0.7)", "tversky:alpha=0.3:beta=0.7"),
        ("mse-mae", "mse+-1*mae"),
        ("mse - 0.1*smooth-l1", "mse+-0.1*smooth-l1"),
        ("mae;mse", "mae,mse"),
        ("mae mse", "mae,mse"),
        ("mae/0", None),
        ("mae*mse", None),
        ("mae+1", None),
        ("(mae", None),
        ("huber(nothing=1)", None),
        ("(" * 900, None),
    ],
)
def test_a_spec_in_other_words_is_answered_with_the_right_ones(text: str, better: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    hint = caught.value.hint or ""
    assert (hint == f"write '{better}'") if better else ("write '" not in hint), hint
    if better:
        assert parse(better)[0].text


def test_a_score_is_no_name_of_a_loss() -> None:
    scores = [score for loss in all_losses() for score in loss.scores]
    assert len(scores) == len(set(scores))
    assert not set(scores) & set(known_names())


SHOWN = [
    ("curve|hinge|g.parquet|--by|user|--target|n|--where|n < 2|--margin|0.2", ["worse by 0.2 of the best"]),
    ("compute|mae|renamed.csv|--pred|p2|-v", ["1 row read: 1 used", "(csv, 1 row)"]),
    ("check|renamed.csv", ["renamed.csv: csv, 1 row\n"]),
    ("recommend|renamed.csv|--pred|p2", ["1 row\n"]),
    ("gate|renamed.csv|--pred|p2|--max|mae=9|--min-rows|2", ["1 row < "]),
    ("compute|mae|g.parquet|--by|g,user", ["g    user  rows"]),
    ("compare|mae|g.parquet|short.parquet|--on|id,n", ["of 60 only in"]),
    (
        "compute|medae,max-error|null.csv|--nan|propagate",
        ["medae: 1 row has a loss that is not", "max-error: 1 row"],
    ),
    ("worst|mae|null.csv|--nan|propagate", ["0.123457\n"]),
    ("compute|mae|g.parquet|--reduction|none|--id|n|-f|jsonl", ['{"row":0,"n":0,"mae"']),
    ("compute|mae|null.csv|--reduction|none|--nan|skip|--id|c|-f|jsonl", ['"c":"0.1234567890123"']),
]


@pytest.mark.parametrize(("words", "parts"), REFUSED + SHOWN)
def test_what_is_meant_is_said(
    words: str,
    parts: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    text = said(folder, words, monkeypatch, capfd)
    assert [part for part in parts if part not in text] == [], text
    never = ["leave out --reduction", "leave out --ci", "pred.y_true", "predictions ("]
    never += ["--join"] * words.startswith("compare")
    assert [part for part in never if part in text] == [], text


def test_carried_numbers_are_numbers_and_may_be_missing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.parquet", tmp_path / "out.parquet"
    columns = {"target": [1.0, 2.0], "pred": [1.0, 3.0], "k": [7, None], "x": [0.5, None], "t": ["7", None]}
    pq.write_table(pa.table(columns), source)
    ids = ["--id", "k", "--id", "x", "--id", "t"]
    run(["compute", "mae", str(source), "--reduction", "none", *ids, "-o", str(target), "-f", "json"], False)
    rows = json.loads(capfd.readouterr().out)
    assert rows[0] == {"row": 0, "k": 7, "x": 0.5, "t": "7", "mae": 0.0}
    assert rows[1] == {"row": 1, "k": None, "x": None, "t": None, "mae": 1.0}
    made = pq.read_table(target)
    assert [str(field.type) for field in made.schema] == ["int64", "int64", "double", "string", "double"]
    assert made.to_pylist() == rows


@pytest.mark.parametrize(
    ("name", "first"),
    [("zero-one", "top-k-error"), ("bce", "brier"), ("mse", ""), ("hinge", "multiclass-hinge")],
)
def test_a_hint_to_losses_of_a_number_beside_a_vector_can_be_followed(
    name: str, first: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.csv").write_text("target,p_0,p_1,p_2\n1,.2,.5,.3\n0,.2,.5,.3\n")
    words = [str(tmp_path / "in.csv"), "--pred", "p_*"]
    assert run(["compute", name, *words], False) == 3
    hint = capfd.readouterr().err
    assert "name one column for pred, or a vector as wide for target" in hint
    named = hint.strip().partition("a vector is for ")[2].split(" or ")
    assert named[0] == first
    for other in filter(None, named):
        assert run(["compute", other, *words], False) == 0, other
