"""Random arrays against `math.fsum` and rational arithmetic: python tests/soak/exact_sums.py [COUNT] [SEED].

Prints the cases, the mismatches and the time; exits 1 when there is any mismatch.
"""

from __future__ import annotations

import math
import sys
import time
from fractions import Fraction

import numpy as np

from lossctl.exact import ExactSum, Floats, Workspace
from lossctl.exact_groups import GroupedSums

KINDS = 7


def draw(rng: np.random.Generator, kind: int) -> Floats:
    """A short finite array of one of the seven kinds that have broken exact sums before."""
    n = int(rng.integers(0, 24))
    if kind == 0:
        x = rng.standard_normal(n) ** 2
    elif kind == 1:
        x = np.ldexp(rng.standard_normal(n), rng.integers(-1074, 1000, n))
    elif kind == 2:
        x = rng.integers(0, 1 << 64, n, dtype=np.uint64).view(np.float64)
    elif kind == 3:
        x = rng.integers(-9, 10, n) * 5e-324
    elif kind == 4:
        x = rng.choice(np.array([1.7e308, -1.7e308, 1.0, 0.0, -0.0, 5e-324, -1e-300, 0.1]), n)
    elif kind == 5:
        x = np.full(n, rng.choice([-1.0, 1.0]) * math.nextafter(2.0 ** int(rng.integers(-1000, 1023)), 0.0))
    else:
        half = rng.standard_normal(n) * 1e16
        x = rng.permutation(np.concatenate((half, -half, rng.standard_normal(2))))
    return x[np.isfinite(x)]


def reference(x: Floats) -> float:
    """`math.fsum`, or the rational sum where its partial sums overflow."""
    try:
        return math.fsum(x.tolist())
    except OverflowError:
        total = sum(map(Fraction, x.tolist()), Fraction(0))
        try:
            return total.numerator / total.denominator
        except OverflowError:
            return math.inf if total > 0 else -math.inf


def mismatches(count: int, seed: int = 0) -> int:
    """How many of `count` arrays give a sum, or a grouped sum, that is not the reference to the last bit."""
    rng = np.random.default_rng(seed)
    work = Workspace()
    wrong = 0
    for case in range(count):
        x = draw(rng, case % KINDS)
        acc, folded = ExactSum(), ExactSum()
        acc.add(x, work, nonneg=bool(case & 8))
        groups = GroupedSums(3)
        groups.add(x, rng.integers(0, 3, x.size), work)
        for total in groups.totals():
            folded += total
        wrong += acc.value() != reference(x) or folded != acc
    return wrong


def main() -> int:
    """Run as a script."""
    count, seed = ([int(text) for text in sys.argv[1:]] + [1_000_000, 0][len(sys.argv) - 1 :])[:2]
    start = time.perf_counter()
    wrong = mismatches(count, seed)
    print(f"{count} arrays, seed {seed}: {wrong} mismatches in {time.perf_counter() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
