"""Expressions over columns (`custom --expr`, `--where`): text -> checked tree -> postfix program of ufuncs.

Python evaluates nothing. Two walls stand before the program: a scanner that lets through decimal numbers,
names, the signs below and `and or not in` (Python's parser sees a placeholder for whatever is quoted), and a
walk that handles seven node types, by exact type, and refuses the rest. At most 100 nodes: work is bounded.

    numbers     + - * / // % **  and FUNCTIONS; every number is a float64, so 9**9**9 is just inf
    conditions  < <= > >= == !=  in (...)  and or not & | ~  isnan isfinite
    text        column == 'a', != 'a', in ('a', 'b'), not in (...): --where only; escapes \\\\ \\' \\"
    names       identifiers; any other column in backticks, with a backtick inside it doubled

Missing values (NaN, or no text) fail every comparison but != and `not in`, which always say the opposite of
== and `in`, as in NumPy: ask isnan. min, max and clip pass NaN on, round goes to even, x**2 is x*x.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lossctl.doubles import TOO_LONG
from lossctl.errors import BadSpec, MissingColumn, UnknownName, visible

__all__ = ["FUNCTIONS", "Coded", "Program", "compile_number", "compile_truth"]

Kind: TypeAlias = Literal["number", "truth"]
MAX_CHARACTERS, MAX_DEPTH, MAX_NODES = 500, 32, 100
_PLAIN = "sqrt exp expm1 log log1p log2 log10 tanh sinh cosh sin cos sign floor ceil isnan isfinite"
FUNCTIONS: Mapping[str, tuple[Any, ...]] = (  # what is applied after each argument
    {name: (getattr(np, name),) for name in _PLAIN.split()}
    | {"abs": (np.absolute,), "round": (np.rint,), "min": (None, np.minimum), "max": (None, np.maximum)}
    | {"hypot": (None, np.hypot), "logaddexp": (None, np.logaddexp)}
    | {"clip": (None, np.maximum, np.minimum), "where": (None, None, np.where)}
)
_NODES = """Add:add Sub:subtract Mult:multiply Div:true_divide FloorDiv:floor_divide Mod:remainder Pow:power
UAdd:positive USub:negative And:logical_and Or:logical_or Not:logical_not BitAnd:logical_and BitOr:logical_or
Invert:logical_not Lt:less LtE:less_equal Gt:greater GtE:greater_equal Eq:equal NotEq:not_equal"""
_OPERATORS: Mapping[type, np.ufunc] = {
    getattr(ast, node): getattr(np, ufunc) for node, ufunc in (pair.split(":") for pair in _NODES.split())
}
_LOGIC, _TIGHT = {np.logical_and, np.logical_or, np.logical_not}, {ast.BitAnd, ast.BitOr, ast.Invert}
_TRUTHS = {u for u in (*_OPERATORS.values(), np.isnan, np.isfinite) if u(*[1.0] * u.nin).dtype == np.bool_}
_RESERVED = "|".join(sorted({*keyword.kwlist} - {"and", "or", "not", "in"}))
_TOKEN = re.compile(
    r"""(?asx)(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]) | (?!(?:RESERVED)\b)[A-Za-z_]\w* | \*\*|//
    | [<>=!]=|&(?!&)|\|(?!\|)|[-+*/%<>~(),] | '(?:[^'\\]|\\['"\\])*' | "(?:[^"\\]|\\['"\\])*"
    | `(?:[^`]|``)+`(?!`) | (?P<space>[ ]+) | (?P<bad>\w+|.)""".replace("RESERVED", _RESERVED)
)
_SHORTEN = "compute a column beforehand"
_GRAMMAR = "there are numbers, columns (odd names in backticks), + - * / // % **, comparisons, and or not"
_NARROW = "&, | and ~ bind tighter than comparisons: write (a > 1) & (b < 2), or a > 1 and b < 2"
_WANTED = {"number": "a number, as where(condition, 1, 0), ", "truth": "a condition, as x > 0, "}
_REMEDIES = {
    **dict.fromkeys("0123456789", "numbers are decimal (12, 0.5, 1e-3), with a sign or space after them"),
    **dict.fromkeys("'\"`", "close the quote; text holds \\\\ for a backslash, no control characters"),
    **dict.fromkeys("&|", "write and, or; or one & or | between conditions in brackets"),
    **dict.fromkeys("=!", "equality is ==, different is !=, the opposite is not"),
    ".": "there are no attributes; a column with a dot in its name goes in backticks",
    "^": "a power is **",
}


class Coded(NamedTuple):
    """A text column as integer codes into its categories; code -1 is a missing value."""

    codes: NDArray[np.integer[Any]]
    categories: Sequence[str | None]


@dataclass(frozen=True)
class Program:
    """A compiled expression; equal to another when steps and canonical text are."""

    text: str = field(compare=False)
    canonical: str
    names: tuple[str, ...]
    kind: Kind
    strings: Mapping[str, tuple[str, ...]] = field(hash=False)  # text columns, and what each is compared with
    code: tuple[tuple[str, int, Any], ...] = field(repr=False)  # what to do, values it takes, with what
    places: Mapping[str, int] = field(repr=False, compare=False)  # where each name first stands in the text

    def check(self, types: Mapping[str, Literal["number", "text"]]) -> None:
        """Refuse missing columns, numbers compared with text, and text used as a number."""
        for name in self.names:
            if name not in types:
                raise MissingColumn("the expression", name, types)
            wanted, at = "text" if name in self.strings else "number", self.places[name]
            if types[name] != wanted:
                problem, hint = self._mismatch(name)
                raise BadSpec(self.text, problem, at=at, hint=hint)

    def _mismatch(self, name: str) -> tuple[str, str]:
        """What is wrong with a column of the other kind than the expression takes it for, and the remedy."""
        texts, shown = self.strings.get(name), visible(name)
        if texts is None:
            problem = f"column '{shown}' holds text, but stands here as a number"
            return problem, f"compare text with quoted text, as in {shown} == 'a'"
        problem = f"column '{shown}' holds numbers, but is compared with the text '{visible(texts[0], 60)}'"
        return problem, f"compare it with a number, as in {shown} == 1"

    def run(self, values: Mapping[str, NDArray[Any] | Coded], rows: int) -> NDArray[Any]:
        """`rows` float64 or bool, a new array; `values` are only read (strides do not matter)."""
        texts = {name: isinstance(of, Coded) or of.dtype.kind not in "fiub" for name, of in values.items()}
        self.check({name: "text" if text else "number" for name, text in texts.items()})
        inputs: dict[str, Any] = {}
        for name in self.names:
            column = values[name]
            inputs[name] = column if texts[name] else np.asarray(column, np.float64, order="C")
            if np.shape(column.codes if isinstance(column, Coded) else column) != (rows,):
                raise ValueError(f"column {name!r} does not have the block's {rows} rows")
        stack: list[Any] = []
        with np.errstate(all="ignore"):
            for what, count, of in self.code:
                start = len(stack) - count
                stack[start:] = [_step(what, of, stack[start:], inputs)]
        made = self.code[-1][0] != "column" and stack[0].ndim  # else a scalar, or the caller's own array
        return stack[0] if made else np.full(rows, stack[0])


def _step(what: str, of: Any, args: list[Any], inputs: dict[str, Any]) -> Any:
    if what == "apply":
        if of is np.power and args[1].ndim == 0 and args[1] == 2:
            of, args = np.square, args[:1]
        for array in args if of is not np.where else ():
            mine = array.ndim and all(array is not kept for kept in inputs.values())
            if mine and (array.dtype == np.bool_) is (of in _TRUTHS):  # made here, now spent: write over it
                return of(*args, out=array)
        return of(*args)
    if what == "among":
        return np.logical_or.reduce([np.equal(args[0], constant) for constant in of])
    if what == "text":
        column, wanted = inputs[of[0]], of[1]
        coded = isinstance(column, Coded)
        found = [text in wanted for text in (column.categories if coded else column.tolist())]
        codes = column.codes.astype(int) if coded else np.arange(len(found))
        if codes.size and not -1 <= codes.min() <= codes.max() < len(found):
            raise IndexError("a code lies outside the categories")
        return np.array([*found, False]).take(codes)  # -1 takes the last
    return inputs[of] if what == "column" else np.float64(of)


class _Compiler:
    """Scans, parses and walks one text, emitting steps; every refusal names a place in the text."""

    def __init__(self, text: str, kind: Kind) -> None:
        self.text, self.kind = text, kind
        self.places: dict[int, int] = {}  # offset in what Python's parser sees -> offset in the text
        self.quoted: dict[int, str] = {}  # offset there -> what stood there in quotes or backticks
        self.code: list[tuple[str, int, Any]] = []
        self.names: dict[str, int] = {}
        self.strings: dict[str, tuple[str, ...]] = {}
        tree = self.parse()
        self.need(kind, tree)
        if not self.names:
            self.refuse("it uses no column", 0, "name one; any name but a function's is a column")
        self.canonical = ast.unparse(tree)  # names and numbers were made canonical by the walk

    def refuse(self, problem: str, at: int | ast.expr, hint: str = _GRAMMAR) -> NoReturn:
        place = at if isinstance(at, int) else self.places[at.col_offset]
        raise BadSpec(self.text, problem, at=place, hint=hint)

    def parse(self) -> ast.expr:
        if len(self.text) > MAX_CHARACTERS:
            self.refuse(f"more than {MAX_CHARACTERS} characters", MAX_CHARACTERS, _SHORTEN)
        source, depth = "", 0
        for match in _TOKEN.finditer(self.text):
            token, at = match[0], match.start()
            if match["bad"] or visible(token, MAX_CHARACTERS) != token:
                self.refuse(f"'{visible(token)}' is not understood", at, _REMEDIES.get(token[0], _GRAMMAR))
            depth += (token == "(") - (token == ")")
            if depth > MAX_DEPTH:
                self.refuse(f"brackets more than {MAX_DEPTH} deep", at, _SHORTEN)
            if not match["space"]:
                self.places[len(source)] = at
                if token[0] in "'\"`":
                    self.quoted[len(source)], token = token, "q"
                source += token + " "
        try:
            tree = ast.parse(source, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            before = [at for seen, at in self.places.items() if seen < (getattr(error, "offset", 0) or 9999)]
            self.refuse("something is missing or out of place", max(before, default=0))
        if sum(isinstance(node, ast.expr) for node in ast.walk(tree)) > MAX_NODES:
            self.refuse(f"more than {MAX_NODES} names, numbers and operations", 0, _SHORTEN)
        return tree

    def need(self, kind: Kind, node: ast.expr, remedy: str = "") -> None:
        if self.walk(node) != kind:
            self.refuse(_WANTED[kind] + "is expected here", node, remedy or _GRAMMAR)

    def walk(self, node: Any) -> Kind:
        if type(node) in (ast.Compare, ast.Call):
            return self.compare(node) if type(node) is ast.Compare else self.call(node)
        if type(node) in (ast.BoolOp, ast.BinOp, ast.UnaryOp) and type(node.op) in _OPERATORS:
            return self.operate(node)
        what, of = ("column", self.column) if type(node) is ast.Name else ("number", self.figure)
        self.code.append((what, 0, of(node)))
        return "number"

    def operate(self, node: Any) -> Kind:
        ufunc = _OPERATORS[type(node.op)]
        kind: Kind = "truth" if ufunc in _LOGIC else "number"
        operands = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
        for index, operand in enumerate(operands):
            self.need(kind, operand, _NARROW if type(node.op) in _TIGHT else "")
            if index or len(operands) == 1:
                self.code.append(("apply", ufunc.nin, ufunc))
        return kind

    def call(self, node: ast.Call) -> Kind:
        if type(node.func) is not ast.Name or node.func.col_offset in self.quoted:
            self.refuse("only a function's name can be called", node)
        name = node.func.id
        if name not in FUNCTIONS:
            raise UnknownName("function", name, FUNCTIONS)
        ufuncs = FUNCTIONS[name]
        if len(node.args) != len(ufuncs) or node.keywords:
            self.refuse(f"{name} takes {len(ufuncs)} plain arguments", node, "nest calls: max(a, max(b, c))")
        for index, (argument, ufunc) in enumerate(zip(node.args, ufuncs, strict=True)):
            self.need("truth" if name == "where" and index == 0 else "number", argument)
            if ufunc is not None:
                self.code.append(("apply", getattr(ufunc, "nin", 3), ufunc))
        return "truth" if ufuncs[0] in _TRUTHS else "number"

    def compare(self, node: ast.Compare) -> Kind:
        left, right, operator = node.left, node.comparators[0], type(node.ops[0])
        if len(node.ops) > 1 or operator not in (*_OPERATORS, ast.In, ast.NotIn):
            self.refuse("comparisons do not chain", right, f"write a < b and b < c; {_NARROW}")
        member, equality = operator in (ast.In, ast.NotIn), operator in (ast.Eq, ast.NotEq)
        if equality and self.quote(left) is not None:
            left, right = right, left
        constants = right.elts if member and type(right) is ast.Tuple and right.elts else [right]
        wanted = tuple(text for text in map(self.quote, constants) if text is not None)
        if wanted:
            plain = type(left) is ast.Name and len(wanted) == len(constants)
            if self.kind == "number" or not (member or equality) or not plain:
                self.refuse(
                    "text can only be compared as column == 'a', != or in ('a', 'b'), in --where", node
                )
            self.code.append(("text", 0, (self.column(left, wanted), frozenset(wanted))))
        elif member:
            self.need("number", left)
            self.code.append(("among", 1, tuple(map(self.figure, constants))))
        else:
            self.need("number", left, _NARROW)
            self.need("number", right, _NARROW)
            self.code.append(("apply", 2, _OPERATORS[operator]))
        if operator is ast.NotIn or (operator is ast.NotEq and self.code[-1][0] == "text"):
            self.code.append(("apply", 1, np.logical_not))
        return "truth"

    def figure(self, node: Any) -> float:
        if type(node) is ast.UnaryOp and type(node.op) is ast.USub:
            return -self.figure(node.operand)
        hint = _NARROW if type(getattr(node, "op", None)) in _TIGHT else _GRAMMAR
        value: Any = node.value if type(node) is ast.Constant else None
        if type(value) not in (int, float) or value > np.finfo(np.float64).max.item():
            self.refuse("a number up to 1.7976931348623157e308 is expected here", node, hint)
        if type(value) is int and int(float(value)) != value:
            self.refuse(f"{value} {TOO_LONG}", node, "compare texts, or rescale")
        node.value = int(value) if value < 1e15 and value == int(value) else float(value)
        return float(value)

    def quote(self, node: ast.expr) -> str | None:
        if type(node) is not ast.Name or self.quoted.get(node.col_offset, "`")[0] == "`":
            return None
        value = re.sub(r"\\(.)", r"\1", self.quoted[node.col_offset][1:-1])
        node.id = "'" + re.sub(r"([\\'])", r"\\\1", value) + "'"
        return value

    def column(self, node: Any, wanted: tuple[str, ...] = ()) -> str:
        if self.quote(node) is not None:
            self.refuse("text can only be compared with a column", node)
        token = self.quoted.get(node.col_offset)
        name: str = token[1:-1].replace("``", "`") if token else node.id
        if name in FUNCTIONS and not token:
            self.refuse(f"'{name}' is a function", node, f"call it; a column of that name is `{name}`")
        if name in self.names and (name in self.strings) != bool(wanted):
            self.refuse("this column is used as text and as a number", node, "quote all values, or none")
        self.names.setdefault(name, self.places[node.col_offset])
        if wanted:
            self.strings[name] = tuple(dict.fromkeys(self.strings.get(name, ()) + wanted))
        plain = name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
        node.id = name if plain and name not in FUNCTIONS else "`" + name.replace("`", "``") + "`"
        return name


def _compile(text: str, kind: Kind) -> Program:
    made = _Compiler(text, kind)
    try:  # the canonical text must be accepted in its turn
        _Compiler(made.canonical, kind)
    except BadSpec:
        made.refuse("written out with all its spaces and brackets it is too long or too deep", 0, _SHORTEN)
    return Program(text, made.canonical, tuple(made.names), kind, made.strings, tuple(made.code), made.names)


def compile_number(text: str) -> Program:
    """`custom --expr`: a number a row."""
    return _compile(text, "number")


def compile_truth(text: str) -> Program:
    """`--where`: a condition a row; only here may columns be compared with text."""
    return _compile(text, "truth")
