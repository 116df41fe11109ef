"""From statistics of a file to advice: which losses fit and why, and which would be misuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lossctl.fits import Case, Fit, Role, fit, role_of
from lossctl.loss.declare import Loss
from lossctl.loss.params import value_text
from lossctl.loss.registry import all_losses
from lossctl.profile import Profile
from lossctl.roles import Candidates, Columns, role_text
from lossctl.tallies import Numbers
from lossctl.tasks import CLASSES, Reading, recognise

__all__ = ["Advice", "Pick", "View", "Warned", "recommend"]

SCHEMA = "lossctl.recommend/1"
PER_TASK = 6
_CORE = frozenset({"target", "pred", "group"})
_NEUTRAL = frozenset({"outliers", "imbalance", "positive-targets"})


@dataclass(frozen=True)
class Pick:
    """A loss that fits, for which task, why, and the command that computes it."""

    loss: str
    spec: str
    task: str
    reason: str
    command: str

    def to_dict(self) -> dict[str, Any]:
        return {"loss": self.loss, "spec": self.spec, "task": self.task, "reason": self.reason} | {
            "command": self.command
        }


@dataclass(frozen=True)
class Warned:
    """A likely misuse: what was seen, losses that would run but mislead, and what fits instead."""

    kind: str
    message: str
    avoid: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "message": self.message,
            "avoid": list(self.avoid),
            "instead": list(self.instead),
        }


@dataclass
class View:
    """Advice for one target and one prediction."""

    target: str | None
    pred: str | None
    tasks: dict[str, str]
    facts: list[str]
    picks: list[Pick] = field(default_factory=list)
    warnings: list[Warned] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "pred": self.pred,
            "tasks": [{"task": task, "reason": why} for task, why in self.tasks.items()],
            "facts": self.facts,
            "recommended": [pick.to_dict() for pick in self.picks],
            "warnings": [warning.to_dict() for warning in self.warnings],
        }


@dataclass(frozen=True)
class Advice:
    """All views of a file."""

    rows: int
    views: Sequence[View]

    def to_dict(self) -> dict[str, Any]:
        views = [view.to_dict() for view in self.views]
        return {"schema": SCHEMA, "rows": self.rows, "views": views}


@dataclass(frozen=True)
class _Request:
    """What every view shares: the columns' names on the command line, files, options of reading them."""

    says: Mapping[Columns, str]
    files: Sequence[str]
    reading: Sequence[str]


def recommend(
    seen: Profile, found: Candidates, names: Sequence[str], files: Sequence[str], reading: Sequence[str] = ()
) -> Advice:
    """Advice on a profiled file; `names` are its columns in order, `reading` options for the commands."""
    every = [*found.targets, *found.preds, *((name,) for name in names)]
    request = _Request({columns: role_text(columns, names) for columns in every}, files, reading)
    extras = {name.casefold().replace("-", "_"): role for name in names if (role := role_of(seen, (name,)))}
    groups = [role for name in found.groups if (role := role_of(seen, (name,)))]
    group = groups[0] if groups else None
    targets: list[Columns | None] = [*found.targets] or [None]
    views = []
    for target in targets:
        for pred in (*found.preds, None):
            case = Case(_role(seen, target), _role(seen, pred), group, extras, {}, request.says)
            errors = seen.differences.get((target[0], pred[0])) if target and pred else None
            view = _view(case, errors, request)
            if view.picks or pred is not None:
                views.append(view)
    return Advice(seen.rows, views)


def _role(seen: Profile, columns: Columns | None) -> Role | None:
    return role_of(seen, columns) if columns else None


def _view(case: Case, errors: Numbers | None, request: _Request) -> View:
    reading = recognise(case, errors)
    target = request.says[case.target.columns] if case.target else None
    pred = request.says[case.pred.columns] if case.pred else None
    amounts = errors if "regression" in reading.tasks else None
    view = View(target, pred, reading.tasks, _facts(case, amounts))
    view.picks = _picks(case, reading, request)
    if pred is None and not any("--target" in pick.command for pick in view.picks):
        view.target, view.facts = None, []
    view.warnings = _warnings(case, reading, errors, view)
    return view


def _picks(case: Case, reading: Reading, request: _Request) -> list[Pick]:
    made: dict[str, Pick] = {}
    for loss in all_losses():
        if _own_columns(loss, case):
            _take(made, loss, case, ", ".join(loss.tasks[:1]), request)
    for task in reading.tasks:
        fitting = [loss for loss in _by_weight(task, reading) if _suits(loss, task, reading)]
        left = PER_TASK
        for loss in fitting:
            if left and loss.name not in made and _take(made, loss, case, task, request):
                left -= 1
    return list(made.values())


def _suits(loss: Loss, task: str, reading: Reading) -> bool:
    """Whether the loss takes a target and a prediction and means what they are; margins are no task alone."""
    if not {"target", "pred"} <= set(loss.inputs) <= _CORE or _misread(loss, reading) or reading.swayed(loss):
        return False
    return task != "margins" or bool((set(loss.tasks) & set(reading.tasks)) - {"margins"})


def _own_columns(loss: Loss, case: Case) -> bool:
    """Whether the loss has inputs of its own that the file names, and needs just what the case has."""
    own = set(loss.inputs) - _CORE
    if not own or not own <= set(case.extras) or ("pred" in loss.inputs) != (case.pred is not None):
        return False
    return not loss.pointwise or all(case.extras[name].shape == "scalar" for name in own)


def _by_weight(task: str, reading: Reading) -> list[Loss]:
    """Losses of the task: made for nothing else first, its own family first, then as declared."""
    tasked = [loss for loss in all_losses() if task in loss.tasks]

    def weight(loss: Loss) -> tuple[int, bool]:
        others = set(loss.tasks) - set(reading.tasks) - _NEUTRAL - (CLASSES if task in CLASSES else set())
        return len(others), loss.family != task

    return sorted(tasked, key=weight)


def _misread(loss: Loss, reading: Reading) -> bool:
    """Margin losses want scores, not probabilities; raw scores want a loss made for them."""
    forms = loss.inputs["pred"].forms
    if reading.scores in ("probabilities", "labels", "unnormalised weights", "log-probabilities"):
        raw = all(form.kind == "real" for form in forms) and {"binary", "segmentation"} & set(loss.tasks)
        return "margins" in loss.tasks or bool(raw)
    if reading.scores in ("logits", "scores") and "ranking" not in loss.tasks and "margins" not in loss.tasks:
        return "from_logits" not in loss.params and forms[0].kind != "real"
    return False


def _take(made: dict[str, Pick], loss: Loss, case: Case, task: str, request: _Request) -> bool:
    found = fit(loss, case)
    if found is None:
        return False
    reason = loss.doc.sections.get("Use when", loss.doc.summary)
    reason = _with_settings(reason, found)
    command = found.command(request.files, request.reading)
    made[loss.name] = Pick(loss.name, found.bound.text, task, reason, command)
    return True


def _with_settings(reason: str, found: Fit) -> str:
    """The reason, and the parameters left at their defaults, which only the user can judge."""
    params = found.bound.loss.params
    left = [
        f"{params[name].kebab}={value_text(value)}"
        for name, value in found.bound.params.items()
        if isinstance(value, float) and value and value == params[name].default
    ]
    return f"{reason} (defaults: {', '.join(left)})" if left else reason


def _facts(case: Case, errors: Numbers | None) -> list[str]:
    facts = []
    for name, role in (("target", case.target), ("prediction", case.pred)):
        if role is not None:
            facts.append(f"{name}: {_described(role)}")
    if errors is not None and errors.finite:
        facts.append(
            f"errors: mean {errors.mean:.4g}, median {errors.quantile(0.5):.4g}, robust spread "
            f"{errors.spread:.4g}, {errors.outliers} of {errors.finite} far out"
        )
    return facts


def _described(role: Role) -> str:
    if role.shape == "text":
        return f"text, {role.stats.missing} missing"
    numbers, rows = role.numbers, role.rows
    many = "many" if numbers.distinct is None else str(numbers.distinct)
    text = f"{'whole numbers' if numbers.whole else 'numbers'} from {numbers.low:.6g} to {numbers.high:.6g}"
    text += f", {many} distinct, mean {numbers.mean:.4g}"
    if role.shape != "scalar":
        width = str(rows.width) if rows.width else "varying"
        text = (
            f"{role.shape} of width {width}, {text}, rows in [0, 1] {rows.unit}, summing to one {rows.sums}"
        )
        text += f" of {rows.steps}"
    missing = rows.missing if role.shape != "scalar" else numbers.missing
    return text + (f", {missing} missing or not finite" if missing else "")


def _warnings(case: Case, reading: Reading, errors: Numbers | None, view: View) -> list[Warned]:
    from lossctl.misuse import warnings_of

    return warnings_of(case, reading, errors, [pick.loss for pick in view.picks])
