"""CSV: blocks of whole rows parsed on worker threads, strictly, with every value in the type that was asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa
from pyarrow import csv as arrow_csv

from lossctl.errors import BadValue, DataError, ResourceError, visible
from lossctl.sources.base import Column, Identity, Piece, Plan, Source, Tally, duplicated, refusing
from lossctl.sources.cutter import BLOCK, UTF8_BOM, Block, Cutter
from lossctl.sources.feed import Feed, PlainFeed, unpack
from lossctl.sources.strict import Strict
from lossctl.sources.tokens import fields, records

_PEEK_BLOCK = 1 << 16


def one_byte(delimiter: str | None, path: str) -> bytes:
    """The delimiter as a byte; unsaid it is a tab for .tsv and a comma otherwise."""
    if delimiter is None:
        plain = path.lower().removesuffix(".gz").removesuffix(".zst").removesuffix(".bz2")
        return b"\t" if plain.endswith((".tsv", ".tab")) else b","
    named = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
    text = named.get(delimiter, delimiter)
    if len(text) != 1 or not text.isascii() or text in '"\r\n\0':
        raise BadValue("--delimiter", delimiter, "one ASCII character such as , ; | or tab, and no quote or line end")
    return text.encode()


@dataclass
class CsvSource(Source):
    """A CSV file, or a stream of which only the first pass exists."""

    delimiter: bytes = b","
    packed: str | None = None
    block: int = BLOCK
    stream: Feed | None = None
    tally: Tally = field(default_factory=Tally)
    _descriptor: int = -1
    _ready: Cutter | None = None
    _peeked: Block | None = None
    _spent: bool = False

    def open(self) -> None:
        """Read the header, and with it the columns; a stream keeps its place."""
        cutter = self._cutter(_PEEK_BLOCK if self.stream is None else self.block)
        names = self._names(cutter.header())
        self.columns = tuple(Column(name, None) for name in names)
        if self.stream is None:
            self.close()
        else:
            self._ready = cutter

    def _cutter(self, block: int) -> Cutter:
        if self.stream is not None:
            if self._spent:
                raise ResourceError(
                    "a stream can be read only once", path=self.path, hint="save it to a file first"
                )
            self._spent = True
            feed = self.stream
        else:
            feed = self._plain()
        return Cutter(unpack(feed, self.packed, self.path), self.path, self.delimiter, block)

    def _plain(self) -> Feed:
        self.close()
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        state = os.fstat(self._descriptor)
        if Identity.of(state) != self.identity:
            raise ResourceError("the file changed while it was read", path=self.path)
        return PlainFeed(self._descriptor, state.st_size, self.path)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _names(self, header: list[bytes]) -> list[str]:
        try:
            names = [name.decode() for name in header]
        except UnicodeDecodeError as error:
            raise DataError("the header is not UTF-8", path=self.path, line=1, hint="save the file as UTF-8") from error
        if len(names) == 1:
            for mark, word in ((";", ";"), ("\t", "tab"), ("|", "|"), (",", ",")):
                if mark in names[0] and header[0].count(mark.encode()):
                    hint = f"try --delimiter '{word}'"
                    raise DataError(
                        f"the header is one column, '{visible(names[0], 60)}'", path=self.path, line=1, hint=hint
                    )
        return names

    def plan(self, wanted: Mapping[str, pa.DataType | None]) -> Plan:
        places: dict[str, tuple[int, ...]] = {}
        names = [column.name for column in self.columns]
        for name in wanted:
            if names.count(name) > 1:
                raise duplicated(name, self.path)
            if name in names:
                places[name] = (names.index(name),)
        return Plan(wanted, places, {n: self.partition[n] for n in wanted if n not in places})

    def cut(self, plan: Plan, start: int) -> Iterator[Piece]:
        cutter = self._ready
        self._ready = None
        with refusing(self.path):
            if cutter is None:
                cutter = self._cutter(self.block)
                cutter.header()
        parser = Strict(self.path, self.delimiter, len(self.columns), plan)
        blocks = cutter.blocks(single=len(self.columns) == 1)
        total = 0
        while True:
            with refusing(self.path):
                block = self._peeked or next(blocks, None)
                self._peeked = None
            if block is None:
                break
            total = block.first_row + block.rows
            place = (self.path, block.first_row, block.rows, start + block.first_row, block.nbytes)
            yield CsvPiece(*place, self.tally.add, block, parser)
        if total == 0:
            raise DataError("no rows, only a header", path=self.path)
        self.rows = total
        self.close()

    def peek(self, plan: Plan, rows: int) -> dict[str, list[object]]:
        if self.stream is None:
            cutter = self._cutter(min(self.block, _PEEK_BLOCK))
            cutter.header()
            block = next(cutter.blocks(single=len(self.columns) == 1), None)
            self.close()
        else:
            block = self._first_of_stream()
        found: dict[str, list[object]] = {name: [] for name in plan.wanted}
        if block is None:
            return found
        for record in islice(records(block.data, self.delimiter, end=block.size, final=True), rows):
            values = fields(block.data, record, self.delimiter)
            for name in plan.wanted:
                found[name].append(_shown(plan, name, values))
        return found

    def _first_of_stream(self) -> Block | None:
        if self._peeked is None and self._ready is not None:
            self._held = self._ready.blocks(single=len(self.columns) == 1)
            self._peeked = next(self._held, None)
        return self._peeked


def _shown(plan: Plan, name: str, values: list[bytes]) -> str | None:
    if name in plan.constants:
        return plan.constants[name]
    at = plan.places[name][0]
    text = values[at].decode("utf-8", "replace") if at < len(values) else ""
    return text or None


@dataclass
class CsvPiece(Piece):
    """One block of text."""

    block: Block
    parser: Strict

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield self.parser.parse(self.block)


_ = (arrow_csv, UTF8_BOM)
