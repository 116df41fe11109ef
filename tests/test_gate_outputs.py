"""Outputs of `lossctl gate`: formats, escaping of data text, schemas."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from test_gate import DATA, GOOD, PREDS, config, lossctl

from lossctl.render.gate import render_gate
from lossctl.render.gate_table import compared
from lossctl.render.github import step_summary
from lossctl.verdicts import Check, Report, Rule, Verdict

HOSTILE = "a|b\n::error::x%\x1b[31m\x00\ufffe<&>\u202e`@you`, :;"


def verdict(name: str, outcome: str = "fail", value: float = 1.5, **more: Any) -> Verdict:
    rule = Rule("max", outcome, 1.0, margin=-0.5)
    return Verdict(Check(name, "mae", maximum=1.0), {}, (rule,), value, "ok", 3, "mae|mean", **more)


def hostile() -> Report:
    rule = Rule("max", "fail", 1.0, margin=-0.5)
    made = Verdict(Check(HOSTILE, "mae", maximum=1.0), {HOSTILE: HOSTILE}, (rule,), 1.5, "ok", 3, HOSTILE)
    return Report([made, made])


@pytest.mark.parametrize("format", ["table", "json", "markdown", "github", "junit", "openmetrics"])
def test_no_control_characters_in_any_format(format: str) -> None:  # noqa: A002
    text = render_gate(hostile(), format)
    assert not [c for c in text if ord(c) < 32 and c != "\n"]
    if format != "json":
        assert "\u202e" not in text
    if format != "github":
        assert not any(line.lstrip().startswith("::") for line in text.splitlines())


def test_github_annotations_are_escaped_and_counted() -> None:
    lines = render_gate(hostile(), "github").splitlines()
    assert [line.startswith("::error title=lossctl gate%3A a|b") for line in lines] == [True, True, False]
    title, _, message = lines[0].removeprefix("::error ").partition("::")
    assert not set(title.removeprefix("title=")) & set(":,\r\n")
    assert "%25" in message
    many = Report([verdict(f"check {number}") for number in range(25)])
    lines = render_gate(many, "github").splitlines()
    assert sum(line.startswith("::") for line in lines) == 10
    assert "and 15 more, 25 in all" in lines


def test_github_failures_come_first() -> None:
    warned = Verdict(
        Check("w", "mae", maximum=1.0, severity="warning"), {}, (Rule("max", "fail", 1.0),), 2.0, "ok"
    )
    lines = render_gate(Report([warned, verdict("bad"), verdict("fine", "pass", 0.5)]), "github").splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning", "3"]


def test_junit_reads_back_with_unique_names() -> None:
    root = ET.fromstring(render_gate(hostile(), "junit"))
    cases = root.findall("./testsuite/testcase")
    assert len({case.get("name") for case in cases}) == 2
    properties = {p.get("name"): p.get("value") for p in cases[0].iter("property")}
    assert properties["value"] == "1.5"
    assert properties["limit.max"] == "1.0"
    assert "signature" in properties
    assert (root.get("tests"), root.get("failures")) == ("2", "2")
    assert cases[0].find("failure") is not None


def test_junit_skips_what_does_not_fail() -> None:
    lenient = Check("c", "mae", maximum=1.0, on_inconclusive="pass")
    rule = Rule("value", "inconclusive", reason="the value is NaN")
    root = ET.fromstring(render_gate(Report([Verdict(lenient, {}, (rule,))]), "junit"))
    assert (root.get("failures"), root.get("skipped")) == ("0", "1")


def test_markdown_keeps_its_columns() -> None:
    rows = [line for line in render_gate(hostile(), "markdown").splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {5}


def test_openmetrics_form() -> None:
    nan = Verdict(Check("n", "mae"), {}, (Rule("value", "inconclusive"),), float("nan"), "nan")
    lines = render_gate(Report([verdict('q"\\'), nan]), "openmetrics").splitlines()
    assert lines[-1] == "# EOF"
    assert 'lossctl_value{check="q\\"\\\\",spec="mae"} 1.5' in lines
    assert 'lossctl_value{check="n",spec="mae"} NaN' in lines
    samples = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(samples) == len(set(samples))


def test_digits_grow_until_the_numbers_differ() -> None:
    close = verdict("c", value=1.0000000001)
    assert compared(close, close.rules[0]) == "1.0000000001 > 1"
    closer = verdict("c", value=1.0000000000000002)
    assert compared(closer, closer.rules[0]) == "1.0000000000000002 > 1.0"


def test_step_summary_is_cut_to_what_is_taken() -> None:
    text = step_summary(Report([verdict(f"check {n}") for n in range(500)]), 4000)
    assert len(text.encode()) <= 4000
    assert "the table is cut" in text


def test_step_summary_appends(tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    done = lossctl(
        *("gate", PREDS, "--max", "mae=1", "-f", "github", "-o", "github:step-summary"),
        cwd=tmp_path,
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("::error title=lossctl gate%3A mae::mae: ")
    assert summary.read_text().startswith("before\n### lossctl gate: failed")


def test_all_outputs_at_once(tmp_path: Path) -> None:
    config(tmp_path, GOOD)
    outputs = ["r.json", "r.xml", "r.md", "r.txt", "r.prom", "openmetrics:metrics.txt"]
    done = lossctl("gate", *[word for each in outputs for word in ("-o", each)], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r.txt").read_text() == done.stdout
    assert (tmp_path / "r.prom").read_bytes() == (tmp_path / "metrics.txt").read_bytes()
    assert len(list(ET.parse(tmp_path / "r.xml").iter("testcase"))) == 4
    refused = lossctl("gate", "-o", "json:lossctl.toml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "input" in refused.stderr


def schema(name: str) -> Any:
    return json.loads((files("lossctl") / "schemas" / f"{name}.json").read_text())


def check(name: str, data: Any) -> None:
    """Against the schema with jsonschema where it is installed, else its required keys."""
    try:
        import jsonschema
    except ImportError:
        assert set(schema(name)["required"]) <= set(data)
        return
    jsonschema.Draft202012Validator.check_schema(schema(name))
    jsonschema.validate(data, schema(name), cls=jsonschema.Draft202012Validator)


def test_schemas_hold_for_real_outputs(tmp_path: Path) -> None:
    config(tmp_path, GOOD)
    flags = ["--baseline", "b.json", "--update-baseline", "-f", "json"]
    check("gate", json.loads(lossctl("gate", *flags, cwd=tmp_path).stdout))
    check("result", json.loads((tmp_path / "b.json").read_text()))
    check("gate", render_hostile())
    check("config", tomllib.loads(GOOD))
    for spec in ("mae", "mae,0.5*mse+rmse"):
        done = lossctl(
            "compute", spec, PREDS, "--by", "age_band", "--weight", "w", "-o", "r.json", cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        check("result", json.loads((tmp_path / "r.json").read_text()))
    check("diff", json.loads(lossctl("diff", "b.json", "r.json", "-f", "json", cwd=tmp_path).stdout))
    check("config", tomllib.loads(lossctl("gate", "--init", PREDS, cwd=tmp_path).stdout))


def render_hostile() -> Any:
    return json.loads(render_gate(hostile(), "json"))


def test_every_schema_holds_for_what_is_printed(tmp_path: Path) -> None:
    commands = {
        "check": [["check", DATA / name] for name in ("preds.csv", "digits_logits.parquet", "masks.parquet")],
        "recommend": [["recommend", DATA / "preds.csv"], ["recommend", DATA / "digits.csv"]],
        "compare": [["compare", "mae", PREDS, DATA / "preds_b.parquet", "--by", "age_band"]],
        "curve": [
            ["curve", "bce", DATA / "epochs.csv", "--by", "epoch", "--split", "split", "--pred", "prob"]
        ],
        "result": [["compute", "mae", PREDS, "--ci", "0.9"]],
        "gate": [["gate", PREDS, "--max", "mae=46", "--needs", "significant", "--by", "age_band"]],
    }
    for name, each in commands.items():
        for words in each:
            done = lossctl(*words, "-f", "json", cwd=tmp_path)
            assert done.returncode in (0, 1), done.stderr
            data = json.loads(done.stdout)
            assert data["schema"] == f"lossctl.{name}/1"
            check(name, data)


def test_every_schema_that_is_written_is_printed() -> None:
    """`"schema": "lossctl.NAME/1"` in an output means that `lossctl schema NAME` knows it."""
    root = Path(str(files("lossctl")))
    named = {
        found
        for path in root.rglob("*.py")
        for found in re.findall(r'^SCHEMA = "lossctl\.(\w+)/1"', path.read_text(), re.MULTILINE)
    }
    assert named == {path.stem for path in (root / "schemas").glob("*.json")}


def test_the_state_is_reserved() -> None:
    done = lossctl("schema", "state", cwd=DATA)
    assert (done.returncode, done.stdout) == (2, "")
    assert "reserved" in done.stderr


@pytest.mark.parametrize(
    "name", ["result", "gate", "config", "diff", "compare", "check", "recommend", "curve"]
)
def test_schema_command(name: str) -> None:
    done = lossctl("schema", name, cwd=DATA)
    assert done.returncode == 0
    assert json.loads(done.stdout) == schema(name)


def test_unknown_schema() -> None:
    done = lossctl("schema", "resul", cwd=DATA)
    assert done.returncode == 2
    assert "did you mean 'result'" in done.stderr
