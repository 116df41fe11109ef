"""Parquet in, and what both formats share: paths, directories, schemas, promises and their breach."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_sources_csv import READ, drain

from lossctl.errors import LossctlError
from lossctl.sources import Dataset, open_dataset
from lossctl.sources.memory import MemoryDataset

F, S, D = pa.float64(), pa.string(), pa.dictionary(pa.int32(), pa.string())
Y = {"y": F}


def table(**columns: list[object]) -> pa.Table:
    return pa.Table.from_pydict(columns)


def write(path: Path, data: pa.Table, **options: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(data, path, **options)
    return str(path)


def told(*paths: object, wanted: dict[str, object] | None = None, **options: object) -> str:
    """The refusal of a data set, as exit code and text."""
    with pytest.raises(LossctlError) as caught:
        drain(open_dataset([str(path) for path in paths], **options), wanted or Y)
    text = f"{caught.value.exit_code} {caught.value}"
    assert "\n" not in text
    return text


def types(data: Dataset, wanted: dict[str, object]) -> dict[str, str]:
    batch = next(next(data.pieces(wanted)).read())
    return {field.name: str(field.type) for field in batch.schema}


@pytest.fixture
def rich(tmp_path: Path) -> str:
    out = [{"logits": [1.0, 2.0], "name": "q"}, None, {"logits": None, "name": None}]
    columns = {
        "y": pa.array([1.0, 2.0, None]),
        "g": pa.array(["x", "y", None]),
        "out": pa.array(out),
        "large": pa.array(["x", "y", None], pa.large_string()),
        "a.b": pa.array([7, 8, 9]),
        "a": pa.array([{"b": 1, "c.d": 5}] * 3),
    }
    return write(tmp_path / "rich.parquet", pa.table(columns), row_group_size=2)


def test_columns_by_name_and_path(rich: str) -> None:
    wanted = {"a.b": F, "out.logits": F, "g": S, "y": F, "out.name": S, "a.c.d": F, "large": S}
    assert drain(open_dataset([rich]), wanted) == {
        "a.b": [7, 8, 9],
        "out.logits": [[1.0, 2.0], None, None],
        "g": ["x", "y", None],
        "y": [1.0, 2.0, None],
        "out.name": ["q", None, None],
        "a.c.d": [5, 5, 5],
        "large": ["x", "y", None],
    }
    with open_dataset([rich]) as data:
        assert types(data, {"g": D, "y": D, "large": S}) == {
            "g": str(D),
            "y": "double",
            "large": "large_string",
        }
        assert data.promised_rows == 3
        assert [c.name for c in data.columns] == ["y", "g", "out", "large", "a.b", "a"]
        assert data.peek(["g", "out.logits"], 2) == {"g": ["x", "y"], "out.logits": [[1.0, 2.0], None]}
        assert [p.rows for p in data.pieces({})] == [2, 1]
        assert [b.num_rows for p in data.pieces({}) for b in p.read()] == [2, 1]
        data.finish()
    assert "no column 'out.z' for this run; closest: out" in told(rich, wanted={"out.z": F})


def test_pieces_and_batches_are_bounded(tmp_path: Path) -> None:
    values = pa.array(range(700_000), pa.float64())
    path = write(tmp_path / "a.parquet", pa.table([values, values], ["y", "p"]), row_group_size=1 << 20)
    with open_dataset([path]) as data:
        (piece,) = data.pieces({"y": F, "p": F})
        sizes = [batch.nbytes for batch in piece.read()]
        assert len(sizes) > 4
        assert max(sizes) <= 4 << 20
        assert piece.nbytes == data.nbytes == os.path.getsize(path)


def test_content_decides_the_format(tmp_path: Path) -> None:
    path = write(tmp_path / "named.csv", table(y=[1.0]))
    assert drain(open_dataset([path]), Y) == {"y": [1.0]}
    text = tmp_path / "named.parquet"
    text.write_text("y,p\n1,2\n")
    assert "not a Parquet file: it looks like text" in told(text)
    assert drain(open_dataset([str(text)], input_format="csv"), Y) == {"y": [1.0]}
    assert "but this is a Parquet file" in told(path, input_format="csv")


def test_hive_directories(tmp_path: Path) -> None:
    write(tmp_path / "d/k=b%20c/part.parquet", table(y=[1.0, 2.0]))
    null = tmp_path / "d/k=__HIVE_DEFAULT_PARTITION__/sub"
    null.mkdir(parents=True)
    (null / "part.csv").write_text("z,y\n5,3\n")
    for hidden in ("_SUCCESS", ".part.parquet.crc", "notes.txt", "k=b%20c/_tmp.parquet"):
        (tmp_path / "d" / hidden).write_text("")
    expected = {"k": [None, "b c", "b c"], "y": [3.0, 1.0, 2.0]}
    for given in ("d", "d/**"):
        data = open_dataset([str(tmp_path / given)]) if given == "d" else None
        if data:
            assert [c.name for c in data.columns] == ["y", "k"]
            assert drain(data, {"k": D, "y": F}) == expected
    files = [str(tmp_path / "d" / "*" / "**" / "part.*")]
    assert drain(open_dataset(files), {"k": D, "y": F}) == expected
    (null / "link").symlink_to(tmp_path / "d")
    assert "contains itself through a link" in told(tmp_path / "d")


def test_paths_that_mean_nothing(tmp_path: Path) -> None:
    assert "the pattern matches no file" in told(tmp_path / "*.csv")
    assert told(tmp_path / "none.csv").startswith("3 ")
    assert "holds no .parquet or .csv file" in told(tmp_path)
    assert told(f"{tmp_path}/a\0b").startswith("3 ")
    literal = tmp_path / "a[1].csv"
    literal.write_text("y\n1\n")
    assert drain(open_dataset([str(literal)]), Y) == {"y": [1.0]}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_permission(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.parquet", table(y=[1.0])))
    path.chmod(0)
    assert told(path) == f"4 {path}: permission denied"


def test_mixed_schemas(tmp_path: Path) -> None:
    first = write(tmp_path / "a.parquet", pa.table({"y": pa.array([1.0], pa.float32()), "g": ["u"]}))
    second = write(tmp_path / "b.parquet", table(g=[4], z=[1], y=[2]))
    third = tmp_path / "c.csv"
    third.write_text("y,h\n3,1\n")
    data = open_dataset([first, second, str(third)])
    assert [c.name for c in data.columns] == ["y"]
    assert data.promised_rows is None
    assert drain(data, Y) == {"y": [1.0, 2, 3.0]}
    clash = told(first, second, wanted={"g": D})
    assert clash.startswith("3 ")
    assert f"holds text in {first} but number here" in clash
    assert second in clash
    assert f"{third}: no column 'g' for this run" in told(first, third, wanted={"g": D})
    twice = write(tmp_path / "t.parquet", pa.table([pa.array([1.0]), pa.array([2.0])], ["y", "y"]))
    assert "several columns have this name" in told(twice)


def test_streams(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", table(y=[1.0, 2.0]))
    raw = Path(path).read_bytes()
    run = subprocess.run([sys.executable, "-c", READ, "-"], input=raw, capture_output=True)
    assert (run.stdout, run.stderr) == (b"[[1.0, 2.0]] {'y': [1.0, 2.0]}\n", b"")
    run = subprocess.run([sys.executable, "-c", READ, "-"], input=raw[:-3], capture_output=True)
    assert run.stdout.startswith(b"3 -: the Parquet footer is missing")
    run = subprocess.run([sys.executable, "-c", READ, path], capture_output=True)
    assert run.stderr == b""
    source, sink = os.pipe()
    os.write(sink, b"y\n5\n")
    os.close(sink)
    try:
        assert drain(open_dataset([f"/dev/fd/{source}"]), Y) == {"y": [5.0]}
    finally:
        os.close(source)


def test_tables_in_memory_count_their_rows() -> None:
    data = MemoryDataset(table(y=[1.0] * 5))
    for wanted in ({}, Y):
        assert [(p.rows, [b.num_rows for b in p.read()]) for p in data.pieces(wanted)] == [(5, [5])]
    assert list(MemoryDataset(table(y=[])).pieces({})) == []
