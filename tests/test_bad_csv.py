"""Every way a CSV file is odd or wrong: the right number, or a refusal that says where."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import lossctl
import lossctl.spine
from lossctl.errors import DataError
from lossctl.process import run
from lossctl.sources import open_dataset

BLOCKS = (16, 61, 1 << 20)


class Said(NamedTuple):
    code: int
    result: Any
    err: str

    @property
    def value(self) -> float | None:
        found: float | None = self.result["results"][0]["value"]
        return found

    @property
    def rows(self) -> tuple[int, int]:
        rows = self.result["rows"]
        assert rows["read"] == rows["used"] + rows["skipped"] + rows["filtered"]
        return rows["read"], rows["used"]


Judge = Callable[..., Said]


@pytest.fixture
def judge(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Judge:
    """One run of the command line over some bytes: a result on stdout, or nothing there and one refusal."""

    def judged(data: bytes, *options: str, loss: str = "mae", name: str = "a.csv") -> Said:
        path = tmp_path / name
        path.write_bytes(data)
        code = run(["compute", loss, str(path), "-f", "json", *options], False)
        out, err = capfd.readouterr()
        if not code:
            return Said(code, json.loads(out), err.replace(str(path), "F"))
        assert out == ""
        error = json.loads(err)["error"]  # one line, and nothing else
        assert error["exit"] == code
        told = "; ".join(text for text in (error["message"], error["hint"]) if text)
        return Said(code, None, told.replace(str(path), "F"))

    return judged


@pytest.fixture(params=BLOCKS)
def everywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, judge: Judge) -> Judge:
    """The same with the text cut into blocks of several sizes, by two threads."""
    monkeypatch.setitem(open_dataset.__kwdefaults__, "block_size", request.param)
    monkeypatch.setattr(lossctl.spine, "SMALL", 0)
    return judge


TWO = (1.0, 2, 2)  # mae, rows read, rows used
BOM = b"\xef\xbb\xbf"
HEAD = b"y,p\n"
LONGER = b"".join(b"%s%d,%d\r\n" % (b"0" * (at % 13), at, at + 1) for at in range(60))

ACCEPTED = [
    ("05 a blank line of one column is a row", b"y\n1\n\n3\n", (2.0, 3, 2), "--nan skip"),
    ("05 a blank line first", b"y\n\n1", (1.0, 2, 1), "--nan skip"),
    ("06 blank lines at the end", HEAD + b"1,2\n3,4\n\n\r\n\n", TWO, ""),
    ("11 CRLF", b"y,p\r\n1,2\r\n3,4\r\n", TWO, ""),
    ("11 CRLF across every border", b"y,p\r\n" + LONGER, (1.0, 60, 60), ""),
    ("12 lone CR", b"y,p\r1,2\r3,4\r", TWO, ""),
    ("13 mixed line ends", b"y,p\r\n1,2\r3,4\n", TWO, ""),
    ("14 byte order mark", BOM + b"y,p\n1,2\n3,4\n", TWO, ""),
    ("14 byte order mark before a quote", BOM + b'"y",p\n1,2\n3,4\n', TWO, ""),
    ("16 Latin-1 in an unused column", b"y,t,p\n1,\xe9t\xe9,2\n3,\xff\xfe,4\n", TWO, ""),
    ("18 a quoted line end", b'y,t,p\n1,"a\nb\r\nc",2\n3,"\n",4\n', TWO, ""),
    ("18 a quoted table", b'y,t,p\n1,"\n1,x,2\n",2\n3,,4\n', TWO, ""),
    ("21 doubled quotes", b'y,t,p\n1,"a""b",2\n3,"""",4\n', TWO, ""),
    ("21 a quote inside a bare cell", b'y,t,p\n1,5" pipe,2\n3,a"b"c,4\n', TWO, ""),
    ("22 an unused name twice", b"y,t,t,p\n1,a,b,2\n3,c,d,4\n", TWO, ""),
    ("24 semicolon, said", b"y;p\n1;2\n3;4\n", TWO, "--delimiter ;"),
    ("24 tab, said", b"y\tp\n1\t2\n3\t4\n", TWO, "--delimiter tab"),
    ("24 pipe, said", b"y|p\n1|2\n3|4\n", TWO, "--delimiter |"),
    ("28 no line end at the end", HEAD + b"1,2\n3,4", TWO, ""),
    ("28 quoted to the end", HEAD + b'1,2\n3,"4"', TWO, ""),
    ("29 integers that turn to floats", HEAD + b"1,2\n" * 40 + b"1.5,2.5\n1e0,2\n", (1.0, 42, 42), ""),
    ("31 NA allowed by --na", HEAD + b"1,2\nNA,3\n3,4\n", (1.0, 3, 2), "--na NA --nan skip"),
    ("31 a number allowed as NA", HEAD + b"1,2\n-999,3\n3,4\n", (1.0, 3, 2), "--na NA --na -999 --nan skip"),
    ("31 a dash as NA, quoted", HEAD + b'1,2\n"-",3\n3,4\n', (1.0, 3, 2), "--na - --nan skip"),
    ("32 empty cell skipped", HEAD + b'1,2\n,3\n3,4\n5,""\n', (1.0, 4, 2), "--nan skip"),
    ("33 nan and inf skipped", HEAD + b"nan,2\n3,4\n-inf,1\n1,Infinity\n", (1.0, 4, 1), "--nan skip"),
    ("33 nan propagated", HEAD + b"nan,2\n3,4\n", (None, 2, 2), "--nan propagate"),
    ("36 decimal point with semicolons", b"y;p\n1.5;2.5\n", (1.0, 1, 1), "--delimiter ;"),
    ("38 spellings", HEAD + b" 1.5 ,+2.5\n.5,\t1.5\n5.,6\n1e0,2E0\n007,8\n-0,+1.\n", (1.0, 6, 6), ""),
    ("40 2^53 and what a double holds", HEAD + b"9007199254740992,9007199254740994\n", (2.0, 1, 1), ""),
    ("40 a decimal beyond 2^53 is rounded", HEAD + b"9007199254740993.0,9007199254740994\n", (2.0, 1, 1), ""),
    ("41 more digits than a double", HEAD + b"0.1000000000000000055511151231257827,1.1\n", (1.0, 1, 1), ""),
]  # fmt: skip

REFUSED = [
    ("01 empty file", b"", "F: the file is empty", ""),
    ("01 only a byte order mark", BOM, "F: the file is empty", ""),
    ("02 only line ends", b"\n\r\n", "F: the file is empty", ""),
    ("03 only a header", b"y,p\n", "F: no rows, only a header", ""),
    ("03 only a header, no line end", b"y,p", "F: no rows, only a header", ""),
    ("03 only a header and blank lines", b"y,p\n\n\r\n", "F: no rows, only a header", ""),
    ("04 no header", b"1,2\n3,4\n", "no column for target; name it with --target; columns are: 1, 2", ""),
    ("05 a blank line of one column", b"y\n1\n\n3\n", "row 1, column 'y': the value is missing", ""),
    ("06 blank line", HEAD + b"1,2\n\n3,4\n", "F, line 3, row 1: blank line", ""),
    ("06 blank line after the header", b"y,p\r\n\r\n1,2\r\n", "F, line 2, row 0: blank line", ""),
    ("06 blank line, then a bad quote", HEAD + b'1,2\n\n"3"x,4\n', "F, line 3, row 1: blank line", ""),
    ("06 blank first line", b"\ny,p\n1,2\n", "F: the first line is blank", ""),
    ("07 short row", HEAD + b"1,2\n3\n", "F, line 3, row 1: 1 field where the header has 2", ""),
    ("08 long row", HEAD + b"1,2\n3,4,5\n", "F, line 3, row 1: 3 fields where the header has 2", ""),
    ("07 08 short and long make up", HEAD + b"1\n2,3,4\n", "F, line 2, row 0: 1 field", ""),
    ("09 every row one longer", HEAD + b"1,2,3\n4,5,6\n", "F, line 2, row 0: 3 fields", ""),
    ("10 a comma ends every row", HEAD + b"1,2,\n3,4,\n", "F, line 2, row 0: 3 fields", ""),
    ("15 UTF-16", "\ufeffy,p\n1,2\n".encode("utf-16-le"), "F: the text is UTF-16, not UTF-8; save it as", ""),
    ("15 UTF-16 without a mark", "y,p\n1,2\n".encode("utf-16-le"), "F, line 1: NUL byte in the header", ""),
    ("15 UTF-32", b"\xff\xfe\0\0y\0\0\0", "F: the text is UTF-32, not UTF-8", ""),
    ("16 Latin-1 in a used number", HEAD + b"1,2\n3,\xe9\n",
     "F, line 3, row 1, column 'p': '\\xe9' is not a", ""),
    ("16 Latin-1 in a used text", b"y,p,g\n1,2,a\n3,4,\xff\n",
     "line 3, row 1, column 'g': '\\xff' is not UTF-8",
     "--by g"),
    ("16 Latin-1 in the header", b"y,p,\xe9\n1,2,3\n", "F, line 1: the header is not UTF-8", ""),
    ("17 NUL in a number", HEAD + b"1,2\n3,4\0\n", "F, line 3, row 1: NUL byte", ""),
    ("17 NUL in an unused column", b"y,p,t\n1,2,\0\n", "F, line 2, row 0: NUL byte", ""),
    ("19 unclosed quote", HEAD + b'1,2\n"3,4\n5,6\n',
     "F, line 3: a quote is opened here but never closed", ""),
    ("19 unclosed quote at the end", HEAD + b'1,2\n5,"6', "F, line 3: a quote is opened here but never", ""),
    ("19 unclosed quote in the header", b'"y,p\n1,2\n', "F, line 1: a quote is opened here", ""),
    ("20 text after a quote", HEAD + b'1,2\n"3"x,4\n', "F, line 3: text follows a closing quote", ""),
    ("20 two quoted parts", HEAD + b'"1"x"2",3\n', "F, line 2: text follows a closing quote", ""),
    ("22 a used name twice", b"y,y,p\n1,2,3\n", "F, column 'y': several columns have this name",
     "--target y"),
    ("23 another case", b"Y,p\n1,2\n", "no column 'y' for target; closest: Y", "--target y"),
    ("23 spaces around", b" y,p\n1,2\n", "no column 'y' for target; closest:  y;", "--target y"),
    ("24 semicolon", b"y;p\n1;2\n", "F, line 1: the header is one column, 'y;p'; try --delimiter ';'", ""),
    ("24 tab", b"y\tp\n1\t2\n", "try --delimiter 'tab'", ""),
    ("24 pipe", b"y|p\n1|2\n", "try --delimiter '|'", ""),
    ("24 comma where a semicolon was said", b"y,p\n1,2\n", "try --delimiter ','", "--delimiter ;"),
    *((f"24 {mark!r} for a comma", HEAD + b"1,2\n3%s4\n5,6\n" % mark, "F, line 3, row 1: ", "")
      for mark in (b" ", b"+", b"\r", b"\0", b"!", b"#", b";", b"|")),
    ("25 a comment first", b"#by x\ny,p\n1,2\n", "F, line 1: the first line is a '#' comment", ""),
    ("25 a comment between", HEAD + b"1,2\n# note\n3,4\n", "F, line 3, row 1: 1 field where", ""),
    *((f"31 {word}", HEAD + f"1,2\n1,{word}\n".encode(),
       f"F, line 3, row 1, column 'p': '{word}' is not a number; leave the cell empty", "")
      for word in ("NA", "null", "None", "-", "#N/A", "n/a", "?")),
    ("31 a text that --na does not name", HEAD + b"1,NA\n2,na\n", "row 1, column 'p': 'na' is not",
     "--na NA"),
    ("31 --na is missing by default", HEAD + b"1,NA\n", "row 0, column 'p': the value is missing", "--na NA"),
    ("32 empty cell", HEAD + b"1,2\n3,\n", "row 1, column 'p': the value is missing; fill it in, or", ""),
    ("33 nan", HEAD + b"1,2\n3,NaN\n", "row 1, column 'p': the value is NaN", ""),
    ("33 inf", HEAD + b"1,2\ninf,3\n", "row 1, column 'y': the value is infinite", ""),
    ("33 -Infinity", HEAD + b"1,2\n3,-Infinity\n", "row 1, column 'p': the value is minus infinity", ""),
    ("34 overflow", HEAD + b"1,2\n1e400,3\n", "F, line 3, row 1, column 'y': '1e400' overflows a double", ""),
    ("34 overflow, then a bad quote", HEAD + b'1e400,x\n3,4\n"', "F, line 2, row 0, column 'y': '1e400'", ""),
    ("34 overflow, negative", HEAD + b"1,-1.8e308\n", "column 'p': '-1.8e308' overflows a double", ""),
    ("34 overflow without an exponent", HEAD + b"1,1" + b"0" * 400 + b"\n", "overflows a double", ""),
    ("34 overflow is not skipped", HEAD + b"1,2\n1e400,3\n", "'1e400' overflows", "--nan skip"),
    ("36 decimal comma", HEAD + b"1,5,2,5\n", "F, line 2, row 0: 4 fields", ""),
    ("36 decimal comma, quoted", HEAD + b'1,"2,5"\n', "'2,5' is not a number; write a decimal point", ""),
    ("37 underscores", HEAD + b"1,1_000\n", "'1_000' is not a number; write it without underscores", ""),
    ("37 hexadecimal", HEAD + b"1,0x10\n", "'0x10' is not a number; write it in decimal", ""),
    ("37 Fortran exponent", HEAD + b"1,1d5\n", "'1d5' is not a number", ""),
    ("37 C suffix", HEAD + b"1,1.5f\n", "'1.5f' is not a number", ""),
    ("37 per cent", HEAD + b"1,50%\n", "'50%' is not a number; write the plain number", ""),
    ("37 currency", HEAD + b"1,$5\n", "'$5' is not a number; write the plain number", ""),
    ("37 full-width digits", HEAD + "1,\uff11\uff12\n".encode(), "'\uff11\uff12' is not a number", ""),
    ("37 Arabic digits", HEAD + "1,\u0661\n".encode(), "'\u0661' is not a number", ""),
    ("37 thousands", HEAD + b'1,"1,000"\n', "and no thousands mark", ""),
    ("37 two signs", HEAD + b"1,+-2\n", "'+-2' is not a number", ""),
    ("37 only a space", HEAD + b"1, \n", "' ' is not a number; leave the cell empty", ""),
    ("12 a word by lone CR", b"y,p\r1,2\r3,x\r", "F, line 3, row 1, column 'p': 'x'", ""),
    ("11 a word by CRLF", b"y,p\r\n1,2\r\n3,x\r\n", "F, line 3, row 1, column 'p': 'x'", ""),
    ("18 a line end in a number", HEAD + b'1,"2\n"\n3,4,5\n', "F, line 2, row 0, column 'p': '2\\x0a'", ""),
    ("17 NUL in the header", b"y\0,p\n1,2\n", "F, line 1: NUL byte in the header", ""),
    ("not CSV: zip", b"PK\x03\x04abc,\n1", "it looks like a zip archive", ""),
    ("not CSV: JSON", b'{"y": 1}\n', "it looks like JSON", ""),
    ("39 TRUE", HEAD + b"1,2\nTRUE,0\n", "F, line 3, row 1, column 'y': 'TRUE' is not a number; write 1", ""),
    ("40 2^53 + 1", HEAD + b"1,2\n9007199254740993,4\n",
     "F, line 3, row 1, column 'y': '9007199254740993' is an"
     " integer that a double cannot hold", ""),
    ("40 -2^53 - 1, padded", HEAD + b"1, -9007199254740993 \n",
     "is an integer that a double cannot hold", ""),
]  # fmt: skip


def loss_of(text: bytes) -> str:
    return "custom:expr=y" if text.startswith(b"y\n") else "mae"


@pytest.mark.parametrize(
    ("text", "answer", "options"), [c[1:] for c in ACCEPTED], ids=[c[0] for c in ACCEPTED]
)
def test_odd_but_right(everywhere: Judge, text: bytes, answer: tuple[Any, ...], options: str) -> None:
    said = everywhere(text, *options.split(), loss=loss_of(text))
    assert said.code == 0, said.err
    assert (said.value, *said.rows) == answer


@pytest.mark.parametrize(("text", "told", "options"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_refused(everywhere: Judge, text: bytes, told: str, options: str) -> None:
    said = everywhere(text, *options.split(), loss=loss_of(text))
    assert said.code == 3
    assert told in said.err


BODY = [b"%d,%d" % (row, row) for row in range(3000)]


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("block", [1 << 10, 1 << 12, 1 << 20])
@pytest.mark.parametrize("bad", [b"1500,x", b"1500,1e400", b"1500", b"1500,9007199254740993", b'1500,"a"b'])
def test_30_row_1501_by_its_row_and_line(
    judge: Judge, monkeypatch: pytest.MonkeyPatch, bad: bytes, block: int, threads: str
) -> None:
    monkeypatch.setitem(open_dataset.__kwdefaults__, "block_size", block)
    monkeypatch.setattr(lossctl.spine, "SMALL", 0)
    rows = [*BODY[:1500], bad, *BODY[1501:2600], b"z,z", *BODY[2600:]]
    place = "line 1502" if b'"' in bad else "line 1502, row 1500"
    assert f"F, {place}" in judge(b"y,p\n" + b"\n".join(rows), "--threads", threads).err
    quoted = [b'%s,"a\nb\r\nc"' % row if at % 3 == 0 else row + b"," for at, row in enumerate(rows)]
    text = b"y,p,t\n" + b"\n".join(quoted)
    line = 2 + 1500 + 2 * 500
    said = judge(text, "--threads", threads)
    assert f"F, line {line}" in said.err
    assert b'"' in bad or f"row 1500{',' * (b',' in bad)}" in said.err


def test_30_the_first_of_two_faults_is_told(everywhere: Judge) -> None:
    assert "F, line 3, row 1, column 'p': '1e400'" in everywhere(HEAD + b"1,2\n3,1e400\n5,\0\nx,1\n").err
    assert "F, line 2, row 0, column 'y': 'x'" in everywhere(HEAD + b'x,1\n3,4\n"5"x,6\n7,"8\n').err
    assert "F, line 3, row 1: 1 field" in everywhere(HEAD + b'1,2\n3\n5,"6').err


def test_28_a_file_that_may_be_cut_off_is_warned_of(everywhere: Judge) -> None:
    for whole in (b"1,2\n3,4\n", b"1,2\r3,4\r", b'1,2\r\n3,"4"\r\n', b"1,2\n3,4\n\n"):
        assert everywhere(HEAD + whole).result["warnings"] == []
    for cut in (b"1,2\n3,4", b'1,2\n3,"4"', b"1,2\r3,4"):
        said = everywhere(HEAD + cut)
        assert "the last line has no line end" in said.err
        assert "the last line has no line end" in said.result["warnings"][0]
        assert everywhere(HEAD + cut, "-q").err == ""


def test_28_expected_rows(everywhere: Judge, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = HEAD + b"1,2\n3,4\n,6\n"
    assert everywhere(text, "--expect-rows", "3", "--nan", "skip").rows == (3, 2)
    said = everywhere(text, "--expect-rows", "4", "--nan", "skip")
    assert (said.code, said.err[:44]) == (3, "F: there are 3 rows where 4 are expected; is")
    assert everywhere(text, "--expect-rows", "4", "--nan", "skip", "--where", "y > 9").code == 3
    path = str(tmp_path / "a.csv")
    assert run(["gate", path, "--max", "mae=1", "--nan", "skip", "--expect-rows", "3"], False) == 0
    assert run(["gate", path, "--max", "mae=1", "--nan", "skip", "--expect-rows", "2"], False) == 3
    config = tmp_path / "lossctl.toml"
    config.write_text('[data]\nfiles = ["a.csv"]\nna = ["5"]\nnan = "skip"\nexpect-rows = 2\n'
                      '[[check]]\nspec = "mae"\nmax = 1\n')  # fmt: skip
    assert run(["gate", "-c", str(config)], False) == 3
    config.write_text(config.read_text().replace("= 2", "= 3"))
    assert run(["gate", "-c", str(config)], False) == 0
    capfd.readouterr()
    assert lossctl.evaluate(path, "mae", nan="skip", expect_rows=3).value == 1.0
    with pytest.raises(DataError, match="3 rows where 1"):
        lossctl.evaluate(path, "mae", nan="skip", expect_rows=1)


def test_31_na_in_python_and_in_the_other_commands(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"y;p;g\n1;2;a\nNA;3;NA\n3;4;b\n?;0;a\n")
    asked = {"delimiter": ";", "nan": "skip", "na": ["NA", "?"]}
    assert lossctl.evaluate(str(path), "mae", **asked).value == 1.0
    with pytest.raises(DataError, match="the group is missing"):
        lossctl.evaluate(str(path), "mae", by="g", **asked)
    said = [str(path), "--delimiter", ";", "--na", "NA", "--na", "?"]
    for command in (["check"], ["recommend"], ["worst", "mae", "--nan", "skip"]):
        assert run([*command, *said], False) == 0, command
    assert "number      2" in capfd.readouterr().out


@pytest.mark.parametrize("word", ["NA", "null", "-"])
def test_31_na_is_no_class(everywhere: Judge, word: str) -> None:
    said = everywhere(HEAD + f"1,1\n{word},0\n0,0\n".encode(), loss="zero-one")
    assert f"F, line 3, row 1, column 'y': '{word}' is not a number" in said.err


def test_39_text_labels_need_their_names(everywhere: Judge) -> None:
    for text in (b"cat,cat\ndog,cat\n", b"TRUE,1\nFALSE,1\n"):
        assert (
            "'y': holds text labels; give their names: --cl" in everywhere(HEAD + text, loss="zero-one").err
        )
    said = everywhere(HEAD + b"cat,cat\ndog,cat\n", "--classes", "cat,dog", loss="zero-one")
    assert said.value == 0.5
    said = everywhere(HEAD + b"cat,cat\nNA,cat\n", "--classes", "cat,dog", loss="zero-one")
    assert "line 3" in said.err or "row 1, column 'y': 'NA' is not one of the classes" in said.err


def test_35_numbers_that_vanish_are_counted(everywhere: Judge) -> None:
    said = everywhere(HEAD + b"1e-400,1\n0,1\n-1E-9999,1\n0.0e-500,1\n5e-324,1\n0." + b"0" * 400 + b"1,1\n")
    assert said.value == 1.0
    assert said.result["warnings"] == [w for w in said.result["warnings"] if w.endswith("read as 0: 3")]
    assert "F: numbers too small for a double, read as 0: 3" in said.err
    assert everywhere(HEAD + b"0,1\n1e-300,1\n0.000e-900,1\n").result["warnings"] == []
    assert everywhere(b"y,p,t\n1,2,1e-400\n").result["warnings"] == []


def test_39_42_labels(everywhere: Judge) -> None:
    same = everywhere(HEAD + b"0,0.25\n1,0.5\n", loss="bce").value
    assert everywhere(HEAD + b"-0.0,0.25\n+1.0,0.5\n", loss="bce").value == same
    assert "'TRUE' is not a number; write 1 and 0" in everywhere(HEAD + b"TRUE,0.5\n", loss="bce").err
    text = b"label,p_0,p_1\n%b,0.25,0.75\n"
    several = {"loss": "cross-entropy"}
    zero = everywhere(text % b"0", "--pred", "p_*", **several).value
    assert zero == math.log(4)
    assert everywhere(text % b"-0.0", "--pred", "p_*", **several).value == zero
    assert everywhere(text % b"FALSE", "--pred", "p_*", "--classes", "FALSE,TRUE", **several).value == zero
    assert "give their names" in everywhere(text % b"FALSE", "--pred", "p_*", **several).err
    assert everywhere(text % b"YES", "--pred", "p_*", "--classes", "FALSE,TRUE", **several).code == 3


def test_41_every_digit_counts(judge: Judge) -> None:
    noise = random.Random(41)
    half = "1.00000000000000011102230246251565404236316680908203125"  # between 1 and the next double
    texts = [
        half,
        half + "1",
        half[:-1] + "4",
        "9007199254740992.9999999999999999999",
        "2.2250738585072011e-308",
    ]
    texts += [f"{noise.random():.{noise.randrange(17, 45)}f}" for _ in range(2000)]
    texts += [f"{noise.gauss(0, 1):.{noise.randrange(17, 30)}e}" for _ in range(2000)]
    for form in ("{}", '"{}"', " {}"):  # the second and third are no longer plain numbers
        body = "".join(f"{form.format(text)},0\n" for text in texts)
        said = judge(HEAD + body.encode(), loss="max-error")
        assert said.value == max(abs(float(text)) for text in texts)
        exact = math.fsum(abs(float(text)) for text in texts)
        assert judge(HEAD + body.encode(), "--reduction", "sum").value == exact


def test_as_a_process(tmp_path: Path) -> None:
    def process(*arguments: str, data: bytes = b"") -> tuple[int, bytes, bytes]:
        command = [sys.executable, "-m", "lossctl", "compute", "mae", *arguments, "-f", "value"]
        done = subprocess.run(command, input=data, capture_output=True, cwd=tmp_path)
        return done.returncode, done.stdout, done.stderr

    told = b"warning: -: the last line has no line end, as when a file is cut off in its last number\n"
    assert process("-", data=b"y,p\n1,2\n3,4") == (0, b"1.0\n", told)
    assert process("-", "--expect-rows", "2", data=b"y,p\r\n1,2\r\n3,4\r\n") == (0, b"1.0\n", b"")
    code, out, err = process("-", data=b'y,p\n1,2\n"3,4\n')
    assert (code, out, err.count(b"\n")) == (3, b"", 1)
    assert err.startswith(b"error: -, line 3: a quote is opened here but never closed;")
