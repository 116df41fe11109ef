"""Rows of every loss against mpmath, a few points each; tests/soak/accuracy.py takes 100,000."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "soak"))
import accuracy

from lossctl.loss.registry import all_losses, get

POINTS = 300


@pytest.mark.parametrize("name", accuracy.ALL)
def test_rows_are_as_accurate_as_recorded(name: str) -> None:
    wanted = max(int(POINTS * accuracy.ALL[name].share), 12)
    found = accuracy.block(name, 0, wanted)
    assert np.max(found.errors) <= accuracy.bound_of(accuracy.recorded()[name]), found.worst
    assert found.mean


def test_every_loss_with_rows_has_a_reference() -> None:
    names = {reference.spec.partition(":")[0] for reference in accuracy.ALL.values()}
    assert names | {*accuracy.EXACT, *accuracy.TOGETHER} == {loss.name for loss in all_losses()}
    assert set(accuracy.recorded()) == set(accuracy.ALL)


@pytest.mark.parametrize("name", accuracy.measured())
def test_explain_states_errors_beyond_two_ulp(name: str) -> None:
    worst = max(accuracy.recorded()[variant]["max"] for variant in accuracy.measured()[name])
    stated = re.search(r"within (\d+) ulp", get(name).doc.sections.get("Numerics", ""))
    if worst > 2.0 or stated:
        assert stated is not None
        assert worst <= int(stated.group(1))


def test_the_readme_shows_the_record() -> None:
    found = accuracy.TABLE.search(accuracy.README.read_text())
    assert found is not None
    assert found.group(0) == f"<!-- accuracy -->\n{accuracy.table()}<!-- /accuracy -->"
