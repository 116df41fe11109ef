"""Every call to the system of six runs fails in turn, then memory runs short: python this file."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

if __name__ == "__main__":
    from faults import run_all, short_of_memory

    began = time.perf_counter()
    made = run_all()
    wrong, exits = short_of_memory(range(150, 1400, 10))
    print(json.dumps({"calls": made.calls, "exits": made.exits, "memory exits": exits}))
    for line in [*made.wrong, *wrong]:
        print(line)
    print(
        json.dumps({"wrong": len(made.wrong) + len(wrong), "seconds": round(time.perf_counter() - began, 1)})
    )
