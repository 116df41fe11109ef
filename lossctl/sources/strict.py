"""One block of CSV text -> one record batch; anything doubtful is found again, exactly, and refused by row.

Arrow parses and converts. What it would let pass shows in its result: a blank line among several columns as
nulls, an overflow as an infinity, an integer that a double cannot hold as a magnitude of 2^53 or more. Only
then is the text looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from lossctl.doubles import EXACT, lost_of
from lossctl.errors import BadRow, DataError, RowsDisagree, visible
from lossctl.sources.base import Plan, Tally
from lossctl.sources.cutter import UTF8_BOM, Block
from lossctl.sources.digits import numbers
from lossctl.sources.tokens import NOTHING, Malformed, fields, line_breaks, records

_NUMBER = re.compile(
    rb"[ \t]*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan(?:\(\w*\))?)[ \t]*", re.I
)
_BLANK_LINE = re.compile(rb"(?:\A|\n|\r(?!\n))[\r\n]")
_ZERO = re.compile(rb"[ \t]*[+-]?0*\.?0*(?:e.*)?[ \t]*", re.I | re.S)
_MINUTE = re.compile(rb"e-0*[1-9]\d\d", re.I)
_MANY_ZEROS = b"0" * 300
_REMEDIES = (
    (re.compile(rb"\s*"), "leave the cell empty where there is no value"),
    (re.compile(rb"true|false|yes|no|t|f", re.I), "write 1 and 0"),
    (
        re.compile(rb"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?|[+-]?\d*,\d+(?:e[+-]?\d+)?", re.I),
        "write a decimal point and no thousands mark",
    ),
    (re.compile(rb"[+-]?\d[\d_]*_[\d_.e+-]*", re.I), "write it without underscores"),
    (re.compile(rb"[+-]?0[xob][0-9a-f_.p+-]+", re.I), "write it in decimal"),
    (re.compile(rb".*[%$]|[%$].*|.*[^\x00-\x7f].*", re.S), "write the plain number"),
)


class Strict:
    """Parses the blocks of one file; safe to share between threads."""

    def __init__(
        self, path: str, delimiter: bytes, width: int, plan: Plan, tally: Tally, na: Sequence[str] = ()
    ) -> None:
        self._path, self._delimiter, self._width, self._plan = path, delimiter, width, plan
        self._tally, self._na = tally, frozenset(text.encode("utf-8", "surrogateescape") for text in na)
        self._types = {plan.places[name][0]: plan.wanted[name] or pa.string() for name in plan.places}
        self._floats = [at for at, type_ in self._types.items() if pa.types.is_floating(type_)]
        # a text that means nothing may be a number, such as -999: the short road would take it for one
        self._plain = not na and all(pa.types.is_float64(type_) for type_ in self._types.values())

    def parse(self, block: Block) -> pa.RecordBatch:
        arrays = numbers(block, self._width, self._delimiter[0], list(self._types)) if self._plain else None
        if arrays is None:
            self._plain = False  # the next block is likely no plainer
            arrays = self._fully(block)
        rows = len(next(iter(arrays.values())))
        if rows != block.rows or self._doubtful(block, arrays):
            self._diagnose(block)
        if rows != block.rows:
            raise RowsDisagree(self._path, block.rows, rows)
        self._count_vanished(block, arrays)
        found = {name: arrays[place[0]] for name, place in self._plan.places.items()}
        return self._plan.deliver(found, rows)

    def _fully(self, block: Block) -> dict[int, pa.Array]:
        if block.data.find(b"\0", 0, block.size) >= 0:
            self._diagnose(block)
        try:
            return self._columns(block, self._types or {0: pa.binary()})
        except pa.ArrowException as error:
            self._diagnose(block)
            told = visible(" ".join(str(error).split()))
            raise DataError(f"cannot be read: {told}", path=self._path) from error

    def _doubtful(self, block: Block, arrays: dict[int, pa.Array]) -> bool:
        """Whether there may be a blank line, or a number that its double does not stand for."""
        nulls = self._width > 1 and all(array.null_count for array in arrays.values())
        if nulls and _BLANK_LINE.search(block.data, 0, block.size):
            return True
        return any(self._inexact(block, at, arrays[at]) for at in self._floats)

    def _columns(self, block: Block, types: dict[int, pa.DataType]) -> dict[int, pa.Array]:
        text = pa.py_buffer(block.data).slice(0, block.size)
        if block.data.startswith(UTF8_BOM):  # Arrow drops one from the start of what it is given
            text = pa.py_buffer(UTF8_BOM + block.data[: block.size])
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                block_size=text.size + 1,
                column_names=[str(at) for at in range(self._width)],
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self._delimiter.decode(),
                quote_char='"' if b'"' in block.data else False,
                newlines_in_values=block.multiline,
                ignore_empty_lines=False,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={str(at): type_ for at, type_ in types.items()},
                include_columns=[str(at) for at in types],
                null_values=["", *sorted(text.decode("utf-8", "surrogateescape") for text in self._na)],
                strings_can_be_null=True,
            ),
        )
        return {at: _whole(table.column(i)) for i, at in enumerate(types)}

    def _inexact(self, block: Block, at: int, array: pa.Array) -> bool:
        values = _doubles(array)
        if values.size == 0 or (values.max() < EXACT and values.min() > -EXACT):
            return False
        large = np.flatnonzero(np.abs(values) >= EXACT)
        if large.size == 0:
            return False
        texts = self._columns(block, {at: pa.binary()})[at]
        return any(lost_of(texts[row].as_py()) for row in large.tolist())

    def _count_vanished(self, block: Block, arrays: dict[int, pa.Array]) -> None:
        zeros = {at: values for at in self._floats if not (values := _doubles(arrays[at])).all()}
        if zeros and _may_vanish(block):
            for at, values in zeros.items():
                texts = self._columns(block, {at: pa.binary()})[at]
                written = (texts[row].as_py() for row in np.flatnonzero(values == 0.0).tolist())
                self._tally.vanish(sum(1 for text in written if text and not _ZERO.fullmatch(text)))

    def _diagnose(self, block: Block) -> None:
        """Raise for the first row that breaks a rule; return if every row keeps them all."""
        row = -1
        try:
            for row, record in enumerate(records(block.data, self._delimiter, end=block.size, final=True)):
                nul = block.data.find(b"\0", record.start, record.end)
                if nul >= 0:
                    raise self._at_line("NUL byte", block, nul, "is it UTF-16 or binary?", row)
                if record.start == record.end and self._width > 1:
                    raise self._at_line("blank line", block, record.start, "remove it", row)
                values = fields(block.data, record, self._delimiter)
                if len(values) != self._width:
                    raise self._at_line(
                        f"{len(values)} field{'s'[: len(values) != 1]} where the header has {self._width}",
                        block,
                        record.start,
                        "is it a delimiter inside a value? then quote the value"
                        if len(values) > self._width
                        else None,
                        row,
                    )
                for at, type_ in self._types.items():
                    self._value(block, row, at, type_, values[at])
        except Malformed as fault:
            raise self._at_line(
                fault.problem, block, fault.at, 'a quote inside a value is written ""', row + 1
            ) from fault

    def _several(self, text: bytes) -> str | None:
        """What to say of a cell that is one of the texts listed in one --na."""
        for each in self._na:
            parts = each.decode("utf-8", "replace").split(",")
            if text.decode("utf-8", "replace") in parts:
                return "each --na is one text: " + " ".join(f"--na '{part}'" for part in parts)
        return None

    def _value(self, block: Block, row: int, at: int, type_: pa.DataType, text: bytes) -> None:
        if text in self._na:
            return
        if pa.types.is_floating(type_):
            if text and not _NUMBER.fullmatch(text):
                remedy = self._several(text) or _remedy(text)
                raise self._at_row("is not a number", block, row, at, text, remedy)
            lost = lost_of(text)
            if lost:
                raise self._at_row(lost[0], block, row, at, text, lost[1])
            return
        try:
            text.decode()
        except UnicodeDecodeError:
            raise self._at_row("is not UTF-8", block, row, at, text, "save the file as UTF-8") from None

    def _at_line(
        self, problem: str, block: Block, at: int, hint: str | None, row: int | None = None
    ) -> DataError:
        line = block.line + line_breaks(block.data, at)
        return BadRow(
            problem, path=self._path, line=line, row=None if row is None else block.first_row + row, hint=hint
        )

    def _at_row(self, problem: str, block: Block, row: int, at: int, text: bytes, hint: str) -> DataError:
        before = records(block.data, self._delimiter, end=block.size, final=True)
        line = block.line + line_breaks(block.data, next(islice(before, row, None)).start)
        column = next(name for name, place in self._plan.places.items() if place[0] == at)
        shown = visible(text.decode("utf-8", "backslashreplace"), 60)
        return BadRow(
            f"'{shown}' {problem}",
            path=self._path,
            row=block.first_row + row,
            line=line,
            column=column,
            hint=hint,
        )


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _doubles(array: pa.Array) -> NDArray[np.float64]:
    """The numbers of a double column without copying; slots without a value hold whatever they hold."""
    width = array.type.bit_width // 8
    dtype = {8: np.float64, 4: np.float32, 2: np.float16}[width]
    values = np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * width)
    return values.astype(np.float64, copy=False)


def _may_vanish(block: Block) -> bool:
    """Whether any number may be below every double: by its exponent, or by zeros after the point."""
    data, size = block.data, block.size
    if data.find(b"e-", 0, size) >= 0 or data.find(b"E-", 0, size) >= 0:
        return _MINUTE.search(data, 0, size) is not None or data.find(_MANY_ZEROS, 0, size) >= 0
    return data.find(_MANY_ZEROS, 0, size) >= 0


def _remedy(text: bytes) -> str:
    bare = text.strip()
    if bare.lower().decode("latin-1") in NOTHING:
        return f"leave the cell empty where there is no value, or say --na '{bare.decode()}'"
    for pattern, remedy in _REMEDIES:
        if pattern.fullmatch(bare):
            return remedy
    return "a number is needed here"
