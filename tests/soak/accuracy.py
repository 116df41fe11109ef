"""Errors of every loss's rows in ulp against mpmath: python tests/soak/accuracy.py [--points N] [NAME...].

Prints the largest error and the 99.9th percentile of each loss and where the largest one is; exits 1 when a
loss is worse than the bound recorded in accuracy.json. --save records this run there, --readme writes the
recorded table into README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import numpy as np  # noqa: E402
import points  # noqa: E402
import references_scores  # noqa: E402, F401 - this and the next add their formulas
import references_sets  # noqa: E402, F401
from cases import Case, Data, layouts  # noqa: E402
from mpmath import mp, mpf  # noqa: E402
from passes import brings_weights, row_values, total  # noqa: E402
from references import ALL, Reference  # noqa: E402

from lossctl.loss import Mean, Pooled  # noqa: E402
from lossctl.loss.registry import all_losses  # noqa: E402
from lossctl.loss.spec import parse  # noqa: E402

BLOCK = 1000
DIGITS = (50, 400, 1500)  # 1 + x holds 324 digits and more for a double x
RECORD = HERE / "accuracy.json"
README = HERE.parent.parent / "README.md"
TABLE = re.compile(r"(<!-- accuracy -->\n).*?(<!-- /accuracy -->)", re.DOTALL)
# Losses without a reference: nothing is rounded, or a row alone has no value.
EXACT = ("zero-one", "top-k-error", "coverage-error", "wer", "cer")
TOGETHER = ("r2-loss", "cox-ph", "wasserstein")


@cache
def case_of(name: str) -> Case:
    """The reference's loss with its parameters decided and its inputs in its layout."""
    wanted = ALL[name]
    bound = parse(wanted.spec)[0].terms[0].bound
    made = dict(layouts(bound))
    layout = wanted.layout if wanted.layout in made else next(iter(made))
    return Case(bound, made[layout], layout)


def exactly(value: Any) -> Any:
    """A number or nested numbers for mpmath; labels, words and flags as they are."""
    if isinstance(value, float):
        return mpf(value)
    if isinstance(value, np.ndarray | list | tuple):
        return [exactly(v) for v in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return value.item() if isinstance(value, np.integer) else value


def rows_for(case: Case, data: Data) -> list[dict[str, Any]]:
    """Each value's arguments: of a row, of a group, or of a row's group with the row's place in it."""
    columns = {n: exactly(v if isinstance(v, list) else v.tolist()) for n, v in data.items() if n != "group"}
    count = len(next(iter(columns.values())))
    if "group" not in data:
        return [{n: column[i] for n, column in columns.items()} for i in range(count)]
    starts = np.flatnonzero(np.concatenate([[True], data["group"][1:] != data["group"][:-1]])).tolist()
    made = []
    for low, high in zip(starts, [*starts[1:], count], strict=True):
        whole = {n: column[low:high] for n, column in columns.items()}
        made += [whole] if case.loss.unit == "group" else [{**whole, "at": i} for i in range(high - low)]
    return made


def ulps(found: float, value: Any, unit_of: Any) -> float:
    """|found − value| in units in the last place of `unit_of`; a value past the doubles rounds to ∞."""
    nearest = float(value)
    if math.isinf(nearest) or math.isinf(found):
        biggest = math.copysign(sys.float_info.max, nearest)
        if found == nearest or (math.isinf(found) and abs(nearest) == sys.float_info.max):
            return 0.0
        return math.inf if math.isinf(found) or mp.isinf(value) else (biggest - found) / math.ulp(biggest)
    return float(abs(mpf(found) - value) / mpf(math.ulp(float(unit_of))))


def settled(reference: Reference, arguments: dict[str, Any], found: float) -> tuple[float, Any]:
    """The error of `found`, with digits added until two precisions agree, and the value."""
    before: Any = None
    error, value = math.nan, mp.nan
    for digits in DIGITS:
        mp.dps = digits
        value = mpf(reference.formula(**arguments))
        if math.isnan(found) or mp.isnan(value):
            return (0.0 if math.isnan(found) and mp.isnan(value) else math.inf), value
        size = mpf(reference.size(**arguments)) if reference.size else value
        error = ulps(found, value, max(abs(size), abs(value)))
        plain = value != 0 and error <= 1.0
        stable = before is not None and abs(value - before) <= abs(value) * mpf(10) ** -25
        if mp.isinf(value) or plain or (stable and (value != 0 or digits >= 400)):
            break
        before = value
    return error, value


@dataclass(frozen=True)
class Errors:
    """Errors of some rows; the worst one's arguments, value and what was found; whether their mean is
    the mean of the rows rounded once."""

    errors: Any
    worst: str
    mean: bool


def block(name: str, number: int, rows: int) -> Errors:
    """One block of points of one reference."""
    reference, case = ALL[name], case_of(name)
    data = points.draw(case, reference.draw, number, rows)
    values, used, _ = row_values(case, data)
    params = {n: exactly(v) for n, v in case.bound.params.items()}
    errors, worst, report = [], -1.0, ""
    for found, counts, arguments in zip(values.tolist(), used.tolist(), rows_for(case, data), strict=True):
        if not counts:
            continue
        error, value = settled(reference, {**arguments, **params}, found)
        errors.append(error)
        if error > worst:
            worst = error
            shown = ", ".join(f"{n}={numbers(v)}" for n, v in arguments.items())
            report = f"{shown}: {found!r}, should be {mp.nstr(value, 20)}"
    return Errors(np.array(errors), report, mean_is_exact(case, data, values[used]))


def mean_is_exact(case: Case, data: Data, values: Any) -> bool:
    """Whether the aggregate of finite rows is their rational mean rounded once, where it is a mean."""
    plain = isinstance(case.loss.reduction, Mean | Pooled) and not brings_weights(case, data)
    if not plain or not len(values) or not np.isfinite(values).all():
        return True
    whole = sum((Fraction(value) for value in values.tolist()), Fraction(0)) / len(values)
    return total(case, data, reduction="mean").value == nearest(whole)


def nearest(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.copysign(math.inf, number)


def numbers(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(numbers, value))}]"
    return repr(float(value)) if isinstance(value, mpf) else repr(value)


def blocks_of(name: str, count: int) -> list[tuple[str, int, int]]:
    wanted = max(int(count * ALL[name].share), min(count, 100))
    return [(name, at, min(BLOCK, wanted - at * BLOCK)) for at in range(-(-wanted // BLOCK))]


def summary(found: list[Errors]) -> dict[str, Any]:
    errors = np.concatenate([part.errors for part in found])
    worst = max(found, key=lambda part: float(np.max(part.errors, initial=-1.0)))
    shown = {
        "max": rounded(float(np.max(errors))),
        "most": rounded(float(np.quantile(errors, 0.999, method="higher"))),
    }
    return {
        **shown,
        "points": len(errors),
        "worst": worst.worst,
        "means": sum(not part.mean for part in found),
    }


def rounded(error: float) -> float:
    """Three digits, never less than the error."""
    if error == 0.0 or math.isinf(error):
        return error
    step = 10.0 ** (math.floor(math.log10(error)) - 2)
    return float(f"{math.ceil(error / step) * step:.3g}")


def bound_of(record: dict[str, Any]) -> float:
    """What later runs are held to: other points and NumPy builds may be a little worse."""
    return math.ceil(2.0 * record["max"]) / 2.0 + 0.5 if record["max"] < 8.0 else 1.5 * record["max"]


def recorded() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(RECORD.read_text())
    return found


def measured() -> dict[str, list[str]]:
    """The references of each loss."""
    made: dict[str, list[str]] = {}
    for name, reference in ALL.items():
        made.setdefault(reference.spec.partition(":")[0], []).append(name)
    return made


def table() -> str:
    """The record as Markdown, one row per loss: the worst of its variants."""
    lines = ["| loss | max | 99.9 % | points | note |", "|---|---|---|---|---|"]
    record, variants = recorded(), measured()
    for loss in all_losses():
        names = [name for name in variants.get(loss.name, ()) if name in record]
        if names:
            worst, most = (max(record[name][key] for name in names) for key in ("max", "most"))
            count = sum(record[name]["points"] for name in names)
            note = "; ".join(dict.fromkeys(text for text in map(remark, names) if text))
            lines.append(f"| `{loss.name}` | {worst:.3g} | {most:.3g} | {count:,} | {note} |")
    return "\n".join(lines) + "\n"


def remark(name: str) -> str:
    reference = ALL[name]
    return reference.note or ("in ulp of the larger part of a difference" if reference.size else "")


def write_readme() -> None:
    text = README.read_text()
    README.write_text(TABLE.sub(lambda m: m.group(1) + table() + m.group(2), text))


def measure(names: list[str], count: int) -> dict[str, dict[str, Any]]:
    """Every name's summary, printed as it comes."""
    made = {}
    with ProcessPoolExecutor(os.cpu_count(), initializer=os.nice, initargs=(10,)) as pool:
        running = {n: [pool.submit(block, *part) for part in blocks_of(n, count)] for n in names}
        for name, parts in running.items():
            made[name] = summary([part.result() for part in parts])
            line = made[name]
            print(
                f"{name:42} max {line['max']:<9.3g} 99.9% {line['most']:<9.3g} {line['points']:7,}", end=" "
            )
            print(line["worst"], f"MEANS WRONG {line['means']}" if line["means"] else "", flush=True)
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--readme", action="store_true")
    parser.add_argument("names", nargs="*")
    given = parser.parse_args()
    if given.readme:
        write_readme()
        return 0
    wanted = [n for n in ALL if not given.names or ALL[n].spec.partition(":")[0] in given.names]
    found = measure(wanted, given.points)
    before = recorded() if RECORD.exists() else {}
    if given.save:
        merged = {n: (found.get(n) or before[n]) for n in ALL if n in found or n in before}
        RECORD.write_text(json.dumps(merged, indent=1) + "\n")
        return 0
    worse = [n for n, r in found.items() if n in before and r["max"] > bound_of(before[n])]
    print("worse than recorded:", ", ".join(worse) or "none")
    return 1 if worse else 0


if __name__ == "__main__":
    raise SystemExit(main())
