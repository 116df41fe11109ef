"""A comparison as a table, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Iterator

from lossctl.compare import Comparison, Difference
from lossctl.errors import counted
from lossctl.render.structured import strict_json
from lossctl.render.text import cells, markdown_text, pad, shown
from lossctl.resample import FLIPS

__all__ = ["COMPARE_FORMATS", "render_compare"]

COMPARE_FORMATS = ("table", "json", "markdown")


def render_compare(made: Comparison, format: str, *, digits: int = 6) -> str:  # noqa: A002
    """`made` as text ending in a newline."""
    if format == "json":
        return strict_json(made.to_dict(), indent=2) + "\n"
    grouped = any(each.group for each in made.differences)
    level = f"{100 * made.asked.level:g}% CI"
    heads = ["system", "loss", *(["group"] if grouped else [])]
    right = [False] * len(heads) + [True] * 5 + [False]
    heads += ["baseline", "value", "difference", level, "p (Holm)", "verdict"]
    rows = [_row(each, grouped, digits) for each in made.differences]
    notes = list(_notes(made))
    if format == "markdown":
        rule = "|" + "".join(" ---: |" if each else " --- |" for each in right)
        lines = ["| " + " | ".join(map(markdown_text, row)) + " |" for row in (heads, *rows)]
        return "\n".join([lines[0], rule, *lines[1:], "", "  \n".join(map(markdown_text, notes))]) + "\n"
    safe = [[shown(text) for text in row] for row in (heads, *rows)]
    widths = [max(map(cells, column)) for column in zip(*safe, strict=True)]
    lines = [
        "  ".join(pad(t, w, r) for t, w, r in zip(row, widths, right, strict=True)).rstrip() for row in safe
    ]
    return "\n".join([*lines, "", *map(shown, notes)]) + "\n"


def _row(each: Difference, grouped: bool, digits: int) -> list[str]:
    group = ", ".join(f"{name}={label}" for name, label in each.group.items()) or "all"
    between = "-" if each.low != each.low else f"[{each.low:+.{digits}g}, {each.high:+.{digits}g}]"
    p = "-" if each.adjusted != each.adjusted else f"{each.adjusted:.2g}"
    numbers = [f"{each.baseline:.{digits}g}", f"{each.value:.{digits}g}", f"{each.difference:+.{digits}g}"]
    return [each.system, each.spec, *([group] if grouped else []), *numbers, between, p, each.verdict]


def _notes(made: Comparison) -> Iterator[str]:
    rows = max((each.rows for each in made.differences), default=0)
    left_out = f" ({made.rows.text})" if made.rows.used < made.rows.read else ""
    yield f"baseline {made.baseline}: {counted(rows, 'row', 'rows')} paired by {made.pairing}{left_out}"
    yield (
        f"{made.method.replace('-', ' ')}, {made.asked.resamples:,} resamples; "
        f"sign-flip test, {FLIPS:,} flips; "
        f"seed {made.asked.seed}; Holm over {made.tests} test{'s' * (made.tests != 1)}"
    )
    for each in made.differences:
        if each.note:
            group = ", ".join(f"{name}={label}" for name, label in each.group.items())
            yield f"no test of {each.spec} in {each.system}{f' [{group}]' if group else ''}: {each.note}"
