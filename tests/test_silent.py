"""What could pass unnoticed: classes in another order, other rows than the baseline's, rows without a say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossctl
from lossctl.errors import DataError, UsageError
from lossctl.process import run

SCHEMAS = Path(lossctl.__file__).parent / "schemas"


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


Tool = Callable[..., Said]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Tool:
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> Said:
        code = run([*arguments], False)
        return Said(code, *capfd.readouterr())

    return called


def write(name: str, head: str, rows: list[list[Any]]) -> str:
    Path(name).write_text(
        "\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8"
    )
    return name


class TestOrder:
    def table(self, names: list[str], targets: Any = (0, 1, 2)) -> dict[str, Any]:
        made = {name: np.full(len(targets), 1 / len(names)) for name in names}
        return {"label": np.array(targets), **made}

    def score(
        self, names: list[str], pred: str, spec: str = "cross-entropy", targets: Any = (0, 1, 2)
    ) -> float:
        return lossctl.compute(spec, "label", pred, data=self.table(names, targets)).value

    def test_numbers_out_of_order_are_refused(self) -> None:
        names = ["p_0", "p_1", "p_10", "p_2"]
        with pytest.raises(DataError, match="p_0, p_1, p_10, p_2") as refused:
            self.score(names, "p_*")
        assert refused.value.hint is not None
        assert refused.value.hint.endswith("--pred p_0,p_1,p_2,p_10")
        assert self.score(names, "p_?,p_??") == pytest.approx(np.log(4))
        assert self.score(names, ",".join(names)) == pytest.approx(np.log(4))

    def test_other_orders_stand(self) -> None:
        assert self.score(["p_b", "p_a", "p_c"], "p_*") == pytest.approx(np.log(3))

    @pytest.mark.parametrize(
        ("names", "told", "hint"),
        [
            (["p_1", "p_2", "p_3"], "finds p_1, p_2, p_3, but", "--pred p_1,p_2,p_3; .* --classes 1,2,3$"),
            (["p_0", "p_1", "p_10"], "finds p_0, p_1, p_10, but", "--classes 0,1,10$"),
            (["p_max", "p_0", "p_1"], "finds p_max among numbered columns, but", "--pred p_0,p_1$"),
            (["p_0", "p_x", "p_-1"], "finds p_x, p_-1 among", "--pred p_0$"),
        ],
    )
    def test_numbers_that_labels_do_not_count_are_refused(
        self, names: list[str], told: str, hint: str
    ) -> None:
        with pytest.raises(DataError, match=told) as refused:
            self.score(names, "p_*", targets=(0, 1))
        assert refused.value.hint is not None
        assert re.search(hint, refused.value.hint)
        assert self.score(names, ",".join(names)) == pytest.approx(np.log(3))

    def test_numbers_that_are_the_classes_stand(self) -> None:
        names = ["p_1", "p_2", "p_3"]
        spec = "cross-entropy:classes=[1,2,3]"
        assert self.score(names, "p_*", spec, (1, 2, 3)) == pytest.approx(np.log(3))

    def test_a_list_against_the_classes_is_refused(self) -> None:
        names, spec = ["a_p", "ab_p", "b_p"], "cross-entropy:classes=[a,ab,b]"
        assert self.score(names, "a_p,ab_p,b_p", spec, ["a", "b"]) == pytest.approx(np.log(3))
        with pytest.raises(DataError, match="order ab_p, a_p, b_p") as refused:
            self.score(names, "ab_p,a_p,b_p", spec, ["a", "b"])
        assert refused.value.hint is not None
        assert refused.value.hint.endswith("--pred a_p,ab_p,b_p")

    @pytest.mark.parametrize("spec", ["mae", "bce", "zero-one"])
    def test_one_column_in_two_roles_is_refused(self, spec: str) -> None:
        with pytest.raises(UsageError, match="--target and --pred are the same: label"):
            lossctl.compute(spec, "label", "label", data={"label": np.array([0, 1])})

    def test_classes_in_another_order_are_refused(self) -> None:
        names, animals = ["p_cat", "p_dog"], ["cat", "dog"]
        assert self.score(names, "p_*", "cross-entropy:classes=[cat,dog]", animals) == pytest.approx(
            np.log(2)
        )
        assert self.score(names, "p_*", "cross-entropy:classes=[dog,cow]", ["dog"]) == pytest.approx(
            np.log(2)
        )
        with pytest.raises(DataError, match="p_cat, p_dog") as refused:
            self.score(names, "p_*", "cross-entropy:classes=[dog,cat]", animals)
        assert refused.value.hint is not None
        assert refused.value.hint.endswith("--pred p_dog,p_cat")

    def test_classes_may_name_numbers_as_they_stand(self) -> None:
        names = ["p_0", "p_10", "p_2"]
        spec = "cross-entropy:classes=[0,10,2]"
        assert self.score(names, "p_*", spec, ["0", "2", "10"]) == pytest.approx(np.log(3))

    def test_globs_that_pair_the_wrong_columns_are_refused(self) -> None:
        columns = ["t_1", "t_0", "p_0", "p_1"]
        data = {name: np.array([float(at)]) for at, name in enumerate(columns)}
        with pytest.raises(DataError, match=r"t_1, t_0.*p_0, p_1") as refused:
            lossctl.compute("mse", "t_*", "p_*", data=data)
        assert refused.value.hint is not None
        assert refused.value.hint.endswith("--pred p_1,p_0")
        assert lossctl.compute("mse", "t_*", "p_1,p_0", data=data).value == 5.0
        assert lossctl.compute("mse", "t_*", "p_*", data={n: data[n] for n in sorted(data)}).value == 5.0

    def test_recommended_columns_stand_in_the_order_of_their_numbers(self, tool: Tool) -> None:
        names = sorted(f"p_{k}" for k in range(12))
        file = write("k.csv", f"label,{','.join(names)}", [[at % 12, *[1 / 12] * 12] for at in range(30)])
        said = tool("recommend", file)
        assert "--pred p_0,p_1,p_2," in said.out


class TestConditions:
    @pytest.fixture
    def file(self, tool: Tool) -> str:
        return write("f.csv", "target,pred,w", [[at, at + at % 3, at % 2] for at in range(40)])

    MADE = ((), ("--where", "w == 1"), ("--nan", "skip"), ("--nan", "skip", "--na", "x"))

    @pytest.mark.parametrize("before", MADE, ids=" ".join)
    @pytest.mark.parametrize("now", MADE, ids=" ".join)
    def test_a_baseline_is_of_the_same_rows(
        self, tool: Tool, file: str, before: tuple[str, ...], now: tuple[str, ...]
    ) -> None:
        tool("compute", "mae", file, *before, "-o", "b.json")
        said = tool("gate", file, "--max-regression", "mae=1000%", "--baseline", "b.json", *now)
        assert said.code == (0 if before == now else 2), said.err
        assert before == now or "was made in another way" in said.err

    def test_an_inner_join_is_remembered(self, tool: Tool, file: str) -> None:
        write("p.csv", "w,pred", [[0, 1.0], [2, 1.0]])
        write("t.csv", "w,target", [[0, 1.0], [1, 1.0]])
        join = ("--target-file", "t.csv", "--on", "w", "--join", "inner")
        said = tool("compute", "mae", "p.csv", *join, "-f", "json", "-o", "b.json")
        assert said.data["conditions"] == {"join": "inner"}
        same = tool("gate", "p.csv", *join, "--max-regression", "mae=1%", "--baseline", "b.json")
        assert same.code == 0
        assert lossctl.evaluate("p.csv", "mae", target_file="t.csv", on="w", join="inner").conditions == {
            "join": "inner"
        }

    def test_plain_results_say_nothing(self, tool: Tool, file: str) -> None:
        assert "conditions" not in tool("compute", "mae", file, "--weight", "w", "-f", "json").data
        said = tool("compute", "mae", file, "--where", "w == 1", "-f", "json").data
        assert said["conditions"] == {"where": "w == 1"}
        jsonschema.validate(said, json.loads((SCHEMAS / "result.json").read_text()))
        tool("gate", file, "--where", "w == 1", "--max", "mae=9", "--baseline", "u.json", "--update-baseline")
        saved = json.loads(Path("u.json").read_text())
        assert "conditions" not in saved
        assert saved["results"][0]["conditions"] == {"where": "w == 1"}


class TestWeightless:
    @pytest.fixture
    def file(self, tool: Tool) -> str:
        rows = [[at % 7, at % 5, int(at % 80 == 0), f"g{at % 2}", at] for at in range(400)]
        return write("w.csv", "target,pred,w,g,c", rows)

    def test_min_rows_counts_rows_that_have_a_say(self, tool: Tool, file: str) -> None:
        asked = ("gate", file, "--weight", "w", "--max", "mae=99", "--min-rows")
        refused = tool(*asked, "6", "-f", "json")
        assert refused.code == 1
        (check,) = refused.data["checks"]
        assert (check["verdict"], check["rows"], check["weightless"]) == ("inconclusive", 400, 395)
        assert check["rules"][0]["reason"] == "5 rows (395 more have weight 0) < min-rows 6"
        jsonschema.validate(refused.data, json.loads((SCHEMAS / "gate.json").read_text()))
        assert "5 rows < 6" in tool(*asked, "6").out
        assert tool(*asked, "5").code == 0

    @pytest.mark.parametrize("loss", ["mae", "rmse", "max-error", "medae", "mae+mse"])
    def test_every_kind_of_loss_counts_them(self, tool: Tool, file: str, loss: str) -> None:
        said = tool("compute", loss, file, "--weight", "w", "--by", "g", "-f", "json").data
        found = [(each["rows"], each.get("weightless")) for each in said["results"]]
        assert found == [(200, 195), (200, 200), (400, 395)]
        jsonschema.validate(said, json.loads((SCHEMAS / "result.json").read_text()))
        assert "weightless" not in tool("compute", loss, file, "-f", "json").out

    def test_elements_of_vector_rows_count_once(self) -> None:
        data = {"t": [[1.0, 2.0]] * 3, "p": [[1.0, 3.0]] * 3, "w": [0.0, 1.0, 0.0]}
        for spec in ("rmse", "mse"):
            (score,) = lossctl.compute(spec, "t", "p", data=data, weight="w").scores
            assert (score.rows, score.weightless, score.counted) == (3, 2, 1)

    def test_no_interval_from_a_few_rows_with_weight(self, tool: Tool, file: str) -> None:
        asked = ("compute", "mae", file, "--ci", "0.95", "-f", "json")
        (score,) = tool(*asked, "--weight", "w").data["results"]
        assert score["ci"]["low"] is None
        assert score["ci"]["note"] == "fewer than 20 rows of non-zero weight"
        assert tool(*asked).data["results"][0]["ci"]["low"] is not None
        clustered = tool(*asked, "--weight", "w", "--cluster", "c")
        assert clustered.code == 3
        assert "there are 5 clusters, an interval needs 50" in clustered.err
        assert tool(*asked, "--cluster", "c").code == 0

    def test_no_comparison_from_a_few_rows_with_weight(self, tool: Tool, file: str) -> None:
        said = tool("compare", "mae", file, file, "--weight", "w", "-f", "json").data
        (found,) = said["differences"]
        assert (found["p"], found["note"]) == (None, "fewer than 20 rows")
        assert "note" not in tool("compare", "mae", file, file, "-f", "json").data["differences"][0]


class TestAccount:
    @pytest.fixture
    def file(self, tool: Tool) -> str:
        return write(
            "n.csv", "target,pred,s", [[at % 7, at % 5 if at < 54 else "", at % 2] for at in range(400)]
        )

    GATE = ("gate", "n.csv", "--nan", "skip", "--max", "mae=99")

    def test_skipped_rows_are_told(self, tool: Tool, file: str) -> None:
        said = tool(*self.GATE)
        assert said.code == 0
        assert "346 of 400 rows were skipped\n1 check: 1 passed\n" in said.out
        assert said.err == "warning: 346 of 400 rows were skipped\n"
        assert "\n346 of 400 rows were skipped\n" in tool(*self.GATE, "-f", "markdown").out

    def test_json_has_the_account_of_each_check(self, tool: Tool, file: str) -> None:
        said = tool(*self.GATE, "--where", "s == 1", "-f", "json").data
        assert said["checks"][0]["account"] == {"read": 400, "used": 27, "filtered": 200, "skipped": 173}
        assert said["warnings"] == ["173 of 400 rows were skipped"]
        jsonschema.validate(said, json.loads((SCHEMAS / "gate.json").read_text()))
        empty = tool(*self.GATE, "--where", "s == 2", "-f", "json").data
        assert empty["checks"][0]["account"] is None

    def test_verbose_tells_all(self, tool: Tool, file: str) -> None:
        asked = (*self.GATE, "--where", "s == 1")
        assert "filtered" not in tool(*asked).out
        assert "400 rows read: 27 used, 173 skipped, 200 filtered" in tool(*asked, "-v").out

    def test_checks_of_other_rows_are_told_apart(self, tool: Tool, file: str) -> None:
        check = '[[check]]\nname = "{}"\nspec = "mae"\nmax = 99\n{}\n'
        text = '[data]\nfiles = ["n.csv"]\nnan = "skip"\n'
        text += (
            check.format("a", "")
            + check.format("b", "where = 's == 1'")
            + check.format("c", "where = 's == 0'")
        )
        Path("lossctl.toml").write_text(text)
        said = tool("gate")
        assert "\na: 346 of 400 rows were skipped\nb, c: 173 of 400 rows were skipped\n" in said.out

    def test_nothing_skipped_says_nothing(self, tool: Tool, file: str) -> None:
        said = tool("gate", "n.csv", "--where", "pred >= 0", "--nan", "skip", "--max", "mae=99")
        assert "skipped" not in said.out + said.err


class TestUnderflow:
    @pytest.mark.parametrize("spec", ["mse", "half-mse", "rmse", "r2-loss"])
    @pytest.mark.parametrize("threads", [1, 4])
    def test_a_zero_of_tiny_errors_is_warned_of(self, spec: str, threads: int, tool: Tool) -> None:
        write("t.csv", "target,pred", [[at % 2 * 1e-200, 0 if at % 2 else 1e-200] for at in range(50)])
        write("u.csv", "target,pred", [[at % 2, at % 2] for at in range(50)])
        files = ["u.csv", "t.csv"] if spec == "r2-loss" else ["t.csv"]
        made = lossctl.evaluate(files, spec, threads=threads)
        assert made.value == 0.0
        assert f"{spec}: the value is 0, but numbers too small" in made.warnings[0]

    @pytest.mark.parametrize("spec", ["mse", "rmse", "mae"])
    def test_other_values_are_not(self, spec: str) -> None:
        for errors in ([0.0, 0.0], [1e-200, 1.0], [1e-100, 0.0]):
            assert not lossctl.compute(spec, [0.0, 0.0], errors).warnings

    def test_a_gate_says_so_too(self, tool: Tool) -> None:
        write("t.csv", "target,pred", [[0, 1e-200]] * 3)
        said = tool("gate", "t.csv", "--max", "rmse=1e-250")
        assert "rmse: the value is 0, but" in said.err

    def test_no_thread_forgets(self, tool: Tool) -> None:
        rows = [[0, 1e-200, int(at > 1000)] for at in range(150_000)]
        for each in "ab":
            write(f"{each}.csv", "target,pred,w", rows)
        made = lossctl.evaluate(["a.csv", "b.csv"], "mse,rmse", weight="w", threads=4, chunk_rows=1000)
        assert [score.weightless for score in made.scores] == [2002, 2002]
        assert [note.partition(":")[0] for note in made.warnings] == ["mse", "rmse"]

    def test_one_thread_is_enough_to_notice(self, tool: Tool) -> None:
        zeros = [write(f"{name}.csv", "target,pred", [[0, 0]] * 300_000) for name in "abcd"]
        tiny = write("t.csv", "target,pred", [[0, 1e-200]])
        for at in range(len(zeros) + 1):
            made = lossctl.evaluate([*zeros[:at], tiny, *zeros[at:]], "mse", threads=4)
            assert len(made.warnings) == 1

    def test_overflow_is_told_by_rows(self) -> None:
        assert lossctl.compute("rmse", [0.0], [1e200]).warnings == ["rmse: 1 row has a loss that is infinite"]


def test_a_row_that_a_kernel_refuses_is_told_by_file_and_row(tool: Tool) -> None:
    rows = [[0, 1], [1, 0]]
    first = write("a.csv", "y,p", [*rows, *rows])
    second = write("b.csv", "y,p", [*rows, [9, 0], [1, 7.5]])
    for more in ([], ["--chunk-rows", "1"], ["--where", "y != 9"]):
        said = tool("compute", "zero-one", first, second, *more)
        assert said.code == 3
        assert "b.csv, row 3, column 'p': 7.5 is neither a class number nor a probability" in said.err
    grouped = write("c.csv", "y,p,group", [[1, 0.5, "a"], [0, 7.5, "a"]])
    said = tool("compute", "zero-one,listnet", grouped)
    assert (said.code, "row 1, column 'p': 7.5 is neither" in said.err) == (3, True)


@pytest.mark.parametrize("columns", [["z"], ["z_0", "z_1"]])
def test_probabilities_taken_for_logits_are_warned_of(tool: Tool, columns: list[str]) -> None:
    names = ",".join(columns)
    loss = "bce" if len(columns) == 1 else "cross-entropy"
    spec, low, high = f"{loss}:from-logits=true", [0.25] * len(columns), [0.75] * len(columns)
    told = f"{names}: all numbers lie in [0, 1]: they look like probabilities, not logits"
    for many, wanted in ((10, True), (4, False)):
        file = write("a.csv", f"y,{names}", [[0, *low], [1, *high]] * many)
        assert (told in tool("compute", spec, file, "--pred", names).err) == wanted
        said = tool("gate", file, "--pred", names, "--max", f"{spec}=9")
        assert (said.code, told in said.err) == (0, wanted)
    other = write("b.csv", f"y,{names}", [[0, *low], [1, *[-0.5] * len(columns)]] * 10)
    assert "look like" not in tool("compute", spec, other, "--pred", names).err


def test_an_expression_takes_columns_and_tells_of_those_it_lacks(tool: Tool) -> None:
    file = write("a.csv", "actual,predicted", [[1, 3]])
    said = tool("compute", "custom", "--expr", "abs(pred-target)", file, "--pred", "predicted", "-f", "value")
    assert (said.code, said.out) == (0, "2.0\n")
    said = tool("compute", "custom", "--expr", "abs(predictd-actual)", file)
    assert (said.code, "no column 'predictd' for the expression; closest: predicted" in said.err) == (3, True)


class TestInit:
    def test_columns_that_are_named_are_written_and_used(self, tool: Tool) -> None:
        file = write("a.csv", "truth,guess,id", [[row, row + 1, row] for row in range(30)])
        assert tool("gate", "--init", file, "--pred", "guess", "-c", "lossctl.toml").code == 0
        text = Path("lossctl.toml").read_text()
        assert 'pred = "guess"' in text
        assert tool("gate").code == 0
        assert tool("gate", "--init", file, "--pred", "gess").code == 3

    @pytest.mark.parametrize("option", ["--weight id", "--max mae=3", "a.csv", "--update-baseline"])
    def test_options_without_effect_are_refused(self, tool: Tool, option: str) -> None:
        file = write("a.csv", "y,p,id", [[1, 2, 3]])
        said = tool("gate", "--init", file, *option.split())
        assert (said.code, "is not used" in said.err) == (2, True)


def test_a_baseline_that_is_written_is_told(tool: Tool) -> None:
    file = write("a.csv", "y,p", [[1, 9]])
    words = ["gate", file, "--max", "mae=5", "--baseline", "b.json", "--update-baseline"]
    said = tool(*words)
    assert (said.code, "wrote the baseline b.json" in said.err) == (1, True)
    assert "wrote" not in tool(*words, "-q").err


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (["--max", "bias=1"], "bias: 0 is best and no check has a min, so any worse value would pass"),
        (["--min", "bias=-9"], "bias: 0 is best and no check has a max"),
        (["--min", "mae=0.1"], "mae: lower is better and no check has a max"),
        (["--max", "bias=1", "--min", "bias=-9"], ""),
        (["--max", "mae=9"], ""),
        (["--min", "mae=0.1", "--max-regression", "mae=1"], ""),
    ],
)
def test_a_limit_on_the_wrong_side_is_warned_of(tool: Tool, limits: list[str], told: str) -> None:
    file = write("a.csv", "y,p", [[1, 2]])
    assert tool("compute", "mae", file, "-o", "old.json").code == 0
    said = tool("gate", file, *limits, *(["--baseline", "old.json"] if "--max-regression" in limits else []))
    assert said.code == 0, said.err
    assert told in said.err
    assert ("would pass" in said.err) == bool(told)


def test_files_of_different_formats_are_warned_of(tool: Tool) -> None:
    first = write("a.csv", "y,p", [[1, 2]])
    pq.write_table(pa.table({"y": [1.0], "p": [4.0]}), "b.parquet")
    said = tool("compute", "mae", first, "b.parquet", "-f", "value")
    assert (said.code, said.out) == (0, "2.0\n")
    assert "files of different formats are read as one table: 1 csv and 1 parquet" in said.err
    assert tool("compute", "mae", first, "-f", "value").err == ""


def test_a_loss_where_a_command_stands(tool: Tool) -> None:
    said = tool("mae", "a.csv")
    assert (said.code, "write: lossctl compute mae FILE" in said.err) == (2, True)


def test_skipped_rows_are_counted_in_every_form(tool: Tool) -> None:
    Path("gaps.csv").write_text("target,pred\n1,2\n,3\n1,4\n")
    skipping = ["compute", "mae", "gaps.csv", "--nan", "skip"]
    for form in ("table", "json", "markdown", "jsonl", "csv", "tsv", "value"):
        said = tool(*skipping, "-f", form)
        counted = "1 skipped" in said.out or '"skipped": 1' in said.out
        assert counted != ("warning: 1 of 3 rows were skipped" in said.err), form
        assert "skipped" not in tool(*skipping, "-f", form, "--quiet").err
    for more in ([], ["-o", "rows.parquet"], ["-f", "csv"]):
        assert "1 of 3 rows were skipped" in tool(*skipping, "--reduction", "none", *more).err
