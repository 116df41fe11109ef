"""Predictions and targets from two files: joined one-to-one, refused otherwise, every row accounted for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossctl import evaluate
from lossctl.errors import AmbiguousColumn, BadRow, DataError, LossctlError, MissingColumn, ResourceError
from lossctl.sources import keys as keys_module
from lossctl.sources import open_dataset
from lossctl.sources.join import MASK, JoinedDataset, joined, open_joined
from lossctl.sources.keys import Index, Keys
from lossctl.sources.memory import MemoryDataset

F = pa.float64()
Table = Mapping[str, Sequence[Any]]


def write(path: Path, columns: Table, group: int = 1000, types: Mapping[str, Any] | None = None) -> str:
    """A file by its ending; `group` is the rows of a Parquet row group."""
    if path.suffix == ".csv":
        lines = [",".join(columns)]
        lines += [
            ",".join("" if v is None else str(v) for v in row) for row in zip(*columns.values(), strict=True)
        ]
        path.write_text("\n".join(lines) + "\n")
    else:
        arrays = {name: pa.array(values, (types or {}).get(name)) for name, values in columns.items()}
        pq.write_table(pa.table(arrays), path, row_group_size=group)
    return str(path)


def drain(data: JoinedDataset, wanted: dict[str, Any]) -> dict[str, list[Any]]:
    """All rows; the account of every piece is checked on the way."""
    names = [*wanted, *([data.mask] if data.mask else [])]
    asked = {**wanted, **({data.mask: pa.bool_()} if data.mask else {})}
    out: dict[str, list[Any]] = {name: [] for name in names}
    start = nbytes = 0
    with data:
        for piece in data.pieces(asked):
            assert piece.start == start
            start, nbytes = start + piece.rows, nbytes + piece.nbytes
            for batch in piece.read():
                assert batch.schema.names == names
                for name in names:
                    out[name] += batch.column(name).to_pylist()
        data.finish()
    assert nbytes <= data.nbytes or data.nbytes == 0
    assert data.promised_rows in (None, start)
    return out


def pairs(
    tmp: Path, pred: Table, target: Table, on: str = "k", how: str = "strict", **o: Any
) -> JoinedDataset:
    kinds = o.pop("kinds", ("parquet", "parquet"))
    groups = o.pop("groups", (1000, 1000))
    a = write(tmp / f"pred.{kinds[0]}", pred, groups[0])
    b = write(tmp / f"true.{kinds[1]}", target, groups[1])
    return open_joined([a], b, on, how, **o)


def told(error: type[LossctlError], make: Any, wanted: dict[str, Any] | None = None) -> LossctlError:
    with pytest.raises(error) as caught:
        drain(make(), wanted or {"p": F, "y": F})
    assert "\n" not in str(caught.value)
    return caught.value


KEY = st.one_of(st.integers(-3, 40), st.integers(-(2**63), 2**63 - 1))
WORD = st.text(st.sampled_from("ab1\u00e9\U0001f600 "), max_size=20).filter(
    lambda t: t.strip() == t and t != ""
)


@st.composite
def two_sides(draw: st.DrawFn) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Key tuples of both sides: any overlap and order, sometimes duplicates."""
    shape = draw(st.sampled_from(["int", "text", "bool+int", "text+int"]))
    parts = {"int": (KEY,), "text": (WORD,), "bool+int": (st.booleans(), KEY), "text+int": (WORD, KEY)}[shape]
    keys = draw(st.lists(st.tuples(*parts), min_size=1, max_size=30, unique=draw(st.booleans()) or None))
    same = draw(st.sampled_from(["all", "all", "some"]))
    if same == "all":
        mine = its = keys
    else:
        mine = [k for k in keys if draw(st.integers(0, 5))] or keys[:1]
        its = [k for k in keys if draw(st.integers(0, 5))] or keys[-1:]
    order = draw(st.sampled_from(["as is", "sorted", "shuffled"]))
    if order == "sorted":
        return sorted(mine), sorted(its)
    return (mine, draw(st.permutations(its))) if order == "shuffled" else (mine, its)


@settings(deadline=None)
@given(
    two_sides(),
    st.sampled_from(["strict", "inner"]),
    st.tuples(st.integers(1, 31), st.integers(1, 31)),
    st.tuples(st.sampled_from(["csv", "parquet"]), st.sampled_from(["csv", "parquet"])),
)
def test_it_is_the_join_of_two_dictionaries(
    sides: tuple[list[Any], list[Any]], how: str, groups: tuple[int, int], kinds: tuple[str, str]
) -> None:
    mine, its = sides
    if isinstance(mine[0][0], bool) and "csv" in kinds:
        kinds = ("parquet", "parquet")  # CSV spells truth as Python does here: True
    names = [f"k{i}" for i in range(len(mine[0]))]
    pred = {n: [k[i] for k in mine] for i, n in enumerate(names)} | {
        "p": [float(i) for i in range(len(mine))]
    }
    true = {n: [k[i] for k in its] for i, n in enumerate(names)} | {"y": [i / 2 for i in range(len(its))]}
    unique = len(set(mine)) == len(mine) and len(set(its)) == len(its)
    table = dict(zip(its, true["y"], strict=True))
    block = {"block_size": 16 * groups[0]}
    with tempfile.TemporaryDirectory() as folder:
        a = write(Path(folder) / f"a.{kinds[0]}", pred, groups[0])
        b = write(Path(folder) / f"b.{kinds[1]}", true, groups[1])
        data = joined(open_dataset([a], **block), open_dataset([b], **block), names, how)
        if not unique:
            error = told(DataError, lambda: data)
            repeats = {a: len(mine) - len(set(mine)), b: len(its) - len(set(its))}
            assert error.facts["duplicates"] == {path: n for path, n in repeats.items() if n}
        elif how == "strict" and set(mine) != set(its):
            error = told(DataError, lambda: data)
            assert error.facts["only_in_targets"] == len(set(its) - set(mine))
            assert error.facts["only_in_predictions"] == len(set(mine) - set(its))
        elif not set(mine) & set(its):
            assert "no key is in both" in str(told(DataError, lambda: data))
        else:
            rows = drain(data, {"y": F, "p": F})
            found = rows.get(MASK, [True] * len(mine))
            assert rows["p"] == pred["p"]
            assert found == [k in table for k in mine]
            assert [y for y, ok in zip(rows["y"], found, strict=True) if ok] == [
                table[k] for k in mine if k in table
            ]
            assert all(y in table.values() for y in rows["y"])
            gone = (len(set(mine) - set(its)), len(set(its) - set(mine)))
            assert len(data.warnings) == sum(n > 0 for n in gone)


LONG = 3000


@pytest.mark.parametrize("order", ["same", "reversed", "swapped at the end", "unsorted on both sides"])
@pytest.mark.parametrize("groups", [(1, 700), (7, 7), (64, 999), (LONG, 13), (LONG, LONG)])
@pytest.mark.parametrize(
    "kinds", [("parquet", "parquet"), ("csv", "parquet"), ("parquet", "csv"), ("csv", "csv")]
)
def test_row_groups_and_order_change_nothing(
    order: str, groups: tuple[int, int], kinds: tuple[str, str], tmp_path: Path
) -> None:
    mine = list(range(LONG))
    its = list(mine)
    if order == "reversed":
        its.reverse()
    elif order == "swapped at the end":
        its[-2:] = its[:-3:-1]
    elif order == "unsorted on both sides":
        mine = its = [k * 7 % LONG if LONG % 7 else k for k in mine]
    pred, true = {"k": mine, "p": [k / 4 for k in mine]}, {"k": its, "y": [k / 4 for k in its]}
    rows = drain(pairs(tmp_path, pred, true, kinds=kinds, groups=groups), {"y": F, "p": F})
    assert rows["y"] == rows["p"] == pred["p"]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("chunk", [1, 3, 1000])
@pytest.mark.parametrize("order", [1, -1])
def test_threads_and_chunks_change_no_digit(
    threads: int, chunk: int, order: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lossctl.spine.SMALL", 0)
    rng = np.random.default_rng(3)
    p, y = rng.normal(size=500), rng.normal(size=500)
    keys = [f"k{i:03}" for i in range(500)]
    a = write(tmp_path / "a.parquet", {"k": keys, "p": p.tolist()}, 37)
    b = write(tmp_path / "b.parquet", {"k": keys[::order], "y": y.tolist()[::order]}, 41)
    whole = write(tmp_path / "c.parquet", {"p": p.tolist(), "y": y.tolist()})
    one = evaluate(whole, "mae,rmse", target="y", pred="p")
    two = evaluate(
        a, "mae,rmse", target_file=b, on="k", target="y", pred="p", threads=threads, chunk_rows=chunk
    )
    assert [s.value for s in two.scores] == [s.value for s in one.scores]
    assert [(i.path, i.rows) for i in two.inputs] == [(a, 500), (b, 500)]


def test_side_by_side_needs_no_memory_and_lookup_says_what_it_needs(tmp_path: Path) -> None:
    keys = list(range(5000))
    pred, true = {"k": keys, "p": keys}, {"k": keys, "y": keys}
    assert drain(pairs(tmp_path, pred, true, max_memory=1), {"y": F})["y"] == keys
    true = {"k": keys[::-1], "y": keys[::-1]}
    assert drain(pairs(tmp_path, pred, true, max_memory=10**6), {"y": F})["y"] == keys
    assert told(ResourceError, lambda: pairs(tmp_path, pred, true, max_memory=10**5)).exit_code == 4
    texts = {"k": [f"{k}" for k in keys], "p": keys}, {"k": [f"{k}" for k in keys], "y": keys}
    assert (
        drain(pairs(tmp_path, *texts, max_memory=1), {"y": F})["y"] == keys
    )  # rising by length, then digits


def test_what_the_target_columns_take_counts_too(tmp_path: Path) -> None:
    pred, true = {"k": [1, 2], "p": [0, 0]}, {"k": [2, 1], "y": [[0.0] * 9000] * 2}
    assert drain(pairs(tmp_path, pred, true, max_memory=10**6), {"y": F})["y"] == true["y"]
    told(ResourceError, lambda: pairs(tmp_path, pred, true, max_memory=10**5))


def test_a_piece_of_many_batches(tmp_path: Path) -> None:
    keys = np.arange(300_000)
    for name, order in (("a", 1), ("b", -1)):
        pq.write_table(pa.table({"k": keys[::order], "v": keys[::order] * 2}), tmp_path / f"{name}.parquet")
    rows = drain(
        open_joined([str(tmp_path / "a.parquet")], str(tmp_path / "b.parquet"), "k"), {"target.v": F}
    )
    assert rows["target.v"] == (keys * 2).tolist()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_targets_that_no_prediction_asks_for_matter_to_nobody(kind: str, tmp_path: Path) -> None:
    """Their values may be missing, and their groups are none; nor does a row without a target borrow them."""
    a = write(tmp_path / f"a.{kind}", {"k": [5, 1, 2], "p": [0.0, 1.0, 2.0]})
    b = write(tmp_path / f"b.{kind}", {"k": [9, 2, 8, 1], "y": [None, 2.5, 1, 1], "g": [None, "m", "q", "m"]})
    result = evaluate(a, "mae", target_file=b, on="k", join="inner", target="y", pred="p", by="g")
    assert [(s.group, s.rows, s.value) for s in result.scores] == [({"g": "m"}, 2, 0.25), ({}, 2, 0.25)]
    assert (result.rows.read, result.rows.used, result.rows.filtered) == (3, 2, 1)


class TestKeys:
    def test_what_a_key_may_be(self, tmp_path: Path) -> None:
        for mine, its in (
            ([1, 2], [2.0, 1.0]),
            ([True, False], [False, True]),
            (["a", "b"], ["b", "a"]),
            ([2**63 - 1, -(2**63)], [-(2**63), 2**63 - 1]),
        ):
            data = pairs(tmp_path, {"k": mine, "p": [0.0, 1.0]}, {"k": its, "y": [1.0, 0.0]})
            assert drain(data, {"y": F})["y"] == [0.0, 1.0]

    def test_csv_text_is_read_as_the_other_file_has_it(self, tmp_path: Path) -> None:
        mine = {"k": ["007", "2.0", "9007199254740993"], "p": [0, 1, 2]}
        its = {"k": [9007199254740993, 2, 7], "y": [2.0, 1.0, 0.0]}
        with pytest.raises(
            BadRow
        ):  # one that is no integer makes the column doubles, which cannot hold the last
            drain(pairs(tmp_path, mine, its, kinds=("csv", "parquet")), {"y": F})
        mine["k"][1] = "2"
        assert drain(pairs(tmp_path, mine, its, kinds=("csv", "parquet")), {"y": F})["y"] == [0.0, 1.0, 2.0]
        whole = {"k": ["2.0", "7"], "p": [1, 0]}, {"k": [7, 2], "y": [0.0, 1.0]}
        assert drain(pairs(tmp_path, *whole, kinds=("csv", "parquet")), {"y": F})["y"] == [1.0, 0.0]

    @pytest.mark.parametrize(
        ("mine", "its", "kinds", "says"),
        [
            ([1, 2], ["a", "b"], ("parquet", "parquet"), "holds number in PRED but text here"),
            ([True], [1], ("parquet", "parquet"), "holds truth value in PRED but number here"),
            (
                ["a", "2"],
                [1, 2],
                ("csv", "parquet"),
                "PRED, row 0, column 'k': the key 'a' is text, but TRUE holds numbers",
            ),
            (
                [1.0, 2.5],
                [1, 2],
                ("parquet", "parquet"),
                "PRED, row 1, column 'k': the key 2.5 is not a whole",
            ),
            ([1, 2], [1.0, float("nan")], ("parquet", "parquet"), "TRUE, row 1, column 'k': the key nan"),
            ([1, 2], [1, 2.0**60], ("parquet", "parquet"), "TRUE, row 1"),
            ([1, None], [1, 2], ("parquet", "parquet"), "PRED, row 1, column 'k': the key is missing"),
            (["a", "b"], ["a", None], ("csv", "csv"), "TRUE, row 1, column 'k': the key is missing"),
            ([[1], [2]], [1, 2], ("parquet", "parquet"), "holds nested value, which cannot be a key"),
        ],
    )
    def test_what_it_may_not_be(self, mine: Any, its: Any, kinds: Any, says: str, tmp_path: Path) -> None:
        pred, true = {"k": mine, "p": [0] * len(mine)}, {"k": its, "y": [0] * len(its)}
        error = told(DataError, lambda: pairs(tmp_path, pred, true, kinds=kinds))
        path = {"PRED": tmp_path / f"pred.{kinds[0]}", "TRUE": tmp_path / f"true.{kinds[1]}"}
        for word, name in path.items():
            says = says.replace(word, str(name))
        assert says in str(error)

    def test_a_large_unsigned_key_is_refused(self, tmp_path: Path) -> None:
        a = write(tmp_path / "a.parquet", {"k": [2**63], "p": [1.0]}, types={"k": pa.uint64()})
        b = write(tmp_path / "b.parquet", {"k": [-(2**63)], "y": [1.0]})
        assert "9223372036854775808 is not" in str(told(BadRow, lambda: open_joined([a], b, "k")))

    def test_texts_that_share_a_hash_are_still_told_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        words = [f"{'x' * (i % 30)}{i}" for i in range(400)]
        keys = Keys((pa.array(words, pa.large_string()),), 400)
        seeds = [0, 0, 5]
        whole = keys_module._texts
        monkeypatch.setattr(keys_module, "_seeds", lambda: iter(seeds))
        weak = lambda state, column: whole(state, column) % np.uint64(50 if state[0] == 0 else 2**63)  # noqa: E731
        monkeypatch.setattr(keys_module, "_texts", weak)
        index = Index(keys)
        assert index.repeats.size == 0
        monkeypatch.setattr(
            keys_module, "_texts", lambda state, column: np.repeat(index._sorted[:1], len(column))
        )
        asked = Keys((pa.array(["nowhere", words[index._order[0]]], pa.large_string()),), 2)
        assert index.find(asked).tolist() == [-1, int(index._order[0])]

    def test_hashes_see_every_byte(self) -> None:
        words = ["", "\0", "a", "a\0", "abcdefgh", "abcdefg", "abcdefgh\0", "abcdefghi", "ab", "ba", "é" * 40]
        column = pa.array(["cut off", *words], pa.large_string()).slice(1)
        hashes = Keys((column,), len(words)).hashes(7)
        assert len(set(hashes.tolist())) == len(words)
        for word, got in zip(words, hashes, strict=True):
            assert Keys((pa.array([word], pa.large_string()),), 1).hashes(7)[0] == got


class TestNames:
    PRED: ClassVar[Table] = {"k": [1, 2], "y": [5.0, 6.0], "p": [7.0, 8.0]}
    TRUE: ClassVar[Table] = {"k": [2, 1], "y": [1.0, 2.0], "z": [3.0, 4.0]}

    def test_a_name_of_both_files_needs_its_side(self, tmp_path: Path) -> None:
        data = pairs(tmp_path, self.PRED, self.TRUE)
        assert [c.name for c in data.columns] == ["k", "y", "p", "z", "pred.y", "target.y"]
        rows = drain(data, {"target.y": F, "pred.y": F, "z": F, "k": F})
        assert rows == {"target.y": [2.0, 1.0], "pred.y": [5.0, 6.0], "z": [4.0, 3.0], "k": [1, 2]}
        assert data.peek(["target.y", "p"], 1) == {"target.y": [1.0], "p": [7.0]}
        error = told(AmbiguousColumn, lambda: data, {"y": F})
        assert "pred.y, target.y; both files have it: write pred.y or target.y" in str(error)
        assert "no column 'q'" in str(told(MissingColumn, lambda: data, {"q": F}))

    def test_a_column_named_like_a_prefixed_one_is_not_mistaken(self, tmp_path: Path) -> None:
        pred = {**self.PRED, "target.y": [0.0, 0.0]}
        told(AmbiguousColumn, lambda: pairs(tmp_path, pred, self.TRUE), {"target.y": F})

    def test_fields_of_a_struct(self, tmp_path: Path) -> None:
        a = write(tmp_path / "a.parquet", self.PRED)
        b = write(tmp_path / "b.parquet", {"k": [2, 1], "s": [{"v": 1.0}, {"v": 2.0}]})
        assert drain(open_joined([a], b, "k"), {"s.v": F})["s.v"] == [2.0, 1.0]

    def test_no_columns_at_all(self, tmp_path: Path) -> None:
        data = pairs(tmp_path, self.PRED, self.TRUE)
        with data:
            assert sum(b.num_rows for p in data.pieces({}) for b in p.read()) == 2
            data.finish()

    def test_keys_that_are_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(MissingColumn, match="no column 'z' for on"):
            pairs(tmp_path, self.PRED, self.TRUE, "k,z")
        for on, how in (("", "strict"), ("k,k", "strict"), ("k", "left")):
            with pytest.raises(LossctlError) as caught:
                pairs(tmp_path, self.PRED, self.TRUE, on, how)
            assert caught.value.exit_code == 2

    def test_memory_has_the_same_face(self) -> None:
        mine, its = (
            MemoryDataset(pa.table({k: list(v) for k, v in t.items()})) for t in (self.PRED, self.TRUE)
        )
        assert drain(joined(mine, its, ["k"]), {"z": F, "p": F})["z"] == [4.0, 3.0]


class TestRefusals:
    def test_the_message_counts_and_names(self, tmp_path: Path) -> None:
        pred, true = {"k": list(range(10)), "p": [0] * 10}, {"k": list(range(4, 20)), "y": [0] * 16}
        error = told(DataError, lambda: pairs(tmp_path, pred, true))
        assert error.exit_code == 3
        assert "true.parquet (first: k=10, k=11, k=12)" in str(error)
        assert "pred.parquet (first: k=0, k=1, k=2)" in str(error)
        assert "--join inner scores the 6 shared rows" in str(error)

    @pytest.mark.parametrize("how", ["strict", "inner"])
    def test_duplicates_on_both_sides(self, how: str, tmp_path: Path) -> None:
        pred = {"k": [1, 2, 2, 2, 99, 99], "p": [0] * 6}
        true = {"k": [1, 2, 3, 3], "y": [0] * 4}
        error = told(DataError, lambda: pairs(tmp_path, pred, true, how=how, groups=(2, 2)))
        assert f"3 too many in {tmp_path}/pred.parquet (first: k=2, k=2, k=99)" in str(error)
        assert f"1 too many in {tmp_path}/true.parquet (first: k=3)" in str(error)

    @pytest.mark.parametrize("keys", [[1, 2, 2, 3], [3, 1, 2, 1]])
    def test_duplicates_in_step(self, keys: list[int], tmp_path: Path) -> None:
        pred, true = {"k": keys, "p": [0] * 4}, {"k": keys, "y": [0] * 4}
        assert "not one-to-one" in str(told(DataError, lambda: pairs(tmp_path, pred, true, groups=(1, 3))))

    @pytest.mark.parametrize("long", ["pred", "true"])
    def test_one_side_goes_on(self, long: str, tmp_path: Path) -> None:
        rows = {"pred": 3, "true": 3, long: 5}
        pred = {"k": list(range(rows["pred"])), "p": [0] * rows["pred"]}
        true = {"k": list(range(rows["true"])), "y": [0] * rows["true"]}
        assert "2 of 5 only in" in str(told(DataError, lambda: pairs(tmp_path, pred, true)))

    def test_one_file_for_both(self, tmp_path: Path) -> None:
        a = write(tmp_path / "a.parquet", {"k": [1], "y": [1.0]})
        os.link(a, tmp_path / "b.parquet")
        with pytest.raises(DataError, match="the same file"):
            open_joined([a], str(tmp_path / "b.parquet"), "k")

    @pytest.mark.parametrize("order", [1, -1])
    def test_a_bad_target_is_placed_in_its_own_file(self, order: int, tmp_path: Path) -> None:
        a = write(tmp_path / "a.parquet", {"k": [1, 2, 3], "p": [0.0] * 3})
        b = write(tmp_path / "b.parquet", {"k": [1, 2, 3][::order], "y": [1.0, 1.0, None][::order]})
        with pytest.raises(BadRow, match=f"the value is from {b}, row {2 if order == 1 else 0}") as caught:
            evaluate(a, "mae", target_file=b, on="k", target="y", pred="p")
        assert caught.value.facts["row"] == 2

    def test_a_file_that_changes_between_the_passes(self, tmp_path: Path) -> None:
        data = pairs(tmp_path, {"k": [1, 2], "p": [1, 2]}, {"k": [2, 1], "y": [1, 2]}, kinds=("csv", "csv"))
        for piece in data.pieces({"p": F, "y": F}):
            list(piece.read())
        (tmp_path / "true.csv").write_text("k,y\n2,1\n1,3\n3,3\n")
        with data, pytest.raises(ResourceError, match="changed"):
            data.finish()


def test_targets_are_the_target_files(tmp_path: Path) -> None:
    """A stale target column in the predictions is never taken unless it is named."""
    a = write(tmp_path / "a.parquet", {"k": [1], "y_true": [0.0], "y_pred": [0.0]})
    b = write(tmp_path / "b.parquet", {"k": [1], "y_true": [1.0]})
    assert evaluate(a, "mae", target_file=b, on="k").value == 1.0
    assert evaluate(a, "mae", target_file=b, on="k", target="y_true").value == 1.0
    assert evaluate(a, "mae", target_file=b, on=["k"], target="target.y_true").value == 1.0
    assert evaluate(a, "mae", target_file=b, on=["k"], target="pred.y_true").value == 0.0
