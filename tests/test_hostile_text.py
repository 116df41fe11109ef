"""Text from data and from the command line never acts: on a terminal, a CI log, a spreadsheet or a parser."""

from __future__ import annotations

import ast
import contextlib
import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from soak.cli_fuzz import captured

import lossctl

NASTY = "\x1b]0;owned\x07\x1b[31m[red]\x9b2J\u202eevil\r\n::set-output name=x::y\n##[error]"
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
COMMAND = re.compile(r"^\s*(::|##\[)", re.MULTILINE)
FORMATS = ("table", "json", "jsonl", "csv", "tsv", "markdown", "value")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; a plugin gets a process of its own, as its losses would stay."""
    if "--plugin" in words:
        done = subprocess.run([sys.executable, "-m", "lossctl", *words], capture_output=True)
        code, out, err = done.returncode, done.stdout, done.stderr
    else:
        with tempfile.TemporaryDirectory() as folder:
            code, out, err = captured(list(words), Path(folder))
    assert b"Traceback" not in err
    return code, out.decode(), err.decode()


def on_a_terminal(*words: str) -> str:
    """What a terminal would get of stdout and stderr."""
    main, end = pty.openpty()
    process = subprocess.Popen([sys.executable, "-m", "lossctl", *words], stdout=end, stderr=end, stdin=end)
    os.close(end)
    got = b""
    with contextlib.suppress(OSError):  # Linux ends a terminal's other side so
        while part := os.read(main, 1 << 16):
            got += part
    os.close(main)
    process.wait()
    assert process.returncode in (0, 2, 3)
    return got.decode()


def harmless(text: str, *, colors: bool = False) -> None:
    """No control or direction character but line ends and tabs, and no workflow command."""
    if colors:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = text.replace("\r\n", "\n")
    assert not ACTING.search(text), repr(text)
    assert not COMMAND.search(text), repr(text)


def data(name: str = "in.parquet", group: str = NASTY, column: str = "group") -> str:
    pq.write_table(pa.table({"target": [1.0, 2.0], "pred": [1.0, 3.0], column: [group, "x"]}), name)
    return name


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("rows", [False, True])
def test_labels_and_ids_on_a_terminal(there: Path, form: str, rows: bool) -> None:
    options = ["--reduction", "none", "--id", "group"] if rows else ["--by", "group"]
    harmless(on_a_terminal("compute", "mae", data(), *options, "-f", form, "--color", "always"), colors=True)


@pytest.mark.parametrize("form", ["table", "json", "markdown"])
def test_labels_in_a_pipe_and_a_log(there: Path, form: str) -> None:
    code, out, err = run("compute", "mae", data(), "--by", "group", "-f", form)
    assert code == 0
    harmless(out + err)
    assert "owned" in out


def test_csv_in_a_pipe_keeps_the_data_but_is_no_workflow_command(there: Path) -> None:
    for form in ("csv", "tsv", "value"):
        code, out, _ = run("compute", "mae", data(), "--by", "group", "-f", form)
        assert code == 0
        assert not COMMAND.search(out), out
        rows = list(csv.reader(io.StringIO(out, newline=""), delimiter="," if form == "csv" else "\t"))
        label = rows[form != "value"][0]
        assert label.replace("'::", "::").replace("'##[", "##[") == NASTY
    _, out, _ = run(
        "compute", "mae", data(group="\x1b[31mred"), "--reduction", "none", "--id", "group", "-f", "csv"
    )
    assert "\x1b[31mred" in out


@pytest.mark.parametrize("command", ["compute mae", "worst mae", "check", "recommend"])
def test_column_names(there: Path, command: str) -> None:
    file = data(column=NASTY)
    for words in ([], ["--pred", "nope"], ["-f", "json"]):
        code, out, err = run(*command.split(), file, *words)
        assert code in (0, 3)
        harmless(out + err)
    harmless(on_a_terminal(*command.split(), file), colors=True)


@pytest.mark.parametrize("form", ["table", "json"])
def test_errors_repeat_what_was_said_harmlessly(there: Path, form: str) -> None:
    file = data()
    for words in (
        ["compute", NASTY, file],
        ["compute", f"huber:delta={NASTY}", file],
        ["compute", "huber", "--delta", NASTY, file],
        ["compute", f"mae:{NASTY}=1", file],
        ["compute", "mae", NASTY],
        ["compute", "mae", f"*{NASTY}"],
        ["compute", "mae", file, "--pred", NASTY],
        ["compute", "mae", file, "--by", NASTY],
        ["compute", "mae", file, "--where", NASTY],
        ["compute", "mae", file, "--digits", NASTY],
        ["compute", "mae", file, f"--{NASTY}"],
        ["compute", "mae", file, "-o", NASTY],
        ["compute", "mae", file, "-o", f"{NASTY}/x.csv"],
        ["compute", "mae", file, "--like", NASTY],
        ["compute", "custom", "--expr", NASTY, file],
        ["compute", "mae", file, "--max-memory", NASTY],
        ["compute", "mae", file, "--plugin", NASTY],
        ["explain", NASTY], ["list", NASTY], ["schema", NASTY], [NASTY],
        ["gate", "-c", NASTY], ["gate", file, "--max", f"{NASTY}=1"], ["diff", NASTY, NASTY],
    ):  # fmt: skip
        code, out, err = run(*words, "-f", form)
        assert (code in (2, 3, 4), out) == (True, ""), words
        harmless(err)
        assert len(err.splitlines()) == 1, err
        if form == "json":
            assert json.loads(err)["error"]["exit"] == code


def test_names_in_a_configuration(there: Path) -> None:
    spelt = json.dumps(NASTY)
    check = f'[[check]]\nname = {spelt}\nspec = "mae"\nmax = 0.1\n'
    Path("lossctl.toml").write_text(f'[data]\nfiles = ["{data()}"]\nby = ["group"]\n{check}')
    for form in ("table", "markdown", "json", "junit", "openmetrics"):
        code, out, err = run("gate", "-f", form)
        assert code == 1
        harmless(out + err)
    code, out, _ = run("gate", "-f", "github")
    assert code == 1
    assert not ACTING.search(out)
    assert all(line.startswith(("::error ", "::notice ")) for line in out.splitlines() if "::" in line)
    for wrong in (f"{spelt} = 1", f"[{spelt}]\na = 1", f"[[check]]\nspec = {spelt}\nmax = 1", "\x1b"):
        Path("lossctl.toml").write_text(f"{wrong}\n")
        code, out, err = run("gate")
        assert (code, out) == (2, "")
        harmless(err)


def test_output_of_a_plugin(there: Path) -> None:
    Path("mine.py").write_text(f"raise ValueError({NASTY!r})\n")
    code, out, err = run("compute", "mae", data(), "--plugin", "mine.py")
    assert (code, out) == (2, "")
    harmless(err)
    Path("mine.py").write_text(
        "from lossctl.loss import Array, Residual, loss\n@loss()\ndef mine(residual: Residual) -> Array:\n"
        f"    {NASTY!r}\n    raise ValueError({NASTY!r})\n"
    )
    harmless(run("compute", "mine", data(), "--plugin", "mine.py")[2])


FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "=cmd|' /C calc'!A0", "%0A=1"]


@pytest.mark.parametrize("form", ["csv", "tsv"])
@pytest.mark.parametrize("rows", [False, True])
def test_spreadsheets_run_no_text_cell(there: Path, form: str, rows: bool) -> None:
    table = {"target": [1.0] * 11, "pred": [0.0] * 10 + [-3.5], "=g": [*FORMULAS, "-7"]}
    pq.write_table(pa.table(table), "in.parquet")
    options = ["--reduction", "none", "--id", "=g"] if rows else ["--by", "=g"]
    _, out, _ = run("compute", "2*mae", "in.parquet", *options, "-f", form)
    read = csv.DictReader(io.StringIO(out, newline=""), delimiter="," if form == "csv" else "\t")
    cells = {row["'=g"] for row in read}
    assert cells - {""} == {text if text[0] in "%" else "'" + text for text in FORMULAS} | {"-7"}


def test_numbers_stay_numbers(there: Path) -> None:
    pq.write_table(pa.table({"target": [1.0], "pred": [-3.5]}), "in.parquet")
    _, out, _ = run("compute", "--reduction", "none", "-f", "csv", "--", "-1*mae", "in.parquet")
    assert out == "row,'-1*mae\n0,-4.5\n"


def test_json_has_no_nan_and_no_half_pairs(there: Path) -> None:
    def refuse(token: str) -> None:
        raise AssertionError(token)

    pq.write_table(pa.table({"target": [1.0, 1e300, 0.0], "pred": [0.0, -1e300, float("inf")]}), "in.parquet")
    for words in (["mse"], ["mae"], ["r2-loss"], ["mse", "--reduction", "none"]):
        for form in ("json", "jsonl"):
            code, out, _ = run("compute", *words, "in.parquet", "--nan", "propagate", "-f", form)
            assert code == 0
            for text in [out] if form == "json" else out.splitlines():
                assert json.loads(text, parse_constant=refuse)
    os.mkdir(b"k=\xff")
    os.rename("in.parquet", b"k=\xff/in.parquet")
    for words in (["compute", "mae", "k=\udcff", "--nan", "skip", "--by", "k"], ["check", "k=\udcff"]):
        code, out, err = run(*words, "-f", "json")
        assert code in (0, 3), err
        out.encode()
        for text in filter(None, (out, err if code else "")):
            json.dumps(json.loads(text), ensure_ascii=False).encode()


def test_the_total_is_told_from_every_group(there: Path) -> None:
    table = {"target": [0.0] * 5, "pred": [1.0, 2.0, 3.0, 4.0, 5.0], "g": ["all", "", "(all)", " all", '""']}
    pq.write_table(pa.table(table), "in.parquet")
    for form in ("table", "markdown"):
        _, out, _ = run("compute", "mae", "in.parquet", "--by", "g", "-f", form)
        lines = out.split("\n\n")[0].replace("|", " ").splitlines()
        heads = [line.split()[0] for line in lines if "---" not in line]
        assert heads[-1] == "((all))"
        assert '""' in heads
        assert heads.count('""') == heads.count("((all))") == 1
    _, out, _ = run("compute", "mae", "in.parquet", "--by", "g", "-f", "csv")
    lines = out.splitlines()
    assert lines[-1].startswith(",mae,3.0")
    assert sum(line.startswith('"",mae') for line in lines) == 1
    _, out, _ = run("compute", "mae", "in.parquet", "--by", "g", "-f", "jsonl")
    assert [json.loads(line)["group"] for line in out.splitlines()].count({}) == 1


ROOT = Path(lossctl.__file__).parent
RUNS_TEXT = {"eval", "exec", "compile", "__import__", "execfile", "input", "breakpoint"}
UNSAFE = {
    "pickle",
    "cPickle",
    "_pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "subprocess",
    "yaml",
}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_nothing_unpickles_or_runs_text(path: Path) -> None:
    """Only lossctl.plugins runs a file, and only one that was named with --plugin or is installed."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else ""
            names = {(module or "").partition(".")[0], *(a.name.partition(".")[0] for a in node.names)}
            assert not names & UNSAFE, f"line {node.lineno}"
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name):
                assert called.id not in RUNS_TEXT, f"line {node.lineno}"
            if isinstance(called, ast.Attribute):
                shell = isinstance(called.value, ast.Name) and called.value.id == "os"
                assert not (shell and called.attr in ("system", "popen", "execv", "spawnv")), node.lineno
                assert called.attr != "exec_module" or path.name == "plugins.py", f"line {node.lineno}"
                assert called.attr not in ("read_pickle", "unpickle", "to_pickle"), f"line {node.lineno}"
            for keyword in node.keywords:
                allowed = keyword.arg == "allow_pickle" and getattr(keyword.value, "value", None) is not False
                assert not allowed, f"line {node.lineno}"


def test_the_characters_that_act_are_all_spelt_out() -> None:
    from lossctl.errors import visible

    for code in (
        *range(0x20),
        *range(0x7F, 0xA0),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        0x200E,
        0x200F,
    ):
        assert unicodedata.category(chr(code)) in ("Cc", "Cf")
        assert chr(code) not in visible(f"a{chr(code)}b")


def test_files_nested_too_deeply_are_refused(there: Path) -> None:
    Path("deep.toml").write_text("a = " + "[" * 5_000)
    Path("deep.json").write_text("[" * 100_000)
    for words in (["gate", "-c", "deep.toml"], ["diff", "deep.json", "deep.json"]):
        code, out, err = run(*words)
        assert (code in (2, 3), out) == (True, ""), err
