"""PyTorch: its losses, their reductions, weights and gradients, all in float64."""

from __future__ import annotations

from typing import Any

import data as d
import torch
import torch.nn.functional as F
import torch_vectors as v
from common import Golden, options
from torch_rows import Rows, rows, tensor


def regression(g: Golden) -> None:
    shapes: list[tuple[str, str, Rows]] = [
        ("mse", "F.mse_loss", lambda target, pred, reduction: F.mse_loss(pred, target, reduction=reduction)),
        ("mae", "F.l1_loss", lambda target, pred, reduction: F.l1_loss(pred, target, reduction=reduction)),
    ]
    for delta in (1.0, 1.5, 0.1):
        shapes.append(
            (
                f"huber:delta={delta}",
                f"F.huber_loss(delta={delta})",
                lambda target, pred, reduction, v=delta: F.huber_loss(pred, target, reduction, v),
            )
        )
    for beta in (1.0, 0.5, 2.0):
        shapes.append(
            (
                f"smooth-l1:beta={beta}",
                f"F.smooth_l1_loss(beta={beta})",
                lambda target, pred, reduction, v=beta: F.smooth_l1_loss(
                    pred, target, reduction=reduction, beta=v
                ),
            )
        )
    for spec, call, fn in shapes:
        rows(g, spec, call, fn, target=d.Y, pred=d.P)
        rows(g, spec, call, fn, target=d.Y_TAIL, pred=d.P_TAIL)
        rows(g, spec, call, fn, target=d.Y_2D, pred=d.P_2D, only=("none", "mean", "grad"))
    for name, loss in (("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.huber_loss)):
        value = loss(tensor(d.P), tensor(d.Y), weight=tensor(d.W))
        # torch divides its weighted Huber by the number of rows, the other two by the sum of the weights
        reduction = "mean-n" if name == "huber" else "mean"
        g.add(
            name, f"F.{loss.__name__}(weight=w)", value, reduction=reduction, weight=d.W, target=d.Y, pred=d.P
        )
    for name in ("mse", "mae", "huber", "smooth-l1"):
        loss = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss, "smooth-l1": F.smooth_l1_loss}[
            name
        ]
        g.add(
            name, f"F.{loss.__name__}()", loss(tensor(d.P), tensor(d.Y)), like="torch", target=d.Y, pred=d.P
        )
    g.add(
        "rmse",
        "F.mse_loss(weight=w).sqrt()",
        F.mse_loss(tensor(d.P), tensor(d.Y), weight=tensor(d.W)).sqrt(),
        reduction="pooled",
        weight=d.W,
        target=d.Y,
        pred=d.P,
    )


def likelihoods(g: Golden) -> None:
    for eps, like in ((1e-8, None), (1e-8, "torch"), (1e-3, None)):
        spec = "poisson-nll" if like else f"poisson-nll:eps={eps}"
        rows(
            g,
            spec,
            f"F.poisson_nll_loss(log_input=False, eps={eps})",
            lambda target, pred, reduction, e=eps: F.poisson_nll_loss(
                pred, target, log_input=False, eps=e, reduction=reduction
            ),
            like=like,
            target=d.COUNT,
            pred=d.RATE,
        )
    rows(
        g,
        "poisson-nll:log-input=true",
        "F.poisson_nll_loss(log_input=True)",
        lambda target, pred, reduction: F.poisson_nll_loss(pred, target, log_input=True, reduction=reduction),
        target=d.COUNT,
        pred=d.LOGIT,
    )
    for full in (False, True):
        for spec, like, variance in (
            (f"gaussian-nll{options(full=full)}", None, d.SCALE),
            (f"gaussian-nll{options(full=full, eps=1e-06)}", None, [*d.SCALE[:5], 1e-9]),
            (f"gaussian-nll{options(full=full)}", "torch", [*d.SCALE[:5], 0.0]),
        ):
            rows(
                g,
                spec,
                f"F.gaussian_nll_loss(full={full})",
                lambda target, pred, variance, reduction, f=full: F.gaussian_nll_loss(
                    pred, target, variance, full=f, reduction=reduction
                ),
                like=like,
                wrt="pred,variance" if like is None and variance is d.SCALE else "pred",
                target=d.Y,
                pred=d.P,
                variance=variance,
            )
    normal = torch.distributions.Laplace
    rows(
        g,
        "laplace-nll",
        "-torch.distributions.Laplace(pred, scale).log_prob(target)",
        lambda target, pred, scale, reduction: -normal(pred, scale).log_prob(target),
        wrt="pred,scale",
        only=("none", "grad"),
        target=d.Y,
        pred=d.P,
        scale=d.SCALE,
    )
    rows(
        g,
        "poisson-nll:full=true",
        "-torch.distributions.Poisson(pred).log_prob(target)",
        lambda target, pred, reduction: -torch.distributions.Poisson(pred).log_prob(target),
        only=("none", "grad"),
        target=d.COUNT,
        pred=d.RATE,
    )
    rows(
        g,
        "negative-binomial-nll",
        "-NegativeBinomial(total_count=k, logits=log(pred / k)).log_prob(target)",
        lambda target, pred, dispersion, reduction: (
            -torch.distributions.NegativeBinomial(dispersion, logits=torch.log(pred / dispersion)).log_prob(
                target
            )
        ),
        wrt="pred,dispersion",
        only=("none", "grad"),
        target=d.COUNT,
        pred=d.RATE,
        dispersion=d.SCALE,
    )


def binary(g: Golden) -> None:
    for target in (d.BIN, d.SOFT):
        rows(
            g,
            "bce",
            "F.binary_cross_entropy",
            lambda target, pred, reduction: F.binary_cross_entropy(pred, target, reduction=reduction),
            target=target,
            pred=d.PROB,
        )
        for logit in (d.LOGIT, d.LOGIT_TAIL):
            rows(
                g,
                "bce:from-logits=true",
                "F.binary_cross_entropy_with_logits",
                lambda target, pred, reduction: F.binary_cross_entropy_with_logits(
                    pred, target, reduction=reduction
                ),
                atol=1e-15,
                target=target,
                pred=logit,
            )
        for weight in (3.0, 0.25):
            rows(
                g,
                f"bce:from-logits=true:pos-weight={weight}",
                f"BCEWithLogitsLoss(pos_weight={weight})",
                lambda target, pred, reduction, v=weight: F.binary_cross_entropy_with_logits(
                    pred, target, reduction=reduction, pos_weight=tensor(v)
                ),
                atol=1e-15,
                target=target,
                pred=d.LOGIT,
            )
    for spec, like in (("bce", "torch"), ("bce:log-floor=-100", None)):
        rows(
            g,
            spec,
            "F.binary_cross_entropy (each log at least -100)",
            lambda target, pred, reduction: F.binary_cross_entropy(pred, target, reduction=reduction),
            like=like,
            only=("none", "mean", "sum"),
            target=d.BIN,
            pred=d.PROB_END,
        )
    rows(
        g,
        "bce",
        "F.binary_cross_entropy, several labels per row",
        lambda target, pred, reduction: F.binary_cross_entropy(pred, target, reduction=reduction),
        only=("none", "mean", "grad"),
        target=d.MASK,
        pred=d.INK,
    )
    rows(
        g,
        "bce:from-logits=true",
        "F.multilabel_soft_margin_loss",
        lambda target, pred, reduction: F.multilabel_soft_margin_loss(pred, target, reduction=reduction),
        only=("none", "mean", "grad"),
        target=d.MASK,
        pred=d.INK_LOGIT,
    )
    loss, inputs = F.binary_cross_entropy, {"target": d.BIN, "pred": d.PROB}
    for reduction, ours in (("mean", "mean-n"), ("sum", "sum")):
        value = loss(tensor(d.PROB), tensor(d.BIN), weight=tensor(d.W), reduction=reduction)
        g.add(
            "bce", f"BCELoss(weight=w, reduction={reduction!r})", value, reduction=ours, weight=d.W, **inputs
        )


def multiclass(g: Golden) -> None:
    ce, call = F.cross_entropy, "F.cross_entropy"

    def logits(target: Any, pred: Any, reduction: str, **more: Any) -> torch.Tensor:
        return ce(pred, target, reduction=reduction, **more)

    for target in (d.LABEL, d.SOFT_ROWS):
        for pred in (d.LOGITS, d.LOGITS_TAIL):
            rows(g, "cross-entropy:from-logits=true", call, logits, target=target, pred=pred)
        for s in (0.1, 0.3):
            rows(
                g,
                f"cross-entropy:from-logits=true:label-smoothing={s}",
                f"{call}(label_smoothing={s})",
                lambda target, pred, reduction, v=s: logits(target, pred, reduction, label_smoothing=v),
                target=target,
                pred=d.LOGITS,
            )
        rows(
            g,
            "cross-entropy",
            f"{call}(log(pred))",
            lambda target, pred, reduction: logits(
                target, torch.log(pred / pred.sum(1, keepdim=True)), reduction
            ),
            only=("none", "mean"),
            target=target,
            pred=d.PROBS,
        )
    log_probs = torch.log_softmax(tensor(d.LOGITS), 1).tolist()
    rows(
        g,
        "cross-entropy:from-log-probs=true",
        "F.nll_loss",
        lambda target, pred, reduction: F.nll_loss(pred, target, reduction=reduction),
        target=d.LABEL,
        pred=log_probs,
    )
    rows(
        g,
        "cross-entropy",
        "F.nll_loss(log(pred))",
        lambda target, pred, reduction: F.nll_loss(torch.log(pred), target, reduction=reduction),
        target=d.LABEL,
        pred=d.PROBS,
    )
    z, y, q, w = tensor(d.LOGITS), tensor(d.LABEL), tensor(d.SOFT_ROWS), tensor(d.CLASS_WEIGHTS)
    weights, inputs = "class-weights=[1,2,4]", {"target": d.LABEL, "pred": d.LOGITS}
    for s in (0.0, 0.1):
        tail = "" if s == 0 else f":label-smoothing={s}"
        for reduction in ("mean", "sum"):
            value = ce(z, y, w, reduction=reduction, label_smoothing=s)
            for like in (None, "torch"):
                g.add(
                    f"cross-entropy:from-logits=true:{weights}{tail}",
                    f"{call}(weight, label_smoothing={s})",
                    value,
                    like=like,
                    reduction=reduction,
                    **inputs,
                )
    g.add(
        f"cross-entropy:from-logits=true:{weights}",
        f"{call}(weight), soft targets: divided by N",
        ce(z, q, w),
        like="torch",
        target=d.SOFT_ROWS,
        pred=d.LOGITS,
    )
    g.add(
        f"cross-entropy:from-logits=true:{weights}",
        f"{call}(weight), soft targets",
        ce(z, q, w, reduction="sum"),
        reduction="sum",
        target=d.SOFT_ROWS,
        pred=d.LOGITS,
    )
    for reduction in ("mean", "sum"):
        for extra, more in (
            ("", {}),
            (f":{weights}", {"weight": w}),
            (":label-smoothing=0.1", {"label_smoothing": 0.1}),
        ):
            value = ce(z, y, ignore_index=0, reduction=reduction, **more)
            g.add(
                f"cross-entropy:from-logits=true:ignore-index=0{extra}",
                f"{call}(ignore_index=0{extra})",
                value,
                reduction=reduction,
                **inputs,
            )
        g.add(
            "cross-entropy:from-logits=true",
            f"{call}(), a target of -100",
            ce(z, tensor([0, -100, 2, -100]), reduction=reduction),
            like="torch",
            reduction=reduction,
            target=[0, -100, 2, -100],
            pred=d.LOGITS,
        )
    g.add("perplexity:from-logits=true", f"{call}().exp()", ce(z, y).exp(), reduction="pooled", **inputs)
    for p, margin in ((1, 1.0), (2, 1.0), (1, 0.5)):
        rows(
            g,
            f"multi-margin:p={p}:margin={margin}",
            f"F.multi_margin_loss(p={p}, margin={margin})",
            lambda target, pred, reduction, p=p, m=margin: F.multi_margin_loss(
                pred, target, p, m, reduction=reduction
            ),
            target=d.LABEL,
            pred=d.LOGITS,
        )


def make() -> Golden:
    g = Golden("torch", ("torch",))
    for part in (
        regression,
        likelihoods,
        binary,
        multiclass,
        v.margins,
        v.triplets,
        v.distributions,
        v.generative,
        v.sequences,
        v.others,
    ):
        part(g)
    return g
