"""The command line as a process: exit codes, streams and messages."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent / "examples" / "data"
PREDS = DATA / "preds.parquet"


def lossctl(
    *arguments: object, stdin: bytes | None = None, cwd: Path = DATA
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "lossctl", *map(str, arguments)], input=stdin, capture_output=True, cwd=cwd
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def value(*arguments: object, stdin: bytes | None = None) -> float:
    done = lossctl("compute", *arguments, "-f", "value", stdin=stdin)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


HUBER = value("huber", "--delta", "1.5", PREDS)


class TestInputs:
    def test_csv_equals_parquet(self) -> None:
        assert value("huber", "--delta", "1.5", DATA / "preds.csv") == HUBER

    @pytest.mark.parametrize("suffix", ["gz", "zst", "bz2"])
    def test_compressed_csv(self, suffix: str, tmp_path: Path) -> None:
        file = tmp_path / f"preds.csv.{suffix}"
        text = (DATA / "preds.csv").read_bytes()
        if suffix == "gz":
            file.write_bytes(gzip.compress(text))
        elif suffix == "bz2":
            import bz2

            file.write_bytes(bz2.compress(text))
        else:
            import pyarrow as pa

            with pa.CompressedOutputStream(str(file), "zstd") as out:
                out.write(text)
        assert value("huber", "--delta", "1.5", file) == HUBER

    @pytest.mark.parametrize("name", ["preds.csv", "preds.parquet"])
    def test_standard_input(self, name: str) -> None:
        assert value("huber", "--delta", "1.5", "-", stdin=(DATA / name).read_bytes()) == HUBER

    def test_glob_and_hive_directory(self, tmp_path: Path) -> None:
        for part in ("a", "b"):
            (tmp_path / f"part={part}").mkdir()
            shutil.copy(PREDS, tmp_path / f"part={part}" / "p.parquet")
        assert value("huber:delta=1.5", f"{tmp_path}/*/*.parquet") == HUBER
        done = lossctl("compute", "huber:delta=1.5", tmp_path, "--by", "part", "-f", "jsonl")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [row["group"] for row in rows] == [{"part": "a"}, {"part": "b"}, {}]
        assert {row["value"] for row in rows} == {HUBER}

    def test_options_may_come_first(self) -> None:
        done = lossctl("compute", "-f", "value", "--by", "age_band", "mae", PREDS)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) > 2


class TestResults:
    def test_groups_add_up_to_the_total(self) -> None:
        done = lossctl("compute", "mae", PREDS, "--by", "age_band", "-f", "json")
        results = json.loads(done.stdout)["results"]
        assert results[-1]["group"] == {}
        assert sum(r["rows"] for r in results[:-1]) == results[-1]["rows"] == 442
        assert results[-1]["value"] == value("mae", PREDS)

    def test_json_is_the_contract(self) -> None:
        made = json.loads(lossctl("compute", "huber", "--delta", "1.5", PREDS, "-f", "json").stdout)
        assert made["schema"] == "lossctl.result/1"
        assert made["columns"] == {"target": "y_true", "pred": "y_pred"}
        assert made["rows"] == {"read": 442, "used": 442, "filtered": 0, "skipped": 0}
        result = made["results"][0]
        assert result["spec"] == "huber:delta=1.5"
        assert result["params"] == {"delta": 1.5}
        assert result["signature"] == "huber|delta=1.5|mean|exact|lossctl 0.1.0"
        assert result["value"] == HUBER
        assert result["status"] == "ok"

    def test_where_counts_what_it_filters(self) -> None:
        done = lossctl("compute", "mae", PREDS, "--where", "y_true > 100", "-f", "json")
        rows = json.loads(done.stdout)["rows"]
        assert rows["read"] == 442 == rows["used"] + rows["filtered"]
        assert 0 < rows["filtered"] < 442

    def test_infinite_is_null_with_a_status(self, tmp_path: Path) -> None:
        file = tmp_path / "p.csv"
        file.write_text("y,p\n1,0\n0,0.5\n")
        result = json.loads(lossctl("compute", "bce", file, "-f", "json").stdout)["results"][0]
        assert result["value"] is None
        assert result["status"] == "inf"
        assert result["nonfinite"] == {"inf": 1}

    def test_samples_keep_the_order_and_the_ids(self) -> None:
        done = lossctl("compute", "mse,mae", "preds.csv", "--reduction", "none", "--id", "id", "-f", "jsonl")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [r["row"] for r in rows] == list(range(442))
        assert rows[0]["mse"] == rows[0]["mae"] ** 2

    def test_outputs_are_written_beside_stdout(self, tmp_path: Path) -> None:
        targets = [tmp_path / name for name in ("r.json", "r.csv", "r.md")]
        done = lossctl("compute", "mae", PREDS, *(w for t in targets for w in ("-o", t)))
        assert done.returncode == 0
        assert all(t.stat().st_size for t in targets)
        assert json.loads(targets[0].read_text())["results"][0]["value"] == value("mae", PREDS)


CASES = [
    (["compute", "hubr", PREDS], 2, "did you mean 'huber'"),
    (["compute", "huber", "--delta", "-1", PREDS], 2, "delta cannot be '-1'"),
    (["compute", "huber:dleta=1", PREDS], 2, "did you mean 'delta'"),
    (["compute", "huber", "--nan", "drop", PREDS], 2, "error or skip or propagate"),
    (["compute", "mae", PREDS, "--format", "yaml"], 2, "table"),
    (["compute", "mae", PREDS, "--reduction", "pooled"], 2, "no pooled value"),
    (["compute", "zero-one", PREDS, "--reduction", "none", "--grad"], 2, "no gradient"),
    (["compute", "mae", PREDS, "--where", "y_true >"], 2, "cannot read"),
    (["compute", "mae", PREDS, "--like", "smp"], 2, "it can follow"),
    (["compute", "mae"], 2, "FILE"),
    (["comput", "mae", PREDS], 2, "did you mean 'compute'"),
    (["explain", "hubr"], 2, "did you mean 'huber'"),
    (["compute", "mae", "nowhere.parquet"], 3, "no such file"),
    (["compute", "mae", "nowhere/*.parquet"], 3, "nowhere"),
    (["compute", "mae", PREDS, PREDS], 3, "given twice"),
    (["compute", "mae", PREDS, "--pred", "y_prde"], 3, "closest: y_pred"),
    (["compute", "bce", "cancer.csv"], 3, "several columns could be pred"),
    (["compute", "bce", "cancer.csv", "--pred", "logit"], 3, "not a probability"),
    (["compute", "mae", PREDS, "--by", "region"], 3, "no column 'region'"),
    (["compute", "mae", PREDS, "--pred", "age_band"], 3, "text"),
    (["compute", "mae", PREDS, "-o", "/nowhere/r.json"], 4, "nowhere"),
    (["compute", "mae", PREDS, "--fail-above", "1"], 1, "is above 1.0"),
    (["compute", "mae", PREDS, "--fail-below", "1000"], 1, "is below 1000.0"),
]


@pytest.mark.parametrize(
    ("arguments", "code", "text"), CASES, ids=[" ".join(map(str, c[0]))[-50:] for c in CASES]
)
def test_refusals(arguments: list[object], code: int, text: str) -> None:
    done = lossctl(*arguments)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    if code != 1:
        assert done.stdout == ""
        assert len(done.stderr.splitlines()) == 1


ROWS = [
    ("bce", "y,p\n1,0.5\n0,1.2\n", "row 1, column 'p': 1.2 is not a probability"),
    ("mae", "y,p\n1,2\n3,\n", "row 1, column 'p': the value is missing"),
    ("mae", "y,p\n1,nan\n", "row 0, column 'p': the value is NaN"),
    ("hinge", "y,p\n1,1\n0.5,1\n", "row 1, column 'y': 0.5 is neither 0/1 nor -1/1"),
    ("hinge", "y,p\n0,1\n-1,1\n", "labels mix 0"),
    ("mae", "y,p\n1,two\n", "two"),
    ("mae", "y,p\n1,9007199254740993\n", "9007199254740993"),
    ("mae", "y,p\n1,2,3\n", "line 2"),
    ("mae", "", "empty"),
    ("mae", "y,p\n", "no rows"),
]


@pytest.mark.parametrize(("loss", "text", "message"), ROWS)
def test_bad_rows_are_named(loss: str, text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    done = lossctl("compute", loss, file)
    assert done.returncode == 3, done.stderr
    assert message in done.stderr
    assert str(file) in done.stderr or "labels mix" in message


def test_skipped_rows_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "holes.csv"
    file.write_text("y,p\n1,2\n3,\n5,5\n")
    made = json.loads(lossctl("compute", "mae", file, "--nan", "skip", "-f", "json").stdout)
    assert made["rows"] == {"read": 3, "used": 2, "filtered": 0, "skipped": 1}
    assert made["results"][0]["value"] == 0.5


def test_version_needs_no_imports() -> None:
    code = (
        "import sys\n"
        "from lossctl.__main__ import main\n"
        "try: main(['--version'])\nexcept SystemExit: pass\n"
        "found = {'numpy', 'typer', 'typing', 'signal', 'contextlib'} & set(sys.modules)\n"
        "assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "lossctl 0.1.0\n"


def test_plugin_adds_a_loss(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from lossctl.loss import Array, Residual, loss\n"
        "@loss()\ndef cubed(residual: Residual) -> Array:\n    'Cubed error.'\n    return residual ** 3\n"
    )
    done = lossctl("compute", "cubed", PREDS, "-f", "value", "--plugin", file)
    assert done.returncode == 0, done.stderr
    file.write_text("\n1 / 0\n")
    done = lossctl("compute", "mae", PREDS, "--plugin", file)
    assert done.returncode == 2
    assert "mine.py, line 2: ZeroDivisionError" in done.stderr


class TestGroupsWithoutRows:
    def test_a_group_that_is_filtered_out_is_not_there(self) -> None:
        done = lossctl(
            "compute", "mae", PREDS, "--by", "age_band", "--where", "age_band != '19-39'", "-f", "jsonl"
        )
        groups = [json.loads(line)["group"] for line in done.stdout.splitlines()]
        assert groups == [{"age_band": "40-59"}, {"age_band": "60-79"}, {}]

    def test_a_group_whose_values_are_all_missing_is_empty(self, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("y,p,g\n1,,a\n1,2,b\n")
        done = lossctl("compute", "mae", "p.csv", "--by", "g", "--nan", "skip", "-f", "jsonl", cwd=tmp_path)
        assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["empty", "ok", "ok"]

    def test_unused_words_of_a_dictionary_are_no_groups(self, tmp_path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        key = pa.DictionaryArray.from_arrays([0, 2, 0], ["a", "b", "c"])
        pq.write_table(pa.table({"y": [1.0, 2, 3], "p": [1.0, 2, 4], "g": key}), tmp_path / "p.parquet")
        done = lossctl("compute", "mae", "p.parquet", "--by", "g", "-f", "jsonl", cwd=tmp_path)
        assert [json.loads(line)["group"] for line in done.stdout.splitlines()] == [
            {"g": "a"},
            {"g": "c"},
            {},
        ]

    @pytest.mark.parametrize("rows", ["1,2,\n1,2,b\n", "1,2,\n1,2,\n1,2,b\n"])
    def test_a_missing_group_may_be_filtered_out(self, rows: str, tmp_path: Path) -> None:
        (tmp_path / "p.csv").write_text("y,p,g\n" + rows)
        flags = ["compute", "mae", "p.csv", "--by", "g", "-f", "jsonl"]
        done = lossctl(*flags, "--where", "g == 'b'", "--chunk-rows", "1", cwd=tmp_path)
        assert [json.loads(line)["group"] for line in done.stdout.splitlines()] == [{"g": "b"}, {}], (
            done.stderr
        )
        refused = lossctl(*flags, cwd=tmp_path)
        assert refused.returncode == 3
        assert "row 0" in refused.stderr
