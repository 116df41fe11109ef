"""Errors of a predicted number that only all rows together have."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from lossctl.domain import NONNEG, Interval
from lossctl.loss import LARGEST, Array, Param, Pooled, Real, Residual, Whole, gradient, like, loss
from lossctl.losses._values import root_of_ratio, root_slope


def _first(weights: Array, place: int, least: float) -> int:
    """The first place whose weights so far exceed those after it by `least`; `place` is a guess near it.

    fsum is exact up to one rounding, which keeps the sign: cumulated doubles would miss an exact half.
    """

    def reached(at: int) -> bool:
        return math.fsum((*weights[: at + 1].tolist(), *(-weights[at + 1 :]).tolist())) >= least

    place = min(max(place, 0), len(weights) - 1)
    while place > 0 and reached(place - 1):
        place -= 1
    while place < len(weights) - 1 and not reached(place):
        place += 1
    return place


def _weighted_median(size: Array, weights: Array | None) -> float:
    order = np.sort(size) if weights is None else size
    if weights is None:
        middle = len(order) // 2
        if len(order) % 2:
            return float(order[middle])
        return _between(order[middle - 1], order[middle])
    rank = np.lexsort((weights, size))
    ordered, heavy = size[rank], weights[rank]
    ordered, heavy = ordered[heavy > 0.0], heavy[heavy > 0.0]
    place = int(np.searchsorted(np.cumsum(heavy), 0.5 * np.sum(heavy)))
    lower, upper = ordered[_first(heavy, place, 0.0)], ordered[_first(heavy, place, math.ulp(0.0))]
    return _between(lower, upper)


def _between(lower: float, upper: float) -> float:
    """The middle of two sizes, of which both may be infinite."""
    return float(lower if lower == upper else lower + 0.5 * (upper - lower))


@loss(
    Pooled(root_of_ratio),
    aliases=("root-mean-squared-error",),
    range=NONNEG,
    tasks=("regression",),
    likes=(
        like(
            "sklearn", "sklearn.metrics.root_mean_squared_error", note="several outputs: mean of their roots"
        ),
        like("keras", "keras.metrics.RootMeanSquaredError"),
        like("torchmetrics", "torchmetrics.MeanSquaredError(squared=False)"),
        like("xgboost", "rmse"),
        like("lightgbm", "rmse"),
        like("catboost", "RMSE"),
    ),
)
def rmse(residual: Residual) -> tuple[Array, int]:
    """Root of the mean squared error, in the unit of the target.

    Formula: √(Σw·r² / Σw), r = pred − target.
    Gradient: of a row alone sign(r); of a vector row r / √(k·Σr²).
    Aggregate: the root is taken once, of the exact mean; a row alone gives |r|.
    Use when: an error in the target's own unit is wanted that punishes large errors.
    Numerics: squares as in mse, so an error below 1.6e-162 counts as 0.
    See also: mse.
    References: Gauss (1809), Theoria motus corporum coelestium.

    >>> import lossctl
    >>> lossctl.compute("rmse", [0, 0], [1, 7]).value  # √((1 + 49) / 2)
    5.0
    """
    return residual * residual, 1


@gradient(rmse)
def _(residual: Array) -> Array:
    return root_slope(residual)


def _unexplained(total: Any, spread: Any, finite: bool) -> Any:
    share = total / spread
    return np.where(spread == 0.0, np.sign(total), share) if finite else share


@loss(
    Pooled(_unexplained, elements="columns", moments=(1,), row=False),
    aliases=("one-minus-r2",),
    scores=("r2", "r2-score", "r-squared"),
    range=Interval(0.0, math.inf),
    tasks=("regression",),
    likes=(
        like("sklearn", "1 − sklearn.metrics.r2_score", finite=True, note="nan for a single row"),
        like(
            "torchmetrics",
            "1 − torchmetrics.R2Score",
            finite=True,
            note="a sum of squares up to 1e-4 counts as 0; no value for a single row",
        ),
    ),
)
def r2_loss(
    target: Real,
    pred: Real,
    *,
    finite: Annotated[
        bool, Param("a constant target gives 1, or 0 if the prediction is perfect, not inf or nan")
    ] = False,
) -> tuple[Array, Array]:
    """Share of the target's variance that the prediction leaves unexplained: 1 − R².

    Formula: Σw·r² / Σw·(target − mean)², with the weighted mean of the target.
    Aggregate: the denominator is computed from exact sums of target and target², so a large common
        offset costs no digits. Several outputs: the mean of their values.
    Use when: errors should be comparable between targets of different spread; 1 is as good as
        predicting the mean.
    Avoid when: the target hardly varies; with a constant target it is infinite, or undefined when the
        prediction is perfect too, unless finite.
    Numerics: squares of errors as in mse.
    References: Wright (1921), Correlation and Causation.

    >>> import lossctl
    >>> lossctl.compute("r2-loss", [0, 2], [0, 1]).value  # 1 / 2
    0.5
    """
    residual = pred - target
    return residual * residual, target


@loss(
    Whole(_weighted_median),
    aliases=("median-absolute-error",),
    range=NONNEG,
    tasks=("regression", "outliers"),
    likes=(
        like(
            "sklearn", "sklearn.metrics.median_absolute_error", note="vectors: mean of each output's median"
        ),
        like("catboost", "MedianAbsoluteError", note="ignores weights"),
    ),
)
def medae(residual: Residual) -> Array:
    """Median of the absolute errors: half of the rows are better, whatever the others do.

    Formula: median |r|, r = pred − target; between two middle values their average.
    Aggregate: needs all rows in memory (8 bytes each); with weights the average of the lower and the
        upper weighted median.
    Use when: up to half of the rows may be garbage.
    References: Hampel (1974), The Influence Curve and its Role in Robust Estimation.

    >>> import lossctl
    >>> lossctl.compute("medae", [0, 0, 0], [1, 2, 90]).value
    2.0
    """
    return np.abs(residual)


@loss(
    LARGEST,
    aliases=("linf",),
    range=NONNEG,
    tasks=("regression",),
    likes=(like("sklearn", "sklearn.metrics.max_error"),),
)
def max_error(residual: Residual) -> Array:
    """The largest absolute error of any row.

    Formula: max |r|, r = pred − target.
    Aggregate: the maximum over rows; a vector row gives its own maximum.
    Use when: a bound on the worst case is wanted.
    Avoid when: the data have outliers or rows are added over time: it can only grow.
    References: Chebyshev (1854), Théorie des mécanismes connus sous le nom de parallélogrammes.

    >>> import lossctl
    >>> lossctl.compute("max-error", [0, 0], [1, -7]).value
    7.0
    """
    return np.abs(residual)
