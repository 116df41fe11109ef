"""scikit-learn: metrics with sample weights, and the per-row losses of its estimators with gradients."""

from __future__ import annotations

from typing import Any

import data as d
import numpy as np
import sklearn.metrics as m
from common import Golden
from sklearn._loss import loss as estimator
from sklearn.linear_model import _sgd_fast as sgd


def pairs(
    g: Golden,
    spec: str,
    name: str,
    target: Any,
    pred: Any,
    *,
    reduction: str = "mean",
    weight: Any = None,
    like: bool = True,
    flip: bool = False,
    **params: Any,
) -> None:
    """One metric over target and pred, plain, as `--like sklearn`, and weighted."""
    call = f"sklearn.metrics.{name}({', '.join(f'{k}={v!r}' for k, v in params.items())})"
    metric = getattr(m, name)
    for w in (None, weight) if weight else (None,):
        value = metric(target, pred, sample_weight=w, **params)
        value = 1 - value if flip else value
        for lib in (None, "sklearn") if like else (None,):
            g.add(
                spec,
                ("1 - " if flip else "") + call,
                value,
                like=lib,
                reduction=reduction,
                weight=w,
                target=target,
                pred=pred,
            )


def regression(g: Golden) -> None:
    for target, pred, w in ((d.Y, d.P, d.W), (d.Y_2D, d.P_2D, d.W_3)):
        pairs(g, "mse", "mean_squared_error", target, pred, weight=w)
        pairs(g, "mae", "mean_absolute_error", target, pred, weight=w)
        pairs(g, "mape", "mean_absolute_percentage_error", target, pred, weight=w)
        pairs(g, "r2-loss", "r2_score", target, pred, weight=w, reduction="pooled", flip=True)
        for tau in (0.5, 0.1, 0.9):
            pairs(g, f"quantile:tau={tau}", "mean_pinball_loss", target, pred, weight=w, alpha=tau)
    pairs(g, "mape:zero=eps", "mean_absolute_percentage_error", [0.0, 1.0, -2.0], [1.0, 1.0, -2.5])
    pairs(g, "rmse", "root_mean_squared_error", d.Y, d.P, weight=d.W, reduction="pooled")
    pairs(g, "medae", "median_absolute_error", d.Y, d.P, weight=d.W, reduction="pooled")
    pairs(
        g,
        "medae",
        "median_absolute_error",
        d.Y[:5],
        d.P[:5],
        weight=[1.0, 1.0, 2.0, 1.0, 1.0],
        reduction="pooled",
    )
    pairs(g, "medae", "median_absolute_error", d.Y_TAIL, d.P_TAIL, reduction="pooled")
    g.add(
        "max-error",
        "sklearn.metrics.max_error()",
        m.max_error(d.Y, d.P),
        reduction="pooled",
        target=d.Y,
        pred=d.P,
    )
    pairs(g, "r2-loss", "r2_score", d.Y_TAIL, d.P_TAIL, reduction="pooled", flip=True)
    level, mixed = [2.0, 2.0, 2.0], [[2.0, 1.0], [2.0, 3.0], [2.0, 5.0]]
    for target, pred in (
        (level, [1.0, 2.0, 3.0]),
        (level, level),
        (mixed, [[1.0, 1.0], [2.0, 3.5], [3.0, 5.0]]),
    ):
        pairs(g, "r2-loss:finite=true", "r2_score", target, pred, reduction="pooled", flip=True)
    pairs(g, "msle", "mean_squared_log_error", d.COUNT, d.RATE, weight=d.W)
    pairs(g, "msle", "mean_squared_log_error", [1.0, 0.0], [-0.5, 2.0])
    pairs(g, "rmsle", "root_mean_squared_log_error", d.COUNT, d.RATE, weight=d.W, reduction="pooled")
    pairs(g, "poisson-deviance", "mean_poisson_deviance", d.COUNT, d.RATE, weight=d.W)
    pairs(g, "gamma-deviance", "mean_gamma_deviance", d.POSITIVE, d.RATE, weight=d.W)
    for power in (1.5, 0, 1, 2, 3, 1.01, 1.99, -1.5):
        target = d.COUNT if 1 <= power < 2 else d.POSITIVE
        pairs(
            g,
            f"tweedie-deviance:power={power}",
            "mean_tweedie_deviance",
            target,
            d.RATE,
            weight=d.W,
            power=power,
        )
    any_sign = [-1.0, 2.0, 0.0, -30.0, 1e-3, 4.0]
    pairs(g, "tweedie-deviance:power=0", "mean_tweedie_deviance", any_sign, d.P, weight=d.W, power=0)
    for power in (-1, -1.5, -0.1):
        pairs(
            g,
            f"tweedie-deviance:power={power}",
            "mean_tweedie_deviance",
            any_sign,
            d.RATE,
            weight=d.W,
            power=power,
        )


def estimators(g: Golden) -> None:
    """The losses of gradient boosting and linear models: `raw` is the prediction, or its log, or a logit."""
    table = [
        ("half-mse", estimator.HalfSquaredError(), d.Y, d.P),
        ("mae", estimator.AbsoluteError(), d.Y, d.P),
        ("quantile:tau=0.25", estimator.PinballLoss(quantile=0.25), d.Y, d.P),
        ("huber:delta=0.75", estimator.HuberLoss(quantile=0.9, delta=0.75), d.Y, d.P),
        ("bce:from-logits=true", estimator.HalfBinomialLoss(), d.BIN, d.LOGIT),
        ("bce:from-logits=true", estimator.HalfBinomialLoss(), d.SOFT, d.LOGIT_TAIL),
        ("exponential", estimator.ExponentialLoss(), d.BIN, d.LOGIT),
    ]
    for spec, loss, target, pred in table:
        value, grad = loss.loss_gradient(np.array(target), np.array(pred))
        call = f"sklearn._loss.loss.{type(loss).__name__}"
        # what leaves out constants of the target only is right for gradients alone
        g.add(spec, call, value, reduction="none", rtol=1e-11, target=target, pred=pred)
        if spec not in ("mae", "quantile:tau=0.25"):
            g.add(
                spec,
                call,
                {"grad_pred": grad},
                reduction="none",
                grad=True,
                rtol=1e-11,
                target=target,
                pred=pred,
            )
    for spec, loss, target in (
        ("epsilon-insensitive", sgd.EpsilonInsensitive(0.1), d.Y),
        ("epsilon-insensitive:epsilon=0.75", sgd.EpsilonInsensitive(0.75), d.Y),
        ("epsilon-insensitive:epsilon=0.3:squared=true", sgd.SquaredEpsilonInsensitive(0.3), d.Y),
        ("hinge", sgd.Hinge(1.0), d.SIGNS),
        ("squared-hinge:margin=0.5", sgd.SquaredHinge(0.5), d.SIGNS),
        ("squared-hinge", sgd.SquaredHinge(1.0), d.SIGNS),
    ):
        call = f"sklearn.linear_model._sgd_fast.{type(loss).__name__}"
        g.add(
            spec,
            call,
            [loss.py_loss(p, y) for y, p in zip(target, d.P, strict=True)],
            reduction="none",
            target=target,
            pred=d.P,
        )
        grads = {"grad_pred": [loss.py_dloss(p, y) for y, p in zip(target, d.P, strict=True)]}
        g.add(spec, call, grads, reduction="none", grad=True, target=target, pred=d.P)


def classification(g: Golden) -> None:
    for target, pred in ((d.BIN, d.PROB), ([1.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.25, 0.5])):
        w = d.W[: len(pred)]
        pairs(g, "bce:eps=2.220446049250313e-16", "log_loss", target, pred, weight=w)
    g.add(
        "bce",
        "sklearn.metrics.log_loss",
        m.log_loss(d.BIN, d.PROB_END),
        like="sklearn",
        target=d.BIN,
        pred=d.PROB_END,
    )
    for pred, eps in ((d.PROBS, ""), (d.PROBS_END, ":eps=2.220446049250313e-16")):
        pairs(g, "cross-entropy" + eps, "log_loss", d.LABEL, pred, weight=d.W_4)
        g.add(
            "cross-entropy" + eps,
            "sklearn.metrics.log_loss(normalize=False)",
            m.log_loss(d.LABEL, pred, normalize=False),
            reduction="sum",
            target=d.LABEL,
            pred=pred,
        )
    names = [["cat", "dog", "eel"][k] for k in d.LABEL]
    g.add(
        "cross-entropy:classes=[cat,dog,eel]",
        "sklearn.metrics.log_loss",
        m.log_loss(names, d.PROBS),
        target=names,
        pred=d.PROBS,
    )
    for half in (False, True):
        tail = f":half={str(half).lower()}"
        pairs(
            g,
            "brier" + tail,
            "brier_score_loss",
            d.BIN,
            d.PROB,
            weight=d.W,
            like=False,
            scale_by_half=True,
        ) if not half else None
        pairs(
            g,
            "brier" + tail,
            "brier_score_loss",
            d.LABEL,
            d.PROBS,
            weight=d.W_4,
            like=False,
            scale_by_half=half,
        )
    pairs(g, "brier", "brier_score_loss", d.BIN, d.PROB, weight=d.W)
    hard = [2, 1, 2, 0]
    pairs(g, "zero-one", "zero_one_loss", d.LABEL, hard, weight=d.W_4)
    g.add(
        "zero-one",
        "sklearn.metrics.zero_one_loss(normalize=False)",
        m.zero_one_loss(d.LABEL, hard, normalize=False),
        reduction="sum",
        target=d.LABEL,
        pred=hard,
    )
    for k in (1, 2):
        value = 1 - m.top_k_accuracy_score(d.LABEL, d.LOGITS[:2] + d.PROBS[2:], k=k, sample_weight=d.W_4)
        g.add(
            f"top-k-error:k={k}",
            f"1 - sklearn.metrics.top_k_accuracy_score(k={k})",
            value,
            weight=d.W_4,
            target=d.LABEL,
            pred=d.LOGITS[:2] + d.PROBS[2:],
        )
    for target in (d.SIGNS, d.BIN):
        pairs(g, "hinge", "hinge_loss", target, d.LOGIT, weight=d.W)
        pairs(g, "hinge", "hinge_loss", target, d.LOGIT_TAIL)
    pairs(g, "multiclass-hinge", "hinge_loss", d.LABEL, d.LOGITS, weight=d.W_4)
    pairs(g, "multiclass-hinge", "hinge_loss", d.LABEL, d.LOGITS_TAIL)
    hard_multi = (np.array(d.MULTI_SCORE) > 0.5).astype(int).tolist()
    for w in (None, d.W_5):
        value = m.hamming_loss(d.MULTI, hard_multi, sample_weight=w)
        if w is None:
            g.add("hamming", "sklearn.metrics.hamming_loss", value, weight=w, target=d.MULTI, pred=hard_multi)
            g.add(
                "hamming:threshold=0.5",
                "sklearn.metrics.hamming_loss(pred > 0.5)",
                value,
                weight=w,
                target=d.MULTI,
                pred=d.MULTI_SCORE,
            )


def ranking(g: Golden) -> None:
    for score in (d.MULTI_SCORE, [[1.0, 0.0, 0.0, 2.0]] * 5, [[0.0] * 4] * 5):
        pairs(g, "label-ranking", "label_ranking_loss", d.MULTI, score, weight=d.W_5)
        pairs(g, "coverage-error", "coverage_error", d.MULTI, score, weight=d.W_5)
    for k in (None, 1, 2, 3):
        tail = "" if k is None else f":k={k}"
        for gain in ("linear", "exponential"):
            found = []
            for group in (1, 2):
                at = [i for i, x in enumerate(d.GROUP) if x == group]
                rel = np.array([[d.RELEVANCE[i] for i in at]])
                rel = rel if gain == "linear" else 2**rel - 1
                found.append(1 - m.ndcg_score(rel, [[d.SCORE[i] for i in at]], k=k))
            inputs = {"group": d.GROUP, "target": d.RELEVANCE, "pred": d.SCORE}
            for empty, last in (("1", 0.0), ("0", 1.0), ("skip", None)):
                values = found if last is None else [*found, last]
                g.add(
                    f"ndcg-loss:gain={gain}:empty={empty}{tail}",
                    f"mean of 1 - ndcg_score(k={k}), third group {last}",
                    float(np.mean(values)),
                    **inputs,
                )
    rel = [[3.0, 2.0, 0.0, 1.0], [0.0, 2.0, 1.0, 0.0]]
    score = [[0.125, 0.5, 0.375, 0.25], [1.0, 1.0, -0.5, -9.0]]
    g.add(
        "ndcg-loss",
        "1 - sklearn.metrics.ndcg_score",
        1 - m.ndcg_score(rel, score),
        like="sklearn",
        group=[1] * 4 + [2] * 4,
        target=[x for row in rel for x in row],
        pred=[x for row in score for x in row],
    )


def make() -> Golden:
    g = Golden("sklearn", ("scikit-learn",))
    for part in (regression, estimators, classification, ranking):
        part(g)
    return g
