"""The exact sum, its merge, its products and its groups, against `math.fsum` and rational arithmetic."""

from __future__ import annotations

import math
import runpy
import threading
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lossctl import exact
from lossctl.errors import ResourceError
from lossctl.exact import (
    BLOCK,
    ExactSum,
    Floats,
    Workspace,
    centred_second_moment,
    check_arithmetic,
    ratio,
)
from lossctl.exact_groups import GroupedSums, add_product, add_triple

WORK = Workspace()
SOAK = runpy.run_path(str(Path(__file__).parent / "soak" / "exact_sums.py"))
QUANTUM = Fraction(1, 1 << 1074)

any_float = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)
arrays = hnp.arrays(np.float64, st.integers(0, 30), elements=any_float)
with_specials = hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats())


def summed(x: Floats, *, nonneg: bool = False) -> ExactSum:
    acc = ExactSum()
    acc.add(x, WORK, nonneg=nonneg)
    return acc


def rational(x: Iterable[float]) -> Fraction:
    return sum(map(Fraction, np.asarray(x).tolist()), Fraction(0))


def rounded(value: Fraction) -> float:
    try:
        return value.numerator / value.denominator
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


# -- permanent cases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("n", [1, 2, 2047, 4096, 4097, BLOCK - 1, BLOCK, BLOCK + 1])
def test_full_payloads_never_wrap(n: int, sign: float) -> None:
    for power in (-1073, -1022, -1021, -900, -52, 0, 1, 46, 47, 53, 500, 959, 960, 961, *range(1017, 1024)):
        one = sign * math.nextafter(2.0**power, 0.0)
        x = np.full(n, one)
        assert summed(x).fraction() == n * Fraction(one)
        assert summed(x, nonneg=True).fraction() == n * Fraction(one)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_full_payloads_never_wrap_in_groups(sign: float) -> None:
    codes = np.zeros(BLOCK, np.int64)
    for power in (-1022, -1000, 0, 3, 13, 500, 899, 900, 901, 1023):
        groups = GroupedSums(1)
        one = sign * math.nextafter(2.0**power, 0.0)
        for _ in range(9):
            groups.add(np.full(BLOCK, one), codes, WORK)
        assert groups.total(0).fraction() == 9 * BLOCK * Fraction(one)


@pytest.mark.parametrize("power", range(-1, 47))
def test_groups_carry_at_every_alignment(power: int) -> None:
    one = math.nextafter(2.0**power, 0.0)
    x = np.full(BLOCK, one)
    codes = np.zeros(BLOCK, np.int64)
    groups = GroupedSums(2)
    for _ in range(9):
        groups.add(x, codes, WORK, nonneg=True)
        groups.add(-x, codes + 1, WORK)
    assert [t.fraction() for t in groups.totals()] == [9 * BLOCK * Fraction(one), -9 * BLOCK * Fraction(one)]


@pytest.mark.parametrize(
    "x",
    [
        [],
        [0.0],
        [-0.0, -0.0],
        [5e-324],
        [5e-324, -1e-323, 2.2e-308, -2.2250738585072014e-308],
        [1.7e308, 1.7e308, -1.7e308, 3.0, 5e-324],
        [1.7e308] * 5 + [-1.7e308] * 5 + [1e-300],
        [1e300, 1.0, -1e300, 1e-300],
        [1e16, 1.0, -1e16],
        [0.1] * 10,
        [math.ldexp(1.1, e) * (-1) ** e for e in range(-300, 301)],
        [math.ldexp(1.7, e) for e in range(-1074, 1023)],
        [1.0, 2.0**-47, 2.0**-48, 2.0**-95, 2.0**-96, 2.0**-1074],
        [2.0**960, -(2.0**961), 1.0, math.nextafter(1.0, 0.0), -math.nextafter(1.0, 2.0)],
    ],
    ids=lambda x: f"{len(x)} from {x[0]}" if x else "empty",
)
def test_permanent_arrays(x: list[float]) -> None:
    array = np.array(x, dtype=np.float64)
    for signed in (array, -array, np.abs(array)):
        want = rational(signed)
        assert summed(signed).fraction() == want
        assert summed(signed, nonneg=True).fraction() == want
        assert summed(signed).value() == rounded(want)
        groups = GroupedSums(1)
        groups.add(signed, np.zeros(array.size, np.int64), WORK)
        assert groups.total(0).fraction() == want


def test_a_zero_sum_is_positive_zero() -> None:
    assert math.copysign(1.0, summed(np.array([-0.0])).value()) == 1.0
    assert math.copysign(1.0, summed(np.array([1.5, -1.5])).value()) == 1.0


@pytest.mark.parametrize("nonneg", [False, True])
def test_layouts_and_read_only_inputs_give_one_state(nonneg: bool) -> None:
    base = np.random.default_rng(3).standard_normal((BLOCK + 77, 2)) ** 2
    want = summed(base[:, 0].copy())
    held = base.copy()
    held.flags.writeable = False
    column = held[:, 0]
    reverse = column[::-1]
    swapped = column.astype(">f8")
    codes = np.zeros((column.size, 2), np.int64)[:, 0]
    for view in (column, reverse, swapped, np.frombuffer(column.tobytes())):
        assert summed(view, nonneg=nonneg) == want
        groups = GroupedSums(1)
        groups.add(view, codes, WORK, nonneg=nonneg)
        assert groups.total(0) == want
    assert np.array_equal(held, base)


def test_inputs_are_unchanged() -> None:
    rng = np.random.default_rng(4)
    for scale in (1.0, 1e300, 1e-300):
        x, y, w = rng.standard_normal((3, 5000)) * scale
        codes = rng.integers(0, 9, 5000)
        before = [a.tobytes() for a in (x, y, w, codes)]
        summed(x)
        GroupedSums(9).add(x, codes, WORK)
        add_product(ExactSum(), x, y, WORK)
        add_triple(ExactSum(), w, x, y, WORK)
        assert [a.tobytes() for a in (x, y, w, codes)] == before


def test_overflow_is_a_signed_infinity_and_the_state_stays_exact() -> None:
    acc = summed(np.full(3, 1.7e308))
    assert acc.value() == math.inf
    assert acc.scaled(-1).value() == -math.inf
    acc.add(np.full(3, -1.7e308), WORK)
    assert acc == ExactSum()
    most = np.finfo(np.float64).max
    assert summed(np.array([most, 2.0**969])).value() == most
    assert summed(np.array([most, 2.0**970])).value() == math.inf


@pytest.mark.parametrize("nonneg", [False, True])
def test_non_finite_terms_are_counted_and_decide_as_ieee_does(nonneg: bool) -> None:
    inf, nan = math.inf, math.nan
    cases: list[tuple[list[float], tuple[int, int, int], float]] = [
        ([1.0, nan, 2.0], (1, 0, 0), nan),
        ([inf, 1.0, inf], (0, 2, 0), inf),
        ([-inf, 1.0], (0, 0, 1), -inf),
        ([inf, -inf, 4.0], (0, 1, 1), nan),
        ([nan, inf, -inf, -nan], (2, 1, 1), nan),
        ([inf, -1e308, 5e-324], (0, 1, 0), inf),
    ]
    for x, counts, value in cases:
        array = np.array(x)
        acc = summed(array, nonneg=nonneg)
        groups = GroupedSums(2)
        groups.add(array, np.ones(array.size, np.int64), WORK, nonneg=nonneg)
        assert (acc.nan, acc.posinf, acc.neginf) == counts
        assert acc.fraction() == rational(array[np.isfinite(array)])
        assert same(acc.value(), value)
        assert groups.totals() == [ExactSum(), acc]


def test_signalling_nan_counts_without_a_warning() -> None:
    x = np.array([0x7FF0000000000001, 0xFFF0000000000001], np.uint64).view(np.float64)
    assert summed(x).nan == summed(x, nonneg=True).nan == 2


def test_a_caller_who_traps_floating_point_errors_sees_none() -> None:
    x = np.array([1.7e308, 5e-324, -1.7e308, 1e-310, math.inf])
    codes = np.zeros(x.size, np.int64)
    with np.errstate(all="raise"):
        acc = summed(x)
        groups = GroupedSums(1)
        groups.add(x, codes, WORK)
        add_triple(ExactSum(), x, x, x, WORK)
    assert acc == groups.total(0) == ExactSum(int(rational(x[[1, 3]]) / QUANTUM), posinf=1)


def test_a_broken_nonneg_promise_costs_nothing_but_time() -> None:
    x = np.random.default_rng(5).standard_normal(999)
    assert summed(x, nonneg=True) == summed(x)


# -- properties --------------------------------------------------------------------------------------------


def test_random_arrays_equal_fsum() -> None:
    assert SOAK["mismatches"](20_000, seed=1) == 0


@settings(max_examples=300, deadline=None)
@given(arrays, st.booleans())
def test_any_array_equals_the_rational_sum(x: Floats, nonneg: bool) -> None:
    acc = summed(x, nonneg=nonneg)
    assert acc.fraction() == rational(x)
    assert acc.value() == rounded(rational(x))


@settings(max_examples=200, deadline=None)
@given(with_specials, st.randoms(use_true_random=False), st.data())
def test_every_split_and_permutation_gives_one_state(x: Floats, random, data) -> None:
    order = list(range(x.size))
    random.shuffle(order)
    cuts = sorted(data.draw(st.lists(st.integers(0, x.size), max_size=4)))
    parts = np.split(x[np.array(order, np.intp)], cuts)
    folded = ExactSum()
    for part in parts:
        folded.add(part, WORK)
    merged = sum((summed(part) for part in reversed(parts)), ExactSum())
    assert folded == merged == summed(x)


@settings(max_examples=100, deadline=None)
@given(with_specials, with_specials, with_specials)
def test_merge_is_associative_and_commutative_with_identity(x: Floats, y: Floats, z: Floats) -> None:
    a, b, c = summed(x), summed(y), summed(z)
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + ExactSum() == ExactSum() + a == a


@settings(max_examples=200, deadline=None)
@given(arrays, arrays)
def test_ratio_equals_the_rational_ratio(x: Floats, y: Floats) -> None:
    num, den = rational(x), rational(y)
    got = ratio(summed(x), summed(y))
    assert same(got, rounded(num / den) if den else math.nan)
    assert ratio(summed(x), ExactSum.of_int(7)) == rounded(num / 7)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_products_are_the_real_ones(data) -> None:
    n = data.draw(st.integers(0, 12))
    w, x, y = (data.draw(hnp.arrays(np.float64, n, elements=any_float)) for _ in range(3))
    rows = [[Fraction(v) for v in row] for row in zip(w.tolist(), x.tolist(), y.tolist(), strict=True)]
    two, three = ExactSum(), ExactSum()
    add_product(two, x, y, WORK)
    add_triple(three, w, x, y, WORK)
    for got, wants, slack in (
        (two, [b * c for _, b, c in rows], QUANTUM),
        (three, [a * b * c for a, b, c in rows], 2 * QUANTUM),
    ):
        inexact = sum((want / QUANTUM).denominator != 1 for want in wants)
        assert abs(got.fraction() - sum(wants, Fraction(0))) <= inexact * slack


@settings(max_examples=200, deadline=None)
@given(with_specials, st.integers(1, 5), st.data())
def test_groups_equal_separate_sums(x: Floats, size: int, data) -> None:
    codes = data.draw(hnp.arrays(np.int64, x.size, elements=st.integers(0, size - 1)))
    cut = data.draw(st.integers(0, x.size))
    want = [summed(x[codes == code]) for code in range(size)]
    whole, left, right = GroupedSums(size), GroupedSums(size), GroupedSums(size)
    whole.add(x, codes, WORK)
    left.add(x[:cut], codes[:cut], WORK)
    right.add(x[cut:], codes[cut:], WORK)
    right.merge(left)
    assert whole.totals() == right.totals() == want
    assert [whole.total(code) for code in range(size)] == want


# -- products, moments, ratios ------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200, 2.0**150])
def test_products_over_blocks(scale: float) -> None:
    rng = np.random.default_rng(6)
    n = BLOCK + 5
    x, y, w = rng.standard_normal(n) * scale, rng.standard_normal(n), rng.uniform(0.5, 2.0, n)
    x[::7] = 0.0
    two, three = ExactSum(), ExactSum()
    add_product(two, x, y, WORK)
    add_triple(three, w, x, y, WORK)
    pairs = [Fraction(a) * Fraction(b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    assert two.fraction() == sum(pairs)
    assert three.fraction() == sum(Fraction(c) * p for c, p in zip(w.tolist(), pairs, strict=True))


def test_products_beyond_the_range_are_exact() -> None:
    x = np.array([1e200, 1.7e308, 1.0])
    acc = ExactSum()
    add_triple(acc, x, x, x, WORK)
    assert acc.fraction() == sum(Fraction(v) ** 3 for v in x.tolist())
    assert acc.value() == math.inf


def test_products_of_non_finite_rows() -> None:
    inf, nan = math.inf, math.nan
    w = np.array([inf, 1e-200, 2.0, 1.0, -1.0, 3.0])
    x = np.array([1e-200, 1e-200, 0.0, nan, inf, 2.0])
    y = np.array([1e-200, inf, inf, 1.0, 1.0, 5.0])
    acc = ExactSum()
    add_triple(acc, w, x, y, WORK)
    assert (acc.fraction(), acc.nan, acc.posinf, acc.neginf) == (30, 2, 2, 1)


def test_products_none_of_which_is_finite() -> None:
    acc = ExactSum()
    add_triple(acc, np.array([math.nan]), np.array([2.0]), np.array([2.0]), WORK)
    assert acc == ExactSum(nan=1)


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        add_product(ExactSum(), np.ones(4), np.ones(1), WORK)
    with pytest.raises(ValueError, match="codes"):
        GroupedSums(2).add(np.ones(4), np.zeros(1, np.int64), WORK)


def test_centred_second_moment_keeps_what_floats_lose() -> None:
    x = 1e9 + np.random.default_rng(7).standard_normal(3000)
    w = np.random.default_rng(8).uniform(0.1, 3.0, 3000)
    first, second = ExactSum(), ExactSum()
    add_product(first, w, x, WORK)
    add_triple(second, w, x, x, WORK)
    exact_w, exact_x = [Fraction(v) for v in w.tolist()], [Fraction(v) for v in x.tolist()]
    mean = sum(a * b for a, b in zip(exact_w, exact_x, strict=True)) / sum(exact_w)
    want = sum(a * (b - mean) ** 2 for a, b in zip(exact_w, exact_x, strict=True))
    assert centred_second_moment(summed(w), first, second) == rounded(Fraction(want))
    assert centred_second_moment(ExactSum.of_int(4), ExactSum.of_int(8), ExactSum.of_int(16)) == 0.0
    assert math.isnan(centred_second_moment(ExactSum(), first, second))
    assert math.isnan(centred_second_moment(summed(w), ExactSum(nan=1), second))
    assert math.isnan(centred_second_moment(summed(w), first, ExactSum(posinf=1)))


def test_ratio_of_special_sums_is_ieee_division() -> None:
    inf, nan = math.inf, math.nan
    values = [0.0, 2.0, -2.0, inf, -inf, nan]
    for a in values:
        for b in values:
            got = ratio(summed(np.array([a])), summed(np.array([b])))
            with np.errstate(all="ignore"):
                want = float(np.float64(a) / np.float64(b)) if b else nan
            assert same(got, want), (a, b)
    big, tiny = summed(np.full(4, 1.7e308)), summed(np.array([-5e-324]))
    assert ratio(big, tiny) == -inf
    assert ratio(tiny, big) == 0.0
    assert ratio(big, ExactSum.of_int(4)) == 1.7e308


def test_of_int_scaled_and_identity_of_values() -> None:
    assert ExactSum.of_int(2**70 + 1).fraction() == 2**70 + 1
    x = np.array([0.1, -3.0, 1e-310])
    assert summed(x).scaled(5) == summed(np.tile(x, 5))
    specials = ExactSum(3, nan=1, posinf=2, neginf=5)
    assert specials.scaled(-2) == ExactSum(-6, nan=2, posinf=10, neginf=4)
    assert specials.scaled(0) == ExactSum()
    assert specials != 3
    assert (specials == 3) is False
    assert repr(ExactSum.of_int(3)) == "ExactSum(3.0)"
    with pytest.raises(TypeError):
        hash(specials)


def test_addition_leaves_its_operands() -> None:
    a, b = ExactSum.of_int(1), ExactSum.of_int(2)
    assert (a + b, a, b) == (ExactSum.of_int(3), ExactSum.of_int(1), ExactSum.of_int(2))


# -- groups -------------------------------------------------------------------------------------------------


def test_many_groups_resize_and_merge_by_mapping() -> None:
    rng = np.random.default_rng(9)
    n = 3 * BLOCK + 11
    x, codes = rng.standard_normal(n) * np.exp(rng.normal(0, 20, n)), rng.integers(0, 50_000, n)
    a, b = GroupedSums(50_000), GroupedSums(10)
    a.add(x, codes, WORK)
    b.add(x[:100], codes[:100] % 10, WORK)
    b.resize(12)
    b.add(x[:3], np.array([11, 10, 11]), WORK)
    assert b.total(11) == summed(x[[0, 2]])
    mapping = np.arange(50_000) % 12
    b.merge(a, mapping)
    want = [summed(x[codes % 50_000 % 12 == code]) for code in range(12)]
    early = codes[:100] % 10
    for code in range(12):
        extra = summed(x[:100][early == code]) if code < 10 else ExactSum()
        extra += summed(x[[1]]) if code == 10 else summed(x[[0, 2]]) if code == 11 else ExactSum()
        assert b.total(code) == want[code] + extra
    c = GroupedSums(1)
    c.merge(a)
    assert c.size == 50_000
    assert c.totals() == a.totals()


def test_resizing_keeps_everything() -> None:
    x = np.array([math.inf, 1.5, math.nan, 1e300, -math.inf])
    groups = GroupedSums(2)
    groups.add(x, np.array([0, 0, 1, 1, 1]), WORK)
    before = groups.totals()
    groups.resize(4)
    assert groups.totals() == [*before, ExactSum(), ExactSum()]


def test_merging_full_limbs_many_to_one_is_exact() -> None:
    one = 2.0**6 * (1 - 2.0**-44)
    size = 3 * BLOCK
    full = GroupedSums(size)
    full.add(np.full(size, one), np.arange(size), WORK)
    into = GroupedSums(1)
    for _ in range(3):
        into.merge(full, np.zeros(size, np.int64))
    assert into.total(0).fraction() == 3 * size * Fraction(one)


def test_codes_outside_are_refused_before_anything_is_added() -> None:
    for bad in (-1, 3, 2**40):
        groups = GroupedSums(3)
        with pytest.raises(IndexError, match="group code"):
            groups.add(np.ones(2), np.array([0, bad]), WORK)
        assert groups.totals() == [ExactSum()] * 3
    with pytest.raises(IndexError, match="mapping"):
        GroupedSums(2).merge(GroupedSums(2), np.array([0, 2]))
    with pytest.raises(IndexError, match="mapping"):
        GroupedSums(2).merge(GroupedSums(2), np.array([0]))
    with pytest.raises(ValueError, match="shrink"):
        GroupedSums(2).resize(1)


def test_wide_exponents_in_groups_over_a_block() -> None:
    rng = np.random.default_rng(10)
    bits = rng.integers(0, 1 << 64, BLOCK + 9, dtype=np.uint64).view(np.float64)
    codes = rng.integers(0, 4, bits.size)
    groups = GroupedSums(4)
    groups.add(bits, codes, WORK)
    for code, total in enumerate(groups.totals()):
        mine = bits[codes == code]
        assert total == summed(mine)
        assert total.fraction() == rational(mine[np.isfinite(mine)])


# -- the machine --------------------------------------------------------------------------------------------


def test_threads_with_their_own_workspaces_agree() -> None:
    x = np.random.default_rng(11).standard_normal(6 * BLOCK)
    states = [ExactSum() for _ in range(3)]
    threads = [
        threading.Thread(target=state.add, args=(x[i::3], Workspace())) for i, state in enumerate(states)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states[2] + states[0] + states[1] == summed(x)


def test_arithmetic_check_passes_here_and_fails_on_flushed_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    check_arithmetic()

    class Flushed:
        def __getattr__(self, name: str) -> object:
            return getattr(np, name)

        @staticmethod
        def repeat(a: Floats, times: int) -> Floats:
            return np.repeat(
                np.where(np.abs(a) < 2.0**-1022, 0.0, a) + np.where(a == 1.0, 2.0**-52, 0.0), times
            )

    monkeypatch.setattr(exact, "np", Flushed())
    with pytest.raises(ResourceError, match="nearest"):
        check_arithmetic()
