"""CSV in: the same rows however the text is cut, and a refusal by place for whatever is not a table."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from lossctl.errors import LossctlError
from lossctl.sources import Dataset, open_dataset

F, S, D = pa.float64(), pa.string(), pa.dictionary(pa.int32(), pa.string())
SIZES = (16, 23, 61, 200, 1 << 20)
Rows = dict[str, list[object]]


def drain(data: Dataset, wanted: dict[str, pa.DataType]) -> Rows:
    """All rows, with the account of every piece checked on the way."""
    out: Rows = {name: [] for name in wanted}
    start = nbytes = 0
    with data:
        for piece in data.pieces(wanted):
            assert piece.start == start
            start, nbytes = start + piece.rows, nbytes + piece.nbytes
            for batch in piece.read():
                assert batch.schema.names == list(wanted)
                for name in wanted:
                    out[name] += batch.column(name).to_pylist()
        data.finish()
    assert nbytes <= data.nbytes or not data.nbytes
    assert all(len(values) == start for values in out.values())
    return out


def outcome(path: Path, wanted: dict[str, pa.DataType], size: int, **more: str) -> str:
    try:
        return repr(drain(open_dataset([str(path)], block_size=size, **more), wanted))
    except LossctlError as error:
        told = f"{error.exit_code} {error}".replace(str(path), "F")
    return told if "\n" not in told else "more than one line"


@pytest.fixture
def same(tmp_path: Path):
    """The outcome for some bytes, which must not depend on the block size."""

    def run(
        data: bytes, wanted: dict[str, pa.DataType] | None = None, name: str = "a.csv", **more: str
    ) -> str:
        path = tmp_path / name
        path.write_bytes(data)
        asked = {"y": F, "p": F} if wanted is None else wanted
        seen = {outcome(path, asked, size, **more) for size in SIZES}
        assert len(seen) == 1, seen
        return seen.pop()

    return run


TWO = "{'y': [1.0, 3.0], 'p': [2.0, 4.0]}"


def test_values(same) -> None:
    assert same(b'y,p\n,""\n-inf,nan\n.5,Infinity\n') == "{'y': [None, -inf, 0.5], 'p': [None, nan, inf]}"
    assert same(b"y,p\n9007199254740992,1e300\n-9007199254740994,5e-324\n") == (
        "{'y': [9007199254740992.0, -9007199254740994.0], 'p': [1e+300, 5e-324]}"
    )
    assert same(b"y,p\n1,2\n,") == "{'y': [1.0, None], 'p': [2.0, None]}"


def test_quotes(same) -> None:
    text = b'g,y\n"a\nb",1\n"c""d",2\n"e\r\nf",3\n"x,y",4\n5" pipe,5\n,6\n"""",7\n'
    got = same(text, {"y": F, "g": S})
    words = ["a\nb", 'c"d', "e\r\nf", "x,y", '5" pipe', None, '"']
    assert got == repr({"y": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "g": words})
    assert same(text, {"g": D, "y": F}) == repr({"g": words, "y": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]})
    assert same(text, {"y": F}) == "{'y': [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]}"
    marked = b"g,y\n" + b"\xef\xbb\xbfa,1\n" * 9  # only the mark before the header is no data
    assert same(marked, {"g": S}) == repr({"g": ["\ufeffa"] * 9})
    assert same(b'y,p\n1,"2\n\n\n"\n', {"y": F, "p": S}) == repr({"y": [1.0], "p": ["2\n\n\n"]})


def test_a_stray_quote_holds_nothing_up(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'g,y\n5" pipe,1\n' + b"x,1\n" * 999)
    with open_dataset([str(path)], block_size=64) as data:
        assert max(piece.rows for piece in data.pieces({"y": F})) < 99


def test_delimiters(same) -> None:
    assert same(b"y;p\n1;2\n3;4\n", delimiter=";") == TWO
    assert same(b"y\tp\n1\t2\n3\t4\n", delimiter="tab") == TWO
    assert same(b"y\tp\n1\t2\n3\t4\n", name="a.tsv") == TWO
    assert same(b"y,p\n1,2\n", delimiter="::").startswith("2 --delimiter cannot be")
    assert same(b"y,p\n1,2\n", input_format="xml").startswith("2 --input-format cannot be")


def test_peek_and_empty_choice(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("y,g\n1,a\n,b\n3,\n")
    with open_dataset([str(path)]) as data:
        assert [c.name for c in data.columns] == ["y", "g"]
        assert data.promised_rows is None
        assert data.peek(["g", "y"], 2) == {"g": ["a", "b"], "y": ["1", None]}
        assert sum(batch.num_rows for piece in data.pieces({}) for batch in piece.read()) == 3
        data.finish()


def test_numbers_are_the_same_by_the_public_cast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.compute  # noqa: F401 - it needs what is taken away next

    monkeypatch.setitem(sys.modules, "pyarrow._compute", None)
    path = tmp_path / "a.csv"
    path.write_text("y,p\n1,0.1\n2,-3e-5\n")
    with open_dataset([str(path)]) as data:
        assert [b.column(0).to_pylist() for p in data.pieces({"p": pa.float64()}) for b in p.read()] == [
            [0.1, -3e-5]
        ]


READ = """
import sys, pyarrow as pa
from lossctl.sources import open_dataset
from lossctl.errors import LossctlError
try:
    with open_dataset(sys.argv[1:]) as data:
        peeked = data.peek(["y"], 2)
        print([b.column(0).to_pylist() for p in data.pieces({"y": pa.float64()}) for b in p.read()], peeked)
        data.finish()
        data.pieces({"y": pa.float64()})
except LossctlError as error:
    print(error.exit_code, error)
assert not {"pandas", "pyarrow.dataset", "rich"} & set(sys.modules), "heavy import"
"""


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input(pack) -> None:
    run = subprocess.run(
        [sys.executable, "-c", READ, "-"], input=pack(b"y,p\n1,2\n3,4\n"), capture_output=True
    )
    assert run.stderr == b""
    assert run.stdout == b"[[1.0, 3.0]] {'y': ['1', '3']}\n"
    run = subprocess.run([sys.executable, "-c", READ, "-"], input=b"", capture_output=True)
    assert run.stdout == b"3 -: the file is empty: no header and no rows\n"
