"""Values of totals that several families share."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossctl.loss import Array
from lossctl.numeric import row_sum


def root_of_ratio(total: Any, weight: Any) -> Any:
    """√(total / weight)."""
    return np.sqrt(total / weight)


def root_slope(gap: Array) -> Array:
    """d √(mean gap²) / d gap of a row: its sign, or gap / √(k·Σgap²) for a vector of k; 0 at 0."""
    if gap.ndim == 1:
        return np.sign(gap)
    size = np.sqrt(row_sum(gap * gap) * gap.shape[1])[:, None]
    return np.where(size == 0.0, 0.0, gap / size)
