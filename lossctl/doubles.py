"""What a number loses when a double stands for it: a whole number its last digits, any its size."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
EXACT = 1 << 53  # whole numbers up to here are doubles; itself what 2^53 + 1 rounds to
TOO_LONG = "is too long for a double to hold exactly"
_INTEGER = re.compile(rb"[ \t]*[+-]?\d+[ \t]*")
_LITERAL = re.compile(rb"[ \t]*[+-]?(?:inf(?:inity)?|nan(?:\(\w*\))?)[ \t]*", re.I)


def inexact(values: NDArray[Any]) -> Mask | None:
    """Where whole numbers are not doubles; None where all are, or the type has no others."""
    if values.dtype.kind not in "iu" or values.dtype.itemsize < 8 or not values.size:
        return None
    if int(values.max()) <= EXACT and int(values.min()) >= -EXACT:
        return None
    with np.errstate(invalid="ignore"):
        back = values.astype(np.float64)
        # The cast back is undefined at 2^63 and beyond, which a double holds exactly only as a power of two.
        lost: Mask = (np.abs(back) >= EXACT) & ((back >= 2.0**63) | (back.astype(values.dtype) != values))
    return lost if lost.any() else None


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
