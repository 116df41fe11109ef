"""Joins on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_cli import lossctl
from test_join import write


class TestCommand:
    @pytest.fixture
    def files(self, tmp_path: Path) -> tuple[str, str]:
        pred = {"id": ["c", "x", "a", "b"], "region": ["n", "w", "s", "n"], "p": [3.5, 9, 1, 2]}
        return (
            write(tmp_path / "pred.csv", pred),
            write(
                tmp_path / "true.csv",
                {"id": ["z", "a", "b", "c"], "y": [0, 1, 4, 3], "w": [9, 1, 1, 2], "g": list("qmmo")},
            ),
        )

    def run(self, files: tuple[str, str], *more: str, stdin: bytes | None = None) -> Any:
        given = (
            ["-", "--target-file", files[1]] if stdin is not None else [files[0], "--target-file", files[1]]
        )
        return lossctl("compute", "mae", *given, "--pred", "p", "--target", "y", *more, stdin=stdin)

    def test_strict_refuses_and_inner_counts(self, files: tuple[str, str]) -> None:
        done = self.run(files, "--on", "id")
        assert done.returncode == 3
        pred, true = files
        assert f"1 of 4 only in {true} (first: id=z), 1 of 4 only in {pred} (first: id=x)" in done.stderr
        done = self.run(files, "--on", "id", "--join", "inner", "-f", "json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["rows"] == {"read": 4, "used": 3, "filtered": 1, "skipped": 0}
        assert told["results"][0]["value"] == 2.5 / 3
        assert [(Path(i["path"]).name, i["rows"]) for i in told["inputs"]] == [
            ("pred.csv", 4),
            ("true.csv", 4),
        ]
        assert len(told["warnings"]) == 2
        assert "1 row of" in told["warnings"][0]

    def test_filters_weights_and_groups_of_either_file(self, files: tuple[str, str]) -> None:
        inner = ("--on", "id", "--join", "inner")
        done = self.run(files, *inner, "--weight", "w", "-f", "value")
        assert float(done.stdout) == 3.0 / 4
        done = self.run(files, *inner, "--where", "region == 'n' and y > 3", "-f", "json")
        assert json.loads(done.stdout)["rows"] == {"read": 4, "used": 1, "filtered": 3, "skipped": 0}
        done = self.run(files, *inner, "--where", "p > 3", "-f", "json")
        assert json.loads(done.stdout)["rows"] == {"read": 4, "used": 1, "filtered": 3, "skipped": 0}
        done = self.run(files, *inner, "--by", "g", "-f", "jsonl")
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(r["group"], r["rows"]) for r in rows] == [({"g": "m"}, 2), ({"g": "o"}, 1), ({}, 3)]

    def test_values_per_row_keep_the_order_of_the_predictions(self, files: tuple[str, str]) -> None:
        done = self.run(
            files, "--on", "id", "--join", "inner", "--reduction", "none", "--id", "id", "-f", "csv"
        )
        assert done.stdout.splitlines() == ["row,id,mae", "0,c,0.5", "2,a,0", "3,b,2"]
        assert "has no target" in done.stderr

    def test_standard_input_is_either_side(self, files: tuple[str, str], tmp_path: Path) -> None:
        for name, start in (("pred", 0), ("true", 1)):
            stdin = Path(files[start]).read_bytes()
            given = (files[0], "-") if start else ("-", files[1])
            done = lossctl(
                *("compute", "mae", given[0], "--target-file", given[1], "--on", "id", "--join", "inner"),
                *("--pred", "p", "--target", "y", "--by", "id", "-f", "jsonl"),
                stdin=stdin,
            )
            assert done.returncode == 0, (name, done.stderr)
            assert [json.loads(line)["value"] for line in done.stdout.splitlines()][-1] == 2.5 / 3
        assert (
            lossctl(
                "compute", "mae", "-", "--target-file", "-", "--on", "id", stdin=b"id,y\n1,1\n"
            ).returncode
            == 2
        )

    @pytest.mark.parametrize(
        "more",
        [(), ("--on", "id", "--join", "left"), ("--on", "id,id"), ("--on", "")],
        ids=["no keys", "left", "twice", "empty"],
    )
    def test_wrong_usage(self, more: tuple[str, ...], files: tuple[str, str]) -> None:
        assert self.run(files, *more).returncode == 2

    @pytest.mark.parametrize("more", [("--on", "id"), ("--join", "inner")])
    def test_options_of_a_join_without_one(self, more: tuple[str, ...], files: tuple[str, str]) -> None:
        assert lossctl("compute", "mae", files[0], *more).returncode == 2

    def test_the_memory_cap(self, files: tuple[str, str]) -> None:
        assert self.run(files, "--on", "id", "--join", "inner", "--max-memory", "50").returncode == 4

    def test_an_output_never_replaces_the_target_file(self, files: tuple[str, str]) -> None:
        done = self.run(files, "--on", "id", "--join", "inner", "-o", files[1])
        assert done.returncode == 2
        assert "is the input" in done.stderr

    def test_nothing_heavy_is_loaded(self, files: tuple[str, str]) -> None:
        import subprocess
        import sys

        code = (
            "import sys\nfrom lossctl.api import evaluate\n"
            "columns = dict(on='id', join='inner', target='y', pred='p')\n"
            "evaluate(sys.argv[1], 'mae', target_file=sys.argv[2], **columns)\n"
            "print([m for m in ('pandas', 'pyarrow.dataset', 'rich') if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True)
        assert done.stdout == "[]\n", done.stderr
