"""What the text of a number loses when a double stands for it."""

from __future__ import annotations

import math
import re

EXACT = 2.0**53
_INTEGER = re.compile(rb"[ \t]*[+-]?\d+[ \t]*")
_LITERAL = re.compile(rb"[ \t]*[+-]?(?:inf(?:inity)?|nan(?:\(\w*\))?)[ \t]*", re.I)


def lost_of(text: bytes | None) -> tuple[str, str] | None:
    """What a number's text loses as a double, and what to do about it; None if nothing that matters."""
    if not text or _LITERAL.fullmatch(text):
        return None
    value = float(text)
    if math.isinf(value):
        return "overflows a double", "the largest is 1.8e308"
    if abs(value) >= EXACT and _INTEGER.fullmatch(text) and _integer(text) != int(value):
        return "is an integer that a double cannot hold", "write fewer digits, or it as text"
    return None


def _integer(text: bytes) -> int:
    """Any number of digits, past the interpreter's limit for one conversion too."""
    digits = text.strip()
    sign, digits = (-1 if digits[:1] == b"-" else 1), digits.lstrip(b"+-")
    value = 0
    for at in range(0, len(digits), 4000):
        part = digits[at : at + 4000]
        value = value * 10 ** len(part) + int(part)
    return sign * value
