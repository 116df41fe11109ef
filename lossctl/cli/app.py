"""The root command; every subcommand loads when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lossctl.cli.plain import read_plainly

COMMANDS = {
    "compute": ("lossctl.cli.compute", "Evaluate losses over files of predictions."),
    "list": ("lossctl.cli.catalogue", "The catalogue of losses."),
    "explain": ("lossctl.cli.catalogue", "Everything about one loss."),
    "recommend": ("lossctl.cli.recommend", "Which losses fit a file, and which would be misuse."),
    "check": ("lossctl.cli.check", "Preflight: what a file holds, before any loss."),
    "gate": ("lossctl.cli.gate", "Checks with limits and baselines: pass or fail."),
    "compare": ("lossctl.cli.compare", "Systems on the same rows: better, worse or no evidence."),
    "diff": ("lossctl.cli.diff", "Two saved results: old, new, change."),
    "worst": ("lossctl.cli.worst", "The rows with the worst loss."),
    "curve": ("lossctl.cli.curve", "A loss over training steps: a plot and what it shows."),
    "schema": ("lossctl.cli.schema", "The JSON Schema of what is printed or read."),
}


class LazyGroup(TyperGroup):
    """Subcommands by name; only the one that runs is imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in COMMANDS:
            return None
        self.commands[name] = import_module(COMMANDS[name][0]).command(name)
        return self.commands[name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise _unknown(args[0])
        return super().resolve_command(ctx, args)


def _unknown(word: str) -> Exception:
    from lossctl.errors import UnknownName, UsageError, visible
    from lossctl.loss.spec import parse

    try:
        parse(word)
    except UsageError:
        return UnknownName("command", word, COMMANDS, see=None)
    said = visible(word)
    return UsageError(f"'{said}' is a loss, not a command", hint=f"write: lossctl compute {said} FILE")


app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)


def _version(asked: bool) -> None:
    if asked:
        from lossctl.version import __version__

        typer.echo(f"lossctl {__version__}")
        raise typer.Exit


@app.callback(epilog="lossctl compute huber --delta 1.5 preds.parquet")
def root(
    version: Annotated[
        bool, typer.Option("--version", "-V", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
    plugin: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Run a Python file that declares losses, the only option to run code; may stand anywhere.",
        ),
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None:
    """How wrong are these predictions? Any loss over CSV or Parquet files, exact and streaming."""


def make() -> Any:
    """The Typer command object of the whole program."""
    return read_plainly(typer.main.get_command(app))
