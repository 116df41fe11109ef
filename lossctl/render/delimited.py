"""CSV, TSV and bare values of a result."""

from __future__ import annotations

import csv
import io
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
        return "\t".join([repr(float(only.value)), *_ends(only)]) + "\n"
    return _written(
        ([*_labels(score, names), repr(float(score.value)), *_ends(score)] for score in result.scores),
        delimiter="\t",
    )


def _intervals(result: Result) -> bool:
    return any(score.interval is not None for score in result.scores)


def _ends(score: Score) -> list[str]:
    """The ends of the interval, empty where it was asked for and there is none."""
    if score.interval is None:
        return []
    return ["" if end != end else repr(end) for end in (score.interval.low, score.interval.high)]


def _labels(score: Score, names: Sequence[str]) -> list[str]:
    return [*(harmless(score.group.get(name, "")) for name in names), harmless(score.spec)]


def _numbers(score: Score) -> list[str]:
    value = "" if score.empty else repr(float(score.value))
    return [
        value,
        score.status,
        str(score.rows),
        str(score.ignored),
        repr(float(score.weight)),
        *_ends(score),
    ]


def _written(lines: Iterable[Sequence[str]], delimiter: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(lines)
    return text.getvalue()
