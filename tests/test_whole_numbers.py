"""Whole numbers that no double holds: refused wherever they would be rounded, never compared as others."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lossctl import compute, evaluate
from lossctl.errors import BadSpec, DataError

BIG = 1 << 53
ROWS = {"target": [0.0] * 3, "pred": [1.0, 10.0, 100.0], "id": [BIG, BIG + 1, BIG + 2]}


def written(folder: Path, suffix: str) -> str:
    path = folder / f"a.{suffix}"
    if suffix == "csv":
        rows = "".join(f"0,{p},{i}\n" for p, i in zip(ROWS["pred"], ROWS["id"], strict=True))
        path.write_text("target,pred,id\n" + rows)
    else:
        kind = {"parquet": pa.int64(), "unsigned.parquet": pa.uint64(), "dec.parquet": pa.decimal128(20, 0)}
        pq.write_table(pa.table({**ROWS, "id": pa.array(ROWS["id"]).cast(kind[suffix])}), path)
    return str(path)


@pytest.mark.parametrize("by", [(), ("id",)])
@pytest.mark.parametrize("suffix", ["csv", "parquet", "unsigned.parquet", "dec.parquet"])
def test_a_filter_does_not_round(suffix: str, by: tuple[str, ...], tmp_path: Path) -> None:
    path = written(tmp_path, suffix)
    for where in (f"id > {BIG}", "id > 5", f"id in ({BIG}, 7)"):
        with pytest.raises(DataError, match=f"a.*{suffix}.*{BIG + 1}"):
            evaluate(path, "mae", where=where, by=by)
    with pytest.raises(BadSpec, match=f"{BIG + 1} is too long for a double"):
        evaluate(path, "mae", where=f"id == {BIG + 1}", by=by)
    with pytest.raises(BadSpec, match=f"{BIG + 1} is too long for a double"):
        evaluate(path, "mae", where=f"pred > -{BIG + 1}", by=by)


def test_what_a_double_holds_is_compared(tmp_path: Path) -> None:
    ids = [BIG, 2 * BIG + 4, None]
    data = pa.table({**ROWS, "id": ids})
    assert compute("mae", "target", "pred", data=data, where=f"id == {BIG}").value == 1.0
    assert compute("mae", "target", "pred", data=data, where=f"id > {2 * BIG}").value == 10.0


def test_an_overflow_is_no_large_number(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("target,pred,id\n0,1,1e400\n0,2,1\n")
    for by in ((), ("id",)):
        with pytest.raises(DataError, match="'1e400' overflows a double"):
            evaluate(str(path), "mae", where="id > 1", by=by)


@pytest.mark.parametrize("kind", [pa.decimal128(20, 0), pa.decimal256(40, 0), pa.decimal128(20, -1)])
def test_decimals_of_whole_numbers_are_whole_numbers(kind: pa.DataType) -> None:
    step = 10 ** -min(kind.scale, 0)
    long = BIG * step + step if kind.scale < 0 else BIG + 1
    while int(float(long)) == long:
        long += step
    for target, fine in ((Decimal(long), False), (Decimal(BIG * step), True)):
        data = pa.table({"y": pa.array([target], kind), "p": [0.0]})
        if fine:
            assert compute("mae", "y", "p", data=data).value == BIG * step
            continue
        with pytest.raises(DataError, match=f"{long} is too long for a double"):
            compute("mae", "y", "p", data=data)
