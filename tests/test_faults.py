"""A call to the system that fails ends in exit 3 or 4 and leaves all as it was: some of the soak's runs."""

from __future__ import annotations

import random
import shutil
import sys
import time

import pytest
from faults import run_all, short_of_memory
from soak.cli_fuzz import fuzz
from soak.specs import spec_fuzz

COMPILER = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not shutil.which("gcc"), reason="needs Linux and a C compiler"
)


@COMPILER
def test_failing_calls() -> None:
    made = run_all(19, random.randrange(19))
    assert not made.wrong
    assert {"open", "read", "write", "sync", "rename", "close", "link", "unlink", "mode"} <= set(+made.calls)
    assert set(made.exits) <= {0, 3, 4}
    assert made.exits[4] > 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS")
def test_too_little_memory() -> None:
    wrong, exits = short_of_memory([300, 450])
    assert not wrong
    assert exits[4] >= 3


def test_random_command_lines() -> None:
    counts, wrong = fuzz(300, seed=int(time.time()))
    assert not wrong, counts
    assert counts["exit 0"]


def test_random_specs() -> None:
    counts, wrong = spec_fuzz(2_000, seed=int(time.time()))
    assert not wrong, counts
    assert counts["accepted"] > 100
