"""Where output goes: `-o [FORMAT:]PATH`, checked before any work and written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from lossctl.errors import BadValue, ResourceError, UsageError, visible
from lossctl.render import FORMATS
from lossctl.render.sink import BrokenPipe, ByteSink, Sink, Stdout, own, refusal, stdout_for

__all__ = [
    "EXTENSIONS",
    "OUTPUT_FORMATS",
    "BrokenPipe",
    "ByteSink",
    "Sink",
    "Stdout",
    "Target",
    "atomic",
    "check_targets",
    "discard_temporaries",
    "parse_target",
    "stdout_for",
]

EXTENSIONS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".json": "json",
    ".md": "markdown",
    ".txt": "table",
}
OUTPUT_FORMATS = (*FORMATS, "parquet")
_pending: set[str] = set()
_DESCRIPTOR = re.compile(r"/dev/(?:fd/(\d+)|(stdout)|(stderr))|/proc/self/fd/(\d+)", re.ASCII)


class Target(NamedTuple):
    """One place to write to, and in which format."""

    path: str
    format: str


def parse_target(text: str) -> Target:
    """`[FORMAT:]PATH`; a prefix that is no format is part of the path, and `-` is standard output."""
    prefix, colon, rest = text.partition(":")
    named = bool(colon) and prefix in OUTPUT_FORMATS
    path = rest if named else text
    extension = os.path.splitext(path)[1].lower()
    if not path or "\0" in path or not (named or extension in EXTENSIONS):
        raise BadValue(
            "output",
            text,
            f"a path ending in {', '.join(EXTENSIONS)}, or FORMAT:PATH with {', '.join(OUTPUT_FORMATS)}",
        )
    return Target("/dev/stdout" if path == "-" else path, prefix if named else EXTENSIONS[extension])


def check_targets(targets: Sequence[Target], input_paths: Iterable[str], clobber: bool) -> None:
    """Refuse, before any work, every output that would overwrite an input or could not be written."""
    inputs = {mark: path for path in input_paths if path != "-" for mark in _marks(path)}
    seen: set[object] = set()
    for target in targets:
        marks = _marks(target.path)
        for mark in marks:
            if mark in inputs:
                raise UsageError(
                    f"the output {visible(target.path)} is the input {visible(inputs[mark])}",
                    hint="write to another file",
                )
        if marks & seen:
            raise UsageError(f"the output {visible(target.path)} is given twice", hint="name each file once")
        seen |= marks
        if _descriptor(target.path) is None:
            _check_place(target.path, clobber)


def _marks(path: str) -> set[object]:
    """What tells whether two paths are one file: the resolved path, and the inode where data is kept."""
    fd = _descriptor(path)
    try:
        state = os.stat(path) if fd is None else os.fstat(fd)
    except OSError:
        return {os.path.realpath(path)}
    if stat.S_ISREG(state.st_mode) or stat.S_ISFIFO(state.st_mode):
        return {os.path.realpath(path), (state.st_dev, state.st_ino)}
    return set() if path == os.devnull else {os.path.realpath(path)}


def _check_place(path: str, clobber: bool) -> None:
    real = os.path.realpath(path)
    directory = os.path.dirname(real)
    try:
        mode = os.stat(real).st_mode
    except FileNotFoundError:
        mode = None
    except OSError as error:
        raise refusal(error, path) from None
    if mode is not None and stat.S_ISDIR(mode):
        raise ResourceError("is a directory", path=path, hint="name a file in it")
    if mode is not None and not clobber and stat.S_ISREG(mode):
        raise _exists(path)
    if mode is not None and not os.access(real, os.W_OK):
        raise ResourceError("cannot be written: permission denied", path=path, hint="write elsewhere")
    if mode is not None and not stat.S_ISREG(mode):
        return
    if not os.path.isdir(directory):
        raise ResourceError("no such directory", path=directory, hint="make it first")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise ResourceError("the directory cannot be written to", path=directory, hint="write elsewhere")
    with _translated(path):
        temporary = _temporary(real)  # what is allowed and what works differ, for root above all
        os.close(_created(temporary))
        os.unlink(temporary)
        _pending.discard(temporary)


def _exists(path: str) -> UsageError:
    return UsageError(f"the output {visible(path)} exists", hint="leave out --no-clobber to replace it")


def _descriptor(path: str) -> int | None:
    """The open descriptor a path such as /dev/stdout stands for; renaming over it would miss its reader."""
    found = _DESCRIPTOR.fullmatch(path)
    if found is None:
        return None
    return 1 if found[2] else 2 if found[3] else int(found[1] or found[4])


@contextmanager
def atomic(path: str, *, clobber: bool = True) -> Iterator[Sink]:
    """A sink whose bytes become the file at `path` when the body ends well; otherwise nothing has happened.

    A link is followed to its file. What is no regular file (a pipe, a device) is written to directly.
    """
    real = os.path.realpath(path)
    fd = _descriptor(path)
    if fd is not None:
        whole = Sink(own(fd, path), path)
    elif os.path.exists(real) and not os.path.isfile(real):
        with _translated(path):
            whole = Sink(os.open(real, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY), path)
    else:
        with _replacing(path, real, clobber) as sink:
            yield sink
        return
    with whole:
        yield whole


@contextmanager
def _replacing(path: str, real: str, clobber: bool) -> Iterator[Sink]:
    temporary = _temporary(real)
    sink: Sink | None = None
    try:
        with _translated(path):
            fd = _created(temporary)
        sink = Sink(fd, path)
        yield sink
        sink.flush()
        with _translated(path):
            os.fchmod(fd, _mode(real))
            os.fsync(fd)
        sink.close()
        with _translated(path):
            _publish(temporary, path, real, clobber)
    except BaseException:
        if sink is not None:
            sink.abandon()
        _discard(temporary)
        raise
    _pending.discard(temporary)


def _temporary(real: str) -> str:
    """A new name beside `real`, noted before the file is there: a signal may come between any two steps."""
    made = os.path.join(os.path.dirname(real), f".lossctl-{os.urandom(8).hex()}.tmp")
    _pending.add(made)
    return made


def _created(temporary: str) -> int:
    return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def discard_temporaries() -> None:
    """Remove what an interrupted run has left unfinished."""
    for temporary in list(_pending):
        _discard(temporary)


def _discard(temporary: str) -> None:
    with suppress(OSError):
        os.unlink(temporary)
    _pending.discard(temporary)


def _mode(real: str) -> int:
    """The permissions of the file that is replaced, else what the umask leaves."""
    with suppress(FileNotFoundError):
        return stat.S_IMODE(os.stat(real).st_mode) & 0o777
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def _publish(temporary: str, path: str, real: str, clobber: bool) -> None:
    if clobber:
        os.replace(temporary, real)
    else:
        try:
            os.link(temporary, real)  # unlike a rename, refuses a file made since the check
        except FileExistsError:
            raise _exists(path) from None
        os.unlink(temporary)
    directory = os.open(os.path.dirname(real), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot, need not
            raise
    finally:
        os.close(directory)


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise refusal(error, path) from None
