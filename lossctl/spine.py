"""The spine: fold the blocks of a data set into states, or stream each row's values."""

from __future__ import annotations

import queue
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lossctl.batch import Block, Tally
from lossctl.columns import Feed
from lossctl.errors import DataError, NoRowsLeft, RowRefused, counted
from lossctl.exact import check_arithmetic
from lossctl.plan import Plan
from lossctl.state import State
from lossctl.stitch import whole_groups
from lossctl.turns import looked_ahead, ordered
from lossctl.worker import Part, SampleBlock, Worker

SMALL = 1 << 20  # bytes of input

__all__ = ["Outcome", "Progress", "Sampler", "run"]

Progress = Callable[[int, int], None]
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


def run(
    plan: Plan, dataset: Any, *, progress: Progress | None = None, sample: Sampler | None = None
) -> Outcome:
    """Read the data set once. With `sample`, hand over each row's values instead of folding.

    Raises DataError when no row is left to judge, and whatever reading or checking refuses.
    """
    check_arithmetic()
    if plan.reading.missing == "propagate":
        from lossctl.widths import find_widths  # only missing lists that are kept need it

        plan.reading.widths.update(find_widths(plan, dataset))
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


class _Place(NamedTuple):
    """Where a piece of a file stands: its first row among all rows, and in the file."""

    start: int
    first_row: int
    path: str


def _run_grouped(plan: Plan, dataset: Any, worker: Worker, counter: _Counter, sample: Sampler | None) -> None:
    places: list[_Place] = []

    def blocks() -> Iterator[Block]:
        for part in _whole(dataset.pieces(plan.wanted)):
            places.append(_Place(part.piece.start, part.piece.first_row, part.piece.path))
            yield from worker.blocks(part)
            counter.done(part)

    try:
        for block in whole_groups(blocks(), plan.group_feed):
            made = worker.block(block)
            if made is not None and sample is not None:
                sample(made)
    except RowRefused as error:
        place = places[bisect_right(places, error.row, key=lambda place: place.start) - 1]
        raise error.placed(place.path, error.row - place.start + place.first_row) from None


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
    head, pieces = looked_ahead(pieces, 2)
    parts = _shared(pieces) if head == 1 and threads > 1 else _whole(pieces)
    for _ in range(threads):
        free.put(worker())
    for part, samples in ordered(parts, task, threads):
        if sample is not None:
            for block in samples:
                sample(block)
        counter.done(part)
