"""The exact sums at the limits of their own words: full limbs, carries between levels."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from lossctl.exact import BLOCK, ExactSum, Workspace
from lossctl.exact_groups import GroupedSums, add_product

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


@pytest.mark.parametrize("power", [5, 6, 7, 8, 51, 52])
def test_rows_far_below_a_few_large_ones_fill_limbs_too(power: int) -> None:
    one = math.nextafter(2.0**power, 0.0)
    block = np.full(BLOCK, one)
    block[:3] = 2.0**500, 2.0**300, 2.0**100
    groups = GroupedSums(1)
    for turn in range(1, 12):
        groups.add(block, np.zeros(BLOCK, np.int64), WORK)
        want = (BLOCK - 3) * Fraction(one) + 2**500 + 2**300 + 2**100
        assert groups.total(0).fraction() == turn * want


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
