"""Values of totals that several families share."""

from __future__ import annotations

from typing import Any

import numpy as np


def ratio(numerator: Any, denominator: Any) -> Any:
    """numerator / denominator."""
    return numerator / denominator


def root_of_ratio(total: Any, weight: Any) -> Any:
    """√(total / weight)."""
    return np.sqrt(total / weight)
