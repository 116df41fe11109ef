"""What a column of a Parquet file may hold, and how what it may not is refused."""

from __future__ import annotations

import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_bad_parquet import as_pred, refused, value, write

import lossctl
from lossctl.errors import LossctlError


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64()])
@pytest.mark.parametrize("big", [2**53 + 1, 2**63 - 1])
def test_integers_too_long_for_a_double(tmp_path: Path, kind: pa.DataType, big: int) -> None:
    told = as_pred(tmp_path, pa.array([2**53, big], kind))
    assert told.startswith(f"3 a.parquet, row 1, column 'p': {big} is too long for a double")
    assert f"row 1, column 'p': {big} " in as_pred(tmp_path, pa.array([None, big], kind), nan="skip")


@pytest.mark.parametrize("kind", [pa.decimal128(38, 20), pa.decimal256(60, 30)])
def test_decimals_become_the_nearest_double(tmp_path: Path, kind: pa.DataType) -> None:
    texts = ["0.1", "1234567890123.12345678901234567891", "-0.3", "9007199254740993.00000000000001"]
    for text in texts:
        path = write(tmp_path / "a.parquet", {"y": [0.0], "p": pa.array([Decimal(text)], kind)})
        exact = Fraction(text)
        assert value(path, spec="bias") == exact.numerator / exact.denominator


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32()])
def test_short_floats_are_widened(tmp_path: Path, kind: pa.DataType) -> None:
    short = np.array([0.1, 3.3]).astype(kind.to_pandas_dtype())
    path = write(tmp_path / "a.parquet", {"y": [0.0, 0.0], "p": pa.array(short, kind)})
    assert value(path) == (float(short[0]) + float(short[1])) / 2


def test_truth_values_are_labels_but_no_predictions(tmp_path: Path) -> None:
    truths = pa.array([True, False])
    path = write(tmp_path / "a.parquet", {"y": truths, "p": [0.5, 0.5]})
    assert value(path, spec="bce") == pytest.approx(np.log(2))
    for pred in (truths, truths.dictionary_encode()):
        assert "3 a.parquet, column 'p': holds truth values where" in as_pred(tmp_path, pred)
    lists = {"y": [0, 1], "p": pa.array([[True, False], [False, True]])}
    assert "column 'p': holds truth values" in refused(
        write(tmp_path / "a.parquet", lists), spec="cross-entropy"
    )
    assert value(write(tmp_path / "a.parquet", {"y": truths, "p": truths}), spec="zero-one") == 0.0


def test_columns_of_another_kind(tmp_path: Path) -> None:
    moment = datetime.datetime(2024, 1, 1)
    kinds = {
        "null": pa.nulls(2),
        "text": pa.array(["1", "2"]),
        "text ": pa.array(["1", "2"], pa.string_view()),
        "text  ": pa.array(["a", "b"]).dictionary_encode(),
        "timestamp[us]": pa.array([moment] * 2, pa.timestamp("us")),
        "date32[day]": pa.array([moment.date()] * 2, pa.date32()),
        "duration[us]": pa.array([datetime.timedelta(1)] * 2, pa.duration("us")),
        "time64[us]": pa.array([moment.time()] * 2, pa.time64("us")),
        "binary": pa.array([b"1", b"2"]),
        "struct<a: int64>": pa.array([{"a": 1}, {"a": 2}]),
        "map<string, int64 ('p')>": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    }
    for name, pred in kinds.items():
        assert f"3 a.parquet, column 'p': holds {name.strip()} where the loss takes" in as_pred(
            tmp_path, pred
        )
    assert "column 'p': mae compares element by element, but pred holds vectors" in as_pred(
        tmp_path, pa.array([[1.0], [2.0]])
    )


def test_dictionaries_of_numbers(tmp_path: Path) -> None:
    for kind in (pa.float64(), pa.int32(), pa.decimal128(12, 2)):
        pred = pa.array([1, 4, 1], pa.int32()).cast(kind).dictionary_encode()
        path = write(tmp_path / "a.parquet", {"y": [0.0, 0.0, 0.0], "p": pred})
        assert value(path) == 2.0


def test_dictionaries_that_change_between_row_groups(tmp_path: Path) -> None:
    table = pa.table({"y": [0.0] * 6, "p": [1.0, 2, 4, 8, 16, 32], "g": ["a", "b", "c", "b", "d", "a"]})
    path = tmp_path / "a.parquet"
    with pq.ParquetWriter(path, table.schema, use_dictionary=["g", "p"]) as writer:
        for at in (0, 2, 4):
            writer.write_table(table.slice(at, 2))
    made = lossctl.evaluate(str(path), "mae", target="y", pred="p", by="g", reduction="sum")
    assert [(s.group.get("g"), s.value) for s in made.scores] == [
        ("a", 33),
        ("b", 10),
        ("c", 4),
        ("d", 16),
        (None, 63),
    ]


def test_nulls_are_told_from_nan(tmp_path: Path) -> None:
    assert "3 a.parquet, row 1, column 'p': the value is missing" in as_pred(tmp_path, pa.array([1, None]))
    assert "row 1, column 'p': the value is NaN" in as_pred(tmp_path, pa.array([1.0, float("nan")]))
    for other, told in ((None, "the value is missing"), (float("nan"), "the value is NaN")):
        lists = {"y": [0, 1], "p": pa.array([[0.5, 0.5], [0.5, other]])}
        wide = {"y": [0, 1], "p_0": [0.5, 0.5], "p_1": pa.array([0.5, other])}
        for at, path in enumerate((write(tmp_path / "0", lists), write(tmp_path / "1", wide))):
            with pytest.raises(LossctlError) as caught:
                lossctl.evaluate(str(path), "cross-entropy", target="y", pred=("p", "p_*")[at])
            assert f"row 1, column '{('p[1]', 'p_1')[at]}': {told}" in str(caught.value)
    ragged = {"y": pa.array([[0, 1], [1, None]]), "p": pa.array([[[0.5, 0.5]] * 2] * 2)}
    assert "row 1, column 'y': the value is missing" in refused(
        write(tmp_path / "a", ragged), spec="token-nll"
    )
    counts = lossctl.evaluate(str(tmp_path / "1"), "cross-entropy", target="y", pred="p_*", nan="skip").rows
    assert (counts.used, counts.skipped) == (1, 1)


def test_mixed_schemas(tmp_path: Path) -> None:
    first = write(tmp_path / "a.parquet", {"y": pa.array([1.0], pa.float32()), "p": [2.0], "g": ["u"]})
    second = write(tmp_path / "b.parquet", {"g": ["v"], "p": pa.array([3], pa.int16()), "y": [2.0]})
    assert value(first, second) == 1.0
    third = write(tmp_path / "c.parquet", {"y": ["1"], "p": [1.0]})
    told = refused(first, third)
    assert told.startswith("3 c.parquet, column 'y': holds number in ")
    assert "a.parquet but text here" in told
