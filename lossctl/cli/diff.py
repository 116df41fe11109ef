"""`lossctl diff`: two saved results."""

from __future__ import annotations

from inspect import Parameter
from typing import Annotated, Any

import typer

from lossctl.cli.shared import Option, check_choices, made_command, options
from lossctl.errors import BadValue

__all__ = ["command"]


def command(name: str) -> Any:
    help_ = "Old, new and change of each loss and group in results of compute or of gate --update-baseline."
    return made_command(name, diff, _parameters(), help_)


def _parameters() -> list[Parameter]:
    def file(name: str, metavar: str, help_: str) -> Parameter:
        note = Annotated[str, typer.Argument(metavar=metavar, help=help_)]
        return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, annotation=note)

    own = [
        Option("rtol", str, "0", ("--rtol",), {"metavar": "X", "help": "Relative tolerance: 0.01 or 1%."}),
        Option("atol", str, "0", ("--atol",), {"metavar": "X", "help": "Absolute tolerance, added to it."}),
        Option("exit_code", bool, False, ("--exit-code",), {"help": "Exit 1 when they differ."}),
    ]
    return [
        file("old", "OLD.json", "A saved result."),
        file("new", "NEW.json", "Another one."),
        *(each.parameter() for each in own),
        *options("digits", format_={"help": "table, json or markdown."}),
    ]


def diff(old: str, new: str, rtol: str, atol: str, exit_code: bool, format_: str, digits: int | None) -> None:
    from lossctl.diff import compare_saved
    from lossctl.render.diff import DIFF_FORMATS, render_diff
    from lossctl.render.output import Stdout
    from lossctl.saved import read_saved

    check_choices({"format_": format_}, DIFF_FORMATS)
    relative, absolute = _tolerance("--rtol", rtol), _tolerance("--atol", atol)
    made = compare_saved(read_saved(old), read_saved(new), relative, absolute)
    out = Stdout()
    out.write_text(render_diff(made, format_, digits=digits or 6))
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
