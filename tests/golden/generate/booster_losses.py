"""XGBoost, LightGBM and CatBoost: their evaluation metrics over given predictions, without any tree.

XGBoost keeps predictions and LightGBM labels in float32, so the inputs are numbers that float32 holds
exactly where that library needs it, and XGBoost, which also computes rows in float32, is compared to 1e-5.
"""

from __future__ import annotations

from typing import Any

import catboost.utils
import data as d
import lightgbm as lgb
import numpy as np
import xgboost as xgb
from common import Golden

Y = [3.0, -0.5, 2.0, 7.0, 1.0, -4.25]
P = [2.5, 0.0, 2.25, 8.0, -4.0, -4.0]
W = [1.0, 2.0, 0.5, 4.0, 0.25, 1.25]
POSITIVE = [0.5, 1.0, 3.5, 7.0, 250.0, 2.0]
RATE = [0.25, 1.5, 2.0, 9.5, 240.0, 0.125]
PROB = [0.875, 0.25, 0.375, 0.625, 0.9921875, 0.03125]
PROBS = [[0.75, 0.125, 0.125], [0.25, 0.5, 0.25], [0.0625, 0.0625, 0.875], [0.25, 0.25, 0.5]]


def of_xgboost(metric: str, target: Any, pred: Any, weight: Any = None, **params: Any) -> float:
    data = xgb.DMatrix(np.zeros((len(target), 1)), label=target, weight=weight, base_margin=np.array(pred))
    if "group" in params:
        data.set_group(params.pop("group"))
    booster = xgb.Booster(
        {"objective": "reg:squarederror", "base_score": 0, "eval_metric": metric} | params, [data]
    )
    return float(booster.eval(data).split(":")[-1])


def of_lightgbm(metric: str, target: Any, pred: Any, weight: Any = None, **params: Any) -> float:
    scores = np.array(pred, dtype=np.float64)
    group = params.pop("group", None)
    quiet = {"verbose": -1, "feature_pre_filter": False, "min_data_in_bin": 1}
    data = lgb.Dataset(
        np.zeros((len(target), 1)),
        label=target,
        weight=weight,
        init_score=scores.ravel(order="F"),
        group=group,
        params=quiet,
    )
    chosen = {"objective": "custom", "metric": metric, "num_threads": 1} | quiet | params
    return float(lgb.Booster(chosen, data).eval_train()[0].metric_value)


def of_catboost(metric: str, target: Any, pred: Any, weight: Any = None, **extra: Any) -> float:
    return float(
        catboost.utils.eval_metric(target, np.array(pred), metric, weight=weight, thread_count=1, **extra)[0]
    )


def xgboost() -> Golden:
    g = Golden("xgboost", ("xgboost",))
    table: list[tuple[str, str, str, Any, Any]] = [
        ("rmse", "pooled", "rmse", Y, P),
        ("mae", "mean", "mae", Y, P),
        ("mape", "mean", "mape", Y, P),
        ("rmsle", "pooled", "rmsle", POSITIVE, RATE),
        ("pseudo-huber", "mean", "mphe", Y, P),
        ("bce", "mean", "logloss", d.BIN, PROB),
        ("zero-one", "mean", "error", d.BIN, PROB),
        ("zero-one:threshold=0.25", "mean", "error@0.25", d.BIN, PROB),
        ("poisson-nll:full=true", "mean", "poisson-nloglik", d.COUNT, RATE),
        ("gamma-deviance", "mean", "gamma-deviance", POSITIVE, RATE),
    ]
    for spec, reduction, metric, target, pred in table:
        for w in (None, W):
            g.add(
                spec,
                f"xgboost {metric}",
                of_xgboost(metric, target, pred, w),
                reduction=reduction,
                weight=w,
                rtol=1e-5,
                target=target,
                pred=pred,
            )
        if spec not in ("zero-one:threshold=0.25", "gamma-deviance"):
            value = of_xgboost(metric, target, pred)
            bare = spec.split(":")[0] if spec.startswith(("zero", "bce")) else spec
            g.add(
                bare,
                f"xgboost {metric}",
                value,
                like="xgboost",
                reduction=reduction,
                rtol=1e-5,
                target=target,
                pred=pred,
            )
    for slope in (0.5, 2.0):
        value = of_xgboost("mphe", Y, P, huber_slope=slope)
        g.add(
            f"pseudo-huber:delta={slope}",
            f"xgboost mphe, huber_slope={slope}",
            value,
            rtol=1e-5,
            target=Y,
            pred=P,
        )
    for tau in (0.1, 0.75):
        value = of_xgboost("quantile", Y, P, quantile_alpha=tau, objective="reg:quantileerror")
        g.add(
            f"quantile:tau={tau}",
            f"xgboost quantile, quantile_alpha={tau}",
            value,
            rtol=1e-5,
            target=Y,
            pred=P,
        )
    ends = [0.0, 1.0, 1.0, 0.0, 0.25, 0.5]
    g.add(
        "bce",
        "xgboost logloss",
        of_xgboost("logloss", d.BIN, ends),
        like="xgboost",
        rtol=1e-5,
        target=d.BIN,
        pred=ends,
    )
    g.add(
        "mape",
        "xgboost mape",
        of_xgboost("mape", [0.0, 1.0], [1.0, 1.0]),
        like="xgboost",
        target=[0.0, 1.0],
        pred=[1.0, 1.0],
    )
    flat = {"num_class": 3, "objective": "multi:softprob"}
    logs = np.log(PROBS)
    for w in (None, d.W_4):
        g.add(
            "cross-entropy",
            "xgboost mlogloss",
            of_xgboost("mlogloss", d.LABEL, logs, w, **flat),
            rtol=1e-5,
            weight=w,
            target=d.LABEL,
            pred=PROBS,
        )
        g.add(
            "top-k-error:k=1",
            "xgboost merror",
            of_xgboost("merror", d.LABEL, logs, w, **flat),
            rtol=1e-5,
            weight=w,
            target=d.LABEL,
            pred=PROBS,
        )
    rank = {
        "group": d.GROUP[:4] + d.GROUP[7:],
        "target": d.RELEVANCE[:4] + d.RELEVANCE[7:],
        "pred": d.SCORE[:4] + d.SCORE[7:],
    }
    for exponential, gain in ((True, "exponential"), (False, "linear")):
        for empty, mark in (("1", ""), ("0", "-")):
            for k in ("", "2"):
                name = f"ndcg{'@' + k if k else ('@6' if mark else '')}{mark}"
                value = of_xgboost(
                    name,
                    rank["target"],
                    rank["pred"],
                    group=[4, 2],
                    ndcg_exp_gain=exponential,
                    objective="rank:ndcg",
                )
                tail = f":k={k}" if k else ""
                g.add(
                    f"ndcg-loss:gain={gain}:empty={empty}{tail}",
                    f"1 - xgboost {name}, ndcg_exp_gain={exponential}",
                    1 - value,
                    rtol=1e-5,
                    **rank,
                )
                if exponential and not mark:
                    g.add(
                        f"ndcg-loss{tail}",
                        f"1 - xgboost {name}",
                        1 - value,
                        like="xgboost",
                        rtol=1e-5,
                        **rank,
                    )
    # Cox: a negative time where the event was not seen, sorted by |time|
    order = np.argsort(d.TIME, kind="stable")
    signed = np.where(np.array(d.EVENT) == 1, d.TIME, -np.array(d.TIME))[order]
    value = of_xgboost("cox-nloglik", signed, np.array(d.RISK)[order], objective="survival:cox")
    for like in (None, "xgboost"):
        g.add(
            "cox-ph",
            "xgboost cox-nloglik",
            value,
            like=like,
            reduction="pooled",
            rtol=1e-5,
            time=d.TIME,
            event=d.EVENT,
            pred=d.RISK,
        )
    return g


def lightgbm() -> Golden:
    g = Golden("lightgbm", ("lightgbm",))
    table: list[tuple[str, str, str, Any, Any, dict[str, Any]]] = [
        ("mse", "mean", "l2", Y, P, {}),
        ("mae", "mean", "l1", Y, P, {}),
        ("rmse", "pooled", "rmse", Y, P, {}),
        ("huber:delta=0.9", "mean", "huber", Y, P, {"alpha": 0.9}),
        ("huber:delta=2.5", "mean", "huber", Y, P, {"alpha": 2.5}),
        ("quantile:tau=0.9", "mean", "quantile", Y, P, {"alpha": 0.9}),
        ("fair:c=1", "mean", "fair", Y, P, {"fair_c": 1.0}),
        ("fair:c=0.25", "mean", "fair", Y, P, {"fair_c": 0.25}),
        ("bce", "mean", "binary_logloss", d.BIN, PROB, {}),
        ("zero-one", "mean", "binary_error", d.BIN, PROB, {}),
        ("bce", "mean", "cross_entropy", [0.5, 0.25, 1.0, 0.0, 1.0, 0.125], PROB, {}),
        ("poisson-nll", "mean", "poisson", d.COUNT, RATE, {}),
    ]
    for spec, reduction, metric, target, pred, params in table:
        for w in (None, W):
            value = of_lightgbm(metric, target, pred, w, **params)
            g.add(
                spec,
                f"lightgbm {metric} {params or ''}",
                value,
                reduction=reduction,
                weight=w,
                target=target,
                pred=pred,
            )
    for spec, reduction, metric in (
        ("mse", "mean", "l2"),
        ("huber", "mean", "huber"),
        ("quantile", "mean", "quantile"),
        ("fair", "mean", "fair"),
        ("rmse", "pooled", "rmse"),
        ("mae", "mean", "l1"),
    ):
        g.add(
            spec,
            f"lightgbm {metric}, its defaults",
            of_lightgbm(metric, Y, P),
            like="lightgbm",
            reduction=reduction,
            target=Y,
            pred=P,
        )
    ends = [0.0, 1.0, 1.0, 0.0, 0.25, 0.5]
    g.add(
        "bce",
        "lightgbm binary_logloss",
        of_lightgbm("binary_logloss", d.BIN, ends),
        like="lightgbm",
        target=d.BIN,
        pred=ends,
    )
    for w in (None, d.W_4):
        for spec, metric, more in (
            ("cross-entropy", "multi_logloss", {}),
            ("top-k-error:k=2", "multi_error", {"multi_error_top_k": 2}),
        ):
            # no ties: LightGBM counts a tie with the k-th as an error
            pred = PROBS if spec == "cross-entropy" else [*d.LOGITS[:2], PROBS[2], [0.25, 0.125, 0.625]]
            value = of_lightgbm(metric, d.LABEL, pred, w, num_class=3, **more)
            g.add(spec, f"lightgbm {metric}", value, weight=w, target=d.LABEL, pred=pred)
    rank = {
        "group": d.GROUP[:4] + d.GROUP[7:],
        "target": d.RELEVANCE[:4] + d.RELEVANCE[7:],
        "pred": d.SCORE[:4] + d.SCORE[7:],
    }
    for k in (1, 2, 4):
        value = 1 - of_lightgbm("ndcg", rank["target"], rank["pred"], group=[4, 2], eval_at=[k])
        g.add(f"ndcg-loss:gain=exponential:empty=1:k={k}", f"1 - lightgbm ndcg@{k}", value, **rank)
        g.add(f"ndcg-loss:k={k}", f"1 - lightgbm ndcg@{k}", value, like="lightgbm", **rank)
    return g


def catboost_() -> Golden:
    g = Golden("catboost", ("catboost",))
    table: list[tuple[str, str, str, Any, Any]] = [
        ("rmse", "pooled", "RMSE", Y, P),
        ("mae", "mean", "MAE", Y, P),
        ("smape:scale=200", "mean", "SMAPE", Y, P),
        ("msle", "mean", "MSLE", d.COUNT, d.RATE),
        ("r2-loss", "pooled", "R2", Y, P),
        ("log-cosh", "mean", "LogCosh", Y, P),
        ("huber:delta=1.5", "mean", "Huber:delta=1.5", Y, P),
        ("expectile:tau=0.25", "mean", "Expectile:alpha=0.25", Y, P),
        ("lq:q=1.5", "mean", "Lq:q=1.5", Y, P),
        ("lq:q=3", "mean", "Lq:q=3", Y, P),
        ("fair:c=1", "mean", "FairLoss:smoothness=1", Y, P),
        ("fair:c=2.5", "mean", "FairLoss:smoothness=2.5", Y, P),
        ("bce:from-logits=true", "mean", "Logloss", d.BIN, d.LOGIT),
        ("bce:from-logits=true", "mean", "CrossEntropy", [0.5, 0.25, 1.0, 0.0, 1.0, 0.125], d.LOGIT),
        (
            "binary-focal:from-logits=true:alpha=0.25:gamma=2",
            "mean",
            "Focal:focal_alpha=0.25;focal_gamma=2",
            d.BIN,
            LOGIT_MILD,
        ),
        ("poisson-nll:log-input=true", "mean", "Poisson", d.COUNT, d.LOGIT),
        ("hinge", "mean", "HingeLoss", d.BIN, d.LOGIT),
    ]
    # its MAE is a quantile loss less 1e-6 a row; its LogCosh uses a fast approximate logarithm
    loose = {"MAE": 1e-5, "LogCosh": 1e-3, "MSLE": 1e-6}
    for spec, reduction, metric, target, pred in table:
        flip = metric == "R2"
        for w in (None, W):
            value = of_catboost(metric, target, pred, w)
            g.add(
                spec,
                ("1 - " if flip else "") + f"catboost {metric}",
                1 - value if flip else value,
                reduction=reduction,
                weight=w,
                rtol=loose.get(metric, 1e-9),
                target=target,
                pred=pred,
            )
    for tau in (0.5, 0.9):
        value = of_catboost(f"Quantile:alpha={tau};delta=0", Y, P)
        g.add(
            f"quantile:tau={tau}",
            f"catboost Quantile:alpha={tau};delta=0",
            value,
            rtol=1e-9,
            target=Y,
            pred=P,
        )
    g.add(
        "medae",
        "catboost MedianAbsoluteError",
        of_catboost("MedianAbsoluteError", Y, P),
        reduction="pooled",
        target=Y,
        pred=P,
    )
    far = [30.0, -40.0, -30.0, 40.0, 0.5, -0.5]
    g.add(
        "binary-focal:from-logits=true:alpha=0.25:gamma=2",
        "catboost Focal:focal_alpha=0.25;focal_gamma=2",
        of_catboost("Focal:focal_alpha=0.25;focal_gamma=2", [0.0, 1.0] * 3, far),
        like="catboost",
        target=[0.0, 1.0] * 3,
        pred=far,
    )
    g.add("smape", "catboost SMAPE", of_catboost("SMAPE", Y, P), like="catboost", target=Y, pred=P)
    g.add(
        "cross-entropy:from-logits=true",
        "catboost MultiClass",
        of_catboost("MultiClass", d.LABEL, d.LOGITS),
        target=d.LABEL,
        pred=d.LOGITS,
    )
    one = {"group": d.GROUP[:4], "target": d.RELEVANCE[:4], "pred": d.SCORE[:4]}
    value = of_catboost("QuerySoftMax", one["target"], one["pred"], group_id=one["group"])
    g.add("listnet:labels=normalized", "catboost QuerySoftMax", value, rtol=1e-9, **one)
    pairs = [(i, j) for i in range(4) for j in range(4) if one["target"][i] > one["target"][j]]
    value = of_catboost("PairLogit", one["target"], one["pred"], group_id=one["group"], pairs=pairs)
    g.add("ranknet", "catboost PairLogit", value, rtol=1e-9, **one)
    for kind, gain in (("Base", "linear"), ("Exp", "exponential")):
        for k in (-1, 2):
            value = 1 - of_catboost(
                f"NDCG:top={k};type={kind}", one["target"], one["pred"], group_id=one["group"]
            )
            g.add(
                f"ndcg-loss:gain={gain}" + (f":k={k}" if k > 0 else ""),
                f"1 - catboost NDCG:top={k};type={kind}",
                value,
                rtol=1e-9,
                **one,
            )
    return g


LOGIT_MILD = [2.0, -1.5, -0.25, 0.75, 4.0, -3.0]


def make() -> list[Golden]:
    return [xgboost(), lightgbm(), catboost_()]
