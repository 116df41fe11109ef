"""What every format shares: columns, sources, pieces of rows, and reader failures turned into refusals."""

from __future__ import annotations

import errno
import os
import stat
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from lossctl.errors import BadRow, DataError, LossctlError, ResourceError, RowsDisagree, visible

BATCH_BYTES = 2 << 20  # decoded bytes of one batch: fits the second-level cache with room for the kernel
BATCH_ROWS = 1 << 17
_OURS = frozenset(
    {errno.EACCES, errno.EPERM, errno.EIO, errno.ENOMEM, errno.ENOSPC, errno.EMFILE, errno.ENFILE}
)


class Column(NamedTuple):
    """A column on offer; `type` is None for CSV text, which is typed on request."""

    name: str
    type: pa.DataType | None


class Identity(NamedTuple):
    """What must stay the same while a file is read."""

    device: int
    inode: int
    size: int
    modified: int
    regular: bool

    @classmethod
    def of(cls, state: os.stat_result) -> Identity:
        return cls(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, stat.S_ISREG(state.st_mode))


@dataclass
class Source(ABC):
    """One opened file or stream; each format extends it."""

    path: str
    format: str
    columns: tuple[Column, ...]
    rows: int | None
    nbytes: int
    partition: Mapping[str, str | None]
    identity: Identity | None = None
    tally: Tally = field(default_factory=lambda: Tally())

    @property
    def checksums(self) -> str | None:
        """Whether the pages read had checksums: verified, partial or none; None for other formats."""
        return None

    def require_checksums(self) -> None:
        """Refuse, now or while reading, whatever has no checksums."""
        raise DataError(
            f"the file is {self.format}, which has no checksums",
            path=self.path,
            hint="give Parquet files written with page checksums, or do not require them",
        )

    @abstractmethod
    def open(self) -> None:
        """Read the header or footer."""

    def unchanged(self, state: os.stat_result | None = None) -> None:
        """Refuse a regular file that is no longer the one that was found."""
        if self.identity is None or not self.identity.regular or self.path == "-":
            return
        try:
            now = Identity.of(state or os.stat(self.path))
        except OSError:
            now = None
        if now != self.identity:
            raise ResourceError(
                "the file changed while it was read", path=self.path, hint="run again when it is complete"
            )

    def keys(self, wanted: Iterable[str], places: Mapping[str, tuple[int, ...]]) -> dict[str, str | None]:
        """Values from the path for names that are no column of the file."""
        return {
            name: self.partition[name] for name in wanted if name not in places and name in self.partition
        }

    @abstractmethod
    def cut(self, plan: Plan, start: int) -> Iterator[Piece]:
        """The pieces of the source, the first at row `start` of the data set."""

    @abstractmethod
    def plan(self, wanted: Mapping[str, pa.DataType | None]) -> Plan:
        """Where the wanted columns are; refuses those that are not."""

    def kind_in(self, plan: Plan, name: str) -> str:
        """Number, text or other: what a planned column is stored as, else what it is asked for as."""
        return "text" if name in plan.constants else kind(plan.wanted[name])

    @abstractmethod
    def peek(self, plan: Plan, rows: int) -> dict[str, list[object]]:
        """The first values of the planned columns."""

    def warnings(self) -> list[str]:
        """What a pass over all rows noticed that is no error."""
        return []

    def close(self) -> None:  # noqa: B027 - a source may have nothing to give back
        """Give back what is open; the source is not read again."""


@dataclass(frozen=True)
class Plan:
    """How the wanted names are found in one source; a constant comes from the path."""

    wanted: Mapping[str, pa.DataType | None]
    places: Mapping[str, tuple[int, ...]]  # column index, then struct field indices
    constants: Mapping[str, str | None] = field(default_factory=dict)

    def deliver(self, found: Mapping[str, pa.Array], rows: int) -> pa.RecordBatch:
        """The wanted columns in the asked order, constants filled in."""
        if not self.wanted:
            return counted(rows)
        arrays = [
            constant(self.constants[name], rows) if name in self.constants else found[name]
            for name in self.wanted
        ]
        return pa.RecordBatch.from_arrays(arrays, names=list(self.wanted))


def counted(rows: int) -> pa.RecordBatch:
    """A batch of no columns that still knows its rows."""
    empty = pa.StructArray.from_buffers(pa.struct([]), rows, [None])
    return pa.RecordBatch.from_struct_array(empty)


def constant(value: str | None, rows: int) -> pa.DictionaryArray:
    """`value` repeated as dictionary<int32, string>; None is null."""
    codes = pa.Array.from_buffers(pa.int32(), rows, [None, pa.py_buffer(bytes(4 * rows))])
    if value is None:
        nothing = pa.py_buffer(bytes((rows + 7) // 8))
        codes = pa.Array.from_buffers(pa.int32(), rows, [nothing, codes.buffers()[1]], rows)
    text = (value or "").encode()
    ends = pa.py_buffer((0).to_bytes(4, "little") + len(text).to_bytes(4, "little"))
    words = pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(text)])
    return pa.DictionaryArray.from_arrays(codes, words)


@dataclass
class Piece(ABC):
    """One independently decodable run of rows; any thread may `read` it."""

    path: str
    first_row: int
    rows: int
    start: int
    nbytes: int
    arrived: Callable[[int], None]

    def read(self) -> Iterator[pa.RecordBatch]:
        """The rows in order, exactly as many as promised."""
        seen = 0
        for batch in self._guarded():
            seen += batch.num_rows
            if seen > self.rows:
                raise RowsDisagree(self.path, self.rows, seen)
            yield batch
        if seen != self.rows:
            raise RowsDisagree(self.path, self.rows, seen)
        self.arrived(seen)

    def _guarded(self) -> Iterator[pa.RecordBatch]:
        batches = self.batches()
        while True:
            with refusing(self.path):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    @abstractmethod
    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as Arrow batches."""


class Tally:
    """Rows that arrived, and numbers other than zero that became zero, added up from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        self.rows = self.vanished = 0

    def add(self, rows: int) -> None:
        with self._lock:
            self.rows += rows

    def vanish(self, numbers: int) -> None:
        with self._lock:
            self.vanished += numbers


@contextmanager
def refusing(path: str) -> Iterator[None]:
    """Turn what a reader raises into one of our refusals, one line, with the path."""
    try:
        yield
    except LossctlError:
        raise
    except (MemoryError, pa.ArrowMemoryError) as error:
        raise ResourceError("not enough memory to read it", path=path, hint=_line(error)) from error
    except OSError as error:
        raise _from_os(error, path) from error
    except pa.ArrowException as error:
        if "malloc of size" in str(error) or "launch worker thread" in str(error):
            raise ResourceError("not enough memory to read it", path=path, hint=_line(error)) from error
        raise DataError(f"cannot be read: {_line(error)}", path=path) from error
    except (ValueError, OverflowError) as error:  # UnicodeDecodeError is a ValueError
        raise DataError(f"cannot be read: {_line(error)}", path=path) from error


def _from_os(error: OSError, path: str) -> LossctlError:
    if error.errno in _OURS:
        return ResourceError(os.strerror(error.errno or 0).lower(), path=path)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return DataError("no such file", path=path)
    if error.errno == errno.ENAMETOOLONG:
        return DataError("the name is too long", path=path)
    return DataError(f"cannot be read: {_line(error)}", path=path)


def _line(error: BaseException) -> str:
    return visible(" ".join(str(error).split())) or type(error).__name__


def duplicated(name: str, path: str) -> DataError:
    return BadRow("several columns have this name", path=path, column=name, hint="rename one of them")


def encrypted(path: str) -> DataError:
    return DataError("the file is encrypted", path=path, hint="decrypt it first")


def kind(type_: pa.DataType | None) -> str:
    """Number, text or other: what must agree between files."""
    if type_ is None:
        return "text"
    if pa.types.is_dictionary(type_):
        return kind(type_.value_type)
    if pa.types.is_floating(type_) or pa.types.is_integer(type_) or pa.types.is_decimal(type_):
        return "number"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return "text"
    if pa.types.is_null(type_):
        return "null"
    for test, name in ((pa.types.is_boolean, "truth value"), (pa.types.is_nested, "nested value")):
        if test(type_):
            return name
    return str(type_)


def same_kind(name: str, sources: Sequence[Source], kinds: Sequence[str]) -> None:
    """Refuse a column that is a number in one file and text in another."""
    known = [(source, k) for source, k in zip(sources, kinds, strict=True) if k != "null"]
    for source, k in known[1:]:
        first, expected = known[0]
        if k != expected:
            raise DataError(
                f"holds {expected} in {visible(first.path)} but {k} here",
                path=source.path,
                column=name,
                hint="write both files with the same type",
            )
