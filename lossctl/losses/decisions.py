"""Wrong decisions, counted."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from lossctl.domain import NONNEG, UNIT, Interval
from lossctl.loss import (
    Array,
    BinaryVec,
    Codes,
    Form,
    Label,
    Param,
    ProbVec,
    RealVec,
    RowRefused,
    like,
    loss,
)
from lossctl.losses._classes import Classes, pick

Threshold = Annotated[
    float, Param("a probability above it is a positive", Interval(0.0, 1.0, open_high=True))
]


@loss(
    aliases=("error",),
    scores=("accuracy", "acc", "balanced-accuracy", "mcc", "kappa"),
    range=UNIT,
    tasks=("binary", "multi-class", "multi-label"),
    likes=(
        like(
            "sklearn",
            "sklearn.metrics.zero_one_loss",
            note="takes labels, not probabilities; a vector of labels is right or wrong as a whole",
        ),
        like("xgboost", "error", note="error@t is threshold t"),
        like("lightgbm", "binary_error"),
        like("catboost", "ZeroOneLoss", note="raw values; positive above 0"),
    ),
)
def zero_one(
    target: Annotated[Codes, Form("label", names="classes")],
    pred: Annotated[
        NDArray[Any],
        Form("nonneg", domain=NONNEG),
        Form("label", names="classes", when="classes"),
    ],
    *,
    threshold: Threshold = 0.5,
    classes: Classes = None,
) -> Array:
    """Zero-one loss: the share of rows that are decided wrongly, one minus accuracy.

    Formula: 1[ŷ ≠ y]; ŷ is the predicted label, or 1[p > threshold] for a probability p.
    Gradient: 0 wherever it exists.
    Use when: only the decision counts and every mistake costs the same.
    Avoid when: classes are rare (a constant prediction looks good) or probabilities matter (bce).
    Numerics: whole numbers are labels, fractions between 0 and 1 probabilities of class 1, decided number by
        number; a probability equal to the threshold is a negative.
    See also: top-k-error for class scores, hamming for label vectors.
    References: Fisher (1936), The Use of Multiple Measurements in Taxonomic Problems.

    >>> import lossctl
    >>> lossctl.compute("zero-one", [0, 1, 2, 1], [0, 2, 2, 1]).value
    0.25
    """
    whole = pred == np.floor(pred)
    stray = ~whole & (pred > 1.0)
    if stray.any():
        row = int(np.argmax(stray.reshape(len(stray), -1).any(axis=1)))
        raise RowRefused(
            "pred",
            row,
            f"{float(pred[row][stray[row]].flat[0])!r} is neither a class number nor a probability",
            "give labels, or probabilities of class 1 between 0 and 1",
        )
    decided = np.where(whole, pred, pred > threshold)
    return np.where(decided == target, 0.0, 1.0)


@loss(
    range=UNIT,
    tasks=("multi-label",),
    likes=(
        like("sklearn", "sklearn.metrics.hamming_loss", note="takes labels, not probabilities"),
        like("torchmetrics", "torchmetrics.classification.MultilabelHammingDistance"),
        like("catboost", "HammingLoss", note="raw values; positive above 0"),
    ),
)
def hamming(target: BinaryVec, pred: ProbVec, *, threshold: Threshold = 0.5) -> Array:
    """Hamming loss: the share of a row's labels that are wrong.

    Formula: (1/C)·Σ_c 1[1[p_c > threshold] ≠ y_c].
    Gradient: 0 wherever it exists.
    Use when: several labels hold at once and each mistake costs the same.
    Avoid when: nearly all labels are 0: predicting none looks good (jaccard, bce).
    Numerics: a probability equal to the threshold is a negative.
    See also: zero-one of one label.
    References: Tsoumakas & Katakis (2007), Multi-Label Classification: An Overview.

    >>> import lossctl
    >>> lossctl.compute("hamming", [[1, 0, 0, 1], [0, 0, 1, 1]], [[0.9, 0.6, 0, 1], [0, 0, 1, 1]]).value
    0.125
    """
    wrong = (pred > threshold) != (target > 0.5)
    share: Array = np.count_nonzero(wrong, axis=1) / pred.shape[1]
    return share


@loss(
    range=UNIT,
    tasks=("multi-class",),
    scores=("top-k-accuracy", "top-k"),
    likes=(
        like("lightgbm", "multi_error", k=1, note="k is multi_error_top_k"),
        like("xgboost", "merror", k=1, note="takes the first of tied classes"),
        like("sklearn", "1 − sklearn.metrics.top_k_accuracy_score", k=2, note="orders tied classes by index"),
        like("keras", "1 − keras.metrics.TopKCategoricalAccuracy", note="a tie with place k counts as right"),
    ),
)
def top_k_error(
    target: Label,
    pred: RealVec,
    *,
    k: Annotated[int, Param("how many classes may be named", Interval(1, np.inf))] = 5,
    classes: Classes = None,
) -> Array:
    """Top-k error: the share of rows whose true class is not among the k highest scores.

    Formula: 1[#{j : s_j ≥ s_y} > k], the true class counted.
    Gradient: 0 wherever it exists.
    Use when: a short list of candidates is shown, or near misses among many classes should not count.
    Avoid when: there are no more than k classes: it is always 0.
    Numerics: a tie counts against the prediction, so a constant score earns nothing.
    See also: cross-entropy asks for the probabilities too; k = 1 is the error of the argmax.
    References: Russakovsky et al. (2015), ImageNet Large Scale Visual Recognition Challenge.

    >>> import lossctl
    >>> lossctl.compute("top-k-error:k=2", [0, 1], [[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]]).value
    0.5
    """
    ahead = np.count_nonzero(pred >= pick(pred, target)[:, None], axis=1)
    return np.where(ahead > k, 1.0, 0.0)
