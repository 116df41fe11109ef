"""How often 95% intervals hold the truth: python tests/soak/interval_coverage.py [TRIALS] [ROWS]."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from test_intervals import coverage

if __name__ == "__main__":
    trials, rows = (int(word) for word in [*sys.argv[1:], "400", "3000"][:2])
    for kind in ("normal", "lognormal", "bernoulli", "clustered"):
        print(f"{kind:10} {coverage(kind, rows, trials):.4f}  ({trials} trials of {rows:,} rows)", flush=True)
