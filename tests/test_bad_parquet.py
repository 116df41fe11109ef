"""Parquet files not to be trusted, columns that cannot play their role: refused by name, never a number."""

from __future__ import annotations

import base64
import gzip
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossctl
from lossctl.config import GateConfig, build
from lossctl.errors import DataError, LossctlError, ResourceError, RowsDisagree
from lossctl.passes import Passes
from lossctl.sources import open_dataset

Y = {"y": pa.float64()}
TWO = pa.array([1.0, 2.0])


def write(path: Path, columns: Any, **options: Any) -> Path:
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, path, **options)
    return path


def value(*paths: Path, spec: str = "mae", **options: Any) -> float:
    return lossctl.evaluate([str(p) for p in paths], spec, target="y", pred="p", **options).scores[-1].value


def refused(*paths: Path, spec: str = "mae", **options: Any) -> str:
    """Exit code and message, paths shortened to names."""
    with pytest.raises(LossctlError) as caught:
        value(*paths, spec=spec, **options)
    text = f"{caught.value.exit_code} {caught.value}"
    assert "\n" not in text
    return text.replace(f"{paths[0].parent}/", "")


def outcome(path: Path) -> str:
    try:
        return str(value(path))
    except LossctlError as error:
        return f"{error.exit_code} {error}"


def as_pred(folder: Path, pred: Any, **options: Any) -> str:
    """The refusal of a column as prediction."""
    return refused(write(folder / "a.parquet", {"y": TWO, "p": pred}), **options)


def in_child(*arguments: object, limit: int | None = None, command: str = "compute mae") -> str:
    """Exit code and error of the command line, in a process that may die."""
    cap = None if limit is None else (lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    run = subprocess.run(
        [sys.executable, "-m", "lossctl", *command.split(), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=cap,
    )
    return f"{run.returncode} {run.stderr.strip()}"


def edited(path: Path, old: bytes, new: bytes, which: int | None = None) -> Path:
    """The file with bytes of its footer replaced: all of these, or only those at one place."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[-8:-4], "little")
    parts = raw[-8 - length : -8].split(old)
    assert len(parts) > (which or 0) + 1, (old, len(parts))
    if which is None:
        footer = new.join(parts)
    else:
        footer = old.join(parts[: which + 1]) + new + old.join(parts[which + 1 :])
    made = path.with_name("edited.parquet")
    made.write_bytes(raw[: -8 - length] + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    return made


def number(value: int) -> bytes:
    """An integer as a footer holds it."""
    left, out = 2 * value, bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


# ---- the file --------------------------------------------------------------------------------------------


def test_truncated_anywhere(tmp_path: Path) -> None:
    raw = write(tmp_path / "a.parquet", {"y": TWO, "p": TWO, "g": ["a", "b"]}).read_bytes()
    cut = tmp_path / "cut.parquet"
    for size in [*range(16), *range(16, len(raw), 23), *range(len(raw) - 12, len(raw))]:
        cut.write_bytes(raw[:size])
        assert refused(cut).startswith("3 cut.parquet: "), size
    assert "the Parquet footer is missing" in refused(cut)


def test_no_bytes(tmp_path: Path) -> None:
    empty = tmp_path / "a.parquet"
    empty.write_bytes(b"")
    assert refused(empty) == "3 a.parquet: the file is empty: no header and no rows"


def test_text_named_parquet(tmp_path: Path) -> None:
    text = tmp_path / "a.parquet"
    text.write_text("y,p\n1,2\n")
    assert refused(text).startswith("3 a.parquet: not a Parquet file: it looks like text")
    assert value(text, input_format="csv") == 1.0


class Kms(pytest.importorskip("pyarrow.parquet.encryption").KmsClient):  # type: ignore[misc]
    """Keys that protect nothing, for the test only."""

    def wrap_key(self, key: bytes, _: str) -> bytes:
        return base64.b64encode(key)


def locked(path: Path, **config: Any) -> Path:
    from pyarrow.parquet import encryption

    factory = encryption.CryptoFactory(lambda _: Kms())
    made = encryption.EncryptionConfiguration(footer_key="k", **config)
    keys = factory.file_encryption_properties(encryption.KmsConnectionConfig(), made)
    return write(path, {"y": TWO, "p": TWO}, encryption_properties=keys)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("column", [False, True])
def test_encrypted(tmp_path: Path, plain: bool, column: bool) -> None:
    keys = {"column_keys": {"k": ["y"]}} if column else {"uniform_encryption": True}
    path = locked(tmp_path / "a.parquet", plaintext_footer=plain, **keys)
    assert refused(path) == "3 a.parquet: the file is encrypted; decrypt it first"
    with pytest.raises(DataError, match="the file is encrypted"):  # also for a column that is not
        open_dataset([str(path)])


def test_encrypted_columns_that_nothing_announces(tmp_path: Path) -> None:
    """Without its signature the footer is as any other; to touch the column would end the process."""
    raw = locked(tmp_path / "a.parquet", plaintext_footer=True, column_keys={"k": ["y"]}).read_bytes()
    length = int.from_bytes(raw[-8:-4], "little")
    bare = tmp_path / "bare.parquet"
    bare.write_bytes(raw[: -8 - 28] + (length - 28).to_bytes(4, "little") + b"PAR1")
    assert in_child(bare).startswith(f"3 error: {bare}: the file is encrypted")


def test_metadata_that_ends_the_process_when_touched(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"y": TWO, "p": TWO})
    bad = edited(path, b"\x25\x02\x18\x01y", b"\x25\x00\x18\x01y")  # statistics of nulls in a required column
    assert in_child(bad).startswith(f"3 error: {bad}: cannot be read: Definition level histogram size")


def test_broken_dictionary_bit_width(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("y", pa.float64(), nullable=False), pa.field("p", pa.float64())])
    table = pa.table([pa.array([1.0, 2.0] * 50), pa.array([1.0] * 100)], schema=schema)
    path = write(tmp_path / "a.parquet", table, compression="none", row_group_size=100)
    from lossctl.sources.pages import pages

    raw = bytearray(path.read_bytes())
    chunk = pq.read_metadata(path).row_group(0).column(0)
    start, length = chunk.dictionary_page_offset, chunk.total_compressed_size
    words, codes = pages(lambda size, at: bytes(raw[at : at + size]), start, length)
    at = start + words.head + words.body + codes.head
    assert raw[at] == 1
    for width in (33, 64, 65, 255):
        raw[at] = width
        path.write_bytes(raw)
        assert in_child(path).startswith(f"3 error: {path}: cannot be read: "), width


def test_bad_page_checksum(tmp_path: Path) -> None:
    values = np.random.default_rng(1).standard_normal(100)
    path = write(tmp_path / "a.parquet", {"y": values, "p": values}, write_page_checksum=True)
    raw = bytearray(path.read_bytes())
    raw[400] ^= 1
    path.write_bytes(raw)
    assert refused(path).startswith("3 a.parquet: cannot be read: could not verify page integrity, CRC")


def test_checksums_are_reported_and_can_be_required(tmp_path: Path) -> None:
    data = {"y": TWO, "p": TWO, "g": ["a", "b"]}
    good = write(tmp_path / "good.parquet", data, write_page_checksum=True)
    bare = write(tmp_path / "bare.parquet", data)
    text = tmp_path / "a.csv"
    text.write_text("y,p\n1,2\n")
    made = lossctl.evaluate([str(good), str(bare), str(text)], "mae").to_dict()["inputs"]
    assert [each.get("checksums") for each in made] == ["verified", "none", None]
    assert value(good, require_checksums=True) == 0.0
    assert refused(bare, require_checksums=True).startswith(
        "3 bare.parquet, column 'y': a page has no checksum"
    )
    assert refused(text, require_checksums=True).startswith(
        "3 a.csv: the file is csv, which has no checksums"
    )
    assert in_child("--require-checksums", bare).startswith("3 ")
    assert in_child("--require-checksums", good).startswith("0")
    config = tmp_path / "lossctl.toml"
    config.write_text('[data]\nrequire-checksums = true\n[[check]]\nspec = "mae"\nmax = 1.0\n')
    assert "a page has no checksum" in in_child("-c", config, bare, command="gate")
    assert in_child("-c", config, good, command="gate").startswith("0")


def test_footer_rows_groups_and_pages_agree(tmp_path: Path) -> None:
    """Every number of rows or values in the footer, changed alone and all together."""
    columns = {"y": np.arange(77.0), "p": np.arange(77.0)}
    path = write(tmp_path / "a.parquet", columns, write_page_checksum=True)
    footer = path.read_bytes()[-8 - int.from_bytes(path.read_bytes()[-8:-4], "little") : -8]
    places = footer.count(number(77))
    unread = (2, 4)  # in statistics
    for rows in (78, 76, 1 << 40):
        for which in [None, *range(places)]:
            told = outcome(edited(path, number(77), number(rows), which))
            assert told.startswith(("3 ", "4 ")) or (told == "0.0" and which in unread), (rows, which)
    assert "column 'y': row group 0 has 77 rows but 78 values" in refused(
        edited(path, number(77), number(78), 1)
    )
    with pytest.raises(RowsDisagree):
        open_dataset([str(edited(path, number(77), number(78), 0))])
    with open_dataset([str(path)]) as data:
        (piece,) = data.pieces(Y)
        with pytest.raises(RowsDisagree):
            data.finish()
        piece.rows = 78
        with pytest.raises(RowsDisagree, match="promises 78 rows but delivered 77"):
            list(piece.read())


def test_footers_that_contradict_themselves(tmp_path: Path) -> None:
    columns = {"y": TWO, "p": pa.array([1, 2]).cast(pa.decimal128(25, 3))}
    path = write(tmp_path / "a.parquet", columns, use_dictionary=False)
    footer = pq.read_metadata(path)
    chunk, inside = footer.row_group(0).column(1), path.stat().st_size - footer.serialized_size - 20
    for old, new, told in (
        (b"\x1c\x15\x0a\x19", b"\x1c\x15\x04\x19", "row group 0 holds INT64, the schema says DOUBLE"),
        (number(chunk.data_page_offset), number(4), "its values begin inside those of another column"),
        (number(chunk.data_page_offset), number(inside), "row group 0 has its values outside of the file"),
    ):
        assert told in refused(edited(path, old, new)), told
    assert "column 'p': its type is told in two ways that disagree" in refused(
        edited(path, b"\x15\x06\x15\x32", b"\x15\x02\x15\x32")  # the scale
    )
    assert value(path) == 0.0
    small = {"y": pa.array([1, 200], pa.uint8()), "p": pa.array([1, 200], pa.uint32())}
    path = write(tmp_path / "small.parquet", small, version="1.0")
    assert value(path) == 0.0
    assert "column 'y': its type is told" in refused(edited(path, b"\x13\x08\x12", b"\x13\x08\x11"))


def test_row_groups_without_rows(tmp_path: Path) -> None:
    data = pa.table({"y": TWO, "p": TWO})
    path = tmp_path / "a.parquet"
    with pq.ParquetWriter(path, data.schema) as writer:
        for part in (data.slice(0, 0), data, data.slice(0, 0)):
            writer.write_table(part)
    assert pq.read_metadata(path).num_row_groups == 3
    assert value(path) == 0.0
    assert refused(write(path, data.slice(0, 0))) == "3 a.parquet: no rows"


def test_missing_and_duplicate_columns(tmp_path: Path) -> None:
    assert "3 a.parquet: no column 'p' for" in refused(write(tmp_path / "a.parquet", {"y": TWO, "q": TWO}))
    twice = write(tmp_path / "a.parquet", pa.table([TWO, TWO, TWO, TWO], ["y", "p", "p", "y"]))
    assert "3 a.parquet, column 'y': several columns have this name" in refused(twice)
    unused = write(tmp_path / "a.parquet", pa.table([TWO, TWO, TWO, TWO], ["y", "p", "z", "z"]))
    assert value(unused) == 0.0


# ---- the file system -------------------------------------------------------------------------------------


def test_the_same_file_twice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"y": TWO, "p": TWO})
    os.link(path, tmp_path / "hard.parquet")
    (tmp_path / "soft.parquet").symlink_to(path)
    around = tmp_path / ".." / tmp_path.name
    for twin in (path, tmp_path / "hard.parquet", tmp_path / "soft.parquet", around):
        assert "the same file is given twice" in refused(path, twin)


SHRINK = """
import os, sys
import numpy as np, pyarrow as pa
from lossctl.errors import LossctlError
from lossctl.sources import open_dataset
path, how = sys.argv[1:]
try:
    with open_dataset([path]) as data:
        pieces = data.pieces({"y": pa.float64(), "p": pa.float64()})
        batches = next(pieces).read()
        next(batches)
        if how == "shrink":
            os.truncate(path, 1000)
        elif how == "overwrite":
            with open(path, "r+b") as file:
                file.seek(4)
                file.write(bytes(os.path.getsize(path) - 4))
        else:
            os.replace(path + ".new", path)
        rows = sum(b.num_rows for b in batches) + sum(b.num_rows for p in pieces for b in p.read())
        data.finish()
    print("read", rows)
except LossctlError as error:
    print(error.exit_code, error)
"""


@pytest.mark.parametrize("how", ["shrink", "overwrite", "replace"])
def test_the_file_changes_while_it_is_read(tmp_path: Path, how: str) -> None:
    values = np.random.default_rng(1).standard_normal(400_000)
    path = write(tmp_path / "a.parquet", {"y": values, "p": values}, row_group_size=200_000)
    write(tmp_path / "a.parquet.new", {"y": TWO, "p": TWO})
    run = subprocess.run([sys.executable, "-c", SHRINK, str(path), how], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"4 {path}: the file changed while it was read")


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_the_file_changes_before_or_after_it_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    raw = b"y\n1\n2\n" if name == "a.csv" else write(path, {"y": TWO}).read_bytes()
    path.write_bytes(raw)
    with open_dataset([str(path)]) as data:
        for piece in data.pieces(Y):
            list(piece.read())
        os.utime(path, ns=(1, 1))
        with pytest.raises(ResourceError, match="the file changed while it was read"):
            data.finish()
    with open_dataset([str(path)]) as data:
        path.write_bytes(b"y\n1\n2\n3\n")
        with pytest.raises(ResourceError, match="the file changed while it was read"):
            list(data.pieces(Y))


def test_what_a_gate_refuses_in_a_file_that_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"y": TWO, "p": TWO})
    plans = build(GateConfig(), {"files": [str(path)]}, [{"spec": "mae", "max": 1.0}])

    def judge() -> None:
        with Passes(plans, 1):
            os.utime(path, ns=(1, 1))
            raise DataError("a value that is not what it was")

    with pytest.raises(ResourceError, match="the file changed while it was read"):
        judge()


# ---- what must not be believed, loaded or allocated ------------------------------------------------------


class Trap:
    """Unpickling it would end the test."""

    def __reduce__(self) -> Any:
        return os._exit, (99,)


def test_metadata_and_extension_types_are_not_loaded(tmp_path: Path) -> None:
    trap = pickle.dumps(Trap())
    marks = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": trap}
    other = {"ARROW:extension:name": "nobody.knows", "ARROW:extension:metadata": b"\x00\xff"}
    fields = [pa.field("y", pa.float64(), metadata=marks), pa.field("p", pa.float64(), metadata=other)]
    schema = pa.schema(fields, metadata={b"pandas": trap, b"more": b"\x80"})
    assert value(write(tmp_path / "a.parquet", pa.table([TWO, TWO], schema=schema))) == 0.0


@pytest.mark.parametrize(
    "name",
    ["npy", "npz", "pickle2", "pickle3", "pickle4", "pickle5", "arrow", "arrows", "feather", "parquet.gz"],
)
def test_foreign_formats(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"a.{name}"
    table = pa.table({"y": TWO, "p": TWO})
    if name == "npy":
        np.save(path, np.array([Trap()]), allow_pickle=True)
    elif name == "npz":
        np.savez(path, y=np.ones(2))
    elif name.startswith("pickle"):
        path.write_bytes(pickle.dumps(Trap(), int(name[-1])))
    elif name == "parquet.gz":
        path.write_bytes(gzip.compress(write(tmp_path / "b", table).read_bytes()))
    else:
        kind = pa.ipc.new_stream if name == "arrows" else pa.ipc.new_file
        with kind(str(path), table.schema) as writer:
            writer.write_table(table)
    words = {"npy": "a NumPy array", "npz": "a zip archive", "parquet.gz": "a Parquet file"}
    kind = words.get(name, "a Python pickle" if name.startswith("pickle") else "an Arrow IPC")
    told = refused(path)
    assert told.startswith(f"3 a.{name}: ")
    assert kind in told


def test_dictionary_bomb(tmp_path: Path) -> None:
    indices = pa.array([0] * 100_000, pa.int32())
    bomb = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * (1 << 20)]))
    zeros = np.zeros(100_000)
    columns = {"y": zeros, "p": zeros, "g": bomb}
    path = write(tmp_path / "a.parquet", columns, store_schema=False, compression="zstd")
    assert path.stat().st_size < 20_000
    assert in_child(path, "--where", "g == 'a'", limit=3 << 30)[:2] in ("3 ", "4 ")
    assert in_child(path, "--by", "g", "-f", "value", limit=3 << 30)[:2] in ("0 ", "3 ", "4 ")
    with open_dataset([str(path)]) as data, pytest.raises(LossctlError, match="the text is too long to hold"):
        list(next(data.pieces({"g": pa.string()})).read())


def test_forged_sizes_stay_within_memory(tmp_path: Path) -> None:
    values = np.arange(77.0)
    path = write(tmp_path / "a.parquet", {"y": values, "p": values}, use_dictionary=False, compression="zstd")
    for rows in (1 << 31, 1 << 40, (1 << 62) - 1):
        assert in_child(edited(path, number(77), number(rows)), limit=3 << 30)[:2] in ("3 ", "4 "), rows
    chunk = pq.read_metadata(path).row_group(0).column(1)
    raw, at, new = path.read_bytes(), chunk.data_page_offset + 3, number((1 << 31) - 1)
    assert raw[at : at + 2] == number(77 * 8 + 7)  # bytes of the page, decompressed
    longer = chunk.total_compressed_size + len(new) - 2
    path.write_bytes(raw[:at] + new + raw[at + 2 :])
    told = in_child(edited(path, number(chunk.total_compressed_size), number(longer)), limit=3 << 30)
    assert told[:2] in ("3 ", "4 ")


# ---- damage at random ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cases", "checksums"), [(700, True), (300, False)])
def test_fuzz(cases: int, checksums: bool) -> None:
    """Damage never crashes or hangs; inside pages that carry checksums it never gives another number."""
    sys.path.insert(0, str(Path(__file__).parent / "soak"))
    try:
        from parquet_fuzz import fuzz
    finally:
        sys.path.pop(0)
    report = fuzz(cases, 5, checksums)
    assert sum(report.counts.values()) == cases
    assert report.bad == []
    assert [each for each in report.wrong if checksums and each[3] == "body"] == []
