"""A loss written on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

from lossctl.expr import Program, compile_number
from lossctl.loss import Array, Form, Input, Param, loss


@lru_cache(maxsize=64)
def _program(expr: str) -> Program:
    return compile_number(expr)


def _inputs(params: Mapping[str, Any]) -> dict[str, Input]:
    return {name: Input(name, (Form("real"),)) for name in _program(params["expr"]).names}


@loss(open_inputs=_inputs, best=None)
def custom(
    columns: Mapping[str, Array],
    *,
    expr: Annotated[str, Param("expression over columns; target and pred are found like any loss's")],
) -> Array:
    """Any expression over columns, row by row.

    Formula: as given: + - * / // % **, comparisons inside where(…), and abs sqrt exp expm1 log log1p log2
        log10 tanh sinh cosh sin cos sign floor ceil round min max where clip hypot logaddexp.
    Use when: the loss is yours alone, such as a squared error weighted by a rule.
    Avoid when: the catalogue has it: its stable form, domain checks and gradient are worth more.
    Numerics: evaluated as written, in double precision, each operation rounding: rows of log1p((pred -
        target)**2) are within 3 ulp. It is parsed against a short list of what is allowed and never executed
        as Python.
    See also: --plugin FILE for losses written in Python; that file is run, so name only files you trust.
    References: Shunting-yard evaluation: Dijkstra (1961), Algol 60 translation.

    >>> import lossctl
    >>> spec = 'custom:expr="where(target > 0.5, 2, 1) * (target - pred)**2"'
    >>> lossctl.compute(spec, [0, 1], [1, 3]).value  # (1·1 + 2·4) / 2
    4.5
    """
    program = _program(expr)
    values = {name: columns[name] for name in program.names}
    result: Array = program.run(values, len(next(iter(values.values()))))
    return result
