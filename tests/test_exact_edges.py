"""The exact sums at the limits of their own words: full limbs, carries between levels."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from lossctl import exact
from lossctl.errors import ResourceError
from lossctl.exact import BLOCK, ExactSum, Workspace, check_arithmetic, ratio
from lossctl.exact_groups import GroupedSums, add_product, add_triple

WORK = Workspace()


# Where a payload rounds up to the whole of its bits, one limb gets 2^60 from every block.
@pytest.mark.parametrize("power", [-39, 5, 6, 7, 51])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_limb_is_emptied_before_it_is_full(power: int, sign: float) -> None:
    one = sign * math.nextafter(2.0**power, 0.0)
    block, codes = np.full(BLOCK, one), np.zeros(BLOCK, np.int64)
    groups, bulk = GroupedSums(1), GroupedSums(2)
    for turn in range(1, 20):
        groups.add(block, codes, WORK)
        bulk.add(block, codes + 1, WORK)
        assert groups.total(0).fraction() == turn * BLOCK * Fraction(one)
    merged = GroupedSums(1)
    for turn in range(1, 20):
        merged.merge(bulk, np.zeros(2, np.int64))
        assert merged.total(0).fraction() == 19 * turn * BLOCK * Fraction(one)


@pytest.mark.parametrize("large", [(500,), (500, 300, 100)])
@pytest.mark.parametrize("power", [5, 6, 7, 8, 51, 52])
def test_rows_far_below_a_few_large_ones_fill_limbs_too(power: int, large: tuple[int, ...]) -> None:
    one = math.nextafter(2.0**power, 0.0)
    block = np.full(BLOCK, one)
    block[: len(large)] = [2.0**each for each in large]
    groups = GroupedSums(1)
    for turn in range(1, 12):
        groups.add(block, np.zeros(BLOCK, np.int64), WORK)
        want = (BLOCK - len(large)) * Fraction(one) + sum(2**each for each in large)
        assert groups.total(0).fraction() == turn * want


@pytest.mark.parametrize("power", range(-20, 60))
def test_the_lowest_bit_lies_anywhere_among_the_levels(power: int) -> None:
    one = 4 / 3 * 2.0**power
    groups = GroupedSums(1)
    groups.add(np.array([one, one, -one, one]), np.zeros(4, np.int64), WORK)
    assert groups.total(0).fraction() == 2 * Fraction(one)


def test_resizing_to_the_same_size_changes_nothing() -> None:
    groups = GroupedSums(2)
    groups.add(np.array([1.0, 2.0]), np.arange(2), WORK)
    groups.resize(2)
    assert [total.value() for total in groups.totals()] == [1.0, 2.0]


@pytest.mark.parametrize("mapping", [[-1, 0], [0, 1], [0]])
def test_a_mapping_stays_among_the_sums(mapping: list[int]) -> None:
    into = GroupedSums(1)
    with pytest.raises(IndexError):
        into.merge(GroupedSums(2), np.array(mapping))


def test_full_limbs_of_many_groups_merge_into_one() -> None:
    one = math.nextafter(2.0**6, 0.0)
    size = 3 * BLOCK
    full = GroupedSums(size)
    for _ in range(4):
        full.add(np.full(size, one), np.arange(size), WORK)
    into = GroupedSums(1)
    for turn in range(1, 12):
        into.merge(full, np.zeros(size, np.int64))
        assert into.total(0).fraction() == 4 * turn * size * Fraction(one)


def test_some_sums_of_many() -> None:
    groups = GroupedSums(5)
    groups.add(np.array([1.0, 2.0, 4.0, 8.0, math.inf]), np.arange(5), WORK)
    assert [total.value() for total in groups.totals(1, 3)] == [2.0, 4.0]
    assert [total.value() for total in groups.totals(3)] == [8.0, math.inf]
    assert [total.value() for total in groups.totals(stop=1)] == [1.0]
    assert groups.totals(5) == groups.totals(2, 2) == []
    none = GroupedSums(0)
    none.add(np.empty(0), np.empty(0, np.int64), WORK)
    none.merge(GroupedSums(0))
    none.merge(GroupedSums(0), np.empty(0, np.int64))
    assert none.totals() == []


def test_groups_of_the_smallest_and_the_largest_doubles() -> None:
    x = np.array([5e-324, -5e-324, 2.0**-1022, 1.7e308, -1.7e308, 1.0, math.nextafter(1.0, 0.0)] * 40)
    codes = np.tile(np.arange(7), 40)
    groups = GroupedSums(7)
    groups.add(x, codes, WORK)
    assert [t.fraction() for t in groups.totals()] == [40 * Fraction(v) for v in x[:7].tolist()]


@pytest.mark.parametrize("power", [-160, -151, -150, -149, 149, 150, 151, 160, 500])
def test_products_on_both_sides_of_the_safe_range(power: int) -> None:
    x = np.array([3.0, math.nextafter(1.0, 2.0), -7.5, 0.0]) * 2.0**power
    y = np.array([math.nextafter(1.0, 0.0), 2.0**-40 + 1.0, 1 / 3, 5.0])
    acc = ExactSum()
    add_product(acc, x, y, WORK)
    pairs = zip(x.tolist(), y.tolist(), strict=True)
    assert acc.fraction() == sum(Fraction(a) * Fraction(b) for a, b in pairs)


@pytest.mark.parametrize("powers", [(-900, -100), (-700, -300)])
@pytest.mark.parametrize("zeros", [0, 3])
def test_products_below_the_normal_range_are_within_one_unit(zeros: int, powers: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    work, unit = Workspace(), Fraction(5e-324)
    for x, y in zip(*((1 + rng.random(300)) * 2.0**power for power in powers), strict=True):
        work.floats[0][:] = 1.0
        acc = ExactSum()
        add_product(acc, np.array([x, *[0.0] * zeros]), np.array([y, *[1.0] * zeros]), work)
        assert abs(acc.fraction() - Fraction(x) * Fraction(y)) <= unit


def test_a_product_with_infinity_alone_is_infinite() -> None:
    acc = ExactSum()
    add_product(acc, np.array([math.inf, 1.0]), np.array([2.0, 3.0]), WORK)
    add_triple(acc, np.array([math.inf, 1.0]), np.array([2.0, 3.0]), np.array([2.0, 3.0]), WORK)
    assert acc == ExactSum.of_int(12) + ExactSum(posinf=2)


def test_sums_differ_when_one_of_their_counts_does() -> None:
    sums = [ExactSum(), ExactSum(1), ExactSum(nan=1), ExactSum(posinf=1), ExactSum(neginf=1)]
    for at, one in enumerate(sums):
        assert [one == other for other in sums] == [at == place for place in range(len(sums))]


def test_weight_minus_one_swaps_the_infinities() -> None:
    assert ExactSum(3, nan=1, posinf=2, neginf=5).scaled(-1) == ExactSum(-3, nan=1, posinf=5, neginf=2)
    assert ExactSum(3, nan=1, posinf=2, neginf=5).scaled(1) == ExactSum(3, nan=1, posinf=2, neginf=5)


@pytest.mark.parametrize("least", [1, -1])
def test_the_smallest_sum_has_a_sign(least: int) -> None:
    up, down = ExactSum(posinf=1), ExactSum(neginf=1)
    assert (ratio(up, ExactSum(least)), ratio(down, ExactSum(least))) == (least * math.inf, -least * math.inf)
    for infinite, sign in ((up, least), (down, -least)):
        assert math.copysign(1.0, ratio(ExactSum(least), infinite)) == sign
    assert math.copysign(1.0, ratio(ExactSum(), up)) == 1.0


def test_unsound_arithmetic_is_refused_where_the_caller_traps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Overflowing:
        def __getattr__(self, name: str) -> object:
            return getattr(np, name)

        @staticmethod
        def repeat(a: np.ndarray, times: int) -> np.ndarray:
            return np.full(len(a) * times, 1.7e308)

    monkeypatch.setattr(exact, "np", Overflowing())
    with np.errstate(all="raise"), pytest.raises(ResourceError, match="nearest"):
        check_arithmetic()
