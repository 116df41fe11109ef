"""`lossctl gate`: verdicts, directions, baselines, configuration and exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lossctl.config import build, load
from lossctl.config_values import allowance
from lossctl.errors import UnknownName, UsageError
from lossctl.gate import Baseline, judge
from lossctl.passes import Passes
from lossctl.result import Score
from lossctl.saved import Entry, Saved
from lossctl.verdicts import Allowance, Check

DATA = Path(__file__).parent.parent / "examples" / "data"
PREDS = DATA / "preds.parquet"


def lossctl(*arguments: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lossctl", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
    )


def score(value: float, *, empty: bool = False, rows: int = 10, **group: str) -> Score:
    return Score("mae", "mae", {}, "mean", value, rows, 10.0, "mae|mean|v1", group=group, empty=empty)


def before(value: float, signature: str = "mae|mean|v1", status: str = "ok", **group: str) -> Entry:
    return Entry("mae", group, value, status, 10, signature)


def saved(*entries: Entry) -> Baseline:
    return Baseline(Saved("base.json", entries))


def outcome(check: Check, now: Score, baseline: Baseline | None = None) -> str:
    (verdict,) = judge(check, [now], baseline or Baseline())
    return verdict.outcome


class TestVerdicts:
    @pytest.mark.parametrize(
        ("value", "expected"), [(0.13, "pass"), (0.13000000000000003, "fail"), (float("inf"), "fail")]
    )
    def test_limits_compare_unrounded_numbers(self, value: float, expected: str) -> None:
        assert outcome(Check("c", "mae", maximum=0.13), score(value)) == expected

    @pytest.mark.parametrize(("value", "expected"), [(0.5, "pass"), (0.49999999999999994, "fail")])
    def test_minimum(self, value: float, expected: str) -> None:
        assert outcome(Check("c", "mae", minimum=0.5), score(value)) == expected

    @pytest.mark.parametrize(
        ("direction", "old", "new", "expected"),
        [
            ("lower", 1.0, 1.02, "pass"),
            ("lower", 1.0, 1.0200000000000002, "fail"),
            ("lower", 1.0, 0.1, "pass"),
            ("higher", 1.0, 0.98, "pass"),
            ("higher", 1.0, 0.97, "fail"),
            ("higher", 1.0, 5.0, "pass"),
            ("zero", -1.0, 1.02, "pass"),
            ("zero", 1.0, -1.03, "fail"),
            ("zero", 1.0, 0.0, "pass"),
            ("lower", 1.0, float("inf"), "fail"),
            ("lower", 1.0, float("-inf"), "inconclusive"),
        ],
    )
    def test_regression_follows_the_direction(
        self, direction: str, old: float, new: float, expected: str
    ) -> None:
        check = Check("c", "mae", direction, regression=allowance("x", "2%"))
        assert outcome(check, score(new), saved(before(old))) == expected

    def test_the_larger_allowance_counts(self) -> None:
        both = Allowance("", absolute=Decimal("0.5"), relative=Decimal("0.02"))
        check = Check("c", "mae", regression=both)
        assert outcome(check, score(1.5), saved(before(1.0))) == "pass"
        assert outcome(check, score(102.0), saved(before(100.0))) == "pass"
        assert outcome(check, score(102.1), saved(before(100.0))) == "fail"

    def test_decimals_are_compared_as_written(self) -> None:
        check = Check("c", "mae", regression=allowance("x", 0.1))
        assert outcome(check, score(0.8), saved(before(0.7))) == "pass"  # 0.7 + 0.1 < 0.8 in binary

    @pytest.mark.parametrize(
        ("now", "baseline"),
        [
            (score(float("nan")), saved(before(1.0))),
            (score(float("nan"), empty=True), saved(before(1.0))),
            (score(1.0, rows=2), saved(before(1.0))),
            (score(1.0), Baseline()),
            (score(1.0), saved()),
            (score(1.0), saved(before(float("nan"), status="nan"))),
        ],
        ids=["nan", "empty", "few rows", "no baseline", "not in baseline", "baseline nan"],
    )
    def test_what_cannot_be_judged_is_inconclusive(self, now: Score, baseline: Baseline) -> None:
        check = Check("c", "mae", regression=allowance("x", "2%"), min_rows=3)
        (verdict,) = judge(check, [now], baseline)
        assert (verdict.outcome, verdict.counts_as) == ("inconclusive", "failure")

    def test_vanished_and_new_groups_are_inconclusive(self) -> None:
        check = Check("c", "mae", regression=allowance("x", 1), by=("g",))
        now = [score(1.0, g="a"), score(1.0, g="new"), score(1.0)]
        made = judge(check, now, saved(before(1.0, g="a"), before(1.0, g="gone"), before(1.0)))
        assert [(v.group["g"], v.outcome) for v in made] == [
            ("a", "pass"),
            ("new", "inconclusive"),
            ("gone", "inconclusive"),
        ]

    def test_missing_metric_is_inconclusive(self) -> None:
        (verdict,) = judge(Check("c", "rmse", maximum=1.0), [score(1.0)], Baseline())
        assert verdict.outcome == "inconclusive"

    def test_changed_signature_is_an_error_that_names_the_parts(self) -> None:
        check = Check("c", "mae", regression=allowance("x", 1))
        with pytest.raises(UsageError, match="v0 -> v1") as caught:
            judge(check, [score(1.0)], saved(before(1.0, "mae|mean|v0")))
        assert caught.value.facts["differs"] == ["v0 -> v1"]

    def test_changed_weight_is_an_error(self) -> None:
        check = Check("c", "mae", regression=allowance("x", 1), conditions={"weight": "w"})
        with pytest.raises(UsageError, match="weight=none -> weight=w"):
            judge(check, [score(1.0)], saved(before(1.0)))

    @pytest.mark.parametrize(
        ("severity", "policy", "expected"),
        [
            ("error", "fail", "failure"),
            ("warning", "fail", "warning"),
            ("error", "warn", "warning"),
            ("error", "pass", "pass"),
        ],
    )
    def test_inconclusive_counts_as_told(self, severity: str, policy: str, expected: str) -> None:
        check = Check("c", "mae", maximum=1.0, severity=severity, on_inconclusive=policy)
        (verdict,) = judge(check, [score(float("nan"))], Baseline())
        assert verdict.counts_as == expected


def config(folder: Path, text: str, name: str = "lossctl.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


GOOD = f"""
[data]
files = ["{PREDS}"]
target = "y_true"
[[check]]
spec = "mae"
max = 50
[[check]]
name = "groups"
spec = "rmse"
max = 60
by = "age_band"
"""


class TestConfig:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("chek = 1", "unknown key 'chek'.*check"),
            ("[data]\nfile = ['x']\n[[check]]\nspec='mae'\nmax=1", "unknown key 'file'.*files"),
            ("[[check]]\nspec='mae'\nmaximum=1", "unknown key 'maximum'"),
            ("[[check]]\nspec='mae'\nmax_regression=1", "did you mean 'max-regression'"),
            ("[[check]]\nspec='mea'\nmax=1", "did you mean .*'mae'"),
            ("[[check]]\nspec='mae,mse'\nmax=1", "several losses"),
            ("[[check]]\nspec='mae'", "no limit"),
            ("[[check]]\nmax=1", "no spec"),
            ("[[check]]\nspec='mae'\nmax='x'", "max cannot be 'x'"),
            ("[[check]]\nspec='mae'\nmax=nan", "a finite number"),
            ("[[check]]\nspec='mae'\nmax=true", "a finite number"),
            ("[[check]]\nspec='mae'\nmax=1\nmin=2", "nothing could pass"),
            ("[[check]]\nspec='mae'\nmax-regression='-2%'", "a number from 0"),
            ("[[check]]\nspec='mae'\nmax-regression={rel=2}", "a percentage"),
            ("[[check]]\nspec='mae'\nmax-regression={relative='2%'}", "unknown key of max-regression"),
            ("[[check]]\nspec='mae'\nmax=1\nseverity='fatal'", "error or warning"),
            ("[[check]]\nspec='mae'\nmax=1\nanchor='x'", "unknown key 'anchor'"),
            ("[[check]]\nspec='mae-mse'\nmax=1", "unknown loss|cannot read"),
            ("[[check]]\nname='a'\nspec='mae'\nmax=1\n[[check]]\nname='a'\nspec='mse'\nmax=1", "two checks"),
            ("", "there are no checks"),
            ("schema='lossctl.config/9'", "schema cannot be"),
            ("check = 3", "tables"),
        ],
    )
    def test_what_is_wrong_is_refused(self, text: str, message: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as caught:
            build(load(str(config(tmp_path, text))), {"files": ["x"]}, [])
        assert re.search(message, str(caught.value)), str(caught.value)

    def test_unknown_keys_are_unknown_names(self, tmp_path: Path) -> None:
        with pytest.raises(UnknownName):
            build(load(str(config(tmp_path, "basline='x'"))), {}, [])

    def test_direction_of_sums(self) -> None:
        from lossctl.config import GateConfig

        (plan,) = build(GateConfig(), {"files": ["x"]}, [{"spec": "mae+0.5*mse", "max-regression": 1}])
        assert plan.check.direction == "lower"
        with pytest.raises(UsageError, match="different ways"):
            build(GateConfig(), {"files": ["x"]}, [{"spec": "mae+-1*mse", "max-regression": 1}])

    def test_checks_share_passes(self, tmp_path: Path) -> None:
        text = GOOD + "[[check]]\nspec='huber'\nmin=0\n[[check]]\nspec='mse'\nmin=0\nby=['age_band']\n"
        plans = build(load(str(config(tmp_path, text))), {}, [])
        assert [len(each.plans) for each in Passes(plans, 2).passes] == [2, 2]

    def test_paths_are_relative_to_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "p.csv").write_text("y_true,y_pred\n1,2\n")
        text = "baseline='b.json'\n[data]\nfiles='p.csv'\n[[check]]\nspec='mae'\nmax=1\n"
        config(tmp_path / "sub", text)
        done = lossctl("gate", "-c", "sub/lossctl.toml", "--update-baseline", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "sub" / "b.json").exists()

    def test_pyproject_and_discovery(self, tmp_path: Path) -> None:
        text = f"[tool.lossctl.data]\nfiles='{PREDS}'\n[[tool.lossctl.check]]\nspec='mae'\nmax=50\n"
        config(tmp_path, text, "pyproject.toml")
        (tmp_path / "deep").mkdir()
        assert lossctl("gate", cwd=tmp_path / "deep").returncode == 0

    def test_schema_version_and_example_fit(self, tmp_path: Path) -> None:
        assert len(build(load(str(config(tmp_path, GOOD))), {}, [])) == 2


class TestExitCodes:
    def test_0_passed(self, tmp_path: Path) -> None:
        config(tmp_path, GOOD)
        done = lossctl("gate", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "4 checks: 4 passed" in done.stdout

    def test_1_breached(self, tmp_path: Path) -> None:
        done = lossctl("gate", PREDS, "--max", "huber:delta=1.5=0.13", cwd=tmp_path)
        assert done.returncode == 1
        assert "FAIL  huber:delta=1.5" in done.stdout

    @pytest.mark.parametrize(
        "flags",
        [
            ["--max-regression", "mae=2%", "--baseline", "none.json"],
            ["--max-regression", "mae=2%"],
            ["--max", "mae=99", "--min-rows", "9999"],
            ["--max", "mae=99", "--where", "id < 0"],
        ],
    )
    def test_1_inconclusive(self, flags: list[str], tmp_path: Path) -> None:
        done = lossctl("gate", PREDS, *flags, cwd=tmp_path)
        assert done.returncode == 1, done.stderr
        assert "????" in done.stdout

    @pytest.mark.parametrize("policy", ["warn", "pass"])
    def test_0_inconclusive_when_told(self, policy: str, tmp_path: Path) -> None:
        config(tmp_path, f"on-inconclusive='{policy}'\n[[check]]\nspec='mae'\nmax-regression=1\n")
        done = lossctl("gate", PREDS, cwd=tmp_path)
        assert done.returncode == 0
        assert "1 inconclusive" in done.stdout

    def test_0_a_warning_never_fails(self, tmp_path: Path) -> None:
        config(tmp_path, "[[check]]\nspec='mae'\nmax=1\nseverity='warning'\n")
        done = lossctl("gate", PREDS, cwd=tmp_path)
        assert done.returncode == 0
        assert done.stdout.startswith("WARN")

    @pytest.mark.parametrize(
        "flags",
        [
            ["--max", "mea=1"],
            ["--max", "mae"],
            ["--max", "mae=1", "--max", "mae=2"],
            ["-c", "none.toml"],
            [],
            ["--max", "mae=1", "-f", "pdf"],
            ["--max", "mae=1", "-o", "github:step-summary"],
            ["--max", "mae=1", "--update-baseline"],
            ["--nonsense"],
        ],
    )
    def test_2_usage(self, flags: list[str], tmp_path: Path) -> None:
        done = lossctl("gate", PREDS, *flags, cwd=tmp_path, GITHUB_STEP_SUMMARY="")
        assert done.returncode == 2, done.stdout
        assert done.stderr.startswith("error: ")

    def test_3_data(self, tmp_path: Path) -> None:
        assert lossctl("gate", "none.csv", "--max", "mae=1", cwd=tmp_path).returncode == 3
        assert lossctl("gate", PREDS, "--max", "mae=1", "--pred", "nope", cwd=tmp_path).returncode == 3
        (tmp_path / "b.json").write_text("{}")
        flags = ["--max-regression", "mae=1", "--baseline", "b.json"]
        assert lossctl("gate", PREDS, *flags, cwd=tmp_path).returncode == 3

    def test_4_resource(self, tmp_path: Path) -> None:
        done = lossctl("gate", PREDS, "--max", "mae=99", "-o", "no/such/dir/r.json", cwd=tmp_path)
        assert done.returncode == 4
        assert done.stdout == ""


class TestBaseline:
    def test_written_only_when_asked_and_compared(self, tmp_path: Path) -> None:
        flags = ["--max-regression", "mae=1%", "--by", "age_band", "--baseline", "b.json"]
        assert lossctl("gate", PREDS, *flags, cwd=tmp_path).returncode == 1
        assert not (tmp_path / "b.json").exists()
        assert lossctl("gate", PREDS, *flags, "--update-baseline", cwd=tmp_path).returncode == 0
        first = (tmp_path / "b.json").read_bytes()
        assert json.loads(first)["schema"] == "lossctl.result/1"
        assert lossctl("gate", PREDS, *flags, cwd=tmp_path).returncode == 0
        worse = ["--where", "y_true > 100"]
        changed = lossctl("gate", PREDS, *flags, *worse, cwd=tmp_path)
        assert changed.returncode == 2
        assert "where=none -> where=y_true > 100" in changed.stderr
        assert (tmp_path / "b.json").read_bytes() == first

    def test_a_result_of_compute_serves(self, tmp_path: Path) -> None:
        lossctl("compute", "mae", DATA / "preds_b.parquet", "-o", "b.json", cwd=tmp_path)
        flags = ["--baseline", "b.json", "-f", "json"]
        done = lossctl("gate", PREDS, "--max-regression", "mae=2%", *flags, cwd=tmp_path)
        assert done.returncode == 1, done.stderr
        rule = json.loads(done.stdout)["checks"][0]["rules"][0]
        assert (rule["verdict"], rule["allowed"]) == ("fail", "2%")
        assert lossctl("gate", PREDS, "--max-regression", "mae=5%", *flags, cwd=tmp_path).returncode == 0
        again = lossctl("gate", PREDS, "--max-regression", "mae=5%", *flags, "--weight", "w", cwd=tmp_path)
        assert again.returncode == 2
        assert "weight=none -> weight=w" in again.stderr

    def test_several_passes_in_one_file(self, tmp_path: Path) -> None:
        text = f"baseline='b.json'\n[data]\nfiles='{PREDS}'\n"
        for where in ("y_true > 100", "y_true <= 100"):
            text += f"[[check]]\nname='{where}'\nspec='mae'\nwhere='{where}'\nmax-regression=0\n"
        config(tmp_path, text)
        assert lossctl("gate", "--update-baseline", cwd=tmp_path).returncode == 0
        done = lossctl("gate", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr

    @pytest.mark.parametrize(("weights", "told"), [("ww", "w"), ("w", "w"), ("w-", None), ("-w", None)])
    def test_a_weight_of_all_checks_is_told(self, weights: str, told: str | None, tmp_path: Path) -> None:
        text = f"baseline='b.json'\n[data]\nfiles='{PREDS}'\n"
        for at, weight in enumerate(weights):
            text += f"[[check]]\nspec='mae'\nwhere='y_true > {at}'\nmax-regression=0\n"
            text += "weight='w'\n" if weight == "w" else ""
        config(tmp_path, text)
        assert lossctl("gate", "--update-baseline", cwd=tmp_path).returncode == 0
        assert json.loads((tmp_path / "b.json").read_text())["columns"].get("weight") == told


class TestInit:
    def test_starter_runs_and_is_not_overwritten(self, tmp_path: Path) -> None:
        printed = lossctl("gate", "--init", PREDS, cwd=tmp_path)
        assert printed.returncode == 0, printed.stderr
        made: dict[str, Any] = tomllib.loads(printed.stdout)
        assert made["data"]["target"] == "y_true"
        assert lossctl("gate", "--init", PREDS, "-c", "lossctl.toml", cwd=tmp_path).returncode == 0
        assert lossctl("gate", cwd=tmp_path).returncode == 0
        again = lossctl("gate", "--init", PREDS, "-c", "lossctl.toml", cwd=tmp_path)
        assert again.returncode == 2
        assert "exists" in again.stderr

    @pytest.mark.parametrize("path", sorted(DATA.glob("*.*")), ids=lambda path: path.name)
    def test_starter_is_toml_for_every_example(self, path: Path, tmp_path: Path) -> None:
        from lossctl.cli.gate_init import starter

        assert "data" in tomllib.loads(starter(str(path), "", {}))


def test_a_column_that_is_not_found_is_named_where_a_gate_can_name_it(tmp_path: Path) -> None:
    rows = "".join(f"{i % 2},0.{i},{i // 4}\n" for i in range(8))
    (tmp_path / "rank.csv").write_text("target,pred,query\n" + rows)
    refused = lossctl("gate", "rank.csv", "--max", "ndcg-loss=1", cwd=tmp_path)
    assert refused.returncode == 3
    assert "--group" not in refused.stderr
    assert "as LOSS:group=COLUMN, or as group = 'COLUMN' under [data]" in refused.stderr
    assert lossctl("gate", "rank.csv", "--max", "ndcg-loss:group=query=1", cwd=tmp_path).returncode == 0
    config = "[data]\nfiles = 'rank.csv'\ngroup = 'query'\n[[check]]\nspec = 'ndcg-loss'\nmax = 1\n"
    (tmp_path / "lossctl.toml").write_text(config)
    assert lossctl("gate", cwd=tmp_path).returncode == 0
    refused = lossctl("gate", "rank.csv", "--max", "mae=1", "--target", "nope", cwd=tmp_path)
    assert "no column 'nope' for target" in refused.stderr
