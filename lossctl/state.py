"""What must be remembered between blocks, and how two memories add."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossctl.errors import ResourceError, size_text
from lossctl.exact import ExactSum, Workspace
from lossctl.exact_groups import GroupedSums, add_product, add_triple

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Columns = list[Any]  # one array of n doubles per term, or a whole number standing for a constant term

__all__ = ["KeptState", "MaxState", "State", "Sums", "TermState"]


class Sums:
    """One exact sum, or one per group once codes are given; adding two is integer addition."""

    def __init__(self) -> None:
        self.single = ExactSum()
        self.groups: GroupedSums | None = None

    def add(self, x: Array, codes: Codes | None, groups: int, work: Workspace, nonneg: bool = False) -> None:
        if codes is None:
            self.single.add(x, work, nonneg=nonneg)
            return
        self._sized(groups).add(x, codes, work, nonneg=nonneg)

    def _sized(self, groups: int) -> GroupedSums:
        if self.groups is None:
            self.groups = GroupedSums(groups)
        elif self.groups.size < groups:
            self.groups.resize(groups)
        return self.groups

    def merge(self, other: Sums) -> None:
        self.single += other.single
        if other.groups is not None:
            self._sized(other.groups.size).merge(other.groups, None)

    def total(self, code: int | None) -> ExactSum:
        """The sum of one group, or of everything."""
        if code is not None:
            if self.groups is None or code >= self.groups.size:
                return ExactSum()
            return self.groups.total(code)
        total = self.single + ExactSum()
        if self.groups is not None:
            for each in self.groups.totals():
                total += each
        return total


class Counts:
    """Rows per group, or of everything."""

    def __init__(self) -> None:
        self.values: Codes = np.zeros(1, np.int64)

    def add(self, number: int, codes: Codes | None, groups: int) -> None:
        if codes is None:
            self.values[0] += number
            return
        self._grow(groups)
        self.values[:groups] += np.bincount(codes, minlength=groups)[:groups]

    def _grow(self, size: int) -> None:
        if size > len(self.values):
            self.values = np.concatenate([self.values, np.zeros(size - len(self.values), np.int64)])

    def merge(self, other: Counts) -> None:
        self._grow(len(other.values))
        self.values[: len(other.values)] += other.values

    def total(self, code: int | None) -> int:
        if code is None:
            return int(self.values.sum())
        return int(self.values[code]) if code < len(self.values) else 0


class State(ABC):
    """Common part: rows that counted, those of weight zero among them, and rows the loss left out."""

    def __init__(self) -> None:
        self.rows = Counts()
        self.weightless = Counts()
        self.ignored = Counts()
        self.repeat = 1
        self.columns = 1

    def add(
        self,
        terms: Columns,
        used: NDArray[np.bool_] | None,
        weight: Array | None,
        codes: Codes | None,
        groups: int,
        work: Workspace,
    ) -> None:
        """Take in a block: `terms` hold one value per row, `used` says which rows count."""
        number = next((len(t) for t in terms if not isinstance(t, int)), 0)
        if used is not None and not used.all():
            left = ~used
            self.ignored.add(int(np.count_nonzero(left)), None if codes is None else codes[left], groups)
            terms = [t if isinstance(t, int) else t[used] for t in terms]
            weight = None if weight is None else weight[used]
            codes = None if codes is None else codes[used]
            number = int(np.count_nonzero(used))
        self.rows.add(number, codes, groups)
        self.fold(terms, weight, codes, groups, work)

    @abstractmethod
    def fold(
        self, terms: Columns, weight: Array | None, codes: Codes | None, groups: int, work: Workspace
    ) -> None:
        """Take in rows that all count."""

    def absent(self, weight: Array, codes: Codes | None, groups: int) -> NDArray[np.bool_] | None:
        """Count and give the rows of weight zero, None where there are none."""
        if weight.all():
            return None
        absent: NDArray[np.bool_] = weight == 0.0
        self.weightless.add(int(np.count_nonzero(absent)), None if codes is None else codes[absent], groups)
        return absent

    def merge(self, other: Any) -> None:
        self.rows.merge(other.rows)
        self.weightless.merge(other.weightless)
        self.ignored.merge(other.ignored)
        self.repeat = max(self.repeat, other.repeat)
        self.columns = max(self.columns, other.columns)


class Moments(NamedTuple):
    """Exact Σw, Σw·t, Σw·t² of one term in one group."""

    weight: ExactSum
    first: ExactSum
    second: ExactSum


class TermState(State):
    """Exact Σw·t of every term, and of w; of w·t² too for the terms in `moments`.

    A weighted term is the double nearest to w·t; its sum is exact. Second moments sum the exact product.
    """

    def __init__(self, moments: tuple[int, ...] = (), nonneg: bool = False) -> None:
        super().__init__()
        self.sums: list[Sums] = []
        self.weight = Sums()
        self.weighted = False
        self.moments = moments
        self.second: dict[tuple[int, int | None], ExactSum] = {}
        self.exact_first: dict[tuple[int, int | None], ExactSum] = {}
        self.constants: dict[int, int] = {}
        self.nonneg = nonneg

    def fold(
        self, terms: Columns, weight: Array | None, codes: Codes | None, groups: int, work: Workspace
    ) -> None:
        if weight is not None:
            self.weighted = True
            self.weight.add(weight, codes, groups, work, True)
        absent = None if weight is None else self.absent(weight, codes, groups)
        self._size(len(terms))
        for place, term in enumerate(terms):
            if isinstance(term, int):
                self.constants[place] = term
                continue
            if place % (len(terms) // self.columns) in self.moments:
                self._second(place, term, weight, codes, work)
            if weight is not None:
                term = term * weight
                if absent is not None:  # weight 0 means the row is not there, even if its loss is infinite
                    term[absent] = 0.0
            self.sums[place].add(term, codes, groups, work, self.nonneg)

    def _size(self, terms: int) -> None:
        while len(self.sums) < terms:
            self.sums.append(Sums())

    def _second(
        self, place: int, term: Array, weight: Array | None, codes: Codes | None, work: Workspace
    ) -> None:
        for code in [None] if codes is None else np.unique(codes).tolist():
            chosen = slice(None) if code is None else codes == code
            t = np.ascontiguousarray(term[chosen])
            second = self.second.setdefault((place, code), ExactSum())
            first = self.exact_first.setdefault((place, code), ExactSum())
            if weight is None:
                add_product(second, t, t, work)
                first.add(t, work)
            else:
                w = np.ascontiguousarray(weight[chosen])
                if not w.all():  # weight 0 means the row is not there, even if its term is not a number
                    t, w = t[w != 0.0], w[w != 0.0]
                add_triple(second, w, t, t, work)
                add_product(first, w, t, work)

    def merge(self, other: TermState) -> None:
        super().merge(other)
        self._size(len(other.sums))
        for mine, theirs in zip(self.sums, other.sums, strict=False):
            mine.merge(theirs)
        self.weight.merge(other.weight)
        self.weighted |= other.weighted
        self.constants |= other.constants
        for mine_exact, theirs_exact in ((self.second, other.second), (self.exact_first, other.exact_first)):
            for key, value in theirs_exact.items():
                mine_exact[key] = mine_exact.get(key, ExactSum()) + value

    def weight_of(self, code: int | None) -> ExactSum:
        """Σw: the number of rows when they are not weighted."""
        return self.weight.total(code) if self.weighted else ExactSum.of_int(self.rows.total(code))

    def term(self, place: int, code: int | None) -> ExactSum:
        if place in self.constants:
            return self.weight_of(code).scaled(self.constants[place])
        return self.sums[place].total(code)

    def moments_of(self, place: int, code: int | None) -> Moments:
        def total(sums: dict[tuple[int, int | None], ExactSum]) -> ExactSum:
            made = ExactSum()
            for (at, group), value in sums.items():
                if at == place and code in (None, group):
                    made += value
            return made

        return Moments(self.weight_of(code), total(self.exact_first), total(self.second))


class MaxState(State):
    """The largest value per group; rows of weight zero do not take part."""

    def __init__(self) -> None:
        super().__init__()
        self.top: Array = np.full(1, -np.inf)
        self.weight = Sums()
        self.weighted = False
        self.undefined = Counts()

    def _grow(self, size: int) -> None:
        if size > len(self.top):
            self.top = np.concatenate([self.top, np.full(size - len(self.top), -np.inf)])

    def fold(
        self, terms: Columns, weight: Array | None, codes: Codes | None, groups: int, work: Workspace
    ) -> None:
        values = terms[0]
        if weight is not None:
            self.weighted = True
            self.weight.add(weight, codes, groups, work, True)
            self.absent(weight, codes, groups)
            values = np.where(weight > 0.0, values, -np.inf)
        if codes is not None:
            self._grow(groups)
            np.maximum.at(self.top, codes, values)
        elif len(values):
            self.top[0] = np.maximum(self.top[0], np.max(values))
        if np.isnan(self.top).any():
            odd = np.isnan(values)
            self.undefined.add(int(np.count_nonzero(odd)), None if codes is None else codes[odd], groups)

    def merge(self, other: MaxState) -> None:
        super().merge(other)
        self._grow(len(other.top))
        self.top[: len(other.top)] = np.maximum(self.top[: len(other.top)], other.top)
        self.undefined.merge(other.undefined)
        self.weight.merge(other.weight)
        self.weighted |= other.weighted

    def weight_of(self, code: int | None) -> ExactSum:
        return self.weight.total(code) if self.weighted else ExactSum.of_int(self.rows.total(code))

    def largest(self, code: int | None) -> float:
        return float(np.max(self.top) if code is None else self.top[code])


class KeptState(State):
    """All terms of all rows, for losses that need them together; refuses to exceed its share of memory."""

    def __init__(self, cap: int) -> None:
        super().__init__()
        self.cap = cap
        self.size = 0
        self.chunks: list[tuple[Columns, Array | None, Codes | None]] = []

    def fold(
        self, terms: Columns, weight: Array | None, codes: Codes | None, groups: int, work: Workspace
    ) -> None:
        kept = [np.array(t) for t in terms]
        if weight is not None:
            self.absent(weight, codes, groups)
            present = weight > 0.0  # weight 0 means the row is not there
            kept, weight = [t[present] for t in kept], weight[present]
            codes = None if codes is None else codes[present]
        self.chunks.append((kept, weight, None if codes is None else codes.copy()))
        self._charge(sum(t.nbytes for t in kept) + (0 if weight is None else weight.nbytes))

    def _charge(self, size: int) -> None:
        self.size += size
        if self.size > self.cap:
            raise ResourceError(
                f"this loss keeps all rows in memory and passed {size_text(self.cap)}",
                hint="raise --max-memory, or choose a loss that streams (lossctl explain says which do)",
            )

    def merge(self, other: KeptState) -> None:
        super().merge(other)
        self.chunks.extend(other.chunks)
        self._charge(other.size)

    def arrays(self, code: int | None) -> tuple[list[Array], Array | None]:
        """The terms and weights of one group, or of all rows; chunk order is arbitrary."""
        if not self.chunks:
            return [], None
        width = len(self.chunks[0][0])
        picks = [slice(None) if code is None or c is None else c == code for _, _, c in self.chunks]
        terms = [
            np.concatenate([c[0][j][p] for c, p in zip(self.chunks, picks, strict=True)])
            for j in range(width)
        ]
        if self.chunks[0][1] is None:
            return terms, None
        weights = [c[1][p] for c, p in zip(self.chunks, picks, strict=True) if c[1] is not None]
        return terms, np.concatenate(weights)
