"""Columns in unusual dress: extension and dictionary types, lists with gaps, filtered sequences."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossctl
from lossctl.arrow import from_numpy, holds, list_parts, numbers, valid_bits
from lossctl.columns import Feed
from lossctl.decode_lists import loader
from lossctl.errors import BadRow, DataError, LossctlError, UsageError
from lossctl.groups import dictionary_codes
from lossctl.loss import Form
from lossctl.process import run

F = pa.float64()
TENSORS = pa.ExtensionArray.from_storage(
    pa.fixed_shape_tensor(F, [2]), pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(F, 2))
)


def write(path: Path, **columns: Any) -> str:
    pq.write_table(pa.table(columns), path)
    return str(path)


def value(path: str, spec: str, **options: Any) -> float:
    return lossctl.evaluate(path, spec, target="y", pred="p", **options).scores[-1].value


def refused(path: str, spec: str, **options: Any) -> LossctlError:
    with pytest.raises(LossctlError) as caught:
        value(path, spec, **options)
    assert "\n" not in str(caught.value)
    return caught.value


# -- Arrow types ---------------------------------------------------------------------------------------------


def test_extension_types_hold_what_they_store() -> None:
    assert holds(TENSORS.type) == "list"
    flat, offsets, valid = list_parts(TENSORS)
    assert (flat.to_pylist(), offsets.tolist(), valid) == ([1.0, 2.0, 3.0, 4.0], [0, 2, 4], None)
    flags = pa.array([1, None, 0], pa.bool8())
    values, valid = numbers(flags)
    assert (holds(flags.type), values[[0, 2]].tolist()) == ("number", [1, 0])
    assert valid is not None
    assert valid.tolist() == [True, False, True]
    assert holds(pa.uuid()) == "fixed_size_binary[16]"


def test_vectors_as_tensors() -> None:
    pred = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 0.0, 3.0, 0.0]), 2)
    score = lossctl.compute("mse", TENSORS, pred).scores[-1]
    assert score.value == (2.0 + 8.0) / 2


def test_dictionaries_and_nulls() -> None:
    coded = pa.array([2.5, None, 2.5]).dictionary_encode()
    values, valid = numbers(coded)
    assert values[[0, 2]].tolist() == [2.5, 2.5]
    assert valid is not None
    assert valid.tolist() == [True, False, True]
    within = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0], pa.int32()), pa.array(["a", None]))
    assert valid_bits(pa.nulls(2)).tolist() == [False, False]  # type: ignore[union-attr]
    assert valid_bits(within) is None
    assert lossctl.compute("mae", coded.take([0, 2]), [2.0, 2.0]).value == 0.5


def test_numbers_group_by_their_text() -> None:
    years = pa.array([2024, 2023, 2024]).dictionary_encode()
    codes, words, null = dictionary_codes(years)
    assert ([words[code] for code in codes], null) == (["2024", "2023", "2024"], None)
    scores = lossctl.compute("mae", [1.0, 2.0, 3.0], [1.0, 4.0, 6.0], by={"year": years}).scores
    assert {s.group.get("year"): s.value for s in scores} == {"2023": 2.0, "2024": 1.5, None: 5 / 3}


def test_arrays_without_rows() -> None:
    for kind in (pa.int8(), F, pa.bool_(), pa.decimal128(9, 2)):
        values, valid = numbers(pa.array([], kind))
        assert (len(values), valid) == (0, None)
    for listed in (pa.list_(F), pa.large_list(F), pa.list_(F, 3), pa.list_view(F), pa.large_list_view(F)):
        flat, offsets, valid = list_parts(pa.array([], listed))
        assert (len(flat), offsets.tolist(), valid) == (0, [0], None)


@pytest.mark.parametrize("kind", [pa.list_view(F), pa.large_list_view(F)])
def test_list_views_are_lists_wherever_their_values_stand(kind: pa.DataType, tmp_path: Path) -> None:
    rows = [[9.0], [1.0, 2.0], None, [], [3.0, 4.0], [1.0, 2.0]]
    made = pa.array(rows, kind)
    backwards = type(made).from_arrays(
        [0, 3, 0, 0, 1, 3], [1, 2, 0, 0, 2, 2], pa.array([9.0, 3, 4, 1, 2]), type=kind, mask=made.is_null()
    )
    for view in (made, backwards):
        assert view.to_pylist() == rows
        for start in range(len(rows)):
            flat, offsets, valid = list_parts(view.slice(start))
            wanted = list_parts(pa.array(rows[start:], pa.list_(F)))
            assert flat.to_pylist() == wanted[0].to_pylist()
            assert offsets.tolist() == wanted[1].tolist()
            assert (valid is None) == (wanted[2] is None)
            assert valid is None or valid.tolist() == wanted[2].tolist()
    table = pa.table({"y": pa.array([[1.0, 2.0], [3.0, 4.0]], kind), "p": [[1.0, 2.0], [3.0, 6.0]]})
    assert lossctl.compute("mse", "y", "p", data=table).value == 1.0
    pq.write_table(table, tmp_path / "a.parquet")
    assert value(str(tmp_path / "a.parquet"), "mse") == 1.0


def test_numpy_arrays_without_a_copy() -> None:
    for dtype, kind in ((np.float64, F), (np.int64, pa.int64()), (np.uint64, pa.uint64())):
        array = np.arange(3, dtype=dtype)
        assert from_numpy(array).type == kind
        assert from_numpy(array).buffers()[1].address == array.ctypes.data


# -- vectors -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [pa.list_(F), pa.large_list(F)])
def test_a_row_of_another_width(tmp_path: Path, kind: pa.DataType) -> None:
    y = pa.array([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]], kind)
    path = write(tmp_path / "a.parquet", y=y, p=pa.array([[1.0, 2.0], [1.0], [3.0, 4.0]], kind))
    error = refused(path, "mse")
    assert "the row holds 1 values, others 2" in str(error)
    assert (error.facts["row"], error.facts["column"]) == (1, "p")
    assert "1 values, others 2" in str(refused(path, "mse", nan="skip"))


@pytest.mark.parametrize("missing", ["skip", "error"])
@pytest.mark.parametrize("hole", [None, [None, 2.0]], ids=["row", "element"])
def test_vectors_with_holes(tmp_path: Path, hole: Any, missing: str) -> None:
    y = pa.array([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]])
    path = write(tmp_path / "a.parquet", y=y, p=pa.array([[1.0, 2.0], hole, [3.0, 6.0]]))
    if missing == "error":
        assert refused(path, "mse").facts["row"] == 1
    else:
        assert value(path, "mse", nan="skip") == 1.0


def test_a_hole_and_another_width_at_once(tmp_path: Path) -> None:
    y = pa.array([[0.5, 0.5]] * 4)
    p = pa.array([[0.5, 0.5], None, [0.25, None], [0.5, 0.25, 0.25]])
    path = write(tmp_path / "a.parquet", y=y, p=p)
    assert refused(path, "kl", nan="skip").facts["row"] == 3
    assert refused(path, "mse", nan="skip").facts["row"] == 3
    assert refused(path, "mse").facts["row"] == 1
    solid = pa.array([[1.0, 2.0], [3.0, 4.0], None, [5.0]])
    assert refused(write(tmp_path / "b.parquet", y=y, p=solid), "mse", nan="skip").facts["row"] == 3


def test_integers_too_long_in_one_of_several_columns(tmp_path: Path) -> None:
    columns = {
        "p_0": pa.array([1, 2]),
        "p_1": pa.array([3, 2**53 + 1]),
        "y": pa.array([[1.0, 3.0], [2.0, 4.0]]),
    }
    path = write(tmp_path / "a.parquet", **columns)
    with pytest.raises(BadRow, match="too long for a double") as caught:
        lossctl.evaluate(path, "mse", target="y", pred="p_*")
    assert (caught.value.facts["row"], caught.value.facts["column"]) == (1, "p_1")


def test_several_columns_with_holes(tmp_path: Path) -> None:
    columns = {"p_0": [1.0, None, 3.0], "p_1": [1.0, 2.0, 5.0], "y": [[1.0, 1.0], [1.0, 2.0], [3.0, 3.0]]}
    path = write(tmp_path / "a.parquet", **columns)
    assert lossctl.evaluate(path, "mse", target="y", pred="p_*", nan="skip").value == 1.0
    with pytest.raises(BadRow, match="missing") as caught:
        lossctl.evaluate(path, "mse", target="y", pred="p_*")
    assert (caught.value.facts["row"], caught.value.facts["column"]) == (1, "p_0")


def test_files_whose_vectors_differ_in_width(tmp_path: Path) -> None:
    for name, row in (("a", [1.0, 2.0]), ("b", [1.0, 2.0, 3.0])):
        write(tmp_path / f"{name}.parquet", y=[row] * 3, p=[row] * 3)
    for threads in (1, 2):
        with pytest.raises(DataError, match=r"widths|others|needs?"):
            lossctl.evaluate(str(tmp_path), "mse", target="y", pred="p", threads=threads)


# -- sequences, texts and labels --------------------------------------------------------------------------


def ctc(tmp_path: Path, p: Any, y: Any = None, **options: Any) -> float:
    """The loss of sequences of steps of two classes."""
    targets = pa.array([[1], [1, 1], [1]]) if y is None else y
    path = write(tmp_path / "a.parquet", y=targets, p=p)
    return lossctl.evaluate(path, "ctc", target="y", pred="p", **options).value


def steps(*lengths: int) -> list[Any]:
    return [[[math.log(0.5)] * 2] * length for length in lengths]


def test_sequences_however_they_are_stored(tmp_path: Path) -> None:
    nested = steps(1, 3, 2)
    want = ctc(tmp_path, pa.array(nested))
    assert want == pytest.approx((math.log(2.0) + math.log(8.0) + math.log(4.0 / 3.0)) / 3, rel=1e-12)
    flat = pa.array([[v for step in row for v in step] for row in nested])
    assert ctc(tmp_path, flat, width=2) == want
    fixed = pa.array(nested, pa.list_(pa.list_(F, 2)))
    assert ctc(tmp_path, fixed) == want
    for p, options, message in (
        (flat, {}, "--width"),
        (pa.array([[0.5] * 4, [0.5] * 3, [0.5]]), {"width": 2}, "not multiples of --width 2"),
        (pa.array([[[0.5] * 2], [[0.5] * 3] * 3, [[0.5] * 2]]), {}, "steps hold"),
        (pa.array([0.5, 0.5, 0.5]), {}, "list"),
    ):
        with pytest.raises(LossctlError, match=message):
            ctc(tmp_path, p, **options)  # type: ignore[arg-type]


def test_sequences_that_no_table_holds() -> None:
    seq = loader(Feed(("a", "b"), Form("real", "matrix")), "error", {}, frozenset())
    with pytest.raises(DataError, match="a list column is needed"):
        seq.attach(pa.record_batch({"a": [1.0], "b": [1.0]}))
    empty = loader(Feed(("a",), Form("real", "matrix")), "error", {}, frozenset())
    empty.attach(pa.record_batch({"a": pa.array([[], []], pa.list_(pa.list_(F)))}))
    assert empty.load(0, 2).values.lengths.tolist() == [0, 0]
    labels = loader(Feed(("y",), Form("label"), width_of=("p",)), "error", {}, frozenset())
    labels.attach(pa.record_batch({"y": [7], "p": [0.5]}))
    assert labels.load(0, 1).values.tolist() == [7]


def test_workers_whose_vectors_differ_in_width() -> None:
    feed = Feed(("p",), Form("real", "vector"))
    one, two, idle = (loader(feed, "error", {}, frozenset()) for _ in range(3))
    for each, row in ((one, [1.0, 2.0]), (two, [1.0, 2.0, 3.0])):
        each.attach(pa.record_batch({"p": [row]}))
        each.load(0, 1)
    one.agree([idle])
    with pytest.raises(DataError, match=r"different widths: \[2, 3\]"):
        one.agree([idle, two])


def test_missing_sequences(tmp_path: Path) -> None:
    whole = steps(1, 3, 2)
    want = ctc(tmp_path, pa.array([whole[0], whole[2]]), pa.array([[1], [1]]))
    for p, y in (
        (pa.array([whole[0], None, whole[2]]), None),
        (pa.array(whole), pa.array([[1], None, [1]])),
        (pa.array(whole), pa.array([[1], [1, None], [1]])),
        (pa.array([whole[0], [[math.nan, 0.0]] * 3, whole[2]]), None),
        (pa.array([whole[0], [[None, 0.0]] * 3, whole[2]]), pa.array([[1], None, [1]])),
    ):
        assert ctc(tmp_path, p, y, nan="skip") == want
        with pytest.raises(BadRow, match="missing") as caught:
            ctc(tmp_path, p, y)
        assert caught.value.facts["row"] == 1


def test_rows_of_sequences_that_a_filter_takes_away(tmp_path: Path) -> None:
    whole = steps(1, 3, 2)
    path = write(tmp_path / "a.parquet", y=pa.array([[1], [1, 1], [1]]), p=pa.array(whole), g=[1, 2, 1])
    kept = lossctl.evaluate(path, "ctc", target="y", pred="p", where="g == 1").value
    assert kept == ctc(tmp_path, pa.array([whole[0], whole[2]]), pa.array([[1], [1]]))


def test_texts_are_compared_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", y=["a b", "c", None], p=["a x", "c", "d"])
    assert lossctl.evaluate(path, "wer", target="y", pred="p", nan="skip").value == 1 / 3
    with pytest.raises(BadRow, match="the text is missing"):
        lossctl.evaluate(path, "wer", target="y", pred="p")


def test_labels_need_scores_to_count_classes_by(tmp_path: Path) -> None:
    scores = pa.array([[0.5, 0.5], [0.25, 0.75]])
    assert value(write(tmp_path / "a.parquet", y=[0, 1], p=scores), "cross-entropy") > 0
    assert refused(write(tmp_path / "b.parquet", y=[0, 2], p=scores), "cross-entropy").facts["row"] == 1
    assert "p" in str(refused(write(tmp_path / "c.parquet", y=[0, 1], p=[0.5, 0.25]), "cross-entropy"))


def test_signs_that_differ_between_files(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", y=[0, 1], p=[1.0, 2.0])
    write(tmp_path / "b.parquet", y=[-1, 1], p=[1.0, 2.0])
    with pytest.raises(DataError, match="labels mix 0"):
        lossctl.evaluate(str(tmp_path), "hinge", target="y", pred="p")


def test_integers_beyond_two_to_the_53rd_that_a_double_holds(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", y=[2**54, 2**60], p=[2**54, 2**60 - 2**10])
    assert value(path, "mae") == 2.0**9


def test_boxes_from_too_few_columns(tmp_path: Path) -> None:
    columns: dict[str, Any] = {f"p_{i}": [0.0, 1.0] for i in range(3)}
    path = write(tmp_path / "a.parquet", y=pa.array([[0.0, 0.0, 1.0, 1.0]] * 2), **columns)
    with pytest.raises(DataError, match="4 values but 3 columns") as caught:
        lossctl.evaluate(path, "box-iou", target="y", pred="p_*")
    assert "a.parquet" in str(caught.value)


def test_a_row_of_no_cluster(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", y=[1.0, 2.0, 3.0], p=[1.0, 2.0, 3.0], c=["a", None, "b"])
    error = refused(path, "mae", ci=0.9, cluster="c")
    assert (error.facts["row"], error.facts["column"]) == (1, "c")


# -- The library's face --------------------------------------------------------------------------------------


def test_arrays_come_as_arrow_tables_and_frames_too() -> None:
    import pandas as pd

    y, p = [1.0, 2.0, 4.0], [1.0, 3.0, 2.0]
    arrow = {"y": pa.array(y), "p": pa.chunked_array([p[:1], p[1:]])}
    for data in (pd.DataFrame({"y": y, "p": p}), pa.table({"y": y, "p": p}), arrow):
        assert lossctl.compute("mae", "y", "p", data=data).value == 1.0
    assert lossctl.compute("mae", arrow["y"], arrow["p"]).value == 1.0


def test_truth_values_in_arrays_are_what_they_are_in_tables() -> None:
    truths, shares = np.array([True, False]), [0.75, 0.25]
    assert lossctl.compute("zero-one", truths, [1, 0]).value == 0.0
    assert lossctl.compute("mae", truths, shares).value == 0.25
    groups = lossctl.compute("mae", shares, shares, by=truths).scores
    assert [score.group for score in groups] == [{"by": "false"}, {"by": "true"}, {}]
    with pytest.raises(DataError, match="holds truth values"):
        lossctl.compute("mae", shares, truths)


def test_data_that_is_no_table_is_refused() -> None:
    with pytest.raises(UsageError, match="data is a list"):
        lossctl.compute("mae", "y", "p", data=[1.0, 2.0])


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="differ in length: target has 3, pred has 2 rows"):
        lossctl.compute("mae", [1.0, 2.0, 3.0], [1.0, 2.0])


def test_arrays_of_four_dimensions_are_refused() -> None:
    with pytest.raises(DataError, match="target has 4 dimensions"):
        lossctl.compute("mae", np.zeros((2, 2, 2, 2)), [1.0, 2.0])


def test_gradients_of_sums_over_sequences(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"y": [[1, 0], [0]], "p": [[[0.2, 0.8], [0.5, 0.5]], [[0.25, 0.75]]]}),
        tmp_path / "a.parquet",
    )

    def slopes(spec: str) -> list[Any]:
        words = ["compute", spec, str(tmp_path / "a.parquet"), "--target", "y", "--pred", "p"]
        out = tmp_path / "rows.parquet"
        assert run([*words, "--reduction", "none", "--grad", "-o", str(out)], debug=False) == 0
        return [
            np.array([step for row in column for step in row])
            for name, column in pq.read_table(out).to_pydict().items()
            if "grad" in name
        ]

    (one,), (other,) = slopes("token-nll"), slopes("pixel-cross-entropy")
    for spec, wanted in (
        ("2*token-nll", 2 * one),
        ("token-nll+token-nll", 2 * one),
        ("-0.5*pixel-cross-entropy", -0.5 * other),
        ("token-nll+3*pixel-cross-entropy", one + 3 * other),
    ):
        (found,) = slopes(spec)
        np.testing.assert_allclose(found, wanted, rtol=1e-15)
