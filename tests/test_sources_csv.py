"""CSV in: the same rows however the text is cut, and a refusal by place for whatever is not a table."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import random
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


@pytest.mark.parametrize(
    "body",
    [
        b"1,2\n3,4\n", b"1,2\n3,4", b"1,2\r\n3,4\r\n", b"1,2\r3,4\r", b"1,2\r\n3,4\n", b"1,2\r3,4",
        b"1,2\n3,4\n\n\r\n\n",
        b'"1","2"\n"3",4\n', b"+1, 2 \n3.,4.0e0\n", b'1,2\n3,"4"', b'1,2\r\n"3",4\r\n\r\n',
    ],
)  # fmt: skip
def test_one_table_in_many_spellings(same, body: bytes) -> None:
    assert same(b"y,p\n" + body) == TWO
    assert same(b"\xef\xbb\xbfy,p\r\n" + body) == TWO


def test_values(same) -> None:
    assert same(b'y,p\n,""\n-inf,nan\n.5,Infinity\n') == "{'y': [None, -inf, 0.5], 'p': [None, nan, inf]}"
    assert same(b"y,p\n9007199254740992,1e300\n-9007199254740994,5e-324\n") == (
        "{'y': [9007199254740992.0, -9007199254740994.0], 'p': [1e+300, 5e-324]}"
    )
    assert same(b"y,p\n1,2\n,") == "{'y': [1.0, None], 'p': [2.0, None]}"


def test_one_column_keeps_its_blank_lines(same) -> None:
    assert same(b"y\n1\n\n3\n\n", {"y": F}) == "{'y': [1.0, None, 3.0, None]}"
    assert same(b"y\n\n1", {"y": F}) == "{'y': [None, 1.0]}"


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


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"y,p\n1,2\n3\n", "F, line 3, row 1: 1 field where the header has 2"),
        (b"y,p\n1,2,\n3,4,\n", "F, line 2, row 0: 3 fields where the header has 2"),
        (b'y,p\n1,"2\n"\n3,4,5\n', "F, line 2, row 0, column 'p': '2\\x0a' is not a number"),
        (b"y,p\n1,2\n\n3,4\n", "F, line 3, row 1: blank line"),
        (b"y,p\r\n\r\n1,2\r\n", "F, line 2, row 0: blank line"),
        (b'y,p\n1,2\n"3,4\n5,6\n', "F, line 3: a quote is opened here but never closed"),
        (b'y,p\n1,2\n3,4\n5,"6', "F, line 4: a quote is opened here but never closed"),
        (b'y,p\n1,2\n"3"x,4\n5,6\n', "F, line 3: text follows a closing quote"),
        (b"y,p\n1,2\n3,4\0\n", "F, line 3, row 1: NUL byte"),
        (b"y,p\n1,2\n3,\xff\n", "F, line 3, row 1, column 'p': '\\xff' is not a number"),
        (b'y,p\n1,"2,5"\n', "'2,5' is not a number; write a decimal point"),
        (b"y,p\n1,NA\n", "'NA' is not a number; leave the cell empty"),
        (b"y,p\n1,0x10\n", "write it in decimal"),
        (b"y,p\n1,1_000\n", "without underscores"),
        (b"y,p\n1,TRUE\n", "write 1 and 0"),
        (b"y,p\n1,50%\n", "write the plain number"),
        (b"y,p\n1,1d5\n", "a number is needed here"),
        (b"y,p\n1,-1e400\n", "F, line 2, row 0, column 'p': '-1e400' overflows a double"),
        (b"y,p\n1,2\n9007199254740993,4\n", "F, line 3, row 1, column 'y': '9007199254740993' is an integer"),
        (b"y,p\n1,1" + b"0" * 400 + b"\n", "overflows"),
        (b"y,p\n", "F: no rows, only a header"),
        (b"y,p", "F: no rows, only a header"),
        (b"y,p\n\n\r\n", "F: no rows, only a header"),
        (b"", "F: the file is empty"),
        (b"\n\n", "F: the file is empty"),
        (b"\xef\xbb\xbf", "F: the file is empty"),
        (b"\ny,p\n1,2\n", "F: the first line is blank"),
        (b"#made by x\ny,p\n1,2\n", "F, line 1: the first line is a '#' comment"),
        (b"y;p\n1;2\n", "try --delimiter ';'"),
        (b"y\tp\n1\t2\n", "try --delimiter 'tab'"),
        (b"\xff\xfey\0,\0p\0\n\0", "F: the text is UTF-16, not UTF-8"),
        (b"\xff\xfe\0\0y\0\0\0", "F: the text is UTF-32, not UTF-8"),
        (b"y,p\xff\n1,2\n", "F, line 1: the header is not UTF-8"),
        (b"y\0,p\n1,2\n", "F, line 1: NUL byte in the header"),
        (b"y,y,p\n1,2,3\n", "F, column 'y': several columns have this name"),
        (b"Y,p\n1,2\n", "no column 'y' for this run; closest: Y"),
        (b'"y,p\n1,2\n', "F, line 1: a quote is opened here"),
        (b'y,p\n1,2\n\n"3"x,4\n', "F, line 3, row 1: blank line"),
        (b'y,p\n1e400,x\n3,4\n"', "F, line 2, row 0, column 'y': '1e400' overflows"),
        (b"y,p\n1,2\n3,1e400\n5,\0\n1e400,1\n", "F, line 3, row 1, column 'p': '1e400' overflows"),
        (b'y,p\n"1"x"2",3\n', "F, line 2: text follows a closing quote"),
        (b"y,p\r1,2\r3,x\r", "F, line 3, row 1, column 'p': 'x'"),
        (b"y,p\r\n1,2\r\n3,x\r\n", "F, line 3, row 1, column 'p': 'x'"),
        (b"PK\x03\x04abc,\n1", "it looks like a zip archive"),
        (b'{"y": 1}\n', "it looks like JSON"),
    ],
)
def test_refusals(same, text: bytes, told: str) -> None:
    got = same(text)
    assert got.startswith("3 ")
    assert told in got


def test_place_is_global_and_exact(same) -> None:
    rows = [b"%d,%d" % (i, i) for i in range(500)]
    rows[417] = b"417,x"
    assert "line 419, row 417, column 'p': 'x'" in same(b"y,p\n" + b"\n".join(rows))
    rows[417] = b'417,"4\n17'
    assert "line 419: a quote is opened" in same(b"y,p\n" + b"\n".join(rows))


def test_a_stray_quote_holds_nothing_up(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'g,y\n5" pipe,1\n' + b"x,1\n" * 999)
    with open_dataset([str(path)], block_size=64) as data:
        assert max(piece.rows for piece in data.pieces({"y": F})) < 99


def test_only_used_columns_must_be_text(same) -> None:
    text = b"y,g,g\n1,\xff,a\n2,b,c\n"
    assert same(text, {"y": F}) == "{'y': [1.0, 2.0]}"
    assert "F, line 2, row 0: NUL byte" in same(b"y,g\n1,\0\n", {"y": F})
    text = b"y,g\n1,a\n2,\xff\n"
    assert "line 3, row 1, column 'g': '\\xff' is not UTF-8" in same(text, {"g": D})


def test_delimiters(same) -> None:
    assert same(b"y;p\n1;2\n3;4\n", delimiter=";") == TWO
    assert same(b"y\tp\n1\t2\n3\t4\n", delimiter="tab") == TWO
    assert same(b"y\tp\n1\t2\n3\t4\n", name="a.tsv") == TWO
    assert same(b"y,p\n1,2\n", delimiter="::").startswith("2 --delimiter cannot be")
    assert same(b"y,p\n1,2\n", input_format="xml").startswith("2 --input-format cannot be")


PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "zstd": lambda data: zstd(data)}


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("name", list(PACKERS))
def test_compressed(same, name: str) -> None:
    pack = PACKERS[name]
    noise = random.Random(1)
    rows = [f"{noise.random()},{noise.random()}\n".encode() for _ in range(60)]
    whole = b"y,p\n" + b"".join(rows)
    plain = same(whole)
    packed = pack(whole)
    assert same(packed) == plain
    assert same(pack(whole[:777]) + pack(whole[777:])) == plain
    for cut in [9, 20, len(packed) // 3, len(packed) // 2, len(packed) - 9, len(packed) - 1]:
        assert same(packed[:cut]).startswith("3 F"), cut
    assert "too early" in same(packed[:-2])
    assert "too early" in same(packed + packed[:-3])
    assert same(packed + b"garbage").startswith("3 F: the " + name)
    if name != "zstd":  # Arrow writes zstd frames without a checksum
        assert same(packed[: len(packed) // 2] + b"\xa5" + packed[len(packed) // 2 + 1 :]).startswith("3 ")


def test_highly_compressed_is_streamed(same) -> None:
    whole = b"y,p\n" + b"1,2\n" * 2_000
    plain = same(whole)
    for pack in PACKERS.values():
        assert same(pack(whole)) == plain


def test_agrees_with_the_standard_reader(same) -> None:
    noise = random.Random(7)
    bits = ["a", "", '"', ",", "\n", "\r\n", "é", "1.5", " x ", '""', "\ufeff"]
    for _ in range(60):
        numbers = [noise.choice([noise.random(), noise.random(), ""]) for _ in range(noise.randrange(1, 12))]
        table = [[y, "".join(noise.choices(bits, k=noise.randrange(5)))] for y in numbers]
        sink = io.StringIO()
        end = noise.choice(["\n", "\r\n"])
        csv.writer(
            sink, lineterminator=end, quoting=noise.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
        ).writerows([["y", "g"], *table])
        expected = {"y": [None if y == "" else y for y, _ in table], "g": [g or None for _, g in table]}
        assert same(sink.getvalue().encode(), {"y": F, "g": S}) == repr(expected)


def test_broken_text_is_never_silently_wrong(same) -> None:
    """Mutated bytes: refused, or the very rows the standard reader sees."""
    noise = random.Random(11)
    base = b'y,g\n1,"a b"\n2,"c\nd"\n3,"e""f"\n4,g\n'
    for _ in range(150):
        text = bytearray(base)
        for _ in range(noise.randrange(1, 4)):
            at = noise.randrange(4, len(text))
            text[at : at + noise.randrange(2)] = bytes([noise.choice(b'",\n\r1 x')])
        got = same(bytes(text), {"g": S, "y": S})
        if got.startswith("{"):
            rows = [row for row in csv.reader(io.StringIO(text.decode(), newline="")) if row][1:]
            assert all(len(row) == 2 for row in rows)
            assert got == repr({"g": [r[1] or None for r in rows], "y": [r[0] or None for r in rows]}), text


def test_peek_and_empty_choice(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("y,g\n1,a\n,b\n3,\n")
    with open_dataset([str(path)]) as data:
        assert [c.name for c in data.columns] == ["y", "g"]
        assert data.promised_rows is None
        assert data.peek(["g", "y"], 2) == {"g": ["a", "b"], "y": ["1", None]}
        assert sum(batch.num_rows for piece in data.pieces({}) for batch in piece.read()) == 3
        data.finish()


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
