"""Per-sample output as text: CSV, TSV, JSON, JSON Lines, Markdown, table and bare values."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lossctl.errors import DataError
from lossctl.render.columns import Flags, Rows, SampleColumn, text_array
from lossctl.render.sink import ByteSink
from lossctl.render.text import harmless, markdown_text, pad, shown
from lossctl.render.texts import (
    Piece,
    chosen,
    int_text,
    joined,
    literal,
    number_text,
    ragged_text,
    text_bytes,
)

_CELLS = 1 << 19  # joined at once: some ten megabytes of text, far below the 2 GiB of a string array
_STATUS = ("", "nan", "inf", "-inf", "ignored")
_TEXT_WIDTH = 12
_ODD_START = re.compile(r"\n(?![A-Za-z0-9_])")


class TextSamples(ABC):
    """What the text formats share: lines joined from pieces, vectors spread over columns."""

    null = ""

    def __init__(self, sink: ByteSink, columns: Sequence[SampleColumn]) -> None:
        self._sink = sink
        self._columns = columns
        self._widths: dict[str, int] | None = None

    def header(self) -> str:
        return ""

    @abstractmethod
    def line(self, rows: Rows) -> Sequence[Piece]:
        """The pieces of a line, for every row."""

    def write(self, block: Mapping[str, Any], ignored: Mapping[str, Flags] | None = None) -> None:
        rows = Rows.of(self._columns, block, ignored or {})
        widths = {c.name: block[c.name].shape[1] for c in self._columns if c.kind == "vector"}
        if self._widths is None:
            self._begin(widths)
        elif widths != self._widths:
            raise DataError(f"vectors change their length from {self._widths} to {widths}")
        step = max(1, _CELLS // max(1, len(self._columns) + sum(widths.values())))
        for start in range(0, rows.size, step):
            self.put(text_bytes(joined(self.line(rows.part(start, start + step)), self.null)))

    def _begin(self, widths: dict[str, int]) -> None:
        self._widths = widths
        self._sink.write(self.header().encode("utf-8", "backslashreplace"))

    def put(self, lines: memoryview) -> None:
        self._sink.write(lines)

    def close(self) -> None:
        if self._widths is None:
            self._begin({})

    def spread(self) -> Iterator[tuple[str, SampleColumn, int | None]]:
        """Name, column and place within it of every column of text; grad of two entries is grad_0, grad_1."""
        for column in self._columns:
            if column.kind == "vector" and column.name in (self._widths or {}):
                for at in range((self._widths or {})[column.name]):
                    yield f"{column.name}_{at}", column, at
            else:
                yield column.name, column, None

    def cells(self, rows: Rows, text: Callable[[Sequence[str | None]], Sequence[str | None]]) -> list[Piece]:
        """One array of text per column; `text` prepares the cells of a text column."""
        made: list[Piece] = []
        for _, column, at in self.spread():
            values, ignored = rows.values[column.name], rows.ignored.get(column.name)
            if column.kind in ("text", "ragged"):
                words = values if column.kind == "text" else ragged_text(values)
                made.append(text_array(text(words), ignored))
            elif column.kind == "int":
                made.append(int_text(values, ignored))
            else:
                made.append(number_text(values if at is None else values[:, at], ignored))
        return made


def between(cells: Sequence[Piece], before: str, separator: str, after: str) -> list[Piece]:
    """The cells of a line with what stands around them."""
    made: list[Piece] = [before]
    for at, cell in enumerate(cells):
        made += [separator, cell] if at else [cell]
    return [*made, after]


class DelimitedSamples(TextSamples):
    """CSV and TSV: text a spreadsheet would run gets a leading ', an empty text is quoted, null is empty."""

    def __init__(self, sink: ByteSink, columns: Sequence[SampleColumn], delimiter: str) -> None:
        super().__init__(sink, columns)
        self._delimiter = delimiter
        self._special = re.compile(f'["\r\n{delimiter}]')

    def header(self) -> str:
        return self._delimiter.join(self._cell(name) for name, _, _ in self.spread()) + "\n"

    def line(self, rows: Rows) -> list[Piece]:
        return between(self.cells(rows, self._texts), "", self._delimiter, "\n")

    def _cell(self, text: str) -> str:
        safe = harmless(text)
        return '"' + safe.replace('"', '""') + '"' if not safe or self._special.search(safe) else safe

    def _texts(self, values: Sequence[str | None]) -> Sequence[str | None]:
        if None not in values:
            whole = "\n".join(values)  # type: ignore[arg-type]
            special = any(char in whole for char in ('"', "\r", self._delimiter))
            if not special and whole.count("\n") == len(values) - 1 and not _ODD_START.search("\n" + whole):
                return values  # all plain: looking at the block at once takes a tenth of looking at each
        return [None if value is None else self._cell(value) for value in values]


class JsonSamples(TextSamples):
    """Objects, one a line, alone or in an array; `status` says by column why a value is null."""

    null = "null"

    def __init__(self, sink: ByteSink, columns: Sequence[SampleColumn], array: bool) -> None:
        super().__init__(sink, columns)
        self._array = array
        self._first = True

    def line(self, rows: Rows) -> list[Piece]:
        made: list[Piece] = [",\n"] if self._array else []
        reasons: dict[str, NDArray[np.int8]] = {}
        for at, column in enumerate(self._columns):
            made += ["," if at else "{", quoted(column.name), ":", self._value(column, rows, reasons)]
        made += [self._status(rows.size, reasons), "}" if self._array else "}\n"]
        return made

    def put(self, lines: memoryview) -> None:
        if self._array and self._first:
            self._sink.write(b"[")
            lines = lines[1:]
        self._first = False
        super().put(lines)

    def close(self) -> None:
        super().close()
        if self._array:
            self._sink.write(b"[]\n" if self._first else b"\n]\n")

    def _value(self, column: SampleColumn, rows: Rows, reasons: dict[str, NDArray[np.int8]]) -> Piece:
        values, ignored = rows.values[column.name], rows.ignored.get(column.name)
        if column.kind == "text":
            return text_array([None if value is None else quoted(value) for value in values], ignored)
        if column.kind == "ragged":
            return text_array(ragged_text(values), ignored)
        if column.kind == "int":
            return int_text(values, ignored)
        codes = _reasons(values, None if column.carried else ignored)
        if codes is not None:
            reasons[column.name] = codes
        if column.kind == "number":
            return _finite_text(values, ignored)
        entries = [_finite_text(values[:, at], None) for at in range(values.shape[1])]
        if not entries:
            return "[]"
        whole = joined(between(entries, "[", ",", "]"), self.null)
        return whole if ignored is None else chosen(ignored, self.null, whole)

    def _status(self, size: int, reasons: Mapping[str, NDArray[np.int8]]) -> Piece:
        if not reasons:
            return ""
        kinds, which = np.unique(np.stack(list(reasons.values()), axis=1), axis=0, return_inverse=True)
        texts = []
        for kind in kinds:
            said = [
                f'{quoted(name)}:"{_STATUS[code]}"' for name, code in zip(reasons, kind, strict=True) if code
            ]
            texts.append(',"status":{' + ",".join(said) + "}" if said else "")
        return text_array(texts).take(_indices(which.reshape(size)))


def _indices(which: NDArray[np.int64]) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(which), [None, pa.py_buffer(which.astype(np.int64))])


def _finite_text(values: NDArray[np.float64], ignored: Flags | None) -> pa.Array:
    absent = ~np.isfinite(values)
    if ignored is not None:
        absent |= ignored
    return number_text(values, absent if absent.any() else None)


def _reasons(values: NDArray[np.float64], ignored: Flags | None) -> NDArray[np.int8] | None:
    """By row the index in _STATUS (of a vector's first entry that is not finite); None when all are fine."""
    if ignored is None and bool(np.isfinite(values).all()):
        return None
    codes = np.where(np.isnan(values), 1, np.where(values == np.inf, 2, np.where(values == -np.inf, 3, 0)))
    if codes.ndim == 2:
        first = np.argmax(codes > 0, axis=1) if codes.shape[1] else None
        codes = np.zeros(len(codes), int) if first is None else codes[np.arange(len(codes)), first]
    if ignored is not None:
        codes = np.where(ignored, 4, codes)
    return codes.astype(np.int8)


class MarkdownSamples(TextSamples):
    """One table; numbers in full."""

    def header(self) -> str:
        columns = list(self.spread())
        heads = "".join(f" {markdown_text(name)} |" for name, _, _ in columns)
        rule = "".join(" --- |" if column.kind == "text" else " ---: |" for _, column, _ in columns)
        return f"|{heads}\n|{rule}\n"

    def line(self, rows: Rows) -> list[Piece]:
        return between(
            self.cells(rows, lambda values: [None if v is None else markdown_text(v) for v in values]),
            "| ",
            " | ",
            " |\n",
        )


class ValueSamples(TextSamples):
    """Only what was computed, by tabs when a row has several; an ignored one is nan, so that lines stay rows.

    Columns of the data stay out, whatever their type: the place of a number must not depend on them.
    """

    null = "nan"

    def __init__(self, sink: ByteSink, columns: Sequence[SampleColumn]) -> None:
        computed = [column for column in columns if not column.carried]
        super().__init__(sink, [column for column in computed if column.kind in ("number", "vector")])

    def line(self, rows: Rows) -> list[Piece]:
        return between(self.cells(rows, lambda values: values), "", "\t", "\n")


class TableSamples(TextSamples):
    """Aligned text; the widths are fixed beforehand, as the rows still to come are unknown."""

    def __init__(self, sink: ByteSink, columns: Sequence[SampleColumn], digits: int) -> None:
        super().__init__(sink, columns)
        self._digits = digits

    def header(self) -> str:
        heads = (pad(shown(name), wide, right) for name, _, _, wide, right in self._layout())
        return "  ".join(heads).rstrip() + "\n"

    def _layout(self) -> Iterator[tuple[str, SampleColumn, int | None, int, bool]]:
        for name, column, at in self.spread():
            text = column.kind == "text"
            widest = self._digits + 7 if column.kind in ("number", "vector") else _TEXT_WIDTH
            yield name, column, at, max(widest, len(shown(name))), not text

    def line(self, rows: Rows) -> list[Piece]:
        made = [
            text_array([pad(cell, wide, right) for cell in self._cells(rows, column, at)])
            for _, column, at, wide, right in self._layout()
        ]
        whole = joined(between(made, "", "  ", ""), "")
        return [pc.utf8_rtrim(whole, characters=" "), literal("\n")]

    def _cells(self, rows: Rows, column: SampleColumn, at: int | None) -> Iterator[str]:
        values, ignored = rows.values[column.name], rows.ignored.get(column.name)
        if column.kind == "text":
            texts: Iterator[str] = ("" if value is None else shown(value) for value in values)
        elif column.kind == "int":
            texts = map(str, values.tolist())
        else:
            numbers = values if at is None else values[:, at]
            texts = (f"{value:.{self._digits}g}" for value in numbers.tolist())
        if ignored is None:
            return texts
        word = "" if column.carried else _STATUS[-1]
        return (word if skip else text for text, skip in zip(texts, ignored.tolist(), strict=True))
