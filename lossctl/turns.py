"""Work on threads whose results come in order, and turns at the interpreter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
AHEAD = 8 << 20  # bytes read ahead while another thread computes: four batches of scalars

__all__ = ["AHEAD", "in_turns", "looked_ahead", "ordered"]


class Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


B = TypeVar("B", bound=Sized)


def ordered(items: Iterable[Any], task: Callable[[Any], T], threads: int) -> Iterator[tuple[Any, T]]:
    """task(item) on `threads` threads, results in the order of the items.

    At most one item more than there are threads is under way, so memory stays flat; the first error in
    item order is the one raised, whichever thread failed first, and one of the source after all of them.
    """
    if threads <= 1:
        for item in items:
            yield item, task(item)
        return
    from concurrent.futures import ThreadPoolExecutor

    source, pool = iter(items), ThreadPoolExecutor(threads)
    waiting: list[tuple[Any, Future[T]]] = []
    failed: list[Exception] = []

    def submit(many: int) -> None:
        try:
            for item in islice(source, many):
                waiting.append((item, pool.submit(task, item)))
        except Exception as error:
            failed.append(error)

    try:
        submit(threads + 1)
        while waiting:
            item, future = waiting.pop(0)
            result = future.result()
            if not failed:
                submit(1)
            yield item, result
        if failed:
            raise failed[0]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


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
