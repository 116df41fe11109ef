"""Parquet in, and what both formats share: paths, directories, schemas, promises and their breach."""

from __future__ import annotations

import base64
import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_sources_csv import READ, drain

from lossctl.errors import LossctlError, ResourceError, RowsDisagree
from lossctl.sources import Dataset, open_dataset

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


def test_dictionary_bomb(tmp_path: Path) -> None:
    indices = pa.array([0] * 100_000, pa.int32())
    bomb = pa.table([pa.DictionaryArray.from_arrays(indices, pa.array(["x" * (1 << 20)]))], ["g"])
    path = write(tmp_path / "a.parquet", bomb, store_schema=False, compression="zstd")
    assert os.path.getsize(path) < 10_000
    assert "the text is too long to hold" in told(path, wanted={"g": S})
    with open_dataset([path]) as data:
        assert sum(b.num_rows for p in data.pieces({"g": D}) for b in p.read()) == 100_000


def test_truncation_is_always_refused(tmp_path: Path) -> None:
    raw = Path(write(tmp_path / "a.parquet", table(y=[1.0, 2.0], g=["a", "b"]))).read_bytes()
    cut = tmp_path / "cut.parquet"
    for size in [*range(16), *range(16, len(raw), 41), len(raw) - 1]:
        cut.write_bytes(raw[:size])
        assert told(cut).startswith("3 "), size
    assert "the Parquet footer is missing" in told(cut)


def test_flipped_bytes_are_refused_or_harmless(tmp_path: Path) -> None:
    noise = random.Random(3)
    values = [noise.random() for _ in range(500)]
    path = Path(write(tmp_path / "a.parquet", table(y=values), write_page_checksum=True))
    raw = path.read_bytes()
    refused, codes = 0, set()
    for _ in range(150):
        bad = bytearray(raw)
        bad[noise.randrange(len(raw))] ^= 1 << noise.randrange(8)
        path.write_bytes(bad)
        try:
            assert drain(open_dataset([str(path)]), Y) == {"y": values}
        except LossctlError as error:
            refused += 1
            codes.add(error.exit_code)
    assert refused > 100
    assert codes <= {3, 4}


def test_content_decides_the_format(tmp_path: Path) -> None:
    path = write(tmp_path / "named.csv", table(y=[1.0]))
    assert drain(open_dataset([path]), Y) == {"y": [1.0]}
    text = tmp_path / "named.parquet"
    text.write_text("y,p\n1,2\n")
    assert "not a Parquet file: it looks like text" in told(text)
    assert drain(open_dataset([str(text)], input_format="csv"), Y) == {"y": [1.0]}
    assert "but this is a Parquet file" in told(path, input_format="csv")


class Kms(pytest.importorskip("pyarrow.parquet.encryption").KmsClient):  # type: ignore[misc]
    """Keys that protect nothing, for the test only."""

    def wrap_key(self, key: bytes, _: str) -> bytes:
        return base64.b64encode(key)


@pytest.mark.parametrize("plain_footer", [False, True])
def test_encrypted(tmp_path: Path, plain_footer: bool) -> None:
    from pyarrow.parquet import encryption

    factory = encryption.CryptoFactory(lambda _: Kms())
    config = encryption.EncryptionConfiguration(
        footer_key="k", column_keys={"k": ["y"]}, plaintext_footer=plain_footer
    )
    keys = factory.file_encryption_properties(encryption.KmsConnectionConfig(), config)
    path = write(tmp_path / "a.parquet", table(y=[1.0], p=[2.0]), encryption_properties=keys)
    assert "the file is encrypted" in told(path, wanted={"p": F})


def test_no_rows(tmp_path: Path) -> None:
    assert told(write(tmp_path / "a.parquet", table(y=[1.0]).slice(0, 0))).endswith("a.parquet: no rows")


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


def test_each_file_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", table(y=[1.0]))
    os.link(path, tmp_path / "hard.parquet")
    (tmp_path / "soft.parquet").symlink_to(path)
    for twin in (
        path,
        tmp_path / "hard.parquet",
        tmp_path / "soft.parquet",
        tmp_path / "../" / tmp_path.name,
    ):
        assert "the same file is given twice" in told(path, twin)


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


def test_promises(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", table(y=[1.0, 2.0]), row_group_size=1)
    with open_dataset([path]) as data:
        first, second = data.pieces(Y)
        assert len(list(first.read())) == 1
        with pytest.raises(RowsDisagree):
            data.finish()
        second.rows = 2
        with pytest.raises(RowsDisagree, match="promises 2 rows but delivered 1"):
            list(second.read())


def test_a_file_replaced_before_it_is_read(tmp_path: Path) -> None:
    for name, text in (("a.csv", b"y\n1\n"), ("a.parquet", None)):
        path = tmp_path / name
        path.write_bytes(text or Path(write(path, table(y=[1.0]))).read_bytes())
        with open_dataset([str(path)]) as data:
            path.write_bytes(b"y\n1\n2\n3\n")
            with pytest.raises(LossctlError) as caught:
                list(data.pieces(Y))
            assert caught.value.exit_code == 4


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_a_file_that_changes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    raw = b"y\n1\n2\n" if name == "a.csv" else Path(write(path, table(y=[1.0, 2.0]))).read_bytes()
    path.write_bytes(raw)
    with open_dataset([str(path)]) as data:
        for piece in data.pieces(Y):
            list(piece.read())
        os.utime(path, ns=(1, 1))
        with pytest.raises(ResourceError, match="the file changed while it was read"):
            data.finish()


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
