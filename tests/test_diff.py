"""`lossctl diff`: two saved results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_gate import DATA, PREDS, lossctl

from lossctl.diff import compare_saved
from lossctl.errors import DataError
from lossctl.saved import Entry, Saved, read_saved, saved_from, signature_changes


def entry(value: float, status: str = "ok", signature: str = "mae|mean|lossctl 1", **group: str) -> Entry:
    return Entry("mae", group, value, status, 5, signature)


def diff(old: list[Entry], new: list[Entry], **tolerance: float) -> Any:
    return compare_saved(Saved("old", old), Saved("new", new), **tolerance)


@pytest.mark.parametrize(
    ("old", "new", "rtol", "atol", "status"),
    [
        (1.0, 1.0, 0, 0, "same"),
        (1.0, 1.01, 0, 0, "changed"),
        (1.0, 1.01, 0.01, 0, "within"),
        (-1.0, -1.01, 0.01, 0, "within"),
        (0.0, 0.1, 0.5, 0, "changed"),
        (0.7, 0.8, 0, 0.1, "within"),
        (1.0, 1.03, 0.01, 0.02, "within"),
    ],
)
def test_tolerances(old: float, new: float, rtol: float, atol: float, status: str) -> None:
    assert diff([entry(old)], [entry(new)], rtol=rtol, atol=atol).changes[0].status == status


def test_groups_and_non_finite_numbers() -> None:
    nan = float("nan")
    old = [entry(1.0, g="a"), entry(nan, "nan", g="b"), entry(1.0, g="c")]
    made = diff(old, [entry(2.0, g="a"), entry(nan, "nan", g="b"), entry(1.0, g="d")])
    assert [(c.group["g"], c.status) for c in made.changes] == [
        ("a", "changed"),
        ("b", "same"),
        ("d", "added"),
        ("c", "removed"),
    ]
    assert made.changes[0].change == 1.0
    assert made.changes[1].change is None


def test_signatures_are_named_and_the_version_alone_is_no_difference() -> None:
    assert signature_changes("a|b=1|c", "a|b=2|c") == ["b=1 -> b=2"]
    assert signature_changes("a|c", "a|b=2|c") == ["nothing -> b=2"]
    version = diff([entry(1.0)], [entry(1.0, signature="mae|mean|lossctl 2")])
    assert not version.different
    assert version.changes[0].signature == ["lossctl 1 -> lossctl 2"]
    assert diff([entry(1.0)], [entry(1.0, signature="mae|sum|lossctl 1")]).different


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name, file in (("a.json", PREDS), ("b.json", DATA / "preds_b.parquet")):
        assert (
            lossctl("compute", "mae,bias", file, "--by", "age_band", "-o", name, cwd=tmp_path).returncode == 0
        )
    return tmp_path


def test_command(results: Path) -> None:
    table = lossctl("diff", "a.json", "b.json", cwd=results)
    assert table.returncode == 0
    assert "age_band=19-39" in table.stdout
    assert lossctl("diff", "a.json", "b.json", "--exit-code", cwd=results).returncode == 1
    assert lossctl("diff", "a.json", "a.json", "--exit-code", cwd=results).returncode == 0
    wide = lossctl("diff", "a.json", "b.json", "--exit-code", "--rtol", "1000%", cwd=results)
    assert wide.returncode == 0, wide.stdout
    data = json.loads(lossctl("diff", "a.json", "b.json", "-f", "json", cwd=results).stdout)
    first = data["changes"][0]
    assert first["change"] == pytest.approx(first["new"] - first["old"])
    markdown = lossctl("diff", "a.json", "b.json", "-f", "markdown", cwd=results).stdout
    assert markdown.startswith("| loss | group |")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["a.json", "none.json"], 3),
        (["a.json", PREDS], 3),
        (["a.json"], 2),
        (["a.json", "a.json", "--rtol", "-1"], 2),
        (["a.json", "a.json", "--atol", "1%"], 2),
        (["a.json", "a.json", "-f", "csv"], 2),
        (["a.json", "."], 4),
    ],
)
def test_refusals(arguments: list[object], code: int, results: Path) -> None:
    done = lossctl("diff", *arguments, cwd=results)
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"schema": "lossctl.gate/1"}', '{"schema": "lossctl.result/1"}']
)
def test_what_is_no_result(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match="not a saved result"):
        read_saved(str(tmp_path / "x.json"))


def test_a_value_must_be_a_number() -> None:
    one = {"spec": "mae", "group": {}, "value": None, "status": "ok", "rows": 1, "signature": "s"}
    with pytest.raises(DataError, match="damaged"):
        saved_from({"schema": "lossctl.result/1", "results": [one]}, "x")


def test_a_loss_and_group_stand_in_it_once() -> None:
    one = {"spec": "mae", "group": {"g": "a"}, "value": 1, "status": "ok", "rows": 1, "signature": "s"}
    other = {**one, "group": {"g": "b"}}
    assert len(saved_from({"schema": "lossctl.result/1", "results": [one, other]}, "x").entries) == 2
    with pytest.raises(DataError, match="stand in it twice"):
        saved_from({"schema": "lossctl.result/1", "results": [one, other, one]}, "x")


def test_other_rows_are_another_making(tmp_path: Path) -> None:
    made = {}
    for name, more in (
        ("all", []),
        ("some", ["--where", "w > 1"]),
        ("skip", ["--nan", "skip", "--weight", "w"]),
    ):
        made[name] = str(tmp_path / f"{name}.json")
        assert lossctl("compute", "mae,rmse", PREDS, *more, "-o", made[name], cwd=tmp_path).returncode == 0
    done = lossctl("diff", made["all"], made["some"], "--exit-code", "--rtol", "99", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("conditions: where=none -> where=w > 1") == 1
    found = json.loads(lossctl("diff", made["some"], made["skip"], "-f", "json", cwd=tmp_path).stdout)
    conditions = ["nan=none -> nan=skip", "where=w > 1 -> where=none"]
    assert [change["conditions"] for change in found["changes"]] == [conditions, conditions]
    assert found["weight"] == "none -> w"
    assert "conditions" not in lossctl("diff", made["all"], made["all"], cwd=tmp_path).stdout


def test_conditions_of_checks_are_compared_too() -> None:
    old = Entry("mae", {}, 1.0, "ok", 5, "mae", "c", {"weight": "w"})
    new = Entry("mae", {}, 1.0, "ok", 5, "mae", "c", {"where": "x > 1"})
    (change,) = diff([old], [new]).changes
    assert change.conditions == ["weight=w -> weight=none", "where=none -> where=x > 1"]
