"""Mutation testing: python tests/soak/mutate.py MODULE... [--sample N] [--seed N] [--jobs N] [--lines A-B].

MODULE is a name of TESTS, such as exact, or `all`. Every mutant is one change to one module, held in memory:
no file is written. It is killed when a test of TESTS fails, or does not end in time. Tests of other processes
see the module unchanged and are therefore left out.

What is changed: operators, comparisons, conditions, whole numbers by one, fractions by a factor, flags and
words; statements, named arguments and raised errors go away. What an error or a reason says is let alone.
Exit code 1 when a mutant survives that `equivalents.py` does not explain.
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import importlib.util
import os
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from equivalents import reason_of
from mutations import mutants

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SECONDS = 60

SUMS = ("test_exact_edges.py", "test_exact.py")
GATES = (
    "test_verdicts.py",
    "test_verdicts_data.py",
    "test_gate.py::TestVerdicts",
    "test_gate_significant.py::test_limits",
)
TESTS = {
    "exact": SUMS,
    "exact_groups": SUMS,
    "state": ("test_state.py",),
    "gate": (*GATES, "test_gate_significant.py::test_regressions"),
    "verdicts": GATES,
}


def source_of(name: str) -> Path:
    return ROOT / "lossctl" / f"{name}.py"


def mutated(name: str, number: int | None) -> Any:
    """The code of a module after its change `number`, or after none."""
    path = source_of(name)
    tree = ast.parse(path.read_text())
    if number is not None:
        list(mutants(tree))[number].apply()
    return compile(ast.fix_missing_locations(tree), str(path), "exec")


class Replacing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a code object."""

    def __init__(self, name: str, code: Any) -> None:
        self.name = f"lossctl.{name}"
        self.code = code

    def find_spec(self, name: str, path: object, target: object = None) -> Any:
        return importlib.util.spec_from_loader(name, self) if name == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


def trial(name: str, number: int | None, tests: Sequence[str]) -> int:
    """The exit code of pytest with the module changed; for a process made for it."""
    import pytest
    from hypothesis import Phase, settings

    if any(word.split(".")[0] == "lossctl" for word in sys.modules):
        raise RuntimeError("lossctl is imported already")
    settings.register_profile(
        "mutate", derandomize=True, database=None, phases=[Phase.explicit, Phase.generate], deadline=None
    )
    settings.load_profile("mutate")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.path.insert(0, str(ROOT))
    sys.meta_path.insert(0, Replacing(name, mutated(name, number)))
    flags = ["-x", "-q", "-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin", "--assert=plain"]
    flags += ["-k", "not equal_fsum"]  # ten seconds for what the other tests find
    return int(pytest.main([*flags, *(str(HERE.parent / test) for test in tests)]))


def forked(name: str, number: int | None, tests: Sequence[str], seconds: int) -> int:
    """Start a trial in a process of its own, silent, with a limit of CPU time and memory."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.alarm(10 * seconds)
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        code = trial(name, number, tests)
    finally:
        os._exit(code)


def survivors(name: str, chosen: Sequence[int], tests: Sequence[str], jobs: int) -> list[int]:
    """The changes no test noticed; raises RuntimeError when the tests fail without a change."""
    _, status, used = os.wait4(forked(name, None, tests, SECONDS), 0)
    if status:
        raise RuntimeError(f"the tests of {name} fail without a mutant: status {status}")
    seconds = min(SECONDS, 10 + int(2 * (used.ru_utime + used.ru_stime)))
    left, running, alive = list(chosen), {}, []
    while left or running:
        while left and len(running) < jobs:
            number = left.pop(0)
            running[forked(name, number, tests, seconds)] = number
        process, status = os.wait()
        number = running.pop(process)
        if status == 0:
            alive.append(number)
            print(f"{name} #{number} survives, {len(left)} left", file=sys.stderr, flush=True)
        elif os.waitstatus_to_exitcode(status) > 3:
            raise RuntimeError(f"pytest could not run for mutant {number} of {name}: status {status}")
    return sorted(alive)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("modules", nargs="+", choices=[*TESTS, "all"])
    parser.add_argument("--sample", type=int, help="take so many mutants of each module, not all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--lines", help="only mutants on lines A-B")
    given = parser.parse_args()
    import hypothesis.extra.numpy  # noqa: F401  # once, before the processes part
    import pyarrow  # noqa: F401
    import pytest  # noqa: F401

    names = list(TESTS) if "all" in given.modules else given.modules
    total = 0
    for name in names:
        found = list(mutants(ast.parse(source_of(name).read_text())))
        first, last = (int(word) for word in (given.lines or "0-99999").split("-"))
        chosen = [i for i, each in enumerate(found) if first <= each.line <= last]
        if given.sample and given.sample < len(chosen):
            chosen = sorted(random.Random(given.seed).sample(chosen, given.sample))
        alive = survivors(name, chosen, TESTS[name], given.jobs)
        lines = source_of(name).read_text().splitlines()
        reasons = {n: reason_of(name, lines[found[n].line - 1], found[n].text) for n in alive}
        for number, reason in reasons.items():
            print(f"{name}:{found[number].line}: #{number} {found[number].text}   [{reason or 'SURVIVED'}]")
        told = Counter("survived" if reason is None else "equivalent" for reason in reasons.values())
        print(f"{name}: {len(chosen)} mutants, {len(chosen) - len(alive)} killed, {dict(told)}", flush=True)
        total += told["survived"]
    return 1 if total else 0


if __name__ == "__main__":
    raise SystemExit(main())
