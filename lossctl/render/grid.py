"""What a table of a result says, before it is drawn: heads, rows, notes and signatures, as unescaped text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lossctl.errors import counted
from lossctl.render.delimited import group_names
from lossctl.result import Part, Result, Score

TOTAL = "all"


@dataclass(frozen=True)
class Head:
    """The top of one column; numbers stand to the right."""

    text: str
    right: bool = True


@dataclass(frozen=True)
class Grid:
    """A table and what is said below it; `total` is whether the last row is the total."""

    heads: Sequence[Head]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]
    signatures: Sequence[str]
    total: bool = False


def number(value: float, digits: int) -> str:
    """`value` rounded for reading."""
    return f"{value:.{digits}g}"


def grid_of(result: Result, digits: int, verbose: bool) -> Grid:
    """Rows are groups and columns are losses, or without groups one row per loss."""
    names = group_names(result)
    heads, rows = _by_group(result, names, digits) if names else _by_loss(result, digits)
    total = bool(names) and any(not score.group for score in result.scores)
    signatures = list(dict.fromkeys(score.signature for score in result.scores))
    return Grid(heads, rows, list(_notes(result, verbose)), signatures, total)


def _by_loss(result: Result, digits: int) -> tuple[list[Head], list[list[str]]]:
    ignored = any(score.ignored for score in result.scores)
    levels = _levels(result.scores)
    heads = [Head("loss", right=False), Head("value"), *map(Head, levels), Head("rows")] + [
        Head("ignored")
    ] * ignored
    rows = []
    for score in result.scores:
        counts = [f"{score.rows:,}"] + [f"{score.ignored:,}"] * ignored
        between = [interval_text(score, digits)] if levels else []
        rows.append([score.spec, _cell(score, digits), *between, *counts])
        for part in score.parts:
            rows.append(
                ["  " + _part_name(part), number(part.value, digits), *[""] * (len(between) + len(counts))]
            )
    return heads, rows


def _by_group(result: Result, names: Sequence[str], digits: int) -> tuple[list[Head], list[list[str]]]:
    lines: dict[tuple[tuple[str, str], ...], dict[str, Score]] = {}
    for score in sorted(result.scores, key=lambda score: not score.group):  # stable: only the total moves
        lines.setdefault(tuple(score.group.items()), {})[score.spec] = score
    specs = list(dict.fromkeys(score.spec for score in result.scores))
    same = all(len({score.rows for score in line.values()}) == 1 for line in lines.values())
    columns = [_Column(spec, [line.get(spec) for line in lines.values()], same) for spec in specs]
    heads = [Head(name, right=False) for name in names] + [Head("rows")] * same
    heads += [Head(text) for column in columns for text in column.heads()]
    total = _total({label.strip() for group in lines for _, label in group})
    rows = []
    for at, (group, line) in enumerate(lines.items()):
        labels = [_label(dict(group), name) for name in names] if group else [total, *[""] * len(names[1:])]
        count = [f"{next(iter(line.values())).rows:,}"] * same
        rows.append([*labels, *count, *(text for column in columns for text in column.cells(at, digits))])
    return heads, rows


def _label(group: Mapping[str, str], name: str) -> str:
    """A label to be told from every other: one of nothing but space stands in quotes."""
    text = group.get(name)
    if text is None:
        return ""
    return text if text.strip() and text[0] != '"' else f'"{text}"'


def _total(labels: set[str]) -> str:
    """What the total is called: a name that no group has."""
    name = TOTAL
    while name in labels:
        name = f"({name})"
    return name


@dataclass(frozen=True)
class _Column:
    """One loss down all groups: its value, its parts, and its own counts where they differ."""

    spec: str
    scores: Sequence[Score | None]
    same: bool

    @cached_property
    def _ignored(self) -> bool:
        return any(score is not None and score.ignored for score in self.scores)

    @cached_property
    def _parts(self) -> Sequence[Part]:
        return max((score.parts for score in self.scores if score is not None), key=len, default=())

    def heads(self) -> Iterator[str]:
        yield self.spec
        yield from _levels(self.scores)
        yield from map(_part_name, self._parts)
        if not self.same:
            yield "rows"
        if self._ignored:
            yield "ignored"

    def cells(self, at: int, digits: int) -> Iterator[str]:
        score = self.scores[at]
        if score is None:
            yield from ("" for _ in self.heads())
            return
        yield _cell(score, digits)
        if score.interval is not None:
            yield interval_text(score, digits)
        parts = [number(part.value, digits) for part in score.parts]
        yield from parts + [""] * (len(self._parts) - len(parts))
        if not self.same:
            yield f"{score.rows:,}"
        if self._ignored:
            yield f"{score.ignored:,}"


def _cell(score: Score, digits: int) -> str:
    return score.status if score.status != "ok" else number(score.value, digits)


def _levels(scores: Sequence[Score | None]) -> list[str]:
    """The head of the intervals, if there are any."""
    levels = (score.interval.level for score in scores if score is not None and score.interval is not None)
    return [f"{100 * level:g}% CI" for level in levels][:1]


def interval_text(score: Score, digits: int) -> str:
    """[low, high], or - where there is none."""
    found = score.interval
    if found is None or found.low != found.low:
        return "-"
    return f"[{number(found.low, digits)}, {number(found.high, digits)}]"


def _part_name(part: Part) -> str:
    return f"{part.spec} (x{part.coefficient:g})"


def _notes(result: Result, verbose: bool) -> Iterator[str]:
    yield result.rows.text + _ignored(result.scores)
    making = [f"weighted by {result.columns['weight']}"] if "weight" in result.columns else []
    making += [f"where {result.conditions['where']}"] if "where" in result.conditions else []
    if making:
        yield ", ".join(making)
    for score in result.scores:
        if score.nonfinite:
            yield f"{score.spec}{_where(score.group)}: " + ", ".join(
                f"{many:,} {'row is' if many == 1 else 'rows are'} {status}"
                for status, many in score.nonfinite.items()
            )
    yield from _interval_notes(result)
    if verbose:
        for file in result.inputs:
            yield f"read {file.path} ({file.format}, {counted(file.rows, 'row', 'rows')})"
        yield from column_notes(result.columns, result.guessed)


def column_notes(columns: Mapping[str, Any], guessed: Sequence[str]) -> Iterator[str]:
    """Which columns play which role, and whether that was guessed."""
    for role, names in columns.items():
        listed = names if isinstance(names, str) else ", ".join(names)
        yield f"{role}: {listed}" + (" (guessed)" if role in guessed else "")


def _interval_notes(result: Result) -> Iterator[str]:
    first = next((score.interval for score in result.scores if score.interval is not None), None)
    if first is not None:
        yield f"interval: {first.method.replace('-', ' ')}, {first.resamples:,} resamples, seed {first.seed}"
    for score in result.scores:
        if score.interval is not None and score.interval.note:
            yield f"no interval of {score.spec}{_where(score.group)}: {score.interval.note}"


def _ignored(scores: Sequence[Score]) -> str:
    totals = {score.spec: score.ignored for score in scores if not score.group}
    if len(set(totals.values())) <= 1:
        return f", {next(iter(totals.values()), 0):,} ignored"
    return ", ignored " + ", ".join(f"{many:,} by {spec}" for spec, many in totals.items())


def _where(group: Mapping[str, str]) -> str:
    return " [" + ", ".join(f"{name}={label}" for name, label in group.items()) + "]" if group else ""
