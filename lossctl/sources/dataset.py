"""Files and streams as one data set: one schema, pieces in order, rows accounted for."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from lossctl.errors import BadValue, DataError, MissingColumn, ResourceError, RowsDisagree
from lossctl.sources.base import Column, Piece, Plan, Source, encrypted, refusing, same_kind
from lossctl.sources.feed import MAGIC, Feed, Readable, packing
from lossctl.sources.paths import STDIN, Found, find

FORMATS = ("parquet", "csv")
HIVE = pa.dictionary(pa.int32(), pa.string())
_PACKED_PARQUET = tuple(f".{name}.{ending}" for name in ("parquet", "pq") for ending in ("gz", "zst", "bz2"))
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive or spreadsheet"),
    (b"ARROW1", "an Arrow IPC (Feather) file"),
    (b"FEA1", "a Feather file"),
    (b"ORC", "an ORC file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format", "an SQLite database"),
    (b"\xfd7zXZ\x00", "xz-compressed data"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"\xff\xff\xff\xff", "an Arrow IPC stream"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)


class Opened:
    """Sources closed at the end of a `with`; a failure in a file that changed meanwhile is that change."""

    sources: list[Source]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            blame_change(self.sources, error)
        finally:
            self.close()

    def close(self) -> None:
        for source in self.sources:
            source.close()


class Dataset(Opened):
    """Sources in order, seen as one table."""

    def __init__(self, sources: list[Source]) -> None:
        self.sources = sources
        self.columns = _common(sources)
        rows = [source.rows for source in sources]
        self.promised_rows = None if None in rows else sum(row or 0 for row in rows)
        self.nbytes = sum(source.nbytes for source in sources)

    @property
    def names_by_file(self) -> dict[str, list[str]]:
        """The columns of each file, keys of its path among them."""
        return {s.path: [*(column.name for column in s.columns), *s.partition] for s in self.sources}

    def pieces(self, wanted: Mapping[str, pa.DataType | None]) -> Iterator[Piece]:
        """The rows in order, cut as they are asked for; any thread may take the next piece."""
        plans = [_planned(source, wanted) for source in self.sources]
        for name in wanted:
            same_kind(
                name, self.sources, [s.kind_in(p, name) for s, p in zip(self.sources, plans, strict=True)]
            )
        for source in self.sources:
            source.tally.reset()
        return _Shared(self._cut(plans))

    def _cut(self, plans: list[Plan]) -> Iterator[Piece]:
        start = 0
        for source, plan in zip(self.sources, plans, strict=True):
            yield from source.cut(plan, start)
            start += source.rows or 0

    def peek(self, names: Sequence[str], rows: int = 1000) -> dict[str, list[object]]:
        """First values of some columns, from the first source; CSV gives text, None for an empty cell."""
        source = self.sources[0]
        return source.peek(_planned(source, dict.fromkeys(names)), rows)

    @property
    def warnings(self) -> list[str]:
        """What the pass noticed, complete after its last piece."""
        made = [warning for source in self.sources for warning in source.warnings()]
        formats = Counter(source.format for source in self.sources)
        if len(formats) > 1:
            counts = " and ".join(f"{many} {name}" for name, many in formats.items())
            made.append(f"files of different formats are read as one table: {counts}")
        return made

    def finish(self) -> None:
        """After the last piece: no file changed, and every row that was promised came."""
        for source in self.sources:
            if source.rows is not None and source.tally.rows != source.rows:
                raise RowsDisagree(source.path, source.rows, source.tally.rows)
            source.unchanged()


def blame_change(sources: Sequence[Source], error: BaseException | None) -> None:
    """What is refused in a file that changed meanwhile is the fault of the change."""
    if isinstance(error, DataError):
        for source in sources:
            source.unchanged()


class _Shared:
    """An iterator that several threads may advance."""

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self._pieces = pieces
        self._lock = threading.Lock()

    def __iter__(self) -> _Shared:
        return self

    def __next__(self) -> Piece:
        with self._lock:
            return next(self._pieces)


def open_dataset(
    paths: Sequence[str],
    *,
    input_format: str | None = None,
    delimiter: str | None = None,
    na: Sequence[str] = (),
    require_checksums: bool = False,
    threads: int = 2,
    block_size: int | None = None,
) -> Dataset:
    """Find the files, look at their headers and footers, and read no row yet.

    `na`: CSV cells of exactly these texts are empty. `require_checksums`: refuse pages without one.
    """
    if input_format is not None and input_format not in FORMATS:
        raise BadValue("--input-format", input_format, " or ".join(FORMATS))
    if delimiter is not None:
        from lossctl.sources.csv import one_byte  # what reads text loads only when asked for

        one_byte(delimiter, "")
    sources: list[Source] = []
    try:
        for found in find(paths):
            with refusing(found.path):
                source = _source(found, input_format, delimiter, na, threads, block_size)
                sources.append(source)
                if require_checksums:
                    source.require_checksums()
                source.open()
        return Dataset(sources)
    except BaseException:
        for source in sources:
            source.close()
        raise


def _source(
    found: Found,
    input_format: str | None,
    delimiter: str | None,
    na: Sequence[str],
    threads: int,
    block: int | None,
) -> Source:
    stream: Feed | None = None
    if found.path == STDIN or (found.identity and not found.identity.regular):
        raw = _raw(found.path)
        head = Feed(raw).more(b"", MAGIC)
        stream = Feed(raw, head)
    else:
        with open(found.path, "rb", buffering=0) as file:
            head = file.read(MAGIC)
    size = found.identity.size if found.identity and stream is None else 0
    format_ = _format(head, found.path, input_format)
    common = (found.path, format_, (), None, size, found.partition, found.identity)
    if format_ == "csv":
        from lossctl.sources.csv import CsvSource, one_byte
        from lossctl.sources.cutter import BLOCK

        delim = one_byte(delimiter, found.path)
        form: dict[str, Any] = {"delimiter": delim, "na": tuple(na), "packed": packing(head)}
        return CsvSource(*common, **form, block=block or BLOCK, stream=stream)
    from lossctl.sources.parquet import ParquetSource  # and what reads pages

    handle = _spool(stream) if stream else None
    if stream:
        stream.close()
    return ParquetSource(*common, handle=handle, spooled=handle is not None, threads=threads)


def _format(head: bytes, path: str, asked: str | None) -> str:
    if not head:
        raise DataError("the file is empty: no header and no rows", path=path)
    if head.startswith(b"PARE"):
        raise encrypted(path)
    if head.startswith(b"PAR1"):
        if asked == "csv":
            raise DataError("asked to read CSV, but this is a Parquet file", path=path)
        return "parquet"
    named = path.lower().endswith((".parquet", ".parq", ".pq"))
    if asked == "parquet" or (named and asked is None):
        raise DataError(f"not a Parquet file: it looks like {_looks(head)}", path=path)
    if packing(head) and path.lower().endswith(_PACKED_PARQUET):
        raise DataError("a Parquet file, compressed as a whole", path=path, hint="decompress it first")
    if asked is None:
        for magic, what in _FOREIGN:
            if head.startswith(magic):
                raise DataError(f"neither CSV nor Parquet: it looks like {what}", path=path)
    return "csv"


def _looks(head: bytes) -> str:
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            return what
    packed = packing(head)
    if packed:
        return f"{packed}-compressed data"
    return "text, perhaps CSV" if all(byte >= 32 or byte in b"\t\r\n" for byte in head) else "binary data"


def _raw(path: str) -> Readable:
    if path != STDIN:
        return open(path, "rb", buffering=0)
    if sys.stdin is None or sys.stdin.closed:
        raise ResourceError("standard input is closed", path=path)
    return sys.stdin.buffer


def _spool(stream: Feed) -> pa.NativeFile:
    """A Parquet stream as a nameless temporary file: its footer comes last, so it must be held."""
    import tempfile  # only a Parquet stream needs it

    with tempfile.NamedTemporaryFile(prefix="lossctl-") as file:
        while block := stream.read(1 << 20):
            file.write(block)
        file.flush()
        return pa.OSFile(file.name, "rb")


def _planned(source: Source, wanted: Mapping[str, pa.DataType | None]) -> Plan:
    plan = source.plan(wanted)
    for name in wanted:
        if name not in plan.places and name not in plan.constants:
            names = [*(column.name for column in source.columns), *source.partition]
            raise MissingColumn("this run", name, names, path=source.path)
    return plan


def _common(sources: Sequence[Source]) -> tuple[Column, ...]:
    """Columns every source has, as the first one orders them, then the keys of the path."""
    first, *rest = sources
    names = [{column.name for column in source.columns} | set(source.partition) for source in rest]
    shared = [c for c in first.columns if all(c.name in known for known in names)]
    have = {column.name for column in first.columns}
    keys = [key for key in first.partition if key not in have and all(key in known for known in names)]
    return (*shared, *(Column(key, HIVE) for key in keys))
