"""Warnings of likely misuse, each with the losses that would run all the same and those to use instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from lossctl.errors import counted
from lossctl.fits import Case, fit, stored_flat
from lossctl.loss.declare import Loss
from lossctl.loss.registry import all_losses
from lossctl.tallies import Numbers
from lossctl.tasks import CLASSES, Reading

if TYPE_CHECKING:
    from lossctl.recommend import Warned

__all__ = ["warnings_of"]

_SHOWN = 8


def warnings_of(case: Case, reading: Reading, errors: Numbers | None, picked: list[str]) -> list[Warned]:
    """All that looks wrong with using this prediction for this target."""
    made = [*_labels_as_numbers(case, reading, picked), *_scales(case, reading, picked)]
    made += [*_sums(case, reading, picked), *_tails(case, reading, errors), *_imbalance(reading, case)]
    return [*made, *_gaps(case), *_constant(case), *_misfits(case, picked)]


def _warned(kind: str, message: str, avoid: list[str] | None = None, use: list[str] | None = None) -> Warned:
    from lossctl.recommend import Warned

    return Warned(kind, message, tuple((avoid or [])[:_SHOWN]), tuple((use or [])[:_SHOWN]))


def _running(case: Case, wanted: Callable[[Loss], bool]) -> list[str]:
    """The wanted losses that would run on the case."""
    losses = [loss for loss in all_losses() if set(loss.inputs) <= {"target", "pred"} and wanted(loss)]
    return [loss.name for loss in losses if fit(loss, case)]


def _tasked(task: str, case: Case) -> list[str]:
    return _running(case, lambda loss: task in loss.tasks)


def _labels_as_numbers(case: Case, reading: Reading, picked: list[str]) -> list[Warned]:
    classes = set(reading.tasks) & CLASSES
    if not classes:
        return []
    if "regression" in reading.tasks:
        text = "if the whole numbers are classes, an error of numbers is misuse: it treats them as amounts"
        use = _running(case, lambda loss: not classes.isdisjoint(loss.tasks))
        return [_warned("perhaps-classes", text, [], use)]
    others = CLASSES | {"margins", "images"}
    avoid = _running(case, lambda loss: "regression" in loss.tasks and not others & set(loss.tasks))
    text = "the targets are classes: an error of numbers, such as a squared error, treats them as amounts"
    return [_warned("classes-as-numbers", text, avoid, picked)] if avoid else []


def _scales(case: Case, reading: Reading, picked: list[str]) -> list[Warned]:
    """Names that promise probabilities or logits, and values that say otherwise."""
    pred = case.pred
    if pred is None or not set(reading.tasks) & CLASSES or pred.shape == "text":
        return []
    numbers = pred.numbers
    stem = pred.columns[0].casefold().rstrip("0123456789_.-")
    probable = "prob" in stem or stem == "p"
    graded = reading.scores not in ("log-probabilities", "labels", "values")
    if probable and graded and not numbers.within(0, 1):
        text = f"named like probabilities, the predictions reach from {numbers.low:.4g} to {numbers.high:.4g}"
        return [_warned("looks-like-logits", f"{text}: they look like logits, use --from-logits", [], picked)]
    if "logit" in stem and numbers.within(0, 1):
        text = "the predictions are named like logits but all lie in [0, 1]: they look like probabilities"
        return [_warned("looks-like-probabilities", text, [], picked)]
    if reading.scores == "scores":
        text = "the predictions lie outside [0, 1]: --from-logits only fits scores that are logits"
        return [_warned("logits", text, [], picked)]
    return []


def _sums(case: Case, reading: Reading, picked: list[str]) -> list[Warned]:
    pred = case.pred
    if pred is None or "multi-class" not in reading.tasks or reading.scores != "unnormalised weights":
        return []
    off = pred.rows.steps - pred.rows.sums
    text = f"{off} of {pred.rows.steps} rows do not sum to one: use --normalize or correct the predictions"
    return [_warned("rows-not-summing-to-one", text, [], picked)]


def _tails(case: Case, reading: Reading, errors: Numbers | None) -> list[Warned]:
    if errors is None or "outliers" not in reading.tasks:
        return []
    share = errors.outliers / errors.finite
    text = (
        f"{errors.outliers} of {errors.finite} errors ({share:.1%}) lie over three interquartile ranges out:"
    )
    text += " they dominate a squared error"
    return [_warned("outliers", text, _running(case, reading.swayed), _tasked("outliers", case))]


def _imbalance(reading: Reading, case: Case) -> list[Warned]:
    if reading.imbalance is None:
        return []
    return [_warned("imbalance", reading.imbalance, [], _tasked("imbalance", case))]


def _gaps(case: Case) -> list[Warned]:
    made = []
    for name, role in (("target", case.target), ("prediction", case.pred)):
        if role is not None and role.stats.missing:
            many = counted(role.stats.missing, "missing or infinite value", "missing or infinite values")
            text = f"the {name} has {many}: the commands skip those rows (--nan skip)"
            made.append(_warned("missing-values", text))
    return made


def _constant(case: Case) -> list[Warned]:
    made = []
    for name, role in (("target", case.target), ("prediction", case.pred)):
        if role is not None and role.numbers.distinct == 1 and role.numbers.finite > 1:
            made.append(_warned("constant", f"the {name} is the same everywhere: {role.numbers.low:g}"))
    return made


def _misfits(case: Case, picked: list[str]) -> list[Warned]:
    """Why nothing could be recommended."""
    target, pred = case.target, case.pred
    if picked or target is None or pred is None:
        return []
    if target.shape == "text" and pred.shape == "vector":
        text = "the target is text: name the classes in the order of the prediction's columns with --classes"
        return [_warned("text-labels", text)]
    flat = stored_flat(target, pred)
    if flat is not None:
        return [_warned("vectors-in-one-list", flat.text)]
    if target.shape != pred.shape:
        return [_warned("shapes-differ", f"the target is a {target.shape}, the prediction a {pred.shape}")]
    return [_warned("nothing-fits", "no loss of the catalogue takes these values as they are")]
