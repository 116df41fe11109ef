"""Bytes to a file descriptor, every failure noticed: nothing is lost in silence."""

from __future__ import annotations

import codecs
import errno
import fcntl
import os
import re
import select
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

from lossctl.errors import ResourceError, visible

_BUFFER = 1 << 18
_MOST = 1 << 30
_RAW = ("csv", "tsv", "value")
_PARTS = re.compile(r"[\t\n]|[^\t\n]+").findall
_HINTS = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EDQUOT: "the quota is used up; write elsewhere",
    errno.EACCES: "check the permissions, or write elsewhere",
    errno.EROFS: "write elsewhere",
}


class BrokenPipe(Exception):
    """The reader closed the pipe: stop quietly."""

    exit_code = 141


class ByteSink(Protocol):
    """Anything bytes can be written to."""

    def write(self, data: bytes | memoryview, /) -> int: ...


def refusal(error: OSError, path: str) -> Exception:
    """The error of lossctl for a failed write to `path`."""
    if error.errno == errno.EPIPE:
        return BrokenPipe()
    reason = "it is closed" if error.errno == errno.EBADF else error.strerror or str(error)
    return ResourceError(f"cannot write: {reason}", path=path, hint=_HINTS.get(error.errno or 0))


class Sink:
    """A buffered byte stream over a descriptor it owns; `path` names it in errors."""

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self.path = path
        self._buffer = bytearray()
        self._count = 0
        self.closed = False

    def fileno(self) -> int:
        return self._fd

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        return self._count

    def write(self, data: bytes | memoryview, /) -> int:
        """Take all of `data`."""
        size = memoryview(data).nbytes
        if len(self._buffer) + size > _BUFFER:
            self.flush()
        if size > _BUFFER:
            self._drain(memoryview(data).cast("B"))
        else:
            self._buffer += data
        self._count += size
        return size

    def write_text(self, text: str) -> int:
        """Take `text` as UTF-8; half of a surrogate pair is spelt out."""
        return self.write(text.encode("utf-8", "backslashreplace"))

    def flush(self) -> None:
        """Hand everything to the system."""
        taken, self._buffer = self._buffer, bytearray()  # a failed write is not tried twice
        self._drain(memoryview(taken))

    def _drain(self, view: memoryview) -> None:
        while view:
            try:
                view = view[os.write(self._fd, view[:_MOST]) :]
            except BlockingIOError:  # whoever shares the pipe made it non-blocking
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                poll.poll()
            except OSError as error:
                raise refusal(error, self.path) from None

    def close(self) -> None:
        """Flush and close; some file systems report a full disk only now."""
        if self.closed:
            return
        try:
            self.flush()
        except BaseException:
            self.abandon()
            raise
        self.closed = True
        try:
            os.close(self._fd)
        except OSError as error:
            raise refusal(error, self.path) from None

    def abandon(self) -> None:
        """Close without writing what is still held."""
        if not self.closed:
            self.closed = True
            self._buffer = bytearray()
            with suppress(OSError):
                os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


class Stdout(Sink):
    """Standard output, through a descriptor of its own: no file opened later can take its place.

    Make it before opening any file, and close it (or leave its `with`) to learn of every failure.
    """

    def __init__(self, fd: int = 1, name: str = "standard output") -> None:
        super().__init__(own(fd, name), name)


class Screen(Stdout):
    """Standard output that somebody looks at: what a terminal would act on is spelt out."""

    def __init__(self) -> None:
        super().__init__()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(self, data: bytes | memoryview, /) -> int:
        text = self._decoder.decode(bytes(data))
        super().write(
            "".join(line if line in "\t\n" else visible(line, len(line)) for line in _PARTS(text)).encode()
        )
        return memoryview(data).nbytes


def stdout_for(form: str) -> Stdout:
    """Standard output; the formats that carry data unchanged are made safe where they reach a terminal."""
    return Screen() if form in _RAW and os.isatty(1) else Stdout()


def own(fd: int, name: str) -> int:
    """A descriptor of our own for the same open file."""
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError as error:
        reason = "it is closed" if error.errno == errno.EBADF else (error.strerror or str(error))
        raise ResourceError(f"cannot write to {visible(name)}: {reason}") from None
