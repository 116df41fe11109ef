"""A result as an aligned table for people; Rich draws it where there is colour or a width to keep to."""

from __future__ import annotations

import io
from collections.abc import Iterator

from lossctl.render.grid import Grid, Head, grid_of
from lossctl.render.text import cells, pad, shown
from lossctl.result import Result

_GAP = "  "
_MOST_RICH_ROWS = 1000  # Rich takes about a millisecond per row
_UNBOUNDED = 1 << 20


def render_table(result: Result, *, digits: int, color: bool, width: int | None, verbose: bool) -> str:
    """The table, the account of the rows and the signatures."""
    grid = _safe(grid_of(result, digits, verbose))
    if (color or width) and len(grid.rows) <= _MOST_RICH_ROWS:
        return _rich(grid, color, width)
    return "\n".join(_plain(grid)) + "\n"


def _safe(grid: Grid) -> Grid:
    return Grid(
        [Head(shown(head.text), head.right) for head in grid.heads],
        [[shown(text) for text in row] for row in grid.rows],
        [shown(note) for note in grid.notes],
        [f"signature {shown(signature)}" for signature in grid.signatures],
        grid.total,
    )


def _plain(grid: Grid) -> Iterator[str]:
    lines = [[head.text for head in grid.heads], *grid.rows]
    widths = [max(map(cells, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (
            pad(text, wide, head.right) for text, wide, head in zip(line, widths, grid.heads, strict=True)
        )
        yield _GAP.join(padded).rstrip()
    yield ""
    yield from grid.notes
    yield from grid.signatures


def _rich(grid: Grid, color: bool, width: int | None) -> str:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, len(_GAP), 0, 0), pad_edge=False, header_style="bold")
    wrapped = width is not None
    for head in grid.heads:
        table.add_column(
            Text(head.text), justify="right" if head.right else "left", overflow="fold", no_wrap=not wrapped
        )
    for at, row in enumerate(grid.rows):
        last = grid.total and at == len(grid.rows) - 1
        table.add_row(*map(Text, row), style="bold" if last else None)
    out = io.StringIO()
    console = Console(
        file=out,
        width=width or _UNBOUNDED,
        height=_UNBOUNDED,  # Rich heeds a width only beside a height
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
        _environ={},
    )
    console.print(table)
    console.print()
    for note in (*grid.notes, *grid.signatures):
        console.print(Text(note, style="dim", overflow="fold"), soft_wrap=not wrapped)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())
