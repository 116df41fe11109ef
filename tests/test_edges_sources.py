"""Rare turns of the readers: failing systems, files that change, names that are no data, odd streams."""

from __future__ import annotations

import errno
import io
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_sources_csv import drain

from lossctl.errors import BadRow, DataError, LossctlError, ResourceError, RowsDisagree
from lossctl.sources import cutter, feed, open_dataset
from lossctl.sources.base import Piece, Plan, Tally, kind, refusing
from lossctl.sources.cutter import Block, Cutter, _Cut
from lossctl.sources.feed import PlainFeed, unpack
from lossctl.sources.paths import find as find_files
from lossctl.sources.strict import Strict

F, S = pa.float64(), pa.string()
Y = {"y": F}


def write(path: Path, **columns: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return str(path)


def told(*paths: object, wanted: dict[str, Any] | None = None, **options: Any) -> str:
    with pytest.raises(LossctlError) as caught:
        drain(open_dataset([str(path) for path in paths], **options), wanted or Y)
    return f"{caught.value.exit_code} {caught.value}"


# -- what a reader raises -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "type_", "message"),
    [
        (MemoryError("no room"), ResourceError, "not enough memory to read it"),
        (MemoryError(), ResourceError, "not enough memory to read it"),
        (pa.ArrowMemoryError("malloc"), ResourceError, "not enough memory to read it"),
        (pa.ArrowInvalid("malloc of size 99 failed"), ResourceError, "not enough memory to read it"),
        (pa.ArrowInvalid("failed to launch worker thread"), ResourceError, "not enough memory to read it"),
        (pa.ArrowInvalid("two\nlines"), DataError, "cannot be read: two lines"),
        (OSError(errno.EIO, "x"), ResourceError, "input/output error"),
        (OSError(errno.ENOENT, "x"), DataError, "no such file"),
        (OSError(errno.ENOTDIR, "x"), DataError, "no such file"),
        (OSError(errno.ENAMETOOLONG, "x"), DataError, "the name is too long"),
        (OSError("odd"), DataError, "cannot be read: odd"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), DataError, "cannot be read: 'utf-8' codec"),
        (OverflowError(), DataError, "cannot be read: OverflowError"),
        (BadRow("itself", path="q"), BadRow, "itself"),
    ],
    ids=repr,
)
def test_what_a_reader_raises_becomes_one_line(
    error: Exception, type_: type[LossctlError], message: str
) -> None:
    with pytest.raises(type_, match=message) as caught, refusing("p"):
        raise error
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sizes", [[2, 2], [1], []])
def test_a_piece_gives_the_rows_it_promised_or_none(sizes: list[int]) -> None:
    class Lying(Piece):
        def batches(self) -> Iterator[pa.RecordBatch]:
            for size in sizes:
                yield pa.record_batch({"y": pa.array([1.0] * size)})

    told_rows: list[int] = []
    with pytest.raises(RowsDisagree):
        list(Lying("p", 0, 3, 0, 0, told_rows.append).read())
    assert told_rows == []


def test_columns_of_csv_hold_text() -> None:
    assert kind(None) == kind(pa.dictionary(pa.int32(), S)) == kind(pa.large_string()) == "text"
    assert kind(pa.dictionary(pa.int32(), F)) == kind(F) == "number"


# -- files that change --------------------------------------------------------------------------------------


def test_a_file_that_goes_away(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", y=[1.0])
    data = open_dataset([path])
    os.unlink(path)
    with pytest.raises(ResourceError, match="the file changed while it was read"):
        data.__exit__(DataError, DataError("what it broke"), None)


def test_a_file_read_in_short_pieces_and_one_that_shrinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(100)))
    real = os.pread
    monkeypatch.setattr(feed.os, "pread", lambda fd, size, at: real(fd, min(size, 7), at))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        plain = PlainFeed(descriptor, 100, "a.bin")
        first = plain.more(b"", 40)
        assert first == bytes(range(40))
        assert plain.more(first[-5:], 30) == bytes(range(35, 70))
        assert plain.read(100) == bytes(range(70, 100))
        assert plain.read(5) == b""
        assert (plain.taken, plain.more(b"tail", 5)) == (100, b"tail")
        with pytest.raises(ResourceError, match="became shorter"):
            PlainFeed(descriptor, 101, "a.bin").more(b"", 101)
    finally:
        os.close(descriptor)


def test_a_failing_disk_under_zstd_stays_the_failure_of_a_disk() -> None:
    class Broken:
        def read(self, size: int, /) -> bytes:
            raise OSError(errno.EIO, "input/output error")

    opened = unpack(feed.Feed(Broken()), "zstd", "a.csv.zst")
    with pytest.raises(ResourceError, match="input/output error"), refusing("a.csv.zst"):
        opened.more(b"", 10)


# -- paths ---------------------------------------------------------------------------------------------------


def test_paths_that_are_no_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no input file was given"):
        find_files([])
    short = Path(os.path.relpath(tmp_path))
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(tmp_path)
        try:
            listening.bind("socket")
        finally:
            os.chdir(here)
        assert "not a file that can be read" in told(short / "socket")
    path = write(tmp_path / "k=1" / "k=2" / "a.parquet", y=[1.0])
    assert "two directories give 'k'" in told(path)


def test_what_writers_leave_beside_data_is_not_matched(tmp_path: Path) -> None:
    write(tmp_path / "out" / "a.parquet", y=[1.0])
    (tmp_path / "out" / "_SUCCESS").touch()
    assert drain(open_dataset([f"{tmp_path}/out/*"]), Y) == {"y": [1.0]}
    write(tmp_path / "out" / "_temporary" / "b.parquet", y=[2.0])
    assert drain(open_dataset([f"{tmp_path}/**"]), Y) == {"y": [1.0]}
    assert drain(open_dataset([f"{tmp_path}/out/_temporary/**"]), Y) == {"y": [2.0]}


def test_formats_that_were_asked_for_and_are_not_there(tmp_path: Path) -> None:
    for name, content, what in (
        ("a.npy", b"\x93NUMPY....", "a NumPy array"),
        ("b", b"\x1f\x8b....", "gzip-compressed data"),
        ("c", b"y,p\n1,2\n", "text, perhaps CSV"),
        ("d", b"\x01\x02\x03\x04", "binary data"),
    ):
        (tmp_path / name).write_bytes(content)
        assert what in told(tmp_path / name, input_format="parquet")
    with zipfile.ZipFile(tmp_path / "e", "w") as packed:
        packed.writestr("y", "1")
    assert "a zip archive" in told(tmp_path / "e")
    (tmp_path / "f.parquet").write_bytes(b"NOPE" + bytes(20))
    assert "3" in told(tmp_path / "f.parquet", input_format="parquet")


# -- CSV -----------------------------------------------------------------------------------------------------

STREAM = """
import sys, pyarrow as pa
from lossctl.sources import open_dataset
from lossctl.errors import LossctlError
with open_dataset(["-"]) as data:
    print(data.peek(["y"], 2))
    for _ in range(2):
        try:
            print([b.column(0).to_pylist() for p in data.pieces({"y": pa.float64()}) for b in p.read()])
        except LossctlError as error:
            print(error.exit_code, error)
"""


@pytest.mark.parametrize(
    ("text", "peeked", "rows"),
    [("y\n", [], "3 -: no rows, only a header"), ("y\n1\n2\n", ["1", "2"], [[1.0, 2.0]])],
)
def test_a_stream_is_read_once(text: str, peeked: list[str], rows: Any) -> None:
    run = subprocess.run([sys.executable, "-c", STREAM], input=text, capture_output=True, text=True)
    assert run.stderr == ""
    assert run.stdout.splitlines() == [
        str({"y": peeked}),
        str(rows),
        "4 -: a stream can be read only once; save it to a file first",
    ]


def test_peeking_shows_what_directories_say(tmp_path: Path) -> None:
    path = tmp_path / "g=a" / "a.csv"
    path.parent.mkdir()
    path.write_text("y\n1\n2\n")
    with open_dataset([str(path)]) as data:
        assert data.peek(["g", "y"], 1) == {"g": ["a"], "y": ["1"]}


def test_a_stray_quote_in_what_is_left_at_the_end() -> None:
    left = Cutter(feed.Feed(io.BytesIO(b"")), "a.csv", b",")
    with pytest.raises(DataError, match="quote"):
        left._last(b'1,"2"3', _Cut(0, 0, 0))


@pytest.mark.parametrize("block", [8, 1 << 20])
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('y,p\n1,2\n3,"4', "never closed"),
        ('y,p\n"4', "never closed"),
        ('y,p\n1,2\n3,4"5\n6,"7"\n', "quote"),
        ('y,p\n1,"2"3\n', "quote"),
        ('y,p\n"1" ,2\n', "quote"),
    ],
)
def test_quotes_that_do_not_pair(
    tmp_path: Path, text: str, problem: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutter, "BLOCK", block)
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert problem in told(path, wanted={"y": F, "p": F})


def block(text: bytes, rows: int) -> Block:
    return Block(text, len(text), rows, 0, 2, len(text), False)


def test_a_block_that_arrow_reads_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan({"y": F, "p": F}, {"y": (0,), "p": (1,)})
    strict = Strict("a.csv", b",", 2, plan, Tally())
    assert strict.parse(block(b"1,2\n3,4\n", 2)).num_rows == 2
    with pytest.raises(RowsDisagree):
        strict.parse(block(b"1,2\n3,4\n", 3))
    with pytest.raises(BadRow, match="quote"):
        strict.parse(block(b'1,2\n3,"4"5\n', 3))

    def failing(*_: Any, **__: Any) -> Any:
        raise pa.ArrowInvalid("of its\nown")

    monkeypatch.setattr("pyarrow.csv.read_csv", failing)
    with pytest.raises(DataError, match="cannot be read: of its own"):
        strict.parse(block(b'1,"2"\n', 1))
