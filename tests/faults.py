"""Runs of the command line in which one call to the system fails, for every such call in turn.

A shim under LD_PRELOAD (faults.c) counts and fails calls on the files of a run, whichever library makes them.
A server process imports lossctl once and forks for every run.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
KINDS = ("open", "read", "write", "sync", "rename", "close", "link", "unlink", "mode", "stat", "map")
FATAL = ("open", "read", "write", "sync", "rename", "link", "mode")  # none of these may fail unnoticed
WRITING = ("write", "sync", "rename", "link", "unlink", "mode")
SHORT = -1
MODES = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EINTR": errno.EINTR, "short": SHORT}
OLD = b"what was here before\n"
ROWS = 3_000  # three pieces of a CSV under --chunk-rows 1000, three row groups of a Parquet file


@dataclass(frozen=True)
class Case:
    """One command line; {in} is its input, {out} what it writes."""

    name: str
    source: str
    output: str
    options: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        return ["compute", "mse,mae", "{in}", "--chunk-rows", "1000", *self.options, "-o", "{out}"]


ROWWISE = ("--reduction", "none", "--id", "region")
CASES = [
    Case("rows of csv to csv", "data.csv", "out.csv", ROWWISE),
    Case("rows of parquet to parquet", "data.parquet", "out.parquet", ROWWISE),
    Case("rows of csv, new file", "data.csv", "out.jsonl", (*ROWWISE, "--no-clobber")),
    Case("groups of csv to json", "data.csv", "out.json", ("--by", "region")),
    Case("groups of parquet to csv", "data.parquet", "out.csv", ("--by", "region", "-f", "json")),
    Case("packed csv", "data.csv.gz", "out.md"),
]


@dataclass
class Tally:
    """What came of the runs; `wrong` is what must not be."""

    calls: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def library(folder: Path) -> Path | None:
    """The shim, compiled; None where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    made = folder / "libfaults.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-w", "-o", made, HERE / "faults.c", "-ldl"], check=True
    )
    return made


def run_all(stride: int = 1, phase: int = 0) -> Tally:
    """Every call and mode, or each `stride`-th of those that only read, in a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        shim = library(Path(folder))
        assert shim is not None, "needs a C compiler"
        env = os.environ | {"LD_PRELOAD": str(shim), "PYTHONPATH": os.pathsep.join(sys.path)}
        program = f"import faults; faults.serve({folder!r}, {stride}, {phase})"
        words = [sys.executable, "-c", program]
        done = subprocess.run(words, capture_output=True, text=True, env=env, cwd=HERE)
    if done.returncode:
        raise AssertionError(done.stderr[-2000:])
    made = json.loads(done.stdout.splitlines()[-1])
    return Tally(
        Counter(made["calls"]), Counter({int(k): v for k, v in made["exits"].items()}), made["wrong"]
    )


def serve(folder: str, stride: int, phase: int) -> None:
    """The server: one fork per run."""
    import lossctl.aggregate
    import lossctl.cli.compute
    import lossctl.cli.samples
    import lossctl.render.output
    import lossctl.sources.csv
    import lossctl.sources.parquet  # noqa: F401
    from lossctl.loss.registry import all_losses

    all_losses()
    shim = ctypes.CDLL(None)
    tally = Tally()
    number = 0
    where = Path(folder) / "run"
    for case in CASES:
        right = _run(case, where, shim, -1, 0, 0, tally)
        if right.code != 0:
            tally.wrong.append(f"{case.name}: exit {right.code} without a fault: {right.errors}")
            continue
        for kind, count in zip(KINDS, right.seen, strict=True):
            tally.calls[kind] += count
            for at in range(1, count + 1):
                for mode in MODES:
                    if mode == "short" and kind not in ("read", "write"):
                        continue
                    number += 1
                    if kind in WRITING or number % stride == phase:
                        found = _run(case, where, shim, KINDS.index(kind), at, MODES[mode], tally)
                        tally.exits[found.code] += 1
                        name = f"{case.name}, {kind} {at} of {count} {mode}"
                        tally.wrong += [f"{name}: {w}" for w in _judged(case, found, right)]
                        if found.code == 0 and kind in FATAL and mode in ("EIO", "ENOSPC"):
                            tally.wrong.append(f"{name}: went unnoticed")
    print(json.dumps({"calls": tally.calls, "exits": tally.exits, "wrong": tally.wrong}))


@dataclass
class Found:
    """What one run left."""

    code: int
    output: bytes | None
    left: list[str]
    shown: bytes
    errors: str
    seen: list[int]


def _judged(case: Case, found: Found, right: Found) -> Iterator[str]:
    old = None if "--no-clobber" in case.options else OLD
    if found.code not in (0, 3, 4):
        yield f"exit {found.code}: {found.errors[-300:]}"
    if "Traceback" in found.errors or "Exception ignored" in found.errors:
        yield f"traceback: {found.errors[-300:]}"
    if found.code == 0 and (found.output != right.output or found.shown != right.shown):
        yield "another result, with exit 0"
    if found.code != 0 and found.output not in (old, right.output):
        yield f"a torn output of {len(found.output or b'')} bytes"
    if found.code != 0 and len(found.errors.splitlines()) != 1:
        yield f"not one line of error: {found.errors[-300:]!r}"
    if found.left:
        yield f"left behind: {found.left}"


def _run(case: Case, where: Path, shim: ctypes.CDLL, kind: int, at: int, mode: int, tally: Tally) -> Found:
    _prepare(where, case)
    words = [
        w.replace("{in}", str(where / case.source)).replace("{out}", str(where / case.output))
        for w in case.words
    ]
    streams = where.with_name("streams")
    streams.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        _child(words, where, streams, shim, (kind, at, mode))
    status = os.waitpid(child, 0)[1]
    seen = (streams / "seen").read_text() if (streams / "seen").exists() else ""
    output = where / case.output
    names = {case.source, case.output}
    return Found(
        os.waitstatus_to_exitcode(status),
        output.read_bytes() if output.exists() else None,
        sorted(p.name for p in where.iterdir() if p.name not in names),
        (streams / "out").read_bytes(),
        (streams / "err").read_text(errors="replace"),
        [int(word) for word in seen.split()],
    )


def _child(
    words: list[str], where: Path, streams: Path, shim: ctypes.CDLL, fault: tuple[int, int, int]
) -> None:
    """Never returns: the run, in this process, with its streams in files."""
    for fd, name in ((1, "out"), (2, "err")):
        opened = os.open(streams / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(opened, fd)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    from lossctl.__main__ import main

    kind, at, mode = fault
    code = 99
    shim.fault_set(f"{where}/".encode(), kind, ctypes.c_long(at), mode)
    try:
        main(words)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 98
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        seen = " ".join(str(shim.fault_seen(each)) for each in range(len(KINDS)))
        shim.fault_set(b"", -1, ctypes.c_long(0), 0)
        (streams / "seen").write_text(seen)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _prepare(where: Path, case: Case) -> None:
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir()
    write_data(where / case.source)
    if "--no-clobber" not in case.options:
        (where / case.output).write_bytes(OLD)


_MADE: dict[str, bytes] = {}


def write_data(path: Path) -> None:
    """The input of a run, made once."""
    if path.name not in _MADE:
        _MADE[path.name] = _data(path)
    path.write_bytes(_MADE[path.name])


def _data(path: Path) -> bytes:
    import gzip

    rows = [(i % 7, (i % 5) / 3, ("north", "south", "")[i % 2]) for i in range(ROWS)]
    text = "target,pred,region\n" + "".join(f"{t},{p!r},{r}\n" for t, p, r in rows)
    if path.suffix == ".csv":
        return text.encode()
    if path.suffix == ".gz":
        return gzip.compress(text.encode(), mtime=0)
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {name: pa.array([row[at] for row in rows]) for at, name in enumerate(("target", "pred", "region"))}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=1000)
    return bytes(sink.getvalue())


def short_of_memory(steps: Sequence[int]) -> tuple[list[str], Counter[int]]:
    """Runs under caps of so many megabytes of address space; what went wrong, and the exit codes."""
    wrong: list[str] = []
    exits: Counter[int] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        right: dict[str, bytes] = {}
        for megabytes in (None, *steps):
            for case in (CASES[0], CASES[1], CASES[3]):
                where = Path(folder) / "run"
                _prepare(where, case)
                done = _capped(case, where, megabytes)
                output = (where / case.output).read_bytes()
                right.setdefault(case.name, output)
                exits[done.returncode] += 1
                errors = done.stderr.decode(errors="replace")
                good = (done.returncode == 0 and output == right[case.name]) or (
                    done.returncode == 4 and output == OLD and errors.startswith("error: ")
                )
                left = [p.name for p in where.iterdir() if p.name not in (case.source, case.output)]
                if not good or left or "Traceback" in errors:
                    wrong.append(
                        f"{case.name}, {megabytes} MB: exit {done.returncode}, {left}, {errors[-400:]}"
                    )
    return wrong, exits


def _capped(case: Case, where: Path, megabytes: int | None) -> subprocess.CompletedProcess[bytes]:
    import resource

    def limit() -> None:
        if megabytes is not None:
            resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    words = [
        w.replace("{in}", str(where / case.source)).replace("{out}", str(where / case.output))
        for w in case.words
    ]
    return subprocess.run(
        [sys.executable, "-m", "lossctl", *words], capture_output=True, preexec_fn=limit, timeout=120
    )
