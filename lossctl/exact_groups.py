"""Many exact sums at once, addressed by an integer code: the grouped form of `exact.ExactSum`."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from lossctl.exact import BLOCK, ExactSum, Floats, Workspace, any_bits, bounds, lowest_bit, sigma_of

__all__ = ["GroupedSums"]

Ints: TypeAlias = NDArray[np.int64]

_STEP = 44
_ROOM = 1 << 62
_HUGE = 900
_DOWN = 8
_CHUNK = 1 << 16


def _level(top: int) -> int:
    """The lowest level whose payload of _STEP bits holds every |x| ≤ 2^top."""
    return max(-((-1074 - top + _STEP) // _STEP), 0)


class GroupedSums:
    """`size` exact sums; every sum is Σⱼ limb[j][code]·2^(44j − 1074) plus counts of non-finite terms.

    The exponents 44j − 1074 are fixed, so limbs of any two blocks, threads or files add as int64. `counts`
    holds the rows added to each code, non-finite rows included. (Neal 2015, superaccumulators.)
    """

    __slots__ = ("_limbs", "_load", "_special", "counts", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.counts: Ints = np.zeros(size, np.int64)
        self._limbs: dict[int, Ints] = {}
        # An upper bound on |limb| per level, kept below 2^62 by carrying.
        self._load: dict[int, int] = {}
        self._special: Ints = np.zeros((3, size), np.int64)

    def resize(self, size: int) -> None:
        """Grow to `size` sums, the new ones empty; raises ValueError when that would drop sums."""
        if size < self.size:
            raise ValueError(f"cannot shrink {self.size} sums to {size}")
        more = size - self.size
        self.size = size
        self.counts = np.pad(self.counts, (0, more))
        self._special = np.pad(self._special, ((0, 0), (0, more)))
        self._limbs = {level: np.pad(limb, (0, more)) for level, limb in self._limbs.items()}

    def add(self, x: Floats, codes: Ints, work: Workspace, *, nonneg: bool = False) -> None:
        """Add x[i] to sum codes[i]; shapes (n,), neither modified; `nonneg` as in `ExactSum.add`.

        Raises IndexError, before adding anything of that block, for a code outside [0, size).
        """
        with np.errstate(all="ignore"):
            for start in range(0, x.shape[0], BLOCK):
                part = codes[start : start + BLOCK]
                if int(np.maximum.reduce(part.view(np.uint64))) >= self.size:
                    raise IndexError(f"a group code lies outside [0, {self.size})")
                np.add.at(self.counts, part, 1)
                self._block(x[start : start + BLOCK], part, work, nonneg, 0)

    def _block(self, x: Floats, codes: Ints, work: Workspace, nonneg: bool, raised: int) -> None:
        n = x.shape[0]
        if n == 0:
            return
        high_value, low = bounds(x, work.floats[0][:n], nonneg)
        if not high_value < math.inf:
            self._count_non_finite(x, codes)
            finite = np.isfinite(x)
            self._block(x[finite], codes[finite], work, nonneg, raised)
            return
        top = math.frexp(high_value)[1]
        if top > _HUGE:
            big = np.abs(x) >= 1.0
            self._block(x[big] * 2.0 ** -(_DOWN * _STEP), codes[big], work, nonneg, raised + _DOWN)
            self._block(x[~big], codes[~big], work, nonneg, raised)
            return
        if high_value:
            self._extract(x, codes, work, _level(top), lowest_bit(low), raised)

    def _extract(
        self, x: Floats, codes: Ints, work: Workspace, level: int, last: int, raised: int
    ) -> None:
        source, rounds = x, 0
        while True:
            n = source.shape[0]
            rest, high, whole = (buffer[:n] for buffer in work.floats[:3])
            unit = _STEP * level - 1074
            sigma, pattern = sigma_of(unit)
            np.add(source, sigma, out=high)
            payload = whole.view(np.int64)
            np.subtract(high.view(np.int64), pattern, out=payload)
            np.add.at(self._limb(level + raised, n << _STEP), codes, payload)
            if unit <= last:
                return
            np.subtract(high, sigma, out=high)
            np.subtract(source, high, out=rest)
            source = rest
            left = any_bits(rest)
            if left == 0:
                return
            level = min(level - 1, _level((left >> 52) - 1022))
            rounds += 1
            if rounds > 1:
                kept = np.flatnonzero(rest)
                if 2 * kept.shape[0] < n:
                    source, codes = rest[kept], codes[kept]

    def _count_non_finite(self, x: Floats, codes: Ints) -> None:
        for row, hit in enumerate((np.isnan(x), x == math.inf, x == -math.inf)):
            np.add.at(self._special[row], codes[hit], 1)

    def _limb(self, level: int, more: int) -> Ints:
        """The limb of `level`, with room for terms that sum to at most `more` in magnitude."""
        if level not in self._limbs:
            self._limbs[level] = np.zeros(self.size, np.int64)
            self._load[level] = 0
        if self._load[level] + more > _ROOM:
            self._settle(level)
        self._load[level] += more
        return self._limbs[level]

    def _settle(self, level: int) -> None:
        """Measure the limb of `level`, and carry it to the next level if it is truly near full."""
        limb = self._limbs[level]
        full = max(int(np.max(limb, initial=0)), -int(np.min(limb, initial=0)))
        if full > _ROOM >> 2:
            carry = (limb + (1 << (_STEP - 1))) >> _STEP
            limb -= carry << _STEP
            above = self._limb(level + 1, 1 << (63 - _STEP))
            above += carry
            full = 1 << _STEP
        self._load[level] = full

    def merge(self, other: GroupedSums, mapping: Ints | None = None) -> None:
        """Add other's sum at code c to the sum at mapping[c] (at c without a mapping, growing as needed).

        `mapping` has shape (other.size,), values in [0, size), repeats allowed; `other` is not modified.
        """
        if mapping is None:
            if other.size > self.size:
                self.resize(other.size)
            mapping = np.arange(other.size, dtype=np.int64)
        elif mapping.shape != (other.size,) or (
            other.size and not 0 <= int(mapping.min()) <= int(mapping.max()) < self.size
        ):
            raise IndexError(f"a mapping needs {other.size} codes in [0, {self.size})")
        np.add.at(self.counts, mapping, other.counts)
        for mine, theirs in zip(self._special, other._special, strict=True):
            np.add.at(mine, mapping, theirs)
        for level, limb in other._limbs.items():
            carry = (limb + (1 << (_STEP - 1))) >> _STEP
            for at, part in ((level, limb - (carry << _STEP)), (level + 1, carry)):
                for start in range(0, other.size, _CHUNK):
                    chunk = slice(start, start + _CHUNK)
                    np.add.at(self._limb(at, _CHUNK << _STEP), mapping[chunk], part[chunk])

    def total(self, code: int) -> ExactSum:
        """The sum at `code`."""
        units = sum(int(limb[code]) << (_STEP * level) for level, limb in self._limbs.items())
        return ExactSum(units, *self._special[:, code].tolist())

    def totals(self) -> list[ExactSum]:
        """All sums, by code."""
        units = [0] * self.size
        for level, limb in self._limbs.items():
            shift = _STEP * level
            units = [unit + (part << shift) for unit, part in zip(units, limb.tolist(), strict=True)]
        return [ExactSum(unit, *special) for unit, special in zip(units, self._special.T.tolist(), strict=True)]
