"""`lossctl recommend`: which losses fit a file, why, and which would be misuse."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import typer

from lossctl.cli.shared import check_choices, made_command, options
from lossctl.cli.terminal import warn
from lossctl.errors import DataError, counted, visible
from lossctl.options import files_parameter, input_parameters

__all__ = ["Asked", "command", "survey", "survey_command"]

FORMATS = ("table", "json")


def command(name: str) -> Any:
    help_ = "Look at the columns in one pass: which losses fit and why, and which would be misuse."
    return survey_command(name, recommend, help_)


class Asked(NamedTuple):
    """What a command that looks at files is told, by the names of its parameters."""

    files: list[str]
    input_target: str | None
    input_pred: str | None
    format_: str
    input_format: str | None
    delimiter: str | None
    na: list[str] | None
    quiet: bool

    def opened(self) -> Any:
        """The data set, to be closed."""
        from lossctl.sources import open_dataset

        check_choices({"format_": self.format_}, FORMATS)
        return open_dataset(
            self.files, input_format=self.input_format, delimiter=self.delimiter, na=self.na or ()
        )

    def reading_options(self) -> list[str]:
        """The options of reading, as the recommended commands need them."""
        said = ["--input-format", self.input_format] if self.input_format else []
        said += ["--delimiter", self.delimiter] if self.delimiter else []
        return said + [word for text in self.na or () for word in ("--na", text)]


def survey_command(name: str, run: Callable[[Asked], None], help_: str) -> Any:
    """A command told the files, the columns of target and prediction, and how to read and print."""
    parameters = [
        files_parameter(),
        *input_parameters(["target", "pred"]),
        *options("input_format", "delimiter", "na", "quiet", format_={"help": "table or json."}),
    ]
    return made_command(name, lambda **said: run(Asked(**said)), parameters, help_)


def survey(dataset: Any, target: str | None, pred: str | None) -> tuple[Any, Any]:
    """One pass: the profile of a data set and the columns that could play a role."""
    from lossctl.columns import Schema
    from lossctl.profile import kinds_of, profile
    from lossctl.roles import candidates

    kinds = kinds_of(dataset)
    found = candidates(Schema(dataset.columns, dataset.sources[0].path), kinds, target, pred)
    several = [columns for columns in (*found.targets, *found.preds) if len(columns) > 1]
    for columns in several:
        for name in columns:
            if kinds.get(name) != "number":
                raise DataError("is not a column of numbers, as one of several must be", column=name)
    single = [
        (t[0], p[0])
        for t in found.targets
        for p in found.preds
        if len(t) == len(p) == 1 and kinds.get(t[0]) == kinds.get(p[0]) == "number"
    ]
    return profile(dataset, kinds, several, single), found


def recommend(asked: Asked) -> None:
    from lossctl.recommend import recommend as advise

    with asked.opened() as dataset:
        seen, found = survey(dataset, asked.input_target, asked.input_pred)
        warn(dataset.warnings, {"quiet": asked.quiet})
        names = [column.name for column in dataset.columns]
    advice = advise(seen, found, names, asked.files, asked.reading_options())
    for name, said in (("target", asked.input_target), ("pred", asked.input_pred)):
        _refuse_unreadable(name, said, seen)
    if not any(view.facts or view.picks or view.warnings for view in advice.views):
        raise DataError(
            "no columns are named like a target, a prediction or the inputs of a loss",
            hint="name them with --target and --pred; see: lossctl check",
        )
    if asked.format_ == "json":
        from lossctl.render.structured import strict_json

        typer.echo(strict_json(advice.to_dict(), indent=2))
        return
    typer.echo(counted(advice.rows, "row", "rows"))
    for view in advice.views:
        _print_view(view)


def _refuse_unreadable(role: str, said: str | None, seen: Any) -> None:
    if said in seen.kinds and said not in seen.columns:
        raise DataError(
            f"holds {visible(seen.kinds[said])}, which no loss takes for {role}",
            column=said,
            hint="losses take numbers, texts and lists of numbers",
        )


def _print_view(view: Any) -> None:
    roles = [f"{name} {visible(c)}" for name, c in (("target", view.target), ("pred", view.pred)) if c]
    typer.echo(f"\n{', '.join(roles) or 'columns named like the inputs of a loss'}")
    for fact in view.facts:
        _say(fact, "  ")
    for task, why in view.tasks.items():
        _say(f"task {task}: {why}", "  ")
    if view.picks:
        typer.echo("\n  Fits")
    for pick in view.picks:
        _say(f"{pick.spec}: {pick.reason}", "    ")
        typer.echo(f"      {visible(pick.command, 4000)}")
    if view.warnings:
        typer.echo("\n  Beware")
    for warning in view.warnings:
        _say(warning.message, "    ")
        if warning.avoid:
            _say(f"misuse here: {', '.join(warning.avoid)}", "      ")
        if warning.instead:
            _say(f"instead: {', '.join(warning.instead)}", "      ")


def _say(text: str, indent: str) -> None:
    typer.echo(
        textwrap.fill(
            visible(text, 2000),
            100,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_on_hyphens=False,
        )
    )
