"""Classification kernels against numbers that other programs gave.

Values marked mpmath were computed with 40 digits (mpmath 1.3.0); the others by the library named, in
float64: torch 2.13.0, optax 0.2.8, scikit-learn 1.9.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lossctl.errors import BadValue, RowRefused
from lossctl.loss.kinds import Masked, Mean, Pooled
from lossctl.loss.registry import get

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 3.0], [1.0, 1.0, 1.0], [-1.5, 0.25, 4.0]])
PROBS = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25], [0.05, 0.05, 0.9], [0.001, 0.499, 0.5]])
LABELS = np.array([0, 1, 2, 0])
SOFT = np.array([[0.6, 0.3, 0.1], [0.0, 1.0, 0.0], [0.2, 0.2, 0.6], [0.5, 0.5, 0.0]])
SIGNS = np.array([1.0, -1.0, 1.0, -1.0])
WEIGHTS = (1.0, 2.0, 4.0)


def call(name: str, *inputs: Any, **params: Any) -> Any:
    found = get(name)
    with np.errstate(all="ignore"):
        return found.kernel(*inputs, **found.resolve(params))


def rows(name: str, *inputs: Any, **params: Any) -> Any:
    """What --reduction none prints."""
    found, reduction = call(name, *inputs, **params), get(name).reduction
    terms = found.terms if isinstance(found, Masked) else found
    with np.errstate(all="ignore"):
        if isinstance(reduction, Pooled):
            return reduction.value(*terms)
        return terms[0] / terms[1] if isinstance(reduction, Mean) and isinstance(terms, tuple) else terms


def total(name: str, *inputs: Any, **params: Any) -> float:
    """The aggregate of unweighted rows."""
    found, reduction = call(name, *inputs, **params), get(name).reduction
    used: Any = slice(None)
    if isinstance(found, Masked):
        found, used = found
    terms = found if isinstance(found, tuple) else (found, 1)
    sums = [np.sum(np.broadcast_to(t, terms[0].shape)[used]) for t in terms]
    value = reduction.value if isinstance(reduction, Pooled) else np.divide
    return float(value(*sums))


def slope(name: str, *inputs: Any, **params: Any) -> Any:
    found = get(name)
    with np.errstate(all="ignore"):
        return found.gradients["pred"](*inputs, **found.resolve(params))


def near(found: Any, expected: Any, ulps: int = 2) -> None:
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        gap = np.abs(found - expected) <= ulps * np.spacing(np.abs(expected))
    assert np.all(same | gap), (found, expected)


def check_slope(name: str, target: Any, pred: Any, *, step: float = 1e-3, **params: Any) -> None:
    """Fourth-order central differences of each row's own value, one coordinate at a time."""
    found = slope(name, target, pred, **params)
    assert found.shape == pred.shape
    for at in range(pred.shape[1] if pred.ndim == 2 else 1):
        shift = np.zeros_like(pred)
        shift.T[at if pred.ndim == 2 else slice(None)] = step
        one, two = (
            rows(name, target, pred + k * shift, **params) - rows(name, target, pred - k * shift, **params)
            for k in (1, 2)
        )
        expected = (8.0 * one - two) / (12.0 * step)
        np.testing.assert_allclose(
            found[..., at] if pred.ndim == 2 else found, expected, rtol=2e-9, atol=2e-10
        )


# --- binary cross-entropy


@pytest.mark.parametrize(
    ("y", "z", "expected"),
    [  # mpmath
        (1.0, 40.0, 4.248354255291589e-18),
        (0.0, -40.0, 4.248354255291589e-18),
        (1.0, -1000.0, 1000.0),
        (0.0, 1000.0, 1000.0),
        (1.0, 1000.0, 0.0),
        (0.25, 3.0, 2.2985873515737421),
        (1.0, -3.0, 3.0485873515737421),
    ],
)
def test_bce_of_logits_keeps_its_digits(y: float, z: float, expected: float) -> None:
    near(call("bce", np.array([y]), np.array([z]), from_logits=True), [expected])


def test_bce_pos_weight_does_not_cancel() -> None:
    """z = −40, y = 0: (1 − y)z + softplus(−z) gives 0; 4.248354255291589e-18 is mpmath's."""
    near(
        call("bce", np.array([0.0, 1.0]), np.array([-40.0, 40.0]), from_logits=True, pos_weight=3.0),
        [4.248354255291589e-18, 3 * 4.248354255291589e-18],
    )


def test_bce_at_the_ends() -> None:
    y, p = np.array([1.0, 0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0, 1.0])
    near(call("bce", y, p), [0.0, 0.0, np.inf, np.inf])
    near(call("bce", y, p, log_floor=-100.0), [0.0, 0.0, 100.0, 100.0])  # torch.nn.BCELoss
    near(call("bce", y, p, eps=2.220446049250313e-16)[2:], [36.04365338911715, 36.04365338911715])  # sklearn


@pytest.mark.parametrize("params", [{}, {"pos_weight": 2.5}, {"label_smoothing": 0.1}, {"eps": 1e-3}])
@pytest.mark.parametrize("from_logits", [False, True])
def test_bce_slope(params: dict[str, float], from_logits: bool) -> None:
    pred = np.array([-3.0, -0.5, 0.25, 4.0]) if from_logits else np.array([0.1, 0.35, 0.6, 0.95])
    step = 1e-3 if from_logits else 1e-4
    check_slope("bce", np.array([1.0, 0.0, 0.3, 1.0]), pred, step=step, from_logits=from_logits, **params)


# --- cross-entropy


def test_cross_entropy_of_logits() -> None:
    expected = [0.4076059644443804, 2.1698460195562856, 1.0986122886681098, 5.527230382209746]  # torch
    near(rows("cross-entropy", LABELS, LOGITS, from_logits=True), expected)
    near(rows("cross-entropy", np.eye(3)[LABELS], LOGITS, from_logits=True), expected)
    logs = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))
    np.testing.assert_allclose(rows("cross-entropy", LABELS, logs, from_log_probs=True), expected, rtol=1e-14)
    np.testing.assert_allclose(rows("cross-entropy", LABELS, np.exp(logs)), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("logits", "label", "expected"),
    [  # mpmath
        ([40.0, 0.0, -3.0], 0, 4.459867359050697e-18),
        ([1000.0, 960.0, 0.0], 0, 4.248354255291589e-18),
        ([1000.0, 0.0, -1000.0], 1, 1000.0),
        ([1000.0, 0.0, -1000.0], 0, 0.0),
        ([0.0, -800.0, 1.0], 1, 801.31326168751822),
        ([0.0, -np.inf, 0.0], 0, 0.69314718055994531),
        ([0.0, -np.inf, 0.0], 1, np.inf),
    ],
)
def test_cross_entropy_extremes(logits: list[float], label: int, expected: float) -> None:
    near(rows("cross-entropy", np.array([label]), np.array([logits]), from_logits=True), [expected], ulps=1)


def test_cross_entropy_masked_class_counts_only_where_it_is_wanted() -> None:
    soft = np.array([[0.5, 0.0, 0.5], [0.25, 0.25, 0.5]])
    masked = np.array([[0.0, -np.inf, 0.0]] * 2)
    near(rows("cross-entropy", soft, masked, from_logits=True), [0.69314718055994531, np.inf])
    near(slope("cross-entropy", soft[:1], masked[:1], from_logits=True), [[0.0, 0.0, 0.0]])


def test_cross_entropy_weights_and_smoothing() -> None:
    """F.cross_entropy(weight=[1,2,4]): labels are divided by their weights, soft targets by N."""
    how: dict[str, Any] = {"from_logits": True, "class_weights": WEIGHTS}
    near(total("cross-entropy", LABELS, LOGITS, **how), 1.8336221925548921)
    near(total("cross-entropy", LABELS, LOGITS, label_smoothing=0.1, **how), 1.82493940073336)
    near(total("cross-entropy", SOFT, LOGITS, soft_norm="rows", **how), 4.057136005385632)
    near(total("cross-entropy", SOFT, LOGITS, **how), 16.22854402154253 / (SOFT @ WEIGHTS).sum())
    near(
        rows("cross-entropy", LABELS, LOGITS, from_logits=True, label_smoothing=0.1),
        [0.5076059644443804, 2.1365126862229524, 1.0986122886681098, 5.28556371554308],
    )


def test_cross_entropy_per_row_value_is_unweighted() -> None:
    near(
        rows("cross-entropy", LABELS, LOGITS, from_logits=True, class_weights=WEIGHTS),
        rows("cross-entropy", LABELS, LOGITS, from_logits=True),
    )


def test_cross_entropy_ignores_a_label() -> None:
    target = np.array([-100, 1, 2, -100])
    found = call("cross-entropy", target, LOGITS, from_logits=True, ignore_index=-100)
    assert found.used.tolist() == [False, True, True, False]
    # F.cross_entropy(ignore_index=0)
    near(total("cross-entropy", target, LOGITS, from_logits=True, ignore_index=-100), 1.6342291541121976)
    assert not slope("cross-entropy", target, LOGITS, from_logits=True, ignore_index=-100)[[0, 3]].any()


def test_cross_entropy_zero_probability() -> None:
    certain = np.array([[0.0, 1.0]])
    near(rows("cross-entropy", np.array([0]), certain), [np.inf])
    near(rows("cross-entropy", np.array([1]), certain), [0.0])
    near(rows("cross-entropy", np.array([[0.0, 1.0]]), certain), [0.0])
    near(rows("cross-entropy", np.array([0]), certain, eps=1e-7), [16.11809565095832])  # −log 1e-7


def test_cross_entropy_normalize() -> None:
    """keras: rows are rescaled to sum to one, so [.2, .2, .2] costs log 3."""
    near(
        rows("cross-entropy", np.array([0]), np.array([[0.2, 0.2, 0.2]]), normalize=True),
        [1.0986122886681098],
    )


def test_cross_entropy_refuses_contradictions() -> None:
    with pytest.raises(BadValue, match="from-log-probs"):
        call("cross-entropy", LABELS, LOGITS, from_logits=True, from_log_probs=True)
    with pytest.raises(BadValue, match="3 weights"):
        call("cross-entropy", LABELS, LOGITS, from_logits=True, class_weights=(1.0, 2.0))


MILD = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25], [0.1, 0.1, 0.8], [0.15, 0.35, 0.5]])
FORMS: dict[str, tuple[dict[str, Any], Any]] = {
    "logits": ({"from_logits": True}, LOGITS),
    "log-probs": ({"from_log_probs": True}, np.log(PROBS)),
    "probs": ({}, MILD),
    "normalize": ({"normalize": True}, MILD * np.array([[2.0], [0.5], [1.0], [3.0]])),
    "eps": (
        {"eps": 0.1},
        np.array([[0.7, 0.2, 0.11], [0.3, 0.04, 0.66], [0.2, 0.3, 0.5], [0.03, 0.47, 0.5]]),
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("target", ["hard", "soft", "rows"])
def test_cross_entropy_slope(form: str, smoothing: float, weights: Any, target: str) -> None:
    how, pred = FORMS[form]
    params = {**how, "label_smoothing": smoothing, "class_weights": weights}
    if target == "rows":
        params["soft_norm"] = "rows"
    step = 1e-3 if form in ("logits", "log-probs") else 2e-5
    check_slope("cross-entropy", LABELS if target == "hard" else SOFT, pred, step=step, **params)


def test_cross_entropy_slope_does_not_cancel() -> None:
    """softmax_0 − 1 at [40, 0]: −4.248354255291589e-18 (mpmath), lost by subtraction from 1."""
    near(
        slope("cross-entropy", np.array([0]), np.array([[40.0, 0.0]]), from_logits=True),
        [[-4.248354255291589e-18, 4.248354255291589e-18]],
    )


# --- perplexity, brier


def test_perplexity() -> None:
    """F.cross_entropy().exp(), torch."""
    np.testing.assert_allclose(
        total("perplexity", LABELS, LOGITS, from_logits=True), 9.982401211316851, rtol=1e-15
    )
    ignored: dict[str, Any] = {"from_logits": True, "ignore_index": -1}
    target = np.array([-1, 1, 2, -1])
    np.testing.assert_allclose(
        total("perplexity", target, LOGITS, **ignored), np.exp(1.6342291541121976), rtol=1e-15
    )
    near(rows("perplexity", np.array([1]), np.array([[0.0, 0.125]])), [8.0])
    near(rows("perplexity", np.array([0]), np.array([[0.0, 0.125]])), [np.inf])


@pytest.mark.parametrize("form", FORMS)
def test_perplexity_slope(form: str) -> None:
    how, pred = FORMS[form]
    step = 1e-3 if form in ("logits", "log-probs") else 1e-5
    target = np.array([0, 1, 2, 1])
    check_slope("perplexity", target, pred, step=step, **how)
    check_slope("perplexity", target, pred, step=step, class_weights=WEIGHTS, label_smoothing=0.1, **how)


def test_brier() -> None:
    near(rows("brier", np.array([1.0, 0.0]), np.array([0.5, 0.75])), [0.25, 0.5625])
    # sklearn.metrics.brier_score_loss(scale_by_half=False and True), three classes
    np.testing.assert_allclose(total("brier", LABELS, PROBS), 0.5067505, rtol=1e-15)
    np.testing.assert_allclose(total("brier", LABELS, PROBS, half=True), 0.25337525, rtol=1e-15)
    for target, pred in ((np.array([1.0, 0.0]), np.array([0.5, 0.75])), (LABELS, PROBS), (SOFT, PROBS)):
        check_slope("brier", target, pred)
        check_slope("brier", target, pred, half=True)


# --- focal


@pytest.mark.parametrize(
    ("z", "y", "gamma", "expected"),
    [  # mpmath
        (2.0, 1.0, 2.0, 0.0018035628352403754),
        (-1.0, 1.0, 2.0, 0.70186830341138498),
        (0.5, 0.0, 2.0, 0.37741160085940978),
        (30.0, 1.0, 2.0, 8.1940126239885985e-40),
        (-1000.0, 1.0, 2.0, 1000.0),
        (1000.0, 1.0, 2.0, 0.0),
        (30.0, 0.0, 0.5, 29.99999999999869),
        (1000.0, 1.0, 0.0, 0.0),
    ],
)
def test_binary_focal_of_logits(z: float, y: float, gamma: float, expected: float) -> None:
    near(
        call("binary-focal", np.array([y]), np.array([z]), from_logits=True, gamma=gamma), [expected], ulps=3
    )


def test_binary_focal_balance_and_soft_targets() -> None:
    """optax.losses.sigmoid_focal_loss(alpha=0.25); for soft targets its formula in mpmath."""
    z = np.array([2.0, -1.0, 0.5])
    how = {"alpha": 0.25, "from_logits": True}
    near(
        call("binary-focal", np.array([1.0, 1.0, 0.0]), z, **how),
        [0.0004508907088100937, 0.17546707585284624, 0.2830587006445573],
        ulps=4,
    )
    near(
        call("binary-focal", np.array([0.9, 0.3, 0.5]), z, **how),
        [0.0037433037855954012, 0.061124525572357498, 0.090509623022513335],
        ulps=4,
    )


def test_binary_focal_at_the_ends() -> None:
    y, p = np.array([1.0, 0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0, 1.0])
    near(call("binary-focal", y, p), [0.0, 0.0, np.inf, np.inf])
    assert slope("binary-focal", y, p).tolist() == [0.0, 0.0, -np.inf, np.inf]
    assert slope("binary-focal", y, p, gamma=0.0).tolist() == [-1.0, 1.0, -np.inf, np.inf]
    assert slope("binary-focal", y, p, eps=0.25).tolist() == [0.0] * 4
    bounded = call("binary-focal", y, p, eps=0.25)
    near(bounded, call("binary-focal", y, np.clip(p, 0.25, 0.75)), ulps=2)
    near(call("binary-focal", y, 80.0 * p - 40.0, eps=0.25, from_logits=True), bounded, ulps=4)
    assert slope("binary-focal", y, 80.0 * p - 40.0, eps=0.25, from_logits=True).tolist() == [0.0] * 4


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_binary_focal_slope(gamma: float, alpha: float | None) -> None:
    y = np.array([1.0, 0.0, 0.3, 1.0])
    how: dict[str, Any] = {"gamma": gamma, "alpha": alpha}
    check_slope("binary-focal", y, np.array([-3.0, -0.5, 0.25, 4.0]), from_logits=True, **how)
    check_slope("binary-focal", y, np.array([0.1, 0.35, 0.6, 0.9]), step=1e-4, **how)


@pytest.mark.parametrize(
    ("logits", "label", "gamma", "expected"),
    [  # mpmath
        ([20.0, 0.0, 0.0], 0, 2.0, 7.0052085379631613e-26),
        ([2.0, 1.0, 0.0], 0, 2.0, 0.045677798967884889),
        ([0.0, 1.0, 3.0], 1, 0.5, 2.0421983951873529),
        ([30.0, 35.0, 0.0], 0, 2.0, 4.9399212216700816),
        ([1000.0, 0.0, -1000.0], 1, 2.0, 1000.0),
        ([1000.0, 0.0, -1000.0], 0, 0.0, 0.0),
        ([0.0, -np.inf, -np.inf], 0, 2.0, 0.0),
        ([0.0, -np.inf, 0.0], 1, 2.0, np.inf),
    ],
)
def test_focal_of_logits(logits: list[float], label: int, gamma: float, expected: float) -> None:
    how = {"from_logits": True, "gamma": gamma}
    near(rows("focal", np.array([label]), np.array([logits]), **how), [expected], ulps=3)
    near(rows("focal", np.eye(3)[[label]], np.array([logits]), **how), [expected], ulps=3)


def test_focal_alpha_and_ignore() -> None:
    plain = rows("focal", LABELS, LOGITS, from_logits=True)
    near(rows("focal", LABELS, LOGITS, from_logits=True, alpha=0.25), 0.25 * plain)
    listed = rows("focal", LABELS, LOGITS, from_logits=True, alpha=(0.5, 2.0, 4.0))
    near(listed, plain * [0.5, 2.0, 4.0, 0.5])
    near(
        rows("focal", LABELS, LOGITS, from_logits=True, gamma=0),
        rows("cross-entropy", LABELS, LOGITS, from_logits=True),
    )
    found = call("focal", np.array([7, 1, 2, 0]), LOGITS, from_logits=True, ignore_index=7)
    assert found.used.tolist() == [False, True, True, True]
    with pytest.raises(BadValue, match="alpha"):
        call("focal", LABELS, LOGITS, alpha=(1.0, 2.0))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("soft", [False, True])
def test_focal_slope(form: str, gamma: float, soft: bool) -> None:
    how, pred = FORMS[form]
    step = 1e-3 if form in ("logits", "log-probs") else 2e-5
    params = {**how, "gamma": gamma, "alpha": (0.5, 1.0, 2.0)}
    check_slope("focal", SOFT if soft else LABELS, pred, step=step, **params)


def test_weightless_rows_cost_nothing() -> None:
    """0·∞ = 0: a class without weight cannot spoil the sum."""
    never = np.array([[0.0, 1.0], [1.0, 0.0]])
    near(call("focal", np.array([0, 1]), never, alpha=(0.0, 2.0)), [0.0, np.inf])
    assert slope("focal", np.array([0]), never[:1], alpha=0.0).tolist() == [[0.0, 0.0]]
    ends = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    near(call("binary-focal", *ends, alpha=0.0), [0.0, np.inf])
    near(call("binary-focal", *ends, alpha=1.0), [np.inf, 0.0])
    assert slope("binary-focal", *ends, alpha=1.0)[1] == 0.0
    near(call("bce", *ends, pos_weight=0.0), [0.0, np.inf])
    assert slope("bce", *ends, pos_weight=0.0)[0] == 0.0
    found = call("cross-entropy", np.array([0, 1]), never, class_weights=(0.0, 1.0))
    near(found[0], [0.0, np.inf])


def test_focal_of_log_probabilities_above_zero() -> None:
    """A log-probability rounded above 0 is certainty, not the power of a negative number."""
    near(rows("focal", np.array([0]), np.array([[1e-16, -40.0]]), from_log_probs=True, gamma=0.5), [0.0])


def test_focal_slope_at_certainty() -> None:
    sure = np.array([[1.0, 0.0]])
    assert slope("focal", np.array([0]), sure, gamma=0.5).tolist() == [[0.0, 0.0]]
    assert slope("focal", np.array([1]), sure).tolist() == [[0.0, -np.inf]]


# --- decisions


def test_zero_one() -> None:
    near(call("zero-one", np.array([0, 1, 2, 0]), np.array([2.0, 1.0, 2.0, 0.0])), [1, 0, 0, 0])  # sklearn
    p = np.array([0.0, 0.5, 0.5000001, 1.0, 0.25])
    near(call("zero-one", np.array([0, 1, 1, 1, 1]), p), [0, 1, 0, 0, 1])  # a tie with 0.5 is a negative
    near(call("zero-one", np.array([0, 1, 1, 1, 1]), p, threshold=0.2), [0, 0, 0, 0, 0])
    near(call("zero-one", np.array([0, 3]), np.array([0, 2])), [0, 1])  # codes of text labels
    with pytest.raises(RowRefused, match=r"2\.5") as refused:
        call("zero-one", np.array([0, 2]), np.array([0.5, 2.5]))
    assert refused.value.at == 1


def test_hamming() -> None:
    target = np.array([[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    near(call("hamming", target, np.array([[0.9, 0.6, 0.0, 0.5], [0.0, 0.0, 1.0, 1.0]])), [0.5, 0.0])


def test_top_k_error() -> None:
    scores = np.array([[0.1, 0.2, 0.3], [0.3, 0.3, 0.3], [-np.inf, 0.0, 1.0]])
    labels = np.array([1, 0, 0])
    near(call("top-k-error", labels, scores, k=1), [1, 1, 1])
    near(
        call("top-k-error", labels, scores, k=2), [0, 1, 1]
    )  # ties count against the prediction, as lightgbm
    near(call("top-k-error", labels, scores, k=3), [0, 0, 0])
    near(call("top-k-error", labels, scores), [0, 0, 0])


# --- margins


def test_binary_margins() -> None:
    z = np.array([2.0, -1.5, -0.25, 0.75])
    near(call("hinge", SIGNS, z), [0.0, 0.0, 1.25, 1.75])  # optax
    near(call("squared-hinge", SIGNS, z), [0.0, 0.0, 1.5625, 3.0625])
    near(call("squared-hinge", SIGNS, z, margin=0.5), [0.0, 0.0, 0.5625, 1.5625])
    expected = [0.1269280110429725, 0.2014132779827524, 0.8259394198788436, 1.1368710061148999]  # torch
    near(call("soft-margin", SIGNS, z), expected)
    near(
        call("soft-margin", SIGNS[:2], np.array([-1000.0, -40.0])), [1000.0, 4.248354255291589e-18]
    )  # mpmath
    near(call("exponential", SIGNS, np.array([0.0, 1.0, -1000.0, -1000.0])), [1.0, np.e, np.inf, 0.0])
    near(
        call("hinge-embedding", SIGNS, np.array([0.25, 0.75, 2.0, 0.125])), [0.25, 0.25, 2.0, 0.875]
    )  # torch
    near(
        call("hinge-embedding", SIGNS, np.array([0.25, 0.75, 2.0, 0.125]), margin=0.5),
        [0.25, 0.0, 2.0, 0.375],
    )


@pytest.mark.parametrize("name", ["hinge", "squared-hinge", "soft-margin", "exponential", "hinge-embedding"])
def test_binary_margin_slopes(name: str) -> None:
    check_slope(name, SIGNS, np.array([2.0, -1.5, -0.25, 0.75]))


def test_class_margins() -> None:
    near(call("multiclass-hinge", LABELS, LOGITS), [0.0, 3.0, 1.0, 6.5])  # optax
    near(call("multiclass-hinge", LABELS, LOGITS, squared=True), [0.0, 9.0, 1.0, 42.25])
    # torch.nn.functional.multi_margin_loss
    near(call("multi-margin", LABELS, LOGITS), [0.0, 1.0, 2 / 3, 3.0833333333333335])
    near(call("multi-margin", LABELS, LOGITS, p=2), [0.0, 3.0, 2 / 3, 16.604166666666668])
    near(call("multi-margin", LABELS, LOGITS, margin=0.5), [0.0, 2.5 / 3, 1 / 3, 2.75])
    lone = np.array([[3.0]])
    near(call("multiclass-hinge", np.array([0]), lone), [0.0])


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("multiclass-hinge", {}),
        ("multiclass-hinge", {"squared": True}),
        ("multi-margin", {}),
        ("multi-margin", {"p": 2.0}),
        ("multi-margin", {"p": 1.5, "margin": 0.75}),
    ],
)
def test_class_margin_slopes(name: str, params: dict[str, Any]) -> None:
    pred = np.array([[2.0, 1.125, 0.25], [0.1, 1.0, 3.0], [1.0, 1.25, 1.5], [-1.5, 0.3, 4.0]])
    check_slope(name, LABELS, pred, **params)


NAMES = [
    ("bce", {"from_logits": True}),
    ("cross-entropy", {"from_logits": True}),
    ("cross-entropy", {"label_smoothing": 0.1, "normalize": True}),
    ("focal", {"from_logits": True}),
    ("brier", {}),
    ("multi-margin", {}),
    ("top-k-error", {"k": 2}),
]


@pytest.mark.parametrize(("name", "params"), NAMES)
def test_rows_do_not_depend_on_the_block(name: str, params: dict[str, Any]) -> None:
    """The same bits for a row alone as among a thousand others."""
    rng = np.random.default_rng(1)
    pred = rng.dirichlet(np.ones(7), 1000)
    target = rng.integers(0, 7, 1000)
    if name == "bce":
        pred, target = pred[:, 0], (target > 3).astype(float)
    whole = rows(name, target, pred, **params)
    parts = [rows(name, target[i : i + n], pred[i : i + n], **params) for i, n in ((0, 1), (1, 6), (7, 993))]
    assert np.array_equal(whole, np.concatenate(parts))
