"""The C allocator, told to keep what it has: kernels take and free block-sized arrays all the time."""

from __future__ import annotations

import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Serve blocks up to 64 MiB from the heap and do not hand it back between kernels.

    By default glibc maps and unmaps every array from 128 KiB on, and the page faults cost more than the
    arithmetic: huber on blocks of 32,768 rows takes 7.0 ns a row, with this 1.3. Elsewhere nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes  # NumPy has it loaded already

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_MMAP_THRESHOLD, 64 << 20)
    mallopt(_TRIM_THRESHOLD, 256 << 20)
