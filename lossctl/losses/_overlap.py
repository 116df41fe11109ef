"""Overlap of two masks: what pixels and images add to it, and its slopes."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossctl.loss import Array
from lossctl.losses._classes import logistic
from lossctl.numeric import row_sum


def ratio(top: Any, bottom: Any, empty: str) -> Any:
    """top/bottom, with the loss of the declared score where the denominator is zero; NaN means left out."""
    blank = {"1": 0.0, "0": 1.0, "skip": np.nan}[empty]
    return np.where(bottom == 0.0, blank, top / np.where(bottom == 0.0, 1.0, bottom))


def parts(target: Array, pred: Array, from_logits: bool) -> tuple[Array, Array, Array]:
    """What a pixel adds to true positives, false positives and false negatives."""
    p, off = (logistic(pred), logistic(-pred)) if from_logits else (pred, 1.0 - pred)
    return target * p, (1.0 - target) * p, target * off


def image_slope(
    target: Array, pred: Array, from_logits: bool, top: Array, bottom: Array, by: tuple[Any, Any]
) -> Array:
    """d(top/bottom)/d pred of each row, from its totals and what a unit of probability adds to each."""
    rise, fall = by
    many = np.where(bottom == 0.0, np.inf, bottom)[:, None]
    slope: Array = (rise - fall * (top[:, None] / many)) / many
    if from_logits:
        slope = slope * (logistic(pred) * logistic(-pred))
    return slope


def totals(target: Array, pred: Array, from_logits: bool) -> tuple[Array, Array, Array]:
    """True positives, false positives and false negatives of each row."""
    hit, extra, missed = parts(target, pred, from_logits)
    return row_sum(hit), row_sum(extra), row_sum(missed)


def ranked_errors(target: Array, pred: Array) -> tuple[Array, Array]:
    """Hinge error of each pixel, and what a unit of it costs: the growth of the Jaccard loss at its rank.

    The k-th largest error adds 1/union if its pixel is foreground, otherwise
    intersection/(union·(union − 1)): no difference of nearly equal quotients is taken.
    """
    ink = target > 0.5
    error = 1.0 - np.where(ink, pred, -pred)
    order = np.argsort(-error, axis=1, kind="stable")
    true = np.take_along_axis(ink, order, axis=1)
    marked = np.sum(true, axis=1, keepdims=True)
    both = marked - np.cumsum(true, axis=1)
    union = (marked + np.cumsum(~true, axis=1)).astype(np.float64)
    growth = np.where(true, 1.0, both) / np.where(true, union, np.maximum(union - 1.0, 1.0) * union)
    growth[:, 0] = np.where(marked[:, 0] == 0, 1.0, growth[:, 0])
    weight = np.empty_like(error)
    np.put_along_axis(weight, order, growth, axis=1)
    return error, weight
