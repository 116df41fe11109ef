"""The spine: fold the blocks of a data set into states, or stream each row's values."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossctl.apply import Job, changed
from lossctl.batch import Block, Reader, Tally
from lossctl.columns import Feed
from lossctl.errors import BadRow, DataError, NoRowsLeft, counted
from lossctl.exact import Workspace, check_arithmetic
from lossctl.loss.kinds import Largest, Mean, Pooled, Whole
from lossctl.plan import Plan
from lossctl.state import KeptState, MaxState, State, TermState
from lossctl.stitch import whole_groups
from lossctl.turns import in_turns, ordered

SMALL = 1 << 20  # bytes of input
PATIENT = 1 << 15  # rows of a block: with fewer, only one thread computes at a time
Progress = Callable[[int, int], None]

__all__ = ["Outcome", "SampleBlock", "Sampler", "run"]


@dataclass
class SampleBlock:
    """Per-row values in input order: `values` and `used` by spec text; rows are global numbers."""

    rows: NDArray[np.int64]
    extra: dict[str, Any]
    values: dict[str, NDArray[np.float64]]
    used: dict[str, NDArray[np.bool_] | None] = field(default_factory=dict)
    gradients: dict[str, Any] = field(default_factory=dict)


Sampler = Callable[[SampleBlock], None]


@dataclass
class Outcome:
    """What a pass leaves: a state per job, row accounts, and what was noticed on the way.

    underflows: the jobs on whose way a number too small for a double was rounded off.
    """

    states: dict[str, State]
    tally: Tally
    rows_of: dict[str, int]
    notes: dict[str, int]
    head: dict[Feed, Any]
    buckets: Any = None
    clipped: dict[str, int] = field(default_factory=dict)
    underflows: set[str] = field(default_factory=set)


class Part(NamedTuple):
    """What a thread takes at a time: a piece, or one batch of a piece that all threads share."""

    piece: Any
    batches: Iterable[Any]
    offset: int  # rows of the piece before it
    rows: int
    nbytes: int


class Worker:
    """One thread's reader, scratch space and states; `turn` is the workers' one lock."""

    def __init__(self, plan: Plan, sampling: bool, turn: threading.Lock) -> None:
        self.plan = plan
        self.turn = turn
        self.reader = Reader(plan.reading, plan.block_rows)
        self.work = Workspace()
        self.sampling = sampling
        self.clipped: dict[str, int] = {}
        self.underflows: set[str] = set()
        self.job = ""
        self.states = {} if sampling else {job.bound.text: new_state(job, plan) for job in plan.jobs}
        self.buckets: Any = None
        if plan.settings.ci is not None and not sampling:
            from lossctl.buckets import Buckets  # only intervals need it

            self.buckets = Buckets(plan)

    def part(self, part: Part) -> list[SampleBlock]:
        """Fold a part into the states, or give its rows' values."""
        with closing(self.blocks(part)) as blocks:
            made = [self.block(block) for block in blocks]
        return [sample for sample in made if sample is not None]

    def blocks(self, part: Part) -> Generator[Block]:
        piece = part.piece
        row, start = piece.first_row + part.offset, piece.start + part.offset
        with closing(in_turns(part.batches, self.turn, self.plan.block_rows < PATIENT)) as batches:
            for batch in batches:
                try:
                    yield from self.reader.blocks(batch, start, piece.path, row)
                except BadRow as error:
                    if hasattr(piece, "blame"):  # of a join: the value may stand in another file
                        piece.blame(error)
                    raise
                row += batch.num_rows
                start += batch.num_rows

    def block(self, block: Block) -> SampleBlock | None:
        if not block.rows:
            return None
        with np.errstate(all="ignore"):
            if self.sampling:
                return self._sample(block)
            with np.errstate(under="call", call=self._underflowed):
                self._fold(block)
            return None

    def _underflowed(self, kind: str, flag: int) -> None:
        self.underflows.add(self.job)

    def _fold(self, block: Block) -> None:
        shared: dict[Any, Any] = {}
        groups = len(self.plan.reading.groups) if self.plan.reading.groups is not None else 0
        drawn = self.buckets.codes(block) if self.buckets is not None else None
        for job in self.plan.jobs:
            self.job = job.bound.text
            terms = job.terms(block, shared)
            if job.unclipped is not None:
                other = job.unclipped.terms(block, shared).columns
                self._count_clipped(job, changed(terms.columns, other, terms.repeat))
            weight, codes, buckets = block.weight, block.codes, drawn
            if job.bound.loss.unit == "group":
                first = block.extra["offsets"][:-1]
                weight = None if weight is None else weight[first]
                codes = None if codes is None else codes[first]
                buckets = None if buckets is None else buckets[first]
            state = self.states[job.bound.text]
            state.repeat, state.columns = terms.repeat, terms.columns_per_term
            if terms.repeat > 1:
                weight = None if weight is None else np.repeat(weight, terms.repeat)
                codes = None if codes is None else np.repeat(codes, terms.repeat)
                buckets = None if buckets is None else np.repeat(buckets, terms.repeat)
            state.add(terms.columns, terms.used, weight, codes, groups, self.work)
            if buckets is not None:
                self.buckets.add(job, terms, buckets, weight, codes, groups, self.work)

    def _count_clipped(self, job: Job, many: int) -> None:
        if many:
            self.clipped[job.bound.text] = self.clipped.get(job.bound.text, 0) + many

    def _row_values(self, job: Job, block: Block, shared: dict[Any, Any]) -> Any:
        values, used = job.row_values(block, shared)
        if job.unclipped is not None:
            other = job.unclipped.row_values(block, shared)[0]
            self._count_clipped(job, changed([values], [other]))
        return values, used

    def _sample(self, block: Block) -> SampleBlock:
        shared: dict[Any, Any] = {}
        parts = {job.bound.text: self._row_values(job, block, shared) for job in self.plan.jobs}
        rows, extra = block.row_numbers(), {k: v for k, v in block.extra.items() if k != "offsets"}
        if any(job.bound.loss.unit == "group" for job in self.plan.jobs):
            first = block.extra["offsets"][:-1]
            rows = rows[first]
            extra = {name: [values[int(i)] for i in first] for name, values in extra.items()}
        made = SampleBlock(rows, extra, {})
        for spec in self.plan.specs:
            pieces = [(t.coefficient, *parts[t.bound.text]) for t in spec.terms]
            values = pieces[0][1] if not spec.is_sum else sum(c * v for c, v, _ in pieces)
            masks = [u for _, _, u in pieces if u is not None]
            made.values[spec.text] = np.asarray(values)
            made.used[spec.text] = np.logical_and.reduce(masks) if masks else None
        if self.plan.settings.grad:
            self._gradients(block, shared, made)
        return made

    def _gradients(self, block: Block, shared: dict[Any, Any], made: SampleBlock) -> None:
        from lossctl.gradients import gradient_columns, gradients_of

        each = {job.bound.text: gradients_of(job, block, shared) for job in self.plan.jobs}
        for column, parts in gradient_columns(self.plan.specs, self.plan.job_of).items():
            plain = len(parts) == 1 and parts[0][0] == 1.0
            values = [each[job][name] if plain else c * each[job][name] for c, job, name in parts]
            made.gradients[column] = values[0] if len(values) == 1 else sum(values[1:], values[0])


def new_state(job: Job, plan: Plan) -> State:
    """The memory a loss needs under its reduction."""
    reduction = job.bound.loss.reduction
    if isinstance(reduction, Whole):
        return KeptState(plan.settings.max_memory)
    if isinstance(reduction, Largest):
        return MaxState()
    if job.reduction == "pooled" and isinstance(reduction, Pooled):
        return TermState(reduction.moments)
    return TermState(nonneg=isinstance(reduction, Mean) and job.bound.loss.range.low >= 0.0)


def run(
    plan: Plan, dataset: Any, *, progress: Progress | None = None, sample: Sampler | None = None
) -> Outcome:
    """Read the data set once. With `sample`, hand over each row's values instead of folding.

    Raises DataError when no row is left to judge, and whatever reading or checking refuses.
    """
    check_arithmetic()
    workers: list[Worker] = []
    turn = threading.Lock()

    def worker() -> Worker:
        workers.append(Worker(plan, sample is not None, turn))
        return workers[-1]

    counter = _Counter(dataset, progress)
    if plan.grouped:
        _run_grouped(plan, dataset, worker(), counter, sample)
    else:
        _run_threads(plan, dataset, worker, counter, sample)
    dataset.finish()
    first, rest = workers[0], workers[1:]
    first.reader.merge_flags([w.reader for w in rest])
    for other in rest:
        first.reader.tally.add(other.reader.tally)
        first.underflows |= other.underflows
        for name, many in other.clipped.items():
            first.clipped[name] = first.clipped.get(name, 0) + many
        for name, state in first.states.items():
            state.merge(other.states[name])
        if first.buckets is not None:
            first.buckets.merge(other.buckets)
    tally = first.reader.tally
    if first.buckets is not None:
        first.buckets.read = tally.read
    if tally.read == 0:
        raise DataError("there are no rows", path=dataset.sources[0].path if dataset.sources else None)
    expected = plan.settings.expect_rows
    if expected is not None and tally.read != expected:
        raise DataError(
            f"there {'is' if tally.read == 1 else 'are'} {counted(tally.read, 'row', 'rows')} "
            f"where {expected:,} {'is' if expected == 1 else 'are'} expected",
            path=dataset.sources[0].path if len(dataset.sources) == 1 else None,
            hint="is the data complete, and of the right run?",
        )
    if tally.used == 0:
        raise NoRowsLeft(
            f"no row is left of {tally.read} (filtered {tally.filtered}, skipped {tally.skipped})",
            hint="there is nothing to judge",
        )
    return Outcome(
        first.states,
        tally,
        counter.rows_of,
        _notes(workers),
        _head(workers),
        first.buckets,
        first.clipped,
        first.underflows,
    )


def _notes(workers: Sequence[Worker]) -> dict[str, int]:
    notes: dict[str, int] = {}
    for each in workers:
        for feed, loader in each.reader.loaders.items():
            if loader.unnormalised:
                name = ",".join(feed.columns)
                notes[name] = notes.get(name, 0) + loader.unnormalised
    return notes


def _head(workers: Sequence[Worker]) -> dict[Feed, Any]:
    return next((each.reader.head for each in workers if each.reader.head), {})


class _Counter:
    """Rows per file and progress, kept by the thread that consumes results in order."""

    def __init__(self, dataset: Any, progress: Progress | None) -> None:
        self.rows_of = {source.path: 0 for source in dataset.sources}
        self.progress = progress

    def done(self, part: Part) -> None:
        self.rows_of[part.piece.path] += part.rows
        if self.progress is not None:
            self.progress(part.rows, part.nbytes)


def _run_grouped(plan: Plan, dataset: Any, worker: Worker, counter: _Counter, sample: Sampler | None) -> None:
    def blocks() -> Iterator[Block]:
        for part in _whole(dataset.pieces(plan.wanted)):
            yield from worker.blocks(part)
            counter.done(part)

    for block in whole_groups(blocks(), plan.group_feed):
        made = worker.block(block)
        if made is not None and sample is not None:
            sample(made)


def _whole(pieces: Iterable[Any]) -> Iterator[Part]:
    for piece in pieces:
        yield Part(piece, piece.read(), 0, piece.rows, piece.nbytes)


def _shared(pieces: Iterable[Any]) -> Iterator[Part]:
    """Batch by batch: the caller reads while the threads compute."""
    for piece in pieces:
        told = offset = 0
        for batch in piece.read():
            share = piece.nbytes * (offset + batch.num_rows) // piece.rows
            yield Part(piece, (batch,), offset, batch.num_rows, share - told)
            offset, told = offset + batch.num_rows, share


def _run_threads(
    plan: Plan, dataset: Any, worker: Callable[[], Worker], counter: _Counter, sample: Sampler | None
) -> None:
    free: queue.SimpleQueue[Worker] = queue.SimpleQueue()

    def task(part: Part) -> list[SampleBlock]:
        mine = free.get()
        try:
            return mine.part(part)
        finally:
            free.put(mine)

    threads = plan.settings.threads if dataset.nbytes >= SMALL else 1  # starting threads costs more
    pieces = dataset.pieces(plan.wanted)
    head = list(islice(pieces, threads))
    parts = _shared(head) if len(head) < threads else _whole(chain(head, pieces))
    for _ in range(threads):
        free.put(worker())
    for part, samples in ordered(parts, task, threads):
        if sample is not None:
            for block in samples:
                sample(block)
        counter.done(part)
