"""Pieces of a join: prediction rows with the target columns beside them, looked up or read in step."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.arrow import from_numpy, numbers
from lossctl.errors import BadRow, ResourceError, RowsDisagree
from lossctl.sources.base import Piece, counted, refusing
from lossctl.sources.matching import Budget, Match, Run, Side, paired

__all__ = ["LookupPiece", "StepPiece", "View", "held", "nothing", "side_by_side"]

_TEXT_LIMIT = (1 << 31) - 1


@dataclass(frozen=True)
class View:
    """The columns to deliver, in order, and where each comes from."""

    names: tuple[str, ...]
    places: Mapping[str, tuple[int, str]]

    def batch(
        self,
        pred: Any,
        target: Mapping[str, pa.Array] | pa.RecordBatch,
        matched: NDArray[np.bool_] | None,
        rows: int,
    ) -> pa.RecordBatch:
        if not self.names:
            return counted(rows)
        arrays = []
        for name in self.names:
            if name not in self.places:
                arrays.append(truths(matched, rows))
                continue
            side, inner = self.places[name]
            arrays.append((target if side else pred)[inner])
        return pa.RecordBatch.from_arrays(arrays, names=list(self.names))


def truths(matched: NDArray[np.bool_] | None, rows: int) -> pa.Array:
    bits = np.ones(rows, np.bool_) if matched is None else matched
    packed = pa.py_buffer(np.packbits(bits, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), rows, [None, packed])


def nothing(rows: int) -> None:
    """The inner piece has told its source already."""


@dataclass
class JoinedPiece(Piece):
    """Rows of the predictions with their targets."""

    view: View

    def blame(self, error: BadRow) -> None:
        """Add to a refusal where the value of a target column stands."""
        row, column = error.facts.get("row"), error.facts.get("column")
        place = self.view.places.get(str(column))
        if isinstance(row, int) and place is not None and place[0] == 1:
            path, at = self.origin(row - self.first_row)
            error.hint = f"{error.hint + '; ' if error.hint else ''}the value is from {path}, row {at}"
            error.facts.update(target_path=path, target_row=at)

    @abstractmethod
    def origin(self, row: int) -> tuple[str, int]:
        """File and row there of the target beside the row."""


@dataclass
class LookupPiece(JoinedPiece):
    """A piece of the predictions, and the target rows it takes from memory; rows None: no target column.

    Rows without a target get the values of `filler`, which are legal, and are masked.
    """

    piece: Any
    found: NDArray[Any] | None
    held: Mapping[str, pa.Array]
    filler: int
    target: Side

    def batches(self) -> Iterator[pa.RecordBatch]:
        at = 0
        for batch in self.piece.read():
            if self.found is None:
                yield self.view.batch(batch, {}, None, batch.num_rows)
                continue
            rows = self.found[at : at + batch.num_rows]
            at += batch.num_rows
            matched = rows >= 0
            whole = bool(matched.all())
            index = from_numpy(rows if whole else np.where(matched, rows, self.filler))
            taken = {name: array.take(index) for name, array in self.held.items()}
            yield self.view.batch(batch, taken, None if whole else matched, batch.num_rows)

    def origin(self, row: int) -> tuple[str, int]:
        assert self.found is not None
        left = int(self.found[row])
        sources = self.target.dataset.sources
        ends = list(accumulate(source.rows or 0 for source in sources))
        at = bisect_right(ends, left)
        return sources[at].path, left - (ends[at - 1] if at else 0)


@dataclass
class StepPiece(JoinedPiece):
    """Rows of both sides that stand side by side."""

    batch: pa.RecordBatch
    beside: Run

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield self.batch

    def origin(self, row: int) -> tuple[str, int]:
        return self.beside.path, self.beside.first_row + row


def side_by_side(
    pred: Iterator[Run], target: Side, wanted: Mapping[str, Any], view: View
) -> Iterator[StepPiece]:
    for one, two in paired(pred, target.runs(wanted)):
        if one is None or two is None:
            seen = (one or two).start  # type: ignore[union-attr]
            raise RowsDisagree(target.path, seen + (one.batch.num_rows if one else 0), seen)
        rows = one.batch.num_rows
        batch = view.batch(one.batch, two.batch, None, rows)
        yield StepPiece(one.path, one.first_row, rows, one.start, one.nbytes, nothing, view, batch, two)


def held(target: Side, wanted: Mapping[str, Any], found: Match, budget: Budget) -> dict[str, pa.Array]:
    """Whole columns of the target file."""
    parts: dict[str, list[pa.Array]] = {name: [] for name in wanted}
    for run in target.runs(wanted):
        budget.add(2 * run.batch.nbytes)  # once in parts, once whole
        for name, arrays in parts.items():
            arrays.append(run.batch.column(name))
    made = {}
    for name, arrays in parts.items():
        if pa.types.is_string(arrays[0].type) and sum(a.nbytes for a in arrays) > _TEXT_LIMIT:
            raise ResourceError(f"the texts of column '{name}' are too long to hold", path=target.path)
        with refusing(target.path):
            made[name] = pa.concat_arrays(arrays)
        if found.spare and found.rows is not None and pa.types.is_dictionary(made[name].type):
            made[name] = _pruned(made[name], found.rows)
    return made


def _pruned(array: pa.DictionaryArray, rows: NDArray[Any]) -> pa.DictionaryArray:
    """Without the words that only rows without a prediction have: they would be groups of no rows."""
    codes, valid = numbers(array.indices)
    codes = codes if valid is None else np.where(valid, codes, 0)
    matched = np.zeros(len(codes), np.bool_)
    matched[rows[rows >= 0]] = True
    if valid is not None:
        matched &= valid
    used = np.unique(codes[matched])
    places = np.zeros(len(array.dictionary), np.int32)
    places[used] = np.arange(len(used))
    buffers = [None if valid is None else pa.py_buffer(np.packbits(valid, bitorder="little"))]
    indices = pa.Array.from_buffers(pa.int32(), len(codes), [*buffers, pa.py_buffer(places[codes])])
    return pa.DictionaryArray.from_arrays(indices, array.dictionary.take(from_numpy(used.astype(np.int64))))
