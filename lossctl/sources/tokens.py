"""The exact CSV grammar, one record at a time: the slow road, for rows no vector operation can judge.

A field is quoted or bare. A quote opens a quoted field only as its first byte; elsewhere in a bare field it
is an ordinary character, as every common reader has it. After the closing quote only a delimiter or the end
of the line may follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

UNCLOSED = "a quote is opened here but never closed"
TRAILING = "text follows a closing quote"
NOTHING = frozenset(
    ["na", "n/a", "#n/a", "<na>", "null", "none", "nil", "-", "--", "?", ".", "missing", "undefined"]
)


class Malformed(Exception):
    """The record at `start` breaks the quoting rules."""

    def __init__(self, start: int, at: int, problem: str) -> None:
        super().__init__(problem)
        self.start, self.at, self.problem = start, at, problem


class Record(NamedTuple):
    """Bytes `start` to `end` of a row; the next row starts at `after`."""

    start: int
    end: int
    after: int


@lru_cache(maxsize=8)
def _patterns(delimiter: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    sep = re.escape(delimiter)
    bare = rb"[^" + sep + rb"\r\n]"
    one = rb'(?:"[^"]*+(?:""[^"]*+)*+"|(?!")' + bare + rb"++|)"
    return re.compile(one), re.compile(one + rb"(?:" + sep + one + rb")*+(\r\n|\n|\r|\Z)")


def records(data: bytes, delimiter: bytes, *, end: int | None = None, final: bool) -> Iterator[Record]:
    """Complete records of data[:end]; without `final` an unfinished one at the end is left for later."""
    size = len(data) if end is None else end
    _, whole = _patterns(delimiter)
    at = 0
    while at < size:
        match = whole.match(data, at, size)
        if match is None:
            fault = _fault(data, at, size, delimiter)
            if not final and fault.problem == UNCLOSED:
                return
            raise fault
        mark = match[1]
        if not final and (match.end() == size and mark != b"\n" and mark != b"\r\n"):
            return
        yield Record(at, match.start(1), match.end())
        at = match.end()


def _fault(data: bytes, start: int, size: int, delimiter: bytes) -> Malformed:
    one, _ = _patterns(delimiter)
    at = start
    while True:
        match = one.match(data, at, size)
        stop = match.end() if match else at
        if stop >= size or data[stop : stop + 1] != delimiter:
            break
        at = stop + 1
    return Malformed(start, at, UNCLOSED if stop == at else TRAILING)


def fields(data: bytes, record: Record, delimiter: bytes) -> list[bytes]:
    """The values of a record, unquoted."""
    one, _ = _patterns(delimiter)
    out, at = [], record.start
    while True:
        match = one.match(data, at, record.end)
        raw = match[0] if match else b""
        out.append(raw[1:-1].replace(b'""', b'"') if raw.startswith(b'"') else raw)
        at += len(raw) + 1
        if at > record.end:
            return out


def line_breaks(data: bytes, end: int) -> int:
    """Line ends in data[:end]; CRLF is one, a lone CR is one."""
    feeds = data.count(b"\n", 0, end)
    returns = data.count(b"\r", 0, end)
    return feeds + returns - data.count(b"\r\n", 0, end) if returns else feeds
