"""Predictions and targets from two files, joined one-to-one on keys, seen as one data set.

The keys are read first, alone. Where both files hold the same keys in the same rising order that is all that
is remembered: the rows are then read side by side. Otherwise the target's keys, and later the columns wanted
of it, are held in memory, and each prediction row knows its target row. So every refusal comes before the
first row is delivered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.arrow import from_numpy
from lossctl.errors import (
    AmbiguousColumn,
    BadRow,
    BadValue,
    DataError,
    MissingColumn,
    ResourceError,
    RowsDisagree,
    UsageError,
)
from lossctl.sources.base import Column, Piece, counted, refusing
from lossctl.sources.dataset import _Shared
from lossctl.sources.matching import Budget, Match, Run, Side, match, paired

__all__ = ["MASK", "JoinedDataset", "joined"]

MASK = "\0joined"  # no file can name a column so
HOWS = ("strict", "inner")
_TEXT_LIMIT = (1 << 31) - 1


def joined(
    pred: Any, target: Any, on: Sequence[str], how: str = "strict", *, max_memory: int = 4 << 30
) -> JoinedDataset:
    """The rows of `pred`, each with the columns of the row of `target` that has the same keys.

    Raises UsageError for keys or modes that make no sense and MissingColumn for a key a file lacks.
    """
    if how not in HOWS:
        raise BadValue("--join", how, " or ".join(HOWS))
    if not on or not all(on):
        raise UsageError("a join needs keys", hint="name the key columns with --on")
    if len(set(on)) != len(on):
        raise UsageError("a key stands twice in --on", hint="name each key once")
    for dataset in (pred, target):
        names = [column.name for column in dataset.columns]
        for key in on:
            if key not in names:
                raise MissingColumn("on", key, names, path=dataset.sources[0].path)
    _distinct(pred, target)
    return JoinedDataset(pred, target, tuple(on), how, max_memory)


def _distinct(pred: Any, target: Any) -> None:
    places = {_place(source) for source in pred.sources}
    for source in target.sources:
        if _place(source) in places:
            raise DataError("the same file is given as predictions and as targets", path=source.path)


def _place(source: Any) -> object:
    identity = getattr(source, "identity", None)
    if identity is not None:
        return (identity.device, identity.inode)
    return source.path if source.path == "-" else id(source)


class JoinedDataset:
    """Two data sets with the face of one. `mask` names a column that says which rows found a target.

    A name that both files have is ambiguous; `pred.NAME` and `target.NAME` say which one is meant. Keys are
    the same on both sides and go by their plain name.
    """

    def __init__(self, pred: Any, target: Any, on: tuple[str, ...], how: str, max_memory: int) -> None:
        self.on, self.how, self.max_memory = on, how, max_memory
        self._pred, self._target = Side(pred), Side(target)
        self.sources = [*pred.sources, *target.sources]
        self.promised_rows = pred.promised_rows
        self.nbytes = pred.nbytes
        self.mask = MASK if how == "inner" else None
        self.warnings: list[str] = []
        self._meant: dict[str, list[tuple[int, str]]] = {}
        self.columns = self._columns()

    def __enter__(self) -> JoinedDataset:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for source in self.sources:
            if hasattr(source, "close"):
                source.close()

    def finish(self) -> None:
        """After the last piece: no file changed, and every row that was promised came."""
        self._pred.dataset.finish()
        self._target.dataset.finish()

    def _columns(self) -> tuple[Column, ...]:
        mine, its = self._pred.columns, self._target.columns
        shared = [name for name in mine if name in its and name not in self.on]
        columns = [*mine.values(), *(c for n, c in its.items() if n not in mine)]
        columns += [Column(f"pred.{name}", mine[name].type) for name in shared]
        columns += [Column(f"target.{name}", its[name].type) for name in shared]
        for at, names in enumerate((mine, its)):
            for name in names:
                if at == 0 or name not in self.on:
                    self._meant.setdefault(name, []).append((at, name))
        for at, prefix in enumerate(("pred", "target")):
            for name in shared:
                self._meant.setdefault(f"{prefix}.{name}", []).append((at, name))
        return tuple(columns)

    def _resolve(self, name: str) -> tuple[int, str]:
        """Side (0 predictions, 1 targets) and the name there; a dotted path goes by its column."""
        at = len(name)
        while at > 0:
            meant = self._meant.get(name[:at], ())
            if len(meant) == 1:
                return meant[0][0], meant[0][1] + name[at:]
            if meant:
                inner = meant[0][1]
                choices = [f"pred.{inner}", f"target.{inner}"]
                error = AmbiguousColumn(name, choices, path=self._pred.path)
                error.hint = f"both files have it: write {choices[0]} or {choices[1]}"
                raise error
            at = name.rfind(".", 0, at)
        raise MissingColumn("this run", name, [c.name for c in self.columns], path=self._pred.path)

    def peek(self, names: Sequence[str], rows: int = 1000) -> dict[str, list[object]]:
        """First values of some columns as their own files have them, not matched by key."""
        found = {}
        for name in names:
            side, inner = self._resolve(name)
            found[name] = (self._pred, self._target)[side].dataset.peek([inner], rows)[inner]
        return found

    def pieces(self, wanted: Mapping[str, Any]) -> Iterator[Any]:
        """Match the keys, then deliver the prediction rows in order; any thread may take the next piece."""
        places = {name: self._resolve(name) for name in wanted if name != self.mask}
        sides: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        for name, (side, inner) in places.items():
            sides[side][inner] = wanted[name]
        budget = Budget(self.max_memory)
        found = match(self._pred, self._target, self.on, self.how, budget, sides)
        self.warnings = self._told(found)
        view = _View(tuple(wanted), places)
        if found.rows is None and sides[1]:
            return _Shared(_side_by_side(self._pred.runs(sides[0]), self._target, sides[1], view))
        held = _held(self._target, sides[1], budget) if sides[1] else {}
        return _Shared(self._looked_up(sides[0], held, found, view))

    def _told(self, found: Match) -> list[str]:
        counts = ((found.unmatched, self._pred, "target"), (found.spare, self._target, "prediction"))
        return [
            f"inner join: {n:,} rows of {side.label()} have no {what} and were left out"
            for n, side, what in counts
            if n
        ]

    def _looked_up(
        self, wanted: Mapping[str, Any], held: Mapping[str, pa.Array], found: Match, view: _View
    ) -> Iterator[Piece]:
        filler = 0
        if found.rows is not None and found.unmatched:
            filler = int(found.rows[np.argmax(found.rows >= 0)])
        for piece in self._pred.pieces(wanted):
            place = (piece.path, piece.first_row, piece.rows, piece.start, piece.nbytes)
            rows = None if found.rows is None else found.rows[piece.start : piece.start + piece.rows]
            yield LookupPiece(*place, _nothing, piece, rows, held, view, filler, self._target)


@dataclass(frozen=True)
class _View:
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
                arrays.append(_truths(matched, rows))
                continue
            side, inner = self.places[name]
            arrays.append((target if side else pred)[inner])
        return pa.RecordBatch.from_arrays(arrays, names=list(self.names))


def _truths(matched: NDArray[np.bool_] | None, rows: int) -> pa.Array:
    bits = np.ones(rows, np.bool_) if matched is None else matched
    packed = pa.py_buffer(np.packbits(bits, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), rows, [None, packed])


def _nothing(rows: int) -> None:
    """The inner piece has told its source already."""


@dataclass
class JoinedPiece(Piece):
    """Rows of the predictions with their targets."""

    def blame(self, error: BadRow) -> None:
        """Add to a refusal where the value of a target column stands."""
        row, column = error.facts.get("row"), error.facts.get("column")
        place = self.view.places.get(str(column)) if hasattr(self, "view") else None
        if isinstance(row, int) and place is not None and place[0] == 1:
            path, at = self.origin(row - self.first_row)
            error.hint = f"{error.hint + '; ' if error.hint else ''}the value is from {path}, row {at}"
            error.facts.update(target_path=path, target_row=at)

    def origin(self, row: int) -> tuple[str, int]:
        raise NotImplementedError


@dataclass
class LookupPiece(JoinedPiece):
    """A piece of the predictions, and the target rows it takes from memory; rows None: no target column.

    Rows without a target get the values of `filler`, which are legal, and are masked.
    """

    piece: Any
    found: NDArray[Any] | None
    held: Mapping[str, pa.Array]
    view: _View
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
        for source in self.target.dataset.sources:
            if left < (source.rows or 0):
                break
            left -= source.rows or 0
        return source.path, left


@dataclass
class StepPiece(JoinedPiece):
    """Rows of both sides that stand side by side."""

    batch: pa.RecordBatch
    view: _View
    beside: Run

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield self.batch

    def origin(self, row: int) -> tuple[str, int]:
        return self.beside.path, self.beside.first_row + row


def _side_by_side(
    pred: Iterator[Run], target: Side, wanted: Mapping[str, Any], view: _View
) -> Iterator[StepPiece]:
    for one, two in paired(pred, target.runs(wanted)):
        if one is None or two is None:
            seen = (one or two).start  # type: ignore[union-attr]
            raise RowsDisagree(target.path, seen + (one.batch.num_rows if one else 0), seen)
        rows = one.batch.num_rows
        batch = view.batch(one.batch, two.batch, None, rows)
        yield StepPiece(one.path, one.first_row, rows, one.start, one.nbytes, _nothing, batch, view, two)


def _held(target: Side, wanted: Mapping[str, Any], budget: Budget) -> dict[str, pa.Array]:
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
    return made
