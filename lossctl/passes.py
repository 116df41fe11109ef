"""The passes of a gate: checks that read the same rows in the same way share one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from lossctl.aggregate import to_result
from lossctl.config import CheckPlan
from lossctl.errors import NoRowsLeft, UsageError, visible
from lossctl.loss.spec import Spec
from lossctl.plan import Settings, make_plan
from lossctl.result import Result
from lossctl.sources import open_dataset
from lossctl.spine import Progress, run

__all__ = ["Pass", "Passes"]


@dataclass
class Pass:
    """Checks computed together; `result` is None with a `reason` when no row was left for them."""

    plans: list[CheckPlan]
    dataset: Any = None
    result: Result | None = None
    reason: str = ""
    specs: dict[str, Spec] = field(default_factory=dict)


class Passes:
    """Opens every data set once, then runs pass after pass; leave its `with` to close the files."""

    def __init__(self, plans: Sequence[CheckPlan], threads: int) -> None:
        self.threads = threads
        self.passes = _grouped(plans)
        self._stack = ExitStack()

    def __enter__(self) -> Passes:
        opened: dict[Any, Any] = {}
        try:
            for each in self.passes:
                key = _source(each.plans[0])
                if key in opened and "-" in each.plans[0].files:
                    raise UsageError(
                        "standard input can be read only once, but the checks need several passes over it",
                        hint="save it to a file, or give all checks the same where, weight and by",
                    )
                if key not in opened:
                    files, input_format, delimiter = key
                    opened[key] = self._stack.enter_context(
                        open_dataset(
                            list(files), input_format=input_format, delimiter=delimiter, threads=self.threads
                        )
                    )
                each.dataset = opened[key]
        except BaseException:
            self._stack.close()
            raise
        self.datasets = list(opened.values())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def paths(self) -> list[str]:
        return [source.path for dataset in self.datasets for source in dataset.sources]

    def run(self, progress: Progress | None) -> list[Pass]:
        """Every pass with its result. Plans are all made, so all columns found, before the first row."""
        plans = [
            make_plan(list(p.specs.values()), _settings(p, self.threads), p.dataset) for p in self.passes
        ]
        for each, plan in zip(self.passes, plans, strict=True):
            try:
                outcome = run(plan, each.dataset, progress=progress)
                each.result = to_result(plan, outcome, each.dataset)
            except NoRowsLeft as error:
                each.reason = visible(error.message)
        return self.passes


def _source(plan: CheckPlan) -> tuple[tuple[str, ...], str | None, str | None]:
    return plan.files, plan.settings["input_format"], plan.settings["delimiter"]


def _grouped(plans: Sequence[CheckPlan]) -> list[Pass]:
    made: list[Pass] = []
    for plan in plans:
        for each in made:
            if _compatible(each, plan):
                break
        else:
            made.append(each := Pass([]))
        each.plans.append(plan)
        each.specs.setdefault(plan.spec.text, plan.spec)
    return made


def _compatible(each: Pass, plan: CheckPlan) -> bool:
    """Same files and settings, and no role or loss that the two read from different columns."""
    for other in each.plans:
        if _source(other) != _source(plan) or dict(other.settings) != dict(plan.settings):
            return False
        mine = {role for term in plan.spec.terms for role in term.bound.inputs}
        theirs = {role for term in other.spec.terms for role in term.bound.inputs}
        if any(other.columns.get(role) != plan.columns.get(role) for role in mine & theirs):
            return False
    return True


def _settings(each: Pass, threads: int) -> Settings:
    said = each.plans[0].settings
    return Settings(
        columns={role: names for plan in each.plans for role, names in plan.columns.items()},
        weight=said["weight"],
        by=said["by"],
        where=said["where"],
        missing=said["missing"],
        reduction=said["reduction"],
        elements=said["elements"],
        width=said["width"],
        threads=threads,
    )
