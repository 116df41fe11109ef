"""Whole processes against DuckDB, Polars, PyTorch and plain decoding: medians of wall, CPU and memory.

    python tests/bench/bench.py [--rows 40000000] [--runs 5] [--dir DIR] [--only TEXT] [--torch PYTHON]
    python tests/bench/bench.py --scale 10000,1000000,100000000

Peers that are not installed are left out; PyTorch runs in the interpreter given. Times are only comparable
within one run of this script. `--markdown` prints one line per case, as the README has it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from questions import Case, Files, csv_cases, parquet_cases, scale, start_up, vector_cases

PEERS = ("DuckDB", "Polars", "PyTorch", "pandas", "imports alone", "bare Python")
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Cost:
    wall: float
    cpu: float
    peak: float


def environment() -> dict[str, str]:
    """As installed: this tree first, and modules compiled once, whatever this shell forbids."""
    own = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return own | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [own.get("PYTHONPATH")])])}


def measure(command: list[str]) -> Cost:
    """One whole process: seconds of wall and CPU, MiB at the peak."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        started = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall = time.perf_counter() - started
        text = f"{wall} {used.ru_utime + used.ru_stime} {used.ru_maxrss / 1024} {done.returncode}"
        os.write(writer, text.encode())
        if done.returncode:
            sys.stderr.buffer.write(done.stderr[-2000:])
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    wall, cpu, peak, code = (float(word) for word in os.read(reader, 4096).decode().split())
    os.close(reader)
    if code:
        raise SystemExit(f"failed with {code:.0f}: {' '.join(command)}")
    return Cost(wall, cpu, peak)


def make(kind: str, path: Path, rows: int) -> None:
    """Write a file of data in a process of its own: what is in memory here would count for every child."""
    subprocess.run(
        [sys.executable, str(Path(__file__).parent / "bench_data.py"), kind, path, str(rows)], check=True
    )


def report(case: Case, runs: int, markdown: bool) -> None:
    """Alternate the tools, after one round not counted, so that drift of the machine meets all of them."""
    tools = {
        name: command
        for name, command in case.commands.items()
        if name not in ("DuckDB", "Polars", "pandas") or importlib.util.find_spec(name.lower())
    }
    costs: dict[str, list[Cost]] = {name: [] for name in tools}
    for turn in range(runs + 1):
        for name, command in tools.items():
            for path in case.outputs:
                Path(path).unlink(missing_ok=True)
            cost = measure(command)
            if turn:
                costs[name].append(cost)
    wall = {name: statistics.median(c.wall for c in found) for name, found in costs.items()}
    if markdown:
        print(_line(case, wall, max(c.peak for c in costs["lossctl"])), flush=True)
        return
    print(f"\n{case.name}" + (f"   (wanted: {case.target})" if case.target else ""))
    for name, found in costs.items():
        cpu = statistics.median(c.cpu for c in found)
        peak = max(c.peak for c in found)
        times = f"{wall[name]:7.3f} s wall {cpu:7.3f} s CPU {peak:7.0f} MiB"
        print(f"  {name:<14} {times}   lossctl/this {wall['lossctl'] / wall[name]:5.2f}", flush=True)


def _line(case: Case, wall: dict[str, float], peak: float) -> str:
    peers = {name: wall[name] for name in PEERS if name in wall}
    times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in peers.items())
    best = f"{wall['lossctl'] / min(peers.values()):.2f}" if peers else ""
    return f"| {case.name} | {wall['lossctl']:.2f} s | {times} | {best} | {peak:.0f} MiB |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=40_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()) / "lossctl-bench")
    parser.add_argument("--only", default="")
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter with torch and pyarrow")
    parser.add_argument("--scale", metavar="ROWS,...", help="only huber on files of these lengths")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    files = Files(options.dir, make, options.rows)
    if options.scale:
        found = scale(files, [int(rows) for rows in options.scale.split(",")])
    else:
        example = str(ROOT / "examples" / "data" / "preds.parquet")
        found = [
            *parquet_cases(files),
            *csv_cases(files),
            *vector_cases(files, options.torch),
            *start_up(example),
        ]
    for case in found:
        if options.only in case.name:
            report(case, options.runs, options.markdown)


if __name__ == "__main__":
    main()
