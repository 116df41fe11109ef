"""Hyper-parameters: read from text or Python values, checked against their range, written canonically."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from lossctl.errors import BadValue, UnknownName, UsageError
from lossctl.loss.kinds import Param
from lossctl.loss.quoting import quoted, split, unquoted

REQUIRED: Any = object()
_TRUE = {"true", "yes", "1", "on"}
_FALSE = {"false", "no", "0", "off"}


class BoundParam(NamedTuple):
    """One keyword-only parameter of a kernel: `type` is its annotation without the `Param`."""

    name: str
    type: Any
    default: Any
    meta: Param

    @property
    def kebab(self) -> str:
        return self.name.replace("_", "-")

    @property
    def required(self) -> bool:
        return self.default is REQUIRED

    @property
    def alternatives(self) -> tuple[Any, ...]:
        return get_args(self.type) if get_origin(self.type) in (Union, types.UnionType) else (self.type,)

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(str(c) for a in self.alternatives if get_origin(a) is Literal for c in get_args(a))

    @property
    def is_flag(self) -> bool:
        return self.type is bool

    @property
    def metavar(self) -> str:
        if self.choices and len(self.alternatives) == 1:
            return "|".join(self.choices)
        names = [_TYPE_NAMES.get(str(a), "") for a in self.alternatives if a is not type(None)]
        return "|".join(dict.fromkeys(n for n in (*names, *self.choices) if n)) or "VALUE"

    def allowed(self) -> str:
        """What values it takes, in words."""
        parts = [_describe(a, self.meta) for a in self.alternatives]
        return " or ".join(parts)

    def read(self, value: Any) -> Any:
        """`value` (text or Python) as the parameter's type, inside its range.

        Raises BadValue naming the parameter and what it takes.
        """
        for alternative in self.alternatives:
            try:
                result = _convert(alternative, value)
            except (ValueError, TypeError, OverflowError):
                continue
            numbers = result if isinstance(result, tuple) else (result,)
            if all(
                self.meta.allows(n) for n in numbers if isinstance(n, int | float) and not isinstance(n, bool)
            ):
                return result
        raise BadValue(self.kebab, value, self.allowed())


_TYPE_NAMES = {
    str(float): "NUMBER",
    str(int): "INTEGER",
    str(str): "TEXT",
    str(tuple[float, ...]): "LIST",
    str(tuple[str, ...]): "NAMES",
    str(tuple[int, ...]): "HxW[xC]",
}


def _describe(kind: Any, meta: Param) -> str:
    bounds = meta.bounds
    if kind is bool:
        return "true or false"
    if kind is int:
        return f"a whole number{bounds}"
    if kind is float:
        return f"a number{bounds}"
    if kind is str:
        return "text"
    if kind is type(None):
        return "none"
    if get_origin(kind) is Literal:
        return " or ".join(str(c) for c in get_args(kind))
    if kind == tuple[float, ...]:
        return f"a list of numbers{bounds} such as [0.1,0.5,0.9]"
    if kind == tuple[int, ...]:
        return "a shape such as 28x28 or 32x32x3"
    return "a list of names such as [a,b,c]"


def _convert(kind: Any, value: Any) -> Any:
    if kind is type(None):
        if value is None or (isinstance(value, str) and value.lower() in ("none", "")):
            return None
        raise ValueError(value)
    if value is None:
        raise ValueError("none")
    if get_origin(kind) is Literal:
        return _choice(kind, value)
    if kind is bool:
        return _flag(value)
    if kind is int:
        return _whole(value)
    if kind is float:
        return _number(value)
    if kind is str:
        return str(value)
    if kind == tuple[int, ...]:
        parts = value.lower().split("x") if isinstance(value, str) else value
        return tuple(_whole(p) for p in parts)
    return _listed(get_args(kind)[0], value)


def _choice(kind: Any, value: Any) -> Any:
    for choice in get_args(kind):
        if str(value).lower().replace("_", "-") == str(choice):
            return choice
    raise ValueError(value)


def _flag(value: Any) -> bool:
    text = str(value).lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise ValueError(value)


def _whole(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(value)
    number = float(value)
    if number != int(number):
        raise ValueError(value)
    return int(value) if not isinstance(value, str) else int(number)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    number = float(value)
    if math.isnan(number):
        raise ValueError(value)
    return number


def _listed(item: Any, value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        body = value.strip()
        if body.startswith("[") and body.endswith("]"):
            body = body[1:-1]
        value = [unquoted(part) for _, part in split(body, ",")]
    if isinstance(value, int | float) or not value:
        raise ValueError(value)
    return tuple(_convert(item, part) for part in value)


def number_text(value: float) -> str:
    """Shortest text that reads back as the same double; whole numbers without a point."""
    if isinstance(value, int) or (
        value == int(value) and abs(value) < 1e16 if math.isfinite(value) else False
    ):
        return str(int(value))
    return repr(float(value))


def value_text(value: Any) -> str:
    """A parameter value as it stands in a spec; `read` takes it back."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
        return "x".join(str(v) for v in value)
    if isinstance(value, tuple):
        return "[" + ",".join(value_text(v) for v in value) + "]"
    return quoted(str(value))


def resolve(params: Mapping[str, BoundParam], given: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """All parameters of a loss: those given (snake or kebab case), checked, and defaults for the rest."""
    values: dict[str, Any] = {}
    for key, value in given.items():
        name = key.replace("-", "_")
        if name not in params:
            raise UnknownName(
                f"parameter of {owner}",
                key,
                [p.kebab for p in params.values()],
                see=f"see: lossctl explain {owner}",
            )
        values[name] = params[name].read(value)
    for name, param in params.items():
        if name not in values:
            if param.required:
                raise UsageError(
                    f"{owner} needs {param.kebab}: {param.meta.help}",
                    hint=f"it takes {param.allowed()}: {owner}:{param.kebab}={param.metavar}",
                    name=param.kebab,
                )
            values[name] = param.default
    return {name: values[name] for name in params}
