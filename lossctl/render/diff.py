"""Changes between two results as a table, Markdown or JSON."""

from __future__ import annotations

from collections.abc import Iterator

from lossctl.diff import Change, Diff
from lossctl.render.structured import strict_json
from lossctl.render.text import cells, markdown_text, pad, shown
from lossctl.saved import Entry

__all__ = ["DIFF_FORMATS", "render_diff"]

DIFF_FORMATS = ("table", "json", "markdown")
HEADS = ("loss", "group", "old", "new", "change", "relative", "")
_RIGHT = (False, False, True, True, True, True, False)


def render_diff(diff: Diff, format: str, *, digits: int = 6) -> str:  # noqa: A002
    """`diff` as text ending in a newline."""
    if format == "json":
        return strict_json(diff.to_dict(), indent=2) + "\n"
    rows = [_row(change, digits) for change in diff.changes]
    notes = list(_notes(diff))
    if format == "markdown":
        rule = "|" + "".join(" ---: |" if right else " --- |" for right in _RIGHT)
        lines = ["| " + " | ".join(map(markdown_text, row)) + " |" for row in (HEADS, *rows)]
        return "\n".join([lines[0], rule, *lines[1:], "", "  \n".join(map(markdown_text, notes))]) + "\n"
    safe = [[shown(text) for text in row] for row in (HEADS, *rows)]
    widths = [max(map(cells, column)) for column in zip(*safe, strict=True)]
    lines = [
        "  ".join(pad(t, w, r) for t, w, r in zip(row, widths, _RIGHT, strict=True)).rstrip() for row in safe
    ]
    return "\n".join([*lines, "", *map(shown, notes)]) + "\n"


def _row(change: Change, digits: int) -> list[str]:
    group = ", ".join(f"{name}={label}" for name, label in change.group.items())
    relative = "" if change.relative is None else f"{change.relative:+.2%}"
    delta = "" if change.change is None else f"{change.change:+.{digits}g}"
    name = change.spec if change.check in (None, change.spec) else f"{change.check}: {change.spec}"
    return [name, group, _cell(change.old, digits), _cell(change.new, digits), delta, relative, change.status]


def _cell(entry: Entry | None, digits: int) -> str:
    if entry is None:
        return "-"
    return f"{entry.value:.{digits}g}" if entry.status == "ok" else entry.status


def _notes(diff: Diff) -> Iterator[str]:
    counts: dict[str, int] = {}
    for change in diff.changes:
        counts[change.status] = counts.get(change.status, 0) + 1
    yield f"{diff.old} -> {diff.new}: " + ", ".join(f"{many} {status}" for status, many in counts.items())
    signatures: dict[tuple[str, str], None] = {}
    for change in diff.changes:
        signatures |= {(change.spec, part): None for part in change.signature}
    for spec, part in signatures:
        yield f"signature of {spec}: {part}"
    for part in dict.fromkeys(part for change in diff.changes for part in change.conditions):
        yield f"conditions: {part}"
    if diff.weights is not None:
        yield f"weight: {diff.weights}"
