"""Results and per-sample blocks as text: exact forms, hostile text, round trips."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import struct
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossctl.errors import BadRow, BadValue, DataError, LossctlError, UnknownName, UsageError
from lossctl.render import FORMATS, render
from lossctl.render.columns import text_array
from lossctl.render.samples import SAMPLE_FORMATS, SampleColumn, open_writer
from lossctl.render.samples_parquet import PAGE_ROWS
from lossctl.render.structured import error_json
from lossctl.render.text import harmless, shown
from lossctl.render.texts import number_text
from lossctl.result import InputFile, Part, Result, RowCount, Score
from lossctl.sources.pages import pages

HOSTILE = "\x1b]8;;http://x\x07[red]a|b`\u202e"


def score(spec: str = "mae", value: float = 0.125, **more: object) -> Score:
    made = Score(spec, spec.split(":")[0], {}, "mean", value, 4, 4.0, f"{spec}|mean|exact|lossctl 0.1.0")
    return replace(made, **more)


def result(*scores: Score, **more: object) -> Result:
    made = Result(
        [InputFile("p.csv", "csv", 7)],
        {"target": "y_true", "pred": ["p_0", "p_1"]},
        ["target"],
        RowCount(7, 4, 2, 1),
        scores,
    )
    return replace(made, **more)


GROUPED = result(
    score("mae", 0.5, group={"seg": "b"}, rows=1),
    score("mse", 0.25, group={"seg": "b"}, rows=1),
    score("mae", 1 / 3, rows=4),
    score("mse", 123456.789, rows=4),
    score("mae", math.nan, group={"seg": "a"}, rows=3, nonfinite={"nan": 2}),
    score("mse", math.inf, group={"seg": "a"}, rows=3),
)


def test_table_of_groups() -> None:
    assert render(GROUPED, "table") == (
        "seg  rows       mae     mse\n"
        "b       1       0.5    0.25\n"
        "a       3       nan     inf\n"
        "all     4  0.333333  123457\n"
        "\n"
        "7 rows read: 4 used, 1 skipped, 2 filtered, 0 ignored\n"
        "mae [seg=a]: 2 rows are nan\n"
        "signature mae|mean|exact|lossctl 0.1.0\n"
        "signature mse|mean|exact|lossctl 0.1.0\n"
    )


def test_table_without_groups_shows_parts_and_ignored() -> None:
    parts = (Part("dice", 1.0, 0.25), Part("bce", 0.1, math.inf))
    made = result(score("dice+0.1*bce", 0.1234567, parts=parts, ignored=3), score("mae", 0.5, empty=True))
    assert render(made, "table", digits=3) == (
        "loss          value  rows  ignored\n"
        "dice+0.1*bce  0.123     4        3\n"
        "  dice (x1)    0.25\n"
        "  bce (x0.1)    inf\n"
        "mae           empty     4        0\n"
        "\n"
        "7 rows read: 4 used, 1 skipped, 2 filtered, ignored 3 by dice+0.1*bce, 0 by mae\n"
        "signature dice+0.1*bce|mean|exact|lossctl 0.1.0\n"
        "signature mae|mean|exact|lossctl 0.1.0\n"
    )


def test_grouped_columns_for_parts_and_differing_counts() -> None:
    parts = (Part("a", 1.0, 0.25), Part("b", 2.0, 0.5))
    made = result(
        score("a+2*b", 1.25, parts=parts, rows=2, ignored=2, group={"g": "x"}),
        score("mae", 9.0, group={"g": "x"}),
        score("a+2*b", 1.25, parts=parts, rows=2, ignored=2),
        score("mae", 8.0),
    )
    lines = [line.split("  ") for line in render(made, "table").splitlines()[:3]]
    lines = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert lines[0] == ["g", "a+2*b", "a (x1)", "b (x2)", "rows", "ignored", "mae", "rows"]
    assert lines[1] == ["x", "1.25", "0.25", "0.5", "2", "2", "9", "4"]
    assert lines[2] == ["all", "1.25", "0.25", "0.5", "2", "2", "8", "4"]


def test_verbose_names_the_guessed_columns() -> None:
    text = render(result(score()), "table", verbose=True)
    assert "target: y_true (guessed)\n" in text
    assert "pred: p_0, p_1\n" in text
    assert "read p.csv (csv, 7 rows)\n" in text
    assert "guessed" not in render(result(score()), "table")


def test_colour_changes_no_text_and_plain_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")  # heeded by the caller, who says color=False
    monkeypatch.setenv("TERM", "dumb")
    wide = result(*(score("mae:x=" + "y" * 90 + str(at), at, group={"[bold]": "g"}) for at in range(9)))
    for made in (GROUPED, wide):
        plain = render(made, "table")
        coloured = render(made, "table", color=True)
        assert "\x1b[" in coloured
        assert "\x1b" not in plain
        stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
        assert [line.rstrip() for line in stripped.splitlines()] == plain.splitlines()
    assert max(map(len, render(wide, "table").splitlines())) > 800


def test_a_terminal_width_is_kept_and_nothing_lost() -> None:
    made = result(score("mae:x=" + "abcdefghij" * 9, 0.5))
    lines = render(made, "table", width=40).splitlines()
    assert max(map(len, lines)) <= 40
    assert "".join(lines).count("j") == 2 * 9  # the spec and the signature
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_data_never_acts_on_the_reader(form: str) -> None:
    made = result(score("mae", group={HOSTILE: "::set-output name=x:: ##[error]\n"}), score("mae"))
    for color in (False, True):
        text = render(made, form, color=color)
        assert "\x1b]" not in text
        assert "\u202e" not in text
        assert "::set-output" not in text
        assert "##[" not in text
        assert "[red]" in text.replace("\\", "")


def test_long_text_is_whole() -> None:
    assert "x" * 5000 in render(result(score("x" * 5000)), "table")


def test_markdown() -> None:
    made = result(score("a|b`c", 0.1234567, signature="a|b`c"))
    assert render(made, "markdown") == (
        "| loss | value | rows |\n"
        "| --- | ---: | ---: |\n"
        "| a\\|b\\`c | 0.123457 | 4 |\n"
        "\n"
        "7 rows read: 4 used, 1 skipped, 2 filtered, 0 ignored\n"
        "\n"
        "Signature: `` a|b`c ``\n"
    )


def test_json_is_strict_ordered_and_whole() -> None:
    def refuse(token: str) -> None:
        raise AssertionError(token)

    text = render(GROUPED, "json", digits=2, width=10, color=True)
    read = json.loads(text, parse_constant=refuse)
    assert list(read) == list(GROUPED.to_dict())
    assert read == json.loads(json.dumps(GROUPED.to_dict()))
    assert text.startswith('{\n  "schema": "lossctl.result/1",\n')
    assert text.endswith("}\n")
    assert read["results"][2]["value"] == 1 / 3
    assert (read["results"][5]["value"], read["results"][5]["status"]) == (None, "inf")


def test_jsonl_is_one_compact_score_per_line() -> None:
    lines = render(GROUPED, "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == GROUPED.to_dict()["results"]
    assert '"value":0.5,"status":"ok"' in lines[0]


def test_value() -> None:
    assert render(result(score(value=0.1 + 0.2)), "value", digits=2) == "0.30000000000000004\n"
    values = [render(result(score(value=v)), "value") for v in (math.nan, math.inf, -math.inf)]
    assert values == ["nan\n", "inf\n", "-inf\n"]
    assert render(result(score("mae", 1.0), score("mse", 2.0)), "value") == "mae\t1.0\nmse\t2.0\n"
    assert render(result(score("mae", 1.0, group={"g": "x"})), "value") == "x\tmae\t1.0\n"
    one = result(score("mae", 1.0, group={"g": "=x"}), score("mae", 2.0))
    assert render(one, "value") == "'=x\tmae\t1.0\n\tmae\t2.0\n"


def test_csv_and_tsv() -> None:
    made = result(
        score("mae", -0.5, group={"=g": "@x,y", "n": "-5"}, ignored=2),
        score("mae", -math.inf, group={"=g": " +a\tb", "n": "-x"}),
        score("mae", math.nan, empty=True),
    )
    assert render(made, "csv") == (
        "'=g,n,spec,value,status,rows,ignored,weight\n"
        '"\'@x,y",-5,mae,-0.5,ok,4,2,4.0\n'
        "' +a\tb,'-x,mae,-inf,-inf,4,0,4.0\n"
        ",,mae,,empty,4,0,4.0\n"
    )
    rows = list(csv.reader(io.StringIO(render(made, "tsv")), delimiter="\t"))
    assert rows[2][:4] == ["' +a\tb", "'-x", "mae", "-inf"]


@given(st.text())
def test_no_text_cell_is_a_formula(text: str) -> None:
    made = harmless(text)
    assert made in (text, "'" + text)
    if made[:1] in ("\t", "\r", "\n") or made.lstrip()[:1] in ("=", "@"):
        pytest.fail(f"{made!r} would be run")
    if made.lstrip()[:1] in ("+", "-"):
        float(made)


@given(st.text())
def test_shown_text_is_printable(text: str) -> None:
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", shown(text))


@pytest.mark.parametrize("form", FORMATS)
def test_many_groups_take_linear_time(form: str) -> None:
    made = result(*(score("mae", at, group={"g": str(at)}) for at in range(20_000)), score("mae"))
    start = time.process_time()
    render(made, form)
    assert time.process_time() - start < 5


def test_unknown_format_and_digits() -> None:
    with pytest.raises(UnknownName, match="did you mean 'json'"):
        render(GROUPED, "jsn")
    for digits in (0, 18):
        with pytest.raises(BadValue):
            render(GROUPED, "table", digits=digits)
    assert FORMATS == ("table", "json", "jsonl", "csv", "tsv", "markdown", "value")


def test_no_rows_and_no_scores() -> None:
    made = {form: render(result(), form) for form in FORMATS}
    assert json.loads(made["json"])["results"] == []
    assert made["jsonl"] == made["value"] == ""
    assert made["csv"] == made["tsv"].replace("\t", ",") == "spec,value,status,rows,ignored,weight\n"
    for form, head in (("table", "loss  value  rows"), ("markdown", "| loss | value | rows |")):
        assert made[form].startswith(head)
        assert "7 rows read" in made[form]


def test_error_json() -> None:
    error = BadRow("bad\n", path="p.csv", row=3, value=math.nan, exit=0, seen={"b", "a"}, cell=np.int64(5))
    text = error_json(error)
    assert text.count("\n") == 1
    read = json.loads(text)["error"]
    assert list(read)[:4] == ["type", "message", "hint", "exit"]
    assert read == {
        "type": "BadRow",
        "message": "p.csv, row 3: bad\n",
        "hint": None,
        "exit": 3,
        "path": "p.csv",
        "row": 3,
        "value": "nan",
        "seen": ["a", "b"],
        "cell": 5,
    }
    assert json.loads(error_json(LossctlError("\ud800")))["error"]["exit"] == 70


# -- per-sample output

COLUMNS = [
    SampleColumn("row", "int"),
    SampleColumn("id", "text"),
    SampleColumn("mae", "number"),
    SampleColumn("g", "vector"),
]
BLOCK = {
    "row": np.arange(4),
    "id": ["a", None, "=1+x", 'q",|'],
    "mae": np.array([0.1, math.nan, -0.0, 1e300]),
    "g": np.array([[1.0, 2.5], [0.5, -math.inf], [0.0, 1.0], [3.0, 4.0]]),
}
IGNORED = {"mae": np.array([False, False, False, True]), "g": np.array([False, False, False, True])}


def written(
    form: str, *blocks: dict, columns: list[SampleColumn] = COLUMNS, ignored: dict | None = None
) -> bytes:
    sink = io.BytesIO()
    writer = open_writer(form, sink, columns)
    for block in blocks:
        writer.write(block, ignored)
    writer.close()
    return sink.getvalue()


SAMPLES = {
    "csv": 'row,id,mae,g_0,g_1\n0,a,0.1,1,2.5\n1,,nan,0.5,-inf\n2,\'=1+x,-0.0,0,1\n3,"q"",|",,,\n',
    "tsv": "row\tid\tmae\tg_0\tg_1\n0\ta\t0.1\t1\t2.5\n1\t\tnan\t0.5\t-inf\n"
    '2\t\'=1+x\t-0.0\t0\t1\n3\t"q"",|"\t\t\t\n',
    "jsonl": '{"row":0,"id":"a","mae":0.1,"g":[1,2.5]}\n'
    '{"row":1,"id":null,"mae":null,"g":[0.5,null],"status":{"mae":"nan","g":"-inf"}}\n'
    '{"row":2,"id":"=1+x","mae":-0.0,"g":[0,1]}\n'
    '{"row":3,"id":"q\\",|","mae":null,"g":null,"status":{"mae":"ignored","g":"ignored"}}\n',
    "markdown": "| row | id | mae | g\\_0 | g\\_1 |\n"
    "| ---: | --- | ---: | ---: | ---: |\n| 0 | a | 0.1 | 1 | 2.5 |\n"
    '| 1 |  | nan | 0.5 | -inf |\n| 2 | =1+x | -0.0 | 0 | 1 |\n| 3 | q",\\| |  |  |  |\n',
    "value": "0.1\t1\t2.5\nnan\t0.5\t-inf\n-0.0\t0\t1\nnan\tnan\tnan\n",
    "table": "         row  id                      mae            g_0            g_1\n"
    "           0  a                       0.1              1            2.5\n"
    "           1                          nan            0.5           -inf\n"
    "           2  =1+x                     -0              0              1\n"
    '           3  q",|                ignored        ignored        ignored\n',
}


@pytest.mark.parametrize("form", SAMPLES)
def test_samples(form: str) -> None:
    assert written(form, BLOCK, ignored=IGNORED).decode() == SAMPLES[form]


def test_sample_table_is_aligned() -> None:
    lines = written("table", BLOCK, ignored=IGNORED).decode().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].index("a") == lines[0].index("id") == lines[3].index("=1+x")


def test_sample_json_is_an_array() -> None:
    read = json.loads(written("json", BLOCK, BLOCK, ignored=IGNORED))
    assert read == 2 * [json.loads(line) for line in SAMPLES["jsonl"].splitlines()]
    assert written("json") == b"[]\n"


@pytest.mark.parametrize("form", SAMPLE_FORMATS)
def test_samples_do_not_depend_on_the_blocks(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossctl.render.samples_text._CELLS", 20)
    halves = [
        {name: values[part] for name, values in BLOCK.items()}
        for part in (slice(0, 1), slice(1, 4), slice(4, 4))
    ]
    whole, cut = written(form, BLOCK), written(form, *halves)
    if form == "parquet":
        whole, cut = (repr(pq.read_table(io.BytesIO(data)).to_pylist()) for data in (whole, cut))
        assert whole == cut
    else:
        assert whole == cut


def test_sample_headers_without_rows() -> None:
    assert written("csv") == b"row,id,mae,g\n"
    assert written("jsonl") == b""
    assert pq.read_table(io.BytesIO(written("parquet"))).num_rows == 0


def test_parquet_keeps_bits_nulls_and_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossctl.render.samples_parquet.GROUP_ROWS", 3)
    odd = np.array([0x7FF8000000000123, 0xFFF0000000000000, 0x8000000000000000, 1], dtype=np.uint64).view(
        float
    )
    data = written("parquet", BLOCK | {"mae": odd}, BLOCK | {"mae": odd}, ignored={"g": IGNORED["g"]})
    file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [3, 3, 2]
    table = file.read()
    got = np.concatenate(
        [np.frombuffer(c.buffers()[1], float)[c.offset : c.offset + len(c)] for c in table["mae"].chunks]
    )
    assert got.tobytes() == odd.tobytes() * 2
    assert table["g"].to_pylist()[:4] == [[1.0, 2.5], [0.5, -math.inf], [0.0, 1.0], None]
    assert table["id"].to_pylist()[:4] == BLOCK["id"]
    chunk = file.metadata.row_group(0).column(2)
    assert (chunk.compression, "BYTE_STREAM_SPLIT" in chunk.encodings) == ("ZSTD", True)
    corrupt = bytearray(data)
    corrupt[chunk.data_page_offset + chunk.total_compressed_size - 1] ^= 1
    with pytest.raises(OSError, match=r"(?i)crc|checksum"):
        pq.ParquetFile(io.BytesIO(bytes(corrupt)), page_checksum_verification=True).read()


def test_parquet_row_numbers_are_never_null_and_integers_of_the_data_may_be() -> None:
    columns = [SampleColumn("row", "int"), SampleColumn("id", "int", carried=True)]
    block = {"row": np.arange(2), "id": np.array([7, 0])}
    data = written("parquet", block, columns=columns, ignored={"id": np.array([False, True])})
    table = pq.read_table(io.BytesIO(data))
    assert [field.nullable for field in table.schema] == [False, True]
    assert table.to_pylist() == [{"row": 0, "id": 7}, {"row": 1, "id": None}]


def test_parquet_pages_hold_a_megabyte_of_numbers() -> None:
    columns = [SampleColumn("mae", "number")]
    data = written("parquet", {"mae": np.zeros(2 * PAGE_ROWS)}, columns=columns)
    chunk = pq.read_metadata(io.BytesIO(data)).row_group(0).column(0)
    found = pages(lambda many, at: data[at : at + many], chunk.data_page_offset, chunk.total_compressed_size)
    assert len(list(found)) == 2


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_numbers_read_back_to_the_same_bits(patterns: list[int]) -> None:
    values = np.array(patterns, dtype=np.uint64).view(float)
    for value, text in zip(values.tolist(), number_text(values).to_pylist(), strict=True):
        assert math.isnan(value) == (text == "nan")
        if not math.isnan(value):
            assert struct.pack("d", float(text)) == struct.pack("d", value)
            assert len(re.sub(r"e.*|[-.0]", "", text)) <= 17


@given(st.lists(st.none() | st.text()))
def test_text_reads_back(values: list[str | None]) -> None:
    assert text_array(values).to_pylist() == values
    columns = [SampleColumn("row", "int"), SampleColumn("t", "text")]
    block = {"row": np.arange(len(values)), "t": values}
    lines = written("jsonl", block, columns=columns).decode().splitlines()
    assert [json.loads(line)["t"] for line in lines] == values
    rows = list(csv.reader(io.StringIO(written("csv", block, columns=columns).decode(), newline="")))[1:]
    assert [row[1] for row in rows] == [harmless(value or "") for value in values]


def test_csv_text_quotes_only_what_needs_it() -> None:
    columns = [SampleColumn("row", "int"), SampleColumn("t", "text")]
    texts = ["a", "", None, "b\nc", "d e", "\r"]
    lines = written("csv", {"row": np.arange(6), "t": texts}, columns=columns)
    assert lines == b'row,t\n0,a\n1,""\n2,\n3,"b\nc"\n4,d e\n5,"\'\r"\n'
    for text in ("b\nc", "b,c", 'b"c', "b\rc", "=c"):  # each alone is seen in a block of plain text
        lines = written("csv", {"row": np.arange(2), "t": ["plain", text]}, columns=columns)
        assert list(csv.reader(io.StringIO(lines.decode(), newline="")))[2] == ["1", harmless(text)]


def test_vectors_keep_their_length() -> None:
    with pytest.raises(DataError, match="change their length"):
        written("csv", BLOCK, BLOCK | {"g": np.ones((4, 3))})


def test_lone_surrogates_are_spelt_out() -> None:
    assert text_array(["\udc80é"]).to_pylist() == ["\\udc80é"]


def test_refusals_of_samples() -> None:
    with pytest.raises(UnknownName):
        open_writer("xml", io.BytesIO(), COLUMNS)
    with pytest.raises(UsageError, match="two output columns are called 'row'"):
        open_writer("csv", io.BytesIO(), [*COLUMNS, SampleColumn("row", "text")])
    for form in ("csv", "parquet"):
        with pytest.raises(ValueError, match="differ in length"):
            written(form, BLOCK | {"id": ["a"]})


def test_wide_and_foreign_text_in_tables() -> None:
    lines = render(result(score("mae", group={"g": "日本"}), score("mae")), "table").splitlines()
    assert lines[1] == "日本     4  0.125"
    assert lines[2] == "all      4  0.125"


def test_nothing_imports_pandas_or_rich_unasked() -> None:
    code = """
import sys
import lossctl.render, lossctl.render.output
from lossctl.result import *
r = Result([], {}, [], RowCount(0, 0), [Score('m', 'm', {}, 'mean', 1.0, 1, 1.0, 's')])
for f in lossctl.render.FORMATS: lossctl.render.render(r, f)
assert not {'rich', 'numpy', 'pyarrow'} & set(sys.modules)
import io, numpy as np
from lossctl.render.samples import *
kinds = {'row': 'int', 't': 'text', 'm': 'number', 'g': 'vector'}
cs = [SampleColumn(name, kind) for name, kind in kinds.items()]
flags = np.array([True, False])
block = {'row': np.arange(2), 't': ['a', None], 'm': np.array([-0.0, np.nan]), 'g': np.ones((2, 2))}
for f in SAMPLE_FORMATS:
    w = open_writer(f, io.BytesIO(), cs)
    w.write(block, {'m': flags, 'g': flags})
    w.close()
assert 'pandas' not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_arrow_types() -> None:
    table = pq.read_table(io.BytesIO(written("parquet", BLOCK)))
    assert table.schema.types == [pa.int64(), pa.string(), pa.float64(), pa.list_(pa.float64())]
