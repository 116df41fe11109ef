"""Result -> table, JSON, Markdown, CSV ...: one file per output; only the table heeds the terminal."""

from __future__ import annotations

from lossctl.errors import BadValue, UnknownName
from lossctl.result import Result

__all__ = ["ACCOUNTING", "DIGITS", "FORMATS", "render"]

FORMATS = ("table", "json", "jsonl", "csv", "tsv", "markdown", "value")
ACCOUNTING = ("table", "json", "markdown")  # these say what became of all rows
DIGITS = 6
_MOST_DIGITS = 17


def render(
    result: Result,
    format: str,  # noqa: A002 -- the word of the command line
    *,
    digits: int | None = None,
    color: bool = False,
    width: int | None = None,
    verbose: bool = False,
) -> str:
    """`result` as text ending in a newline.

    digits: significant digits of tables; other formats give all that are needed to read the number back.
    color, width, verbose: for tables; without a width nothing is ever cropped or wrapped.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    if digits is not None and not 1 <= digits <= _MOST_DIGITS:
        raise BadValue("digits", digits, f"a whole number from 1 to {_MOST_DIGITS}")
    shown = digits or DIGITS
    if format in ("json", "jsonl"):  # each output loads alone: a run that prints JSON needs no table
        from lossctl.render.structured import render_json, render_jsonl

        return render_json(result) if format == "json" else render_jsonl(result)
    if format == "table":
        from lossctl.render.table import render_table

        return render_table(result, digits=shown, color=color, width=width, verbose=verbose)
    if format == "markdown":
        from lossctl.render.markdown import render_markdown

        return render_markdown(result, digits=shown, verbose=verbose)
    from lossctl.render.delimited import render_delimited, render_value

    if format == "value":
        return render_value(result)
    return render_delimited(result, "," if format == "csv" else "\t")
