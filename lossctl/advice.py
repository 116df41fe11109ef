"""Warnings about likely misuse, from what a pass noticed; they never change a number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossctl.apply import Job
from lossctl.errors import counted
from lossctl.loss.params import value_text
from lossctl.plan import Plan
from lossctl.result import STATUS_WORDS, Score
from lossctl.spine import Outcome

__all__ = ["clipped", "warnings_of"]

_ENOUGH = 20  # numbers to judge by


def warnings_of(plan: Plan, outcome: Outcome, scores: Sequence[Score]) -> list[str]:
    """Rows that are no distributions, were clipped or have an infinite loss; regression losses on labels."""
    made = [
        f"{columns}: {counted(count, 'row of probabilities does', 'rows of probabilities do')} not sum to one"
        for columns, count in sorted(outcome.notes.items())
    ]
    made += clipped(plan, outcome)
    for score in scores:
        if not score.group:
            made += [
                f"{score.spec}: {counted(n, 'row has', 'rows have')} a loss that is {STATUS_WORDS[s]}"
                for s, n in score.nonfinite.items()
            ]
    made += _underflowed(plan, outcome, scores)
    labels = dict.fromkeys(name for job in plan.jobs for name in _labels_as_numbers(job, outcome))
    made += [
        f"{name} looks like class labels 0/1: an error of numbers says little about them "
        "(see: lossctl list --task binary)"
        for name in labels
    ]
    columns = dict.fromkeys(name for job in plan.jobs for name in _probabilities_as_logits(job, outcome))
    made += [
        f"{name}: all numbers lie in [0, 1]: they look like probabilities, not logits (from-logits)"
        for name in columns
    ]
    return made


def _underflowed(plan: Plan, outcome: Outcome, scores: Sequence[Score]) -> list[str]:
    """Values of exactly 0 that may not be: a limit holds for them, whatever the rows are."""
    small = {spec.text for spec in plan.specs if any(t.bound.text in outcome.underflows for t in spec.terms)}
    return [
        f"{score.spec}: the value is 0, but numbers too small for a double were rounded off on the way"
        for score in scores
        if not score.group and not score.empty and score.value == 0.0 and score.spec in small
    ]


def clipped(plan: Plan, outcome: Outcome) -> list[str]:
    """How many rows each loss clipped, by which parameter."""
    return [
        f"{job.bound.text}: {outcome.clipped[job.bound.text]:,} of "
        f"{counted(outcome.tally.used, 'row was', 'rows were')} clipped ({_clipping(job)})"
        for job in plan.jobs
        if job.bound.text in outcome.clipped
    ]


def _clipping(job: Job) -> str:
    params = job.bound.loss.params
    return ", ".join(
        f"{param.kebab}={value_text(job.bound.params[name])}"
        for name, param in params.items()
        if param.meta.clips and job.bound.params[name] != param.default
    )


def _labels_as_numbers(job: Job, outcome: Outcome) -> list[str]:
    tasks = job.bound.loss.tasks
    feed = job.feeds.get("target")
    if "regression" not in tasks or "binary" in tasks or feed is None:
        return []
    head = outcome.head.get(feed)
    if feed.form.shape != "scalar" or head is None or len(head) < _ENOUGH:
        return []
    return [feed.columns[0]] if np.isin(head, (0, 1)).all() and len(np.unique(head)) > 1 else []


def _probabilities_as_logits(job: Job, outcome: Outcome) -> list[str]:
    """A loss of a sigmoid of probabilities is small whatever they are: it hides a bad model."""
    found = []
    for feed in job.feeds.values():
        head = outcome.head.get(feed)
        if feed.form.when == "from_logits" and head is not None and len(head) >= _ENOUGH:
            inside = (head >= 0) & (head <= 1)
            if inside.all() and len(np.unique(head)) > 1:
                found.append(",".join(feed.columns))
    return found
