"""Every exit code of the contract, each from a real process and each with what it says on its streams."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent / "examples" / "data"
PREDS = DATA / "preds.parquet"
OTHER = DATA / "preds_b.parquet"
PROGRAM = [sys.executable, "-m", "lossctl"]

BROKEN = """
from lossctl.loss import Array, Residual, loss
@loss()
def broken(residual: Residual) -> Array:
    'A kernel with a mistake in it.'
    return residual.no_such_thing
"""


def lossctl(*arguments: object, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, input=stdin
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, which no case changes, with two saved results, data that is refused and a broken plugin."""
    tmp_path = tmp_path_factory.mktemp("codes")
    for name, file in (("old.json", PREDS), ("new.json", OTHER)):
        assert lossctl("compute", "mae", file, "-o", name, cwd=tmp_path).returncode == 0
    (tmp_path / "nan.csv").write_text("y,p\n1,2\n1,nan\n")
    (tmp_path / "text.csv").write_text("y,p\n1,x\n")
    (tmp_path / "empty.csv").write_text("y,p\n")
    (tmp_path / "two.csv").write_text("y,pred,score\n1,2,3\n")
    (tmp_path / "t.csv").write_text("id,y\n1,1\n1,2\n")
    (tmp_path / "q.csv").write_text("id,p\n1,1\n2,2\n")
    (tmp_path / "broken.py").write_text(BROKEN)
    return tmp_path


CASES: list[tuple[int, list[object]]] = [
    (0, ["compute", "mae", PREDS]),
    (0, ["compute", "mae", PREDS, "--fail-above", "99", "--fail-below", "1"]),
    (0, ["gate", PREDS, "--max", "mae=99"]),
    (0, ["gate", PREDS, "--max", "mae=46", "--needs", "significant"]),
    (0, ["diff", "old.json", "new.json"]),
    (0, ["diff", "old.json", "old.json", "--exit-code"]),
    (0, ["compare", "mae", PREDS, OTHER]),
    (0, ["--version"]),
    (0, ["--help"]),
    (0, ["schema", "compare"]),
    (1, ["compute", "mae", PREDS, "--fail-above", "40"]),
    (1, ["gate", PREDS, "--max", "mae=40"]),
    (1, ["gate", PREDS, "--max", "mae=40", "--needs", "significant"]),
    (1, ["gate", PREDS, "--max-regression", "mae=1%", "--baseline", "none.json"]),
    (1, ["diff", "old.json", "new.json", "--exit-code"]),
    (2, []),
    (2, ["nonsense"]),
    (2, ["compute"]),
    (2, ["compute", "mae"]),
    (2, ["compute", "mae", PREDS, "--nonsense"]),
    (2, ["compute", "huber:delta=-1", PREDS]),
    (2, ["gate", PREDS]),
    (2, ["gate", PREDS, "--max", "medae=9", "--needs", "significant"]),
    (2, ["gate", PREDS, "--max", "mae=9", "--needs", "certainty"]),
    (2, ["compare", "mae", PREDS]),
    (2, ["compare", "mae", PREDS, OTHER, "-o", "x.csv"]),
    (2, ["schema", "state"]),
    (2, ["schema", "nonsense"]),
    (3, ["compute", "mae", "none.csv"]),
    (3, ["compute", "mae", "*.none"]),
    (3, ["compute", "mae", PREDS, PREDS]),
    (3, ["compute", "mae", "nan.csv"]),
    (3, ["compute", "mae", "text.csv"]),
    (3, ["compute", "mae", "empty.csv"]),
    (3, ["compute", "mae", "two.csv"]),
    (3, ["compute", "mae", PREDS, "--pred", "none"]),
    (3, ["compute", "mae", "q.csv", "--target-file", "t.csv", "--on", "id"]),
    (3, ["compute", "mae", PREDS, "--where", "id < 0", "--fail-above", "9"]),
    (3, ["compare", "mae", PREDS, "q.csv"]),
    (3, ["diff", "old.json", "nan.csv"]),
    (3, ["gate", "none.csv", "--max", "mae=9"]),
    (4, ["compute", "mae", PREDS, "-o", "none/r.json"]),
    (4, ["compute", "medae", PREDS, "--max-memory", "1kB"]),
    (4, ["gate", PREDS, "--max", "mae=99", "-o", "none/r.xml"]),
    (4, ["compare", "mae", PREDS, OTHER, "-o", "none/r.json"]),
    (70, ["compute", "broken", PREDS, "--plugin", "broken.py"]),
    (70, ["gate", PREDS, "--max", "broken=1", "--plugin", "broken.py"]),
]


@pytest.mark.parametrize(
    ("code", "words"), CASES, ids=[f"{c}-{' '.join(map(str, w))[:50]}" for c, w in CASES]
)
def test_code(code: int, words: list[object], folder: Path) -> None:
    done = lossctl(*words, cwd=folder)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code >= 2 and words:
        assert done.stdout == "" or words == ["compute"]
        assert "error: " in done.stderr or words == ["compute"]
    if code == 70:
        assert "a bug in lossctl: AttributeError" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["compute", "mae", "none.csv", "-f", "json"],
        ["gate", "none.csv", "--max", "mae=1", "-f", "json"],
        ["compare", "mae", "none.csv", PREDS, "-f", "json"],
        ["compute", "broken", PREDS, "--plugin", "broken.py", "-f", "json"],
    ],
)
def test_the_json_error_says_the_code(words: list[object], folder: Path) -> None:
    done = lossctl(*words, cwd=folder)
    assert json.loads(done.stderr.splitlines()[-1])["error"]["exit"] == done.returncode


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    "words",
    [["gate", str(PREDS), "--max", "mae=40"], ["compare", "mae", str(PREDS), str(OTHER)], ["schema", "gate"]],
)
def test_a_full_disk_is_4_and_never_a_verdict(words: list[str], folder: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PROGRAM, *words], stdout=full, stderr=subprocess.PIPE, cwd=folder)
    assert done.returncode == 4
    assert b"Traceback" not in done.stderr


def test_a_reader_that_leaves_is_141(tmp_path: Path) -> None:
    rows = "y,p\n" + "1,2\n" * 200_000  # more output than any pipe holds
    (tmp_path / "long.csv").write_text(rows)
    command = f"{' '.join(PROGRAM)} compute mae long.csv --reduction none -f csv"
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -1; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout == "row,mae\n141\n"
    assert done.stderr == ""


@pytest.mark.parametrize(
    "words", [["compute", "mae", "-"], ["gate", "-", "--max", "mae=9"]], ids=lambda w: w[0]
)
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_signals(number: int, code: int, words: list[str], tmp_path: Path) -> None:
    """The program waits for standard input when the signal comes; the plugin says that it has begun."""
    (tmp_path / "begun.py").write_text("open('begun', 'w').close()\n")
    command = [*PROGRAM, *words, "-o", "out.json", "--plugin", "begun.py"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=tmp_path, **pipes)
    assert process.stdin is not None
    process.stdin.write(b"y,p\n1,2\n")
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == code, stderr
    assert b"Traceback" not in stderr
    assert stdout == b""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "begun.py"]
