"""Missing, empty and odd lists and texts where a thread meets them first."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cases import Case, over, plain_cases
from passes import evaluate, table, total

import lossctl
from lossctl.errors import DataError

LIST, STEPS = pa.list_(pa.float64()), pa.list_(pa.list_(pa.float64()))
GAPS = 3
CASES = [
    case
    for case in plain_cases()
    if not case.loss.grouped
    and any(form.shape != "scalar" or form.kind in ("text", "label") for form in case.forms.values())
]


def variable(kind: pa.DataType) -> pa.DataType:
    return pa.list_(variable(kind.value_type)) if pa.types.is_fixed_size_list(kind) else kind


def gapped(whole: pa.Table, missing: list[str]) -> pa.Table:
    """The table behind GAPS rows that lack some columns and have the first row's value in the others."""
    columns = {}
    for name in whole.column_names:
        kind = variable(whole.schema.field(name).type)
        first = None if name in missing else whole[name][0].as_py()
        columns[name] = pa.array([first] * GAPS + whole[name].to_pylist(), kind)
    return pa.table(columns)


@over(CASES)
def test_rows_without_a_value_in_front(case: Case) -> None:
    """Skipped, refused or spread the same, whichever block or thread sees nothing but them."""
    whole = table(case.draw(6))
    expected = evaluate(case, whole).scores[-1].value
    for missing in [*([name] for name in case.forms), list(case.forms)]:
        rows = gapped(whole, missing)
        for how in ({"threads": 1}, {"threads": 2, "piece": 1}, {"piece": 2, "chunk_rows": 1}):
            assert evaluate(case, rows, missing="skip", **how).scores[-1].value == expected
            with pytest.raises(DataError, match="missing"):
                evaluate(case, rows, missing="error", **how)
            spread = total(case, rows, missing="propagate", **how)
            assert (math.isnan(spread.value), spread.rows) == (True, 6 + GAPS)


def file(folder: Path, rows: int = 1, **columns: pa.Array) -> str:
    path = folder / "t.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=rows)
    return str(path)


def value(path: str, spec: str, **how: Any) -> float:
    return lossctl.evaluate(path, spec, target="y", pred="p", **how).value


@pytest.mark.parametrize("rows", [1, 2])
def test_an_empty_list_is_refused_by_its_row(tmp_path: Path, rows: int) -> None:
    for lists in ([[], [0.3, 0.7]], [[0.3, 0.7], []]):
        both = pa.array(lists, LIST)
        with pytest.raises(DataError, match=rf"row {lists.index([])}, column 'y': the list is empty"):
            value(file(tmp_path, rows, y=both, p=both), "kl")


def test_all_lists_missing(tmp_path: Path) -> None:
    path = file(tmp_path, y=pa.array([None, None], LIST), p=pa.array([None, None], LIST))
    for missing, told in (("error", "missing"), ("skip", "no row is left"), ("propagate", "every list is")):
        with pytest.raises(DataError, match=told):
            value(path, "kl", nan=missing)


@pytest.mark.parametrize("spec", ["token-nll", "pixel-cross-entropy", "ctc:blank=1"])
@pytest.mark.parametrize("rows", [1, 2])
def test_labels_beyond_the_classes_of_a_flat_list_are_refused(tmp_path: Path, spec: str, rows: int) -> None:
    scores = pa.array([[-0.2, -0.8, -0.5, -0.5]] * 2, LIST)
    spec = spec if spec.startswith("ctc") else f"{spec}:from-logits=true"
    for row, labels in enumerate(([[3, 0], [0, 0]], [[0, 0], [0, 2]])):
        path = file(tmp_path, rows, y=pa.array(labels, pa.list_(pa.int64())), p=scores)
        with pytest.raises(DataError, match=rf"row {row}.*is not one of the 2 classes"):
            value(path, spec, width=2)


def test_a_row_without_steps_comes_first(tmp_path: Path) -> None:
    labels = pa.array([[], [0, 1]], pa.list_(pa.int64()))
    steps = pa.array([[], [[0.2, 0.8], [0.5, 0.5]]], STEPS)
    for rows in (1, 2):
        found = value(file(tmp_path, rows, y=labels, p=steps), "token-nll")
        assert found == pytest.approx(-(math.log(0.2) + math.log(0.5)) / 2)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("spec", ["token-nll", "pixel-cross-entropy", "ctc:from-logits=true:blank=1"])
def test_a_row_with_a_missing_step_is_missing(tmp_path: Path, spec: str, rows: int, order: int) -> None:
    labels = [[0, 0], [0, 0], [0]]
    steps: list[Any] = [[[0.2, 0.8], None], [None, [0.2, 0.8]], [[0.2, 0.8]]]

    def written(kept: slice, step: int = 1) -> str:
        y = pa.array(labels[kept][::step], pa.list_(pa.int64()))
        return file(tmp_path, rows, y=y, p=pa.array(steps[kept][::step], STEPS))

    wanted = value(written(slice(2, 3)), spec)
    path = written(slice(0, 3), order)
    assert value(path, spec, nan="skip") == wanted
    assert math.isnan(value(path, spec, nan="propagate"))
    first = 0 if order == 1 else 1
    with pytest.raises(DataError, match=f"row {first}, column 'p': the list or a step is missing"):
        value(path, spec)


@pytest.mark.parametrize("rows", [1, 2, 3])
@pytest.mark.parametrize("spec", ["mae", "rmse", "medae", "wape", "max-error", "r2-loss"])
def test_a_row_without_a_weight_spoils_the_value_wherever_it_is(tmp_path: Path, spec: str, rows: int) -> None:
    weights = pa.array([0.0, None, 1.0, 2.0])
    numbers = {"y": pa.array([1.0, 2.0, 3.0, 5.0]), "p": pa.array([1.5, 4.0, 2.0, 2.0])}
    path = file(tmp_path, rows, **numbers, w=weights, g=pa.array(["a", "b", "a", "a"]))
    for chunk in (1, 2, None):
        found = lossctl.evaluate(
            path, spec, target="y", pred="p", weight="w", nan="propagate", chunk_rows=chunk, by=["g"]
        )
        assert [(s.group.get("g"), math.isnan(s.value), s.weight) for s in found.scores] == [
            ("a", False, 3.0),
            ("b", True, 1.0),
            (None, True, 4.0),
        ]


@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@pytest.mark.parametrize("keys", [["a", "a", None, "b", "b"], [1, 1, None, 2, 2]])
def test_a_row_of_no_group_is_refused_or_skipped(tmp_path: Path, keys: list[Any], rows: int) -> None:
    path = file(
        tmp_path,
        rows,
        q=pa.array(keys),
        y=pa.array([1.0, 0.0, 1.0, 1.0, 0.0]),
        p=pa.array([0.5, 0.25, 1.0, 0.0, 2.0]),
    )
    for missing in ("error", "propagate"):
        with pytest.raises(DataError, match="row 2, column 'q': the text is missing"):
            value(path, "ndcg-loss", group="q", nan=missing)
    assert value(path, "ndcg-loss", group="q", nan="skip") > 0.0


def test_a_number_beside_a_vector_of_targets_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path, 2, y=pa.array([[0.2, 0.8], [0.5, 0.5]], LIST), p=pa.array([0.5, 1.0]))
    for spec in ("brier", "mse", "bce", "kl"):
        with pytest.raises(DataError, match="vector"):
            value(path, spec)


@pytest.mark.parametrize("rows", [1, 3])
def test_losses_of_different_forms_over_one_column(tmp_path: Path, rows: int) -> None:
    both = {"y": pa.array([None, [0.3, 0.7], [0.5, 0.5]], LIST), "p": pa.array([[0.7, 0.3]] * 3, LIST)}
    found = lossctl.evaluate(
        file(tmp_path, rows, **both), "mse,kl,bce", target="y", pred="p", nan="propagate"
    )
    assert [(math.isnan(score.value), score.rows) for score in found.scores] == [(True, 3)] * 3


def test_only_rows_that_take_part_are_held_against_one(tmp_path: Path) -> None:
    shares = pa.array([[0.3, 0.7], [0.5, 0.6], None], LIST)
    path = file(tmp_path, 3, k=pa.array([0, 1, 2]), y=shares, p=pa.array([[0.3, 0.7]] * 3, LIST))

    def warned(**how: Any) -> bool:
        found = lossctl.evaluate(path, "kl", target="y", pred="p", **how).warnings
        return any("do not sum to one" in text or "does not sum to one" in text for text in found)

    assert warned(nan="skip")
    assert not warned(nan="skip", where="k != 1")
    assert not warned(nan="propagate", where="k != 1")
    assert not warned(where="k < 1")


def test_no_labels_at_all() -> None:
    assert lossctl.compute("ctc", [[]], [[[math.log(0.25), math.log(0.75)]]]).value == -math.log(0.25)
    with pytest.raises(DataError, match="list is empty"):
        lossctl.compute("mse", [[]], [[]])
