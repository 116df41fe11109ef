"""Results in the order of the items, and batches in their order whoever computes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import pytest

from lossctl.turns import AHEAD, in_turns, ordered


@dataclass
class Batch:
    name: int
    nbytes: int = AHEAD // 4


def batches(count: int, read: list[int], nbytes: int = AHEAD // 4) -> Iterator[Batch]:
    for i in range(count):
        read.append(i)
        yield Batch(i, nbytes)


def test_a_thread_in_turn_is_given_each_batch_as_it_is_read() -> None:
    read: list[int] = []
    turn = threading.Lock()
    for batch in in_turns(batches(3, read), turn, False):
        assert read[-1] == batch.name
        assert turn.locked()
    assert not turn.locked()


def test_a_thread_out_of_turn_reads_on_and_then_computes_all_the_same() -> None:
    read: list[int] = []
    turn = threading.Lock()
    turn.acquire()
    seen = in_turns(batches(6, read), turn, False)
    assert next(seen).name == 0
    assert read == [0, 1, 2, 3]  # AHEAD bytes
    assert [batch.name for batch in seen] == [1, 2, 3, 4, 5]
    assert turn.locked()


def test_a_turn_that_comes_ends_the_reading_ahead() -> None:
    read: list[int] = []
    turn = threading.Lock()
    turn.acquire()

    def source() -> Iterator[Batch]:
        for batch in batches(4, read):
            if batch.name == 1:
                turn.release()
            yield batch

    seen = in_turns(source(), turn, False)
    assert next(seen).name == 0
    assert read == [0, 1]
    assert turn.locked()
    assert [batch.name for batch in seen] == [1, 2, 3]
    assert not turn.locked()


def test_large_batches_are_not_gathered() -> None:
    read: list[int] = []
    turn = threading.Lock()
    turn.acquire()
    seen = in_turns(batches(3, read, AHEAD), turn, False)
    assert next(seen).name == 0
    assert read == [0]


@pytest.mark.parametrize("taken", [False, True])
def test_what_was_read_before_an_error_comes_before_it(taken: bool) -> None:
    turn = threading.Lock()
    if taken:
        turn.acquire()

    def source() -> Iterator[Batch]:
        yield from batches(3, [])
        raise ValueError("damaged")

    seen = in_turns(source(), turn, False)
    assert [batch.name for batch in islice(seen, 3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="damaged"):
        next(seen)
    assert turn.locked() == taken


def test_an_error_of_computing_gives_the_turn_back() -> None:
    turn = threading.Lock()
    seen = in_turns(batches(3, []), turn, True)
    next(seen)
    seen.close()
    assert not turn.locked()


def test_results_come_in_order_and_the_first_error_in_order_is_raised() -> None:
    late = threading.Event()

    def task(item: int) -> int:
        if item == 0:
            late.wait(5)
        else:
            late.set()
        if item > 1:
            raise ValueError(f"item {item}")
        return item * 10

    results = ordered(range(6), task, 2)
    assert [next(results), next(results)] == [(0, 0), (1, 10)]
    with pytest.raises(ValueError, match="item 2"):
        next(results)


def test_what_the_source_gave_before_its_error_comes_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("damaged")

    results = ordered(items(), str, 2)
    assert [next(results) for _ in range(3)] == [(0, "0"), (1, "1"), (2, "2")]
    with pytest.raises(ValueError, match="damaged"):
        next(results)


def test_a_patient_thread_waits_for_its_turn_once_it_has_read_ahead() -> None:
    read: list[int] = []
    turn = threading.Lock()
    turn.acquire()
    threading.Timer(0.2, turn.release).start()
    seen = in_turns(batches(6, read), turn, True)
    assert turn.locked()
    assert next(seen).name == 0
    assert read == [0, 1, 2, 3]
    seen.close()
    assert not turn.locked()


def test_a_patient_thread_with_nothing_to_hand_over_does_not_wait() -> None:
    turn = threading.Lock()
    turn.acquire()
    assert list(in_turns(batches(0, []), turn, True)) == []
