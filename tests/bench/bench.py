"""Whole processes against DuckDB, Polars and plain decoding, alternating; medians of wall, CPU and memory.

    python tests/bench/bench.py [--rows 40000000] [--runs 5] [--dir DIR] [--only NAME]

Peers that are not installed are left out. Times are only comparable within one run of this script.
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

GROUP = 1 << 20


@dataclass(frozen=True)
class Case:
    """One question asked of every tool; a command is a list of words."""

    name: str
    commands: dict[str, list[str]]


@dataclass(frozen=True)
class Cost:
    wall: float
    cpu: float
    peak: float


def measure(command: list[str]) -> Cost:
    """One whole process: seconds of wall and CPU, MiB at the peak."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        started = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall = time.perf_counter() - started
        text = f"{wall} {used.ru_utime + used.ru_stime} {used.ru_maxrss / 1024} {done.returncode}"
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    wall, cpu, peak, code = (float(word) for word in os.read(reader, 4096).decode().split())
    os.close(reader)
    if code:
        raise SystemExit(f"failed with {code:.0f}: {' '.join(command)}")
    return Cost(wall, cpu, peak)


def make_files(parquet: Path, csv: Path, rows: int) -> None:
    """A zstd Parquet file of two doubles and a group, and a CSV of an eighth of its rows.

    Run in a process of its own: what this one has in memory would count as every child's peak.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not parquet.exists():
        rng = np.random.default_rng(0)
        words = np.array([f"group-{i}" for i in range(8)])
        schema = pa.schema([("y_true", pa.float64()), ("y_pred", pa.float64()), ("g", pa.string())])
        with pq.ParquetWriter(parquet, schema, compression="zstd") as file:
            for start in range(0, rows, GROUP):
                size = min(GROUP, rows - start)
                y = rng.normal(size=size)
                p = y + 0.5 * rng.normal(size=size)
                file.write_table(pa.table([y, p, words[rng.integers(0, 8, size)]], schema=schema), GROUP)
    if not csv.exists():
        import pyarrow.csv as pc

        head = pq.ParquetFile(parquet).iter_batches(max(rows // 8, 1), columns=["y_true", "y_pred"])
        pc.write_csv(pa.Table.from_batches([next(head)]), csv, pc.WriteOptions(quoting_style="none"))


SQL = {
    "huber": "avg(case when abs(y_pred-y_true)<=1.5 then 0.5*(y_pred-y_true)*(y_pred-y_true) "
    "else 1.5*(abs(y_pred-y_true)-0.75) end)",
    "mae": "avg(abs(y_pred-y_true))",
}


def cases(parquet: Path, csv: Path) -> list[Case]:
    program = [sys.executable, "-m", "lossctl", "compute"]

    def duck(query: str) -> list[str]:
        return [sys.executable, "-c", f"import duckdb; print(duckdb.sql({query!r}).fetchall())"]

    def polars(code: str) -> list[str]:
        return [
            sys.executable,
            "-c",
            f"import polars as pl; r = pl.col('y_pred') - pl.col('y_true'); print({code})",
        ]

    scan = f"pl.scan_parquet({str(parquet)!r})"
    huber = "pl.when(r.abs() <= 1.5).then(0.5 * r * r).otherwise(1.5 * (r.abs() - 0.75)).mean()"
    five = "mse,mae,huber:delta=1.5,log-cosh,quantile:tau=0.9"
    decode = (
        "import pyarrow.parquet as pq\n"
        f"for b in pq.ParquetFile({str(parquet)!r}).iter_batches(columns=['y_true', 'y_pred']): pass"
    )
    residual = "(y_pred-y_true)"
    many = (
        f"avg({residual}*{residual}), {SQL['mae']}, {SQL['huber']}, "
        f"avg(abs{residual}+ln(1+exp(-2*abs{residual}))-ln(2)), "
        f"avg(greatest(-0.9*{residual}, 0.1*{residual}))"
    )
    pl_many = (
        f"(r*r).mean(), r.abs().mean(), {huber}, "
        "(r.abs() + (-2*r.abs()).exp().log1p() - 0.6931471805599453).mean(), "
        "pl.max_horizontal(-0.9*r, 0.1*r).mean()"
    )
    names = "['a','b','c','d','e']"
    return [
        Case("huber, Parquet", {
            "lossctl": [*program, "huber", "--delta", "1.5", str(parquet), "-f", "json"],
            "duckdb": duck(f"select {SQL['huber']} from '{parquet}'"),
            "polars": polars(f"{scan}.select({huber}).collect()"),
            "decode only": [sys.executable, "-c", decode],
        }),
        Case("five losses, Parquet", {
            "lossctl": [*program, five, str(parquet), "-f", "json"],
            "duckdb": duck(f"select {many} from '{parquet}'"),
            "polars": polars(f"{scan}.select([e.alias(n) for e, n in zip(({pl_many}), {names})]).collect()"),
        }),
        Case("mae by 8 groups, Parquet", {
            "lossctl": [*program, "mae", str(parquet), "--by", "g", "-f", "json"],
            "duckdb": duck(f"select g, {SQL['mae']} from '{parquet}' group by g"),
            "polars": polars(f"{scan}.group_by('g').agg(r.abs().mean()).collect()"),
        }),
        Case("mae, CSV", {
            "lossctl": [*program, "mae", str(csv), "-f", "json"],
            "duckdb": duck(f"select {SQL['mae']} from '{csv}'"),
            "polars": polars(f"pl.scan_csv({str(csv)!r}).select(r.abs().mean()).collect()"),
        }),
    ]  # fmt: skip


def start_up(example: Path) -> Case:
    imports = "import numpy, pyarrow.parquet, typer"
    return Case("cold start, small Parquet", {
        "lossctl": [sys.executable, "-m", "lossctl", "compute", "huber", str(example), "-f", "json"],
        "imports": [sys.executable, "-c", imports],
        "--version": [sys.executable, "-m", "lossctl", "--version"],
        "bare Python": [sys.executable, "-c", "pass"],
        "--help": [sys.executable, "-m", "lossctl", "compute", "huber", "--help"],
    })  # fmt: skip


def report(case: Case, runs: int) -> None:
    """Alternate the tools so that drift of the machine meets all of them."""
    tools = {
        name: command
        for name, command in case.commands.items()
        if name not in ("duckdb", "polars") or importlib.util.find_spec(name)
    }
    costs: dict[str, list[Cost]] = {name: [] for name in tools}
    for _ in range(runs):
        for name, command in tools.items():
            costs[name].append(measure(command))
    print(f"\n{case.name}")
    own = statistics.median(c.wall for c in costs["lossctl"])
    for name, found in costs.items():
        wall = statistics.median(c.wall for c in found)
        cpu = statistics.median(c.cpu for c in found)
        peak = max(c.peak for c in found)
        times = f"{wall:7.3f} s wall {cpu:7.3f} s CPU {peak:7.0f} MiB"
        print(f"  {name:<12} {times}   lossctl/this {own / wall:5.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=40_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()) / "lossctl-bench")
    parser.add_argument("--only", default="")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    parquet, csv = (options.dir / f"bench-{options.rows}.{kind}" for kind in ("parquet", "csv"))
    if options.make:
        make_files(parquet, csv, options.rows)
        return
    if not (parquet.exists() and csv.exists()):
        subprocess.run([sys.executable, *sys.argv, "--make"], check=True)
    example = Path(__file__).parents[2] / "examples" / "data" / "preds.parquet"
    for case in [*cases(parquet, csv), start_up(example)]:
        if options.only in case.name:
            report(case, options.runs)


if __name__ == "__main__":
    main()
