"""Text that came from data, made safe for the place it is printed in."""

from __future__ import annotations

import re
import unicodedata

from lossctl.errors import visible

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FORMULA = tuple("=+-@＝＋－＠")
_COMMAND = re.compile(r"(^\s*|[\r\n]\s*)(::|##\[)")
_MARKDOWN = str.maketrans(
    {char: "\\" + char for char in "\\`*_[]<>|~&"}
    | {"@": "&#64;"}  # else a group called @name notifies somebody
)


def shown(text: object) -> str:
    """All of `text` without anything a terminal or a CI log would act on."""
    raw = str(text)
    made = visible(raw, len(raw)).replace("##[", "#\\x23[")
    return made.replace("::", "\\x3a:", 1) if made.lstrip().startswith("::") else made


def markdown_text(text: object) -> str:
    """`text` as it reads in Markdown, in a table cell or outside."""
    return shown(text).translate(_MARKDOWN)


def markdown_code(text: object) -> str:
    """`text` as a code span, fenced by more backticks than it holds in a row."""
    raw = shown(text)
    fence = "`" * (max((len(run) for run in re.findall("`+", raw)), default=0) + 1)
    pad = " " if "`" in raw else ""
    return f"{fence}{pad}{raw}{pad}{fence}"


def harmless(text: str) -> str:
    """A text cell that no spreadsheet takes for a formula and no CI log for a command; numbers stay."""
    if "::" in text or "##[" in text:
        text = _COMMAND.sub(r"\1'\2", text)
    if text[:1] in ("\t", "\r", "\n") or text.lstrip().startswith(_FORMULA):
        return text if _NUMBER.fullmatch(text) else "'" + text
    return text


def cells(text: str) -> int:
    """How many places of a terminal line `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def pad(text: str, width: int, right: bool) -> str:
    """`text` filled up with spaces; longer text is left whole."""
    space = " " * (width - cells(text))
    return space + text if right else text + space
