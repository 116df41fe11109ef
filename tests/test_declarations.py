"""What a declaration owes its readers: specs that round-trip, documentation, conventions that bind."""

from __future__ import annotations

from typing import Any

import pytest
from cases import Case, every_case, over, required

from lossctl.loss import Loss
from lossctl.loss.registry import all_losses
from lossctl.loss.spec import bind, parse


def over_losses() -> Any:
    return pytest.mark.parametrize("loss", all_losses(), ids=[loss.name for loss in all_losses()])


@over(every_case())
def test_spec_text_round_trips(case: Case) -> None:
    (spec,) = parse(case.bound.text)
    assert spec.text == case.bound.text
    assert spec.terms[0].bound == case.bound
    assert spec == parse(spec.text)[0]
    assert parse(f"0.5*{spec.text}+{spec.text}")[0].text == f"0.5*{spec.text}+{spec.text}"


@over_losses()
def test_documentation_is_complete(loss: Loss) -> None:
    assert loss.doc.summary.endswith(".")
    assert loss.doc.sections.get("Formula")
    assert loss.doc.sections.get("References")
    assert loss.doc.example.startswith(">>> import lossctl")
    assert all(param.meta.help for param in loss.params.values())


@over_losses()
def test_conventions_of_other_libraries_bind(loss: Loss) -> None:
    needed = required(loss)
    for entry in loss.likes:
        if entry.exists:
            given = {n: v for n, v in needed.items() if n not in entry.params}
            assert set(bind(loss, given, entry.library)) == set(loss.params)
