"""What a Parquet footer says, held against itself before any page is read."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from lossctl.errors import DataError
from lossctl.sources.base import encrypted
from lossctl.sources.pages import Chunk

_MAGIC = 4


class Groups:
    """The row groups of a footer, made sure of before their columns are touched.

    pyarrow ends the process (SIGABRT) when the metadata of a column is asked for and Arrow finds it wrong:
    encrypted, or with statistics of the wrong size. Arrow's reader finds the same when it opens the column,
    and raises. So a reader is made to open it over a file that was closed: it goes no further than that.
    """

    def __init__(
        self,
        path: str,
        footer: pq.FileMetaData,
        columns: Sequence[str],
        leaves: Sequence[tuple[str, int]],
        size: int,
    ) -> None:
        self._path, self._footer, self._columns, self._leaves = path, footer, columns, leaves
        self._end = size - footer.serialized_size - 8
        self._sound: set[int] = set()
        self._lock = threading.Lock()
        file = pa.PythonFile(_NoBytes(size), mode="r")
        self._prober = pq.ParquetFile(file, metadata=footer, buffer_size=1 << 16, pre_buffer=False)
        file.close()

    def __getitem__(self, group: int) -> pq.RowGroupMetaData:
        with self._lock:
            if group not in self._sound:
                self._probe(group)
                self._sound.add(group)
        return self._footer.row_group(group)

    def _probe(self, group: int) -> None:
        try:
            opened = self._prober.iter_batches(
                1, row_groups=[group], columns=self._columns, use_threads=False
            )
            next(opened, None)
        except pa.ArrowInvalid:
            return  # the file is closed: so far has the reader come
        except OSError as error:
            raise encrypted(self._path) if "decrypt" in str(error) else error from error

    def chunks(self, group: int) -> list[Chunk]:
        """The used column chunks of a row group; refuses those that cannot be what the footer says."""
        meta = self[group]
        found = [self._chunk(meta, group, name, at) for name, at in self._leaves]
        _apart(found, self._path)
        return found

    def _chunk(self, meta: pq.RowGroupMetaData, group: int, name: str, at: int) -> Chunk:
        column, promised, where = meta.column(at), self._footer.schema.column(at), f"row group {group}"
        start, length = column.data_page_offset, column.total_compressed_size
        words = column.dictionary_page_offset
        if words is not None and 0 < words < start:
            start = words
        if start < _MAGIC or length < 0 or start + length > self._end:
            raise _damaged(f"{where} has its values outside of the file", self._path, name)
        if column.physical_type != promised.physical_type:
            kinds = f"holds {column.physical_type}, the schema says {promised.physical_type}"
            raise _damaged(f"{where} {kinds}", self._path, name)
        if promised.max_repetition_level == 0 and column.num_values != meta.num_rows:
            counts = f"has {meta.num_rows} rows but {column.num_values} values"
            raise _damaged(f"{where} {counts}", self._path, name)
        levels = promised.max_repetition_level, promised.max_definition_level
        return Chunk(name, start, length, column.num_values, frozenset(column.encodings), levels)


class _NoBytes(io.RawIOBase):
    """A file of some size, which is all that is asked of it."""

    def __init__(self, size: int) -> None:
        self._size = size

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._size

    def tell(self) -> int:
        return self._size


def row_groups(footer: pq.FileMetaData) -> Iterator[pq.RowGroupMetaData]:
    return (footer.row_group(at) for at in range(footer.num_row_groups))


def type_at(schema: pa.Schema, place: tuple[int, ...]) -> pa.DataType:
    """The type of a column, or of a field inside a struct."""
    type_ = schema.field(place[0]).type
    for step in place[1:]:
        type_ = type_.field(step).type
    return type_


def check_types(
    path: str, footer: pq.FileMetaData, schema: pa.Schema, places: Mapping[str, tuple[int, ...]]
) -> None:
    """Hold integers and decimals against the schema that Arrow's writers leave beside Parquet's own.

    Their width and scale are no part of the pages: damage in a footer could multiply every value.
    """
    types = {name: type_at(schema, place) for name, place in places.items()}
    raw = (footer.metadata or {}).get(b"ARROW:schema")
    if raw is None or not any(_scaled(kind) for kind in types.values()):
        return
    stored = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(raw)))
    for name, kind in types.items():
        other = _type_there(stored, schema, places[name])
        if other is not None and _scaled(kind) != _scaled(other):
            raise _damaged("its type is told in two ways that disagree", path, name)


def _type_there(stored: pa.Schema, schema: pa.Schema, place: tuple[int, ...]) -> pa.DataType | None:
    """The type at a place of the schema as stored; None when that is not of the same columns."""
    if stored.names != schema.names:
        return None
    try:
        return type_at(stored, place)
    except (AttributeError, IndexError, KeyError, TypeError):
        return None


def _scaled(kind: pa.DataType) -> tuple[object, ...]:
    """What turns the stored integers of a type into its values; empty when nothing does."""
    while (pa.types.is_nested(kind) and kind.num_fields == 1) or pa.types.is_dictionary(kind):
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind.field(0).type
    if pa.types.is_decimal(kind):
        return (kind.precision, kind.scale)
    # an older version of the format stores uint32 as int64
    return (str(kind).replace("uint32", "int64"),) if pa.types.is_integer(kind) else ()


def _apart(chunks: Iterable[Chunk], path: str) -> None:
    """Two columns are never stored in the same bytes."""
    end = 0
    for chunk in sorted(chunks, key=lambda chunk: chunk.start):
        if chunk.start < end:
            raise _damaged("its values begin inside those of another column", path, chunk.column)
        end = chunk.start + chunk.length


def _damaged(what: str, path: str, column: str) -> DataError:
    return DataError(what, path=path, column=column, hint="the footer is damaged; write the file again")
