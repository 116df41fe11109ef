"""Work on threads whose results come in order, and turns at the interpreter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
AHEAD_ITEMS = (
    2  # with one the others ran dry while the caller ended its own: CSV in gzip 0.63 s, with two 0.61
)
AHEAD = 8 << 20  # bytes read ahead while another thread computes: four batches of scalars

__all__ = ["AHEAD", "in_turns", "looked_ahead", "ordered"]


class Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


B = TypeVar("B", bound=Sized)


def ordered(items: Iterable[Any], task: Callable[[Any], T], threads: int) -> Iterator[tuple[Any, T]]:
    """task(item) on `threads` threads, results in the order of the items.

    The caller, who reads the items and uses the results, is one of the threads: it does the first item that
    nobody has begun whenever the next result is not there yet. Beside as many threads as there are cores it
    got two thirds of a core for what only it can do: CSV in gzip took 0.80 s of wall so and takes 0.66, the
    values of 40 million rows written to Parquet 1.90 and 1.32.

    At most AHEAD_ITEMS more than there are threads are under way, so memory stays flat; the first error in
    item order is the one raised, whichever thread failed first, and one of the source after all of them.
    """
    if threads <= 1:
        for item in items:
            yield item, task(item)
        return
    line = _Line(items, task, threads)
    try:
        yield from line.results()
    finally:
        line.pool.shutdown(wait=True, cancel_futures=True)


class _Line(Generic[T]):
    """The items under way, in their order; `failed` holds the error with which their source ended, if any."""

    def __init__(self, items: Iterable[Any], task: Callable[[Any], T], threads: int) -> None:
        from concurrent.futures import Future, ThreadPoolExecutor  # 4 ms that one thread does without

        self.source, self.task, self.threads = iter(items), task, threads
        self.pool, self.new = ThreadPoolExecutor(threads - 1), Future
        self.waiting: list[tuple[Any, Future[T]]] = []
        self.failed: list[Exception] = []

    def results(self) -> Iterator[tuple[Any, T]]:
        self._read()
        while self.waiting:
            item, future = self.waiting[0]
            if not future.done() and self._help():
                continue
            result = future.result()
            del self.waiting[0]
            if not self.failed:
                self._read()
            yield item, result
        if self.failed:
            raise self.failed[0]

    def _read(self) -> None:
        try:
            for item in islice(self.source, self.threads + AHEAD_ITEMS - len(self.waiting)):
                self.waiting.append((item, self.pool.submit(self.task, item)))
        except Exception as error:
            self.failed.append(error)

    def _help(self) -> bool:
        """Do the first item that nobody has begun; whether there was one."""
        for at, (item, future) in enumerate(self.waiting):
            if future.cancel():
                own: Future[T] = self.new()
                self.waiting[at] = item, own
                try:
                    own.set_result(self.task(item))
                except Exception as error:
                    own.set_exception(error)
                return True
        return False


def looked_ahead(items: Iterable[T], many: int) -> tuple[int, Iterator[T]]:
    """How many of the first items there are, and all of them; an error of the source stays in its place."""
    source, head, failed = iter(items), list[T](), list[Exception]()
    try:
        for item in islice(source, many):
            head.append(item)
    except Exception as error:
        failed.append(error)

    def rest() -> Iterator[T]:
        if failed:
            raise failed[0]
        yield from source

    return len(head) + len(failed), chain(head, rest())


def in_turns(batches: Iterable[B], turn: threading.Lock, wait: bool) -> Generator[B]:
    """The batches, handed over while no other thread computes, as far as reading ahead allows.

    Arrow decodes without the interpreter's lock, but two threads that compute hand it over at every NumPy
    call. So a thread whose turn it is not reads on, up to AHEAD bytes. Then it waits if the arrays are so
    small that handing over costs more than a second thread gives (ctc: 2.45 s of wall with two threads that
    compute, 1.75 with one that computes while another reads; alone 1.95), or else computes all the same:
    five losses over 40 million rows took 1.11 s without turns and 1.02 with; in another run 1.14, and 1.21
    waiting. A batch that came before an error
    of reading is handed over before it. Whoever leaves early has to close this, to give the turn back.
    """
    source, waiting, held = iter(batches), list[B](), 0
    while True:
        failed: Exception | None = None
        try:
            batch = next(source, None)
        except Exception as error:
            batch, failed = None, error
        if batch is not None:
            waiting.append(batch)
            held += batch.nbytes
        full = bool(waiting) and (batch is None or held >= AHEAD)
        mine = turn.acquire(blocking=full and wait)
        try:
            if mine or full:
                yield from waiting
                waiting, held = [], 0
        finally:
            if mine:
                turn.release()
        if failed is not None:
            raise failed
        if batch is None:
            return
