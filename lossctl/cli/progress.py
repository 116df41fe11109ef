"""Progress of long runs on stderr, only for people."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 1.0  # seconds before anything is shown: short runs stay silent


@contextmanager
def progress(mode: str, nbytes: int, rows: int | None) -> Iterator[Callable[[int, int], None] | None]:
    """A function to call with rows and bytes done, or None when nothing is to be shown."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if mode == "never" or (mode == "auto" and not terminal):
        yield None
        return
    bar = _Bar(nbytes, rows, 0.0 if mode == "always" else PATIENCE)
    try:
        yield bar.tick
    finally:
        bar.stop()


class _Bar:
    def __init__(self, nbytes: int, rows: int | None, patience: float) -> None:
        self.nbytes, self.rows, self.patience = nbytes, rows, patience
        self.started = time.monotonic()
        self.done_rows = self.done_bytes = 0
        self.live: Any = None
        self.task: Any = None

    def tick(self, rows: int, nbytes: int) -> None:
        self.done_rows += rows
        self.done_bytes += nbytes
        if self.live is None and time.monotonic() - self.started >= self.patience:
            self._start()
        if self.live is not None:
            self.live.update(self.task, completed=self.done_bytes, rows=f"{self.done_rows:,} rows")

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        self.live = Progress(
            TextColumn("{task.fields[rows]}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.live.start()
        self.task = self.live.add_task("rows", total=self.nbytes or None, rows="")

    def stop(self) -> None:
        if self.live is not None:
            self.live.stop()
