"""Rows of shares or counts over classes or bins."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.domain import NONNEG, UNIT
from lossctl.loss import Array, Form, Param
from lossctl.numeric import row_sum

Shares = Annotated[
    Array,
    Form("prob", "vector", UNIT, sums_to_one=True),
    Form("nonneg", "vector", NONNEG, when="normalize"),
]
Normalize = Annotated[bool, Param("divide each row by its sum")]


def shares_of(values: Array, eps: float, normalize: bool) -> Array:
    p = values / row_sum(values)[:, None] if normalize else values
    return np.clip(p, eps, 1.0) if eps else p


def through_sum(slope: Array, shares: Array, values: Array, normalize: bool) -> Array:
    """From the slope with respect to shares (values/Σvalues if normalised) that with respect to values."""
    if not normalize:
        return slope
    weighted = np.where(shares == 0.0, 0.0, slope * shares)
    return (slope - row_sum(weighted)[:, None]) / row_sum(values)[:, None]
