"""Where output goes: parsed, checked before any work, written whole or not at all, every failure noticed."""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lossctl.errors import BadValue, LossctlError, ResourceError, UsageError
from lossctl.render.output import BrokenPipe, Sink, Target, atomic, check_targets, parse_target
from lossctl.render.samples import SAMPLE_FORMATS, SampleColumn, open_writer


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "path", "form"),
    [
        ("a.parquet", "a.parquet", "parquet"), ("a.csv", "a.csv", "csv"), ("a.tsv", "a.tsv", "tsv"),
        ("a.jsonl", "a.jsonl", "jsonl"), ("a.json", "a.json", "json"), ("a.md", "a.md", "markdown"),
        ("a.TXT", "a.TXT", "table"), ("json:a.csv", "a.csv", "json"), ("x:a.csv", "x:a.csv", "csv"),
        ("value:out", "out", "value"), ("./value:a.md", "./value:a.md", "markdown"),
        ("csv:-", "/dev/stdout", "csv"),
        ("csv:/dev/full", "/dev/full", "csv"), ("json:csv:x", "csv:x", "json"),
    ],
)  # fmt: skip
def test_parse_target(text: str, path: str, form: str) -> None:
    assert parse_target(text) == Target(path, form)


@pytest.mark.parametrize("text", ["a.xyz", "a", "", "json:", "-", "xml:a", "a\0.csv", ".csv/"])
def test_parse_target_refuses(text: str) -> None:
    with pytest.raises(BadValue) as caught:
        parse_target(text)
    assert ".parquet" in str(caught.value)


def refused(
    kind: type[LossctlError], says: str, *texts: str, inputs: tuple[str, ...] = (), clobber: bool = True
) -> None:
    with pytest.raises(kind, match=says) as caught:
        check_targets([parse_target(text) for text in texts], inputs, clobber)
    assert caught.value.exit_code == (2 if kind is UsageError else 4)


def test_output_that_is_an_input(there: Path) -> None:
    (there / "in.csv").write_text("x")
    (there / "sub").mkdir()
    os.symlink("in.csv", "soft.csv")
    os.link("in.csv", "hard.csv")
    os.symlink(there, "dir")
    for name in ("in.csv", "soft.csv", "hard.csv", "dir/in.csv", "./sub/../in.csv", str(there / "in.csv")):
        refused(UsageError, "is the input", f"json:{name}", inputs=("-", "in.csv"))
    refused(UsageError, "is the input", "in.csv", inputs=("soft.csv",))
    check_targets([parse_target("other.csv")], ["-", "in.csv", "gone.csv"], True)
    with open("in.csv") as opened:
        refused(UsageError, "is the input", f"csv:/dev/fd/{opened.fileno()}", inputs=("in.csv",))


def test_same_output_twice(there: Path) -> None:
    refused(UsageError, "twice", "new.csv", "json:./new.csv")
    (there / "a.csv").write_text("x")
    os.link("a.csv", "b.csv")
    refused(UsageError, "twice", "a.csv", "b.csv")
    os.symlink("later.csv", "c.csv")
    refused(UsageError, "twice", "c.csv", "later.csv")
    check_targets([parse_target("csv:/dev/null"), parse_target("json:/dev/null")], [], False)


def test_places_that_cannot_be_written(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (there / "old.csv").write_text("x")
    (there / "d.csv").mkdir()
    refused(ResourceError, "no such directory", "gone/a.csv")
    refused(ResourceError, "is a directory", "d.csv")
    refused(ResourceError, "Not a directory", "old.csv/a.csv")
    refused(ResourceError, "too long", "n" * 300 + ".csv")
    refused(UsageError, "exists", "old.csv", clobber=False)
    check_targets([parse_target("old.csv")], [], True)
    os.symlink("loop.csv", "loop.csv")
    refused(ResourceError, "symbolic links", "loop.csv")
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("old.csv"))
    refused(ResourceError, "permission denied", "old.csv")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused(ResourceError, "directory cannot be written", "new.csv")


def test_atomic_writes_whole_with_the_mode_of_the_umask(there: Path) -> None:
    old = os.umask(0o027)
    try:
        with atomic("a.csv") as sink:
            sink.write_text("é\ud800")
            assert not Path("a.csv").exists()
            (temporary,) = os.listdir()
            assert stat.S_IMODE(os.stat(temporary).st_mode) == 0o600
    finally:
        os.umask(old)
    assert Path("a.csv").read_bytes() == "é\\ud800".encode()
    assert stat.S_IMODE(os.stat("a.csv").st_mode) == 0o640
    assert os.listdir() == ["a.csv"]
    os.chmod("a.csv", 0o600)
    with atomic("a.csv") as sink:
        sink.write(b"new")
    assert stat.S_IMODE(os.stat("a.csv").st_mode) == 0o600


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, ResourceError])
def test_atomic_leaves_the_old_file_on_failure(there: Path, error: type[BaseException]) -> None:
    Path("a.csv").write_text("old")
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(error), atomic("a.csv") as sink:  # noqa: PT012
        sink.write(b"x" * 1_000_000)
        raise error("stop")
    assert Path("a.csv").read_text() == "old"
    assert os.listdir() == ["a.csv"]
    assert set(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod"])
def test_failing_system_calls_are_resource_errors(
    there: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    Path("a.csv").write_text("old")
    monkeypatch.setattr(os, call, fail)
    with (
        pytest.raises(ResourceError, match=r"a\.csv: cannot write: Input/output error"),
        atomic("a.csv") as sink,
    ):
        sink.write(b"new")
    assert Path("a.csv").read_text() == "old"
    assert os.listdir() == ["a.csv"]


def test_order_of_system_calls(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    for call in ("fsync", "replace"):
        real = getattr(os, call)
        monkeypatch.setattr(os, call, lambda *a, call=call, real=real: (seen.append(call), real(*a)))
    with atomic("a.csv") as sink:
        sink.write(b"new")
    assert seen == ["fsync", "replace", "fsync"]


def test_no_clobber_holds_to_the_end(there: Path) -> None:
    with pytest.raises(UsageError, match="exists"), atomic("a.csv", clobber=False) as sink:  # noqa: PT012
        sink.write(b"new")
        Path("a.csv").write_text("made meanwhile")
    assert Path("a.csv").read_text() == "made meanwhile"
    assert os.listdir() == ["a.csv"]
    with atomic("b.csv", clobber=False) as sink:
        sink.write(b"new")
    assert sorted(os.listdir()) == ["a.csv", "b.csv"]


def test_atomic_follows_links(there: Path) -> None:
    (there / "data").mkdir()
    os.symlink("data/real.csv", "link.csv")
    for text in (b"one", b"two"):
        with atomic("link.csv") as sink:
            sink.write(text)
        assert os.path.islink("link.csv")
        assert Path("data/real.csv").read_bytes() == text
    assert os.listdir("data") == ["real.csv"]


def test_a_missing_directory_is_a_resource_error(there: Path) -> None:
    with pytest.raises(ResourceError), atomic("gone/a.csv"):
        pass


def test_dev_full_and_fifos(there: Path) -> None:
    with (
        pytest.raises(ResourceError, match="/dev/full: cannot write: No space left") as caught,
        atomic("/dev/full") as sink,
    ):
        sink.write(b"x")
    assert caught.value.exit_code == 4
    os.mkfifo("pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(Path("pipe").read_bytes()))
    reader.start()
    with atomic("pipe") as sink:
        sink.write(b"x" * 1_000_000)
    reader.join()
    assert got == [b"x" * 1_000_000]
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


@pytest.mark.parametrize("form", SAMPLE_FORMATS)
def test_writers_notice_a_full_disk(form: str) -> None:
    columns = [SampleColumn("row", "int"), SampleColumn("m", "number")]
    block = {"row": np.arange(100_000), "m": np.random.default_rng(1).random(100_000)}
    with pytest.raises(ResourceError, match="No space left"), atomic("/dev/full") as sink:  # noqa: PT012
        writer = open_writer(form, sink, columns)
        for _ in range(3):
            writer.write(block)
        writer.close()


@pytest.mark.parametrize("form", SAMPLE_FORMATS)
def test_writers_write_the_same_to_a_sink(there: Path, form: str) -> None:
    columns = [SampleColumn("row", "int"), SampleColumn("m", "number")]
    block = {"row": np.arange(50_000), "m": np.random.default_rng(1).random(50_000)}
    memory = io.BytesIO()
    with atomic("out") as sink:
        for one in (memory, sink):
            writer = open_writer(form, one, columns)
            writer.write(block)
            writer.close()
    assert Path("out").read_bytes() == memory.getvalue()


def test_pipes_closed_by_the_reader() -> None:
    read, write = os.pipe()
    os.close(read)
    with pytest.raises(BrokenPipe) as caught, Sink(write, "pipe") as sink:
        sink.write(b"x")
    assert caught.value.exit_code == 141
    assert not isinstance(caught.value, LossctlError | OSError)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(write)


def test_non_blocking_pipes_are_waited_for() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    got = bytearray()

    def drain() -> None:
        time.sleep(0.1)
        while part := os.read(read, 1 << 16):
            got.extend(part)

    reader = threading.Thread(target=drain)
    reader.start()
    with Sink(write, "pipe") as sink:
        for at in range(100):
            sink.write(bytes([at]) * 9_000)
        assert sink.tell() == 900_000
    reader.join()
    os.close(read)
    assert got == b"".join(bytes([at]) * 9_000 for at in range(100))


def run(code: str, shell: str, where: Path) -> subprocess.CompletedProcess[bytes]:
    start = """
import sys
from lossctl.errors import LossctlError
from lossctl.render.output import *
def main():
"""
    end = """
try:
    main()
except (LossctlError, BrokenPipe) as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""
    body = "".join("    " + line + "\n" for line in code.splitlines())
    program = where / "program.py"
    program.write_text(start + body + end)
    command = shell.replace("RUN", f"{sys.executable} {program}")
    paths = os.pathsep.join([os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, cwd=where, env=os.environ | {"PYTHONPATH": paths}
    )


WRITES = "with Stdout() as out:\n    for _ in range(100): out.write_text('line\\n' * 10000)"


@pytest.mark.parametrize(
    ("shell", "code", "says"),
    [
        ("RUN > all; exit $?", 0, b""),
        ("RUN | head -1; exit ${PIPESTATUS[0]}", 141, b""),
        ("RUN > /dev/full", 4, b"No space left"),
        ("RUN >&-", 4, b"standard output: it is closed"),
        ("RUN 1</dev/null", 4, b"it is closed"),
    ],
)
def test_stdout(tmp_path: Path, shell: str, code: int, says: bytes) -> None:
    done = run(WRITES, shell, tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert b"Traceback" not in done.stderr
    if not code:
        assert (tmp_path / "all").stat().st_size == 5_000_000


def test_a_small_write_to_a_full_disk_is_noticed(tmp_path: Path) -> None:
    assert run("with Stdout() as out: out.write_text('x')", "RUN > /dev/full", tmp_path).returncode == 4


def test_stdout_by_name_reaches_the_redirected_file(tmp_path: Path) -> None:
    code = "with atomic('/dev/stdout') as sink: sink.write(b'two\\n')"
    done = run(code, "(echo one; RUN; echo three) > all", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "all").read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_while_writing_leaves_the_old_file(tmp_path: Path, number: int) -> None:
    (tmp_path / "a.csv").write_text("old")
    code = (
        "import os, time\nwith atomic('a.csv') as sink:\n    sink.write(b'x' * 1000000)\n"
        f"    os.kill(os.getpid(), {int(number)}); time.sleep(9)"
    )
    assert run(code, "RUN", tmp_path).returncode != 0
    assert (tmp_path / "a.csv").read_text() == "old"
    left = [name for name in os.listdir(tmp_path) if name.startswith(".lossctl-")]
    assert len(left) == (number == signal.SIGKILL)
