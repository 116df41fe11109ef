"""Exact sums per bucket of rows: what a bootstrap or a permutation needs to know of the data.

A row belongs to the bucket that a fixed hash of its global number gives it (of its cluster's text, when rows
come in clusters), so the sums are the same however the rows are cut, shared out and stored. The first ROWS
rows also have a bucket each, which is folded into the hashed ones once the data turn out to be longer: short
data are resampled row by row.

Sources: A. Owen and D. Eckles, "Bootstrapping data arrays of arbitrary order", Ann. Appl. Stat. 6 (2012), for
weights drawn by hash; G. L. Steele, D. Lea and C. Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014, for splitmix64.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lossctl.bootstrap import ENOUGH, Bootstrap, require_totals
from lossctl.errors import ResourceError, size_text
from lossctl.exact import ExactSum, Workspace
from lossctl.exact_groups import GroupedSums
from lossctl.loss.kinds import Pooled

__all__ = [
    "CLUSTER",
    "ENOUGH",
    "HASHED",
    "ROWS",
    "Bootstrap",
    "BucketState",
    "Buckets",
    "hash_rows",
    "hash_texts",
]

Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]
Hashes: TypeAlias = NDArray[np.uint64]

HASHED = 4096
ROWS = 2000
ALL = HASHED + ROWS
CLUSTER = "\0cluster"  # in Block.extra; no file can name a column so
_SPLITTER = 134217729.0  # 2^27 + 1


def hash_rows(rows: Codes) -> Hashes:
    """splitmix64 of the row numbers, the number itself being the seed."""
    z = rows.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def hash_texts(words: Sequence[str]) -> Hashes:
    """The first eight bytes, little end first, of BLAKE2b-64 of the UTF-8 text."""
    digests = (
        hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest() for word in words
    )
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def bucket_of(hashes: Hashes) -> Codes:
    """The top twelve bits."""
    return (hashes >> np.uint64(52)).astype(np.int64)


class BucketState:
    """Exact Σw·t of every term, Σw and rows by code; of w·t² too for the terms in `moments`.

    marks: the sum, modulo 2^64, of a hash of every row: with `rows` it says whether two are of the same rows.
    """

    def __init__(self, moments: tuple[int, ...] = ()) -> None:
        self.moments = moments
        self.columns = 1
        self.rows: Codes = np.zeros(0, np.int64)
        self.marks: Codes = np.zeros(0, np.int64)
        self.sums: dict[str, GroupedSums] = {}
        self.constants: dict[int, int] = {}
        self.terms = 0

    def add(
        self,
        terms: Sequence[Any],
        used: Any,
        weight: Floats | None,
        codes: Codes,
        marks: Codes,
        size: int,
        work: Workspace,
    ) -> None:
        """Take in a block; `codes` in [0, size) say where each row goes."""
        if used is not None and not used.all():
            terms = [t if isinstance(t, int) else t[used] for t in terms]
            weight = None if weight is None else weight[used]
            codes, marks = codes[used], marks[used]
        self._grow(size)
        np.add.at(self.rows, codes, 1)
        np.add.at(self.marks, codes, marks)
        if weight is not None:
            self._add("w", weight, None, codes, work)
        self.terms = max(self.terms, len(terms))
        for place, term in enumerate(terms):
            if isinstance(term, int):
                self.constants[place] = term
                continue
            self._add(f"t{place}", term, weight, codes, work)
            if place % (len(terms) // self.columns) in self.moments:
                square, rest = _square(term)
                self._add(f"s{place}", square, weight, codes, work)
                self._add(f"s{place}", rest, weight, codes, work)

    def _add(self, name: str, x: Floats, weight: Floats | None, codes: Codes, work: Workspace) -> None:
        if weight is not None:
            x = x * weight
            x[weight == 0.0] = 0.0  # weight 0 means the row is not there, even if its loss is infinite
        if name not in self.sums:
            self.sums[name] = GroupedSums(len(self.rows))
        self.sums[name].add(np.ascontiguousarray(x), codes, work)

    def _grow(self, size: int) -> None:
        if size > len(self.rows):
            more = (0, size - len(self.rows))
            self.rows, self.marks = np.pad(self.rows, more), np.pad(self.marks, more)
            for each in self.sums.values():
                each.resize(size)

    def merge(self, other: BucketState) -> None:
        self._grow(len(other.rows))
        self.rows[: len(other.rows)] += other.rows
        self.marks[: len(other.rows)] += other.marks
        for name, theirs in other.sums.items():
            mine = self.sums.setdefault(name, GroupedSums(len(self.rows)))
            mine.merge(theirs, np.arange(theirs.size, dtype=np.int64))
        self.constants |= other.constants
        self.terms = max(self.terms, other.terms)
        self.columns = max(self.columns, other.columns)

    @property
    def nbytes(self) -> int:
        return len(self.rows) * 8 * (1 + 7 * len(self.sums))


def _square(x: Floats) -> tuple[Floats, Floats]:
    """x² as two doubles. (Dekker 1971.)"""
    square = x * x
    high = x * _SPLITTER
    high = high - (high - x)
    low = x - high
    rest = ((high * high - square) + 2.0 * high * low) + low * low
    return square, np.where(np.isfinite(rest), rest, 0.0)


class Buckets:
    """One thread's bucket sums of all jobs."""

    def __init__(self, plan: Any) -> None:
        self.asked: Bootstrap = plan.settings.ci
        self.cap: int = plan.settings.max_memory
        self.states = {job.bound.text: BucketState(moments_of(job)) for job in plan.jobs}
        self.clusters: set[int] = set()
        self.read = 0

    def draw(self, block: Any) -> Codes:
        """The bucket and the mark of every row, shape (2, rows)."""
        numbers = block.row_numbers()
        marks = hash_rows(numbers)
        return np.stack([self._codes(block, numbers, marks), marks.view(np.int64)])

    def _codes(self, block: Any, numbers: Codes, marks: Hashes) -> Codes:
        if self.asked.cluster is None:
            made = bucket_of(marks)
            if len(numbers) and numbers[0] < ROWS:
                made = np.where(numbers < ROWS, HASHED + numbers, made)
            return made
        hashes = np.from_dlpack(block.extra[CLUSTER]).view(np.uint64)
        if len(self.clusters) < ENOUGH:
            present = hashes if block.weight is None else hashes[block.weight != 0.0]
            self.clusters.update(np.unique(present)[:ENOUGH].tolist())
        return bucket_of(hashes)

    def add(
        self, job: Any, terms: Any, drawn: Codes, weight: Any, codes: Any, groups: int, work: Workspace
    ) -> None:
        """Take in the terms of a block; `drawn`, `weight` and `codes` hold one value per term's row."""
        state = self.states[job.bound.text]
        state.columns = terms.columns_per_term
        size = max(groups, 1) * ALL
        buckets, marks = drawn
        places = buckets if codes is None else codes * ALL + buckets
        state.add(terms.columns, terms.used, weight, places, marks, size, work)
        if state.nbytes > self.cap:
            raise ResourceError(
                f"the intervals of {groups:,} groups pass {size_text(self.cap)}",
                hint="leave out --ci or --by, or raise --max-memory",
            )

    def merge(self, other: Buckets) -> None:
        for name, state in self.states.items():
            state.merge(other.states[name])
        self.clusters |= other.clusters

    def sums(self, text: str, code: int | None) -> Sums:
        """The buckets of one group, or of everything (`code` None)."""
        state = self.states[text]
        spans = range(len(state.rows) // ALL) if code is None else [code]
        fold = None
        if self.asked.cluster is None and self.read >= ROWS:
            fold = bucket_of(hash_rows(np.arange(ROWS, dtype=np.int64)))
        rows: Codes = np.zeros(ALL, np.int64)
        marks: Codes = np.zeros(ALL, np.int64)
        exact: dict[str, list[ExactSum]] = {name: [ExactSum() for _ in range(ALL)] for name in state.sums}
        for span in spans:
            low, high = span * ALL, (span + 1) * ALL
            if high > len(state.rows):
                continue
            rows += state.rows[low:high]
            marks += state.marks[low:high]
            for name, each in state.sums.items():
                for mine, more in zip(exact[name], each.totals(low, high), strict=True):
                    mine += more
        if fold is not None:
            np.add.at(rows, fold, rows[HASHED:])
            np.add.at(marks, fold, marks[HASHED:])
            rows, marks = rows[:HASHED], marks[:HASHED]
            for name, parts in exact.items():
                for at, more in zip(fold.tolist(), parts[HASHED:], strict=True):
                    parts[at] += more
                exact[name] = parts[:HASHED]
        return Sums(rows, marks, exact, state.constants, state.terms, state.columns, state.moments)


@dataclass(frozen=True)
class Sums:
    """The bucket sums of one loss in one group: rows, and exact sums by name ('w', 't0', 's0', ...)."""

    rows: Codes
    marks: Codes
    exact: Mapping[str, list[ExactSum]]
    constants: Mapping[int, int]
    terms: int
    columns: int
    moments: tuple[int, ...]

    def of_the_rows_of(self, other: Sums) -> bool:
        """Whether both hold the same rows, up to a chance of 2^-64."""
        return np.array_equal(self.rows, other.rows) and np.array_equal(self.marks, other.marks)

    @property
    def filled(self) -> int:
        """Buckets with a row whose weight is not zero."""
        return int(np.count_nonzero(self.weight()))

    def weight(self) -> Floats:
        return self.column("w") if "w" in self.exact else self.rows.astype(np.float64)

    def column(self, name: str) -> Floats:
        return np.array([each.value() for each in self.exact[name]])

    def total(self, name: str) -> ExactSum:
        made = ExactSum()
        for each in self.exact[name]:
            made += each
        return made


def moments_of(job: Any) -> tuple[int, ...]:
    """The terms of a job whose squares are needed; raises UsageError for a loss that has no totals."""
    require_totals(job.bound)
    reduction = job.bound.loss.reduction
    return reduction.moments if job.reduction == "pooled" and isinstance(reduction, Pooled) else ()
