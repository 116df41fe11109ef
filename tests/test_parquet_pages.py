"""The heads of Parquet pages: read as they were written, and never an error for other bytes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lossctl
from lossctl.errors import DataError, ResourceError
from lossctl.sources.pages import Checksums, Chunk, ReadAt, has_checksum, page_header, pages

PLAIN = (frozenset({"PLAIN", "RLE"}), (0, 0))  # encodings, levels
LONG = "x" * 3000  # statistics that do not fit into the first look


def chunks(path: Path) -> list[Chunk]:
    footer = pq.read_metadata(path)
    found = []
    for group in range(footer.num_row_groups):
        for at in range(footer.num_columns):
            one = footer.row_group(group).column(at)
            start = min(filter(None, (one.dictionary_page_offset, one.data_page_offset)))
            kind = footer.schema.column(at)
            found.append(
                Chunk(
                    one.path_in_schema,
                    start,
                    one.total_compressed_size,
                    one.num_values,
                    frozenset(one.encodings),
                    (kind.max_repetition_level, kind.max_definition_level),
                )
            )
    return found


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("checksum", [True, False])
def test_pages_add_up(tmp_path: Path, version: str, dictionary: bool, checksum: bool) -> None:
    path = tmp_path / "a.parquet"
    columns = {"y": [1.0, None, 3.0] * 200, "l": [[1], None, [2, 3]] * 200, "g": ["a", LONG, "b"] * 200}
    options: dict[str, Any] = {"data_page_version": version, "use_dictionary": dictionary}
    pq.write_table(
        pa.table(columns),
        path,
        write_page_checksum=checksum,
        data_page_size=500,
        write_batch_size=50,
        row_group_size=250,
        **options,
    )
    many = 0
    with pa.OSFile(str(path)) as file:
        for chunk in chunks(path):
            found = list(pages(file.read_at, chunk.start, chunk.length))
            assert sum(page.head + page.body for page in found) == chunk.length
            assert sum(page.values for page in found) == chunk.values
            assert {page.checksum for page in found} == {checksum}
            assert has_checksum(file.read_at(32, chunk.start)) == checksum
            many += len(found) > 2
        assert many or dictionary
        checks = Checksums("a")
        checks.look(file.read_at, chunks(path))
        assert str(checks) == ("verified" if checksum else "none")


def test_garbage_is_no_page() -> None:
    noise = random.Random(1)
    heads = [
        b"\x15\x00\x15\x10\x15\x10",
        b"\x15\x00\x15\x10\x15\x10\x2c",
        b"\x15\x04\x15\x10\x15\x10\x5c",
        b"",
    ]
    for _ in range(20_000):
        data = noise.choice(heads) + noise.randbytes(noise.randrange(40))
        page = page_header(data)
        assert page is None or (page.head <= len(data) and page.body >= 0 and page.values >= 0)
        assert has_checksum(data) in (True, False)
    for data in (
        b"\xff" * 50,
        b"\x1c" * 500,
        b"\x19\xf9" * 500,
        b"\x15" + b"\x80" * 40,
        b"\x18\xff\xff\xff\x7f",
    ):
        assert page_header(data) is None
        assert not has_checksum(data)
        assert list(pages(at(data), 0, len(data))) == []


def page(values: int, checksum: bool, body: bytes = b"12345678") -> bytes:
    """A data page: type 0, sizes, perhaps a checksum, and the header of its values."""
    head = b"\x15\x00" + b"\x15\x10" * 2
    head += b"\x15\x02\x1c" if checksum else b"\x2c"
    return head + b"\x15" + bytes([2 * values]) + b"\x15\x00" * 3 + b"\x00\x00" + body


def at(raw: bytes) -> ReadAt:
    return lambda size, start: raw[start : start + size]


def looked(raw: bytes, values: int, required: bool = False) -> str:
    checks = Checksums("a.parquet", required)
    checks.look(at(raw), [Chunk("y", 0, len(raw), values, *PLAIN)])
    return str(checks)


def test_some_pages_without_checksum() -> None:
    both = page(1, True) + page(2, False)
    assert looked(both, 3) == "partial"
    assert looked(page(1, True) + page(2, True), 3, required=True) == "verified"
    assert looked(page(1, False) + page(2, True), 3) == "none"
    assert str(Checksums("a")) == "none"
    checks, one, other = Checksums("a"), page(1, True), page(1, False)
    chunks = [Chunk("y", len(one), len(other), 1, *PLAIN), Chunk("p", 0, len(one), 1, *PLAIN)]
    checks.look(at(one + other), chunks)
    assert str(checks) == "partial"
    with pytest.raises(
        DataError, match="column 'p': the footer promises 1 values"
    ):  # in a file with checksums
        checks.look(at(b"\x2c" * 99), [Chunk("p", 0, 99, 1, *PLAIN)])
    for raw in (both, page(3, False)):
        with pytest.raises(DataError, match=r"a.parquet, column 'y': a page has no checksum"):
            looked(raw, 3, required=True)


def test_pages_that_do_not_add_up() -> None:
    whole = page(1, True) + page(2, True)
    for raw, values in ((whole, 4), (whole[:-1], 3), (whole + b"\xff", 3), (page(1, True) + b"\x00" * 30, 1)):
        with pytest.raises(DataError, match="the pages hold"):
            looked(raw, values)


FORMS = [("1.0", "none", False), ("1.0", "snappy", True), ("2.0", "none", False), ("2.0", "zstd", True)]


@pytest.mark.parametrize(("version", "codec", "dictionary"), FORMS)
def test_no_other_byte_in_what_a_header_says_of_its_page_gives_another_number(
    tmp_path: Path, version: str, codec: str, dictionary: bool
) -> None:
    path = tmp_path / "a.parquet"
    values = pa.array([None if row % 5 == 0 else row % 7 + 0.5 for row in range(40)])
    options: dict[str, Any] = {"data_page_version": version, "use_dictionary": dictionary}
    pq.write_table(
        pa.table({"p": values}),
        path,
        compression=codec,
        write_page_checksum=True,
        write_statistics=False,
        **options,
    )

    def value() -> float:
        return lossctl.evaluate(str(path), "custom:expr=p", nan="skip").value

    raw, truth, refused = path.read_bytes(), value(), 0
    for place in own_parts(raw, *chunks(path)):
        for byte in range(20):  # of one byte: all encodings, small sizes, field heads
            path.write_bytes(raw[:place] + bytes([byte]) + raw[place + 1 :])
            with suppress(DataError, ResourceError):
                assert value() == truth, (place, raw[place], byte)
                continue
            refused += 1
    assert refused > 100


def own_parts(raw: bytes, chunk: Chunk) -> Iterator[int]:
    """The places of a header behind its checksum, where it says of its page."""
    start = chunk.start
    for each in pages(at(raw), chunk.start, chunk.length):
        yield from range(start + 12, start + each.head)
        start += each.head + each.body
