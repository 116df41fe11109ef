"""The mutation test itself: what it changes in a module, and that a change meets a failing test."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parent / "soak"

SOURCE = """
LIMIT = 3

def clip(x: int, low: int = 0) -> int:
    'Docstrings stay.'
    if x < low:
        raise ValueError(f"{x} is too low")
    while x > LIMIT and x:
        x -= 1
    return x
"""
CHANGES = [
    "3  ->  4",
    "3  ->  2",
    "0  ->  1",
    "0  ->  -1",
    "if x < low:  ->  not ...",
    "x < low  ->  x <= low",
    "x < low  ->  x >= low",
    "raise ValueError(f'{x} is too low')  ->  pass",
    "while x > LIMIT and x:  ->  while False",
    "x > LIMIT and x  ->  x > LIMIT or x",
    "x > LIMIT  ->  x >= LIMIT",
    "x > LIMIT  ->  x <= LIMIT",
    "x -= 1  ->  other operator",
    "x -= 1  ->  pass",
    "1  ->  2",
    "1  ->  0",
    "return x  ->  return None",
]


def test_every_change_is_one_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SOAK))
    from mutations import mutants

    assert sorted(each.text for each in mutants(ast.parse(SOURCE))) == sorted(CHANGES)
    seen = set()
    for number in range(len(CHANGES)):
        tree = ast.parse(SOURCE)
        list(mutants(tree))[number].apply()
        compile(ast.fix_missing_locations(tree), "mutant", "exec")
        seen.add(ast.unparse(tree))
    assert len(seen) == len(CHANGES)
    assert ast.unparse(ast.parse(SOURCE)) not in seen


def test_one_mutant_of_a_module_is_killed() -> None:
    line = 1 + (SOAK.parent.parent / "lossctl" / "verdicts.py").read_text().splitlines().index(
        '        return any(verdict.counts_as == "failure" for verdict in self.verdicts)'
    )
    words = [
        sys.executable,
        str(SOAK / "mutate.py"),
        "verdicts",
        "--sample",
        "1",
        "--lines",
        f"{line}-{line}",
    ]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "verdicts: 1 mutants, 1 killed, {}\n"), done.stderr
