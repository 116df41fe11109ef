"""What Python programs hand over: paths of every kind, arrays, series and frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossctl import compute, evaluate
from lossctl.errors import DataError, LossctlError, UsageError

FRAME = pd.DataFrame({"y": [1.0, 2.0, 3.0], "p": [1.0, 2.0, 5.0], "g": ["a", "b", "b"], "w": [1, 2, 3]})
SHUFFLED = FRAME.sort_values("y", ascending=False)


def groups(result: Any) -> dict[str, float]:
    return {" ".join(score.group.values()): score.value for score in result.scores}


# -- files ---------------------------------------------------------------------------------------------------


def test_paths_are_texts_or_path_objects_one_or_several(tmp_path: Path) -> None:
    for name in ("a", "b"):
        pq.write_table(pa.table({"y": [1.0], "p": [3.0], "k": [name]}), tmp_path / f"{name}.parquet")
    one = tmp_path / "a.parquet"
    given: list[Any] = [str(one), one, [one], (str(one),), tmp_path.glob("a*"), np.array([str(one)])]
    for path in given:
        assert evaluate(path, "mae", target="y", pred="p").rows.read == 1
    assert evaluate(sorted(tmp_path.glob("*.parquet")), "mae", target="y", pred="p").rows.read == 2
    pq.write_table(pa.table({"y": [2.0], "k": ["a"]}), tmp_path / "true.parquet")
    joined = evaluate(one, "mae", target_file=tmp_path / "true.parquet", on="k", target="target.y", pred="p")
    assert joined.value == 1.0


@pytest.mark.parametrize(
    "path", [FRAME, pa.table({"y": [1.0]}), {"y": [1.0]}, b"a.csv", None, 3, [None], [FRAME]]
)
def test_data_is_not_taken_for_paths(path: Any) -> None:
    with pytest.raises(UsageError, match=r"path is a .*in memory goes to lossctl\.compute"):
        evaluate(path, "mae")


# -- columns -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.set_index("g"),
        FRAME.astype({"y": "Float64", "g": "category"}),
        pa.Table.from_pandas(FRAME),
        pa.RecordBatch.from_pandas(FRAME),
        {name: FRAME[name] for name in FRAME},
        {name: list(FRAME[name]) for name in FRAME},
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_frames_of_every_kind(frame: Any) -> None:
    found = compute("mae", "y", "p", data=frame, by="g", weight="w")
    assert groups(found) == {"a": 0.0, "b": 1.2, "": 1.0}


def test_polars_frames_and_series() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(FRAME)
    assert groups(compute("mae", "y", "p", data=frame, by="g")) == {"a": 0.0, "b": 1.0, "": 2 / 3}
    assert groups(compute("mae", frame["y"], frame["p"], by=frame["g"])) == {"a": 0.0, "b": 1.0, "": 2 / 3}
    holes = polars.Series([1, None, 3])
    assert compute("mae", holes, [1, 2, 4], nan="skip").value == 0.5
    with pytest.raises(UsageError, match="data is a LazyFrame"):
        compute("mae", "y", "p", data=frame.lazy())


@pytest.mark.parametrize(
    "target",
    [
        [1, None, 3],
        np.array([1, None, 3], object),
        np.ma.array([1, 2, 3], mask=[0, 1, 0]),
        np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0]),
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series([1, None, 3], dtype="Float64"),
        pd.Series([1.0, np.nan, 3.0]),
        pa.array([1, None, 3]),
    ],
    ids=lambda values: f"{type(values).__name__} {getattr(values, 'dtype', '')}",
)
def test_what_is_missing_is_missing(target: Any) -> None:
    assert compute("mae", target, [1, 9, 4], nan="skip").value == 0.5
    with pytest.raises(DataError, match=r"row 1, column 'target': the value is (missing|NaN)"):
        compute("mae", target, [1, 9, 4])


def test_a_masked_element_of_a_vector_makes_its_row_missing() -> None:
    target = np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[0, 1], [0, 0]])
    assert compute("mse", target, np.ones((2, 2)), nan="skip").value == 6.5


@pytest.mark.parametrize("kind", [">f8", "<f4", "f2", ">i4", "u1", ">u8", "<u8", "longdouble"])
def test_numbers_of_every_type_and_stride(kind: str) -> None:
    target = np.array([1, 0, 2, 0, 3, 0], kind)[::2]
    assert compute("mae", target, np.array([3, 2, 2])[::-1]).value == 1 / 3


@pytest.mark.parametrize("big", [np.array([2**64 - 1], np.uint64), np.array([2**64 - 1], ">u8"), [2**64]])
def test_large_unsigned_numbers_do_not_wrap(big: Any) -> None:
    with pytest.raises(DataError, match="too l"):
        compute("mae", big, [1.0])
    assert compute("mae", np.array([2**53], np.uint64), [0.0]).value == 2.0**53


def test_groups_that_are_missing_or_called_as_an_input() -> None:
    for by in (["a", None], np.array(["a", None], object), pd.Categorical(["a", None])):
        with pytest.raises(DataError, match="row 1, column 'by': the group is missing"):
            compute("mae", [1, 2], [1, 2], by=by)
    for name in ("target", "pred", "weight"):
        with pytest.raises(UsageError, match=f"by calls a group {name}"):
            compute("mae", [1, 2], [1, 2], weight=[1, 1], by={name: [3, 4]})
    assert len(compute("mae", [1] * 60, [1] * 60, by={"cluster": [1] * 60}, cluster=range(60), ci=0.9).scores)


# -- what would give another number --------------------------------------------------------------------------


def test_series_in_two_orders_are_refused_and_arrays_matched_by_position() -> None:
    with pytest.raises(DataError, match="target and pred have the same index in different orders"):
        compute("mae", FRAME["y"], SHUFFLED["p"])
    assert compute("mae", FRAME["y"].to_numpy(), SHUFFLED["p"].to_numpy()).value == 2.0
    assert compute("mae", SHUFFLED["y"], SHUFFLED["p"]).value == 2 / 3
    assert (
        compute("mae", FRAME["y"], FRAME["p"].set_axis([7, 8, 9])).value == 2 / 3
    )  # other labels altogether


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: compute("mae", "y", "p"), "target is a text, not an array"),
        (lambda: compute("mae", [1], [1], by="g"), "by is a text, not an array"),
        (lambda: compute("mae", [1], [1], weight="w"), "weight is a text, not an array"),
        (lambda: compute("mae", [1.0, 2.0, 3.0], "p", data=FRAME), "target is not the name of a column"),
        (
            lambda: compute("mae", "y", "p", weight=[1, 2, 3], data=FRAME),
            "weight is not the name of a column",
        ),
        (
            lambda: compute("mae", "y", "p", weight=FRAME["w"], data=FRAME),
            "weight is not the name of a column",
        ),
        (lambda: compute("mae", "y", "p", cluster=["g"], ci=0.9, data=FRAME), "cluster is not the name"),
        (lambda: compute("mae", "y", "p", by=np.array([1, 2, 3]), data=FRAME), "by is not the name"),
        (lambda: compute("mae", FRAME["y"], "p", data=FRAME), "target is not the name of a column"),
        (lambda: compute("mae", {0: 5.0, 1: 6.0}, [0, 1]), "target is a dict, whose values have no order"),
        (lambda: compute("mae", {5.0, 6.0}, [0, 1]), "target is a set"),
        (lambda: compute("mae", [1j], [1.0]), "target cannot be read: .*complex"),
        (lambda: compute("mae", [1.0], [1.0, 2.0]), "the inputs differ in length: target has 1, pred has 2"),
        (lambda: compute("mae", 1.0, 2.0), "target has 0 dimensions"),
        (
            lambda: compute("mae", "y", "p", data=FRAME.assign(x=[1, "a", []])),
            "data cannot be read: .*column x",
        ),
        (
            lambda: compute("mae", "y", "p", data=FRAME.rename(columns={"w": "y"})),
            "data cannot be read: Dupl",
        ),
    ],
)
def test_mistakes_are_told(call: Callable[[], Any], says: str) -> None:
    with pytest.raises(LossctlError, match=says):
        call()
