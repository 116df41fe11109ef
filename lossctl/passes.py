"""The passes of a gate: checks that read the same rows in the same way share one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from lossctl.aggregate import to_result
from lossctl.bootstrap import require_totals
from lossctl.config import CheckPlan
from lossctl.errors import AmbiguousColumn, MissingColumn, NoRowsLeft, UsageError, visible
from lossctl.loss.spec import Spec
from lossctl.plan import Settings, make_plan
from lossctl.result import Result
from lossctl.sources import open_dataset
from lossctl.spine import Progress, run

__all__ = ["Pass", "Passes"]

_FORM = ("input_format", "delimiter", "na", "require_checksums")
_JOIN = ("target_file", "on", "join")


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
        streams = 0
        try:
            for each in self.passes:
                plan = each.plans[0]
                streams += "-" in plan.files or plan.settings["target_file"] == "-"
                if streams > 1:
                    raise UsageError(
                        "standard input can be read only once, but the checks need several passes over it",
                        hint="save it to a file, or give all checks the same where, weight, by, ci and files",
                    )
                key = _source(plan)
                if key not in opened:
                    opened[key] = self._stack.enter_context(self._opened(plan))
                each.dataset = opened[key]
        except BaseException:
            self._stack.close()
            raise
        self.datasets = list(opened.values())
        return self

    def _opened(self, plan: CheckPlan) -> Any:
        form = {name: plan.settings[name] for name in _FORM}
        target_file, on, how = (plan.settings[name] for name in _JOIN)
        if target_file is None:
            return open_dataset(list(plan.files), threads=self.threads, **form)
        from lossctl.sources.join import open_joined

        return open_joined(list(plan.files), target_file, on, how, threads=self.threads, **form)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def paths(self) -> list[str]:
        return [source.path for dataset in self.datasets for source in dataset.sources]

    def run(self, progress: Progress | None) -> list[Pass]:
        """Every pass with its result. Plans are all made, so all columns found, before the first row."""
        plans = [_planned(each, self.threads) for each in self.passes]
        for each, plan in zip(self.passes, plans, strict=True):
            try:
                outcome = run(plan, each.dataset, progress=progress)
                each.result = to_result(plan, outcome, each.dataset)
            except NoRowsLeft as error:
                each.reason = visible(error.message)
        return self.passes


def _planned(each: Pass, threads: int) -> Any:
    try:
        return make_plan(list(each.specs.values()), _settings(each, threads), each.dataset)
    except (MissingColumn, AmbiguousColumn) as error:
        key = str(error.facts["role"]).replace("-", "_")
        if key not in ("target", "pred"):  # the options that a gate has
            error.by(f"in the spec, as LOSS:{key}=COLUMN, or as {key} = 'COLUMN' under [data]")
        raise


def _source(plan: CheckPlan) -> tuple[Any, ...]:
    return plan.files, *(plan.settings[name] for name in (*_FORM, *_JOIN))


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
        if not _alike(other, plan):
            return False
        mine = {role for term in plan.spec.terms for role in term.bound.inputs}
        theirs = {role for term in other.spec.terms for role in term.bound.inputs}
        if any(other.columns.get(role) != plan.columns.get(role) for role in mine & theirs):
            return False
    return True


def _alike(one: CheckPlan, other: CheckPlan) -> bool:
    """Whether the rows are read in one way; a check without an interval may share a pass that draws one."""
    said, also = dict(one.settings), dict(other.settings)
    drawn = {said.pop("ci"), also.pop("ci")} - {None}
    able = all(_has_totals(plan.spec) for plan in (one, other))
    return one.files == other.files and said == also and (len(drawn) < 2 and (able or not drawn))


def _has_totals(spec: Spec) -> bool:
    try:
        for term in spec.terms:
            require_totals(term.bound)
    except UsageError:
        return False
    return True


def _settings(each: Pass, threads: int) -> Settings:
    said = each.plans[0].settings
    drawn = (plan.settings["ci"] for plan in each.plans if plan.settings["ci"] is not None)
    return Settings(
        columns={role: names for plan in each.plans for role, names in plan.columns.items()},
        weight=said["weight"],
        by=said["by"],
        where=said["where"],
        missing=said["missing"],
        na=said["na"],
        join=said["join"],
        reduction=said["reduction"],
        elements=said["elements"],
        width=said["width"],
        expect_rows=said["expect_rows"],
        ci=next(drawn, None),
        threads=threads,
    )
