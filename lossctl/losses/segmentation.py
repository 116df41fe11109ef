"""Overlap of masks: a row is a pixel, or an image as a vector of pixels."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np

from lossctl.domain import NONNEG, UNIT
from lossctl.loss import Array, Param, Pooled, Prob, ProbOrLogit, like, loss

Smooth = Annotated[float, Param("added once to numerator and denominator", NONNEG)]
Empty = Annotated[
    Literal["1", "0", "skip"],
    Param("score of a pair in which both masks are empty; skip leaves it out"),
]
FromLogits = Annotated[bool, Param("pred holds logits, not probabilities")]


def probability(pred: Array, from_logits: bool) -> Array:
    """The prediction as a probability; the logistic function written so that neither tail overflows."""
    if not from_logits:
        return pred
    tail = np.exp(-np.abs(pred))
    return np.where(pred >= 0.0, 1.0, tail) / (1.0 + tail)


def overlap_loss(score: Any, bottom: Any, empty: str) -> Any:
    """1 − score, with the declared score where the denominator is zero; NaN means left out."""
    blank = {"1": 0.0, "0": 1.0, "skip": np.nan}[empty]
    return np.where(bottom == 0.0, blank, 1.0 - score)


def _dice(both: Any, target: Any, pred: Any, *, smooth: float, empty: str) -> Any:
    bottom = target + pred + smooth
    return overlap_loss((2.0 * both + smooth) / bottom, bottom, empty)


@loss(
    Pooled(_dice, skips=True),
    aliases=("f1-loss",),
    range=UNIT,
    tasks=("segmentation", "imbalance"),
    scale_free=False,
    likes=(
        like("keras", "keras.losses.Dice", smooth=1e-7, note="adds 1e-7"),
        like("smp", "DiceLoss(mode='binary')", note="an empty target is left out"),
        like("monai", "DiceLoss(batch=True)", smooth=1e-5, note="adds 1e-5; per image unless batch=True"),
    ),
)
def dice(
    target: Prob,
    pred: ProbOrLogit,
    *,
    smooth: Smooth = 0.0,
    empty: Empty = "1",
    from_logits: FromLogits = False,
) -> tuple[Array, Array, Array]:
    """Dice loss: one minus twice the overlap over the sum of both masks.

    Formula: 1 − (2Σpy + s) / (Σp + Σy + s).
    Gradient: −2(y(Σp + Σy) − Σpy) / (Σp + Σy)² for each pixel.
    Aggregate: pooled over all pixels of all rows; --reduction mean averages the images' own values.
    Use when: the foreground is a small share of the pixels.
    Avoid when: single pixels must be calibrated (bce).
    Numerics: no hidden epsilon; a pair of empty masks scores what `empty` says.
    See also: jaccard orders predictions the same way; tversky weighs the two kinds of error apart.
    References: Dice (1945), Measures of the Amount of Ecologic Association Between Species; Milletari,
        Navab & Ahmadi (2016), V-Net.

    >>> import lossctl
    >>> lossctl.compute("dice", [[1, 1, 0, 0]], [[1, 0, 0, 0]]).value  # 1 − 2·1 / (1 + 2)
    0.33333333333333337
    """
    p = probability(pred, from_logits)
    return target * p, target, p
