"""Every recorded answer of the libraries in tests/golden; run this file for the largest differences."""

from __future__ import annotations

import json
import math
import warnings
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import lossctl
from lossctl.errors import LossctlError, UnknownName
from lossctl.frames import table_of
from lossctl.loss import Ragged
from lossctl.loss.spec import parse
from lossctl.plan import Settings, make_plan
from lossctl.sources.memory import MemoryDataset

FILES = sorted((Path(__file__).parent / "golden").glob("*.json"))


class Golden(NamedTuple):
    library: str
    number: int
    case: dict[str, Any]

    @property
    def id(self) -> str:
        like = f" --like {self.case['like']}" if self.case["like"] else ""
        kind = "grad" if self.case.get("grad") else self.case["reduction"]
        return f"{self.library}-{self.number}-{self.case['spec']}{like}-{kind}"


@cache
def golden() -> tuple[Golden, ...]:
    return tuple(
        Golden(file.stem, number, case)
        for file in FILES
        for number, case in enumerate(json.loads(file.read_text(encoding="utf-8"))["cases"])
    )


def numbers(value: Any) -> Any:
    """Infinite and NaN values are strings in JSON."""
    if isinstance(value, list):
        return [numbers(item) for item in value]
    return float(value) if isinstance(value, str) and value in ("inf", "-inf", "nan") else value


def flat(value: Any) -> list[float]:
    if isinstance(value, Ragged):
        value = value.values
    if isinstance(value, np.ndarray):
        return [float(v) for v in value.reshape(-1)]
    if isinstance(value, list):
        return [number for item in value for number in flat(item)]
    return [math.nan if value is None else float(value)]


def answers(case: dict[str, Any]) -> list[tuple[list[float], list[float]]]:
    """Pairs of what lossctl gives and what the library gave."""
    inputs = {name: numbers(value) for name, value in case["inputs"].items()}
    expected = case["expected"]
    if case["reduction"] != "none":
        own = (
            None if case["reduction"] == "pooled" else case["reduction"]
        )  # what a loss of totals does anyway
        made = lossctl.compute(
            case["spec"], weight=case["weight"], reduction=own, like=case["like"], **inputs
        )
        return [(flat(made.value), flat(numbers(expected)))]
    block = rows(case, inputs)
    if case.get("grad"):
        return [(flat(block.gradients[name]), flat(numbers(value))) for name, value in expected.items()]
    (values,), (used,) = block.values.values(), block.used.values()
    wanted = flat(numbers(expected))
    if used is not None and len(wanted) == np.count_nonzero(used):
        values = values[used]
    return [(values.tolist(), wanted)]


def rows(case: dict[str, Any], inputs: dict[str, Any]) -> Any:
    from lossctl.spine import run

    weight = {} if case["weight"] is None else {"weight": case["weight"]}
    dataset = MemoryDataset(table_of({**inputs, **weight}))
    settings = Settings(
        columns={name: name for name in inputs},
        weight="weight" if weight else None,
        reduction="none",
        grad=bool(case.get("grad")),
    )
    blocks: list[Any] = []
    run(make_plan(parse(case["spec"], like=case["like"]), settings, dataset), dataset, sample=blocks.append)
    return blocks[0]


def differences(case: dict[str, Any]) -> list[float]:
    """Relative differences beyond the absolute tolerance; inf where one side is not finite or is missing."""
    made = []
    for found, wanted in answers(case):
        if len(found) != len(wanted):
            return [math.inf]
        for a, b in zip(found, wanted, strict=True):
            if a == b or (math.isnan(a) and math.isnan(b)):
                made.append(0.0)
            elif not (math.isfinite(a) and math.isfinite(b)):
                made.append(math.inf)
            else:
                beyond = max(abs(a - b) - case.get("atol", 0.0), 0.0)
                made.append(0.0 if beyond == 0.0 else beyond / abs(b) if b else math.inf)
    return made


@pytest.mark.parametrize("each", golden(), ids=lambda each: each.id)
def test_the_library_agrees(each: Golden) -> None:
    assert max(differences(each.case), default=0.0) <= each.case["rtol"], answers(each.case)


def test_every_library_has_cases() -> None:
    assert len(FILES) >= 10
    assert {each.library for each in golden()} == {file.stem for file in FILES}


def main() -> None:
    """Per library: cases, those out of tolerance, and the largest difference of the others."""
    warnings.simplefilter("error")
    for file in FILES:
        largest, failed, count, absent = 0.0, 0, 0, set[str]()
        for each in golden():
            if each.library != file.stem:
                continue
            count += 1
            try:
                difference = max(differences(each.case), default=0.0)
            except UnknownName as error:
                failed += 1
                absent.add(str(error.facts["name"]))
                continue
            except LossctlError as error:
                failed += 1
                print(f"  {each.id}: {error}")
                continue
            if difference > each.case["rtol"]:
                failed += 1
                print(f"  {each.id}: {difference:.3g} > {each.case['rtol']:g}")
            else:
                largest = max(largest, difference)
        if absent:
            print(f"  {file.stem}: no such loss: {', '.join(sorted(absent))}")
        print(f"{file.stem:16}{count:5} cases  {failed:3} differ  largest relative difference {largest:.2g}")


if __name__ == "__main__":
    main()
