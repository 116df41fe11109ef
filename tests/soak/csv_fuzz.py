"""CSV in every dialect, then damaged: python tests/soak/csv_fuzz.py [--cases N] [--seed S] [--only CASE].

Each case is a table written in an odd but legal way, and often a few bytes of it changed. The
answer of lossctl must be that of `csv_oracle`, to the last bit and with the right row counts, or a refusal
with exit code 3 that names the right row. Cases are counted by verdict; everything but `right`, `refused` and
`overstrict` (refused though the oracle finds nothing wrong) makes the run fail, and is shown at its smallest.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))
from csv_cases import Case, make
from csv_oracle import Cell, Refused, Table, read

import lossctl.spine
from lossctl.aggregate import to_result
from lossctl.errors import LossctlError
from lossctl.loss.spec import parse
from lossctl.plan import Settings, make_plan
from lossctl.sources import open_dataset

GOOD = ("right", "refused", "overstrict")
SECONDS = 30
TYPES = {"number": pa.float64(), "text": pa.dictionary(pa.int32(), pa.string())}


@dataclass
class Expected:
    """An answer; or None, with the rows that a refusal may name and the lines of all rows."""

    answer: Any
    rows: frozenset[int | None] = frozenset()
    lines: Sequence[int | None] = ()


def expected(case: Case) -> Expected:
    try:
        table = read(case.data, case.delimiter, dict(case.wanted), case.na, case.unzstd)
    except Refused as fault:
        return Expected(None, frozenset({fault.row}))
    if not case.cells:
        return _judged(case, table)
    if table.fault is not None:
        return Expected(None, frozenset(_places(table.fault)), _lines(table))
    return Expected((repr(table.columns), table.rows, table.vanished, table.unended))


def _places(fault: Refused) -> list[int | None]:
    return [fault.row, None] if fault.malformed else [fault.row]


def _lines(table: Table) -> list[int | None]:
    return [*table.lines, table.fault.line if table.fault else None]


def _judged(case: Case, table: Table) -> Expected:
    """Of two faults the reader may tell either: what is no table, and what the loss does not take."""
    numbers = [name for name, kind in case.wanted if kind == "number"]
    gone = [any(not _finite(table.columns[name][row]) for name in numbers) for row in range(table.rows)]
    weights = table.columns["w"] if case.weight else [1.0] * table.rows
    refused: list[int | None] = [
        row for row in range(table.rows) if (gone[row] and case.nan == "error") or _negative(weights[row])
    ][:1]
    if case.by:
        refused += [row for row, key in enumerate(table.columns["g"]) if key is None][:1]
    used = [row for row in range(table.rows) if not gone[row]]
    if table.fault is not None:
        refused += _places(table.fault)
    if refused or not used or not any(weights[row] for row in used):
        return Expected(None, frozenset(refused or {None}), _lines(table))
    keys = [(str(key),) for key in table.columns["g"]] if case.by else []
    scores = {}
    for group in [*dict.fromkeys(keys), ()]:
        rows = [row for row in used if not group or keys[row] == group]
        losses = [abs(table.columns["p"][row] - table.columns["y"][row]) for row in rows]  # type: ignore[operator]
        scores[group] = _mean(losses, [float(weights[row]) for row in rows])  # type: ignore[arg-type]
    return Expected((scores, table.rows, len(used), table.vanished, table.unended))


def _finite(value: Cell) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _negative(weight: Cell) -> bool:
    return isinstance(weight, float) and -math.inf < weight < 0


def _mean(losses: list[float], weights: list[float]) -> float | None:
    """The mean rounded once; None where there is nothing to weigh or no double holds a part of it."""
    parts = [loss * weight for loss, weight in zip(losses, weights, strict=True)]
    if not any(weights) or not all(map(math.isfinite, parts)):
        return None
    try:
        return float(sum(map(Fraction, parts), Fraction(0)) / sum(map(Fraction, weights), Fraction(0)))
    except OverflowError:
        return None


def answered(case: Case, path: str) -> Any:
    """What lossctl says, in the form of `expected`."""
    form: dict[str, Any] = {"delimiter": case.delimiter, "na": case.na, "block_size": case.block}
    with open_dataset([path], **form) as data:
        if case.cells:
            wanted = {name: TYPES[kind] for name, kind in case.wanted}
            found: dict[str, list[Cell]] = {name: [] for name in wanted}
            for piece in data.pieces(wanted):
                for batch in piece.read():
                    for name in found:
                        found[name] += batch.column(name).to_pylist()
            data.finish()
            tally = data.sources[0].tally
            return repr(found), tally.rows, tally.vanished, any("line end" in w for w in data.warnings)
        columns = {"target": "y", "pred": "p"}
        settings = Settings(
            columns,
            "w" if case.weight else None,
            ["g"] if case.by else (),
            missing=case.nan,
            threads=case.threads,
            chunk_rows=case.chunk,
        )
        plan = make_plan(parse("mae"), settings, data)
        result = to_result(plan, lossctl.spine.run(plan, data), data)
        scores = {tuple(s.group.values()): s.value if math.isfinite(s.value) else None for s in result.scores}
        ended = any("line end" in warning for warning in result.warnings)
        return scores, result.rows.read, result.rows.used, data.sources[0].tally.vanished, ended


def verdict(case: Case, path: Path) -> tuple[str, str]:
    """The case's verdict and what was said."""
    right = expected(case)
    try:
        with alarm(), delivered(case, path):
            got = answered(case, str(path))
    except LossctlError as error:
        if error.exit_code != 3 or "\n" in str(error):
            return "crash", repr(error)
        if right.answer is not None:
            return "overstrict", str(error)
        row, line = error.facts.get("row"), error.facts.get("line")
        if case.damaged:  # what could be read before the damage may be refused too
            return "refused", str(error)
        if row not in right.rows:
            return "misplaced", f"{error}; the first bad rows are {set(right.rows)}"
        if isinstance(row, int) and line is not None and right.lines and right.lines[row] not in (None, line):
            return "misplaced", f"{error}; row {row} is on line {right.lines[row]}"
        return "refused", str(error)
    except TimeoutError:
        return "hang", f"more than {SECONDS} s"
    except Exception as error:
        return "crash", repr(error)
    if right.answer is None:
        return "silent", f"{got} where it is to be refused, at {set(right.rows)}"
    return ("right", "") if got == right.answer else ("silent", _difference(got, right.answer))


def _difference(got: Any, right: Any) -> str:
    if isinstance(got[0], dict) and got[0].keys() == right[0].keys():
        got, right = (
            [{key: value for key, value in mine[0].items() if value != its[0][key]}, *mine[1:]]
            for mine, its in ((got, right), (right, got))
        )
    return f"{got} where {right} is right"


@contextmanager
def delivered(case: Case, path: Path) -> Iterator[None]:
    """The bytes as a file, or through a pipe of that name."""
    path.unlink(missing_ok=True)
    if not case.piped:
        path.write_bytes(case.data)
        yield
        return

    def write() -> None:
        with suppress(BrokenPipeError):
            path.write_bytes(case.data)

    os.mkfifo(path)
    writer = Thread(target=write, daemon=True)
    writer.start()
    try:
        yield
    finally:
        rest = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # take what was left unread, to let the writer go
        while writer.is_alive():
            with suppress(BlockingIOError):
                os.read(rest, 1 << 16)
            writer.join(0.001)
        os.close(rest)


@contextmanager
def alarm() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def smallest(case: Case, path: Path) -> Case:
    """The case with as many bytes taken out as its verdict allows."""
    kind, span, tries = verdict(case, path)[0], max(len(case.data) // 2, 1), 0
    if case.unzstd is not None or kind == "hang":
        return case
    while span and tries < 1000:
        tries += len(case.data) // span
        for at in range(len(case.data) - span, -1, -span):
            less = replace(case, data=case.data[:at] + case.data[at + span :])
            if verdict(less, path)[0] == kind:
                case = less
        span //= 2
    return case


def soak(
    cases: int, seed: int, show: Callable[[str], None] = print, only: int | None = None
) -> dict[str, Any]:
    """Counts by verdict over `cases` cases; each one that is not as it should be is shown."""
    counts: Counter[str] = Counter()
    small, lossctl.spine.SMALL = lossctl.spine.SMALL, 0  # threads for small files too
    try:
        with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            path = Path(folder) / "case.csv"
            for number in range(cases) if only is None else [only]:
                case = make(f"{seed}:{number}")
                kind, said = verdict(case, path)
                counts[kind] += 1
                if kind not in ("right", "refused") or only is not None:
                    show(f"{kind}, seed {seed} case {number}: {said}\n    {smallest(case, path)}")
    finally:
        lossctl.spine.SMALL = small
    named = {kind: counts[kind] for kind in (*GOOD, "silent", "misplaced", "crash", "hang")}
    return {
        "cases": counts.total(),
        **named,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--cases", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", type=int)
    said = options.parse_args()
    began = time.perf_counter()
    found = soak(said.cases, said.seed, only=said.only)
    print(json.dumps(found | {"seconds": round(time.perf_counter() - began, 1)}))
    sys.exit(0 if found["cases"] == sum(found[kind] for kind in GOOD) else 1)
