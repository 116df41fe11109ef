"""Option values read by a few lines instead of by pydantic, which Typer imports for its first conversion.

That import took 90 of the 240 ms CPU that `compute` on a small file needed beside NumPy, Arrow and Typer.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from typing import Any, Union, get_args, get_origin

import typer

from lossctl.errors import UsageError, visible

__all__ = ["read_plainly"]


def _ascii(text: str) -> str:
    """Python also reads 1_000 and digits of every script, which nobody means on a command line."""
    if not text.isascii() or "_" in text:
        raise ValueError(text)
    return text


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError(number)
    return number


_READ: dict[Any, tuple[Callable[[str], Any], str]] = {
    str: (str, "text"),
    int: (lambda text: int(_ascii(text)), "a whole number"),
    float: (lambda text: _finite(float(_ascii(text))), "a finite number"),
}


class PlainValue:
    """Coercion of one parameter whose type is str, int, float, bool or a list of str, optional or not."""

    def __init__(self, param: Any) -> None:
        annotation = param.type_descriptor.annotation
        if get_origin(annotation) in (Union, types.UnionType):
            annotation = next(a for a in get_args(annotation) if a is not type(None))
        self.kind = annotation
        self.low = getattr(param.type_descriptor.parameter_info, "min", None)
        self.high = getattr(param.type_descriptor.parameter_info, "max", None)

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as its type; raises typer.BadParameter, which the command line reports."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if get_origin(self.kind) is list:
            return [str(item) for item in value]
        if self.kind not in _READ or isinstance(value, self.kind):
            return value
        read, what = _READ[self.kind]
        try:
            result = read(value)
        except (ValueError, OverflowError):
            raise typer.BadParameter(f"'{visible(value)}' is not {what}", ctx=ctx, param=param) from None
        if (self.low is not None and result < self.low) or (self.high is not None and result > self.high):
            bounds = f"from {self.low} to {self.high}" if self.high is not None else f"of at least {self.low}"
            raise typer.BadParameter(f"'{visible(value)}' is not {what} {bounds}", ctx=ctx, param=param)
        return result


def read_plainly(command: Any) -> Any:
    """`command` with every parameter, --help too, read by PlainValue."""
    for param in command.params:
        _plain(param)
    made = command.get_help_option
    command.get_help_option = lambda ctx: _plain(made(ctx))
    parse = command.parse_args

    def parse_once(ctx: Any, args: list[str]) -> Any:
        _refuse_repeated(command.params, args)
        return parse(ctx, args)

    command.parse_args = parse_once
    return command


def _refuse_repeated(params: list[Any], args: list[str]) -> None:
    """An option that takes one value and is given twice: the parser would drop the first in silence."""
    words = args[: args.index("--")] if "--" in args else args
    flags = {opt for param in params if getattr(param, "is_flag", False) for opt in param.opts}
    words = [_option_of(word, flags) for word in words]
    for param in params:
        if getattr(param, "multiple", True) or getattr(param, "is_flag", True):
            continue
        given = [word for word in words if word in getattr(param, "opts", ())]
        if len(given) > 1:
            raise UsageError(f"{given[0]} is given twice", hint="it takes one value: give it once")


def _option_of(word: str, flags: set[str]) -> str:
    """The option that a word gives a value to or announces one of: -f of -fjson and of -qfjson."""
    if word.startswith("--") or not word.startswith("-"):
        return word.partition("=")[0]
    letters = next((at for at, letter in enumerate(word[1:], 1) if f"-{letter}" not in flags), 0)
    return f"-{word[letters]}" if letters else word


def _plain(param: Any) -> Any:
    if hasattr(param, "type_descriptor"):
        value = PlainValue(param)
        param.get_runtime_param = lambda: value
    return param
