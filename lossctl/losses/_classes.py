"""What the losses of classes share: their parameters, and stable log-probabilities of every input form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossctl.domain import NONNEG, UNIT, Interval
from lossctl.elementary import exp_parts, weighted
from lossctl.errorfree import Double, difference
from lossctl.loss import Array, BadValue, Codes, Param
from lossctl.numeric import NARROW, row_blocks, row_sum, sum_parts

HALF = Interval(0.0, 0.5, open_high=True)
BOUNDLESS = Interval(0.0, np.inf)  # a certain and wrong prediction costs infinitely much

FromLogits = Annotated[bool, Param("pred holds logits, not probabilities")]
FromLogProbs = Annotated[bool, Param("pred holds log-probabilities")]
Eps = Annotated[float, Param("clip probabilities into [eps, 1 − eps] (vectors: [eps, 1])", HALF, clips=True)]
Normalize = Annotated[bool, Param("divide each row of probabilities by its sum")]
IgnoreIndex = Annotated[int | None, Param("labels of this value are left out")]
Classes = Annotated[tuple[str, ...] | None, Param("class names in column order, for text labels")]
Smoothing = Annotated[float, Param("share of each target spread over the classes", UNIT)]
ClassWeights = Annotated[tuple[float, ...] | None, Param("one weight per class", NONNEG)]
SoftNorm = Annotated[
    Literal["weights", "rows"],
    Param("what soft targets with class weights are divided by: their classes' weights, or the rows"),
]


class ScoreForm(NamedTuple):
    """What class scores are, and how probabilities are bounded."""

    from_logits: bool = False
    from_log_probs: bool = False
    eps: float = 0.0
    normalize: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> ScoreForm:
        return cls(**{name: params[name] for name in cls._fields if name in params})

    def checked(self) -> ScoreForm:
        if self.from_logits and self.from_log_probs:
            raise BadValue("from-log-probs", "true", "true or from-logits, not both")
        return self

    def shares(self, pred: Array) -> Array:
        """Probabilities of all classes, normalised but not clipped."""
        if self.from_logits:
            return softmax_parts(pred).probabilities()
        if self.from_log_probs:
            return np.exp(pred)
        return pred / row_sum(pred)[:, None] if self.normalize else pred

    def log_probs(self, pred: Array) -> Array:
        """Log-probabilities of all classes, shape (n, k)."""
        if self.from_logits:
            parts = softmax_parts(pred)
            return parts.shifted - np.log1p(parts.rest)[:, None]
        if self.from_log_probs:
            return pred
        p = self.shares(pred)
        return np.log(np.clip(p, self.eps, 1.0) if self.eps else p)

    def log_prob_of(self, label: Codes, pred: Array) -> Array:
        """Log-probability of one class per row: only that class's logarithm is taken."""
        picked = pick(pred, label)
        if self.from_logits:
            parts = softmax_parts(pred)
            lead, slack = difference(picked, pick(pred, parts.top))
            value, lost = difference(lead, np.log1p(parts.rest))
            value += slack + lost
            return value
        if self.from_log_probs:
            return picked
        if self.normalize:
            picked = picked / row_sum(pred)
        return np.log(np.clip(picked, self.eps, 1.0) if self.eps else picked)

    def expected_cost(self, share: Array, pred: Array) -> Array:
        """−Σ share·log p over the classes, with 0·log 0 = 0; no part is negative where no share is."""
        if not self.from_logits:
            return row_sum(np.where(share == 0.0, 0.0, -share * self.log_probs(pred)))
        parts = softmax_parts(pred)
        cost, rest = sum_parts(np.where(share == 0.0, 0.0, -share * parts.shifted))
        shared = Double(*sum_parts(share)).times(Double(np.log1p(parts.rest)))
        return Double(cost, rest).plus(shared).rounded

    def through(self, slope: Array, pred: Array) -> Array:
        """d/d pred of a loss of which `slope` is d/d log p_k, class by class."""
        if self.from_log_probs:
            return slope
        p = self.shares(pred)
        if self.from_logits:
            return slope - p * row_sum(slope)[:, None]
        steep = np.where((slope == 0.0) | (p < self.eps), 0.0, slope / p)
        if self.normalize:
            steep = (steep - row_sum(steep * p)[:, None]) / row_sum(pred)[:, None]
        return steep

    def label_slope(self, label: Codes, weight: Array, pred: Array) -> Array:
        """`through` of −weight at one class per row; from logits p_y − 1 is minus the others' shares."""
        slope = np.zeros_like(pred)
        put(slope, label, -weight)
        slope = self.through(slope, pred)
        if self.from_logits:
            put(slope, label, np.zeros(len(label)))
            put(slope, label, -row_sum(slope))
        return slope


def logistic(z: Array) -> Array:
    """1 / (1 + e^−z) to full relative accuracy in both tails."""
    tail = np.exp(-np.abs(z))
    whole = 1.0 + tail
    share: Array = np.where(z >= 0.0, 1.0, tail) / whole
    return share - share * (((1.0 - whole) + tail) / whole)


def binary_cost(y: Array, z: Array, pos_weight: float = 1.0) -> Array:
    """Binary cross-entropy of logits, as a sum of non-negative parts: nothing cancels."""
    far = np.abs(z)
    cost = np.log1p(np.exp(-far))
    yes, no = y if pos_weight == 1.0 else pos_weight * y, 1.0 - y
    if pos_weight != 1.0:
        cost *= yes + no
    cost += np.where(z < 0.0, yes, no) * far
    return cost


def cost_of_shares(yes: Double, no: Double, p: Array) -> Double:
    """−yes·log p − no·log(1 − p), with 0·log 0 = 0."""
    return weighted(yes, Double(-np.log(p))).plus(weighted(no, Double(-np.log1p(-p))))


def pick(values: Array, label: Codes) -> Array:
    """values[i, label[i]]; from the flat array, which takes half the time of two indices."""
    rows, width = values.shape
    if values.flags.f_contiguous:
        flat, at = values.T.reshape(-1), label * rows + np.arange(rows)
    else:
        flat, at = values.reshape(-1), label + np.arange(0, rows * width, width)
    found: Array = flat.take(at)
    return found


def put(values: Array, label: Codes, new: Array) -> None:
    """values[i, label[i]] = new[i]."""
    values[np.arange(len(values)), label] = new


class Softmax(NamedTuple):
    """Logits taken apart: the greatest one is 0 in `shifted`, 0 in `others` = e^shifted and not in `rest`.

    The normaliser is 1 + rest: log1p(rest) keeps what a sure prediction costs, which log(Σ) − max loses.
    """

    top: Codes
    shifted: Array
    others: Array
    rest: Array

    def probabilities(self) -> Array:
        p = self.others / (1.0 + self.rest)[:, None]
        put(p, self.top, 1.0 / (1.0 + self.rest))
        return p


def _exponentials(x: Array, slack: Array) -> tuple[Array, Array]:
    """e^(x + slack) and what is left of it: in wide rows, whose errors average out, NumPy's 0.7 ulp do."""
    if x.shape[1] <= NARROW:
        made = exp_parts(Double(x, slack))
        return made.high, made.low
    share = np.exp(x)
    slack *= share  # e^x would lose |x| times what rounding took from x
    return share, slack


def softmax_parts(z: Array) -> Softmax:
    top = np.argmax(z, axis=1)
    highest = pick(z, top)
    shifted, others, rest = np.empty_like(z), np.empty_like(z), np.empty(len(z))
    for rows in row_blocks(z):
        lead, slack = difference(z[rows], highest[rows, None])
        share, slack = _exponentials(lead, slack)
        for part in (share, slack):
            put(part, top[rows], np.zeros(len(part)))
        rest[rows] = row_sum(share) + np.add.reduce(np.ascontiguousarray(slack), axis=1)
        share += slack
        shifted[rows], others[rows] = lead, share
    return Softmax(top, shifted, others, rest)


def kept(target: Codes, ignore_index: int | None) -> tuple[Codes, NDArray[np.bool_] | None]:
    """Labels that are safe to index with, and which of them count (None: all)."""
    if ignore_index is None:
        return target, None
    used = target != ignore_index
    return np.where(used, target, 0), used


def per_class(weights: tuple[float, ...] | None, classes: int) -> Array | None:
    if weights is None:
        return None
    if len(weights) != classes:
        raise BadValue("class-weights", list(weights), f"{classes} weights, one per class")
    return np.array(weights)


def target_shares(target: NDArray[Any], width: int, smoothing: float) -> Array:
    """The target as one share per class, smoothed."""
    if target.ndim == 2:
        return target * (1.0 - smoothing) + smoothing / width if smoothing else target
    share = np.full((len(target), width), smoothing / width)
    put(share, target, np.full(len(target), smoothing / width + (1.0 - smoothing)))
    return share
