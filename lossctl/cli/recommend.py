"""`lossctl recommend`: which losses fit a file, why, and which would be misuse."""

from __future__ import annotations

import json
import textwrap
from typing import Annotated, Any

import typer

from lossctl.cli.plain import read_plainly
from lossctl.errors import BadValue, DataError, visible

__all__ = ["Delimiter", "Files", "Format", "InputFormat", "Pred", "Target", "command", "reading_options"]

Files = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="CSV or Parquet files, globs, directories, or -.")
]
Target = Annotated[
    str | None, typer.Option("--target", metavar="COLUMNS", help="Target: a name, comma list or glob.")
]
Pred = Annotated[
    str | None, typer.Option("--pred", metavar="COLUMNS", help="Prediction: a name, comma list or glob.")
]
Format = Annotated[str, typer.Option("-f", "--format", metavar="table|json", help="How to print it.")]
InputFormat = Annotated[
    str | None,
    typer.Option("--input-format", metavar="csv|parquet", help="Format when the content does not say."),
]
Delimiter = Annotated[str | None, typer.Option("--delimiter", metavar="CHAR", help="CSV field separator.")]


def command(name: str) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name=name)(recommend)
    return read_plainly(typer.main.get_command(app))


def check_format(format_: str) -> None:
    if format_ not in ("table", "json"):
        raise BadValue("--format", format_, "table or json")


def reading_options(input_format: str | None, delimiter: str | None) -> list[str]:
    """The options of reading, as the recommended commands need them."""
    options = ["--input-format", input_format] if input_format else []
    return options + (["--delimiter", delimiter] if delimiter else [])


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


def recommend(
    files: Files,
    target: Target = None,
    pred: Pred = None,
    format_: Format = "table",
    input_format: InputFormat = None,
    delimiter: Delimiter = None,
) -> None:
    """Look at the columns in one pass: which losses fit and why, and which would be misuse."""
    from lossctl.recommend import recommend as advise
    from lossctl.sources import open_dataset

    check_format(format_)
    with open_dataset(files, input_format=input_format, delimiter=delimiter) as dataset:
        seen, found = survey(dataset, target, pred)
        names = [column.name for column in dataset.columns]
    advice = advise(seen, found, names, files, reading_options(input_format, delimiter))
    if not advice.views:
        raise DataError(
            "no columns are named like a target, a prediction or the inputs of a loss",
            hint="name them with --target and --pred; see: lossctl check",
        )
    if format_ == "json":
        typer.echo(json.dumps(advice.to_dict(), indent=2, ensure_ascii=False, allow_nan=False))
        return
    typer.echo(f"{advice.rows} rows")
    for view in advice.views:
        _print_view(view)


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
        textwrap.fill(visible(text, 2000), 100, initial_indent=indent, subsequent_indent=f"{indent}  ")
    )
