"""CSV, TSV and bare values of a result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lossctl.render.text import harmless
from lossctl.result import Result, Score


def group_names(result: Result) -> list[str]:
    """The group columns, in the order they first appear."""
    return list(dict.fromkeys(name for score in result.scores for name in score.group))


def render_delimited(result: Result, delimiter: str) -> str:
    """One line per score under a header; the total has empty group cells."""
    names = group_names(result)
    header = [*map(harmless, names), "spec", "value", "status", "rows", "ignored", "weight"]
    header += ["low", "high"] if _intervals(result) else []
    lines = [[*_labels(score, names), *_numbers(score)] for score in result.scores]
    return _written([header, *lines], delimiter)


def render_value(result: Result) -> str:
    """The bare number, or group columns, spec and value by tabs when there are several."""
    names = group_names(result)
    if not names and len(result.scores) == 1:
        only = result.scores[0]
        return _written([[repr(float(only.value)), *_ends(only)]], "\t")
    return _written(
        ([*_labels(score, names), repr(float(score.value)), *_ends(score)] for score in result.scores),
        delimiter="\t",
    )


def _intervals(result: Result) -> bool:
    return any(score.interval is not None for score in result.scores)


def _ends(score: Score) -> list[str | None]:
    """The ends of the interval, empty where it was asked for and there is none."""
    if score.interval is None:
        return []
    return [None if end != end else repr(end) for end in (score.interval.low, score.interval.high)]


def _labels(score: Score, names: Sequence[str]) -> list[str | None]:
    """Cells ready to be written: the total has none where a group of no name has a quoted empty text."""
    return [*(_cell(score.group.get(name)) for name in names), _cell(score.spec)]


def _cell(text: str | None) -> str | None:
    return None if text is None else harmless(text)


def _numbers(score: Score) -> list[str | None]:
    value = None if score.empty else repr(float(score.value))
    return [
        value,
        score.status,
        str(score.rows),
        str(score.ignored),
        repr(float(score.weight)),
        *_ends(score),
    ]


def _written(lines: Iterable[Sequence[str | None]], delimiter: str) -> str:
    special = re.compile(f'["\r\n{delimiter}]')

    def spelt(cell: str | None) -> str:
        if cell is None:
            return ""
        return '"' + cell.replace('"', '""') + '"' if not cell or special.search(cell) else cell

    return "".join(delimiter.join(map(spelt, line)) + "\n" for line in lines)
