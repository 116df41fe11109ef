"""One thread's share of a pass: blocks of rows folded into its own states, or their values handed on."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossctl.apply import Job, changed
from lossctl.batch import Block, Reader
from lossctl.errors import BadRow, RowRefused
from lossctl.exact import Workspace
from lossctl.loss.kinds import Largest, Mean, Pooled, Whole
from lossctl.plan import Plan
from lossctl.state import KeptState, MaxState, State, TermState
from lossctl.turns import in_turns

__all__ = ["Part", "SampleBlock", "Worker"]


@dataclass
class SampleBlock:
    """Per-row values in input order: `values` and `used` by spec text; rows are global numbers."""

    rows: NDArray[np.int64]
    extra: dict[str, Any]
    values: dict[str, NDArray[np.float64]]
    used: dict[str, NDArray[np.bool_] | None] = field(default_factory=dict)
    gradients: dict[str, Any] = field(default_factory=dict)


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
        samples = []
        with closing(self.blocks(part)) as blocks:
            for block in blocks:
                try:
                    made = self.block(block)
                except RowRefused as error:
                    piece = part.piece
                    row = error.row - piece.start + piece.first_row
                    raise _blamed(error.placed(piece.path, row), piece) from None
                if made is not None:
                    samples.append(made)
        return samples

    def blocks(self, part: Part) -> Generator[Block]:
        piece = part.piece
        row, start = piece.first_row + part.offset, piece.start + part.offset
        with closing(in_turns(part.batches, self.turn, self.plan.patient)) as batches:
            for batch in batches:
                try:
                    yield from self.reader.blocks(batch, start, piece.path, row)
                except BadRow as error:
                    raise _blamed(error, piece) from None
                row += batch.num_rows
                start += batch.num_rows

    def block(self, block: Block) -> SampleBlock | None:
        if not block.rows:
            return None
        try:
            with np.errstate(all="ignore"):
                if self.sampling:
                    return self._sample(block)
                with np.errstate(under="call", call=self._underflowed):
                    self._fold(block)
        except RowRefused as error:
            error.row = int(block.row_numbers()[error.at])
            raise
        return None

    def _underflowed(self, kind: str, flag: int) -> None:
        self.underflows.add(self.job)

    def _fold(self, block: Block) -> None:
        shared: dict[Any, Any] = {}
        groups = len(self.plan.reading.groups) if self.plan.reading.groups is not None else 0
        drawn = self.buckets.draw(block) if self.buckets is not None else None
        for job in self.plan.jobs:
            self.job = job.bound.text
            terms = job.terms(block, shared)
            if job.unclipped is not None:
                other = job.unclipped.terms(block, shared).columns
                self._count_clipped(job, changed(terms.columns, other, terms.repeat))
            weight, codes, marked = block.weight, block.codes, drawn
            if job.bound.loss.unit == "group":
                first = block.extra["offsets"][:-1]
                weight = None if weight is None else weight[first]
                codes = None if codes is None else codes[first]
                marked = None if marked is None else marked[:, first]
            state = self.states[job.bound.text]
            state.repeat, state.columns = terms.repeat, terms.columns_per_term
            if terms.repeat > 1:
                weight = None if weight is None else np.repeat(weight, terms.repeat)
                codes = None if codes is None else np.repeat(codes, terms.repeat)
                marked = None if marked is None else np.repeat(marked, terms.repeat, axis=1)
            state.add(terms.columns, terms.used, weight, codes, groups, self.work)
            if marked is not None:
                self.buckets.add(job, terms, marked, weight, codes, groups, self.work)

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
        from lossctl.gradients import combined, gradient_columns, gradients_of

        each = {job.bound.text: gradients_of(job, block, shared) for job in self.plan.jobs}
        for column, parts in gradient_columns(self.plan.specs, self.plan.job_of).items():
            made.gradients[column] = combined([(c, each[job][name]) for c, job, name in parts])


def _blamed(error: BadRow, piece: Any) -> BadRow:
    """The refusal; of a join it says where the value stands, if that is another file."""
    if hasattr(piece, "blame"):
        piece.blame(error)
    return error


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
