"""torchmetrics, functional forms in float64."""

from __future__ import annotations

from typing import Any

import data as d
import torch
import torchmetrics.functional as f
from common import Golden
from torchmetrics.functional import regression as r
from torchmetrics.functional.text import char_error_rate, perplexity, word_error_rate


def tensor(values: Any) -> torch.Tensor:
    found = torch.tensor(values)
    return found if found.dtype == torch.int64 else torch.tensor(values, dtype=torch.float64)


def regression(g: Golden) -> None:
    y, p = tensor(d.Y), tensor(d.P)
    both = {"target": d.Y, "pred": d.P}
    smape, mape = r.symmetric_mean_absolute_percentage_error, r.mean_absolute_percentage_error
    table: list[tuple[str, str, str, Any]] = [
        ("mse", "mean", "mean_squared_error", r.mean_squared_error(p, y)),
        ("rmse", "pooled", "mean_squared_error(squared=False)", r.mean_squared_error(p, y, squared=False)),
        ("mae", "mean", "mean_absolute_error", r.mean_absolute_error(p, y)),
        ("mape", "mean", "mean_absolute_percentage_error", mape(p, y)),
        ("smape", "mean", "symmetric_mean_absolute_percentage_error", smape(p, y)),
        (
            "wape",
            "pooled",
            "weighted_mean_absolute_percentage_error",
            r.weighted_mean_absolute_percentage_error(p, y),
        ),
        ("r2-loss", "pooled", "1 - r2_score", 1 - r.r2_score(p, y)),
        ("log-cosh", "mean", "log_cosh_error", r.log_cosh_error(p, y)),
        ("lq:q=3", "sum", "minkowski_distance(p=3) ** 3", r.minkowski_distance(p, y, 3) ** 3),
    ]
    for spec, reduction, call, value in table:
        for like in (None, "torchmetrics"):
            if like is None or ("(" not in call and "*" not in call):
                g.add(
                    spec,
                    f"torchmetrics.functional.{call}",
                    value,
                    like=like,
                    reduction=reduction,
                    rtol=1e-11,
                    **both,
                )
    zero = {"target": [0.0, 1.0, 0.0], "pred": [1.0, 1.5, 0.0]}
    for name, fn in (("mape", mape), ("smape", smape)):
        value = fn(tensor(zero["pred"]), tensor(zero["target"]))
        g.add(name, f"torchmetrics.functional.{fn.__name__}", value, like="torchmetrics", **zero)
    none = {"target": [0.0, 0.0], "pred": [0.0, 0.0]}
    g.add(
        "wape",
        "torchmetrics.functional.weighted_mean_absolute_percentage_error",
        r.weighted_mean_absolute_percentage_error(tensor(none["pred"]), tensor(none["target"])),
        reduction="pooled",
        **none,
    )
    for found in ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]):
        level = {"target": [2.0, 2.0, 2.0], "pred": found}
        g.add(
            "r2-loss",
            "1 - torchmetrics.functional.r2_score",
            1 - r.r2_score(tensor(level["pred"]), tensor(level["target"])),
            like="torchmetrics",
            reduction="pooled",
            **level,
        )
    two = {"target": d.Y_2D, "pred": d.P_2D}
    g.add(
        "rmse",
        "torchmetrics.functional.mean_squared_error(squared=False)",
        r.mean_squared_error(tensor(d.P_2D).ravel(), tensor(d.Y_2D).ravel(), squared=False),
        reduction="pooled",
        **two,
    )
    g.add(
        "r2-loss",
        "1 - torchmetrics.functional.r2_score",
        1 - r.r2_score(tensor(d.P_2D), tensor(d.Y_2D)),
        reduction="pooled",
        **two,
    )
    rate, count, positive = tensor(d.RATE), tensor(d.COUNT), tensor(d.POSITIVE)
    g.add(
        "msle",
        "torchmetrics.functional.mean_squared_log_error",
        r.mean_squared_log_error(rate, count),
        target=d.COUNT,
        pred=d.RATE,
    )
    for power in (1.0, 1.5, 2.0, 3.0):
        target = count if power < 2 else positive
        g.add(
            f"tweedie-deviance:power={power}",
            f"torchmetrics.functional.tweedie_deviance_score(power={power})",
            r.tweedie_deviance_score(rate, target, power),
            rtol=1e-11,
            target=target,
            pred=d.RATE,
        )


def vectors(g: Golden) -> None:
    soft, probs = tensor(d.SOFT_ROWS), tensor(d.PROBS)
    rows = {"target": d.SOFT_ROWS, "pred": d.PROBS}
    unscaled = {"target": [[2.0, 5.0, 3.0], [1.0, 0.0, 1.0]], "pred": [[3.0, 4.0, 3.0], [2.0, 1.0, 1.0]]}
    for reduction in ("none", "mean", "sum"):
        for inputs, tail in ((rows, ""), (unscaled, ":normalize=true")):
            a, b = tensor(inputs["target"]), tensor(inputs["pred"])
            for like in (None, "torchmetrics") if tail else (None,):
                end = "" if like else tail
                g.add(
                    f"kl{end}",
                    "torchmetrics.functional.kl_divergence",
                    r.kl_divergence(a, b, reduction=reduction),
                    like=like,
                    reduction=reduction,
                    **inputs,
                )
                g.add(
                    f"js{end}",
                    "torchmetrics.functional.jensen_shannon_divergence",
                    r.jensen_shannon_divergence(a, b, reduction=reduction),
                    like=like,
                    reduction=reduction,
                    **inputs,
                )
    g.add(
        "reverse-kl",
        "torchmetrics.functional.kl_divergence(pred, target)",
        r.kl_divergence(probs[:1], soft[:1]),
        target=d.SOFT_ROWS[:1],
        pred=d.PROBS[:1],
    )
    for reduction in ("none", "mean"):
        g.add(
            "cosine-proximity",
            "-torchmetrics.functional.cosine_similarity",
            -r.cosine_similarity(tensor(d.A[1:]), tensor(d.B[1:]), reduction=reduction),
            reduction=reduction,
            rtol=1e-6,
            target=d.B[1:],
            pred=d.A[1:],
        )
    value = r.continuous_ranked_probability_score(tensor(d.ENSEMBLE), tensor(d.OBSERVED))
    g.add(
        "crps-ensemble",
        "torchmetrics.functional.continuous_ranked_probability_score",
        value,
        rtol=1e-11,
        target=d.OBSERVED,
        pred=d.ENSEMBLE,
    )
    for ignore, tail in ((None, ""), (1, ":ignore-index=1")):
        value = perplexity(tensor([d.LOGITS]), torch.tensor([d.LABEL]), ignore_index=ignore)
        g.add(
            f"perplexity:from-logits=true{tail}",
            f"torchmetrics.functional.text.perplexity(ignore_index={ignore})",
            value,
            reduction="pooled",
            rtol=1e-6,
            target=d.LABEL,
            pred=d.LOGITS,
        )


def texts_and_images(g: Golden) -> None:
    said = ["the cat sat on mat", "hello", "", "same words here", "naïve façade"]
    heard = ["the cat sat on the mat", "hallo world", "missing", "same words here", "naive facade!"]
    for name, fn in (("wer", word_error_rate), ("cer", char_error_rate)):
        g.add(
            name,
            f"torchmetrics.functional.text.{fn.__name__}",
            fn(said, heard),
            reduction="pooled",
            rtol=1e-6,
            target=heard,
            pred=said,
        )
    multi, score = torch.tensor(d.MULTI), tensor(d.MULTI_SCORE)
    g.add(
        "coverage-error",
        "torchmetrics multilabel_coverage_error",
        f.classification.multilabel_coverage_error(score[:2], multi[:2], 4),
        rtol=1e-6,
        target=d.MULTI[:2],
        pred=d.MULTI_SCORE[:2],
    )
    image = tensor([[[[0.0, 1.0, 0.5], [3.0, 2.0, -1.0]]], [[[1.0, 1.0, 1.0], [0.0, 4.0, 0.25]]]])
    flat = image.reshape(2, 6)
    g.add(
        "total-variation:kind=l1:shape=2x3",
        "torchmetrics.functional.image.total_variation",
        f.image.total_variation(image, reduction="none"),
        reduction="none",
        pred=flat,
    )
    torch.manual_seed(0)
    a, b = torch.rand(2, 1, 9, 8, dtype=torch.float64), torch.rand(2, 1, 9, 8, dtype=torch.float64)
    images = {"target": a.reshape(2, -1), "pred": (a * 0.7 + b * 0.3).reshape(2, -1)}
    pred = images["pred"].reshape(a.shape)
    for span in (1.0, 255.0):
        value = -f.image.peak_signal_noise_ratio(pred, a, data_range=span, reduction="none", dim=(1, 2, 3))
        g.add(
            f"psnr-loss:data-range={span}",
            "-torchmetrics.functional.image.peak_signal_noise_ratio",
            value,
            reduction="none",
            rtol=1e-6,
            **images,
        )


def make() -> Golden:
    g = Golden("torchmetrics", ("torchmetrics", "torch"))
    for part in (regression, vectors, texts_and_images):
        part(g)
    return g
