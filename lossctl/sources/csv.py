"""CSV: blocks of whole rows parsed on worker threads, strictly, in the types that were asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice

import pyarrow as pa

from lossctl.errors import BadValue, DataError, LossctlError, ResourceError, visible
from lossctl.sources.base import Column, Piece, Plan, Source, duplicated, refusing
from lossctl.sources.cutter import BLOCK, Block, Cutter
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
        raise BadValue(
            "--delimiter", delimiter, "one ASCII character such as , ; | or tab, and no quote or line end"
        )
    return text.encode()


@dataclass
class CsvSource(Source):
    """A CSV file, or a stream of which only the first pass exists."""

    delimiter: bytes = b","
    na: tuple[str, ...] = ()
    packed: str | None = None
    block: int = BLOCK
    stream: Feed | None = None
    _descriptor: int = -1
    _started: Iterator[Block] | None = None
    _last: Cutter | None = None

    def open(self) -> None:
        """Read the header, and with it the columns; a stream keeps its place."""
        cutter = self._cutter(_PEEK_BLOCK if self.stream is None else self.block)
        names = self._names(cutter.header())
        self.columns = tuple(Column(name, None) for name in names)
        if self.stream is None:
            self.close()
        else:
            self._started = self._blocks(cutter)

    def _cutter(self, block: int) -> Cutter:
        feed = self.stream or self._plain()
        self._last = Cutter(unpack(feed, self.packed, self.path), self.path, self.delimiter, block)
        return self._last

    def _blocks(self, cutter: Cutter) -> Iterator[Block]:
        return cutter.blocks(single=len(self.columns) == 1)

    def _again(self, block: int) -> Iterator[Block]:
        """The blocks from the first row on: anew from a file, once from a stream."""
        if self.stream is None:
            cutter = self._cutter(block)
            cutter.header()
            return self._blocks(cutter)
        if self._started is None:
            raise ResourceError(
                "a stream can be read only once", path=self.path, hint="save it to a file first"
            )
        blocks, self._started = self._started, None
        return blocks

    def _plain(self) -> Feed:
        self.close()
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        state = os.fstat(self._descriptor)
        self.unchanged(state)
        return PlainFeed(self._descriptor, state.st_size, self.path)

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _names(self, header: list[bytes]) -> list[str]:
        try:
            names = [name.decode() for name in header]
        except UnicodeDecodeError as error:
            raise DataError(
                "the header is not UTF-8", path=self.path, line=1, hint="save the file as UTF-8"
            ) from error
        if len(names) == 1:
            for mark, word in ((";", ";"), ("\t", "tab"), ("|", "|"), (",", ",")):
                if mark in names[0] and header[0].count(mark.encode()):
                    hint = f"try --delimiter '{word}'"
                    raise DataError(
                        f"the header is one column, '{visible(names[0], 60)}'",
                        path=self.path,
                        line=1,
                        hint=hint,
                    )
        return names

    def plan(self, wanted: Mapping[str, pa.DataType | None]) -> Plan:
        at: dict[str, list[int]] = {}
        for index, column in enumerate(self.columns):
            at.setdefault(column.name, []).append(index)
        twice = next((name for name in wanted if len(at.get(name, ())) > 1), None)
        if twice is not None:
            raise duplicated(twice, self.path)
        places: dict[str, tuple[int, ...]] = {name: (at[name][0],) for name in wanted if name in at}
        return Plan(wanted, places, self.keys(wanted, places))

    def cut(self, plan: Plan, start: int) -> Iterator[Piece]:
        parser = Strict(self.path, self.delimiter, len(self.columns), plan, self.tally, self.na)
        with refusing(self.path):
            blocks = self._again(self.block)
        total = 0
        while True:
            try:
                with refusing(self.path):
                    block = next(blocks, None)
            except LossctlError as error:
                yield Refusal(self.path, total, 0, start + total, 0, self.tally.add, error)
                return
            if block is None:
                break
            total = block.first_row + block.rows
            place = (self.path, block.first_row, block.rows, start + block.first_row, block.nbytes)
            yield CsvPiece(*place, self.tally.add, block, parser)
        if total == 0:
            raise DataError("no rows, only a header", path=self.path)
        self.rows = total
        self.close()

    def warnings(self) -> list[str]:
        made = []
        if self._last is not None and self._last.unended:
            made.append(
                f"{self.path}: the last line has no line end, as when a file is cut off in its last number"
            )
        if self.tally.vanished:
            made.append(f"{self.path}: numbers too small for a double, read as 0: {self.tally.vanished}")
        return made

    def peek(self, plan: Plan, rows: int) -> dict[str, list[object]]:
        with refusing(self.path):
            blocks = self._again(min(self.block, _PEEK_BLOCK))
            block = next(blocks, None)
        if self.stream is None:
            self.close()
        else:
            self._started = blocks if block is None else chain([block], blocks)
        found: dict[str, list[object]] = {name: [] for name in plan.wanted}
        if block is None:
            return found
        for record in islice(records(block.data, self.delimiter, end=block.size, final=True), rows):
            values = fields(block.data, record, self.delimiter)
            for name in plan.wanted:
                text = _shown(plan, name, values)
                found[name].append(None if text in self.na else text)
        return found


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


@dataclass
class Refusal(Piece):
    """Where reading stopped, told in its turn: a row before it may be refused first."""

    error: LossctlError

    def batches(self) -> Iterator[pa.RecordBatch]:
        raise self.error
