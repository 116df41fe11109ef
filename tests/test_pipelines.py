"""lossctl in shell scripts as people write them: jq, tee, xargs, here-documents, conditions."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent / "examples" / "data"
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")


def shell(script: str, cwd: Path = DATA) -> subprocess.CompletedProcess[str]:
    """A script with `lossctl` as a command, its own strictness left to itself."""
    start = f'lossctl() {{ "{sys.executable}" -m lossctl "$@"; }}\nexport -f lossctl\n'
    env = {name: value for name, value in os.environ.items() if name not in ("BASH_ENV", "FORCE_COLOR")}
    return subprocess.run(["bash", "-c", start + script], capture_output=True, text=True, cwd=cwd, env=env)


def said(script: str, cwd: Path = DATA) -> str:
    done = shell(script, cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


MAE = said("lossctl compute mae preds.csv -f value").strip()


@needs_jq
def test_jq_reads_every_digit() -> None:
    assert said("lossctl compute mae preds.csv -f json | jq '.results[0].value'").strip() == MAE
    assert said("lossctl compute mae preds.csv --by age_band -f jsonl | jq -r '.group.age_band'").split() == [
        *("19-39", "40-59", "60-79", "null")
    ]
    gate = "lossctl gate preds.csv --max mae=46 --needs significant -f json"
    assert said(f"{gate} | jq -r '.checks[0].verdict, .counts.warnings'").split() == ["not-significant", "1"]
    compare = "lossctl compare rmse preds.parquet preds_b.parquet -f json"
    assert said(f"{compare} | jq -r '.differences[].verdict'").strip() == "better"


@needs_jq
def test_json_errors_go_to_jq_too() -> None:
    script = "lossctl compute mae none.csv -f json 2>&1 >/dev/null | jq -r .error.exit"
    assert said(script).strip() == "3"


def test_tee_keeps_what_is_shown(tmp_path: Path) -> None:
    shown = said(f"lossctl gate preds.csv --max mae=99 | tee {tmp_path}/log.txt")
    assert (tmp_path / "log.txt").read_text() == shown
    assert shell("set -o pipefail; lossctl gate preds.csv --max mae=1 | tee /dev/null").returncode == 1


def test_xargs_takes_names_with_spaces_and_newlines(tmp_path: Path) -> None:
    for name in ("a b.csv", "c\nd.csv"):
        shutil.copy(DATA / "preds.csv", tmp_path / name)
    script = (
        "find . -name '*.csv' -print0 | sort -z | xargs -0 -n 1 bash -c 'lossctl compute mae \"$0\" -f value'"
    )
    assert said(script, tmp_path).split() == [MAE, MAE]
    together = "find . -name '*.csv' -print0 | xargs -0 bash -c 'lossctl compute mae \"$@\" -f value' -"
    assert said(together, tmp_path).strip() == MAE


def test_here_document() -> None:
    script = "lossctl compute mae - -f value <<'END'\ny_true,y_pred\n1,1.5\n2,2\nEND\n"
    assert said(script).strip() == "0.25"


def test_process_substitution() -> None:
    script = "lossctl compute mae <(tail -n +1 preds.csv) -f value"
    assert said(script).strip() == MAE
    script = "diff <(lossctl compute mae preds.csv -f value) <(lossctl compute mae preds.parquet -f value)"
    assert said(script) == ""


def test_values_in_comparisons() -> None:
    script = """
    old=$(lossctl compute mae preds.csv -f value)
    new=$(lossctl compute mae preds_b.parquet --target-file preds.csv --on id -f value)
    if [ "$(printf '%s\\n' "$old" "$new" | sort -g | head -1)" = "$new" ]; then echo better; fi
    awk -v a="$old" -v b="$new" 'BEGIN { exit !(b < a) }' && echo lower
    """
    assert said(script) == "better\nlower\n"


def test_a_breached_gate_stops_a_strict_script(tmp_path: Path) -> None:
    script = """
    set -euo pipefail
    lossctl gate preds.csv --max mae=99 > /dev/null
    echo first
    lossctl gate preds.csv --max mae=1 > /dev/null
    echo second
    """
    done = shell(script)
    assert (done.returncode, done.stdout) == (1, "first\n")
    piped = shell("set -euo pipefail\nlossctl gate preds.csv --max mae=1 | cat > /dev/null\necho on\n")
    assert (piped.returncode, piped.stdout) == (1, "")


def test_lines_into_a_loop() -> None:
    script = """
    lossctl compute mae preds.csv --by age_band -f jsonl | while IFS= read -r line; do echo "${#line}"; done
    """
    counts = said(script).split()
    assert len(counts) == 4
    assert all(int(count) > 100 for count in counts)


def test_a_gate_in_a_condition() -> None:
    script = "if ! lossctl gate preds.csv --max mae={}>/dev/null; then echo no; else echo yes; fi"
    assert said(script.format("1 ")) == "no\n"
    assert said(script.format("99 ")) == "yes\n"
    cases = (
        "lossctl gate none.csv --max mae=1 2>/dev/null; case $? in 1) echo breached;; *) echo broken;; esac"
    )
    assert said(cases) == "broken\n"


def test_head_closes_the_pipe_quietly() -> None:
    done = shell("lossctl worst mae preds.csv -n 400 | head -1; echo ${PIPESTATUS[0]}")
    lines = done.stdout.splitlines()
    assert lines[0].split()[:2] == ["row", "mae"]
    assert lines[1] in ("0", "141")  # 0 when all of it fitted into the pipe
    assert done.stderr == ""


def test_compressed_streams_and_chains(tmp_path: Path) -> None:
    assert said("gzip -c preds.csv | lossctl compute mae - -f value").strip() == MAE
    chain = (
        "lossctl compute mse preds.csv --reduction none -f csv | lossctl compute custom --expr mse - -f value"
    )
    direct = said("lossctl compute mse preds.csv -f value")
    assert float(said(chain)) == float(direct)


def test_output_to_a_descriptor_and_nothing_on_stdout() -> None:
    script = "lossctl compute mae preds.csv -f value -o json:/dev/fd/3 3>&1 >/dev/null"
    assert '"schema": "lossctl.result/1"' in said(script)
