"""Predictions and targets from two files, joined one-to-one on keys, seen as one data set.

The keys are read first, alone. Where both files hold the same keys in the same rising order that is all that
is remembered: the rows are then read side by side. Otherwise the target's keys, and later the columns wanted
of it, are held in memory, and each prediction row knows its target row. So every refusal comes before the
first row is delivered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lossctl.errors import (
    AmbiguousColumn,
    BadValue,
    DataError,
    MissingColumn,
    UsageError,
    counted,
)
from lossctl.sources.base import Column, Piece
from lossctl.sources.beside import LookupPiece, View, held, nothing, side_by_side
from lossctl.sources.dataset import Opened, _Shared, open_dataset
from lossctl.sources.matching import Budget, Match, Side, match

__all__ = ["MASK", "JoinedDataset", "joined", "open_joined"]

MASK = "\0joined"  # no file can name a column so
HOWS = ("strict", "inner")


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


def open_joined(
    paths: Sequence[str],
    target_file: str | Sequence[str],
    on: str | Sequence[str],
    how: str = "strict",
    *,
    max_memory: int = 4 << 30,
    input_format: str | None = None,
    delimiter: str | None = None,
    na: Sequence[str] = (),
    require_checksums: bool = False,
    threads: int = 2,
) -> JoinedDataset:
    """Open both sides; `on` is a comma list or a sequence. `input_format` is that of the predictions."""
    keys = [key.strip() for key in on.split(",")] if isinstance(on, str) else list(on)
    files = [target_file] if isinstance(target_file, str) else list(target_file)
    opened = []
    try:
        form: dict[str, Any] = {"delimiter": delimiter, "na": na, "threads": threads}
        form["require_checksums"] = require_checksums
        opened.append(open_dataset(paths, input_format=input_format, **form))
        if "-" in files and "-" in paths:
            raise UsageError("standard input cannot be both sides of a join", hint="name a file for one")
        opened.append(open_dataset(files, **form))
        return joined(opened[0], opened[1], keys, how, max_memory=max_memory)
    except BaseException:
        for dataset in opened:
            dataset.close()
        raise


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


class JoinedDataset(Opened):
    """Two data sets with the face of one. `mask` names a column that says which rows found a target.

    A name that both files have is ambiguous; `pred.NAME` and `target.NAME` say which one is meant. Keys are
    the same on both sides and go by their plain name.
    """

    joined = True

    def __init__(self, pred: Any, target: Any, on: tuple[str, ...], how: str, max_memory: int) -> None:
        self.on, self.how, self.max_memory = on, how, max_memory
        self._pred, self._target = Side(pred), Side(target)
        self.sources = [*pred.sources, *target.sources]
        self.promised_rows = pred.promised_rows
        self.nbytes = pred.nbytes
        self.mask = MASK if how == "inner" else None
        self._left_out: list[str] = []
        self._meant: dict[str, list[tuple[int, str]]] = {}
        self.columns = self._columns()

    def close(self) -> None:
        for source in self.sources:
            if hasattr(source, "close"):
                source.close()

    @property
    def warnings(self) -> list[str]:
        """What the pass noticed, complete after its last piece."""
        sides = (self._pred.dataset, self._target.dataset)
        return [*self._left_out, *(w for each in sides for w in getattr(each, "warnings", ()))]

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
        self._left_out = self._told(found)
        view = View(tuple(wanted), places)
        if found.rows is None and sides[1]:
            return _Shared(side_by_side(self._pred.runs(sides[0]), self._target, sides[1], view))
        columns = held(self._target, sides[1], found, budget) if sides[1] else {}
        return _Shared(self._looked_up(sides[0], columns, found, view))

    def _told(self, found: Match) -> list[str]:
        counts = ((found.unmatched, self._pred, "target"), (found.spare, self._target, "prediction"))
        return [
            f"inner join: {counted(n, 'row', 'rows')} of {side.label()} "
            + (f"has no {what} and was left out" if n == 1 else f"have no {what} and were left out")
            for n, side, what in counts
            if n
        ]

    def _looked_up(
        self, wanted: Mapping[str, Any], columns: Mapping[str, Any], found: Match, view: View
    ) -> Iterator[Piece]:
        filler = 0
        if found.rows is not None and found.unmatched:
            filler = int(found.rows[np.argmax(found.rows >= 0)])
        for piece in self._pred.pieces(wanted):
            place = (piece.path, piece.first_row, piece.rows, piece.start, piece.nbytes)
            rows = None if found.rows is None else found.rows[piece.start : piece.start + piece.rows]
            yield LookupPiece(*place, nothing, view, piece, rows, columns, filler, self._target)
