"""Values a loss does not take: refused by row and column, or skipped, or propagated, as asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cases import CLASSES, Case, column, every_case, has_rows, over, plain_cases, take
from passes import bits, evaluate, row_values, total

from lossctl.errors import BadRow
from lossctl.loss import Form

ROWS = 23
BAD = 5  # the first row that may be spoilt


def spoilt(values: Any, row: int, value: Any) -> Any:
    """The column with one value of one row replaced."""
    if isinstance(values, list):
        made = [v.astype(object) for v in values]
        made[row].reshape(-1)[-1:] = value
        number = pa.int64() if values[0].dtype.kind == "i" and isinstance(value, int | None) else pa.float64()
        inner = pa.list_(number) if values[0].ndim == 2 else number
        return pa.array([v.tolist() for v in made], pa.list_(inner))
    copy = values.astype(object)
    copy[(row, -1) if copy.ndim == 2 else row] = value
    items = pa.array(copy.reshape(-1).tolist(), None if values.dtype == object else pa.float64())
    return items if copy.ndim == 1 else pa.FixedSizeListArray.from_arrays(items, copy.shape[1])


def illegal(form: Form) -> Iterator[Any]:
    """Values that a form does not take."""
    yield None
    if form.kind in ("text", "group"):
        return
    yield math.nan
    if not form.domain.contains(math.inf):
        yield math.inf
    if math.isfinite(form.domain.low):
        yield form.domain.low if form.domain.open_low else form.domain.low - 0.5
    if math.isfinite(form.domain.high):
        yield form.domain.high if form.domain.open_high else form.domain.high + 0.5
    if form.kind in ("sign", "binary", "label"):
        yield 0.5
    if form.kind == "label" and form.of is not None:
        yield CLASSES
        yield -1


def filled_row(values: Any) -> int:
    """A row in the middle that has values to spoil."""
    return next(i for i in range(BAD, len(values)) if not isinstance(values, list) or values[i].size)


@over(plain_cases())
def test_illegal_values_are_refused_by_row_and_column(case: Case) -> None:
    data = case.draw(ROWS)
    for name, form in case.forms.items():
        row = filled_row(data[name])
        for value in illegal(form):
            columns = {n: column(v) for n, v in data.items()} | {name: spoilt(data[name], row, value)}
            for settings in ({}, {"chunk_rows": 2}, {"piece": 3, "threads": 2}):
                with pytest.raises(BadRow) as refused:
                    evaluate(case, pa.table(columns), **settings)
                assert refused.value.facts["row"] == row, (name, value)
                assert str(refused.value.facts["column"]).partition("[")[0] == name


@over(every_case())
def test_missing_values_are_skipped_or_propagated(case: Case) -> None:
    data = case.draw(ROWS)
    left_out = np.flatnonzero(~row_values(case, data)[1]) if has_rows(case) else []
    for name in case.forms:
        rows = [filled_row(data[name])]
        if case.loss.unit == "row":  # a missing value counts even in a row that the loss would ignore
            rows += [row for row in left_out[:1] if np.size(data[name][row])]
        for row in rows:
            columns = pa.table(
                {n: column(v) for n, v in data.items()} | {name: spoilt(data[name], row, None)}
            )
            rest = np.delete(np.arange(ROWS), row)
            skipped = evaluate(case, columns, missing="skip")
            assert bits(skipped.scores[-1].value) == bits(total(case, take(data, rest)).value)
            assert (skipped.rows.used, skipped.rows.skipped) == (ROWS - 1, 1)
            if case.forms[name].kind != "group":
                assert math.isnan(total(case, columns, missing="propagate").value), name
                assert_absent_without_weight(case, data, columns, row)
                if has_rows(case):
                    assert_only_one_void(case, data, columns, row)


def assert_absent_without_weight(case: Case, data: Any, columns: pa.Table, row: int) -> None:
    """A row (or group) of weight zero is not there, whatever it holds."""
    away = data["group"] == data["group"][row] if case.loss.grouped else np.arange(ROWS) == row
    weighted = columns.append_column("weight", column(np.where(away, 0.0, 1.0)))
    found = total(case, weighted, missing="propagate")
    assert bits(found.value) == bits(total(case, take(data, np.flatnonzero(~away))).value)


def assert_only_one_void(case: Case, data: Any, columns: pa.Table, row: int) -> None:
    values, used, _ = row_values(case, columns, missing="propagate")
    clean, clean_used, _ = row_values(case, data)
    at = row
    if case.loss.unit == "group":
        at = int(np.count_nonzero(data["group"][1 : row + 1] != data["group"][:row]))
    others = np.arange(len(clean)) != at
    if case.loss.unit == "row" and case.loss.grouped:
        others = data["group"] != data["group"][row]
    assert (used == clean_used)[others].all()
    assert [bits(v) for v in values[others & used]] == [bits(v) for v in clean[others & used]]
    assert math.isnan(values[at])
    assert used[at]
