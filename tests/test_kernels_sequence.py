"""Sequence and survival kernels against torch 2.13.0, torchmetrics 1.9.0, xgboost 3.2.0 and mpmath 1.3.0."""

from __future__ import annotations

import itertools
import math
from decimal import Context, Decimal, localcontext
from functools import cache
from typing import Any

import numpy as np
import pytest

from lossctl.elementary import exp_split, log_split
from lossctl.errorfree import Double
from lossctl.errors import BadValue, RowRefused
from lossctl.loss.kinds import Ragged
from lossctl.loss.registry import get

LOGITS = np.array([[0.5, -1.0, 0.25], [1.5, 0.0, -0.5], [-0.25, 0.75, 2.0], [0.0, 0.5, -1.0]])
LOGS = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))


def labels(*items: list[int]) -> Ragged:
    return Ragged(np.array([x for r in items for x in r], np.int64), np.cumsum([0, *map(len, items)]))


def steps(*items: Any, width: int = 3) -> Ragged:
    values = [np.asarray(item, float).reshape(-1, width) for item in items]
    return Ragged(np.concatenate(values), np.cumsum([0, *map(len, values)]))


def call(name: str, *inputs: Any, **params: Any) -> Any:
    found = get(name)
    with np.errstate(all="ignore"):
        return found.kernel(*inputs, **found.resolve(params))


def slope(name: str, *inputs: Any, **params: Any) -> Ragged:
    found = get(name)
    with np.errstate(all="ignore"):
        made = found.gradients["pred"](*inputs, **found.resolve(params))
    assert isinstance(made, Ragged)
    assert np.array_equal(made.offsets, inputs[1].offsets)
    return made


def row_values(name: str, *inputs: Any, **params: Any) -> Any:
    found = call(name, *inputs, **params)
    if name == "ctc":
        return found
    with np.errstate(all="ignore"):
        return found.terms[0] / found.terms[1]


def check_slope(name: str, target: Ragged, pred: Ragged, step: float = 1e-3, **params: Any) -> None:
    """Fourth-order central differences, one number of the block at a time."""
    found = slope(name, target, pred, **params).values
    row = np.repeat(np.arange(len(pred.lengths)), pred.lengths)
    for i, k in np.ndindex(pred.values.shape):
        at = {}
        for times in (-2, -1, 1, 2):
            moved = pred.values.copy()
            moved[i, k] += times * step
            at[times] = row_values(name, target, Ragged(moved, pred.offsets), **params)[row[i]]
        expected = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)
        assert found[i, k] == pytest.approx(expected, rel=2e-9, abs=3e-11), (i, k)


# --- ctc

TORCH = [  # F.ctc_loss(log_softmax(LOGITS)[:T], target, reduction="none")
    ([1, 2], 4, 2.567180372178455),
    ([], 4, 4.685271113375014),
    ([1], 1, 2.1941121864019144),
    ([1, 1], 3, 4.081140508038285),
    ([1, 1], 2, math.inf),
    ([2, 1, 2], 4, 3.4289462030076328),
]


@pytest.mark.parametrize(("target", "length", "expected"), TORCH)
def test_ctc_row(target: list[int], length: int, expected: float) -> None:
    for pred, from_logits in ((LOGS, False), (LOGITS, True)):
        found = call("ctc", labels(target), steps(pred[:length]), from_logits=from_logits)
        assert found[0] == pytest.approx(expected, rel=1e-15)


def test_ctc_rows_of_all_lengths_together() -> None:
    """Each row gets the very bits it gets alone, whatever is sorted and padded beside it."""
    targets = labels(*(t for t, _, _ in TORCH))
    preds = steps(*(LOGS[:n] for _, n, _ in TORCH))
    found = call("ctc", targets, preds)
    alone = [call("ctc", labels(t), steps(LOGS[:n]))[0] for t, n, _ in TORCH]
    assert found.tolist() == alone


def test_ctc_is_the_sum_over_alignments() -> None:
    """Against all K^T paths, merged and without blanks."""
    rng = np.random.default_rng(3)
    for target, blank in (([1, 1], 0), ([0, 2], 1), ([], 2), ([1, 0, 1], 2), ([2], 0)):
        p = rng.dirichlet(np.ones(3), 5)
        total = 0.0
        for path in itertools.product(range(3), repeat=5):
            merged = [k for k, _ in itertools.groupby(path) if k != blank]
            total += math.prod(p[t, k] for t, k in enumerate(path)) if merged == target else 0.0
        found = call("ctc", labels(target), steps(np.log(p)), blank=blank)
        assert found[0] == pytest.approx(-math.log(total), rel=1e-14)


def test_ctc_blank_may_be_last() -> None:
    assert call("ctc", labels([0, 1]), steps(LOGS), blank=2)[0] == pytest.approx(
        0.8666081144095418, rel=1e-15
    )


def test_ctc_options() -> None:
    target, pred = labels([1, 2], [1, 1], []), steps(LOGS, LOGS[:2], LOGS)
    found = call("ctc", target, pred, per_target=True)  # torch's mean divides by the length, at least 1
    np.testing.assert_allclose(found, [2.567180372178455 / 2, np.inf, 4.685271113375014], rtol=1e-15)
    found = call("ctc", target, pred, zero_infinity=True)
    np.testing.assert_allclose(found, [2.567180372178455, 0.0, 4.685271113375014], rtol=1e-15)


def test_ctc_empty_inputs() -> None:
    assert call("ctc", labels([], [1]), steps([], [])).tolist() == [0.0, math.inf]
    assert call("ctc", labels(), Ragged(np.zeros((0, 3)), np.zeros(1, np.int64))).tolist() == []
    slope("ctc", labels([], [1]), steps([], []))


def test_ctc_masks_and_extremes() -> None:
    sure = np.array([[-np.inf, 0.0, -np.inf], [0.0, -np.inf, -np.inf], [-np.inf, -np.inf, 0.0]])
    assert call("ctc", labels([1, 2], [2, 1]), steps(sure, sure)).tolist() == [0.0, math.inf]
    far = np.array([[1000.0, -1000.0, 0.0]] * 3)
    assert call("ctc", labels([1]), steps(far), from_logits=True)[0] == pytest.approx(
        2000.0 - math.log(3.0), rel=1e-15
    )  # 3 places
    long = call("ctc", labels([1] * 200), steps(np.full((2000, 3), -800.0)))  # p = e^−800 per step
    assert long[0] == pytest.approx(1600000.0, rel=1e-2)
    assert math.isfinite(long[0])


def test_ctc_refuses_a_target_with_blanks() -> None:
    with pytest.raises(BadValue, match="blank"):
        call("ctc", labels([1, 0]), steps(LOGS))
    with pytest.raises(BadValue, match="3 classes"):
        call("ctc", labels([1]), steps(LOGS), blank=3)


def test_ctc_slope_of_logits() -> None:
    """torch: autograd through log_softmax and F.ctc_loss, target [1, 2]."""
    expected = [
        [-0.0057007296313961175, -0.3833240695051862, 0.38902479913658233],
        [0.25774012526760864, -0.306601428317737, 0.04886130305012837],
        [0.0501455782232177, 0.05275428116167672, -0.10289985938489442],
        [-0.2725804072489252, 0.5465493872661799, -0.2739689800172547],
    ]
    found = slope("ctc", labels([1, 2]), steps(LOGITS), from_logits=True)
    np.testing.assert_allclose(found.values, expected, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("params", [{}, {"from_logits": True}, {"per_target": True}, {"zero_infinity": True}])
def test_ctc_slope(params: dict[str, bool]) -> None:
    rng = np.random.default_rng(5)
    pred = steps(*(rng.normal(size=(n, 3)) for n in (4, 1, 6, 3, 2)))
    check_slope("ctc", labels([1, 2], [2], [1, 1, 2], [], [2, 1]), pred, **params)


def test_ctc_slope_without_a_path() -> None:
    target, pred = labels([1, 1], [1]), steps(LOGS[:2], LOGS[:2])
    assert np.isnan(slope("ctc", target, pred).values[:2]).all()
    found = slope("ctc", target, pred, zero_infinity=True).values
    assert (found[:2] == 0.0).all()
    assert (found[2:] != 0.0).any()


def test_ctc_blocks_that_start_inside() -> None:
    """Offsets need not start at zero."""
    target = Ragged(np.array([0, 0, 1, 2], np.int64), np.array([2, 4]))
    pred = Ragged(np.concatenate([np.full((3, 3), 9.0), LOGS]), np.array([3, 7]))
    assert call("ctc", target, pred)[0] == pytest.approx(2.567180372178455, rel=1e-15)


# --- ctc, digit by digit

RNG = np.random.default_rng(17)
NORMAL, AMBIGUOUS = RNG.normal(size=(10, 3)), RNG.normal(size=(50, 3))
NORMAL -= np.log(np.exp(NORMAL).sum(1, keepdims=True))
AMBIGUOUS[np.arange(50), np.arange(50) // 20] += 12.0  # 0 and 1 and 2, one after the other
AMBIGUOUS -= np.log(np.exp(AMBIGUOUS).sum(1, keepdims=True))
BESIDE = np.array([[-1e-3, -0.002, -9.0], [1e-3, -7.3, -6.95], [-1e-6, -8.0, -7.0]])  # paths of cost near 0
PREDICTIONS = {
    "one step or two": NORMAL[:2],
    "all paths but one": np.log([[0.01, 0.99, 1e-30]] * 2),
    "200 steps": np.tile(NORMAL, (20, 1)),
    "3,000 steps, 10^1400 paths": np.tile(NORMAL * 0.3 + 0.1, (300, 1)),
    "far labels": np.tile(np.where(NORMAL < -1.5, -800.0, NORMAL), (5, 1)),
    "very far labels": np.tile(np.where(NORMAL < -1.5, -1e5, NORMAL), (5, 1)),
    "beyond a table's multiples": np.tile(np.where(NORMAL < -1.5, -1e12, NORMAL), (5, 1)),
    "no label": np.tile(np.where(NORMAL < -2.0, -np.inf, NORMAL), (5, 1)),
    "nearly certain": AMBIGUOUS,
    "of 1e-12": np.where(AMBIGUOUS > -1.0, -1e-12, AMBIGUOUS - 15.0),
    "of 1e-30": np.where(AMBIGUOUS > -1.0, -1e-30, -71.0),
    "taken away": np.tile(BESIDE, (4, 1)),
    "above one": 0.4 - NORMAL * 0.1,
    "beside numbers that cancel": np.tile([[-1.5, 1e14, -0.75], [1e14, -2.5, -0.75]], (2, 1)),
}


def by_decimals(target: list[int], logs: Any) -> tuple[Decimal, Decimal]:
    """The loss and the best path's cost at 60 digits; class 0 is the blank."""
    exp = cache(lambda x: Decimal(x).exp())
    states = [0, *(k for label in target for k in (label, 0))]
    paths, best = [Decimal(0)] * len(states), [Decimal("-Infinity")] * len(states)
    paths[0], best[0] = Decimal(1), Decimal(0)
    for step in logs.tolist():
        for at in range(len(states) - 1, -1, -1):
            skips = at > 1 and states[at] != states[at - 2]
            low = max(at - 1 - skips, 0)
            paths[at] = sum(paths[low : at + 1]) * exp(step[states[at]])
            best[at] = max(best[low : at + 1]) + Decimal(step[states[at]])
    return -sum(paths[-2:]).ln(), -max(best[-2:])


@pytest.mark.parametrize("name", PREDICTIONS)
def test_ctc_to_the_last_digit(name: str) -> None:
    """Within an ulp of the loss, or of a thousandth of the best path's cost."""
    logs = PREDICTIONS[name]
    for target in ([1], [1, 2], [1, 1, 2, 1], [2, 1, 2, 2, 1, 2, 1, 1], []):
        found = float(call("ctc", labels(target), steps(logs))[0])
        with localcontext(Context(prec=60, Emin=-(10**15), Emax=10**15)):
            wanted, best = by_decimals(target, logs)
            unit = Decimal(math.ulp(max(abs(wanted), abs(best) / 1000)))
            assert found == wanted or abs(Decimal(found) - wanted) <= unit, (target, found, wanted)


def test_ctc_rows_of_many_lengths_get_the_bits_they_get_alone() -> None:
    """Past the steps after which factors are scaled, with places that only some rows can reach."""
    rng = np.random.default_rng(23)
    sizes = [0, 1, 2, 7, 40, 90, 255, 256, 300, 520]
    preds = [rng.normal(size=(n, 3)) * 4 for n in sizes * 2]
    for pred in preds[::3]:
        pred[rng.random(pred.shape) < 0.1] = -np.inf
    targets = [rng.integers(1, 3, rng.integers(0, len(p) // 2 + 2)).tolist() for p in preds]
    found = call("ctc", labels(*targets), steps(*preds))
    slopes = slope("ctc", labels(*targets), steps(*preds), zero_infinity=True)
    for i, (target, pred) in enumerate(zip(targets, preds, strict=True)):
        assert call("ctc", labels(target), steps(pred))[0] == found[i]
        alone = slope("ctc", labels(target), steps(pred), zero_infinity=True).values
        assert np.array_equal(alone, slopes.values[slopes.offsets[i] : slopes.offsets[i + 1]])
    assert np.count_nonzero(np.isfinite(found)) == 20


def test_exponentials_and_logarithms_in_two_parts() -> None:
    """exp_split within 2⁻⁶³ and log_split within 2⁻⁶², from one another's results too."""
    x = -np.concatenate([10.0 ** np.linspace(-30, 5.9, 400), np.linspace(0.0, 3.0, 200)])
    power, factor = exp_split(Double(x, x * 1e-17))
    back = log_split(power, factor)
    with localcontext(Context(prec=60)):
        for at, number in enumerate(Decimal(h) + Decimal(h * 1e-17) for h in x.tolist()):
            whole = Decimal(factor.high[at]) + Decimal(factor.low[at])
            share = whole * Decimal(2) ** int(power[at]) / number.exp() - 1
            assert abs(share) < Decimal(2) ** -63, x[at]
            wanted = whole.ln() + Decimal(power[at]) * Decimal(2).ln()
            assert (
                abs(Decimal(back.high[at]) + Decimal(back.low[at]) - wanted)
                <= abs(wanted) * Decimal(2) ** -62
            )


# --- steps with labels


@pytest.mark.parametrize("name", ["token-nll", "pixel-cross-entropy"])
def test_step_costs(name: str) -> None:
    """F.cross_entropy(LOGITS, [0, 2, 1, 1], reduction="none")."""
    costs = [0.6941121864019144, 2.3063557122291467, 1.580672609407224, 0.6041306053367284]
    target, pred = labels([0], [2, 1, 1]), steps(LOGITS[:1], LOGITS[1:])
    found = call(name, target, pred, from_logits=True)
    np.testing.assert_allclose(found.terms[0], [costs[0], sum(costs[1:])], rtol=1e-15)
    assert found.terms[1].tolist() == [1.0, 3.0]
    found = call(name, target, pred, from_logits=True, ignore_index=1)
    np.testing.assert_allclose(found.terms[0], costs[:2], rtol=1e-15)
    assert found.terms[1].tolist() == [1.0, 1.0]
    found = call(name, labels([-100], [-100, 1, 1], []), steps(LOGITS[:1], LOGITS[1:], []), ignore_index=-100,
                 from_logits=True)  # fmt: skip
    assert found.used.tolist() == [False, True, False]
    np.testing.assert_allclose(found.terms[0][1], costs[2] + costs[3], rtol=1e-15)
    certain = steps([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert row_values(name, labels([0, 1]), certain).tolist() == [0.0]
    assert row_values(name, labels([0, 0]), certain).tolist() == [math.inf]


@pytest.mark.parametrize("name", ["token-nll", "pixel-cross-entropy"])
def test_step_labels_must_match(name: str) -> None:
    """The totals agree, the rows do not."""
    with pytest.raises(RowRefused, match="labels: 2, steps of pred: 1"):
        call(name, labels([0, 1], [1]), steps(LOGITS[:1], LOGITS[1:3]), from_logits=True)


@pytest.mark.parametrize(
    ("name", "params", "values"),
    [
        ("token-nll", {"from_logits": True}, LOGITS),
        ("token-nll", {"from_log_probs": True}, LOGS),
        ("token-nll", {}, np.exp(LOGS)),
        ("token-nll", {"from_logits": True, "ignore_index": 2}, LOGITS),
        ("pixel-cross-entropy", {"from_logits": True}, LOGITS),
        ("pixel-cross-entropy", {"eps": 0.1}, np.exp(LOGS)),
    ],
)
def test_step_slopes(name: str, params: dict[str, Any], values: Any) -> None:
    step = 1e-3 if "from" in str(params) else 1e-5
    check_slope(name, labels([0], [2, 1, 1]), steps(values[:1], values[1:]), step, **params)


# --- edits


def test_word_and_character_errors() -> None:
    """torchmetrics word_error_rate 0.625 and char_error_rate 0.375 in all, and row by row."""
    target = np.array(["the cat sat on the mat", "naive", "hello"], object)
    pred = np.array(["a cat sat on mat now", "naïve", "yellow"], object)
    edits, words = call("wer", target, pred)
    assert (edits.tolist(), words.tolist()) == ([3.0, 1.0, 1.0], [6.0, 1.0, 1.0])
    edits, characters = call("cer", target, pred)
    assert (edits.tolist(), characters.tolist()) == ([9.0, 1.0, 2.0], [22.0, 5.0, 5.0])


def test_edits_of_empty_texts() -> None:
    target, pred = np.array(["", "", "a b", "  "], object), np.array(["", "x y", "", "z"], object)
    edits, words = call("wer", target, pred)
    assert (edits.tolist(), words.tolist()) == ([0.0, 2.0, 2.0, 1.0], [0.0, 0.0, 2.0, 0.0])


def test_edits_against_the_plain_table() -> None:
    rng = np.random.default_rng(7)
    for _ in range(300):
        a, b = ("".join(rng.choice(list("abc"), rng.integers(0, 80))) for _ in range(2))
        row = list(range(len(b) + 1))
        for i, x in enumerate(a, 1):
            last, row = row, [i]
            for j, y in enumerate(b, 1):
                row.append(min(last[j] + 1, row[-1] + 1, last[j - 1] + (x != y)))
        assert call("cer", np.array([a], object), np.array([b], object))[0][0] == row[-1], (a, b)


# --- cox

TIME = np.array([5.0, 3.0, 8.0, 3.0, 1.0, 9.0])
EVENT = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 1.0])
RISK = np.array([0.5, 1.25, -0.5, 0.25, 2.0, -1.0])
WEIGHT = np.array([1.0, 2.0, 0.5, 4.0, 0.0, 1.25])


def cox(time: Any, event: Any, pred: Any, weights: Any = None, ties: str = "breslow") -> float:
    found = get("cox-ph")
    terms = found.kernel(
        np.asarray(time, float), np.asarray(event, float), np.asarray(pred, float), ties=ties
    )
    with np.errstate(all="ignore"):
        return float(found.reduction.value(*terms, weights, ties=ties))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("weights", "ties", "expected"),
    [  # mpmath from the definition; xgboost's cox-nloglik gives 0.74166323 for the first
        (None, "breslow", 0.74166323148714414),
        (None, "efron", 0.64425243847544823),
        (WEIGHT, "breslow", 1.6019444973761467),
        (WEIGHT, "efron", 1.405739730014736),
    ],
)
def test_cox(weights: Any, ties: str, expected: float) -> None:
    assert cox(TIME, EVENT, RISK, weights, ties) == pytest.approx(expected, rel=5e-16)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_cox_does_not_depend_on_row_order(ties: str) -> None:
    rng = np.random.default_rng(11)
    time, event, pred = rng.integers(0, 9, 200), rng.integers(0, 2, 200), rng.normal(0, 30, 200)
    weights = rng.uniform(0.1, 3, 200)
    whole = cox(time, event, pred, weights, ties)
    for _ in range(5):
        order = rng.permutation(200)
        assert cox(time[order], event[order], pred[order], weights[order], ties) == whole


def test_cox_wide_scores() -> None:
    """e^900 overflows, e^−1000 underflows; 900 and 375 by mpmath."""
    pred = [-1000.0, 800.0, -700.0, 900.0]
    assert cox([1, 2, 3, 4], [1] * 4, pred) == pytest.approx(900.0, rel=1e-15)
    assert cox([4, 3, 2, 1], [1] * 4, pred) == pytest.approx(375.0, rel=1e-15)


def test_cox_tied_events_only() -> None:
    """Breslow: log 3 each; Efron: (log 3 + log 2 + log 1) / 3."""
    assert cox([1, 1, 1], [1] * 3, [0.0] * 3) == pytest.approx(math.log(3), rel=1e-15)
    assert cox([1, 1, 1], [1] * 3, [0.0] * 3, ties="efron") == pytest.approx(math.log(6) / 3, rel=1e-15)


def test_cox_without_events_or_weight() -> None:
    assert math.isnan(cox(TIME, np.zeros(6), RISK))
    weights = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    kept = weights > 0  # a row of weight zero is as good as absent, among ties too
    assert cox(TIME, EVENT, RISK, weights, "efron") == cox(TIME[kept], EVENT[kept], RISK[kept], None, "efron")
