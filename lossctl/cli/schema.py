"""`lossctl schema`: the JSON Schemas, kept as files beside the code."""

from __future__ import annotations

from importlib.resources import files
from inspect import Parameter
from typing import Annotated, Any

import typer

from lossctl.cli.shared import made_command
from lossctl.errors import UnknownName, UsageError

__all__ = ["command"]

RESERVED = {"state": "the format of saved states is reserved, together with the command merge"}


def command(name: str) -> Any:
    note = Annotated[str, typer.Argument(metavar="NAME", help=f"One of: {', '.join(sorted(_found()))}.")]
    parameter = Parameter("name", Parameter.POSITIONAL_OR_KEYWORD, annotation=note)
    help_ = "The JSON Schema of what is printed (result, gate, compare, ...) or read (config)."
    return made_command(name, schema, [parameter], help_)


def _found() -> dict[str, Any]:
    return {
        each.name.removesuffix(".json"): each
        for each in (files("lossctl") / "schemas").iterdir()
        if each.name.endswith(".json")
    }


def schema(name: str) -> None:
    found = _found()
    if name in RESERVED:
        raise UsageError(
            f"there is no schema '{name}' yet: {RESERVED[name]}",
            hint=f"there are: {', '.join(sorted(found))}",
        )
    if name not in found:
        raise UnknownName("schema", name, found)
    typer.echo(found[name].read_text(encoding="utf-8"), nl=False)
