"""Random weights and signs of buckets, and what aggregates become under them.

Poisson(1) weights come from 16 random bits each, by the table of cumulated probabilities rounded to 2⁻¹⁶;
signs from one bit each. The bits are Philox's own stream, which NumPy promises not to change. Products are
added without BLAS, in an order that no machine or thread count changes.

Sources: N. Chamandy et al., "Estimating uncertainty for massive data streams" (2012), for Poisson weights;
R. A. Fisher, "The Design of Experiments" (1935), for sign flips; B. Phipson and G. K. Smyth, "Permutation
p-values should never be zero", Stat. Appl. Genet. Mol. Biol. 9 (2010); S. Holm, "A simple sequentially
rejective multiple test procedure", Scand. J. Stat. 6 (1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lossctl.buckets import Sums
from lossctl.loss.kinds import Pooled

__all__ = ["Leaf", "holm", "leaf", "p_value", "percentiles", "poisson", "signs", "under"]

Floats: TypeAlias = NDArray[np.float64]

_BLOCK = 64  # resamples at a time
FLIPS = 9999


def _table() -> NDArray[np.uint8]:
    """Poisson(1) counts by 16-bit number."""
    cumulated = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(12)])
    edges = np.rint(cumulated * 65536).astype(np.int64)
    return np.searchsorted(edges, np.arange(65536), side="right").astype(np.uint8)


def _bits(seed: int, stream: int) -> np.random.Philox:
    return np.random.Philox(key=np.array([seed, stream], dtype=np.uint64))


def poisson(seed: int, resamples: int, buckets: int) -> Iterator[Floats]:
    """Weights of the buckets, blocks of shape (≤ 64, buckets)."""
    table, source = _table(), _bits(seed, 0)
    words = -(-buckets // 4)
    for start in range(0, resamples, _BLOCK):
        rows = min(_BLOCK, resamples - start)
        raw = source.random_raw(rows * words).astype("<u8").view("<u2").reshape(rows, 4 * words)
        yield table[raw[:, :buckets]].astype(np.float64)


def signs(seed: int, flips: int, buckets: int) -> Iterator[Floats]:
    """±1 for the buckets, blocks of shape (≤ 64, buckets)."""
    source = _bits(seed, 1)
    words = -(-buckets // 64)
    for start in range(0, flips, _BLOCK):
        rows = min(_BLOCK, flips - start)
        raw = source.random_raw(rows * words).astype("<u8").view(np.uint8).reshape(rows, 8 * words)
        yield 1.0 - 2.0 * np.unpackbits(raw, axis=1, count=buckets, bitorder="little").astype(np.float64)


@dataclass(frozen=True)
class Leaf:
    """A loss in one group as sums that add: `columns` has one row per bucket, `value` takes totals.

    The last column counts rows: `value` sees totals scaled to the rows there are, so that a sum has the
    spread of its rows and not of their number.
    """

    columns: Floats
    value: Callable[[Floats], Floats]

    def at(self, totals: Floats) -> Floats:
        """Values of totals of shape (n, columns)."""
        with np.errstate(all="ignore"):
            rows = self.columns[:, -1].sum()
            return self.value(totals * (rows / totals[:, -1:]))


def leaf(job: Any, sums: Sums, centre: Sequence[float] | None = None) -> Leaf:
    """The columns and the value of a loss under its reduction."""
    rows = sums.rows.astype(np.float64)
    if job.reduction == "pooled" and isinstance(job.bound.loss.reduction, Pooled):
        return _pooled(job, sums, rows, centres(sums) if centre is None else centre)
    first = sums.column("t0")
    if job.reduction == "sum":
        return Leaf(np.column_stack([first, rows]), lambda t: t[:, 0])
    if job.reduction == "mean-n":
        return Leaf(np.column_stack([first, rows]), lambda t: t[:, 0] / t[:, 1])
    below = sums.column("t1") if sums.terms > 1 else sums.weight()
    return Leaf(np.column_stack([first, below, rows]), lambda t: t[:, 0] / t[:, 1])


def centres(sums: Sums) -> list[float]:
    """The mean of every term that has a second moment, else 0: where its moments are taken from."""
    width = max(sums.terms // sums.columns, 1)
    weight = float(sums.weight().sum())
    return [
        sums.total(f"t{place}").value() / weight if place % width in sums.moments and weight else 0.0
        for place in range(sums.terms)
    ]


def _pooled(job: Any, sums: Sums, rows: Floats, centre: Sequence[float]) -> Leaf:
    width = sums.terms // sums.columns
    weight = sums.weight()
    columns: list[Floats] = []
    second: dict[int, int] = {}
    for place in range(sums.terms):
        if place in sums.constants:
            columns.append(weight * sums.constants[place])
        elif place % width in sums.moments:
            columns.append(_centred(sums, place, centre[place], 1))
        else:
            columns.append(sums.column(f"t{place}"))
    for place in range(sums.terms):
        if place % width in sums.moments:
            second[place] = len(columns)
            columns.append(_centred(sums, place, centre[place], 2))
    columns += [weight, rows]
    reduction, params = job.bound.loss.reduction, job.value_params

    def value(totals: Floats) -> Floats:
        parts = [totals[:, place] for place in range(sums.terms)]
        for place, at in second.items():
            parts[place] = totals[:, at] - parts[place] ** 2 / totals[:, -2]
        made = [
            np.asarray(reduction.value(*parts[at : at + width], **params), dtype=np.float64)
            for at in range(0, sums.terms, width)
        ]
        return made[0] if len(made) == 1 else np.mean(made, axis=0)

    return Leaf(np.column_stack(columns), value)


def _centred(sums: Sums, place: int, centre: float, power: int) -> Floats:
    """Σw(t − m) or Σw(t − m)² of every bucket, rounded once."""
    middle = Fraction(centre) if math.isfinite(centre) else Fraction(0)
    firsts = sums.exact[f"t{place}"]
    weights = [w.fraction() for w in sums.exact["w"]] if "w" in sums.exact else sums.rows.tolist()
    if power == 1:
        return np.array([float(t.fraction() - middle * w) for t, w in zip(firsts, weights, strict=True)])
    squares = sums.exact[f"s{place}"]
    return np.array(
        [
            float(s.fraction() - 2 * middle * t.fraction() + middle * middle * w)
            for s, t, w in zip(squares, firsts, weights, strict=True)
        ]
    )


def under(weights: Floats, columns: Floats) -> Floats:
    """Totals of shape (n, columns) under weights of shape (n, buckets)."""
    return np.stack([np.add.reduce(weights * column, axis=1) for column in columns.T], axis=1)


def percentiles(values: Floats, level: float) -> tuple[float, float] | None:
    """The interval that holds `level` of the values, None when some resamples had no value."""
    finite = values[np.isfinite(values)]
    if len(finite) < 0.99 * len(values):
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(observed: float, flipped: Floats) -> float:
    """Two-sided: how many flips are at least as far from zero, what was seen among them; never 0."""
    if not math.isfinite(observed):
        return math.nan
    # Flips that tie in exact arithmetic count as ties, whatever the last bits of their sums.
    edge = abs(observed) * (1 - 1e-10)
    hits = int(np.count_nonzero(~(np.abs(flipped) < edge)))
    return (1 + hits) / (1 + len(flipped))


def holm(values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given; NaN stays NaN and counts for nothing."""
    adjusted = [math.nan] * len(values)
    order = sorted((p, at) for at, p in enumerate(values) if not math.isnan(p))
    top = 0.0
    for rank, (p, at) in enumerate(order):
        top = max(top, min(1.0, (len(order) - rank) * p))
        adjusted[at] = top
    return adjusted
