"""The two wider forms of `exact.ExactSum`: sums of real products, and many sums addressed by integer code.

Sources: T. J. Dekker, "A floating-point technique for extending the available precision", Numer. Math. 18
(1971), for exact products; R. M. Neal, "Fast exact summation using small and large superaccumulators" (2015),
for limbs on fixed exponents.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from lossctl.errorfree import two_product
from lossctl.exact import BLOCK, ExactSum, Floats, Workspace, any_bits, bounds, lowest_bit, sigma_of

__all__ = ["GroupedSums", "add_product", "add_triple"]

Ints: TypeAlias = NDArray[np.int64]
Top = TypeVar("Top", int, NDArray[np.int64])

# Per row and level on 32,768 rows, 8 / 100,000 groups: int64 `np.add.at` 1.14 / 1.44 ns; `np.bincount` with
# float weights 1.24 / 1.61 ns and a result array per block; stable argsort 7 ns before any reduceat. A whole
# `add` of squared errors of normals is 6.0 / 7.2 ns where the limbs' exponents suit the data (two levels) and
# 8.4 / 10.3 where they do not (three); 26 / 36 for exponents over ±300; 53 / 78 for any bit patterns at all.
_STEP = 45
_ROOM = (1 << 63) - 1
_HUGE = 900
_DOWN = 8
_CHUNK = 1 << 15


def _level(top: Top) -> Top:
    """The lowest level whose payload of _STEP bits holds every |x| ≤ 2^top, from 0 for top ≥ −1073."""
    return -((-1074 - top + _STEP) // _STEP)


class GroupedSums:
    """`size` exact sums; every sum is Σⱼ limb[j][code]·2^(45j − 1074) plus counts of non-finite terms.

    The exponents 45j − 1074 are fixed, so limbs of any two blocks, threads or files add as int64. (Neal 2015,
    superaccumulators.)
    """

    __slots__ = ("_limbs", "_load", "_special", "size")

    def __init__(self, size: int) -> None:
        self.size = size
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
        self._special = np.pad(self._special, ((0, 0), (0, more)))
        self._limbs = {level: np.pad(limb, (0, more)) for level, limb in self._limbs.items()}

    def add(self, x: Floats, codes: Ints, work: Workspace, *, nonneg: bool = False) -> None:
        """Add x[i] to sum codes[i]; shapes (n,), neither modified; `nonneg` as in `ExactSum.add`.

        Raises IndexError, before adding anything of that block, for a code outside [0, size), and ValueError
        for unequal shapes.
        """
        if x.shape != codes.shape:
            raise ValueError(f"{x.shape} values but {codes.shape} codes")
        with np.errstate(all="ignore"):
            for start in range(0, x.shape[0], BLOCK):
                part = codes[start : start + BLOCK]
                if int(np.maximum.reduce(part.view(np.uint64))) >= self.size:
                    raise IndexError(f"a group code lies outside [0, {self.size})")
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

    def _extract(self, x: Floats, codes: Ints, work: Workspace, level: int, last: int, raised: int) -> None:
        rest = work.floats[0][: x.shape[0]]
        source = x
        for dense in range(3):
            if _STEP * level - 1074 <= last:
                self._deposit(source, codes, None, work, level, raised)
                return
            self._deposit(source, codes, rest, work, level, raised)
            left = any_bits(rest)
            if left == 0:
                return
            source, level = rest, min(level - 1, _level((left >> 52) - 1022))
            if dense == 1 and 8 * int(np.count_nonzero(rest != 0)) < x.shape[0]:
                break
        kept = np.flatnonzero(rest != 0)
        self._extract_sorted(rest[kept], codes[kept], work, raised)

    def _extract_sorted(self, x: Floats, codes: Ints, work: Workspace, raised: int) -> None:
        """Rows by descending level: 53 bits span three levels, so a row is worked on three times, not 45."""
        levels = _level(((x.view(np.int64) >> 52) & 0x7FF) - 1022).astype(np.uint8)
        order = np.argsort(levels, stable=True)
        x, codes = x[order], codes[order]
        edges = np.concatenate(([0], np.cumsum(np.bincount(levels, minlength=50)))).tolist()
        for level in range(int(levels.max()), -1, -1):
            rows = slice(edges[level], edges[level + 3])
            if rows.start < rows.stop:
                self._deposit(x[rows], codes[rows], x[rows], work, level, raised)

    def _deposit(
        self, x: Floats, codes: Ints, rest: Floats | None, work: Workspace, level: int, raised: int
    ) -> None:
        """Add each row's multiple of the level's unit to the limb, the remainder to `rest` (may be `x`)."""
        n = x.shape[0]
        high, payload = work.floats[1][:n], work.floats[2][:n].view(np.int64)
        sigma, pattern = sigma_of(_STEP * level - 1074)
        np.add(x, sigma, out=high)
        np.subtract(high.view(np.int64), pattern, out=payload)
        np.add.at(self._limb(level + raised, n << _STEP), codes, payload)
        if rest is not None:
            np.subtract(high, sigma, out=high)
            np.subtract(x, high, out=rest[:n])

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
            carry = limb >> _STEP
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
            mapping = np.arange(other.size)
        elif mapping.shape != (other.size,) or (
            other.size and not 0 <= int(mapping.min()) <= int(mapping.max()) < self.size
        ):
            raise IndexError(f"a mapping needs {other.size} codes in [0, {self.size})")
        for mine, theirs in zip(self._special, other._special, strict=True):
            np.add.at(mine, mapping, theirs)
        for level, limb in other._limbs.items():
            carry = limb >> _STEP
            for at, part in ((level, limb - (carry << _STEP)), (level + 1, carry)):
                for start in range(0, other.size, _CHUNK):
                    chunk = slice(start, start + _CHUNK)
                    np.add.at(self._limb(at, _CHUNK << _STEP), mapping[chunk], part[chunk])

    def total(self, code: int) -> ExactSum:
        """The sum at `code`."""
        units = sum(int(limb[code]) << (_STEP * level) for level, limb in self._limbs.items())
        return ExactSum(units, *self._special[:, code].tolist())

    def totals(self, start: int = 0, stop: int | None = None) -> list[ExactSum]:
        """The sums of codes from `start` to below `stop`, all unless said."""
        units = [0] * len(range(self.size)[start:stop])
        for level, limb in self._limbs.items():
            shift = _STEP * level
            units = [
                unit + (part << shift) for unit, part in zip(units, limb[start:stop].tolist(), strict=True)
            ]
        special = self._special[:, start:stop].T.tolist()
        return [ExactSum(unit, *counts) for unit, counts in zip(units, special, strict=True)]


# 8.4 ns/row (triples 20) while factors lie within 2^±150; beyond, by exponents, 70 (triples 190–215).
def add_product(acc: ExactSum, x: Floats, y: Floats, work: Workspace) -> None:
    """Add Σ xᵢyᵢ to `acc`, each product the real one, not a rounded one; shapes (n,) and (n,).

    Domain: any float64. A product is exact when it is a multiple of 2⁻¹⁰⁷⁴, which |xᵢyᵢ| ≥ 2⁻⁹⁶⁸ ensures;
    below that it is within 2⁻¹⁰⁷⁴ of the real one, the same whatever the order. A product beyond the range
    of float64 is exact too. (Dekker 1971.)
    """
    _add_factors(acc, [x, y], work)


def add_triple(acc: ExactSum, w: Floats, x: Floats, y: Floats, work: Workspace) -> None:
    """Add Σ wᵢxᵢyᵢ to `acc`, each product the real one; shapes (n,). Limits as for `add_product`, with
    |wᵢxᵢyᵢ| ≥ 2⁻⁹¹⁵ ensuring exactness and 2⁻¹⁰⁷³ bounding the error below it. (Dekker 1971.)
    """
    _add_factors(acc, [x, y, w], work)


def _add_factors(acc: ExactSum, factors: list[Floats], work: Workspace) -> None:
    if len({factor.shape for factor in factors}) > 1:
        raise ValueError(f"factors of shapes {[factor.shape for factor in factors]}")
    with np.errstate(all="ignore"):
        for start in range(0, factors[0].shape[0], BLOCK):
            _product_block(acc, [f[start : start + BLOCK] for f in factors], work)


def _product_block(acc: ExactSum, factors: list[Floats], work: Workspace) -> None:
    scratch = work.floats[0][: factors[0].shape[0]]
    safe = True
    for factor in factors:
        high, low = bounds(factor, scratch, False)
        if not high < math.inf:
            _non_finite_products(acc, factors, work)
            return
        if low == 0.0:
            np.copyto(scratch, 1.0, where=scratch == 0.0)
            low = float(np.minimum.reduce(scratch))
        safe = safe and high < 2.0**150 and low > 2.0**-150
    if safe:
        for term in _exact_terms(factors):
            acc.add_block(term, work, False, 0)
        return
    # Mantissas multiply without overflow or underflow; each term then gets its row's exponent back, in
    # classes of 1000 so that none overflows.
    split = [np.frexp(factor) for factor in factors]
    exponent = sum((e.astype(np.int64) for _, e in split), start=np.zeros(scratch.shape, np.int64))
    band = np.maximum(exponent // 1000, 0)
    for term in _exact_terms([m for m, _ in split]):
        for index in np.unique(band).tolist():
            rows = band == index
            acc.add_block(np.ldexp(term[rows], exponent[rows] - 1000 * index), work, False, 1000 * index)


def _non_finite_products(acc: ExactSum, factors: list[Floats], work: Workspace) -> None:
    finite = np.logical_and.reduce([np.isfinite(f) for f in factors])
    # Signs stand for finite factors, so that two small ones cannot underflow to the zero of inf·0 = nan.
    rows = [np.where(np.isfinite(f), np.sign(f), f)[~finite] for f in factors]
    acc.add_block(np.multiply.reduce(rows), work, False, 0)
    if finite.any():
        _product_block(acc, [f[finite] for f in factors], work)


def _exact_terms(factors: list[Floats]) -> Iterator[Floats]:
    parts = two_product(factors[0], factors[1])
    for part in parts:
        yield from two_product(part, factors[2]) if len(factors) > 2 else (part,)
