"""Which target row belongs to which prediction row: found from the keys alone, one-to-one or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.errors import DataError, ResourceError, visible
from lossctl.sources.base import Column, Piece, kind
from lossctl.sources.keys import Index, KeyReader, Keys, key_kind

__all__ = ["Budget", "Match", "Run", "Side", "match", "paired"]

_SHOWN = 3


class Budget:
    """Bytes a join may hold at once."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def add(self, nbytes: int) -> None:
        self.held += nbytes
        if self.held > self.limit:
            raise ResourceError(
                f"the join must hold more than the {self.limit:,} bytes it may",
                hint="raise --max-memory, or sort both files by the key: then they are read side by side",
            )


@dataclass(frozen=True)
class Run:
    """Consecutive rows of one file; `start` counts over the whole side, nbytes is told once per piece."""

    path: str
    first_row: int
    start: int
    batch: pa.RecordBatch
    nbytes: int = 0

    def part(self, at: int, rows: int) -> Run:
        batch = self.batch.slice(at, rows)
        return Run(self.path, self.first_row + at, self.start + at, batch, 0 if at else self.nbytes)


@dataclass
class HeldPiece(Piece):
    """Rows of a stream that were kept."""

    batch: pa.RecordBatch

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield self.batch


class Side:
    """One data set of a join. A CSV stream exists once, so its rows are held in memory."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.columns: dict[str, Column] = {column.name: column for column in dataset.columns}
        self.path: str = dataset.sources[0].path
        self.once = any(getattr(source, "stream", None) is not None for source in dataset.sources)
        self._held: list[HeldPiece] | None = None

    def label(self) -> str:
        more = len(self.dataset.sources) - 1
        return visible(self.path) + (f" and {more} more" if more else "")

    def hold(self, wanted: Mapping[str, Any], keys: Mapping[str, Any], budget: Budget) -> None:
        """Read a stream, now, for all that will be asked of it; a key is kept as its text."""
        if not self.once or self._held is not None:
            return
        held = []
        for run in self.runs({**wanted, **keys}):
            budget.add(run.batch.nbytes)
            place = (run.path, run.first_row, run.batch.num_rows, run.start, run.nbytes)
            held.append(HeldPiece(*place, lambda rows: None, run.batch))
        self._held = held

    def pieces(self, wanted: Mapping[str, Any]) -> Iterator[Any]:
        if self._held is None:
            yield from self.dataset.pieces(wanted)
            return
        for held in self._held:
            arrays = [_as(held.batch.column(name), type_) for name, type_ in wanted.items()]
            batch = pa.RecordBatch.from_arrays(arrays, names=list(wanted)) if wanted else held.batch
            place = (held.path, held.first_row, held.rows, held.start, held.nbytes)
            yield HeldPiece(*place, held.arrived, batch)

    def runs(self, wanted: Mapping[str, Any]) -> Iterator[Run]:
        for piece in self.pieces(wanted):
            row, start, nbytes = piece.first_row, piece.start, piece.nbytes
            for batch in piece.read():
                yield Run(piece.path, row, start, batch, nbytes)
                row, start, nbytes = row + batch.num_rows, start + batch.num_rows, 0


def _as(array: pa.Array, type_: Any) -> pa.Array:
    """A held key in the type it is asked for."""
    if type_ is None or array.type == type_:
        return array
    return array.dictionary_encode() if pa.types.is_dictionary(type_) else array.cast(type_)


def paired(left: Iterator[Run], right: Iterator[Run]) -> Iterator[tuple[Run | None, Run | None]]:
    """Both sides cut at the same rows; the longer one's rest comes with None. Reads both to their ends."""
    one, two = next(left, None), next(right, None)
    while one is not None or two is not None:
        if one is None or two is None:
            yield one, two
            one, two = next(left, None), next(right, None)
            continue
        rows = min(one.batch.num_rows, two.batch.num_rows)
        if rows:
            yield one.part(0, rows), two.part(0, rows)
        one = one.part(rows, one.batch.num_rows - rows) if rows < one.batch.num_rows else next(left, None)
        two = two.part(rows, two.batch.num_rows - rows) if rows < two.batch.num_rows else next(right, None)


@dataclass(frozen=True)
class Match:
    """rows: the target row of each prediction row, -1 for none; None when both files go row by row."""

    rows: NDArray[Any] | None
    unmatched: int = 0  # prediction rows without a target
    spare: int = 0  # target rows without a prediction


def match(pred: Side, target: Side, on: Sequence[str], how: str, budget: Budget, wanted: Any) -> Match:
    """Read the keys of both sides. `wanted` are the columns of each side that a stream must keep."""
    kinds = [key_kind(n, pred.columns[n], target.columns[n], pred.path, target.path) for n in on]
    asked = [_asked(side, on, kinds) for side in (pred, target)]
    for side, mine, types in zip((pred, target), wanted, asked, strict=True):
        side.hold(mine, types, budget)
    readers = KeyReader(on, kinds, target.path), KeyReader(on, kinds, pred.path)
    if _in_step(pred, target, asked, readers):
        return Match(None)
    matcher = _Matcher(pred, target, on, kinds, how, budget)
    return matcher.run(lambda: _keys(pred, asked[0], readers[0]), _keys(target, asked[1], readers[1]))


def _asked(side: Side, on: Sequence[str], kinds: Sequence[str]) -> dict[str, Any]:
    """Types to read the keys in: CSV text stays text, so that no digit is lost."""
    asked: dict[str, Any] = {}
    for name, kind_ in zip(on, kinds, strict=True):
        own = side.columns[name].type
        numeric = own is not None and kind_ == "number" and kind(own) == "number"
        asked[name] = pa.float64() if numeric else pa.string()
    return asked


def _keys(side: Side, asked: Mapping[str, Any], reader: KeyReader) -> Iterator[Keys]:
    for run in side.runs(asked):
        yield reader.read(run.batch, run.path, run.first_row)


def _in_step(
    pred: Side, target: Side, asked: Sequence[Mapping[str, Any]], readers: Sequence[KeyReader]
) -> bool:
    """Whether both sides hold the same keys row by row, each above the last: nothing need be remembered."""
    last: Keys | None = None
    orders = [True, False]
    for one, two in paired(pred.runs(asked[0]), target.runs(asked[1])):
        if one is None or two is None:
            return False
        left = readers[0].read(one.batch, one.path, one.first_row)
        right = readers[1].read(two.batch, two.path, two.first_row)
        if not left.equal(right).all():
            return False
        since = left if last is None else Keys.joined([last, left])
        orders = [by_length for by_length in orders if since.increasing(by_length)]
        if not orders:
            return False
        last = left.part(left.rows - 1, 1)
    return True


class _Matcher:
    """Holds the target's keys and asks them for every prediction row."""

    def __init__(
        self, pred: Side, target: Side, on: Sequence[str], kinds: Sequence[str], how: str, budget: Budget
    ) -> None:
        self.pred, self.target, self.how, self.budget = pred, target, how, budget
        self.on, self.truths = on, [kind_ == "truth value" for kind_ in kinds]

    def run(self, pred_keys: Callable[[], Iterator[Keys]], target_keys: Iterator[Keys]) -> Match:
        before = self.budget.held
        parts = []
        for keys in target_keys:
            self.budget.add(keys.nbytes + 24 * keys.rows)  # hashes, their order, and the owner of each row
            parts.append(keys)
        index = Index(Keys.joined(parts))
        owner = np.full(index.keys.rows, -1, np.int64)
        found: list[NDArray[Any]] = []
        lost: list[Keys] = []
        repeated: list[Keys] = []
        row = 0
        for keys in pred_keys():
            rows = index.find(keys)
            self.budget.add(8 * keys.rows)
            found.append(rows)
            again = _claim(owner, rows, row)
            if again.size:
                repeated.append(keys.take(again))
            gone = np.flatnonzero(rows < 0)
            if gone.size:
                lost.append(keys.take(gone))
                self.budget.add(lost[-1].nbytes + 16 * gone.size)
            row += keys.rows
        missing = Keys.joined(lost) if lost else None
        if missing is not None:
            twice = Index(missing).repeats
            if twice.size:
                repeated.append(missing.take(twice))
        self._one_to_one(index, repeated)
        spare = np.flatnonzero(owner < 0)
        if self.how == "strict" and (missing is not None or spare.size):
            raise self._differ(index.keys, spare, missing, row)
        if missing is not None and missing.rows == row:
            raise DataError(
                f"no key is in both {self.pred.label()} and {self.target.label()}",
                hint=f"first keys: {self._told(missing)} against {self._told(index.keys)}",
            )
        rows = np.concatenate(found)
        self.budget.held = before + rows.nbytes  # the keys are not needed again
        unmatched = 0 if missing is None else missing.rows
        if not unmatched and not spare.size and bool((np.diff(rows) == 1).all()):
            return Match(None)
        return Match(rows, unmatched, int(spare.size))

    def _told(self, keys: Keys) -> str:
        return keys.told(self.on, self.truths, range(min(keys.rows, _SHOWN)))

    def _one_to_one(self, index: Index, repeated: Sequence[Keys]) -> None:
        sides = []
        if repeated:
            sides.append((self.pred, Keys.joined(repeated)))
        if index.repeats.size:
            sides.append((self.target, index.keys.take(index.repeats)))
        if sides:
            told = [f"{k.rows:,} too many in {side.label()} (first: {self._told(k)})" for side, k in sides]
            raise DataError(
                f"the join is not one-to-one: duplicate keys, {' and '.join(told)}",
                hint="remove the duplicates, or join on more keys",
                duplicates={side.path: k.rows for side, k in sides},
            )

    def _differ(self, keys: Keys, spare: NDArray[np.int64], missing: Keys | None, rows: int) -> DataError:
        only = [
            (self.target.label(), spare.size, keys.rows, self._told(keys.take(spare[:_SHOWN]))),
            (self.pred.label(), missing.rows if missing else 0, rows, self._told(missing) if missing else ""),
        ]
        told = [
            f"{n:,} of {of:,} only in {what}" + (f" (first: {t})" if n else "") for what, n, of, t in only
        ]
        shared = keys.rows - spare.size
        hint = (
            f"--join inner scores the {shared:,} shared rows and says so" if shared else "no key is in both"
        )
        return DataError(
            f"the files hold different keys: {', '.join(told)}",
            hint=hint,
            only_in_targets=int(only[0][1]),
            only_in_predictions=int(only[1][1]),
        )


def _claim(owner: NDArray[np.int64], rows: NDArray[np.int64], start: int) -> NDArray[np.int64]:
    """Mark the target rows as taken; gives the places whose target row was taken before."""
    hit = np.flatnonzero(rows >= 0)
    theirs, mine = rows[hit], hit + start
    free = owner[theirs] < 0
    owner[theirs[free][::-1]] = mine[free][::-1]  # of equal keys in one batch the first stays
    again: NDArray[np.int64] = hit[owner[theirs] != mine]
    return again
