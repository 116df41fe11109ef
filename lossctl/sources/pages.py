"""The headers of Parquet pages: which pages carry a checksum, and whether the pages of a chunk add up.

Arrow verifies a checksum where there is one but never says that there was none. Only the head of a page is
looked at here, never its data; bytes that make no sense give no page, and Arrow refuses them when it reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from lossctl.errors import DataError

ReadAt = Callable[[int, int], bytes]  # how many bytes, from where

_LOOKS = (160, 8 << 10, 1 << 20)  # bytes read to find the end of a header: the next when it is not in there
_FIRST = 32  # enough for the fields up to the checksum
_DEPTH = 8
_INTEGERS, _STRUCT, _STOP = (4, 5, 6), 12, 0
_TYPE, _SIZE, _CRC = 1, 3, 4
_DATA_HEADERS = (5, 8)  # data page, data page v2; both begin with their number of values
_MEMBERS = 256


class Page(NamedTuple):
    """`head` and `body` are lengths in bytes, `values` those of a data page, 0 of any other."""

    head: int
    body: int
    values: int
    checksum: bool


class Chunk(NamedTuple):
    """Where a column chunk is and what the footer says that it holds."""

    column: str
    start: int
    length: int
    values: int


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


def has_checksum(data: bytes) -> bool:
    """Whether the page that begins here has one; the fields before it are short."""
    try:
        at = last = 0
        while True:
            kind, last, at = _field(data, at, last)
            if last == _CRC:
                return kind in _INTEGERS
            if kind not in _INTEGERS or last > _CRC:
                return False
            _, at = _number(data, at)
    except (IndexError, ValueError):
        return False


def page_header(data: bytes) -> Page | None:
    """The page whose header `data` begins with; None when it does not, or not all of it."""
    sizes = {_SIZE: -1}
    values, checksum, at, last = 0, False, 0, 0
    try:
        while True:
            kind, last, at = _field(data, at, last)
            if kind == _STOP:
                break
            if kind in _INTEGERS:
                sizes[last], at = _number(data, at)
                checksum = checksum or last == _CRC
                continue
            if kind == _STRUCT and last in _DATA_HEADERS:
                values = _first_number(data, at)
            at = _skip(data, at, kind, 0)
    except (IndexError, ValueError):
        return None
    if sizes[_SIZE] < 0 or _TYPE not in sizes or values < 0:
        return None
    return Page(at, sizes[_SIZE], values, checksum)


def _field(data: bytes, at: int, last: int) -> tuple[int, int, int]:
    """Kind and number of the field that begins here, and where its value begins."""
    head = data[at]
    if not head & 0xF0 and head:
        number, at = _number(data, at + 1)
        return head & 0xF, number, at
    return head & 0xF, last + (head >> 4), at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    raw, at = _varint(data, at)
    return (raw >> 1) ^ -(raw & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("no number is so long")


def _first_number(data: bytes, at: int) -> int:
    kind, number, at = _field(data, at, 0)
    return _number(data, at)[0] if number == 1 and kind in _INTEGERS else 0


def _skip(data: bytes, at: int, kind: int, depth: int) -> int:
    """Where the value that begins here ends."""
    if depth > _DEPTH:
        raise ValueError("nested too deep")
    if kind in (1, 2):  # a truth value is its own field header
        return at
    if kind in _INTEGERS:
        return _varint(data, at)[1]
    if kind == 8:
        length, at = _varint(data, at)
        return at + length
    if kind in (9, 10):
        return _skip_list(data, at, depth)
    if kind == _STRUCT:
        last = 0
        while True:
            inner, last, at = _field(data, at, last)
            if inner == _STOP:
                return at
            at = _skip(data, at, inner, depth + 1)
    if kind in (3, 7):
        return at + (1 if kind == 3 else 8)
    raise ValueError("no such kind in a page header")


def _skip_list(data: bytes, at: int, depth: int) -> int:
    count, kind = data[at] >> 4, data[at] & 0xF
    at += 1
    if count == 15:
        count, at = _varint(data, at)
    if count > _MEMBERS:
        raise ValueError("too many members")
    for _ in range(count):
        at = at + 1 if kind in (1, 2) else _skip(data, at, kind, depth + 1)
    return at
