"""Expressions over columns (`custom --expr`, `--where`): text -> a checked tree -> a postfix program of ufuncs.

Python evaluates nothing. Two walls stand before the program: a scanner that lets through decimal numbers, names, the
signs below and `and or not in` (for text in quotes and names in backticks Python's parser sees a placeholder), and a
walk that handles seven node types, by exact type, and refuses the rest. Work is bounded: 500 characters, brackets 32
deep, 100 nodes, so about a hundred passes over a block at most.

    numbers     + - * / // % **  and FUNCTIONS; every number is a float64, so 9**9**9 is just inf
    conditions  < <= > >= == !=  in (...)  and or not & | ~  isnan isfinite
    text        column == 'a', != 'a', in ('a', 'b'), not in (...): --where only; escapes \\\\ \\' \\" \\n \\t
    names       identifiers; any other column in backticks, with a backtick inside it doubled

Missing values (NaN, or no text) fail every comparison but != and `not in`, which always say the opposite of == and
`in`, as in NumPy; isnan asks directly. min, max and clip pass NaN on, round goes to even, x**2 is x*x.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lossctl.errors import BadSpec, MissingColumn, UnknownName, visible

__all__ = ["FUNCTIONS", "Coded", "Program", "compile_number", "compile_truth"]

Array: TypeAlias = NDArray[Any]
Kind: TypeAlias = Literal["number", "truth"]
Inputs: TypeAlias = dict[str, Any]
Step: TypeAlias = tuple[str, int, Any]  # what to do, how many values it takes off the stack, with what
Piece: TypeAlias = tuple[str, int, Kind]  # canonical text, how tightly it holds together, what it is

MAX_CHARACTERS, MAX_DEPTH, MAX_NODES = 500, 32, 100
OR, AND, NOT, COMPARED, SUM, PRODUCT, SIGNED, POWER, ATOM = range(9)
_SAME = "sqrt exp expm1 log log1p log2 log10 tanh sinh cosh sin cos sign floor ceil hypot logaddexp isnan isfinite"
FUNCTIONS: Mapping[str, tuple[np.ufunc, ...]] = {  # what each call applies after its arguments
    **{name: (getattr(np, name),) for name in _SAME.split()},
    **{"abs": (np.absolute,), "round": (np.rint,), "min": (np.minimum,), "max": (np.maximum,)},
    **{"clip": (np.maximum, np.minimum), "where": ()},
}
_BINARY: Mapping[type, tuple[str, int, np.ufunc]] = {
    **{ast.Add: ("+", SUM, np.add), ast.Sub: ("-", SUM, np.subtract), ast.Mult: ("*", PRODUCT, np.multiply)},
    **{ast.Div: ("/", PRODUCT, np.true_divide), ast.FloorDiv: ("//", PRODUCT, np.floor_divide)},
    **{ast.Mod: ("%", PRODUCT, np.remainder), ast.Pow: ("**", POWER, np.power)},
    **dict.fromkeys((ast.And, ast.BitAnd), ("and", AND, np.logical_and)),
    **dict.fromkeys((ast.Or, ast.BitOr), ("or", OR, np.logical_or)),
    **{ast.Lt: ("<", COMPARED, np.less), ast.LtE: ("<=", COMPARED, np.less_equal)},
    **{ast.Gt: (">", COMPARED, np.greater), ast.GtE: (">=", COMPARED, np.greater_equal)},
    **{ast.Eq: ("==", COMPARED, np.equal), ast.NotEq: ("!=", COMPARED, np.not_equal)},
}
_UNARY: Mapping[type, tuple[str, int, np.ufunc, Kind]] = {
    **{ast.UAdd: ("+", SIGNED, np.positive, "number"), ast.USub: ("-", SIGNED, np.negative, "number")},
    **dict.fromkeys((ast.Not, ast.Invert), ("not ", NOT, np.logical_not, "truth")),
}
_TRUTHS = {np.isnan, np.isfinite, np.logical_not} | {of for _, hold, of in _BINARY.values() if hold <= COMPARED}
_TOKEN = re.compile(
    r"""(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]) | (?P<word>[A-Za-z_]\w*)
    | '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `(?:[^`]|``)+`(?!`)
    | \*\*|//|[<>=!]=|&(?!&)|\|(?!\|)|[-+*/%<>~(),]""",
    re.ASCII | re.VERBOSE,
)
_ESCAPES = {"\\\\": "\\", "\\'": "'", '\\"': '"', "\\n": "\n", "\\t": "\t"}
_SHORTEN = "compute a column beforehand"
_GRAMMAR = "there are numbers, columns, + - * / // % **, comparisons, and, or, not, and calls such as abs(x)"
_NARROW = "&, | and ~ bind tighter than comparisons: write (a > 1) & (b < 2), or a > 1 and b < 2"
_WANTED = {"number": "where(condition, 1, 0) makes a number of it", "truth": "compare it, as in x > 0"}
_REMEDIES = {
    **dict.fromkeys("0123456789", "numbers are decimal (12, 0.5, 1e-3), with a sign or space before a letter"),
    **dict.fromkeys("'\"`", "close the quote; a column name has at least one character"),
    **{"=": "equality is ==", "!": "write not, or != for different", "^": "a power is **"},
    **{"&": "write and, or one & between bracketed conditions", "|": "write or, or one | between them"},
    ".": "there are no attributes; a column with a dot in its name goes in backticks",
}


@dataclass(frozen=True, eq=False, slots=True)
class Coded:
    """A text column as integer codes into its categories; code -1 is a missing value."""

    codes: NDArray[np.integer[Any]]
    categories: Sequence[str | None]

    def __post_init__(self) -> None:
        if self.codes.size and not (self.codes.min() >= -1 and self.codes.max() < len(self.categories)):
            raise ValueError("a code lies outside the categories")


@dataclass(frozen=True)
class Program:
    """A compiled expression; two are equal when they compute the same, written the same but for spacing."""

    text: str = field(compare=False)
    canonical: str
    names: tuple[str, ...]
    kind: Kind
    strings: Mapping[str, tuple[str, ...]] = field(hash=False)  # text columns, and what each is compared with
    code: tuple[Step, ...] = field(repr=False)
    places: Mapping[str, int] = field(repr=False, compare=False)  # where each name first stands in the text

    def check(self, types: Mapping[str, Literal["number", "text"]]) -> None:
        """Refuse missing columns, numbers compared with text, and text used as a number."""
        for name in self.names:
            if name not in types:
                raise MissingColumn("the expression", name, types)
            problem, hint = "holds text and is used as a number", "compare it with quoted text, in --where"
            if name in self.strings:
                problem, hint = "holds numbers and is compared with text", "write the number without quotes"
            if (types[name] == "text") != (name in self.strings):
                at = self.places[name]
                raise BadSpec(self.text, f"column '{visible(name)}' {problem}", at=at, hint=hint)

    def run(self, values: Mapping[str, Array | Coded], rows: int) -> Array:
        """One value a row, as a new array: float64 for a number, bool for a truth. `values` are only read."""
        texts = {name: isinstance(of, Coded) or of.dtype.kind not in "fiub" for name, of in values.items()}
        self.check({name: "text" if text else "number" for name, text in texts.items()})
        inputs: Inputs = {}
        for name in self.names:
            column = values[name]
            # Contiguous whatever came in: along a stride NumPy may round differently.
            inputs[name] = column if texts[name] else np.asarray(column, dtype=np.float64, order="C")
            if np.shape(column.codes if isinstance(column, Coded) else column) != (rows,):
                raise ValueError(f"column {name!r} does not have the block's {rows} rows")
        stack: list[Any] = []
        with np.errstate(all="ignore"):
            for what, count, of in self.code:
                start = len(stack) - count
                stack[start:] = [_step(what, of, stack[start:], inputs)]
        return stack[0] if _spent(stack, inputs) else np.full(rows, stack[0])  # type: ignore[no-any-return]


def _spent(values: list[Any], inputs: Inputs) -> list[Any]:
    """The arrays among `values` that were made here, hence may be written over."""
    return [value for value in values if value.ndim and all(value is not kept for kept in inputs.values())]


def _step(what: str, of: Any, args: list[Any], inputs: Inputs) -> Any:
    if what == "apply":
        mine = [array for array in _spent(args, inputs) if (array.dtype == np.bool_) is (of in _TRUTHS)]
        return of(*args, out=mine[0]) if mine else of(*args)
    if what == "where" and _spent(args[2:], inputs):
        np.copyto(args[2], args[1], where=args[0])
        return args[2]
    if what == "where":
        return np.where(*args)[()]
    if what == "among":
        found = np.equal(args[0], of[0])
        for constant in of[1:]:
            found |= np.equal(args[0], constant)
        return found
    if what == "text":
        column, wanted = inputs[of[0]], of[1]
        if isinstance(column, Coded):  # code -1, missing, takes the last: False
            return np.array([*(category in wanted for category in column.categories), False])[column.codes]
        return np.array([value in wanted for value in column.tolist()], dtype=np.bool_)
    return inputs[of] if what == "column" else of


class _Compiler:
    """Scans, parses and walks one text, emitting steps and canonical text; refuses at a place in the text."""

    def __init__(self, text: str, kind: Kind) -> None:
        self.text, self.kind = text, kind
        self.places: dict[int, int] = {}  # offset in what Python's parser sees -> offset in the text
        self.quoted: dict[int, str] = {}  # offset there -> what stood there in quotes or backticks
        self.code: list[Step] = []
        self.names: dict[str, int] = {}
        self.strings: dict[str, dict[str, None]] = {}
        self.tree = self.parse()
        self.canonical = self.need(self.tree, kind)
        if not self.names:
            self.refuse("it uses no column", 0, "name one; any name but a function's is a column")

    def refuse(self, problem: str, at: int | ast.expr, hint: str = _GRAMMAR) -> NoReturn:
        place = at if isinstance(at, int) else self.places[at.col_offset]
        raise BadSpec(self.text, problem, at=place, hint=hint)

    def scan(self) -> Iterator[tuple[int, str]]:
        if len(self.text) > MAX_CHARACTERS:
            self.refuse(f"more than {MAX_CHARACTERS} characters", MAX_CHARACTERS, _SHORTEN)
        if visible(self.text, MAX_CHARACTERS) != self.text:
            at = next(at for at, char in enumerate(self.text) if visible(char) != char)
            self.refuse("a control, direction or broken character", at, "write printable characters only")
        at, open_at = 0, list[int]()
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None and self.text[at] != " ":
                char = self.text[at]
                self.refuse(f"{char!r} is not understood here", at, _REMEDIES.get(char, _GRAMMAR))
            token = match[0] if match else " "
            if token == "(":
                open_at.append(at)
            elif token == ")" and not (open_at and [open_at.pop()]):
                self.refuse("this bracket closes nothing", at, "remove it, or open one before it")
            if len(open_at) > MAX_DEPTH:
                self.refuse(f"brackets more than {MAX_DEPTH} deep", at, _SHORTEN)
            if token not in ("and", "or", "not", "in") and keyword.iskeyword(token):
                self.refuse(f"'{token}' is not part of an expression", at, f"a column of that name is `{token}`")
            if token != " ":
                yield at, token
            at += len(token)
        if open_at:
            self.refuse("this bracket is never closed", open_at[-1], "close it with )")

    def parse(self) -> ast.expr:
        source = ""
        for at, token in self.scan():
            self.places[len(source)] = at
            if token[0] in "'\"`":
                self.quoted[len(source)] = token
                token = "q"
            source += token + " "
        try:
            tree = ast.parse(source, mode="eval").body
        except SyntaxError as error:
            before = [at for seen, at in self.places.items() if seen < (error.offset or len(source))]
            self.refuse("something is missing or out of place", max(before, default=0))
        except (ValueError, RecursionError, MemoryError):
            self.refuse("it cannot be parsed", 0, _SHORTEN)
        if sum(isinstance(node, ast.expr) for node in ast.walk(tree)) > MAX_NODES:
            self.refuse(f"more than {MAX_NODES} names, numbers and operations", 0, _SHORTEN)
        return tree

    def need(self, node: ast.expr, kind: Kind, hold: int = OR, remedy: str = "") -> str:
        """Walk `node`, which must be a `kind`, and bracket its canonical text if it holds less than `hold`."""
        walk = _WALKS.get(type(node))
        if walk is None:
            self.refuse("this is not part of an expression", node)
        text, holds, found = walk(self, node)
        if found != kind:
            wrong = "a condition where a number" if kind == "number" else "a number where a condition"
            self.refuse(f"{wrong} is expected", node, remedy or _WANTED[kind])
        return f"({text})" if holds < hold else text

    def figure(self, node: ast.expr) -> np.float64:
        """A constant, as in `in (1, -2)`; it is a float64 from here on."""
        if type(node) is ast.UnaryOp and type(node.op) is ast.USub:
            return -self.figure(node.operand)
        if type(node) is not ast.Constant or type(node.value) not in (int, float):
            self.refuse("a constant is expected here", node, "write a number, or text in quotes")
        if abs(node.value) > np.finfo(np.float64).max:
            self.refuse("this number is too large", node, "the largest is about 1.8e308")
        return np.float64(node.value)

    def constant(self, node: ast.expr) -> Piece:
        value = self.figure(node)
        self.code.append(("number", 0, value))
        return repr(float(value)).removesuffix(".0"), ATOM, "number"

    def string(self, node: ast.expr) -> str | None:
        """The text a quoted constant stands for; None when `node` is anything else."""
        token = self.quoted.get(node.col_offset, "`") if type(node) is ast.Name else "`"
        if token[0] == "`":
            return None
        for escape in re.findall(r"\\.", token):
            if escape not in _ESCAPES:
                self.refuse(f"'{escape}' is no escape", node, "write a backslash twice")
        return re.sub(r"\\.", lambda escape: _ESCAPES[escape[0]], token[1:-1])

    def column(self, node: ast.Name, as_text: bool) -> str:
        quoted = self.quoted.get(node.col_offset)
        name = quoted[1:-1].replace("``", "`") if quoted else node.id
        if not quoted and name in FUNCTIONS:
            self.refuse(f"'{name}' is a function", node, f"a column of that name is `{name}`")
        if name in self.names and (name in self.strings) != as_text:
            self.refuse("this column is used both as text and as a number", node, "quote all of its values or none")
        self.names.setdefault(name, self.places[node.col_offset])
        plain = name.isascii() and name.isidentifier() and name not in FUNCTIONS and not keyword.iskeyword(name)
        return name if plain else "`" + name.replace("`", "``") + "`"

    def name(self, node: ast.Name) -> Piece:
        if self.string(node) is not None:
            self.refuse("text only stands beside ==, != or in", node, "a column's name goes in backticks")
        text = self.column(node, as_text=False)
        self.code.append(("column", 0, list(self.names)[-1]))
        return text, ATOM, "number"
