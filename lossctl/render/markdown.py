"""A result as a Markdown table with its accounts and signatures below."""

from __future__ import annotations

from collections.abc import Iterable

from lossctl.render.grid import grid_of
from lossctl.render.text import markdown_code, markdown_text
from lossctl.result import Result


def render_markdown(result: Result, *, digits: int, verbose: bool) -> str:
    """The table as on the terminal; the signatures are code, to be copied."""
    grid = grid_of(result, digits, verbose)
    lines = [
        _line(head.text for head in grid.heads),
        "|" + "".join(" ---: |" if head.right else " --- |" for head in grid.heads),
        *map(_line, grid.rows),
        "",
        "  \n".join(map(markdown_text, grid.notes)),
        "",
        "Signature: " + ", ".join(map(markdown_code, grid.signatures)),
    ]
    return "\n".join(lines) + "\n"


def _line(texts: Iterable[str]) -> str:
    return "|" + "".join(f" {markdown_text(text)} |" for text in texts)
