"""Specs as other tools would have them (mae*2, huber(delta=1.5), mse-mae) in the words of this grammar."""

from __future__ import annotations

import re
from typing import TypeAlias

from lossctl.loss.params import number_text
from lossctl.loss.registry import known_names

__all__ = ["rewritten"]

Sum: TypeAlias = list[tuple[float, str]]  # coefficients and losses; "" stands for the number 1

_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[A-Za-z]\w*(?:-\w+)*")
_SETTING = r"([A-Za-z][\w-]*)\s*=\s*(\"[^\"]*\"|\[[^\]]*\]|[^\s:,;()+*/]+)"
_JOINED = re.compile(rf"\s*[:,\s]\s*{_SETTING}")
_CALLED = re.compile(rf"\s*,?\s*{_SETTING}")
_LONGEST = 1000


def rewritten(text: str) -> str | None:
    """What `text` probably means, spelt as a spec; None where that is not known."""
    try:
        return _Reader(text).specs() if len(text) <= _LONGEST else None
    except (ValueError, RecursionError, OverflowError):
        return None


class _Reader:
    """Reads sums of losses with products, quotients and brackets; ValueError where it cannot."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.names = set(known_names())

    def specs(self) -> str:
        made = [_spelt(self.sum())]
        while self.take(",;") or self.text[self.at :].strip():
            made.append(_spelt(self.sum()))
        return ",".join(made)

    def take(self, marks: str) -> str:
        """The next character if it is one of these, else nothing."""
        rest = self.text[self.at :].lstrip()
        if not rest or rest[0] not in marks:
            return ""
        self.at = len(self.text) - len(rest) + 1
        return rest[0]

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found

    def sum(self) -> Sum:
        made = self.product()
        while sign := self.take("+-"):
            made += _scaled(self.product(), -1.0 if sign == "-" else 1.0)
        return made

    def product(self) -> Sum:
        made = self.factor()
        while sign := self.take("*/"):
            other = self.factor()
            if sign == "/":
                made = _scaled(made, 1.0 / _number(other))
            elif made[0][1]:
                made = _scaled(made, _number(other))
            else:
                made = _scaled(other, _number(made))
        return made

    def factor(self) -> Sum:
        if self.take("-"):
            return _scaled(self.factor(), -1.0)
        if self.take("("):
            made = self.sum()
            if not self.take(")"):
                raise ValueError("an open bracket")
            return made
        self.at = len(self.text) - len(self.text[self.at :].lstrip())
        number = self.match(_NUMBER)
        return [(float(number.group()), "")] if number else [(1.0, self.loss())]

    def loss(self) -> str:
        word = _WORD.match(self.text, self.at)
        parts = word.group().split("-") if word else []
        while parts and "-".join(parts).lower().replace("_", "-") not in self.names:
            parts.pop()
        if not parts:
            raise ValueError("no loss")
        name = "-".join(parts)
        self.at += len(name)
        called = bool(self.take("("))
        settings = []
        while found := self.match(_CALLED if called else _JOINED):
            settings.append(f"{found[1]}={found[2]}")
        if called and not self.take(")"):
            raise ValueError("an open bracket")
        return ":".join([name, *settings])


def _scaled(made: Sum, by: float) -> Sum:
    return [(coefficient * by, loss) for coefficient, loss in made]


def _number(made: Sum) -> float:
    if len(made) != 1 or made[0][1] or not made[0][0]:
        raise ValueError("no number")
    return made[0][0]


def _spelt(made: Sum) -> str:
    if not all(loss for _, loss in made):
        raise ValueError("a number alone")
    return "+".join((f"{number_text(c)}*" if c != 1.0 else "") + loss for c, loss in made)
