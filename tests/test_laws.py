"""What holds for every loss, whatever it computes; cases and exceptions come from the declarations alone."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cases import (
    CLASSES,
    Case,
    every_case,
    has_rows,
    over,
    per_row,
    plain_cases,
    repeated,
    table,
    take,
)
from passes import bits, brings_weights, evaluate, row_values, total

from lossctl.errors import DataError
from lossctl.loss import Mean, Pooled, Whole

ROWS = 23


def assert_value(case: Case, found: float, expected: float, size: float | None = None) -> None:
    """The same bits; within rounding of `size` where given. A value of all rows at once may round too."""
    if isinstance(case.loss.reduction, Whole):
        assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)
    elif size is not None and math.isfinite(expected):
        assert abs(found - expected) <= 1e-15 * size
    else:
        assert bits(found) == bits(expected)


@over(every_case())
def test_any_split_equals_the_whole(case: Case) -> None:
    drawn = case.draw(ROWS, ends=True)
    data = table({**drawn, "weight": per_row(case, drawn, [0.3, 1.0, 2.7])})
    whole = repr(evaluate(case, data).to_dict()["results"])
    for chunk, piece, threads in ((1, 5, 2), (7, None, 1), (None, 4, 2), (3, 10, 1)):
        split = evaluate(case, data, chunk_rows=chunk, piece=piece, threads=threads)
        assert repr(split.to_dict()["results"]) == whole


@over(every_case())
def test_row_order_does_not_matter(case: Case) -> None:
    data = case.draw(ROWS)
    data["weight"] = per_row(case, data, [0.3, 1.0, 2.7])
    order = np.random.default_rng(case.seed).permutation(ROWS)
    if "group" in data:
        names = list(dict.fromkeys(data["group"]))
        order = np.concatenate([np.flatnonzero(data["group"] == name) for name in names[::-1]])
    assert bits(total(case, take(data, order)).value) == bits(total(case, data).value)


def counts_rows(case: Case) -> bool:
    """Whether a weight is a number of rows; a loss of all rows may have variants in which it is not."""
    return not isinstance(case.loss.reduction, Whole) or case.bound.params == case.loss.resolve({})


@over([case for case in every_case() if counts_rows(case)])
def test_weight_is_repetition_and_zero_is_absence(case: Case) -> None:
    for choices, exact in (([1, 2, 4], True), ([0, 1, 2], True), ([1, 3, 7], False)):
        data = case.draw(ROWS, ends=exact)  # infinite losses too
        times = per_row(case, data, choices)
        weighted = total(case, {**data, "weight": times.astype(np.float64)})
        many = total(case, repeated(data, times))
        assert weighted.status == many.status
        assert weighted.weight == many.weight
        size = None
        if not exact:
            size = abs(many.value)
            if has_rows(case):
                values, used, _ = row_values(case, data)
                size = max(size, float(np.max(np.abs(values[used]), initial=0.0)))
        assert_value(case, weighted.value, many.value, size)


@over([case for case in every_case() if case.loss.scale_free])
def test_scaling_weights_changes_nothing(case: Case) -> None:
    data = case.draw(ROWS)
    weight = per_row(case, data, [0.3, 1.0, 2.7])
    values = [total(case, {**data, "weight": weight * scale}).value for scale in (1.0, 0.25, 8.0)]
    assert len({bits(value) for value in values}) == 1


def exact_mean(values: Any) -> float:
    if not len(values):
        return math.nan
    if not np.isfinite(values).all():
        return float(np.sum(values[~np.isfinite(values)]))
    return float(sum((Fraction(float(v)) for v in values), Fraction(0)) / len(values))


@over([case for case in every_case() if has_rows(case) and isinstance(case.loss.reduction, Mean | Pooled)])
def test_mean_of_the_rows_is_the_mean(case: Case) -> None:
    data = case.draw(ROWS, ends=True)
    values, used, _ = row_values(case, data)
    found = total(case, data, reduction="mean")
    assert found.rows == int(used.sum())
    assert found.ignored == int((~used).sum())
    if not brings_weights(case, data):
        assert bits(found.value) == bits(exact_mean(values[used]))


@over([case for case in every_case() if has_rows(case)])
def test_one_row_alone_has_its_own_value(case: Case) -> None:
    data = case.draw(6, ends=True)
    starts = np.arange(6)
    if case.loss.grouped:
        starts = np.flatnonzero(np.concatenate([[True], data["group"][1:] != data["group"][:-1]]))
    values, used, _ = row_values(case, data)
    for at, (low, high) in enumerate(zip(starts, [*starts[1:], 6], strict=True)):
        if case.loss.unit == "row":
            at = low
        if used[at] and (case.loss.unit == "group" or high == low + 1):
            alone = total(case, take(data, np.arange(low, high))).value
            if case.layout == "vector" and isinstance(case.loss.reduction, Pooled):  # sums within a row round
                assert alone == pytest.approx(values[at], rel=1e-14, abs=1e-15)
            else:
                assert bits(alone) == bits(values[at])


@over(every_case())
def test_values_lie_in_the_declared_range(case: Case) -> None:
    data = case.draw(60, ends=True)
    values = [total(case, data).value]
    if has_rows(case):
        each, used, _ = row_values(case, data)
        values += each[used].tolist()
    assert [v for v in values if not case.loss.range.contains(v)] == []


def perfect(case: Case, data: dict[str, Any]) -> dict[str, Any] | None:
    """The data with predictions as good as can be, where the forms say what that is."""
    if not {"target", "pred"} <= set(case.forms):
        return None
    target, pred = case.forms["target"], case.forms["pred"]
    if (target.kind, target.shape, target.domain) == (pred.kind, pred.shape, pred.domain):
        return {**data, "pred": data["target"]}
    if target.kind == "label" and target.of == "pred" and pred.shape == "vector" and not target.names:
        return {**data, "pred": np.eye(CLASSES)[data["target"]] * (1000.0 if pred.kind == "real" else 1.0)}
    if case.loss.unit == "group":
        return {**data, "pred": 1000.0 * (data["target"] + 1.0)}
    return None


def has_best(case: Case) -> bool:
    return case.loss.best is not None and perfect(case, case.draw(ROWS)) is not None


@over([case for case in plain_cases() if has_best(case)])
def test_a_perfect_prediction_has_the_best_value(case: Case) -> None:
    data = case.draw(ROWS)
    if case.forms["target"].kind == "prob" and not case.forms["target"].sums_to_one:
        data["target"] = np.round(data["target"])
    if case.loss.unit == "group":
        data["target"] = np.round(data["target"])
    assert total(case, perfect(case, data) or {}).value == pytest.approx(case.loss.best, abs=1e-14)


@over(every_case())
def test_narrow_numbers_give_the_same_bits(case: Case) -> None:
    data = table(case.draw(ROWS), kind=pa.float32())
    wide = pa.table({n: data[n].cast(widened(data[n].type)) for n in data.column_names})
    assert bits(total(case, data).value) == bits(total(case, wide).value)


def widened(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(widened(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(widened(kind.value_type))
    return pa.float64() if pa.types.is_floating(kind) else kind


@over(every_case())
def test_total_beside_groups_is_the_total(case: Case) -> None:
    data = case.draw(ROWS)
    data["weight"] = per_row(case, data, [0.3, 1.0, 2.7])
    key = per_row(case, data, ["a", "b", "c"], seed=1)
    scores = evaluate(case, table({**data, "key": key.astype(object)}), by=["key"], chunk_rows=4).scores
    assert scores[-1] == total(case, data) or bits(scores[-1].value) == bits(total(case, data).value)
    for score in scores[:-1]:
        alone = total_or_empty(case, take(data, np.flatnonzero(key == score.group["key"])))
        assert alone is None or bits(alone) == bits(score.value)


def total_or_empty(case: Case, data: Any) -> float | None:
    try:
        return total(case, data).value
    except DataError:
        return None
