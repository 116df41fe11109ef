"""Gates that need significance, intervals on `gate`, and checks over joined files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from lossctl.config import OWN, SHARED, TOP, GateConfig, build, load
from lossctl.errors import UsageError
from lossctl.gate import Baseline, judge
from lossctl.passes import Passes
from lossctl.render.gate import render_gate
from lossctl.result import Confidence, Score
from lossctl.saved import Entry, Saved
from lossctl.verdicts import Allowance, Check, Report, Verdict

DATA = Path(__file__).parent.parent / "examples" / "data"
PREDS = DATA / "preds.parquet"  # mae 46.28, its 95% interval 43.3 to 49.6


def lossctl(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lossctl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def score(value: float, low: float, high: float, note: str = "") -> Score:
    interval = Confidence(0.95, low, high, "row-bootstrap", 2000, 0, note)
    return Score("mae", "mae", {}, "mean", value, 30, 30.0, "mae|v1", interval=interval)


def judged(
    check: dict[str, Any], value: float, low: float, high: float, before: float | None = None
) -> Verdict:
    made = Check("c", "mae", needs="significant", level=0.95, **check)
    entries = [] if before is None else [Entry("mae", {}, before, "ok", 30, "mae|v1")]
    (verdict,) = judge(made, [score(value, low, high)], Baseline(Saved("b.json", entries)))
    return verdict


NAN = float("nan")
INF = float("inf")
ONE = Allowance("1", 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("check", "numbers", "outcome"),
    [
        ({"maximum": 10.0}, (9.0, 8.0, 11.0), "pass"),
        ({"maximum": 10.0}, (10.0, 10.0, 10.0), "pass"),
        ({"maximum": 10.0}, (10.5, 9.0, 12.0), "not-significant"),
        ({"maximum": 10.0}, (10.5, 10.0, 12.0), "not-significant"),
        ({"maximum": 10.0}, (10.5, 10.000000000000002, 12.0), "fail"),
        ({"minimum": 10.0}, (9.5, 9.0, 10.0), "not-significant"),
        ({"minimum": 10.0}, (9.5, 9.0, 9.999999999999998), "fail"),
        ({"minimum": 10.0}, (10.5, 9.0, 12.0), "pass"),
        ({"maximum": 10.0}, (10.5, NAN, NAN), "inconclusive"),
        ({"maximum": 10.0}, (9.5, NAN, NAN), "inconclusive"),
        ({"maximum": 10.0}, (INF, NAN, NAN), "fail"),
        ({"maximum": 10.0}, (-INF, NAN, NAN), "inconclusive"),
        ({"maximum": 10.0, "minimum": 9.8}, (10.5, 10.1, 12.0), "fail"),
        ({"maximum": 10.0, "minimum": 9.8}, (9.0, 8.0, 12.0), "not-significant"),
        ({"maximum": 10.0}, (NAN, NAN, NAN), "inconclusive"),
    ],
)
def test_limits(check: dict[str, Any], numbers: tuple[float, float, float], outcome: str) -> None:
    verdict = judged(check, *numbers)
    assert verdict.outcome == outcome
    counts = {"pass": "pass", "not-significant": "warning", "inconclusive": "failure", "fail": "failure"}
    assert verdict.counts_as == counts[outcome]


@pytest.mark.parametrize(
    ("direction", "before", "numbers", "outcome"),
    [
        ("lower", 10.0, (11.5, 10.5, 12.0), "not-significant"),
        ("lower", 10.0, (11.5, 11.1, 12.0), "fail"),
        ("higher", 10.0, (8.5, 8.0, 9.0), "not-significant"),
        ("higher", 10.0, (8.5, 8.0, 8.9), "fail"),
        ("zero", 2.0, (-3.5, -4.0, -3.1), "fail"),
        ("zero", 2.0, (-3.5, -4.0, -2.9), "not-significant"),
        ("zero", 2.0, (3.5, -0.1, 7.0), "not-significant"),
        ("zero", 2.0, (3.5, -4.0, 4.0), "not-significant"),
        ("zero", -2.0, (3.5, 3.1, 7.0), "fail"),
    ],
)
def test_regressions(
    direction: str, before: float, numbers: tuple[float, float, float], outcome: str
) -> None:
    check = {"regression": ONE, "direction": direction}
    assert judged(check, *numbers, before=before).outcome == outcome


def test_no_baseline_stays_inconclusive() -> None:
    assert judged({"regression": ONE}, 1.0, 0.9, 1.1).outcome == "inconclusive"


def report() -> Report:
    numbers = ((9.0, 8.0, 11.0), (10.5, 9.0, 12.0), (10.5, 10.1, 12.0), (10.5, NAN, NAN))
    return Report([judged({"maximum": 10.0}, *each) for each in numbers])


def test_it_is_named_in_every_format() -> None:
    data = json.loads(render_gate(report(), "json"))
    assert [each["verdict"] for each in data["checks"]] == ["pass", "not-significant", "fail", "inconclusive"]
    assert data["counts"]["not_significant"] == 1
    assert data["counts"]["warnings"] == 1
    assert data["checks"][1]["ci"] == {
        "level": 0.95,
        "low": 9.0,
        "high": 12.0,
        "method": "row-bootstrap",
        "resamples": 2000,
        "seed": 0,
    }
    assert data["checks"][3]["ci"]["low"] is None
    table = render_gate(report(), "table").splitlines()
    assert table[1].startswith("WARN  c  10.5 > 10")
    assert table[1].endswith("95% CI [9, 12]; not significant, a warning")
    assert "no interval to judge by" in table[3]
    assert table[-1] == "4 checks: 1 passed, 1 failed, 1 inconclusive, 1 not significant (1 only warned of)"
    assert "| not significant | c | 10.5 &#62; 10" in render_gate(report(), "markdown").replace(
        "\\>", "&#62;"
    )
    github = render_gate(report(), "github").splitlines()
    assert sum(line.startswith("::error") for line in github) == 2
    assert sum(line.startswith("::warning") for line in github) == 1
    cases = list(ET.fromstring(render_gate(report(), "junit")).iter("testcase"))
    assert [[child.tag for child in case][1:] for case in cases] == [
        [],
        ["skipped"],
        ["failure"],
        ["failure"],
    ]
    metrics = render_gate(report(), "openmetrics")
    assert 'lossctl_ci_low{check="c",spec="mae",level="0.95"} 9.0' in metrics
    assert metrics.count("lossctl_check_passed{") == 4


def test_exit_codes_and_shared_level(tmp_path: Path) -> None:
    plain = lossctl("gate", PREDS, "--max", "mae=46", cwd=tmp_path)
    assert plain.returncode == 1
    loose = lossctl("gate", PREDS, "--max", "mae=46", "--needs", "significant", cwd=tmp_path)
    assert (loose.returncode, loose.stdout[:4]) == (0, "WARN"), loose.stderr
    strict = lossctl("gate", PREDS, "--max", "mae=43", "--needs", "significant", cwd=tmp_path)
    assert strict.returncode == 1
    half = ["--needs", "significant", "--ci", "0.5"]
    assert lossctl("gate", PREDS, "--max", "mae=44.5", *half, cwd=tmp_path).returncode == 1
    few = ["--where", "id < 15", "--needs", "significant"]
    done = lossctl("gate", PREDS, "--max", "mae=999", *few, cwd=tmp_path)
    assert done.returncode == 1
    assert "fewer than 20 rows" in done.stdout


CONFIG = f"""
needs = "significant"
[data]
files = "{PREDS}"
ci = 0.9
seed = 4
[[check]]
spec = "mae"
max = 46
[[check]]
name = "bare"
spec = "mae"
max = 46
needs = "value"
severity = "warning"
[[check]]
spec = "medae"
needs = "value"
max = 99
"""


def test_intervals_are_those_of_compute(tmp_path: Path) -> None:
    (tmp_path / "lossctl.toml").write_text(CONFIG)
    done = lossctl("gate", "-f", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, bare, median = json.loads(done.stdout)["checks"]
    computed = lossctl("compute", "mae", PREDS, "--ci", "0.9", "--seed", "4", "-f", "json", cwd=tmp_path)
    assert first["ci"] == bare["ci"] == json.loads(computed.stdout)["results"][0]["ci"]
    assert (first["verdict"], bare["verdict"], median["ci"]) == ("not-significant", "fail", None)
    assert "medae has no interval" in done.stderr


def test_an_interval_changes_no_number_and_no_baseline(tmp_path: Path) -> None:
    flags = ["--max-regression", "mae=0", "--baseline", "b.json"]
    assert lossctl("gate", PREDS, *flags, "--ci", "0.9", "--update-baseline", cwd=tmp_path).returncode == 0
    assert lossctl("gate", PREDS, *flags, cwd=tmp_path).returncode == 0
    worse = DATA / "preds_b.parquet"
    assert lossctl("gate", worse, *flags, "--ci", "0.9", cwd=tmp_path).returncode == 0
    lossctl("gate", worse, *flags, "--update-baseline", cwd=tmp_path)
    assert lossctl("gate", PREDS, *flags, cwd=tmp_path).returncode == 1
    done = lossctl("gate", PREDS, *flags, "--needs", "significant", cwd=tmp_path)
    assert done.returncode == 0
    assert "not significant" in done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[check]]\nspec='medae'\nmax=1\nneeds='significant'", "no interval"),
        ("[[check]]\nspec='mae+max-error'\nmax=1\nneeds='significant'", "no interval"),
        ("[[check]]\nspec='medae'\nmax=1\nci=0.9", "leave out its ci"),
        ("[[check]]\nspec='mae'\nmax=1\nneeds='signifcant'", "value or significant"),
        ("[[check]]\nspec='mae'\nmax=1\nci=0.3", "from 0.5"),
        ("[[check]]\nspec='mae'\nmax=1\nci=true", "from 0.5"),
        ("[[check]]\nspec='mae'\nmax=1\nci=0.9\nseed=-1", "a whole number from 0"),
        ("[[check]]\nspec='mae'\nmax=1\nci=0.9\nresamples=5", "a whole number from 100"),
        ("[[check]]\nspec='mae'\nmax=1\ncluster='id'", "is for an interval"),
        ("[data]\ncluster='id'\n[[check]]\nspec='mae'\nmax=1", "is for an interval"),
        ("need='significant'", "did you mean 'needs'"),
        ("[data]\nneeds='significant'\n[[check]]\nspec='mae'\nmax=1", r"\[data\].*belongs above"),
        ("[[check]]\nspec='mae'\nmax=1\non='id'", "is for a join"),
        ("[data]\njoin='inner'\n[[check]]\nspec='mae'\nmax=1", "is for a join"),
        ("[[check]]\nspec='mae'\nmax=1\ntarget-file='t.csv'", "needs keys"),
        ("[[check]]\nspec='mae'\nmax=1\ntarget_file='t.csv'", "did you mean 'target-file'"),
        ("[[check]]\nspec='mae'\nmax=1\ntarget-file='t.csv'\non='id'\njoin='outer'", "strict or inner"),
    ],
)
def test_config_errors(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "lossctl.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        build(load(str(path)), {"files": ["x"]}, [])


def test_passes_are_shared_where_intervals_allow() -> None:
    def passes(*checks: dict[str, Any]) -> list[int]:
        made = build(
            GateConfig(), {"files": ["x"]}, [{"max": 1, "name": str(i), **c} for i, c in enumerate(checks)]
        )
        return [len(each.plans) for each in Passes(made, 2).passes]

    assert passes({"spec": "mae"}, {"spec": "mse", "ci": 0.9}, {"spec": "rmse", "needs": "significant"}) == [
        2,
        1,
    ]
    assert passes({"spec": "medae"}, {"spec": "mse", "ci": 0.9}) == [1, 1]


def test_every_line_of_the_starter_is_a_setting_that_exists(tmp_path: Path) -> None:
    text = lossctl("gate", "--init", PREDS, cwd=tmp_path).stdout
    said = [line.removeprefix("# ") for line in text.splitlines() if re.match(r"# [a-z-]+ = ", line)]
    keys = {key for line in said for key in tomllib.loads(line)}
    assert {"needs", "ci", "target-file", "on", "baseline", "min-rows"} <= keys
    assert keys <= {*TOP, *SHARED, *OWN}


class TestJoin:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "p.csv").write_text("id,y_pred\n1,1.5\n2,2\n3,9\n")
        (tmp_path / "sub" / "t.csv").write_text("y_true,id\n2,2\n1,1\n9.5,3\n")
        (tmp_path / "sub" / "less.csv").write_text("y_true,id\n2,2\n1,1\n")
        return tmp_path

    def test_shared_and_own_keys(self, folder: Path) -> None:
        (folder / "sub" / "lossctl.toml").write_text(
            "[data]\nfiles='p.csv'\ntarget-file='t.csv'\non='id'\n[[check]]\nspec='mae'\nmax=1\n"
            "[[check]]\nname='less'\nspec='mae'\nmax=1\ntarget-file='less.csv'\non=['id']\njoin='inner'\n"
        )
        done = lossctl("gate", "-c", "sub/lossctl.toml", "-f", "json", cwd=folder)
        assert done.returncode == 0, done.stderr
        data = json.loads(done.stdout)
        assert [(each["rows"], each["value"]) for each in data["checks"]] == [(3, 1 / 3), (2, 0.25)]
        assert "1 row of" in done.stderr
        refused = lossctl("gate", "-c", "sub/lossctl.toml", "-o", "json:sub/t.csv", cwd=folder)
        assert refused.returncode == 2

    def test_flags_and_strictness(self, folder: Path) -> None:
        flags = ["sub/p.csv", "--max", "mae=1", "--target-file"]
        assert lossctl("gate", *flags, "sub/t.csv", "--on", "id", cwd=folder).returncode == 0
        assert lossctl("gate", *flags, "sub/less.csv", "--on", "id", cwd=folder).returncode == 3
        assert lossctl("gate", *flags, "sub/t.csv", cwd=folder).returncode == 2

    def test_a_baseline_of_another_join_is_refused(self, folder: Path) -> None:
        flags = ["sub/p.csv", "--max-regression", "mae=1", "--baseline", "b.json", "--target-file"]
        flags += ["sub/t.csv", "--on", "id"]
        assert lossctl("gate", *flags, "--update-baseline", cwd=folder).returncode == 0
        done = lossctl("gate", *flags, "--join", "inner", cwd=folder)
        assert done.returncode == 2
        assert "join=none -> join=inner" in done.stderr

    def test_worst_shows_both_sides(self, folder: Path) -> None:
        (folder / "sub" / "p.csv").write_text("id,y_pred,note\n1,1.5,a\n2,2,b\n3,9,c\n")
        (folder / "sub" / "t.csv").write_text("y_true,id,note\n2,2,x\n1,1,y\n9.5,3,z\n")
        flags = ["--target-file", "sub/t.csv", "--on", "id", "-n", "1", "-f", "jsonl"]
        done = lossctl("worst", "mae", "sub/p.csv", *flags, cwd=folder)
        assert done.returncode == 0, done.stderr
        shown = json.loads(done.stdout)
        assert shown == {
            "row": 0,
            "mae": 0.5,
            "id": 1,
            "y_pred": 1.5,
            "y_true": 1,
            "pred.note": "a",
            "target.note": "y",
        }
