"""A row's bits depend on that row alone: not on its neighbours, however extreme, nor on their number."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Case, every_case, has_rows, over, take
from passes import row_values

ROWS = 60
EXTREMES = np.array(
    [0.0, 5e-324, 1e-310, 1e-160, 1e-20, 0.5, 1 - 2**-53, 1.0, 3.0, 700.0, 1e16, 1e155, 1e200, 1.7e308]
)
TRIED = np.concatenate([EXTREMES, -EXTREMES])


def spiced(case: Case) -> dict[str, Any]:
    """Legal rows, many with numbers at the ends of the doubles, equal pairs, and some with a NaN."""
    data, rng = case.draw(ROWS), np.random.default_rng(case.seed)
    for name, form in case.forms.items():
        values = data[name]
        low, high = form.domain.ends
        legal = TRIED[(low <= TRIED) & (high >= TRIED)]
        fixed = form.kind in ("sign", "binary", "label") or form.sums_to_one or form.width == 4
        if fixed or not isinstance(values, np.ndarray) or values.dtype.kind != "f" or not legal.size:
            continue
        chosen = rng.random(values.shape) < 0.3
        chosen[rng.random(ROWS) < 0.3] = False
        values[chosen] = rng.choice(legal, np.count_nonzero(chosen))
        values[rng.random(ROWS) < 0.1] = np.nan
    if {"target", "pred"} <= data.keys() and case.forms["target"] == case.forms["pred"]:
        same = np.flatnonzero(rng.random(ROWS) < 0.15)
        for row in same.tolist():
            data["pred"][row] = data["target"][row]
    return data


def by_itself(case: Case) -> bool:
    return has_rows(case) and "group" not in case.forms and case.loss.unit != "group"


@over([case for case in every_case() if by_itself(case)])
def test_a_row_by_itself_has_the_same_bits(case: Case) -> None:
    data = spiced(case)
    whole = row_values(case, data, missing="propagate")[0]
    for rows in [*np.array_split(np.arange(ROWS), 7), *np.arange(ROWS)[::4, None], np.arange(ROWS)[::-1]]:
        part = row_values(case, take(data, rows), missing="propagate")[0]
        assert np.array_equal(part, whole[rows], equal_nan=True), rows
