"""Curves as a plot of block characters with its findings in words, as JSON or as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from lossctl.errors import counted
from lossctl.render.text import cells, harmless, pad, shown
from lossctl.result import RowCount
from lossctl.series import Curve, Finding, Point, Rules, Series, number

__all__ = ["CURVE_FORMATS", "render_csv", "render_curves"]

CURVE_FORMATS = ("table", "json", "csv")
BLOCKS, PLAIN = "█░▓▒▚│└─", "#o+x*|+-"  # four series, where two meet, and the axes
HEIGHT, WIDEST, NARROWEST = 12, 100, 24


def render_csv(curves: Sequence[Curve]) -> str:
    """One line per spec, split and step."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["spec", "split", "step", "value", "status", "rows"])
    for curve in curves:
        for series in curve.series:
            for p in series.points:
                value = "" if p.empty else repr(float(p.value))
                head = [harmless(curve.spec), harmless(series.split), repr(number(p.step))]
                out.writerow([*head, value, p.status, p.rows])
    return text.getvalue()


def render_curves(
    curves: Sequence[Curve],
    rules: Rules,
    by: str,
    rows: RowCount,
    *,
    width: int = 80,
    digits: int = 4,
    encoding: str = "utf-8",
) -> str:
    """Plot and words for each curve; in ASCII where `encoding` has no block characters."""
    try:
        BLOCKS.encode(encoding)
        marks = BLOCKS
    except (UnicodeError, LookupError):
        marks = PLAIN
    lines: list[str] = []
    for curve in curves:
        lines += [*_plot(curve, shown(by), width, digits, marks), "", *_words(curve, digits), ""]
    if rows.used < rows.read:
        lines.append(rows.text)
    lines.append(
        f"rules: improvement {rules.tolerance:.4g} of the best, patience {rules.patience}; "
        f"worse by {rules.margin:.4g} of the best for the last {rules.recent}"
    )
    text = "\n".join(lines) + "\n"
    return text if marks is BLOCKS else text.encode("ascii", "backslashreplace").decode()


def _plot(curve: Curve, by: str, width: int, digits: int, marks: str) -> Iterator[str]:
    better = {"lower": "lower is better", "higher": "higher is better"}.get(curve.direction, "zero is best")
    yield f"{shown(curve.spec)} by {by}, {better}"
    points = [p for series in curve.series for p in series.points if not p.empty]
    good = [p.value for p in points if p.status == "ok"]
    if not good:
        return
    low, high = min(good), max(good)
    labels = {0: f"{high:.{digits}g}", HEIGHT - 1: f"{low:.{digits}g}"} if high > low else {}
    labels = labels or {HEIGHT // 2: f"{low:.{digits}g}"}
    margin = max(map(len, labels.values()))
    wide = max(min(width, WIDEST) - margin - 2, NARROWEST)
    first, last = min(p.step for p in points), max(p.step for p in points)

    def across(step: float) -> int:
        return round(_part(step, first, last) * (wide - 1)) if last > first else wide // 2

    def down(value: float) -> int:
        return round((1 - _part(value, low, high)) * (HEIGHT - 1)) if high > low else HEIGHT // 2

    grid = [[" "] * wide for _ in range(HEIGHT)]
    axis = [marks[7]] * wide
    for place, series in enumerate(curve.series):
        own = [[False] * wide for _ in range(HEIGHT)]
        before: Point | None = None
        for point in (p for p in series.points if not p.empty):
            if point.status != "ok":
                axis[across(point.step)] = "!"
                before = None
                continue
            for column, value in _line(before, point, across):
                own[down(value)][column] = True
            before = point
        mark = marks[place % 4]
        for row, cols in zip(grid, own, strict=True):
            for column in (c for c, on in enumerate(cols) if on):
                row[column] = mark if row[column] in (" ", mark) else marks[4]
    for at, row in enumerate(grid):
        yield f"{labels.get(at, ''):>{margin}} {marks[5]}{''.join(row)}".rstrip()
    yield f"{'':>{margin}} {marks[6]}{''.join(axis)}"
    ends = f"{number(first)}", f"{number(last)}"
    yield " " * (margin + 2) + ends[0] + ends[1].rjust(max(wide - len(ends[0]), len(ends[1]) + 1))
    for line in _legend(curve, grid, axis, marks):
        yield " " * (margin + 2) + line


def _legend(curve: Curve, grid: Sequence[Sequence[str]], axis: Sequence[str], marks: str) -> Iterator[str]:
    if len(curve.series) > 1:
        names = [f"{marks[i % 4]} {shown(s.split)}" for i, s in enumerate(curve.series)]
        both = [f"{marks[4]} several"] if any(marks[4] in row for row in grid) else []
        yield "   ".join([*names, *both])
    if "!" in axis:
        yield "! not finite"


def _part(value: float, low: float, high: float) -> float:
    """Where value lies between low and high; halves, so that the widest range does not overflow."""
    span = high / 2 - low / 2
    return (value / 2 - low / 2) / span if span > 0 else 0.0


def _line(before: Point | None, point: Point, across: object) -> Iterator[tuple[int, float]]:
    assert callable(across)
    end = across(point.step)
    yield end, point.value
    if before is None:
        return
    start = across(before.step)
    for column in range(start + 1, end):
        share = (column - start) / (end - start)
        yield column, before.value * (1 - share) + point.value * share


def _words(curve: Curve, digits: int) -> Iterator[str]:
    names = [shown(series.split) for series in curve.series]
    wide = max(map(cells, names), default=0)
    for name, series in zip(names, curve.series, strict=True):
        lead = pad(name, wide, False) + ("  " if wide else "")
        yield f"{lead}{_best(series, digits)}"
        blank = " " * cells(lead)
        for finding in series.findings:
            yield f"{blank}{sentence(finding, curve.direction, digits)}"
    if curve.train is None and len(curve.series) > 1:
        yield "overfitting not judged: no split is the training one; name it with --train"


def _best(series: Series, digits: int) -> str:
    steps = counted(len(series.points), "step", "steps")
    if series.best is None:
        return f"{steps}, no best"
    return f"{steps}, best {series.best.value:.{digits}g} at {number(series.best.step)}"


def _idle(finding: Finding) -> str:
    return counted(finding.facts["values"], "value", "values") + " without improvement"


def sentence(finding: Finding, direction: str, digits: int = 4) -> str:
    """A finding in words."""
    facts = {k: f"{v:.{digits}g}" if isinstance(v, float) else v for k, v in finding.facts.items()}
    since = None if finding.since is None else number(finding.since)
    ways = {"lower": ("falling", "rising"), "higher": ("rising", "falling")}
    good, bad = ways.get(direction, ("nearing zero", "leaving zero"))
    span = f"{facts.get('from')} to {facts.get('to')}"
    match finding.kind:
        case "improving":
            return f"{good}: {span}"
        case "worsening":
            return f"{bad} since {since}: {span}"
        case "plateau":
            return f"plateau since {since}: {span}, {_idle(finding)}"
        case "overfitting":
            train = f"{facts['train_from']} to {facts['train_to']}"
            return f"overfitting since {since}: {span}, while train went on from {train}"
        case "noisy":
            return f"noisy: turns back and forth at {finding.facts['reversals']:.0%} of its steps"
        case "nonfinite" if finding.facts["to_the_end"]:
            return f"not finite from {since} on ({facts['status']})"
        case "nonfinite":
            return f"not finite at {facts['values']} of its steps, the first {since} ({facts['status']})"
        case "gap":
            return f"gap: no step between {facts['from']} and {facts['to']}, usually {facts['usual']} apart"
        case "short":
            return f"too short for a trend: {facts['values']} finite, {facts['needed']} needed"
        case "undecided":
            return f"no trend yet: {span}, {_idle(finding)}"
        case _:
            return "no finite value"
