"""Groups whose subcommands are specs, built when asked for: `compute`, `worst`, `curve` and `compare`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from lossctl.cli.plain import read_plainly
from lossctl.cli.shared import FLAGS
from lossctl.errors import DataError, UsageError, visible
from lossctl.loss.registry import all_losses
from lossctl.loss.spec import parse

__all__ = ["columns_said", "spec_group"]

_NEGATIVE = re.compile(r"-\s*[0-9.]")
_TAKING = ("f", "o", "n")  # one-letter options with a value


class LossGroup(TyperGroup):
    """LOSS names are subcommands; a spec is one too. `build` makes the command of a spec."""

    build: Callable[[str], Any]

    def list_commands(self, ctx: Any) -> list[str]:
        return [loss.name for loss in all_losses()]

    def get_command(self, ctx: Any, name: str) -> Any:
        return type(self).build(name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        try:
            return args[0], self.get_command(ctx, args[0]), args[1:]
        except UsageError as error:
            if not os.path.isfile(args[0]):
                raise
            raise UsageError(
                f"'{visible(args[0])}' is a file where a loss is expected",
                hint=f"the loss comes first: {ctx.command_path} LOSS FILE",
            ) from error

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except DataError as error:
            word = str(error.facts.get("path", ""))
            if _is_loss(word) and not os.path.lexists(word):
                error.hint = (
                    f"'{visible(word)}' is a loss: join losses with commas, as in LOSS,{visible(word)}"
                )
            raise

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return list(super().parse_args(ctx, _loss_first(args)))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        families: dict[str, list[str]] = {}
        for loss in all_losses():
            families.setdefault(loss.family, []).append(loss.name)
        with formatter.section("Losses"):
            formatter.write_dl([(family, ", ".join(names)) for family, names in families.items()])


def _is_loss(word: str) -> bool:
    try:
        return bool(parse(word))
    except UsageError:
        return False


def _loss_first(args: list[str]) -> list[str]:
    """Options may stand before LOSS: move the first word that belongs to no option to the front."""
    if not args or args[0] == "--help":
        return args
    at = 0
    while at < len(args) and _is_option(args[at]) and args[at] != "--":
        at += 1 if _stands_alone(args[at]) else 2
    loss = at + 1 if args[at : at + 1] == ["--"] else at  # after -- too, where no options may follow
    return ["--", args[loss], *args[:loss], *args[loss + 1 :]] if loss < len(args) else args


def _is_option(word: str) -> bool:
    """Whether a word is an option; -2*mae is a spec."""
    return word.startswith("-") and word != "-" and not _NEGATIVE.match(word)


def _stands_alone(word: str) -> bool:
    """Whether an option takes no further word: a flag, or one that carries its value."""
    if word in FLAGS or "=" in word or word.startswith("--no-"):
        return True
    if not word.startswith("--"):  # -fjson; but -qf is followed by a format
        return len(word) > 2 and word.lstrip("-qv") not in _TAKING
    name = word.removeprefix("--").replace("-", "_")
    owners = [loss.params[name] for loss in all_losses() if name in loss.params]
    return bool(owners) and all(param.is_flag for param in owners)


def spec_group(build: Callable[[str], Any], metavar: str, summary: str, epilog: str) -> Any:
    """A group of which every spec is a subcommand."""
    own = type("SpecGroup", (LossGroup,), {"build": staticmethod(build)})
    app = typer.Typer(
        cls=own,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        subcommand_metavar=metavar,
    )

    @app.callback(help=summary, epilog=epilog)
    def group() -> None: ...

    return read_plainly(typer.main.get_command(app))


def columns_said(values: dict[str, Any]) -> dict[str, Any]:
    """The columns by input, of those options that were given."""
    given = {k.removeprefix("input_"): v for k, v in values.items() if k.startswith("input_")}
    return {role: columns for role, columns in given.items() if columns is not None}
