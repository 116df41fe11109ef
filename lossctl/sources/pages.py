"""The headers of Parquet pages: which pages carry a checksum, and whether the pages of a chunk add up.

Arrow verifies a checksum where there is one but never says that there was none. Only the head of a page is
looked at here, never its data; bytes that make no sense give no page, and Arrow refuses them when it reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from lossctl.errors import DataError
from lossctl.sources.thrift import INTEGERS, STOP, STRUCT, field, members, number, skip

ReadAt = Callable[[int, int], bytes]  # how many bytes, from where

_LOOKS = (160, 8 << 10, 1 << 20)  # bytes read to find the end of a header: the next when it is not in there
_FIRST = 32  # enough for the fields up to the checksum
_TYPE, _SIZE, _CRC, _DATA, _WORDS, _DATA_2 = 1, 3, 4, 5, 7, 8  # fields of a page's header
_ENCODINGS = {
    0: "PLAIN",
    2: "PLAIN_DICTIONARY",
    3: "RLE",
    4: "BIT_PACKED",
    5: "DELTA_BINARY_PACKED",
    6: "DELTA_LENGTH_BYTE_ARRAY",
    7: "DELTA_BYTE_ARRAY",
    8: "RLE_DICTIONARY",
    9: "BYTE_STREAM_SPLIT",
}
_SAME = {"RLE_DICTIONARY": "PLAIN_DICTIONARY"}  # the same under two names


class Page(NamedTuple):
    """`head` and `body` are lengths in bytes, `values` those of a data page, 0 of any other.

    kind: the field that says what page it is; said: that field's own numbers.
    """

    head: int
    body: int
    values: int
    checksum: bool
    kind: int
    said: Mapping[int, int]


class Chunk(NamedTuple):
    """Where a column chunk is and what the footer says of it; levels: the most of repetition, definition."""

    column: str
    start: int
    length: int
    values: int
    encodings: frozenset[str]
    levels: tuple[int, int]


class Checksums:
    """What is known of the checksums of the pages that were read; any thread may add to it.

    The first pages of the chunks tell whether their writer made checksums. Where one did, every page of all
    chunks is looked at: one without a checksum may have lost it to damage.
    """

    def __init__(self, path: str, required: bool = False) -> None:
        self._path, self._required = path, required
        self._with = self._without = 0
        self._lock = threading.Lock()

    def look(self, read_at: ReadAt, chunks: Iterable[Chunk]) -> None:
        """Count the pages of chunks about to be read; refuse those whose pages do not add up."""
        first = {chunk: has_checksum(read_at(min(_FIRST, chunk.length), chunk.start)) for chunk in chunks}
        made = self._with > 0 or any(first.values())
        for chunk, begins in first.items():
            found = [page.checksum for page in self._pages(read_at, chunk)] if made else [begins]
            missing = found.count(False)
            if missing and self._required:
                raise DataError(
                    "a page has no checksum",
                    path=self._path,
                    column=chunk.column,
                    hint="write the file with page checksums, or do not require them",
                )
            with self._lock:
                self._with += len(found) - missing
                self._without += missing

    def _pages(self, read_at: ReadAt, chunk: Chunk) -> list[Page]:
        found = list(pages(read_at, chunk.start, chunk.length))
        total = sum(page.values for page in found)
        if total != chunk.values or sum(page.head + page.body for page in found) != chunk.length:
            raise DataError(
                f"the footer promises {chunk.values} values in {chunk.length} bytes, the pages hold {total}",
                path=self._path,
                column=chunk.column,
                hint="the file is damaged; write it again",
            )
        strange = next(filter(None, (_strange_encoding(page, chunk) for page in found)), None)
        if strange:
            raise DataError(
                f"a page says that it is encoded as {strange}, of which the footer knows nothing",
                path=self._path,
                column=chunk.column,
                hint="the file is damaged; write it again",
            )
        return found

    def __str__(self) -> str:
        if not self._with:
            return "none"
        return "partial" if self._without else "verified"


def pages(read_at: ReadAt, start: int, length: int) -> Iterator[Page]:
    """The pages of a chunk, as far as they make sense."""
    end = start + length
    while start < end:
        page = None
        for size in _LOOKS:
            page = page_header(read_at(min(size, end - start), start))
            if page is not None or size >= end - start:
                break
        if page is None:
            return
        yield page
        start += page.head + page.body


def _strange_encoding(page: Page, chunk: Chunk) -> str | None:
    """An encoding in the header of a page that the column has not. No checksum covers a header.

    With each byte of the headers of six files set to each value, 50,000 cases, nothing else gave another
    number: PLAIN turned to BYTE_STREAM_SPLIT, or RLE levels to BIT_PACKED.
    """
    known = {_SAME.get(name, name) for name in chunk.encodings}
    names = (
        _ENCODINGS.get(code, str(code)) for code in (page.said.get(at, -1) for at in _encoded(page, chunk))
    )
    return next((name for name in names if _SAME.get(name, name) not in known), None)


def _encoded(page: Page, chunk: Chunk) -> list[int]:
    """The fields of a header that say how its parts are encoded, of those parts that there are."""
    if page.kind != _DATA:
        return {_WORDS: [2], _DATA_2: [4]}.get(page.kind, [])
    repetition, definition = chunk.levels
    return [2, *([3] if definition else []), *([4] if repetition else [])]


def has_checksum(data: bytes) -> bool:
    """Whether the page that begins here has one; the fields before it are short."""
    try:
        at = last = 0
        while True:
            kind, last, at = field(data, at, last)
            if last == _CRC:
                return kind in INTEGERS
            if kind not in INTEGERS or last > _CRC:
                return False
            _, at = number(data, at)
    except (IndexError, ValueError):
        return False


def page_header(data: bytes) -> Page | None:
    """The page whose header `data` begins with; None when it does not, or not all of it."""
    sizes: dict[int, int] = {}
    said: dict[int, int] = {}
    kind, at, last = 0, 0, 0
    try:
        while True:
            form, last, at = field(data, at, last)
            if form == STOP:
                break
            if form in INTEGERS:
                sizes[last], at = number(data, at)
            elif form == STRUCT and last in (_DATA, _WORDS, _DATA_2):
                kind = last
                said, at = members(data, at)
            else:
                at = skip(data, at, form, 0)
    except (IndexError, ValueError):
        return None
    values = said.get(1, 0) if kind in (_DATA, _DATA_2) else 0
    if sizes.get(_SIZE, -1) < 0 or _TYPE not in sizes or values < 0:
        return None
    return Page(at, sizes[_SIZE], values, _CRC in sizes, kind, said)
