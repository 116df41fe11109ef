"""What a target and its prediction look like: the task, by the words of the losses' own declarations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lossctl.fits import Case, Role
from lossctl.loss.declare import Loss
from lossctl.profile import Texts
from lossctl.roles import levels

__all__ = ["CLASSES", "Reading", "recognise"]

FEW = 50  # classes; more whole numbers than this are taken for amounts
RARE = 0.2  # a class with less than this part of its even share is rare
TAIL = 0.001  # share of far-out errors from which they count as outliers
CLASSES = frozenset({"binary", "multi-class", "multi-label", "segmentation"})
MASK = ("mask", "segment", "pixel")


@dataclass
class Reading:
    """Tasks in order of weight with their reasons; scores: what the predictions are."""

    tasks: dict[str, str] = field(default_factory=dict)
    scores: str = "values"
    imbalance: str | None = None

    def add(self, task: str, why: str) -> None:
        self.tasks.setdefault(task, why)

    def swayed(self, loss: Loss) -> bool:
        """Whether far-out errors would decide the loss: it is for regression and claims no more."""
        return "outliers" in self.tasks and set(loss.tasks) == {"regression"}


def recognise(case: Case, errors: Any = None) -> Reading:
    """The tasks of a case; `errors` are the statistics of pred − target where both are numbers."""
    target, pred, found = case.target, case.pred, Reading()
    if target is None or pred is None:
        return found
    shapes = (target.shape, pred.shape)
    if shapes == ("scalar", "scalar"):
        _numbers(case, target, pred, found, errors)
    elif shapes == ("scalar", "vector"):
        _against_vector(case, target, pred, found)
    elif shapes == ("vector", "vector") and target.width == pred.width:
        _vectors(case, target, pred, found)
    elif shapes == ("text", "text"):
        _texts(case, target, pred, found)
    elif pred.shape == "matrix" and target.shape in ("vector", "sequence"):
        _matrix(case, target, pred, found)
    return found


def _numbers(case: Case, target: Role, pred: Role, found: Reading, errors: Any) -> None:
    numbers = target.numbers
    grades = numbers.whole and numbers.low >= 0 and len(numbers.counts or {}) in range(2, 32)
    if case.group is not None and grades:
        name = case.group.columns[0]
        found.add("ranking", f"'{name}' groups the rows and the targets are grades from 0 up")
    if _two_classes(target):
        _binary(case, target, pred, found)
        return
    if _labels(target) and pred.numbers.whole and target.named("label", "class"):
        found.scores = "labels"
        found.add("multi-class", "targets and predictions are class numbers")
        _balance(target, found)
        return
    if not found.tasks:
        _amounts(case, target, pred, found, errors)


def _two_classes(target: Role) -> bool:
    return (target.only(0.0, 1.0) or target.only(-1.0, 1.0)) and target.numbers.distinct == 2


def _labels(role: Role) -> bool:
    return role.numbers.whole and len(role.numbers.counts or {}) in range(2, FEW + 1)


def _few_from_zero(role: Role) -> bool:
    numbers = role.numbers
    return _labels(role) and numbers.low >= 0 and numbers.finite > 2 * len(numbers.counts or {})


def _binary(case: Case, target: Role, pred: Role, found: Reading) -> None:
    numbers = pred.numbers
    pair = " and ".join(f"{value:g}" for value in sorted(target.numbers.counts or {}))
    if numbers.within(0, 1):
        found.scores = "labels" if numbers.whole else "probabilities"
    else:
        found.scores = "logits" if pred.named("logit") else "scores"
        case.given["from_logits"] = True
    found.add("binary", f"the targets are {pair}, the predictions {found.scores}")
    if found.scores == "scores":
        found.tasks = {"margins": "the predictions are unbounded scores", **found.tasks}
    elif found.scores == "logits":
        found.add("margins", "the predictions are unbounded scores")
    if found.scores != "labels" and target.named(*MASK):
        found.add("segmentation", "the target is named like a mask")
    _balance(target, found)


def _amounts(case: Case, target: Role, pred: Role, found: Reading, errors: Any) -> None:
    numbers = target.numbers
    found.add("regression", "targets and predictions are numbers")
    if errors is not None and errors.spread > 0:
        case.given["delta"] = float(f"{1.345 * errors.spread:.2g}")
    if errors is not None and errors.finite and errors.outliers > TAIL * errors.finite:
        found.tasks = {"outliers": f"{errors.outliers} of {errors.finite} errors lie far out", **found.tasks}
    if numbers.whole and 0 <= numbers.low <= 3 and pred.numbers.low > 0 and (numbers.distinct or FEW) > 2:
        found.add("counts", "the targets are whole numbers from near 0 up, the predictions positive")
    elif _few_from_zero(target) and _few_from_zero(pred):
        found.add("multi-class", "targets and predictions are few whole numbers, which may be class numbers")
    elif numbers.low > 0 and pred.numbers.low > 0 and numbers.high >= 10 * numbers.low:
        found.add("positive-targets", "targets and predictions are positive and span a factor of 10 or more")


def _against_vector(case: Case, target: Role, pred: Role, found: Reading) -> None:
    numbers, width = target.numbers, pred.width or 0
    classes = numbers.whole and numbers.within(0, width - 1) and width > 1
    named = levels(pred.columns) if len(pred.columns) > 1 else None
    if classes and named is None:
        found.scores = _vector_scores(case, pred)
        found.add(
            "multi-class", f"the targets are class numbers below {width}, the predictions {found.scores}"
        )
        if found.scores == "logits":
            found.add("margins", "the predictions are unbounded scores")
        _balance(target, found)
    elif named:
        case.given["quantiles"] = named
        found.scores = "quantiles"
        found.add(
            "quantiles", f"the prediction's columns are named by the levels {', '.join(map(str, named))}"
        )
    else:
        found.scores = "members"
        found.add("forecast", f"each number has {width} predictions, taken as an ensemble")


def _vector_scores(case: Case, pred: Role) -> str:
    rows = pred.rows
    good = rows.steps - rows.missing
    if rows.sums >= good and pred.numbers.within(0, 1):
        return "probabilities"
    if rows.log_sums >= good:
        case.given["from_log_probs"] = True
        return "log-probabilities"
    if pred.numbers.low >= 0 and not pred.named("logit"):
        case.given["normalize"] = True
        return "unnormalised weights"
    case.given["from_logits"] = True
    return "logits"


def _vectors(case: Case, target: Role, pred: Role, found: Reading) -> None:
    if target.only(0.0, 1.0) and target.rows.sums < target.rows.steps:
        mask = target.named(*MASK)
        bounded = pred.numbers.within(0, 1)
        found.scores = "probabilities" if bounded else "logits"
        if not bounded:
            case.given["from_logits"] = True
        why = f"the targets are vectors of 0 and 1, the predictions {found.scores}"
        found.add("segmentation" if mask else "multi-label", why)
        if not mask:
            return
        _balance(target, found)
    elif target.numbers.within(0, 1) and target.rows.sums == target.rows.steps > 0:
        found.scores = _vector_scores(case, pred)
        found.add("distributions", "the targets are distributions: their rows sum to one")
        found.add("multi-class", "each row of the target gives the classes' probabilities")
    else:
        found.add("regression", "targets and predictions are vectors of numbers, compared one by one")
        found.add("similarity", "as directions, if they are embeddings")


def _texts(case: Case, target: Role, pred: Role, found: Reading) -> None:
    words = target.stats if isinstance(target.stats, Texts) else Texts()
    guesses = pred.stats.counts if isinstance(pred.stats, Texts) else None
    labels = words.counts is not None and len(words.counts) <= FEW and not words.spaced
    if labels and words.size > 2 * len(words.counts or {}) and guesses is not None and len(guesses) <= FEW:
        case.given["classes"] = tuple(sorted(set(words.counts or {}) | set(guesses)))
        found.scores = "labels"
        found.add("multi-class", "targets and predictions are names of classes")
        return
    found.scores = "texts"
    found.add("sequences", "targets and predictions are texts")


def _matrix(case: Case, target: Role, pred: Role, found: Reading) -> None:
    found.scores = _vector_scores(case, pred)
    if target.named(*MASK):
        found.add("segmentation", "each pixel has a class and a vector of scores")
    found.add("sequences", f"each row is a sequence of labels, each step a vector of {found.scores}")


def _balance(target: Role, found: Reading) -> None:
    """Heavy imbalance: a rare class."""
    counts = target.numbers.counts
    if not counts or len(counts) < 2:
        return
    total = sum(counts.values())
    rarest = min(counts, key=lambda value: (counts[value], value))
    if counts[rarest] * len(counts) < RARE * total:
        most = max(counts.values()) / total
        found.imbalance = (
            f"class {rarest:g} is {counts[rarest] / total:.2g} of the targets: "
            f"always naming the commonest class is right for {most:.1%}"
        )
        found.add("imbalance", found.imbalance)
