"""The changes a mutation test makes to a module, one at a time, in memory."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
SILENT = {"annotation", "returns", "decorator_list", "type_params", "format_spec"}


@dataclass(frozen=True)
class Mutant:
    """One change: `apply` makes it in the tree it was found in."""

    line: int
    text: str
    apply: Callable[[], None]


def mutants(tree: ast.AST) -> Iterator[Mutant]:
    """All changes to a module, in the order of its text, the same for equal trees."""
    for put, node in _places(tree):
        for text, new in _changes(node):
            yield Mutant(node.lineno, f"{_short(node)}  ->  {text}", lambda put=put, new=new: put(new))


def _places(node: ast.AST) -> Iterator[tuple[Callable[[Any], None], Any]]:
    """Every node that may change with the function that puts another in its place."""
    for name, value in ast.iter_fields(node):
        if name in SILENT:
            continue
        for at, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or _is_text(child):
                continue
            if hasattr(child, "lineno"):

                def put(new: Any, name: str = name, value: Any = value, at: int = at) -> None:
                    if isinstance(value, list):
                        value[at : at + 1] = [] if new is None else [new]
                    else:
                        setattr(node, name, new)

                yield put, child
            if not isinstance(child, ast.Raise):
                yield from _places(child)


def _is_text(node: ast.AST) -> bool:
    """Docstrings, sentences, and names only for readers or type checkers."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and " " in node.value
    if isinstance(node, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id in ("__all__", "__slots__") for t in node.targets)
    return isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom)


def _changes(node: Any) -> Iterator[tuple[str, ast.AST | None]]:
    """What may stand in the place of a node, None for nothing at all."""
    if isinstance(node, ast.expr):
        yield from _expressions(node)
    elif isinstance(node, ast.keyword):
        if node.arg is not None:
            yield "(argument gone)", None
    else:
        yield from _statements(node)


def _expressions(node: Any) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield _made(ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right), node)
    elif isinstance(node, ast.Compare):
        for at, op in enumerate(node.ops):
            for other in COMPARED[type(op)]:
                ops = [*node.ops[:at], other(), *node.ops[at + 1 :]]
                yield _made(ast.Compare(node.left, ops, node.comparators), node)
    elif isinstance(node, ast.BoolOp):
        other_op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _made(ast.BoolOp(other_op, node.values), node)
    elif isinstance(node, ast.UnaryOp):
        yield _made(node.operand, node)
    elif isinstance(node, ast.Constant):
        for value in _other_values(node.value):
            yield _made(ast.Constant(value), node)
    elif isinstance(node, ast.IfExp):
        yield "not ...", _with(node, test=ast.UnaryOp(ast.Not(), node.test))


def _statements(node: Any) -> Iterator[tuple[str, ast.AST]]:
    gone = ast.copy_location(ast.Pass(), node)
    if isinstance(node, ast.If):
        yield "not ...", _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.While):
        yield "while False", _with(node, test=ast.Constant(False))
    elif isinstance(node, ast.Return):
        if not (node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)):
            yield "return None", ast.copy_location(ast.Return(None), node)
    elif isinstance(node, ast.AugAssign):
        if type(node.op) in ARITHMETIC:
            yield "other operator", _with(node, op=ARITHMETIC[type(node.op)]())
        yield "pass", gone
    elif isinstance(node, ast.Expr | ast.Raise | ast.Continue | ast.Break) or (
        isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple)
    ):
        yield "pass", gone


def _other_values(value: object) -> Sequence[object]:
    if isinstance(value, bool):
        return (not value,)
    if isinstance(value, int):
        return value + 1, value - 1
    if isinstance(value, float):
        return (value * 2 or 1.0,)
    return (value + "x",) if isinstance(value, str) else ()


def _made(new: Any, node: Any) -> tuple[str, ast.AST]:
    return ast.unparse(new), ast.copy_location(new, node)


def _with(node: Any, **fields: Any) -> ast.AST:
    mine = {name: getattr(node, name) for name in node._fields}
    return ast.copy_location(type(node)(**{**mine, **fields}), node)


def _short(node: ast.AST) -> str:
    return ast.unparse(node).splitlines()[0][:70]
