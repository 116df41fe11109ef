"""Streams and files as a shell hands them over: closed, full, cut off, named oddly, and ended by signals."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from soak.kills import kills

OLD = "what was here before\n"
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev and /proc")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with in.csv, whose mae is 0.5, and out.csv, which must not suffer."""
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("target,pred\n1,2\n3,3\n")
    Path("out.csv").write_text(OLD)
    return tmp_path


def shell(script: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a script in which `lossctl` is this one."""
    start = f'lossctl() {{ "{sys.executable}" -m lossctl "$@"; }}\n'
    done = subprocess.run(["bash", "-c", start + script], input=stdin, capture_output=True)
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def left_alone(*more: str) -> None:
    assert Path("out.csv").read_text() == OLD
    assert sorted(os.listdir()) == sorted(["in.csv", "out.csv", *more])


ROWS = "--reduction none -f csv"


def test_reader_that_stops_early_is_141(there: Path) -> None:
    Path("long.csv").write_text("target,pred\n" + "1,2\n" * 200_000)
    code, out, err = shell(f"lossctl compute mae long.csv {ROWS} | head -1; exit ${{PIPESTATUS[0]}}")
    assert (code, out, err) == (141, "row,mae\n", "")


@pytest.mark.parametrize("command", ["list", "explain mae", "schema result", "--help", "compute mae --help"])
def test_reader_that_never_reads_is_141(there: Path, command: str) -> None:
    code, _, err = shell(f"(sleep 0.1; lossctl {command}; echo $? > code) | true; exit $(cat code)")
    assert (code, err) == (141, "")


COMMANDS = [
    "compute mae in.csv",
    "compute mae in.csv -f json",
    f"compute mae in.csv {ROWS}",
    "list",
    "check in.csv",
]
COMMANDS += [
    "explain mae",
    "schema result",
    "worst mae in.csv",
    "gate in.csv --max mae=1",
    "--version",
    "--help",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_closed_stdout_is_4(there: Path, command: str) -> None:
    code, out, err = shell(f"lossctl {command} >&-")
    assert (code, out) == (4, "")
    assert len(err.splitlines()) == (command != "--version")


@LINUX
@pytest.mark.parametrize("command", COMMANDS)
def test_full_disk_under_stdout_is_4(there: Path, command: str) -> None:
    assert shell(f"lossctl {command} > /dev/full")[0] == 4


@LINUX
def test_full_disk_under_an_output_is_4(there: Path) -> None:
    for options in ("", ROWS):
        code, _, err = shell(f"lossctl compute mae in.csv {options} -o csv:/dev/full")
        assert code == 4
        assert "No space left" in err


def test_closed_stdout_never_lands_in_an_output(there: Path) -> None:
    code, _, _ = shell(f"lossctl compute mae in.csv {ROWS} -o out.csv >&- 0>&- 2>&-")
    assert code == 4
    left_alone()


def test_closed_stdin(there: Path) -> None:
    assert shell("lossctl compute mae in.csv -f value <&-")[:2] == (0, "0.5\n")
    code, out, err = shell("lossctl compute mae - <&-")
    assert (code, out) == (4, "")
    assert "standard input is closed" in err


def test_closed_stderr_hides_only_messages(there: Path) -> None:
    assert shell("lossctl compute mae in.csv -f value 2>&-") == (0, "0.5\n", "")
    assert shell("lossctl compute mae gone.csv 2>&-") == (3, "", "")
    Path("eps.csv").write_text("target,pred\n1,1\n")
    assert shell("lossctl compute bce eps.csv --eps 0.4 --reduction none -o out.csv 2>&-")[0] == 0
    assert Path("out.csv").read_text().startswith("row,")


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("HUP", 129), ("INT", 130)])
def test_signals_while_waiting_for_data(there: Path, name: str, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "lossctl", "compute", "mae", "-", "--reduction", "none", "-o", "out.csv"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(b"target,pred\n" + b"1,2\n" * 6_000_000)
    process.stdin.flush()
    deadline = time.monotonic() + 20
    while len(os.listdir()) < 3 and time.monotonic() < deadline:  # until the temporary file is there
        time.sleep(0.02)
    assert len(os.listdir()) == 3
    process.send_signal(getattr(signal, f"SIG{name}"))
    _, err = process.communicate(timeout=20)
    assert process.returncode == code, err
    assert len(err.splitlines()) == 1
    left_alone()


FINALISED = """
import os, signal, time
class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)
Last()
time.sleep(20)
open("out.csv", "w").close()
"""


def test_signal_inside_a_finaliser_stops_all_the_same(there: Path) -> None:
    Path("plug.py").write_text(FINALISED)
    assert shell("lossctl compute mae in.csv --plugin plug.py") == (143, "", "stopped by a signal\n")
    left_alone("plug.py")


def test_kills_at_random_moments() -> None:
    counts, wrong = kills(12, seed=int(time.time()))
    assert not wrong, counts


def test_what_the_shell_ignores_stays_ignored(there: Path) -> None:
    command = f"{sys.executable} -m lossctl compute mae - -f value"
    script = f"trap '' HUP; {command} <&3 & sleep 2; kill -HUP $!; wait $!"
    assert shell(f"(sleep 3; cat in.csv) | ({script}) 3<&0")[:2] == (0, "0.5\n")


def test_output_that_is_the_input_is_2(there: Path) -> None:
    os.symlink("in.csv", "soft.csv")
    os.link("in.csv", "hard.csv")
    before = Path("in.csv").read_bytes()
    for name in ("in.csv", "soft.csv", "hard.csv", "./in.csv", "$PWD/in.csv"):
        code, out, err = shell(f"lossctl compute mae in.csv -o {name}")
        assert (code, out) == (2, "")
        assert "is the input" in err
    assert Path("in.csv").read_bytes() == before


def test_output_is_replaced_whole_and_no_clobber_is_2(there: Path) -> None:
    code, out, err = shell("lossctl compute mae in.csv --no-clobber -o out.csv")
    assert (code, out) == (2, "")
    assert "exists" in err
    left_alone()
    assert shell("lossctl compute mae in.csv -o out.csv")[0] == 0
    assert "mae,0.5" in Path("out.csv").read_text()
    assert sorted(os.listdir()) == ["in.csv", "out.csv"]


def test_missing_output_directory_is_4_before_the_data_is_read(there: Path) -> None:
    Path("bad.csv").write_text("target,pred\nx,y\n")
    code, _, err = shell("lossctl compute mae bad.csv -o gone/out.csv")
    assert code == 4
    assert "no such directory" in err


@LINUX
def test_directory_that_takes_no_files_is_4_before_the_data_is_read(there: Path) -> None:
    Path("bad.csv").write_text("target,pred\nx,y\n")
    code, _, err = shell("lossctl compute mae bad.csv -o /sys/kernel/out.csv")
    assert code == 4
    assert "/sys/kernel" in err


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_read_only_directory_is_4(there: Path) -> None:
    Path("closed").mkdir(mode=0o500)
    code, _, err = shell("lossctl compute mae in.csv -o closed/out.csv")
    assert code == 4
    assert "cannot be written" in err


def test_pipes_stdin_by_name_and_paths_through_the_parent(there: Path) -> None:
    os.mkfifo("fifo")
    os.mkdir("sub")
    for script in (
        "cat in.csv > fifo & lossctl compute mae fifo -f value",
        "lossctl compute mae /dev/stdin -f value < in.csv",
        "cat in.csv | lossctl compute mae /dev/stdin -f value",
        "cat in.csv | lossctl compute mae - -f value",
        "lossctl compute mae <(cat in.csv) -f value",
        "lossctl compute mae sub/../in.csv -f value",
        'lossctl compute mae "$PWD/in.csv" -f value',
    ):
        assert shell(script) == (0, "0.5\n", ""), script


def test_worst_shows_rows_of_a_stream(there: Path) -> None:
    code, out, _ = shell("lossctl worst mae - -n 1 -f csv < in.csv")
    assert (code, out) == (0, "row,mae,target,pred\n0,1,1,2\n")


def test_directory_without_data_and_glob_without_match_are_3(there: Path) -> None:
    os.mkdir("empty")
    for command in ("compute mae", "gate --max mae=1", "check", "worst mae"):
        for name in ("empty", "'no*.csv'"):
            code, out, err = shell(f"lossctl {command} {name}")
            assert (code, out) == (3, ""), (command, name, err)


def test_a_missing_column_in_a_directory_of_files_lists_the_columns(there: Path) -> None:
    for part in ("a", "b"):
        Path(f"all/part={part}").mkdir(parents=True)
        Path(f"all/part={part}/x.csv").write_text("target,pred\n1,2\n")
    for name in ("nope", "'nope*'"):
        code, _, err = shell(f"lossctl compute mae all --pred {name}")
        assert code == 3
        assert "columns are: target, pred, part" in err


@pytest.mark.parametrize("options", ["--by g", "--where g==1", "--target g", "--pred 'g*'", "--weight g"])
def test_a_missing_column_is_told_of_the_file_that_lacks_it(there: Path, options: str) -> None:
    Path("a.csv").write_text("target,pred,g\n1,2,1\n")
    Path("b.csv").write_text("target,pred,h\n1,2,1\n")
    code, _, err = shell(f"lossctl compute mae a.csv b.csv {options}")
    assert (code, err.startswith("error: b.csv: no column 'g")) == (3, True), err
    assert "columns are: target, pred, h" in err


def test_odd_bytes_in_names_are_spelt_out_in_all_json(there: Path) -> None:
    lines = "".join(f"{at},{at + at % 3},{at}\n" for at in range(40))
    for name in ("a.csv", "\udcff.csv"):
        Path(name).write_text("target,pred,step\n" + lines)
    for command in ("compare mae a.csv '\udcff.csv'", "curve mae --by step '\udcff.csv'"):
        code, out, err = shell(f"lossctl {command} -f json")
        assert (code, "\\\\udcff.csv" in out) == (0, True), err
    code, out, _ = shell("lossctl gate '\udcff.csv' --max mae=9 -f json --update-baseline --baseline b.json")
    assert (code, "\\\\udcff.csv" in out, "\\\\udcff.csv" in Path("b.json").read_text()) == (0, True, True)


def test_every_command_warns_of_a_file_cut_off(there: Path) -> None:
    Path("cut.csv").write_text("target,pred\n1,2\n3,4")
    for command in ("compute mae", "worst mae", "check", "recommend", "compute mae --reduction none"):
        code, _, err = shell(f"lossctl {command} cut.csv")
        assert (code, "the last line has no line end" in err) == (0, True), err
        assert shell(f"lossctl {command} cut.csv -q")[2] == ""


def test_digits_are_for_tables_of_rows_too(there: Path) -> None:
    Path("t.csv").write_text("target,pred\n0,1.23456789\n")
    assert "1.23\n" in shell("lossctl compute mae t.csv --reduction none --digits 3")[1]


def test_guessed_columns_are_told_beside_rows_too(there: Path) -> None:
    _, out, err = shell("lossctl compute mae in.csv --reduction none -f csv -v")
    assert (out, err) == ("row,mae\n0,1\n1,0\n", "target: target (guessed)\npred: pred (guessed)\n")


@pytest.mark.parametrize(
    "name", ["-x.csv", "a\nb.csv", "a b;$(touch evil)'\".csv", "\udcff.csv", "é.csv", "[1].csv"]
)
def test_odd_file_names_work(there: Path, name: str) -> None:
    os.rename("in.csv", name)
    for words in ([f"./{name}"], ["--", name]):
        done = subprocess.run(
            [sys.executable, "-m", "lossctl", "compute", "mae", "-f", "json", *words], capture_output=True
        )
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        assert made["results"][0]["value"] == 0.5
        made["inputs"][0]["path"].encode()  # no half of a surrogate pair
    words = ["--reduction", "none", "-o", f"csv:new{name}", "--", name]
    done = subprocess.run([sys.executable, "-m", "lossctl", "compute", "mae", *words], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert Path(f"new{name}").read_text() == "row,mae\n0,1\n1,0\n"
    assert sorted(os.listdir()) == sorted(["out.csv", name, f"new{name}"])


SETTINGS = [
    {"LC_ALL": "de_DE.UTF-8"}, {"LC_ALL": "C"}, {"LC_ALL": "POSIX"},
    {"TZ": "Asia/Kolkata"}, {"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"}, {"PYTHONOPTIMIZE": "2"},
    {"COLUMNS": "20", "TERM": "dumb"}, {"PYTHONIOENCODING": "latin-1"}, {"OMP_NUM_THREADS": "1"},
]  # fmt: skip


def test_surroundings_change_no_byte(there: Path) -> None:
    rows = "".join(f"{i % 7},{i % 5 / 3!r},{'üäß'[i % 3]}{i % 4}\n" for i in range(300))
    Path("in.csv").write_text("target,pred,größe\n" + rows, encoding="utf-8")
    command = [sys.executable, "-m", "lossctl", "compute", "mse,mae,medae", "in.csv", "--by", "größe"]
    command += ["-o", "csv:out.csv", "-o", "out.json"]
    made = set()
    for extra in ({}, *SETTINGS):
        done = subprocess.run(command, capture_output=True, env=os.environ | extra)
        assert done.returncode == 0, (extra, done.stderr)
        made.add((done.stdout, Path("out.csv").read_bytes(), Path("out.json").read_bytes()))
    assert len(made) == 1


def test_error_is_one_json_object_where_json_is_asked(there: Path) -> None:
    for words in ("-f json", "-fjson", "--format json", "--format=json", "-qf json", "-f jsonl"):
        code, out, err = shell(f"lossctl compute mae in.csv --pred nope {words}")
        assert (code, out) == (3, "")
        assert json.loads(err)["error"] | {"exit": 3, "type": "MissingColumn"} == json.loads(err)["error"]
    for words in ("--where '-f json > 1'", "-f csv", "-- json"):
        assert shell(f"lossctl compute mae gone.csv {words}")[2].startswith("error: ")
    assert json.loads(shell("lossctl compute hubr -f json in.csv")[2])["error"]["exit"] == 2
    assert json.loads(shell("lossctl compute mae in.csv -f json --digits x")[2])["error"]["exit"] == 2
    assert json.loads(shell("lossctl compute mae in.csv -f json >&-")[2])["error"]["exit"] == 4


def test_debugging_shows_where_and_keeps_the_exit_code() -> None:
    shell("printf 'target,pred\\n1,2\\n' > in.csv")
    for words, code in (
        ("mae gone.csv", 3),
        ("hubr in.csv", 2),
        ("mae in.csv --bad", 2),
        ("mae in.csv -o /no/x.json", 4),
    ):
        plain, debug = shell(f"lossctl compute {words}"), shell(f"lossctl compute {words} --debug 2>&1")
        assert plain[0] == debug[0] == code
        assert debug[1].startswith("Traceback")
        assert debug[1].endswith(plain[2])
    assert shell("lossctl compute mae in.csv --fail-above 0.5 --debug")[0] == 1


def test_options_of_the_whole_program_are_in_its_help() -> None:
    _, out, _ = shell("lossctl --help")
    assert all(name in out for name in ("--version", "--debug", "--plugin"))
    assert shell("lossctl --version compute") == shell("lossctl -V")


SHORTAGES = [MemoryError(), OSError(errno.ENOMEM, "x"), RuntimeError("can't start new thread")]
SHORTAGES += [ImportError("a.so: failed to map segment from shared object")]


@pytest.mark.parametrize("error", SHORTAGES, ids=lambda error: type(error).__name__)
def test_what_the_system_has_not_got_is_4(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lossctl.process import run

    def fail() -> None:
        raise error

    monkeypatch.setattr("lossctl.cli.app.make", fail)
    assert run(["list"], debug=False) == 4
    assert "not enough memory" in capsys.readouterr().err
