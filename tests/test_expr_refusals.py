"""What an expression may not be: attacks, limits, and refusals that name the place and the remedy."""

from __future__ import annotations

import ast
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lossctl import expr
from lossctl.errors import BadSpec, UnknownName
from lossctl.expr import compile_number, compile_truth

ATTACKS = [
    "__import__('os').system('true')",
    "eval('1')",
    "a.__class__",
    "().__class__.__bases__",
    "a.tofile('x')",
    "a[0]",
    "[a for a in b]",
    "[a]",
    "{a}",
    "{1: a}",
    "(a for a in b)",
    "lambda: a",
    "(lambda: a)()",
    "a := 1",
    "(a := 1)",
    "f'{a}'",
    "f'{a}' == a",
    "b'x' == a",
    "r'x' == a",
    "u'x' == a",
    "abs(x=a)",
    "abs(*a)",
    "abs(**a)",
    "abs(a, **b)",
    "where(a == 'x', 1, 0)",
    "where(a in ('x',), 1, b)",
    "1or a",
    "a if b else 1",
    "a; b",
    "a\nb",
    "a # b",
    "a \\\n b",
    "a @ b",
    "a << 2",
    "a >> 2",
    "a ^ 2",
    "a = 1",
    "a is b",
    "a is not None",
    "None + a",
    "True + a",
    "a + ...",
    "yield a",
    "await a",
    "import os",
    "a, b",
    "(a, b)",
    "*a",
    "abs",
    "abs + a",
    "abs(a)(b)",
    "(abs)(a)(b)",
    "`abs`(a)",
    "'abs'(a)",
    "1(a)",
    "abs()",
    "abs(a, b)",
    "min(a)",
    "max(a, b, a)",
    "where(a, a, b)",
    "where(a > 1, b)",
    "clip(a, 1)",
    "a +",
    "+",
    "",
    " ",
    "(",
    ")",
    "a)",
    "(a",
    ")a(",
    "((a)",
    "a b",
    "a 1",
    "1 a",
    "2a",
    "1if a else 2",
    "0x10 * a",
    "1_000 * a",
    "1j * a",
    "007 * a",
    "1.2.3 * a",
    "1e999 * a",
    "9" * 400 + " * a",
    "1",
    "2 + 3 * 4",
    "9**9**9",
    "a > 1",
    "a > 1 and b",
    "not a",
    "~a",
    "a & b",
    "a | b",
    "isnan(a) + 1",
    "(a > 1) * b",
    "'x'",
    "a + 'x'",
    "'x' * 99",
    "a == 'x'",
    "``",
    "`",
    "'",
    '"',
    "'a",
    "a`b`",
    "`a` `b`",
    "'a' 'b'",
    "'''a'''",
    "'\\x41' == a",
    "'\\q' == a",
    "a\x00",
    "a\t",
    "\x1b[31m",
    "a\u202e",
    "\ud800",
    "é",
    "ａ",
    "𝐚",
    "a\u00a0+ b",
    "\ufeffa",
    "a–b",
    "`a\nb`",
    "`a\u202eb`",
    "a" * 501,
    "a+" * 249 + "a",
    "-" * 499 + "a",
    "(" * 33 + "a" + ")" * 33,
    "(" * 250 + ")" * 250,
    "(" * 500,
    ")" * 500,
    "abs(" * 100,
    "a**" * 160 + "a",
    "~" * 500,
    "not " * 120 + "a",
    "a <" * 160 + "a",
    "a<b<1",
    "a $ b",
    "a ? b",
    "a !b",
    "a && b",
    "a || b",
    "a <> b",
    "a == = b",
]
TRUTH_ATTACKS = [
    "a",
    "a + 1",
    "1 < 2",
    "'a' == 'a'",
    "not 1",
    "a > 1 & b < 2",
    "a > 1 | b < 2",
    "a > 1 & b",
    "~a > 1",
    "a < b < 1",
    "a == b == 1",
    "(a > 1) == (b > 1)",
    "(a > 1) + 1 > 0",
    "region < 'b'",
    "'a' <= region",
    "'a' in region",
    "a in b",
    "a in (1, 'x')",
    "a in ()",
    "a in (b, 1)",
    "a in ((1, 2), 3)",
    "a in (1, 1e999)",
    "a in (True,)",
    "a in abs(b)",
    "(a + 1) == 'x'",
    "abs(a) == 'x'",
    "a == 'x' and a > 1",
    "a > 1 and a != 'x'",
    "abs('x') > 1",
    "'x'",
    "a + 'x' > 1",
    "a == 'x\ny'",
    "a == 'x\u202e'",
    "a == '\\n'",
    "a == 'x' 'y'",
    "a == f'x'",
    "a == ('x')('y')",
    "region in ('a',) & (b > 1)",
    "`` > 1",
    "a > 1 &",
    "and a > 1",
    "a not 1",
    "a in",
    "not in a",
    "a > 1 && b > 1",
    "a =! 1",
    "isnan(a, b)",
    "isnan(a > 1)",
    "a > 1 if b > 1 else b > 2",
    "all(a > 1)()",
    "(a > 1,)",
    "a > 1, b > 2",
]


def refusal(compiler: Callable[[str], Any], text: str) -> BadSpec | UnknownName:
    began = time.thread_time()
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        with pytest.raises((BadSpec, UnknownName)) as caught:
            compiler(text)
    assert not leaked
    assert time.thread_time() - began < 0.2
    return caught.value


@pytest.mark.parametrize("text", ATTACKS, ids=lambda text: ascii(text)[:40])
def test_no_attack_compiles_to_a_number(text: str) -> None:
    error = refusal(compile_number, text)
    if isinstance(error, BadSpec):
        assert 1 <= error.facts["at"] <= len(text) + 1  # type: ignore[operator]
        assert error.hint


@pytest.mark.parametrize("text", TRUTH_ATTACKS, ids=lambda text: ascii(text)[:40])
def test_no_attack_compiles_to_a_condition(text: str) -> None:
    refusal(compile_truth, text)


def test_python_never_evaluates_and_its_parser_never_sees_quoted_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    parse = ast.parse
    monkeypatch.setattr(ast, "parse", lambda text, mode: seen.append(text) or parse(text, mode=mode))
    compile_truth("`__import__('os')` == 'eval(1)' and `\u00e9` > 1")
    assert set(" ".join(seen).split()) == {"q", "==", "and", ">", "1"}
    tree = ast.parse(Path(expr.__file__).read_text(encoding="utf-8"), mode="exec")
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"eval", "exec", "compile", "getattr_static", "__import__", "open"}


@pytest.mark.parametrize(
    "error",
    [SyntaxError("x"), ValueError("x"), RecursionError("x"), MemoryError("x")],
    ids=lambda e: type(e).__name__,
)
def test_whatever_the_parser_raises_is_a_refusal(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ast, "parse", broken)
    with pytest.raises(BadSpec):
        compile_number("a")


@pytest.mark.parametrize(
    "source",
    [
        "a.b",
        "a[0]",
        "lambda: a",
        "[a]",
        "f'{a}'",
        "a if a else a",
        "(a := a)",
        "a @ a",
        "a << a",
        "abs(x=a)",
        "abs(*a)",
        "a is a",
        "True",
        "None",
        "...",
        "'x'",
        "1j",
        "abs(a)(a)",
        "{a}",
    ],
)
def test_the_walk_alone_refuses_what_the_scanner_would(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = ast.parse(source, mode="eval")
    monkeypatch.setattr(ast, "parse", lambda *_, **__: tree)
    monkeypatch.setattr(expr._Compiler, "refuse", refuse_anywhere)
    for compiler in (compile_number, compile_truth):
        with pytest.raises((BadSpec, UnknownName)):
            compiler("a")


def refuse_anywhere(self: Any, problem: str, at: object, hint: str = "") -> None:
    raise BadSpec(self.text, problem, hint=hint)


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("a + + b ^ 2", 8, "**"),
        ("a > 1 & b < 2", 4, "bind tighter"),
        ("a < b < 2", 4, "a < b and b < c"),
        ("~a > 1", 1, "bind tighter"),
        ("a = 1", 2, "=="),
        ("2a > 1", 0, "decimal"),
        ("a > 1or b > 1", 4, "decimal"),
        ("`abs`(a) > 1", 0, "only a function's name"),
        ("a.b > 1", 1, "backticks"),
        ("min > 1", 0, "`min`"),
        ("(a > 1) * b > 0", 1, "where("),
        ("a", 0, "x > 0"),
        ("a > 1 && b", 6, "and"),
        ("a in ('x',) & (b > 1)", 5, "bind tighter"),
        ("'é' == `é` + 1", 0, "can only be compared"),
        ("`é` > lambda", 6, "'lambda'"),
        ("`é` > 1 2", 8, "out of place"),
    ],
)
def test_a_refusal_names_the_place_and_the_remedy(text: str, at: int, words: str) -> None:
    error = refusal(compile_truth, text)
    assert (error.facts["at"], error.exit_code) == (at + 1, 2)
    assert words in str(error)


def test_an_unknown_function_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'sqrt'"):
        compile_number("sqr(a)")


def test_limits_are_exact() -> None:
    compile_number("(" * 32 + "a" + ")" * 32)
    compile_number(" " * 499 + "a")
    compile_number("-" * 99 + "a")
    for text in ("(" * 33 + "a" + ")" * 33, " " * 500 + "a", "-" * 100 + "a"):
        refusal(compile_number, text)
    long = "`" + "-" * 247 + "`"
    assert "written out" in str(
        refusal(compile_number, f"{long}+{long}")
    )  # the canonical text is longer than 500
