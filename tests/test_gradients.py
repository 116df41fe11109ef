"""Every declared gradient against central differences of the row values."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Case, every_case, over, rows_of
from passes import flat, row_values

ROWS = 9
STEP = 2.0**-10
CASES = [case for case in every_case() if case.loss.gradients]


def like(values: Any, numbers: Any) -> Any:
    """`numbers` in the shape of a column."""
    if not isinstance(values, list):
        return numbers.reshape(values.shape)
    ends = np.cumsum([v.size for v in values])[:-1]
    return [part.reshape(v.shape) for v, part in zip(values, np.split(numbers, ends), strict=True)]


def place(values: Any, row: int, column: int) -> int | None:
    """Where the `column`-th number of a row stands in the line, if the row has one."""
    if isinstance(values, list):
        return sum(v.size for v in values[:row]) + column if column < values[row].size else None
    width = values[0].size
    return row * width + column if column < width else None


def moved(data: dict[str, Any], name: str, column: int, by: float) -> dict[str, Any]:
    """The `column`-th number of every row moved; rows do not share a loss, so one pass serves them all."""
    numbers = flat(data[name]).copy()
    for row in range(rows_of(data)):
        at = place(data[name], row, column)
        if at is not None:
            numbers[at] += by
    return {**data, name: like(data[name], numbers)}


def moved_one(data: dict[str, Any], name: str, at: int, by: float) -> dict[str, Any]:
    numbers = flat(data[name]).copy()
    numbers[at] += by
    return {**data, name: like(data[name], numbers)}


def counted(case: Case, data: dict[str, Any]) -> Any:
    values, used, _ = row_values(case, data)
    return np.where(used, values, 0.0)


def slope(case: Case, move: Any, step: float) -> Any:
    """Fourth-order central difference of the rows' values."""
    with np.errstate(invalid="ignore"):  # infinite values cannot be judged
        near = counted(case, move(step)) - counted(case, move(-step))
        far = counted(case, move(2 * step)) - counted(case, move(-2 * step))
        return (8.0 * near - far) / (12.0 * step)


def checked(found: Any, case: Case, move: Any) -> int:
    """How many of the gradients could be judged: near a kink two step widths disagree."""
    coarse, fine = slope(case, move, STEP), slope(case, move, STEP / 4)
    if case.loss.grouped:  # of the sum over the group
        coarse, fine = np.array([coarse.sum()]), np.array([fine.sum()])
    size = np.maximum(np.abs(fine), 1.0)
    smooth = np.isfinite(coarse) & np.isfinite(fine) & (np.abs(coarse - fine) <= 1e-7 * size)
    assert (np.abs(found - fine)[smooth] <= 1e-6 * size[smooth]).all(), (found, fine)
    return int(smooth.sum())


def interior(case: Case) -> dict[str, Any]:
    """Data away from the ends of every domain, so that a number may move a little either way."""
    data = case.draw(ROWS)
    for name, form in case.forms.items():
        if form.kind == "prob" and form.shape in ("scalar", "vector", "matrix"):
            data[name] = like(data[name], 0.01 + 0.98 * flat(data[name]))
        elif form.kind in ("nonneg", "positive"):
            data[name] = like(data[name], 0.01 + flat(data[name]))
    return data


@over(CASES)
def test_gradient_is_the_slope(case: Case) -> None:
    data = interior(case)
    slopes = row_values(case, data, grad=True)[2] if case.loss.unit == "row" else direct(case, data)
    judged = tried = 0
    for name in (n for names in case.loss.gradients for n in names.split(",")):
        found = slopes[f"grad_{name}"]
        assert found.shape == flat(data[name]).shape
        if case.loss.grouped:
            for at in range(len(found)):
                tried += 1
                judged += checked(
                    found[at : at + 1], case, lambda by, at=at, n=name: moved_one(data, n, at, by)
                )
            continue
        for column in range(min(widest(data[name]), 6)):
            places = [place(data[name], row, column) for row in range(ROWS)]
            here = np.array([0.0 if at is None else found[at] for at in places])
            tried += sum(at is not None for at in places)
            judged += checked(here, case, lambda by, c=column, n=name: moved(data, n, c, by))
    assert judged >= tried // 3


def widest(values: Any) -> int:
    return max(np.asarray(v).size for v in values)


def direct(case: Case, data: dict[str, Any]) -> dict[str, Any]:
    """The gradient of a loss of groups, which `--grad` does not offer, from the function itself."""
    starts = np.flatnonzero(np.concatenate([[True], data["group"][1:] != data["group"][:-1]]))
    offsets = np.append(starts, rows_of(data))
    made: dict[str, Any] = {}
    for names, function in case.loss.gradients.items():
        arguments = [offsets if name == "group" else data[name] for name in case.bound.arguments]
        result = function(*arguments, **case.bound.params)
        results = result if isinstance(result, tuple) else (result,)
        made |= {f"grad_{name}": flat(r) for name, r in zip(names.split(","), results, strict=True)}
    return made
