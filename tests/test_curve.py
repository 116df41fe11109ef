"""`lossctl curve`: every finding on synthetic curves, the plot, and the command as a process."""

from __future__ import annotations

import json
import math
from importlib.resources import files
from pathlib import Path

import pytest
from test_gate import DATA, lossctl

from lossctl.curve import judge, ordered, step_of, train_of
from lossctl.errors import DataError
from lossctl.loss.spec import parse
from lossctl.render.curve import render_csv, render_curves
from lossctl.result import RowCount
from lossctl.series import Curve, Finding, Point, Rules

NAN, INF = math.nan, math.inf
ALL = RowCount(1, 1)
FALL = [1.0, 0.8, 0.6, 0.5, 0.4, 0.3]


def points(values: list[float], steps: list[float] | None = None) -> list[Point]:
    return [Point(s, v, 1) for s, v in zip(steps or range(1, len(values) + 1), values, strict=True)]


def findings(
    values: list[float], direction: str = "lower", steps: list[float] | None = None
) -> list[Finding]:
    return judge({"": points(values, steps)}, direction).series[0].findings


def trend(values: list[float], direction: str = "lower") -> tuple[str, float | None]:
    return findings(values, direction)[0].kind, findings(values, direction)[0].since


def of(kind: str, found: list[Finding]) -> list[Finding]:
    return [each for each in found if each.kind == kind]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ("none", None)),
        ([NAN, INF], ("none", None)),
        ([1.0], ("short", None)),
        ([1.0, 2.0], ("short", None)),
        ([3.0, 2.0, 1.0], ("short", None)),
        ([1.0, 1.0, 1.0, 1.0], ("undecided", None)),
        ([1.0] * 5, ("undecided", None)),
        ([1.0] * 6, ("plateau", 1)),
        ([0.0] * 6, ("plateau", 1)),
        (FALL, ("improving", 1)),
        ([*FALL, 0.3, 0.3, 0.3, 0.3], ("improving", 1)),
        ([*FALL, 0.3, 0.3, 0.3, 0.3, 0.3], ("plateau", 6)),
        ([*FALL, *[0.2999 - i / 1e4 for i in range(5)]], ("plateau", 6)),
        ([*FALL, 0.298, 0.296, 0.294, 0.292, 0.29], ("improving", 1)),  # small steps add up
        ([*FALL, 0.32, 0.33, 0.34], ("worsening", 6)),
        ([*FALL, 0.32, 0.31, 0.34], ("improving", 1)),  # one of the last three is within the margin
        ([*FALL, 0.34, 0.35], ("improving", 1)),
        ([1.0, 2.0, 3.0, 4.0], ("worsening", 1)),
        ([-1.0, -2.0, -3.0, -4.0], ("improving", 1)),
        ([1.0, NAN, 0.8, 0.6, NAN, 0.5], ("improving", 1)),
    ],
)
def test_trend(values: list[float], expected: tuple[str, float | None]) -> None:
    assert trend(values) == expected


def test_direction_turns_the_trend() -> None:
    up = [0.1, 0.3, 0.5, 0.6]
    assert trend(up, "lower") == ("worsening", 1)
    assert trend(up, "higher") == ("improving", 1)
    assert trend([-v for v in up], "zero") == ("worsening", 1)
    assert trend([-3.0, 2.0, -1.0, 0.5], "zero")[0] == "improving"


def test_best_is_the_first_of_equals_and_keeps_its_sign() -> None:
    best = judge({"": points([2.0, -1.0, 1.0, 3.0])}, "zero").series[0].best
    assert best is not None
    assert (best.step, best.value) == (2, -1.0)


def test_touching_zero_is_no_yardstick() -> None:
    assert trend([1.0, 1.0, 1.0, 1.0, 0.0, 1e-9, 1e-9, 1e-9])[0] == "improving"


def test_noisy() -> None:
    shaky = [1.0, 1.2] * 4
    assert of("noisy", findings(shaky))[0].facts == {"reversals": 1.0}
    assert of("noisy", findings([1.0, 1.04] * 4)) == []
    assert of("noisy", findings(shaky[:5])) == []
    assert of("noisy", findings(FALL)) == []
    # the last three are 20 % above the best, which is a usual jump here
    assert trend([1.2, 1.4, 1.2, 1.0, 1.2, 1.4, 1.2, 1.4])[0] != "worsening"
    assert trend([1.2, 1.4, 1.2, 1.0, 1.2, 1.4, 1.9, 1.7, 1.9]) == ("worsening", 4)


def test_nonfinite() -> None:
    made = of("nonfinite", findings([1.0, 0.5, NAN, INF]))
    assert (made[0].since, made[0].facts) == (3, {"status": "nan", "values": 2, "to_the_end": True})
    made = of("nonfinite", findings([1.0, -INF, 0.5]))
    assert (made[0].since, made[0].facts) == (2, {"status": "-inf", "values": 1, "to_the_end": False})
    assert of("nonfinite", findings(FALL)) == []


def test_gaps() -> None:
    made = of("gap", findings(FALL, steps=[1, 2, 3, 10, 11, 12]))
    assert [each.facts for each in made] == [{"from": 3, "to": 10, "usual": 1}]
    assert of("gap", findings(FALL, steps=[1, 2, 4, 8, 16, 32])) == []  # not evenly spaced
    assert of("gap", findings(FALL, steps=[0, 0.1, 0.2, 0.3, 0.4, 0.5])) == []
    empty = [*points(FALL)[:3], Point(4, NAN, 0, empty=True), *points(FALL, [5, 6, 7, 8, 9, 10])[3:]]
    assert [each.kind for each in judge({"": empty}).series[0].findings] == ["improving", "gap"]


def both(train: list[float], valid: list[float], steps: list[float] | None = None) -> Curve:
    return judge({"train": points(train), "valid": points(valid, steps)}, train="train")


def test_overfitting() -> None:
    rise = [1.0, 0.8, 0.7, 0.75, 0.78, 0.8]
    found = both(FALL, rise).series[1].findings
    assert [(each.kind, each.since) for each in found] == [("overfitting", 3), ("worsening", 3)]
    assert found[0].facts == {"from": 0.7, "to": 0.8, "train_from": 0.6, "train_to": 0.3}
    assert of("overfitting", both(FALL, FALL).series[1].findings) == []
    assert of("overfitting", both(FALL, [1.0, 0.8, 0.7, 0.72, 0.75, 0.8]).series[1].findings) == []
    flat = [1.0, 0.8, 0.6, 0.6, 0.6, 0.6]  # train stops where valid turns
    assert of("overfitting", both(flat, rise).series[1].findings) == []
    assert of("overfitting", both(rise, rise).series[1].findings) == []
    turned = both([1.0, 0.8, 0.7, 0.5, 0.6, 0.6, 0.6], [*rise, 0.9])  # train got better, then worse too
    assert [each.kind for each in turned.series[1].findings] == ["worsening"]
    sparse = both(FALL, [0.7, 0.8, 0.8, 0.9], [2, 3, 4, 6])
    assert of("overfitting", sparse.series[1].findings)[0].since == 2
    nobody = judge({"a": points(FALL), "b": points(rise)})
    assert of("overfitting", nobody.series[1].findings) == []
    assert "name it with --train" in render_curves([nobody], Rules(), "s", ALL)


def test_train_split_steps_and_directions() -> None:
    assert train_of(["valid", "Training"]) == "Training"
    assert train_of(["train_a", "train_b"]) is None
    assert train_of(["a"], "a") == "a"
    assert (step_of("1e3", "s"), step_of("-0", "s")) == (1000.0, 0.0)
    for text in ("x", "nan", "inf", "1_0", ""):
        with pytest.raises(DataError, match="not a finite number"):
            step_of(text, "s")
    with pytest.raises(DataError, match="two ways"):
        ordered([Point(1.0, 1.0), Point(1.0, 2.0)], "s")
    specs = parse("mae,bias,0.5*mae+mse,-1*mae,mae+bias")
    assert [spec.direction for spec in specs] == ["lower", "zero", "lower", "higher", None]


@pytest.mark.parametrize("width", [10, 40, 80, 300])
@pytest.mark.parametrize(
    "values", [[1.0], [1.0, 1.0], FALL, [NAN], [1.0, NAN, INF, 2.0], [-1.7e308, 1.7e308], [0.0, 5e-324]]
)
def test_plot_keeps_its_width_and_ascii(values: list[float], width: int) -> None:
    curve = judge({"train": points(values), "välid": points(FALL)}, spec="x", train="train")
    plain = render_curves([curve], Rules(), "s", ALL, width=width, encoding="ascii")
    assert plain.isascii()
    plot = plain.split("\n\n")[0].splitlines()
    assert max(map(len, plot[1:14])) <= max(min(width, 100), 24 + 13)
    assert "█" in render_curves([curve], Rules(), "s", ALL, width=width)
    assert ("! not finite" in plain) == any(not math.isfinite(v) for v in values)


def test_plot_of_the_smallest_range() -> None:
    assert "4.941e-324" in render_curves([judge({"": points([0.0, 5e-324])})], Rules(), "s", ALL)


def test_csv_is_safe_and_whole() -> None:
    made = judge({"=cmd": [Point(1, NAN), Point(2.5, 1.0, 3), Point(3, NAN, 0, empty=True)]}, spec="x")
    assert render_csv([made]).splitlines() == [
        "spec,split,step,value,status,rows",
        "x,'=cmd,1,nan,nan,0",
        "x,'=cmd,2.5,1.0,ok,3",
        "x,'=cmd,3,,empty,0",
    ]


EPOCHS = ("epochs.csv", "--by", "epoch")


def test_command_on_real_epochs(tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    done = lossctl("curve", "bce,zero-one", *EPOCHS, "--split", "split", "-o", out, cwd=DATA)
    assert done.returncode == 0, done.stderr
    assert "valid  24 steps, best 0.2816 at 24\n       falling: 0.6781 to 0.2816\n" in done.stdout
    made = json.loads(out.read_text(), parse_constant=pytest.fail)
    assert made["schema"] == "lossctl.curve/1"
    assert [(c["spec"], c["direction"], c["train"]) for c in made["curves"]] == [
        ("bce", "lower", "train"),
        ("zero-one", "lower", "train"),
    ]
    valid = made["curves"][0]["series"][1]
    assert [p["step"] for p in valid["points"]] == list(range(1, 25))
    straight = lossctl(
        *("compute", "bce", "epochs.csv", "--where", "split == 'valid' and epoch == 10", "-f", "value"),
        cwd=DATA,
    )
    assert valid["points"][9]["value"] == float(straight.stdout)
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(made, json.loads((files("lossctl") / "schemas" / "curve.json").read_text()))


def test_ascii_where_the_output_cannot_take_blocks() -> None:
    done = lossctl("curve", "bce", *EPOCHS, cwd=DATA, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "+-----" in done.stdout


def test_nan_and_overfitting_through_the_command(tmp_path: Path) -> None:
    rows = ["step,split,y_true,y_pred"]
    for step, (train, valid) in enumerate(zip(FALL, [1, 0.8, 0.7, 0.75, 0.78, 0.8], strict=True), 8):
        rows += [f"{step},train,0,{train}", f"{step},test,0,{valid}"]
    (tmp_path / "a.csv").write_text("\n".join([rows[0], *reversed(rows[1:])]) + "\n")
    options = ("--by", "step", "--split", "split")
    table = lossctl("curve", "mae", "a.csv", *options, cwd=tmp_path).stdout
    assert "overfitting since 10: 0.7 to 0.8, while train went on from 0.6 to 0.3" in table
    (tmp_path / "b.csv").write_text((tmp_path / "a.csv").read_text() + "14,train,0,nan\n")
    done = lossctl("curve", "mae", "b.csv", *options, "--nan", "propagate", "-f", "json", cwd=tmp_path)
    train = json.loads(done.stdout, parse_constant=pytest.fail)["curves"][0]["series"][0]
    assert train["points"][-1] == {"step": 14, "value": None, "status": "nan", "rows": 1}
    assert [(f["kind"], f["since"]) for f in train["findings"]] == [("improving", 8), ("nonfinite", 14)]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--by", "split"), 3, "not a finite number"),
        (("--by", "epok"), 3, "no column 'epok'"),
        (("--by", "epoch", "--split", "no"), 3, "no column 'no'"),
        (("--by", "epoch", "--split", "split", "--train", "x"), 3, "no split is 'x'"),
        ((), 2, "--by"),
        (("--by", "epoch", "--split", "epoch"), 2, "same column"),
        (("--by", "epoch", "--train", "train"), 2, "--split"),
        (("--by", "epoch", "-f", "xml"), 2, "table or json or csv"),
        (("--by", "epoch", "--margin", "nan"), 2, "--margin"),
        (("--by", "epoch", "--reduction", "none"), 2, "--reduction"),
        (("--by", "epoch", "-o", "x.parquet"), 2, "table or json or csv"),
    ],
)
def test_refusals(arguments: tuple[str, ...], code: int, message: str) -> None:
    done = lossctl("curve", "bce", "epochs.csv", *arguments, cwd=DATA)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert message in done.stderr


def test_skipped_rows_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("step,target,pred\n1,1,2\n2,1,\n3,1,2\n")
    words = ("curve", "mae", "a.csv", "--by", "step", "--nan", "skip")
    done = lossctl(*words, cwd=tmp_path)
    assert done.stderr == "warning: 1 of 3 rows were skipped\n"
    assert "3 rows read: 2 used, 1 skipped, 0 filtered\n" in done.stdout
    made = json.loads(lossctl(*words, "-f", "json", cwd=tmp_path).stdout)
    assert made["warnings"] == ["1 of 3 rows were skipped"]
