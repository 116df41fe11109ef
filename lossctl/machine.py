"""What this machine gives: cores, memory that stays, and the size of blocks that follows from it."""

from __future__ import annotations

import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_SMALL, _LARGE = 15872, 1 << 17

_MOST = 8  # threads: beyond, they wait for the interpreter's lock more than they compute

_keeps = False


def cores() -> int:
    """Threads worth starting: the processors this process may use, at most 8."""
    allowed = getattr(os, "sched_getaffinity", None)
    return min(len(allowed(0)) if allowed else os.cpu_count() or 1, _MOST)


def keep_freed_memory() -> None:
    """Serve blocks up to 64 MiB from the heap and do not hand it back between kernels.

    By default glibc maps and unmaps every array from 128 KiB on, and the page faults cost more than the
    arithmetic: huber on blocks of 32,768 rows takes 7.0 ns a row, with this 1.3. Elsewhere nothing is done.
    It changes the whole process, so a command does it and the library does not.
    """
    global _keeps
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # NumPy has it loaded already

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, 64 << 20)
    mallopt(_TRIM_THRESHOLD, 256 << 20)
    _grow_in_place()
    _keeps = True


def _grow_in_place() -> None:
    """Let Arrow allocate by jemalloc, unless its user chose.

    The columns of a Parquet reader grow as pages come. Mimalloc, the default, copies them to grow, which with
    two threads costs twice as much as with one: decoding 50 million rows took 1.13 s of CPU, so 0.93.
    """
    import pyarrow as pa

    if "jemalloc" in pa.supported_memory_backends() and not os.environ.get("ARROW_DEFAULT_MEMORY_POOL"):
        pa.set_memory_pool(pa.jemalloc_memory_pool())


def block_rows() -> int:
    """Rows of a block of scalars.

    124 KiB a column where larger arrays are mapped anew each time. Else eight times as many: what the caches
    lose, two threads that hand each other the interpreter's lock at every kernel win. Five losses over 40
    million rows took 2.0 s in blocks of 15,872, 1.5 in 32,768, 1.3 in 65,536, and 8 % less in 131,072.
    """
    return _LARGE if _keeps else _SMALL
