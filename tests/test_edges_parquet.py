"""Rare turns of Parquet and of joins: footers, long texts, odd keys, sides that end early."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_edges_sources import told, write
from test_sources_csv import drain

from lossctl import evaluate
from lossctl.errors import BadRow, DataError, LossctlError, ResourceError, RowsDisagree
from lossctl.sources import beside, open_dataset, pages, parquet, rowgroups
from lossctl.sources.aligned import differing_row
from lossctl.sources.base import Identity
from lossctl.sources.footer import check_types
from lossctl.sources.join import joined, open_joined
from lossctl.sources.keys import Index, KeyReader, Keys
from lossctl.sources.matching import Run, paired
from lossctl.sources.memory import MemoryDataset, MemoryPiece
from lossctl.sources.parquet import find

F, S = pa.float64(), pa.string()


# -- Parquet -------------------------------------------------------------------------------------------------


def test_fields_of_structs_by_dotted_paths(tmp_path: Path) -> None:
    deep = pa.struct({"b": pa.struct({"x": F}), "b.c": pa.struct({"d": F}), "n": F})
    schema = pa.schema({"a": deep, "plain": F, "twice": deep})
    assert find(schema, "a.n", "p") == (0, 2)
    assert find(schema, "a.b.c.d", "p") == (0, 1, 0)
    assert find(schema, "a.b.x", "p") == (0, 0, 0)
    assert find(schema, "a.b.y", "p") == find(schema, "plain.x", "p") == find(schema, "none", "p") == ()
    again = schema.append(pa.field("twice", deep))
    for name in ("twice", "twice.n"):
        with pytest.raises(BadRow, match="several columns have this name"):
            find(again, name, "p")


def test_a_role_is_given_a_field_of_a_struct(tmp_path: Path) -> None:
    deep = [{"y": 1.0, "d": {"p": 3.0}}, {"y": 2.0, "d": {"p": 2.0}}]
    path = write(tmp_path / "a.parquet", s=deep, plain=[1.0, 2.0])
    assert evaluate(path, "mae", target="s.y", pred="s.d.p").value == 1.0
    for name in ("s.d.q", "s.y.p", "s", "t.y"):
        with pytest.raises(DataError) as caught:
            evaluate(path, "mae", target="plain", pred=name)
        assert name in str(caught.value)


def test_ends_of_encrypted_and_other_files(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    whole = Path(write(path, y=[1.0])).read_bytes()
    for content, message in (
        (whole[:-4] + b"PARE", "encrypted"),
        (b"PARE" + whole[4:], "encrypted"),
        (b"XXXX" + whole[4:], "a.parquet"),
        (whole[:-4] + b"XXXX", "the Parquet footer is missing"),
    ):
        path.write_bytes(content)
        assert message in told(path, input_format="parquet")


def test_a_row_too_long_to_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", y=["x" * 5000])
    monkeypatch.setattr(rowgroups, "_ROW_LIMIT", 1000)
    assert "a row is longer than" in told(path, wanted={"y": S})


def test_texts_of_a_dictionary_are_spelt_out_while_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.parquet", y=pa.array(["a" * 30, None, "b" * 10, "b" * 10]))
    monkeypatch.setattr(rowgroups, "_ROW_LIMIT", 60)
    assert drain(open_dataset([path]), {"y": S}) == {"y": ["a" * 30, None, "b" * 10, "b" * 10]}
    monkeypatch.setattr(rowgroups, "_ROW_LIMIT", 49)
    assert "the text is too long to hold" in told(path, wanted={"y": S})


@pytest.mark.parametrize("kind", [S, pa.large_string()])
def test_a_text_column_named_like_the_path_to_another(tmp_path: Path, kind: pa.DataType) -> None:
    texts = pa.array(["x", "y", "x"], kind)
    path = write(tmp_path / "a.parquet", **{"a.b": texts, "a": [{"b": "u"}, {"b": "v"}, {"b": "u"}]})
    assert drain(open_dataset([path]), {"a.b": S}) == {"a.b": ["x", "y", "x"]}


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.parquet", y=pa.array(["good", "evil"])))
    for packed in (True, False):
        pq.write_table(
            pa.table({"y": ["good", "evil"]}), path, use_dictionary=packed, compression="none",
            write_statistics=False,
        )  # fmt: skip
        path.write_bytes(path.read_bytes().replace(b"evil", b"\xffvil"))
        assert "the column is damaged" in told(path, wanted={"y": S})


def test_a_peek_ends_with_the_rows_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"y": [float(i) for i in range(9)]}), path, row_group_size=2)
    with open_dataset([str(path)]) as data:
        assert data.peek(["y"], 3) == {"y": [0.0, 1.0, 2.0]}
        assert data.peek(["y"], 100) == {"y": [float(i) for i in range(9)]}


def test_a_page_header_that_never_ends() -> None:
    endless = b"\x2c" + b"\x18\x7f" * (1 << 20)  # a struct whose fields go on and on
    assert list(pages.pages(lambda size, at: endless[at : at + size], 0, len(endless))) == []
    assert list(pages.pages(lambda size, at: b"", 0, 4)) == []


def test_a_schema_told_twice_of_other_columns_is_let_be(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    whole, wide = pa.int64(), pa.struct({"a": pa.int64()})
    pq.write_table(pa.table({"y": pa.array([1]), "s": pa.array([{"a": 1}])}), path)
    footer = pq.read_metadata(path)
    for other in (pa.schema({"z": whole, "s": wide}), pa.schema({"y": whole, "s": wide, "z": whole})):
        check_types("p", footer, other, {"any": (0,)})
    deeper = pa.schema({"y": whole, "s": pa.struct({"a": wide})})
    check_types("p", footer, deeper, {"s.a.a": (1, 0, 0)})
    with pytest.raises(LossctlError, match="two ways"):
        check_types("p", footer, pa.schema({"y": pa.decimal128(5, 2), "s": wide}), {"y": (0,)})


def test_a_row_group_without_all_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", y=[1.0])
    monkeypatch.setattr(parquet, "row_groups", lambda footer: [SimpleNamespace(num_columns=0, num_rows=1)])
    assert "a row group lacks columns" in told(path)


# -- two sides -----------------------------------------------------------------------------------------------


def batch(**columns: Any) -> pa.RecordBatch:
    return pa.record_batch({name: pa.array(values) for name, values in columns.items()})


@pytest.mark.parametrize(
    ("mine", "its", "found"),
    [
        ({"a": [1.0, 2.0], "b": [1, 2]}, {"a": [1.0, 2.0], "b": [1, 2]}, None),
        ({"a": [1.0, 3.0], "b": [9, 2]}, {"a": [1.0, 2.0], "b": [1, 2]}, (0, "b")),
        ({"a": [9.0, 2.0], "b": [1, 9]}, {"a": [1.0, 2.0], "b": [1, 2]}, (0, "a")),
        ({"a": [1.0, 2.0], "b": [1, 2]}, {"a": [1.0, None], "b": [1, 2]}, (1, "a")),
        ({"a": [[1.0], [2.0]], "b": ["x", "y"]}, {"a": [[1.0], [2.0]], "b": ["x", "y"]}, None),
        ({"a": [[1.0], [2.0]], "b": ["x", "y"]}, {"a": [[1.0], [2.5]], "b": ["x", "y"]}, (1, "a")),
        ({"a": [[1.0], [2.0]], "b": ["x", "y"]}, {"a": [[1.0], []], "b": ["x", "y"]}, (1, "a")),
        ({"a": [[1.0], None], "b": ["x", "y"]}, {"a": [[1.0], []], "b": ["x", "z"]}, (1, "a")),
        ({"a": [1.0, 2.0], "b": ["1", "2"]}, {"a": [1.0, 2.0], "b": [1, 2]}, (0, "b")),
        ({"a": [True, False], "b": [0, 1]}, {"a": [1.0, 0.0], "b": [False, True]}, None),
        ({"a": [0.0, 1.0], "b": [0, 1]}, {"a": [-0.0, 1.0], "b": [0, 1]}, (0, "a")),
    ],
)
def test_the_first_difference(mine: Any, its: Any, found: Any) -> None:
    assert differing_row(batch(**mine), batch(**its), [("a", "a"), ("b", "b")]) == found


def test_texts_are_compared_however_they_are_stored() -> None:
    words = pa.array(["x", None, "y"])
    for one in (words, words.dictionary_encode(), words.cast(pa.large_string())):
        for two in (words, words.dictionary_encode(), words.cast(pa.large_string())):
            assert differing_row(batch(a=one), batch(a=two), [("a", "a")]) is None
            assert differing_row(batch(a=one), batch(a=two[:2].take([0, 1, 0])), [("a", "a")]) == (2, "a")
    days = pa.array([1, 2], pa.date32())
    assert differing_row(batch(a=days), batch(a=days), [("a", "a")]) is None


def runs(*sizes: int) -> Iterator[Run]:
    start = 0
    for size in sizes:
        yield Run("p", start, start, batch(y=[float(i) for i in range(start, start + size)]))
        start += size


def test_sides_are_cut_at_the_same_rows() -> None:
    def cut(left: tuple[int, ...], right: tuple[int, ...]) -> list[tuple[Any, Any]]:
        return [
            tuple(None if run is None else (run.start, run.batch.num_rows) for run in pair)
            for pair in paired(runs(*left), runs(*right))
        ]

    assert cut((3, 0, 2), (1, 4)) == [((0, 1), (0, 1)), ((1, 2), (1, 2)), ((3, 2), (3, 2))]
    assert cut((2,), (2, 1, 1)) == [((0, 2), (0, 2)), (None, (2, 1)), (None, (3, 1))]
    assert cut((2, 1), ()) == [((0, 2), None), ((2, 1), None)]


def test_a_side_that_ends_early_is_refused() -> None:
    class Target:
        path = "t"

        def runs(self, wanted: Any) -> Iterator[Run]:
            return runs(1)

    view = beside.View(["y"], {"y": (0, "y")})  # type: ignore[call-arg]
    with pytest.raises(RowsDisagree):
        list(beside.side_by_side(runs(2), Target(), {}, view))  # type: ignore[arg-type]


def test_texts_too_long_to_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pred = write(tmp_path / "p.parquet", k=[1, 2], p=[1.0, 2.0])
    target = write(tmp_path / "t.parquet", k=[2, 1], y=["a" * 50, "b" * 50])
    monkeypatch.setattr(beside, "_TEXT_LIMIT", 60)
    with pytest.raises(ResourceError, match="the texts of column 'y' are too long"):
        drain(open_joined([pred], target, "k", "strict"), {"p": F, "y": S})


@pytest.mark.parametrize("keys", [["a", "b"], [1, 2]])
def test_batches_without_rows_join_nothing(keys: list[Any]) -> None:
    def side(name: str, order: list[Any]) -> MemoryDataset:
        parts = [[], order[:1], [], order[1:], []]
        columns = {"k": pa.chunked_array(parts, pa.array(keys).type), name: pa.array([1.0, 2.0])}
        return MemoryDataset(pa.table(columns))

    made = drain(joined(side("p", keys), side("y", keys[::-1]), ["k"]), {"p": F, "y": F})
    assert made == {"p": [1.0, 2.0], "y": [2.0, 1.0]}


def test_an_inner_join_without_a_common_key_is_refused(tmp_path: Path) -> None:
    pred = write(tmp_path / "p.parquet", k=[1, 2, 3, 4], p=[0.0] * 4)
    target = write(tmp_path / "t.parquet", k=[5, 6], y=[0.0] * 2)
    with pytest.raises(DataError, match="no key is in both") as caught:
        drain(open_joined([pred], target, "k", "inner"), {"p": F, "y": F})
    assert caught.value.hint == "first keys: k=1, k=2, k=3 against k=5, k=6"


def test_keys_without_text_or_rows() -> None:
    twins = pa.array(["", ""], pa.large_string())
    assert Index(Keys((twins,), 2)).repeats.tolist() == [1]
    nothing = Index(Keys((pa.array([], pa.large_string()),), 0))
    assert nothing.repeats.tolist() == []
    assert nothing.find(Keys((pa.array(["x"], pa.large_string()),), 1)).tolist() == [-1]


def test_keys_as_dictionaries_and_other_storage(tmp_path: Path) -> None:
    words, flags = pa.array(["a", "b"]).dictionary_encode(), pa.array([True, False])
    table = pa.table({"k": words, "j": flags, "p": [1.0, 2.0]})
    path = write(tmp_path / "t.parquet", k=["b", "a"], j=[False, True], y=[3.0, 4.0])
    for on in ("k", "j"):
        with open_dataset([path]) as target:
            data = joined(InPieces(table), target, [on], "strict")  # type: ignore[arg-type]
            assert drain(data, {"p": F, "y": F}) == {"p": [1.0, 2.0], "y": [4.0, 3.0]}
    stored = pa.record_batch({"j": pa.array([1, 0], pa.int8()).cast(pa.bool8())})
    reader = KeyReader(["j"], ["number"], "other")
    assert reader.read(stored, "p", 0).columns[0].tolist() == [1, 0]


class InPieces(MemoryDataset):
    """A table that comes row by row, with nothing before each."""

    def pieces(self, wanted: Any) -> Iterator[MemoryPiece]:
        chosen = self.table.select(list(wanted))
        for at in range(chosen.num_rows):
            for rows in (0, 1):
                yield MemoryPiece(chosen.slice(at, rows), "memory", at, at, rows, 0)


def test_the_row_of_a_key_that_is_no_number(tmp_path: Path) -> None:
    pred = tmp_path / "p.csv"
    pred.write_text("k,p\n1,1\n2,2\nx,3\n")
    target = write(tmp_path / "t.parquet", k=[3, 1, 2], y=[1.0, 2.0, 3.0])
    with pytest.raises(BadRow, match="the key 'x' is text") as caught:
        drain(open_joined([str(pred)], target, "k", "strict"), {"p": F, "y": F})
    assert caught.value.facts["row"] == 2


def test_the_row_of_a_value_in_the_second_target_file(tmp_path: Path) -> None:
    import lossctl

    pred = write(tmp_path / "p.parquet", k=[1, 2, 3, 4], p=[1.0, 2.0, 3.0, 4.0])
    one = write(tmp_path / "t1.parquet", k=[4, 3], y=[1.0, 2.0])
    two = write(tmp_path / "t2.parquet", k=[2, 1], y=[3.0, None])
    with pytest.raises(BadRow, match=r"t2\.parquet, row 1") as caught:
        lossctl.evaluate(pred, "mae", target_file=[one, two], on="k", target="y", pred="p")
    assert (caught.value.facts["target_path"], caught.value.facts["target_row"]) == (two, 1)
    bad = write(tmp_path / "q.parquet", k=[1, 2, 3, 4], p=[1.0, 2.0, None, 4.0])
    three = write(tmp_path / "t3.parquet", k=[2, 1], y=[3.0, 4.0])
    with pytest.raises(BadRow) as caught:
        lossctl.evaluate(bad, "mae", target_file=[one, three], on="k", target="y", pred="p")
    assert "target_path" not in caught.value.facts


def test_tables_in_memory() -> None:
    data = MemoryDataset(pa.table({"y": [1.0, None, 3.0]}))
    assert data.peek(["y"], 2) == {"y": [1.0, None]}
    none = MemoryDataset(pa.table({"y": pa.array([], F)}))
    assert [piece for piece in none.pieces({})] == []
    (piece,) = data.pieces({})
    assert [b.num_rows for b in piece.read()] == [3]
    empty = type(piece)(piece.table.slice(3), "memory", 0, 0, 0, 0)
    assert list(empty.read()) == []


def test_identities_of_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    assert Identity.of(os.stat(path)) == Identity.of(os.stat(path))
