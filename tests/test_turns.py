"""Results in the order of the items, and batches in their order whoever computes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import pytest

from lossctl.turns import AHEAD, AHEAD_ITEMS, in_turns, looked_ahead, ordered


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
    failed = threading.Event()

    def task(item: int) -> int:
        if item == 2:
            assert failed.wait(5)
            raise ValueError("item 2")
        if item == 3:
            failed.set()
            raise ValueError("item 3")
        return item * 10

    results = ordered(range(6), task, 2)
    assert [next(results), next(results)] == [(0, 0), (1, 10)]
    with pytest.raises(ValueError, match="item 2"):
        next(results)


def test_the_caller_is_one_of_the_threads() -> None:
    names, lock, both = set[int](), threading.Lock(), threading.Barrier(3)
    now = most = 0

    def task(item: int) -> int:
        nonlocal now, most
        with lock:
            names.add(threading.get_ident())
            now += 1
            most = max(most, now)
        if item < 3:
            both.wait(5)  # all three threads are at work at once
        with lock:
            now -= 1
        return -item

    assert list(ordered(range(50), task, 3)) == [(i, -i) for i in range(50)]
    assert most == len(names) == 3
    assert threading.get_ident() in names


def test_the_caller_reads_on_before_it_helps_and_not_too_far() -> None:
    given: list[int] = []
    begun, held = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        for i in range(20):
            given.append(i)
            yield i

    def task(item: int) -> int:
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            assert held.wait(5)
        else:
            assert begun.wait(5)
            assert len(given) == 2 + AHEAD_ITEMS
            held.set()
        return item

    results = ordered(items(), task, 2)
    assert next(results) == (0, 0)
    results.close()
    assert len(given) in (2 + AHEAD_ITEMS, 3 + AHEAD_ITEMS)


def test_an_error_of_the_callers_own_task_is_told_in_its_turn_and_an_exit_at_once() -> None:
    begun, held = threading.Event(), threading.Event()

    def task(item: int, error: type[BaseException]) -> int:
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            assert held.wait(5)
            return item
        assert begun.wait(5)
        held.set()
        raise error("mine")

    results = ordered(range(9), lambda item: task(item, ValueError), 2)
    assert next(results) == (0, 0)
    with pytest.raises(ValueError, match="mine"):
        next(results)
    begun.clear()
    held.clear()
    with pytest.raises(SystemExit):
        next(ordered(range(9), lambda item: task(item, SystemExit), 2))


def test_after_an_error_of_the_source_nothing_more_is_handed_over() -> None:
    class Failing:
        """An iterator that could go on after its error."""

        def __init__(self) -> None:
            self.given = 0

        def __iter__(self) -> Failing:
            return self

        def __next__(self) -> int:
            self.given += 1
            if self.given == 3:
                raise ValueError("damaged")
            if self.given > 9:
                raise StopIteration
            return self.given

    source, seen = Failing(), []
    with pytest.raises(ValueError, match="damaged"):
        seen.extend(item for item, _ in ordered(source, str, 4))
    assert source.given == 3


def test_looking_ahead_leaves_an_error_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("damaged")

    count, whole = looked_ahead(items(), 2)
    assert count == 2
    assert next(whole) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(whole)
    for many in (0, 1, 2, 5):
        count, whole = looked_ahead(iter(range(many)), 2)
        assert (count, list(whole)) == (min(many, 2), list(range(many)))


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
    turn, handed = threading.Lock(), threading.Event()
    turn.acquire()
    seen = in_turns(batches(6, read), turn, True)

    def take() -> None:
        next(seen)
        handed.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not handed.wait(0.2)
    assert read == [0, 1, 2, 3]
    turn.release()
    thread.join(5)
    assert handed.is_set()
    assert turn.locked()
    seen.close()
    assert not turn.locked()


def test_a_patient_thread_with_nothing_to_hand_over_does_not_wait() -> None:
    turn = threading.Lock()
    turn.acquire()
    assert list(in_turns(batches(0, []), turn, True)) == []
