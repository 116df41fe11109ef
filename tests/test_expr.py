"""What expressions mean, against plain NumPy, and that text is data."""

from __future__ import annotations

import ast
import importlib.util
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossctl.errors import BadSpec, MissingColumn
from lossctl.expr import FUNCTIONS, Coded, compile_number, compile_truth

A = np.array([1.0, -2.5, 0.0, np.nan, np.inf, -np.inf, 3.0, -0.0])
B = np.array([2.0, 2.0, -1.0, 1.0, np.nan, 0.5, 3.0, 7.0])
VALUES = {"a": A, "b": B, "odd name-1": A + 1, "min": B}
REGION = np.array(["EU", "US", None, "it's", "EU", "", "é", "us"], dtype=object)


def number(text: str, values: dict[str, Any] = VALUES) -> Any:
    return compile_number(text).run(values, 8)


def truth(text: str, values: dict[str, Any] | None = None) -> list[bool]:
    return compile_truth(text).run(values or {**VALUES, "region": REGION}, 8).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * 2", lambda: A + B * 2),
        ("(a + b) * 2", lambda: (A + B) * 2),
        ("-a ** 2", lambda: -(A * A)),
        ("a - b - 1", lambda: A - B - 1),
        ("a / b / 2", lambda: A / B / 2),
        ("2 ** 3 ** 2 + a", lambda: 512 + A),
        ("a ** 3", lambda: A**3),
        ("b ** (1 + 1) + a ** 2", lambda: B * B + A * A),
        ("a // 2 % 3", lambda: A // 2 % 3),
        ("2 ** -a", lambda: 2.0**-A),
        ("+a - -b", lambda: A + B),
        ("9**9**9 + 0 * b", lambda: np.inf + 0 * B),
        ("where(a > b, 1, b)", lambda: np.where(A > B, 1, B)),
        ("where(1 < 2, a, b)", lambda: A),
        ("where(isnan(a) or b < 0, a, -b)", lambda: np.where(np.isnan(A) | (B < 0), A, -B)),
        ("clip(a, -1, 2)", lambda: np.clip(A, -1, 2)),
        ("clip(3, a, b)", lambda: np.minimum(np.maximum(3, A), B)),
        ("round(a)", lambda: np.round(A)),
        ("`odd name-1` * 2", lambda: (A + 1) * 2),
        ("`min` - min(a, `min`)", lambda: B - np.minimum(A, B)),
        ("abs(a)**.5", lambda: np.abs(A) ** 0.5),
        ("7 + 0 * 1 + where(2 > 1, 1, a)", lambda: np.full(8, 8.0)),
        ("a", lambda: A),
        ("+a", lambda: A),
        ("where(a > 0, 2, 1)", lambda: np.where(A > 0, 2.0, 1.0)),
    ],
)
def test_numbers_mean_what_numpy_means(text: str, expected: Callable[[], Any]) -> None:
    with np.errstate(all="ignore"):
        wanted = expected()
    result = number(text)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, wanted, rtol=1e-15)


def test_no_floating_point_warning_escapes_and_inputs_are_kept() -> None:
    before = {name: array.tobytes() for name, array in VALUES.items()}
    for array in VALUES.values():
        array.setflags(write=False)
    for text in ("log(a) / 0 + exp(b * 1e9)", "a", "where(a > b, a, b)", "sqrt(-a) // 0 % 0"):
        result = number(text)
        result[:] = 0  # the caller may write on what it gets
    assert before == {name: array.tobytes() for name, array in VALUES.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 1", A > 1),
        ("a > 1 and b < 3 or a < 0", (A > 1) & (B < 3) | (A < 0)),
        ("not a > 1 and b > 0", ~(A > 1) & (B > 0)),
        ("a > 1 or b > 1 and a < 0", (A > 1) | (B > 1) & (A < 0)),
        ("(a > 1) & ~(b > 2) | isnan(a)", (A > 1) & ~(B > 2) | np.isnan(A)),
        ("a in (1, -2.5, 3)", np.isin(A, [1, -2.5, 3])),
        ("a not in (1, 3)", ~np.isin(A, [1, 3])),
        ("a in (3)", A == 3),
        ("a == a", A == A),
        ("a != a", A != A),
        ("a + 1 <= b * 2", A + 1 <= B * 2),
        ("isfinite(a) and 2 in (1, 2)", np.isfinite(A)),
        ("1 > 2 or a > 1", A > 1),
        ("region == 'EU'", [x == "EU" for x in REGION]),
        ("'EU' != region", [x != "EU" for x in REGION]),
        ("region in ('EU', \"it's\")", [x in ("EU", "it's") for x in REGION]),
        ("region not in ('EU', 'é')", [x not in ("EU", "é") for x in REGION]),
        ("region == 'it\\'s'", [x == "it's" for x in REGION]),
        ("region == ''", [x == "" for x in REGION]),
        ("region in ('US')", [x == "US" for x in REGION]),
        ("not region == 'EU'", [x != "EU" for x in REGION]),
    ],
)
def test_conditions_mean_what_numpy_means(text: str, expected: Any) -> None:
    assert truth(text) == list(expected)
    categories = ["us", "EU", None, "it's", "é", "", "US", "unused"]
    codes = np.array([-1 if x is None else categories.index(x) for x in REGION], dtype=np.int8)
    for coded in (Coded(codes, categories), Coded(np.where(codes < 0, 2, codes), categories)):
        assert truth(text, {**VALUES, "region": coded}) == list(expected)
    if hasattr(np.dtypes, "StringDType"):
        strings = np.array(REGION, dtype=np.dtypes.StringDType(na_object=None))
        assert truth(text, {**VALUES, "region": strings}) == list(expected)


def test_missing_values_fail_all_but_unequal() -> None:
    values = {"a": np.array([np.nan]), "r": np.array([None], dtype=object)}
    for text, kept in {
        "a < 1": 0,
        "a >= 1": 0,
        "a == 1": 0,
        "a in (1, 2)": 0,
        "r == ''": 0,
        "r in ('', 'x')": 0,
        "a != 1": 1,
        "a not in (1, 2)": 1,
        "r != ''": 1,
        "r not in ('', 'x')": 1,
        "isnan(a)": 1,
    }.items():
        assert compile_truth(text).run(values, 1).tolist() == [bool(kept)], text


def test_codes_may_be_unsigned_but_not_outside_the_categories() -> None:
    program = compile_truth("r in ('y', 'z')")
    assert program.run({"r": Coded(np.array([1, 0], dtype=np.uint8), ["x", "y"])}, 2).tolist() == [
        True,
        False,
    ]
    for code in (-2, -3, 2, 3):
        with pytest.raises(IndexError):
            program.run({"r": Coded(np.array([0, code]), ["x", "y"])}, 2)


def test_a_stride_changes_no_bit() -> None:
    table = np.random.default_rng(5).normal(size=(4001, 3)) * 20
    for name in ("exp", "log1p", "tanh", "sin", "sinh", "log10"):
        program = compile_number(f"{name}(a) + 2 ** a")
        strided = program.run({"a": table[:, 1]}, 4001)
        assert strided.tobytes() == program.run({"a": table[:, 1].copy()}, 4001).tobytes(), name


def test_spent_buffers_are_written_over() -> None:
    column = np.ones(100_000)
    program = compile_number("abs(-(a + 1) * 2 - a) ** 1.5 / 3")
    tracemalloc.start()
    program.run({"a": column}, column.size)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * column.nbytes


def test_an_integer_or_strided_column_is_computed_in_float64() -> None:
    table = np.arange(16).reshape(8, 2)
    np.testing.assert_array_equal(number("a / 2", {"a": table[:, 0]}), np.arange(0, 16, 2) / 2)
    np.testing.assert_array_equal(number("1 - a", {"a": table[:, 0] > 4}), 1.0 - (table[:, 0] > 4))


def test_blocks_of_any_size_give_the_same_bits() -> None:
    values = np.random.default_rng(7).normal(size=1003) * 30
    other = np.random.default_rng(8).normal(size=1003)
    for name, ufuncs in FUNCTIONS.items():
        arguments = ["a > b" if name == "where" else "a", "b", "a * b"][: len(ufuncs)]
        call = f"{name}({', '.join(arguments)})"
        program = (
            compile_truth(call)
            if name in ("isnan", "isfinite")
            else compile_number(f"{call} ** 1.5 + 2 ** b")
        )
        whole = program.run({"a": values, "b": other}, 1003)
        for rows in (1, 7, 64):
            parts = [
                program.run({"a": values[i : i + rows], "b": other[i : i + rows]}, len(values[i : i + rows]))
                for i in range(0, 1003, rows)
            ]
            assert np.concatenate(parts).tobytes() == whole.tobytes(), (name, rows)
    assert program.run({"a": values[:0], "b": other[:0]}, 0).shape == (0,)


def test_facts_of_a_program() -> None:
    program = compile_truth("b > 1 and region in ('x', 'y') and 'x' != region and `odd ``n` < a")
    assert program.names == ("b", "region", "odd `n", "a")
    assert dict(program.strings) == {"region": ("x", "y")}
    assert (program.kind, compile_number("a").kind) == ("truth", "number")
    assert hash(program) == hash(compile_truth(program.canonical))
    assert compile_number("a+1") == compile_number(" a  + 1.0") != compile_number("1 + a")
    assert compile_number("where(a>.5,2,1e0)*(`b`-`min`)").canonical == "where(a > 0.5, 2, 1) * (b - `min`)"
    assert compile_number("`lambda` + `and` + 1e22").canonical == "`lambda` + `and` + 1e+22"


def test_types_are_checked_before_and_at_the_run() -> None:
    program = compile_truth("a > 1 and region == 'EU'")
    program.check({"a": "number", "region": "text", "more": "text"})
    with pytest.raises(BadSpec, match="character 11: column 'region' holds numbers, but"):
        program.check({"a": "number", "region": "number"})
    with pytest.raises(BadSpec, match="character 1: column 'a' holds text, but stands here as a number"):
        program.check({"a": "text", "region": "text"})
    with pytest.raises(MissingColumn):
        program.check({"a": "number"})
    coded = Coded(np.zeros(8, dtype=np.int32), ["EU"])
    for values in (
        {"a": coded, "region": coded},
        {"a": A.astype(str), "region": coded},
        {"a": A.astype(object), "region": coded},
    ):
        with pytest.raises(BadSpec, match="column 'a'"):
            program.run(values, 8)
    with pytest.raises(BadSpec, match="column 'region'"):
        program.run({"a": A, "region": A}, 8)
    with pytest.raises(MissingColumn):
        program.run({"a": A}, 8)
    for values in ({"a": A[:1], "region": coded}, {"a": A, "region": Coded(coded.codes[:1], ["EU"])}):
        with pytest.raises(ValueError, match="8 rows"):
            program.run(values, 8)
    with pytest.raises(IndexError):
        program.run({"a": A, "region": Coded(np.full(8, 2), ["EU"])}, 8)


# Random trees: text with random spacing and brackets, and the same tree over plain arrays.
Tree = tuple[str, Callable[[], Any]]
LEAVES = st.sampled_from(["a", "b", "c"]) | st.floats(0, 1e6).map(repr) | st.integers(0, 99).map(str)
COLUMNS = {
    "a": np.array([0.0, 1.0, -2.5, np.nan, np.inf, 1e-3, 700.0]),
    "b": np.array([3.0, -1.0, 0.5, 2.0, -np.inf, 0.0, 1e5]),
    "c": np.array([1.0, 1.0, 2.0, -0.0, 4.0, np.nan, -3.0]),
}
MEANING: dict[str, Callable[..., Any]] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "//": lambda x, y: x // y,
    "%": lambda x, y: x % y,
    "**": lambda x, y: np.power(x, y) if np.any(y != 2) else x * x,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y,
    "and": np.logical_and,
    "or": np.logical_or,
    "&": np.logical_and,
    "|": np.logical_or,
    "where": np.where,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "min": np.minimum,
    "max": np.maximum,
    "round": np.round,
    "abs": np.abs,
}


def leaf(text: str) -> Tree:
    return text, lambda: COLUMNS[text] if text in COLUMNS else np.float64(text)


def infix(sign: str, left: Tree, right: Tree) -> Tree:
    return f"({left[0]}) {sign}({right[0]})", lambda: MEANING[sign](left[1](), right[1]())


def called(name: str, *given: Tree) -> Tree:
    meaning = MEANING.get(name) or getattr(np, name)
    return f"{name}({','.join(text for text, _ in given)} )", lambda: meaning(
        *(value() for _, value in given)
    )


@st.composite
def number_trees(draw: st.DrawFn, depth: int = 4) -> Tree:
    kind = draw(st.sampled_from(["leaf", "infix", "minus", "call", "where"])) if depth else "leaf"
    if kind == "leaf":
        return leaf(draw(LEAVES))
    if kind == "where":
        return called("where", draw(truth_trees(depth - 1)), *(draw(number_trees(depth - 1)) for _ in "ab"))
    if kind == "infix":
        sign = draw(st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]))
        return infix(sign, draw(number_trees(depth - 1)), draw(number_trees(depth - 1)))
    if kind == "minus":
        text, value = draw(number_trees(depth - 1))
        return f"-({text})", lambda: -value()
    name = draw(st.sampled_from(sorted(set(FUNCTIONS) - {"where", "isnan", "isfinite"})))
    return called(name, *(draw(number_trees(depth - 1)) for _ in FUNCTIONS[name]))


@st.composite
def truth_trees(draw: st.DrawFn, depth: int = 4) -> Tree:
    kind = draw(st.sampled_from(["compare", "compare", "not", "join", "call"])) if depth > 0 else "compare"
    if kind == "call":
        return called(draw(st.sampled_from(["isnan", "isfinite"])), draw(number_trees(depth - 1)))
    if kind == "not":
        text, value = draw(truth_trees(depth - 1))
        return draw(st.sampled_from([f"(not ({text}))", f"~({text})"])), lambda: np.logical_not(value())
    below, signs = truth_trees, ["and", "or", "&", "|"]
    if kind == "compare":
        below, signs = number_trees, ["<", "<=", ">", ">=", "==", "!="]
    sign = draw(st.sampled_from(signs))
    return infix(sign, draw(below(max(depth - 1, 0))), draw(below(max(depth - 1, 0))))


@settings(max_examples=400, deadline=None)
@given(number_trees(), truth_trees())
def test_random_trees_agree_with_numpy(numbers: Tree, truths: Tree) -> None:
    for (text, meaning), compiler, extra in (
        (numbers, compile_number, "({}) + 0 * isnone"),
        (truths, compile_truth, "({}) and isnone == 0"),
    ):
        source = extra.format(text)
        try:
            program = compiler(source)
        except BadSpec as error:
            assert any(limit in str(error) for limit in ("deep", "more than", "written out"))  # noqa: PT017
            continue
        with np.errstate(all="ignore"):
            expected = np.broadcast_to(np.asarray(meaning()), 7)
        result = program.run({**COLUMNS, "isnone": np.zeros(7)}, 7)
        assert result.dtype == (np.float64 if compiler is compile_number else np.bool_)
        np.testing.assert_array_equal(result, expected, err_msg=source)
        again = compiler(program.canonical)
        assert (again, again.canonical) == (program, program.canonical)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "+ -", "* -", "** -"]), min_size=1, max_size=8
    )
)
def test_precedence_is_python_s(signs: list[str]) -> None:
    text = "a" + "".join(f" {sign} {'ab'[index % 2]}" for index, sign in enumerate(signs))
    tree = ast.parse(text, mode="eval").body

    def bracketed(node: ast.expr) -> str:
        if isinstance(node, ast.BinOp):
            sign = ast.unparse(ast.BinOp(ast.Name("x"), node.op, ast.Name("y")))[1:-1]
            return f"({bracketed(node.left)}{sign}{bracketed(node.right)})"
        return f"(-{bracketed(node.operand)})" if isinstance(node, ast.UnaryOp) else ast.unparse(node)

    assert compile_number(text).code == compile_number(bracketed(tree)).code


def test_soak_smoke() -> None:
    path = Path(__file__).parent / "soak" / "expressions.py"
    spec = importlib.util.spec_from_file_location("soak_expressions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    counts = module.soak(20_000, seed=20)
    assert (counts["texts"], counts["warnings"]) == (20_000, 0)
    assert counts["accepted"] > 1_000
    assert math.isclose(counts["accepted"] + counts["BadSpec"] + counts["UnknownName"], 20_000)
