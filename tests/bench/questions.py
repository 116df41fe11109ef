"""What the benchmark asks, and how each tool is asked: whole commands, so start-up counts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench_data import CLASSES

FIVE = "mse,mae,huber:delta=1.5,log-cosh,quantile:tau=0.9"


@dataclass(frozen=True)
class Case:
    """One question; a command is a list of words. `target`: the wanted ratio to the best peer, if any.

    outputs: what the commands write; every run finds them gone. Where the file exists, lossctl keeps the old
    one until the new one is whole, and takes fresh pages for it, while peers write over the pages they have.
    """

    name: str
    commands: dict[str, list[str]]
    target: float | None = None
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Files:
    """Paths of the data, made when first asked for."""

    folder: Path
    make: Callable[[str, Path, int], None]
    rows: int

    def get(self, kind: str, rows: int, suffix: str = ".parquet") -> str:
        path = self.folder / f"{kind}-{rows}{suffix}"
        if not path.exists():
            self.make(kind if suffix in (".parquet", ".csv") else "packed", path, rows)
        return str(path)


def lossctl(*words: str) -> list[str]:
    return [sys.executable, "-m", "lossctl", "compute", *words]


def duckdb(query: str) -> list[str]:
    return [sys.executable, "-c", f"import duckdb; print(duckdb.sql({query!r}))"]


def polars(code: str) -> list[str]:
    start = "import polars as pl; r = pl.col('y_pred') - pl.col('y_true')"
    return [sys.executable, "-c", f"{start}; {code}"]


def torch(python: str, code: str) -> list[str]:
    start = "import torch, pyarrow.parquet as pq\nimport torch.nn.functional as F\ntorch.set_num_threads(2)\n"
    return [python, "-c", start + code]


# What people write who hold a table with lists: read it all, stack, call the library.
_STACK = (
    "def stack(path, name, width):\n"
    "    column = pq.read_table(path, columns=[name]).column(0).combine_chunks()\n"
    "    flat = column.flatten().to_numpy(zero_copy_only=False)\n"
    "    return torch.from_numpy(flat.copy()).reshape(-1, width)\n"
)
RESIDUAL = "(y_pred-y_true)"
HUBER = f"avg(case when abs{RESIDUAL}<=1.5 then 0.5*{RESIDUAL}*{RESIDUAL} else 1.5*(abs{RESIDUAL}-0.75) end)"
PL_HUBER = "pl.when(r.abs() <= 1.5).then(0.5 * r * r).otherwise(1.5 * (r.abs() - 0.75))"
BCE = "avg(-case when label=1 then ln(prob) else ln(1-prob) end)"
PL_BCE = "pl.when(pl.col('label') == 1).then(-pl.col('prob').log()).otherwise(-(1 - pl.col('prob')).log())"
ALL = (
    f"avg({RESIDUAL}*{RESIDUAL}), avg(abs{RESIDUAL}), {HUBER}, "
    f"avg(abs{RESIDUAL}+ln(1+exp(-2*abs{RESIDUAL}))-ln(2)), "
    f"avg(greatest(-0.9*{RESIDUAL}, 0.1*{RESIDUAL}))"
)
PL_ALL = (
    f"[(r*r).mean().alias('a'), r.abs().mean().alias('b'), {PL_HUBER}.mean().alias('c'), "
    "(r.abs() + (-2*r.abs()).exp().log1p() - 0.6931471805599453).mean().alias('d'), "
    "pl.max_horizontal(-0.9*r, 0.1*r).mean().alias('e')]"
)


def parquet_cases(files: Files) -> list[Case]:
    data = files.get("table", files.rows)
    scan = f"pl.scan_parquet({data!r})"
    decode = (
        "import pyarrow.parquet as pq\n"
        f"for b in pq.ParquetFile({data!r}).iter_batches(columns=['y_true', 'y_pred']): pass"
    )
    read = f"import pyarrow.parquet as pq; pq.read_table({data!r}, columns=['y_true', 'y_pred'])"
    out = str(files.folder / "out-{}.parquet")
    rows = f"select row_number() over () - 1 as row, abs{RESIDUAL} as mae from '{data}'"
    columns = ["--target", "y_true", "--pred", "y_pred"]
    return [
        Case("huber", {
            "lossctl": lossctl("huber", "--delta", "1.5", data, *columns, "-f", "json"),
            "DuckDB": duckdb(f"select {HUBER} from '{data}'"),
            "Polars": polars(f"print({scan}.select({PL_HUBER}.mean()).collect())"),
            "decode only": [sys.executable, "-c", decode],
            "read_table": [sys.executable, "-c", read],
        }, 0.9),
        Case("bce", {
            "lossctl": lossctl("bce", data, "--target", "label", "--pred", "prob", "-f", "json"),
            "DuckDB": duckdb(f"select {BCE} from '{data}'"),
            "Polars": polars(f"print({scan}.select({PL_BCE}.mean()).collect())"),
        }, 0.9),
        Case("five losses, one pass", {
            "lossctl": lossctl(FIVE, data, *columns, "-f", "json"),
            "DuckDB": duckdb(f"select {ALL} from '{data}'"),
            "Polars": polars(f"print({scan}.select({PL_ALL}).collect())"),
        }, 0.7),
        Case("mae by 8 groups", {
            "lossctl": lossctl("mae", data, *columns, "--by", "g", "-f", "json"),
            "DuckDB": duckdb(f"select g, avg(abs{RESIDUAL}) from '{data}' group by g"),
            "Polars": polars(f"print({scan}.group_by('g').agg(r.abs().mean()).collect())"),
        }, 0.9),
        Case("mae of each row to Parquet", {
            "lossctl": lossctl("mae", data, *columns, "--reduction", "none", "-o", out.format("lossctl")),
            "DuckDB": duckdb(f"copy ({rows}) to '{out.format('duckdb')}' (format parquet)"),
            "Polars": polars(
                f"{scan}.select(mae=r.abs()).with_row_index('row').sink_parquet({out.format('polars')!r})"
            ),
        }, 0.8, tuple(out.format(tool) for tool in ("lossctl", "duckdb", "polars"))),
    ]  # fmt: skip


def csv_cases(files: Files) -> list[Case]:
    rows = files.rows // 8
    made = []
    for suffix, name in ((".csv", "CSV"), (".csv.gz", "CSV, gzip"), (".csv.zst", "CSV, zstd")):
        data = files.get("csv", rows, suffix)
        commands = {
            "lossctl": lossctl("mae", data, "-f", "json"),
            "DuckDB": duckdb(f"select avg(abs{RESIDUAL}) from '{data}'"),
            "Polars": polars(f"print(pl.scan_csv({data!r}).select(r.abs().mean()).collect())"),
        }
        if suffix != ".csv.zst":
            code = "import pandas as pd; d = pd.read_csv({!r}); print((d.y_pred - d.y_true).abs().mean())"
            commands["pandas"] = [sys.executable, "-c", code.format(data)]
        made.append(Case(f"mae, {name}", commands, 1.0))
    return made


def vector_cases(files: Files, torch_python: str | None) -> list[Case]:
    probs = files.get("probabilities", files.rows // 20)
    chain = "".join(f".when(pl.col('label') == {i}).then(pl.col('p_{i}'))" for i in range(CLASSES))
    made = [
        Case("cross-entropy, 10 columns", {
            "lossctl": lossctl("cross-entropy", probs, "--pred", "p_*", "-f", "json"),
            "Polars": polars(f"print(pl.scan_parquet({probs!r}).select(-pl{chain}.log().mean()).collect())"),
        }, 1.0)
    ]  # fmt: skip
    triplet, logits = files.get("triplets", files.rows // 400), files.get("logits", files.rows // 400)
    utterances, masks = files.get("utterances", files.rows // 4000), files.get("masks", files.rows // 4000)
    scripts = {
        "triplet, 3 lists of 128": (
            lossctl("triplet", triplet, "-f", "json"),
            f"{_STACK}a, p, n = (stack({triplet!r}, c, 128) for c in ('anchor', 'positive', 'negative'))\n"
            "print(F.triplet_margin_loss(a, p, n, eps=0))",
            0.4,
        ),
        "cross-entropy, lists of 1,000 logits": (
            lossctl("cross-entropy", logits, "--from-logits", "--pred", "logits", "-f", "json"),
            f"{_STACK}y = pq.read_table({logits!r}, columns=['label']).column(0)\n"
            "y = torch.from_numpy(y.to_numpy())\n"
            f"print(F.cross_entropy(stack({logits!r}, 'logits', 1000), y))",
            1.0,
        ),
        "ctc, 100 steps of 32": (
            lossctl("ctc", utterances, "-f", "json"),
            f"t = pq.read_table({utterances!r})\n"
            "x = t['pred'].combine_chunks().flatten().flatten().to_numpy().copy()\n"
            "y = t['target'].combine_chunks().flatten().to_numpy().copy()\n"
            "x, y = torch.from_numpy(x).reshape(len(t), 100, 32).transpose(0, 1), torch.from_numpy(y)\n"
            "steps, ends = (torch.full((len(t),), n) for n in (100, 30))\n"
            "print(F.ctc_loss(x, y.reshape(-1, 30), steps, ends, reduction='none').mean())",
            None,
        ),
        "dice, lists of 4,096": (
            lossctl("dice", masks, "-f", "json"),
            f"{_STACK}y, p = (stack({masks!r}, c, 4096) for c in ('target', 'pred'))\n"
            "print(1 - 2 * (y * p).sum() / (y.sum() + p.sum()))",
            None,
        ),
    }
    for name, (own, script, target) in scripts.items():
        commands = {"lossctl": own}
        if torch_python is not None:
            commands["PyTorch"] = torch(torch_python, script)
        made.append(Case(name, commands, target))
    return made


def start_up(example: str) -> list[Case]:
    imports = "import numpy, pyarrow.parquet, typer"
    own = [sys.executable, "-m", "lossctl"]
    script = [
        sys.executable,
        "-c",
        "from lossctl.__main__ import main; main()",
        "--version",
    ]  # as pip writes it
    bare = [sys.executable, "-c", "pass"]
    return [
        Case("cold start, small Parquet", {
            "lossctl": lossctl("huber", example, "-f", "json"),
            "imports alone": [sys.executable, "-c", imports],
        }, 1.2),
        Case("--version", {"lossctl": script, "bare Python": bare}, 1.5),
        Case("--help", {"lossctl": [*own, "--help"], "bare Python": bare}),
        Case("compute huber --help", {"lossctl": [*own, "compute", "huber", "--help"], "bare Python": bare}),
        Case("list", {"lossctl": [*own, "list"], "bare Python": bare}),
    ]  # fmt: skip


def scale(files: Files, lengths: list[int]) -> list[Case]:
    """Memory and time against the number of rows, and one thread against two."""
    made = []
    for rows in lengths:
        data = files.get("table", rows)
        words = ["huber", data, "--target", "y_true", "--pred", "y_pred", "-f", "json"]
        commands = {"lossctl": lossctl(*words), "one thread": lossctl(*words, "--threads", "1")}
        made.append(Case(f"huber, {rows:,} rows", commands))
    return made
