"""Damaged Parquet files against the number of the whole: tests/soak/parquet_fuzz.py --cases N --seed S.

Each case damages one file and evaluates it. Right number and rows: harmless. A refusal with exit code 3 or 4:
refused. Anything else has a name below. Exits 1 when a case crashes, hangs or fails in another way, or when
damage inside pages that carry checksums gives another number.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lossctl import evaluate
from lossctl.errors import LossctlError
from lossctl.sources.pages import pages

ROWS = 240
SECONDS, BYTES = 20, 3 << 30  # of a case; of a worker, beyond what it has at the start
BATCH = 500  # cases of one worker
DAMAGES = ("bit", "bits", "byte", "zeros", "cut", "drop", "insert", "swap", "footer-bit", "footer-byte")
FORMS: dict[str, dict[str, Any]] = {
    "plain": {"use_dictionary": False, "compression": "none"},
    "plain-v2": {"use_dictionary": False, "compression": "none", "data_page_version": "2.0"},
    "snappy": {"use_dictionary": False, "compression": "snappy"},
    "zstd-v2": {"use_dictionary": False, "compression": "zstd", "data_page_version": "2.0"},
    "gzip": {"compression": "gzip"},
    "lz4-dictionary": {"compression": "lz4"},
    "dictionary": {"compression": "none"},
    "dictionary-v2": {"compression": "none", "data_page_version": "2.0"},
    "split": {
        "use_dictionary": ["g"],
        "column_encoding": {"y": "BYTE_STREAM_SPLIT", "p": "BYTE_STREAM_SPLIT"},
        "compression": "brotli",
    },
    "delta": {
        "column_encoding": {"y": "DELTA_BINARY_PACKED"},
        "use_dictionary": ["g"],
        "compression": "none",
    },
}
TABLES = ("real", "whole", "nullable", "decimal", "small", "list")


class Subject(NamedTuple):
    """A whole file and what it gives; `bodies` are the byte ranges of its pages, headers left out."""

    name: str
    raw: bytes
    spec: str
    missing: str
    truth: str
    bodies: tuple[tuple[int, int], ...]
    footer: int


def table(kind: str, rng: np.random.Generator) -> pa.Table:
    """Targets, predictions and a text column to group by."""
    whole = kind == "whole"
    y = rng.integers(-50, 50, ROWS) if whole else rng.standard_normal(ROWS)
    p = y + (rng.integers(-3, 4, ROWS) if whole else rng.standard_normal(ROWS))
    group = pa.array([("a", "bb", "ccc")[i] for i in rng.integers(0, 3, ROWS)])
    if kind == "list":
        exp = np.exp(rng.standard_normal((ROWS, 3)))
        probs = pa.array((exp / exp.sum(axis=1, keepdims=True)).tolist(), pa.list_(pa.float64()))
        return pa.table({"y": pa.array(rng.integers(0, 3, ROWS)), "p": probs, "g": group})
    columns = [pa.array(y), pa.array(p)]
    if kind == "nullable":
        columns = [pa.array(v, mask=rng.random(ROWS) < 0.1) for v in (y, p)]
    if kind == "decimal":
        columns = [pa.array(np.round(v * 1000).astype(np.int32)).cast(pa.decimal128(14, 3)) for v in (y, p)]
    if kind == "small":
        columns = [pa.array(rng.integers(0, 200, ROWS), pa.uint8()), pa.array(p, pa.float32())]
    return pa.table({"y": columns[0], "p": columns[1], "g": group})


def subjects(checksums: bool, folder: str, seed: int = 0) -> list[Subject]:
    """Every kind of table in every form that can hold it."""
    made = []
    path = os.path.join(folder, "whole.parquet")
    for at, (kind, (form, options)) in enumerate((k, f) for k in TABLES for f in FORMS.items()):
        if "column_encoding" in options and (kind == "whole") != (form == "delta"):
            continue
        if kind in ("list", "decimal", "small") and "column_encoding" in options:
            continue
        rng = np.random.default_rng((seed, at))
        groups = (ROWS, 100, 80)[at % 3]
        paging = {"data_page_size": 400, "write_batch_size": 50} if at % 2 else {}
        pq.write_table(
            table(kind, rng), path, row_group_size=groups, write_page_checksum=checksums, **options, **paging
        )
        spec = "cross-entropy:from-logits=false" if kind == "list" else "mse,mae"
        missing = "skip" if kind == "nullable" else "error"
        subject = Subject(f"{kind}/{form}", Path(path).read_bytes(), spec, missing, "", *layout(path))
        made.append(subject._replace(truth=outcome(path, subject)))
    return made


def layout(path: str) -> tuple[tuple[tuple[int, int], ...], int]:
    """Where the bodies of all pages are, and where the footer begins."""
    bodies = []
    with pa.OSFile(path) as file:
        footer = pq.read_metadata(file)
        for chunk in (
            footer.row_group(g).column(c)
            for g in range(footer.num_row_groups)
            for c in range(footer.num_columns)
        ):
            at = min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)))
            for page in pages(file.read_at, at, chunk.total_compressed_size):
                bodies.append((at + page.head, at + page.head + page.body))
                at += page.head + page.body
        return tuple(bodies), file.size() - 8 - footer.serialized_size


def outcome(path: str, subject: Subject) -> str:
    """The numbers of the file by group, with rows: equal texts are equal results."""
    result = evaluate(path, subject.spec, target="y", pred="p", by="g", nan=subject.missing, threads=1)
    found = [(s.spec, sorted(s.group.items()), float(s.value).hex(), s.rows) for s in result.scores]
    return repr((found, result.rows))


def damaged(subject: Subject, rng: random.Random) -> tuple[bytes, str, str]:
    """The file with one thing changed, what was done, and where: body, footer, cut or elsewhere."""
    raw, kind = bytearray(subject.raw), rng.choice(DAMAGES)
    low = subject.footer if kind.startswith("footer") else 0
    at = rng.randrange(low, len(raw))
    end, run = at + 1, rng.randrange(1, 64)
    if kind.endswith("bit"):
        raw[at] ^= 1 << rng.randrange(8)
    elif kind.endswith("byte"):
        raw[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    elif kind == "bits":
        end = min(at + run, len(raw))
        for _ in range(rng.randrange(2, 6)):
            raw[rng.randrange(at, end)] ^= 1 << rng.randrange(8)
    elif kind == "zeros":
        end = min(at + run, len(raw))
        raw[at:end] = bytes(end - at)
    elif kind == "cut":
        return bytes(raw[:at]), kind, "cut"
    elif kind == "drop":
        del raw[at : at + run]
        return bytes(raw), kind, "moved"
    elif kind == "insert":
        raw[at:at] = rng.randbytes(run)
        return bytes(raw), kind, "moved"
    else:
        other = rng.randrange(len(raw) - run)
        at = min(at, len(raw) - run)
        raw[at : at + run], raw[other : other + run] = raw[other : other + run], raw[at : at + run]
        return bytes(raw), kind, "moved"
    return bytes(raw), kind, place(subject, at, end)


def place(subject: Subject, low: int, high: int) -> str:
    if low >= subject.footer:
        return "footer"
    inside = any(start <= low and high <= end for start, end in subject.bodies)
    return "body" if inside else "elsewhere"


def verdict(path: str, subject: Subject) -> str:
    try:
        return "right" if outcome(path, subject) == subject.truth else "WRONG"
    except LossctlError as error:
        return f"refused {error.exit_code}" if error.exit_code in (3, 4) else f"EXIT {error.exit_code}"
    except Exception as error:
        return f"BUG {type(error).__name__}: {error}"


def worker(files: list[Subject], seed: int, cases: range, sink: int, folder: str) -> None:
    """Run some cases, one line of JSON each; what it says last before dying is the case that killed it."""
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    path = os.path.join(folder, f"case-{os.getpid()}.parquet")
    for case in cases:
        rng = random.Random(f"{seed} {case}")
        subject = rng.choice(files)
        raw, kind, where = damaged(subject, rng)
        Path(path).write_bytes(raw)
        signal.alarm(SECONDS)  # its default action ends the process, even inside native code
        found = verdict(path, subject)
        signal.alarm(0)
        os.write(sink, (json.dumps([case, subject.name, kind, where, found[:200]]) + "\n").encode())
    os.unlink(path)


def run(files: list[Subject], seed: int, cases: int, folder: str) -> Iterator[tuple[int, str, str, str, str]]:
    """Case number, file, damage, place and verdict of every case."""
    at = 0
    while at < cases:
        source, sink = os.pipe()
        child = os.fork()
        if not child:
            try:
                worker(files, seed, range(at, min(at + BATCH, cases)), sink, folder)
            finally:
                os._exit(0)
        os.close(sink)
        last = min(at + BATCH, cases)
        with open(source) as lines:
            for line in lines:
                case, *rest = json.loads(line)
                yield (case, *rest)
                at = case + 1
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if at < last:
            rng = random.Random(f"{seed} {at}")
            subject = rng.choice(files)
            end = "HANG" if status == -signal.SIGALRM else f"CRASH {status}"
            yield (at, subject.name, *damaged(subject, rng)[1:], end)
            at += 1


class Report(NamedTuple):
    counts: collections.Counter[tuple[str, str]]  # place and verdict
    wrong: list[tuple[int, str, str, str, str]]
    bad: list[tuple[int, str, str, str, str]]


def fuzz(cases: int, seed: int, checksums: bool) -> Report:
    """Every case, counted; `wrong` are other numbers, `bad` whatever must not happen at all."""
    report = Report(collections.Counter(), [], [])
    with tempfile.TemporaryDirectory(prefix="lossctl-fuzz-") as folder:
        for each in run(subjects(checksums, folder), seed, cases, folder):
            _, _, _, where, found = each
            report.counts[where, found.split(":")[0]] += 1
            if found == "WRONG":
                report.wrong.append(each)
            elif found.startswith(("BUG", "EXIT", "CRASH", "HANG")):
                report.bad.append(each)
    return report


def main() -> int:
    """Run as a script."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-checksums", action="store_true")
    asked = parser.parse_args()
    start = time.perf_counter()
    report = fuzz(asked.cases, asked.seed, not asked.no_checksums)
    for (where, found), count in sorted(report.counts.items()):
        print(f"{where:10} {found:24} {count}")
    for each in [*report.bad, *report.wrong][:60]:
        print(*each)
    print(f"{asked.cases} cases, seed {asked.seed}, {time.perf_counter() - start:.0f} s")
    return 1 if report.bad or any(w[3] == "body" for w in report.wrong if not asked.no_checksums) else 0


if __name__ == "__main__":
    sys.exit(main())
