"""Whether a loss can take what a file holds, by its declared inputs alone; no row is read here."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lossctl.columns import choose_form
from lossctl.errors import LossctlError, counted
from lossctl.loss.declare import Loss
from lossctl.loss.kinds import Form
from lossctl.loss.params import REQUIRED
from lossctl.loss.registry import all_losses
from lossctl.loss.spec import Bound, bind
from lossctl.profile import Profile, Texts, Vectors
from lossctl.tallies import Numbers

__all__ = ["Case", "Fit", "Flat", "Role", "fit", "role_of", "stored_flat", "taken_together"]


@dataclass(frozen=True)
class Role:
    """Columns in a role with what was seen in them; shape: scalar, vector, sequence, matrix or text."""

    columns: tuple[str, ...]
    shape: str
    stats: Numbers | Texts | Vectors

    @property
    def numbers(self) -> Numbers:
        """Statistics of the single numbers; of a text there are none."""
        if isinstance(self.stats, Vectors):
            return self.stats.values
        return self.stats if isinstance(self.stats, Numbers) else Numbers()

    @property
    def rows(self) -> Vectors:
        return self.stats if isinstance(self.stats, Vectors) else Vectors()

    @property
    def width(self) -> int | None:
        return self.rows.width

    @property
    def rows_text(self) -> str:
        """What a row holds, in words."""
        if self.shape in ("scalar", "text"):
            return "one number" if self.shape == "scalar" else "a text"
        if self.shape == "matrix":
            return "a list of vectors"
        return (
            counted(self.width, "number", "numbers")
            if self.width
            else "{} to {} numbers".format(*(self.rows.widths or (0, 0)))
        )

    def only(self, *values: float) -> bool:
        """Whether every finite value is one of these and each of two occurs."""
        counts = self.numbers.counts
        return bool(counts) and counts is not None and set(counts) <= set(values)

    def named(self, *words: str) -> bool:
        return any(word in name.casefold() for name in self.columns for word in words)


def role_of(seen: Profile, columns: tuple[str, ...]) -> Role | None:
    """The role that these columns can play, None where they hold nothing readable."""
    if len(columns) > 1:
        return Role(columns, "vector", seen.vectors[columns]) if columns in seen.vectors else None
    stats = seen.columns.get(columns[0])
    if stats is None:
        return None
    if not isinstance(stats, Vectors):
        return Role(columns, "text" if isinstance(stats, Texts) else "scalar", stats)
    if seen.kinds[columns[0]] == "lists":
        return Role(columns, "matrix", stats)
    return Role(columns, "vector" if stats.width else "sequence", stats)


@dataclass
class Case:
    """One choice of target, prediction and group, and what is known of it for the losses' parameters.

    extras: further columns by the input name they bear. given: parameter values that the file tells.
    says: how to name columns on the command line.
    """

    target: Role | None
    pred: Role | None
    group: Role | None = None
    extras: Mapping[str, Role] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)
    says: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    def role(self, name: str) -> Role | None:
        own = {"target": self.target, "pred": self.pred, "group": self.group}
        return own[name] if name in own else self.extras.get(name)


@dataclass(frozen=True)
class Fit:
    """A loss bound to columns of the file."""

    bound: Bound
    columns: Mapping[str, str]
    skips: bool

    def command(self, files: Sequence[str], reading: Sequence[str] = ()) -> str:
        """The command line that computes it; `reading` are options of how to read the files."""
        words = ["lossctl", "compute", self.bound.text]
        for name, text in self.columns.items():
            words += [f"--{name.replace('_', '-')}", text]
        words += ["--nan", "skip"] if self.skips else []
        return shlex.join([*words, *reading, *files])


def fit(loss: Loss, case: Case) -> Fit | None:
    """How the loss would run on the case, None if the data is not what it declares to take."""
    if loss.open_inputs is not None or not loss.inputs:
        return None
    given = _given(loss, case)
    roles = {name: case.role(name) for name in loss.inputs}
    if given is None or any(role is None for role in roles.values()):
        return None
    found = {name: role for name, role in roles.items() if role is not None}
    try:
        bound = Bound(loss, bind(loss, given))
        forms = _forms(bound, found)
    except LossctlError:
        return None
    if not all(_takes(forms[name], role, found, bound.params) for name, role in found.items()):
        return None
    if not _agree(loss, forms, found):
        return None
    skips = any(_missing(forms[name], role) for name, role in found.items())
    return Fit(bound, {name: case.says[role.columns] for name, role in found.items()}, skips)


def taken_together(target: Role, pred: Role) -> bool:
    """Whether a loss of the catalogue takes rows of these shapes, whatever the values are."""
    if target.shape == pred.shape:
        return target.shape in ("scalar", "text") or (target.shape == "vector" and target.width == pred.width)
    both = [loss for loss in all_losses() if {"target", "pred"} <= set(loss.inputs) and not loss.pointwise]
    if pred.shape == "scalar":  # a target of either shape has the prediction's
        both = [
            loss for loss in both if not any(form.shape == "scalar" for form in loss.inputs["target"].forms)
        ]
    return any(_holds(loss, "target", target) and _holds(loss, "pred", pred) for loss in both)


@dataclass(frozen=True)
class Flat:
    """Vectors in one list per row: the losses that read them by --width, and the width where it follows."""

    losses: tuple[str, ...]
    width: int | None

    @property
    def text(self) -> str:
        losses = ", ".join(self.losses)
        if self.width is None:
            return f"the prediction may hold vectors in one list per row, as {losses} can read with --width"
        return (
            f"the prediction holds {self.width} numbers for each of the target: "
            f"vectors in one list per row, as {losses} can read with --width {self.width}"
        )


def stored_flat(target: Role, pred: Role) -> Flat | None:
    """How a loss could read lists of different lengths: as labels, and the vectors of their classes."""
    lists = {target.shape, pred.shape} <= {"vector", "sequence"} and len(target.columns + pred.columns) == 2
    if not lists or not target.numbers.whole:
        return None
    width = _per_label(target.rows, pred.rows)
    if width is None and not _divisible(target.rows, pred.rows):
        return None
    stacked = replace(pred, shape="matrix")
    readers = [
        loss.name
        for loss in all_losses()
        if {"target", "pred"} == set(loss.inputs)
        and _holds(loss, "target", target)
        and _holds(loss, "pred", stacked)
        and (width is not None or all(_aligns(loss, form) for form in loss.inputs["target"].forms))
    ]
    return Flat(tuple(readers), width) if readers else None


def _per_label(labels: Vectors, flat: Vectors) -> int | None:
    """How many numbers there are for each label, if it is one count above 1 in all that is known."""
    few, many = labels.widths or (0, 0), flat.widths or (0, 0)
    times = many[1] // few[1] if few[1] else 0
    whole = labels.nulls or flat.nulls or flat.values.size == times * labels.values.size
    return times if times > 1 and whole and many == (times * few[0], times * few[1]) else None


def _divisible(labels: Vectors, flat: Vectors) -> bool:
    """Whether all lists could be vectors of one width, with a step for every label at least."""
    few, many = labels.widths or (0, 0), flat.widths or (0, 0)
    width = math.gcd(*many, flat.values.size)
    return width > 1 and many[0] >= 2 * few[0] and many[1] >= 2 * few[1]


def _holds(loss: Loss, name: str, role: Role) -> bool:
    forms = loss.inputs[name].forms
    if role.shape == "text":
        return any(form.kind in ("text", "label") for form in forms)
    return any(form.shape in (role.shape, "sequence" if role.shape == "vector" else "") for form in forms)


def _given(loss: Loss, case: Case) -> dict[str, Any] | None:
    given = {name: value for name, value in case.given.items() if name in loss.params}
    needed = [name for name, param in loss.params.items() if param.default is REQUIRED]
    return given if all(name in given for name in needed) else None


def _forms(bound: Bound, roles: Mapping[str, Role]) -> dict[str, Form]:
    vectors = {name for name, role in roles.items() if role.shape not in ("scalar", "text")}
    return {
        name: choose_form(bound, item, name in vectors, bool(vectors - {name}))
        for name, item in bound.inputs.items()
    }


def _takes(form: Form, role: Role, roles: Mapping[str, Role], given: Mapping[str, Any]) -> bool:
    if form.kind == "group":
        return _contiguous(role)
    if form.kind == "text" or role.shape == "text":
        return role.shape == "text" and (
            form.kind == "text" or (form.kind == "label" and bool(given.get("classes")))
        )
    shapes = ("sequence", "vector") if form.shape == "sequence" else (form.shape,)
    if role.shape not in shapes or not role.numbers.finite:
        return False
    if form.width is not None and role.width != form.width:
        return False
    low, high = form.domain.ends
    if not role.numbers.within(low, high):
        return False
    if form.sums_to_one and role.rows.sums < role.rows.steps - role.rows.missing:
        return False
    return _is_kind(form, role, roles, given)


def _is_kind(form: Form, role: Role, roles: Mapping[str, Role], given: Mapping[str, Any]) -> bool:
    if form.kind == "sign":
        return role.only(0.0, 1.0) or role.only(-1.0, 1.0)
    if form.kind == "binary":
        return role.only(0.0, 1.0)
    if form.kind != "label":
        return True
    scores = roles.get(form.of) if form.of else None
    within = scores is None or scores.width is None or role.numbers.within(0, scores.width - 1)
    barred = given.get(form.without) if form.without else None
    return bool(role.numbers.whole and within and barred not in (role.numbers.counts or {}))


def _contiguous(role: Role) -> bool:
    if isinstance(role.stats, Texts) or role.shape != "scalar" or role.numbers.missing:
        return False
    found = role.numbers.distinct
    return role.numbers.runs == found or (found is None and 2 * role.numbers.runs <= role.numbers.size)


def _agree(loss: Loss, forms: Mapping[str, Form], roles: Mapping[str, Role]) -> bool:
    """Vectors side by side are equally wide, and a loss of single numbers gets nothing but equal shapes."""
    widths = {roles[name].width for name, form in forms.items() if form.shape == "vector"}
    if len(widths) > 1 or None in widths:
        return False
    if loss.pointwise and len({form.shape for form in forms.values()}) > 1:
        return False
    return all(_steps_agree(loss, form, roles[name], roles) for name, form in forms.items())


def _steps_agree(loss: Loss, form: Form, role: Role, roles: Mapping[str, Role]) -> bool:
    """A label for every step, unless the loss aligns them by itself."""
    if form.shape != "sequence" or form.of is None or _aligns(loss, form):
        return True
    steps = roles[form.of].rows
    return role.rows.widths == steps.lengths and role.rows.values.size == steps.steps


def _aligns(loss: Loss, form: Form) -> bool:
    """Whether the loss finds the steps of its labels by itself: it has a class that no label may be."""
    return form.without in loss.params


def _missing(form: Form, role: Role) -> bool:
    if isinstance(role.stats, Vectors):
        return bool(role.stats.missing or (role.numbers.neginf and not form.domain.contains(float("-inf"))))
    return bool(role.stats.missing)
