"""Values of a configuration, each read strictly: numbers, texts, percentages, allowances."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from lossctl.errors import BadValue, UnknownName, UsageError, visible
from lossctl.verdicts import Allowance

__all__ = ["allowance", "column", "known", "number", "optional", "text", "texts", "whole"]

# What other tools and hurried hands call the keys.
_GUESSES = {
    **dict.fromkeys(("loss", "metric", "losses", "metrics", "score"), "spec"),
    **dict.fromkeys(("limit", "threshold", "fail-above", "maximum"), "max"),
    **dict.fromkeys(("fail-below", "minimum"), "min"),
    **dict.fromkeys(("file", "path", "paths", "data"), "files"),
    **dict.fromkeys(("filter", "query"), "where"),
    **dict.fromkeys(("group", "groups", "group-by"), "by"),
    **dict.fromkeys(("label", "labels", "y-true"), "target"),
    **dict.fromkeys(("prediction", "predictions", "y-pred"), "pred"),
}
_PERCENT = re.compile(r"\s*([0-9.eE+-]+)\s*%\s*")


def known(what: str, table: Mapping[str, Any], names: Sequence[str]) -> None:
    for key in table:
        if key in names:
            continue
        meant = key.replace("_", "-")
        meant = _GUESSES.get(meant, meant)
        if meant not in names:
            raise UnknownName(what, key, names)
        raise UsageError(f"unknown {what} '{visible(key)}'", hint=f"did you mean '{meant}'?")


def number(name: str, value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadValue(name, value, "a finite number")
    return float(value)


def allowance(name: str, value: Any) -> Allowance:
    """An allowed worsening: 0.002, "2%", or {abs = 0.002, rel = "2%"}."""
    if isinstance(value, dict):
        known(f"key of {name}", value, ("abs", "rel"))
        if not value:
            raise BadValue(name, "{}", 'abs, rel, or both: { abs = 0.002, rel = "2%" }')
        absolute, relative = Decimal(0), Decimal(0)
        if "abs" in value:
            absolute = _nonnegative(f"{name}.abs", number(f"{name}.abs", value["abs"]))
        if "rel" in value:
            found = _PERCENT.fullmatch(value["rel"]) if isinstance(value["rel"], str) else None
            if not found:
                raise BadValue(f"{name}.rel", value["rel"], 'a percentage such as "2%"')
            relative = _nonnegative(f"{name}.rel", found[1]) / 100
        words = ([f"{value['abs']!r}"] if "abs" in value else []) + ([value["rel"]] if "rel" in value else [])
        return Allowance(" or ".join(words), absolute, relative)
    if isinstance(value, str):
        found = _PERCENT.fullmatch(value)
        if found:
            return Allowance(value.strip(), relative=_nonnegative(name, found[1]) / 100)
        return Allowance(value.strip(), _nonnegative(name, value.strip()))
    return Allowance(f"{value!r}", _nonnegative(name, number(name, value)))


def _nonnegative(name: str, value: Any) -> Decimal:
    try:
        made = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        made = Decimal("nan")
    if not made.is_finite() or made < 0:
        raise BadValue(name, value, 'a number from 0 or a percentage such as "2%"')
    return made


def whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadValue(name, value, "a whole number from 1")
    return value


def truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadValue(name, value, "true or false")
    return value


def text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadValue(name, value, "a text")
    return value


def optional(name: str, said: Mapping[str, Any]) -> str | None:
    """A text; the empty one takes back what [data] says."""
    value = said.get(name)
    if value is None or value == "":
        return None
    return text(name, value)


def texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
        raise BadValue(name, value, "a text or a list of texts")
    return tuple(value)


def column(role: str, value: Any) -> str | tuple[str, ...]:
    return text(role, value) if isinstance(value, str) else texts(role, value)
