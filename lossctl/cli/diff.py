"""`lossctl diff`: two saved results."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lossctl.cli.plain import read_plainly
from lossctl.errors import BadValue

__all__ = ["command"]


def command(name: str) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name=name)(diff)
    return read_plainly(typer.main.get_command(app))


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD.json", help="A saved result.")],
    new: Annotated[str, typer.Argument(metavar="NEW.json", help="Another one.")],
    rtol: Annotated[
        str, typer.Option("--rtol", metavar="X", help="Relative tolerance, such as 0.01 or 1%.")
    ] = "0",
    atol: Annotated[str, typer.Option("--atol", metavar="X", help="Absolute tolerance, added to it.")] = "0",
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 when they differ.")] = False,
    format_: Annotated[
        str, typer.Option("-f", "--format", metavar="FORMAT", help="table, json or markdown.")
    ] = "table",
    digits: Annotated[
        int, typer.Option("--digits", min=1, max=17, metavar="N", help="Digits in tables only.")
    ] = 6,
) -> None:
    """Old, new and change of every loss and group of two results written by compute or gate."""
    from lossctl.diff import compare_saved
    from lossctl.render.diff import DIFF_FORMATS, render_diff
    from lossctl.render.output import Stdout
    from lossctl.saved import read_saved

    if format_ not in DIFF_FORMATS:
        raise BadValue("--format", format_, " or ".join(DIFF_FORMATS))
    relative, absolute = _tolerance("--rtol", rtol), _tolerance("--atol", atol)
    made = compare_saved(read_saved(old), read_saved(new), relative, absolute)
    out = Stdout()
    out.write_text(render_diff(made, format_, digits=digits))
    out.flush()
    if exit_code and made.different:
        raise typer.Exit(1)


def _tolerance(name: str, text: str) -> float:
    percent = name == "--rtol" and text.strip().endswith("%")
    try:
        value = float(text.strip().removesuffix("%") if percent else text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise BadValue(name, text, "a number from 0" + (" or a percentage" if name == "--rtol" else ""))
    return value / 100 if percent else value
