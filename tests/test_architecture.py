"""The house rules: who may import what, no loss named outside losses/, what a plain run never loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import lossctl
from lossctl.loss.registry import all_losses

ROOT = Path(lossctl.__file__).parent
FILES = sorted(path for path in ROOT.rglob("*.py"))
FAMILIES = [path for path in FILES if path.parent.name == "losses"]

ARROW = (
    *("sources", "batch", "decode", "decode_lists", "arrow", "groups", "columns"),
    *("plan", "frames", "stitch", "where", "advice", "render", "profile", "machine"),
)
GROUND = (
    *("loss", "errors", "domain", "elementary", "errorfree", "numeric", "special", "exact", "exact_groups"),
    *("losses", "plugins"),
)
TYPER = ("options", "cli")
RICH = ("render", "cli/progress")
PLAIN = {"numpy"} | {
    f"lossctl.{room}" for room in ("domain", "elementary", "errorfree", "loss", "numeric", "special")
}
EXPRESSIONS = "lossctl.expr"  # the one machine a family may run: a loss whose inputs its parameters open


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Modules that a file imports, at its top or inside functions."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name_of(path)} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top(module: str) -> str:
    return module.partition(".")[0]


def within(path: Path, rooms: tuple[str, ...]) -> bool:
    return any(name_of(path) == room or name_of(path).startswith(f"{room}/") for room in rooms)


def by_file(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[name_of(path) for path in paths])


@by_file(FAMILIES)
def test_kernels_import_only_arithmetic(path: Path) -> None:
    opens = any(loss.family == path.stem and loss.open_inputs for loss in all_losses())
    allowed = PLAIN | ({EXPRESSIONS} if opens else set())
    for module in imports(path):
        if top(module) in sys.stdlib_module_names:
            continue
        helper = module.startswith("lossctl.losses._") or module == "lossctl.losses"
        assert helper or any(module == one or module.startswith(f"{one}.") for one in allowed), module


@pytest.mark.parametrize(
    ("library", "rooms"),
    [("pyarrow", ARROW), ("typer", TYPER), ("rich", RICH), ("click", ()), ("scipy", ()), ("requests", ())],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_libraries_stay_in_their_rooms(library: str, rooms: tuple[str, ...]) -> None:
    users = {path for path in FILES if library in {top(module) for module in imports(path)}}
    assert {name_of(path) for path in users if not within(path, rooms)} == set()


@by_file([path for path in FILES if within(path, GROUND[:7])])
def test_the_ground_floor_imports_nothing_above_it(path: Path) -> None:
    for module in imports(path):
        if top(module) == "lossctl":
            assert module.split(".")[1] in GROUND, module


@cache
def loss_names() -> frozenset[str]:
    names = {label for loss in all_losses() for label in (loss.name, *loss.aliases)}
    return frozenset(names | {name.replace("-", "_") for name in names})


@by_file([path for path in FILES if not within(path, ("losses",))])
def test_no_loss_is_named_outside_losses(path: Path) -> None:
    names = loss_names()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Compare):  # `loss.name == "huber"`: a missing field of the declaration
            sides = [node.left, *node.comparators]
            texts = {s.value for s in sides if isinstance(s, ast.Constant) and isinstance(s.value, str)}
            naming = any(isinstance(s, ast.Attribute) and s.attr in ("name", "loss", "family") for s in sides)
            assert not (naming and texts & names), f"line {node.lineno}"
        if isinstance(node, ast.ImportFrom) and node.module:
            assert not node.module.startswith("lossctl.losses."), f"line {node.lineno}"


PROGRAM = """
import sys
from lossctl.__main__ import main
try:
    main(["compute", "huber", *sys.argv[1:]])
except SystemExit as stop:
    assert not stop.code, stop.code
heavy = ("pandas", "scipy", "rich", "pyarrow.dataset", "pyarrow.compute", "requests")
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("csv", ["-f", "json"]),
        ("parquet", ["-f", "json"]),
        ("parquet", ["--reduction", "none", "-o", "{}/rows.parquet"]),
    ],
)
def test_a_plain_run_loads_nothing_heavy(kind: str, more: list[str], tmp_path: Path) -> None:
    path = tmp_path / f"preds.{kind}"
    if kind == "csv":
        path.write_text("y_true,y_pred\n1,1.5\n2,2\n")
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"y_true": [1.0, 2.0], "y_pred": [1.5, 2.0]}), path)
    words = [sys.executable, "-c", PROGRAM, str(path), *(word.format(tmp_path) for word in more)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ('"value": 0.0625' in done.stdout) == ("json" in more)
    assert (tmp_path / "rows.parquet").exists() == ("json" not in more)
    assert done.stdout.splitlines()[-1] == "[]"


def test_importing_lossctl_loads_nothing() -> None:
    code = (
        "import sys, lossctl; print([n for n in ('numpy', 'pyarrow', 'typer', 'pandas') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_the_functions_are_not_hidden_by_modules() -> None:
    """A submodule named like a public function replaces it once something imports the submodule."""
    hidden = {name for name in lossctl.__all__ if (ROOT / f"{name}.py").exists() or (ROOT / name).is_dir()}
    assert hidden == set()
