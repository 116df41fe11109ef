"""Quotes and brackets of specs: where a spec divides, and how a text stands in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lossctl.errors import BadSpec

__all__ = ["quoted", "split", "unquoted"]

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.?/")
_DEEPEST = 8
_LONGEST = 100_000
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def quoted(text: str) -> str:
    """`text` bare where it is plain, otherwise in double quotes with backslash escapes."""
    if text and all(c in _PLAIN for c in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(value: str) -> str:
    """The text that a value means: what stands in double or single quotes, or the bare words."""
    body = value.strip()
    if len(body) >= 2 and body[0] == body[-1] and body[0] in "\"'":
        return _ESCAPED.sub(r"\1", body[1:-1])
    return body


def split(text: str, mark: str) -> Iterator[tuple[int, str]]:
    """Pieces between `mark`s that stand outside brackets and quotes, with their offsets.

    A single quote opens only a whole value, so that an apostrophe in a bare word is one.
    """
    if len(text) > _LONGEST:
        raise BadSpec(text, f"it is longer than {_LONGEST:,} characters")
    depth, start, quote, at, last = 0, 0, "", 0, ""
    while at < len(text):
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char == '"' or (char == "'" and last in ("=", "[", ",", "")):
            quote = char
        elif char in "[]":
            depth += 1 if char == "[" else -1
            if depth < 0 or depth > _DEEPEST:
                raise BadSpec(text, "brackets do not match", at=at)
        elif char == mark and not depth and not (mark == "+" and _is_sign(text, at, last)):
            yield start, _filled(text, start, at)
            start = at + 1
        last = last if char.isspace() else char
        at += 1
    if quote or depth:
        raise BadSpec(text, "a quote or bracket is not closed", at=start)
    if text.strip():
        yield start, _filled(text, start, len(text))


def _is_sign(text: str, at: int, last: str) -> bool:
    """Whether a plus belongs to a number (1e+5, =+2) rather than joining two losses."""
    exponent = at >= 2 and text[at - 1] in "eE" and text[at - 2] in "0123456789."
    return exponent or last in ("=", "+", "")


def _filled(text: str, start: int, end: int) -> str:
    piece = text[start:end]
    if not piece.strip():
        raise BadSpec(text, "something is missing here", at=start)
    return piece
