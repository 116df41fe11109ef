"""States against rational sums over plain lists: rows, weights, groups, what is left out, and merging."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from lossctl.errors import ResourceError
from lossctl.exact import ExactSum, Workspace
from lossctl.state import KeptState, MaxState, State, Sums, TermState

WORK = Workspace()
RNG = np.random.default_rng(20)
ROWS = 60
TERM = RNG.normal(size=ROWS)
OTHER = RNG.uniform(size=ROWS)
CODES = RNG.integers(0, 3, ROWS)
WEIGHT = np.where(RNG.uniform(size=ROWS) < 0.3, 0.0, RNG.uniform(0.5, 2.0, ROWS))
USED = RNG.uniform(size=ROWS) < 0.8
Given = dict[str, Any]


def fed(state: Any, terms: list[Any], given: Given, cuts: tuple[int, ...] = ()) -> Any:
    """The state after the rows came in pieces; the groups become known as they are met."""
    for low, high in zip((0, *cuts), (*cuts, ROWS), strict=True):
        part = {name: None if rows is None else rows[low:high] for name, rows in given.items()}
        codes = part["codes"]
        groups = 0 if codes is None or not len(codes) else int(codes.max()) + 1
        pieces = [t if isinstance(t, int) else t[low:high] for t in terms]
        state.add(pieces, part["used"], part["weight"], codes, groups, WORK)
    return state


def chosen(given: Given, code: int | None) -> list[int]:
    """The rows of a group that count."""
    rows = range(ROWS) if given["used"] is None else np.flatnonzero(given["used"]).tolist()
    return [i for i in rows if code is None or given["codes"][i] == code]


def rational(values: Any) -> Fraction:
    return sum((Fraction(float(v)) for v in values), Fraction(0))


EVERY = [
    {"used": used, "weight": weight, "codes": codes}
    for used in (None, USED, np.ones(ROWS, bool))
    for weight in (None, WEIGHT, WEIGHT + 0.5)
    for codes in (None, CODES)
]


def codes_of(given: Given) -> list[int | None]:
    return [None] if given["codes"] is None else [None, 0, 1, 2]


@pytest.mark.parametrize("cuts", [(), (1, 2, 30)])
@pytest.mark.parametrize("given", EVERY)
def test_terms(given: Given, cuts: tuple[int, ...]) -> None:
    state = fed(TermState(moments=(0,)), [TERM, 3, OTHER], given, cuts)
    for code in codes_of(given):
        rows = chosen(given, code)
        w = np.ones(ROWS) if given["weight"] is None else given["weight"]
        assert state.rows.total(code) == len(rows)
        assert state.weight_of(code).fraction() == rational(w[rows])
        assert state.term(0, code).fraction() == rational((TERM * w)[rows])
        assert state.term(1, code).fraction() == 3 * rational(w[rows])
        assert state.term(2, code).fraction() == rational((OTHER * w)[rows])
        moments = state.moments_of(0, code)
        pairs = [(Fraction(float(w[i])), Fraction(float(TERM[i]))) for i in rows]
        assert moments.weight.fraction() == rational(w[rows])
        assert moments.first.fraction() == sum(a * b for a, b in pairs)
        assert moments.second.fraction() == sum(a * b * b for a, b in pairs)
        assert state.moments_of(2, code).second == ExactSum()
    assert state.rows.total(None) + state.ignored.total(None) == ROWS
    assert state.weighted == (given["weight"] is not None)
    assert len(state.sums) == 3
    assert len(state.rows.values) == len(codes_of(given)) - 1 or given["codes"] is None
    if given["codes"] is not None:
        left = [0, 0, 0] if given["used"] is None else np.bincount(CODES[~given["used"]], minlength=3)
        assert [state.ignored.total(code) for code in range(3)] == list(left)


@pytest.mark.parametrize("given", EVERY)
@pytest.mark.parametrize("make", [lambda: TermState((0,)), MaxState, lambda: KeptState(1 << 20)])
def test_merging_is_as_good_as_feeding(given: Given, make: Callable[[], State]) -> None:
    whole, left, right = fed(make(), [TERM], given), make(), make()
    for state, rows in ((left, slice(0, 20)), (right, slice(20, ROWS))):
        part = {name: None if each is None else each[rows] for name, each in given.items()}
        state.add([TERM[rows]], part["used"], part["weight"], part["codes"], 3, WORK)
    assert (left.repeat, left.columns) == (1, 1)
    right.repeat, right.columns = 4, 3
    left.merge(right)
    right.merge(make())
    assert (left.repeat, left.columns) == (right.repeat, right.columns) == (4, 3)
    for code in codes_of(given):
        assert left.rows.total(code) == whole.rows.total(code)
        assert left.ignored.total(code) == whole.ignored.total(code)
        assert seen(left, code) == seen(whole, code)


def seen(state: Any, code: int | None) -> Any:
    if isinstance(state, TermState):
        return state.term(0, code), state.weight_of(code), state.moments_of(0, code)
    if isinstance(state, MaxState):
        return state.largest(code), state.weight_of(code)
    terms, weight = state.arrays(code)
    order = np.argsort(terms[0])
    return terms[0][order].tolist(), None if weight is None else weight[order].tolist()


def test_merging_into_less_and_into_nothing() -> None:
    given = {"used": USED, "weight": WEIGHT, "codes": CODES}
    for make in (lambda: TermState((0,)), MaxState, lambda: KeptState(1 << 20)):
        full, empty = fed(make(), [TERM], given), make()
        empty.merge(full)
        assert seen(empty, 2) == seen(full, 2)
        full.merge(make())
        assert seen(empty, 2) == seen(full, 2)
        assert empty.rows.total(2) == full.rows.total(2) > 0


def test_constants_need_no_array() -> None:
    state = TermState()
    state.add([2, TERM], USED, None, CODES, 3, WORK)
    assert state.term(0, 1).fraction() == 2 * int(np.count_nonzero(USED & (CODES == 1)))
    into = TermState()
    into.merge(state)
    assert into.term(0, None).fraction() == 2 * int(USED.sum())
    alone = TermState()
    alone.add([3], None, None, None, 0, WORK)
    assert (alone.rows.total(None), alone.term(0, None)) == (0, ExactSum())
    assert len(alone.rows.values) == 1


def test_columns_share_the_places_of_moments() -> None:
    state = TermState(moments=(1,))
    state.columns = 2
    state.add([TERM, OTHER, OTHER, TERM], None, None, None, 0, WORK)
    assert sorted(state.second) == [(1, None), (3, None)]
    assert state.moments_of(3, None).first.fraction() == rational(TERM)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("codes", [None, np.array([0, 0, 1])])
def test_a_row_of_weight_zero_is_not_there(bad: float, codes: Any) -> None:
    terms, weight = np.array([1.0, bad, 2.0]), np.array([0.5, 0.0, 2.0])
    state = TermState(moments=(0,))
    with np.errstate(invalid="ignore"):
        state.add([terms], None, weight, codes, 2, WORK)
    assert state.term(0, None).value() == 4.5
    assert state.moments_of(0, None).second.value() == 8.5
    assert state.moments_of(0, None).first.value() == 4.5
    assert np.array_equal(terms, [1.0, bad, 2.0], equal_nan=True)
    top = MaxState()
    top.add([terms], None, weight, codes, 2, WORK)
    assert (top.largest(None), top.weight_of(None).value()) == (2.0, 2.5)
    kept = KeptState(1000)
    kept.add([terms], None, weight, codes, 2, WORK)
    (values,), weights = kept.arrays(None)
    assert (values.tolist(), weights.tolist()) == ([1.0, 2.0], [0.5, 2.0])  # type: ignore[union-attr]


def test_a_promise_of_no_negatives_reaches_the_sums() -> None:
    told: list[bool] = []

    class Telling(Sums):
        def add(self, x: Any, codes: Any, groups: int, work: Workspace, nonneg: bool = False) -> None:
            told.append(nonneg)

    for nonneg in (False, True):
        state = TermState(nonneg=nonneg)
        state.sums.append(Telling())
        state.add([OTHER], None, None, None, 0, WORK)
    assert told == [False, True]


def test_sums_with_and_without_groups_add() -> None:
    sums = Sums()
    assert sums.total(0) == sums.total(None) == ExactSum()
    sums.add(np.array([1.0, 2.0]), None, 0, WORK)
    sums.add(np.array([4.0, 8.0]), np.array([0, 1]), 2, WORK)
    assert [sums.total(code).value() for code in (None, 0, 1, 2)] == [15.0, 4.0, 8.0, 0.0]
    other = Sums()
    other.add(np.array([16.0]), np.array([3]), 4, WORK)
    sums.merge(other)
    assert [sums.total(code).value() for code in (None, 1, 3)] == [31.0, 8.0, 16.0]
    assert sums.total(None).value() == 31.0
    sums.add(np.array([32.0]), np.array([0]), 1, WORK)
    sums.add(np.array([64.0]), np.array([5]), 6, WORK)
    assert [sums.total(code).value() for code in (0, 3, 5)] == [36.0, 16.0, 64.0]


def test_the_largest_value() -> None:
    state = MaxState()
    assert state.largest(None) == -math.inf
    state.add([np.empty(0)], None, None, None, 0, WORK)
    assert (state.largest(None), state.rows.total(None)) == (-math.inf, 0)
    state.add([np.array([-3.0, -2.0])], None, None, None, 0, WORK)
    state.add([np.array([-5.0])], None, None, None, 0, WORK)
    assert (state.largest(None), state.weight_of(None).value()) == (-2.0, 3.0)
    state.add([np.array([math.nan])], None, None, None, 0, WORK)
    assert math.isnan(state.largest(None))
    groups = MaxState()
    groups.add([np.array([1.0, -4.0])], None, None, np.array([0, 2]), 3, WORK)
    assert [groups.largest(code) for code in (None, 0, 1, 2)] == [1.0, 1.0, -math.inf, -4.0]
    more = MaxState()
    more.add([np.array([7.0, -9.0])], None, np.array([2.0, 1.0]), np.array([1, 2]), 5, WORK)
    groups.merge(more)
    assert [groups.largest(code) for code in (0, 1, 2, 4)] == [1.0, 7.0, -4.0, -math.inf]
    assert groups.weighted
    assert (len(groups.top), len(MaxState().top)) == (5, 1)
    light = MaxState()
    light.add(
        [np.array([1.0, 2.0, 3.0]), np.array([7.0, 8.0, 9.0])],
        None,
        np.array([2.0, 0.25, 0.0]),
        None,
        0,
        WORK,
    )
    assert light.largest(None) == 2.0


def test_kept_rows_obey_their_cap_to_the_byte() -> None:
    rows, weight = np.ones(10), np.ones(10)
    KeptState(160).add([rows], None, weight, None, 0, WORK)
    KeptState(160).add([rows, rows], None, None, None, 0, WORK)
    for cap, terms, weights in (
        (159, [rows], weight),
        (239, [rows, rows], weight),
        (159, [rows, rows], None),
    ):
        with pytest.raises(ResourceError, match="keeps all rows"):
            KeptState(cap).add(terms, None, weights, None, 0, WORK)
    halves = [KeptState(100) for _ in range(2)]
    for half in halves:
        half.add([rows], None, None, None, 0, WORK)
    with pytest.raises(ResourceError, match="--max-memory"):
        halves[0].merge(halves[1])


def test_kept_rows_are_copies_and_divide_by_group() -> None:
    assert KeptState(1).arrays(None) == ([], None)
    state = KeptState(1 << 20)
    terms, codes = np.array([1.0, 2.0, 3.0]), np.array([0, 1, 0])
    state.add([terms, -terms], None, None, codes, 2, WORK)
    terms[:], codes[:] = 9.0, 1
    state.add([np.array([4.0]), np.array([-4.0])], None, None, np.array([1]), 2, WORK)
    for code, want in ((None, [1.0, 2.0, 3.0, 4.0]), (0, [1.0, 3.0]), (1, [2.0, 4.0])):
        (first, second), weight = state.arrays(code)
        assert (first.tolist(), second.tolist(), weight) == (want, [-v for v in want], None)
