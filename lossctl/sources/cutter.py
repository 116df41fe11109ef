"""CSV bytes -> blocks of whole rows, each with its exact number of rows before anything is parsed.

Without a quote in a block every line end ends a row: counting them takes 0.1 ns a byte. With quotes, a line
end counts when the quotes before it are even in number, provided each quote opens a field, closes one or is
doubled; that is checked too, and where it does not hold the block goes through the exact grammar of `tokens`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lossctl.errors import DataError
from lossctl.sources.feed import Feed
from lossctl.sources.tokens import Malformed, Record, fields, line_breaks, records

BLOCK = 2 << 20
ROW_LIMIT = 64 << 20
_LONG = (
    16 << 20
)  # what holds no whole row by then has few: they need no arrays of eight bytes for every quote
UTF8_BOM = b"\xef\xbb\xbf"
_WIDE = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_LF, _CR, _QUOTE = 10, 13, 34


@dataclass(frozen=True)
class Block:
    """Rows `first_row` on: data[:size], whose first row is on line `line` (1-based)."""

    data: bytes
    size: int
    rows: int
    first_row: int
    line: int
    nbytes: int
    multiline: bool


@dataclass(frozen=True)
class _Cut:
    """The first `size` bytes are `rows` whole rows over `lines` line ends; size 0: no whole row yet.

    `fault`: the next row is malformed. The rows before it still go out: of two errors the first is told.
    """

    size: int
    rows: int
    lines: int
    fault: bool = False


class Cutter:
    """Cuts one stream; first the header, then the blocks."""

    def __init__(self, feed: Feed, path: str, delimiter: bytes, block: int = BLOCK) -> None:
        self._feed, self._path, self._delimiter, self._block = feed, path, delimiter, block
        self._tail = b""
        self._line = 1
        self._row = 0
        self._told = 0
        self.unended = False  # the last row has no line end, so nothing says that it is whole

    def header(self) -> list[bytes]:
        """The fields of the first line; its text is not decoded yet."""
        data, size = b"", max(self._block, 4)
        while True:
            grown = self._feed.more(data, size)
            final = len(grown) < len(data) + size
            data = grown
            bom = self._bom(data)
            body = data[bom:]
            try:
                first = next(records(body, self._delimiter, final=final), None)
            except Malformed as fault:
                raise self._refusal(fault.problem, body, fault.at) from fault
            if first is not None:
                self._check_header(body, first)
                self._tail, self._line = body[first.after :], 1 + line_breaks(body, first.after)
                return fields(body, first, self._delimiter)
            if final:
                raise DataError("the file is empty: no header and no rows", path=self._path)
            self._limit(len(data))
            size = self._more(size, len(data))

    def _bom(self, data: bytes) -> int:
        for mark, name in _WIDE:
            if data.startswith(mark):
                raise DataError(f"the text is {name}, not UTF-8", path=self._path, hint="save it as UTF-8")
        return len(UTF8_BOM) if data.startswith(UTF8_BOM) else 0

    def _check_header(self, body: bytes, first: Record) -> None:
        text = body[first.start : first.end]
        if b"\0" in text:
            raise DataError("NUL byte in the header", path=self._path, line=1, hint="is it UTF-16 or binary?")
        if not text.strip():
            what = (
                "the file is empty: no header and no rows" if not body.strip() else "the first line is blank"
            )
            raise DataError(what, path=self._path)
        if text.startswith(b"#"):
            raise DataError(
                "the first line is a '#' comment",
                path=self._path,
                line=1,
                hint="the first line must name the columns",
            )

    def blocks(self, *, single: bool) -> Iterator[Block]:
        """All rows after the header. `single`: one column, where a blank line is a row without a value."""
        size = self._block
        while True:
            before = len(self._tail)
            data = self._feed.more(self._tail, size)
            final = len(data) < before + size
            if final and data:
                self.unended = data[-1] not in (_LF, _CR)
            cut = self._cut(data, final, single)
            if cut.rows:
                yield self._emit(data, cut)
            if cut.size:
                self._tail, size = data[cut.size :], self._block
            elif final:
                return
            else:
                self._limit(len(data))
                self._tail, size = data, self._more(size, len(data))

    def _emit(self, data: bytes, cut: _Cut) -> Block:
        taken, self._told = self._feed.taken - self._told, self._feed.taken
        block = Block(data, cut.size, cut.rows, self._row, self._line, taken, cut.lines > cut.rows)
        self._row += cut.rows
        self._line += cut.lines
        return block

    def _more(self, size: int, held: int) -> int:
        """How much to read when `held` bytes are no whole row: doubling, up to the limit."""
        return max(size, min(held, ROW_LIMIT - held))

    def _limit(self, size: int) -> None:
        if size >= ROW_LIMIT:
            raise DataError(
                f"a row is longer than {ROW_LIMIT >> 20} MiB",
                path=self._path,
                line=self._line,
                hint="is a quote never closed, or is this no text?",
            )

    def _cut(self, data: bytes, final: bool, single: bool) -> _Cut:
        plain = b'"' not in data and b"\r" not in data
        cut = _plain(data) if plain else self._marked(data, final)
        if final and cut.size < len(data) and not cut.fault:
            cut = self._last(data, cut)
        return cut if single or cut.fault else _without_blank_end(data, cut)

    def _last(self, data: bytes, cut: _Cut) -> _Cut:
        """The bytes after the last line end are a row too; after a stray quote they may be several."""
        rest = data[cut.size :]
        if b'"' not in rest:
            return _Cut(len(data), cut.rows + 1, cut.lines + 1)
        try:
            more = self._exact(rest, final=True)
        except DataError:
            if cut.size:
                return replace(cut, fault=True)
            raise
        return _Cut(cut.size + more.size, cut.rows + more.rows, cut.lines + more.lines, more.fault)

    def _marked(self, data: bytes, final: bool) -> _Cut:
        if len(data) >= _LONG:
            return self._exact(data, final)
        text = np.frombuffer(data, np.uint8)
        ends = _line_ends(text, data, final)
        quotes = np.flatnonzero(text == _QUOTE)
        outside = ends[(np.searchsorted(quotes, ends) & 1) == 0] if quotes.size else ends
        size = int(outside[-1]) + 1 if outside.size else 0
        used = quotes[: int(np.searchsorted(quotes, size))]
        stuck = size == 0 and quotes.size > 0
        if stuck or not _well_formed(text, used, self._delimiter[0]):
            return self._exact(data, final)
        return _Cut(size, outside.size, int(np.searchsorted(ends, size)))

    def _exact(self, data: bytes, final: bool) -> _Cut:
        """The rows by the exact grammar, up to the first that breaks it; refused if none come before."""
        size = rows = lines = 0
        try:
            for record in records(data, self._delimiter, final=final):
                size, rows = record.after, rows + 1
                lines += record.after == record.end
        except Malformed as fault:
            if not size:
                raise self._refusal(fault.problem, data, fault.at) from fault
            return _Cut(size, rows, line_breaks(data, size), fault=True)
        return _Cut(size, rows, lines + line_breaks(data, size))

    def _refusal(self, problem: str, data: bytes, at: int) -> DataError:
        line = self._line + line_breaks(data, at)
        return DataError(problem, path=self._path, line=line, hint='a quote inside a value is written ""')


def _plain(data: bytes) -> _Cut:
    size = data.rfind(b"\n") + 1
    rows = int(np.count_nonzero(np.frombuffer(data, np.uint8, size) == _LF)) if size else 0
    return _Cut(size, rows, rows)


def _line_ends(text: NDArray[np.uint8], data: bytes, final: bool) -> NDArray[np.intp]:
    """Where lines end: LF, and CR not before LF; a CR as the last byte so far is not known yet."""
    ends = text == _LF
    if b"\r" in data:
        alone = text == _CR
        alone[:-1] &= ~ends[1:]
        if not final:
            alone[-1:] = False
        ends |= alone
    return np.flatnonzero(ends)


def _well_formed(text: NDArray[np.uint8], quotes: NDArray[np.intp], delimiter: int) -> bool:
    """Whether each of an even number of quotes opens a field, closes one, or is half of a doubled one."""
    if quotes.size == 0:
        return True
    border = np.zeros(256, np.bool_)
    border[[delimiter, _LF, _CR]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    starts = border[text[opening - 1]]
    starts[0] |= opening[0] == 0
    stops = border[text[np.minimum(closing + 1, text.size - 1)]]
    doubled = closing[:-1] + 1 == opening[1:]
    return bool(np.all(starts[1:] | doubled) and starts[0] and np.all(stops[:-1] | doubled) and stops[-1])


def _without_blank_end(data: bytes, cut: _Cut) -> _Cut:
    """Leave blank lines at the end of the block to the next one: at the end of the file they mean nothing."""
    size = cut.size
    if size == 0 or data[size - 1] not in (_LF, _CR):
        return cut
    before = size - (2 if data.endswith(b"\r\n", 0, size) else 1)
    if before > 0 and data[before - 1] not in (_LF, _CR):
        return cut
    end = len(data[:size].rstrip(b"\r\n"))  # a copy, made only where a blank line ends the block
    if end == 0:
        return _Cut(0, 0, 0)
    keep = end + (2 if data[end : end + 2] == b"\r\n" else 1)
    gone = line_breaks(data[keep:size], size - keep)
    return _Cut(keep, cut.rows - gone, cut.lines - gone)
