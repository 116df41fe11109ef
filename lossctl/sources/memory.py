"""Columns that are already in memory, read like a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lossctl.sources.base import Column, counted

CHUNK = 1 << 17
_PIECE = 1 << 20


@dataclass
class MemorySource:
    path: str
    format: str
    rows: int
    checksums: str | None = None


@dataclass
class MemoryPiece:
    table: pa.Table
    path: str
    first_row: int
    start: int
    rows: int
    nbytes: int

    def read(self) -> Iterator[pa.RecordBatch]:
        if self.table.num_columns:
            yield from self.table.to_batches(max_chunksize=CHUNK)
        elif self.rows:
            yield counted(self.rows)


class MemoryDataset:
    """A table as a data set: the same face as files have."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.columns = tuple(Column(field.name, field.type) for field in table.schema)
        self.sources = [MemorySource("memory", "memory", table.num_rows)]
        self.promised_rows = table.num_rows
        self.nbytes = table.nbytes

    def pieces(self, wanted: Mapping[str, Any]) -> Iterator[MemoryPiece]:
        chosen = self.table.select(list(wanted))
        for start in range(0, self.table.num_rows, _PIECE):
            part, rows = chosen.slice(start, _PIECE), min(_PIECE, self.table.num_rows - start)
            yield MemoryPiece(part, "memory", start, start, rows, part.nbytes)

    def peek(self, names: Sequence[str], rows: int = 1000) -> dict[str, list[Any]]:
        head = self.table.slice(0, rows)
        return {name: head.column(name).to_pylist() for name in names}

    def finish(self) -> None:
        """Nothing can have changed."""
