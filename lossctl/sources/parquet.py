"""Parquet: one piece per row group; the footer's promises are checked before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from lossctl.errors import DataError, RowsDisagree
from lossctl.sources.base import (
    Column,
    Piece,
    Plan,
    Source,
    duplicated,
    encrypted,
    kind,
    refusing,
)
from lossctl.sources.footer import row_groups, type_at
from lossctl.sources.pages import Checksums
from lossctl.sources.rowgroups import Decoder

_FOOTER = 8


@dataclass
class ParquetSource(Source):
    """A Parquet file; `footer` was read when it was opened, the handle comes and goes."""

    footer: pq.FileMetaData = None
    schema: pa.Schema = None
    handle: pa.NativeFile | None = None
    spooled: bool = False
    threads: int = 2
    demanding: bool = False
    pages: Checksums | None = None

    def open(self) -> None:
        handle = self._handle()
        size = handle.size()
        self.nbytes = size
        length = _check_ends(handle, size, self.path)
        self.footer = pq.read_metadata(handle)
        if self.footer.serialized_size != length:
            raise encrypted(self.path)
        if any(group.num_columns != self.footer.num_columns for group in row_groups(self.footer)):
            raise DataError("a row group lacks columns of the schema", path=self.path)
        groups = [group.num_rows for group in row_groups(self.footer)]
        self.rows = self.footer.num_rows
        if sum(groups) != self.rows or min(groups, default=0) < 0:
            raise RowsDisagree(self.path, self.rows, sum(groups))
        if self.rows == 0:
            raise DataError("no rows", path=self.path)
        self.schema = self.footer.schema.to_arrow_schema()
        self.columns = tuple(Column(f.name, f.type) for f in self.schema)
        if not self.spooled:
            self.close()

    def _handle(self) -> pa.NativeFile:
        if self.handle is None:
            self.handle = pa.OSFile(self.path, "rb")
            self.unchanged()
        return self.handle

    def close(self) -> None:
        if self.handle is not None:
            self.handle.close()
            self.handle = None

    def plan(self, wanted: Mapping[str, pa.DataType | None]) -> Plan:
        places: dict[str, tuple[int, ...]] = {}
        for name in wanted:
            place = find(self.schema, name, self.path)
            if place:
                places[name] = place
        return Plan(wanted, places, self.keys(wanted, places))

    def kind_in(self, plan: Plan, name: str) -> str:
        place = plan.places.get(name)
        return kind(type_at(self.schema, place)) if place else super().kind_in(plan, name)

    def _decoder(self, plan: Plan) -> Decoder:
        self.pages = Checksums(self.path, self.demanding)
        return Decoder(self.path, self.schema, self.footer, plan, self._handle(), self.pages)

    def require_checksums(self) -> None:
        self.demanding = True

    @property
    def checksums(self) -> str:
        return str(self.pages or Checksums(self.path))

    def cut(self, plan: Plan, start: int) -> Iterator[Piece]:
        with refusing(self.path):
            decoder = self._decoder(plan)
        groups = [group.num_rows for group in row_groups(self.footer)]
        first, told = 0, 0
        busy = [i for i, rows in enumerate(groups) if rows]
        for group in busy:
            rows = groups[group]
            share = self.nbytes * (first + rows) // (self.rows or 1)
            wide = len(busy) < self.threads
            place = (self.path, first, rows, start + first, share - told)
            yield ParquetPiece(*place, self.tally.add, group, decoder, wide)
            first, told = first + rows, share

    def peek(self, plan: Plan, rows: int) -> dict[str, list[object]]:
        with refusing(self.path):
            decoder = self._decoder(plan)
            found: dict[str, list[object]] = {name: [] for name in plan.wanted}
            for batch in decoder.head(rows):
                for name, values in found.items():
                    column = batch.column(batch.schema.get_field_index(name))
                    values.extend(column.slice(0, rows - len(values)).to_pylist())
            return found


@dataclass
class ParquetPiece(Piece):
    """One row group."""

    group: int
    decoder: Decoder
    threads: bool

    def batches(self) -> Iterator[pa.RecordBatch]:
        return self.decoder.batches(self.group, self.rows, self.threads)


def _check_ends(handle: pa.NativeFile, size: int, path: str) -> int:
    """The footer's length, once both ends of the file look right."""
    head = handle.read_at(4, 0)
    tail = handle.read_at(_FOOTER, size - _FOOTER) if size >= 3 * 4 else b""
    if head == b"PARE" or tail[4:] == b"PARE":
        raise encrypted(path)
    length = int.from_bytes(tail[:4], "little")
    if head != b"PAR1" or tail[4:] != b"PAR1" or length + 12 > size:
        raise DataError("the Parquet footer is missing", path=path, hint="the file was cut or never finished")
    return length


def find(schema: pa.Schema, name: str, path: str) -> tuple[int, ...]:
    """Where a column or a dotted path into a struct is; empty if nowhere. A column of that very name wins."""
    whole = schema.get_all_field_indices(name)
    if len(whole) > 1:
        raise duplicated(name, path)
    if whole:
        return (whole[0],)
    at = name.rfind(".")
    while at > 0:
        top = schema.get_all_field_indices(name[:at])
        if len(top) > 1:
            raise duplicated(name[:at], path)
        rest = _inner(schema.field(top[0]).type, name[at + 1 :]) if top else ()
        if rest:
            return (top[0], *rest)
        at = name.rfind(".", 0, at)
    return ()


def _inner(type_: pa.DataType, name: str) -> tuple[int, ...]:
    if not pa.types.is_struct(type_):
        return ()
    for at in range(type_.num_fields):
        child = type_.field(at)
        if child.name == name:
            return (at,)
        if name.startswith(child.name + "."):
            rest = _inner(child.type, name[len(child.name) + 1 :])
            if rest:
                return (at, *rest)
    return ()
