"""`lossctl schema`: the JSON Schemas, kept as files beside the code."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Any

import typer

from lossctl.cli.plain import read_plainly
from lossctl.errors import UnknownName

__all__ = ["command"]


def command(name: str) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name=name)(schema)
    return read_plainly(typer.main.get_command(app))


def schema(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as result, gate or config.")],
) -> None:
    """The JSON Schema of what is printed (result, gate, diff, curve) or read (config)."""
    found = {
        each.name.removesuffix(".json"): each
        for each in (files("lossctl") / "schemas").iterdir()
        if each.name.endswith(".json")
    }
    if name not in found:
        raise UnknownName("schema", name, found)
    typer.echo(found[name].read_text(encoding="utf-8"), nl=False)
