"""PyTorch: losses over vectors, score pairs, sequences and generators."""

from __future__ import annotations

from typing import Any

import data as d
import torch
import torch.nn.functional as F
from common import Golden, options
from torch_rows import Rows, rows, tensor


def margins(g: Golden) -> None:
    for pred in (d.LOGIT, d.LOGIT_TAIL):
        rows(
            g,
            "soft-margin",
            "F.softplus(-target * pred)",
            lambda target, pred, reduction: F.softplus(-target * pred, threshold=100),
            only=("none", "grad"),
            target=d.SIGNS,
            pred=pred,
        )
    rows(
        g,
        "soft-margin",
        "F.soft_margin_loss",
        lambda target, pred, reduction: F.soft_margin_loss(pred, target, reduction=reduction),
        target=d.SIGNS,
        pred=d.LOGIT,
    )
    for m in (1.0, 0.5):
        rows(
            g,
            f"hinge-embedding:margin={m}",
            f"F.hinge_embedding_loss(margin={m})",
            lambda target, pred, reduction, v=m: F.hinge_embedding_loss(pred, target, v, reduction=reduction),
            target=d.SIGNS,
            pred=[0.25, 0.75, 2.0, 0.125, 0.0, 3.0],
        )
    for m in (0.0, 0.3):  # no row is at a kink
        rows(
            g,
            f"margin-ranking:margin={m}",
            f"F.margin_ranking_loss(margin={m})",
            lambda first, second, target, reduction, v=m: F.margin_ranking_loss(
                first, second, target, v, reduction=reduction
            ),
            wrt="first,second",
            first=d.Y,
            second=d.P,
            target=d.SIGNS,
        )
        rows(
            g,
            f"cosine-embedding:margin={m}",
            f"F.cosine_embedding_loss(margin={m})",
            lambda first, second, target, reduction, v=m: F.cosine_embedding_loss(
                first, second, target, v, reduction=reduction
            ),
            wrt="first,second",
            atol=1e-10,
            first=d.A,
            second=d.B,
            target=d.PAIR_SIGN,
        )
    rows(
        g,
        "bpr",
        "-F.logsigmoid(positive - negative)",
        lambda positive, negative, reduction: -F.logsigmoid(positive - negative),
        wrt="positive,negative",
        only=("none", "grad"),
        positive=d.LOGIT_TAIL,
        negative=d.LOGIT,
    )
    rows(
        g,
        "cosine-distance:eps=1e-08",
        "1 - F.cosine_similarity",
        lambda target, pred, reduction: 1 - F.cosine_similarity(pred, target),
        only=("none", "grad"),
        target=d.A,
        pred=d.B,
    )
    rows(
        g,
        "cosine-proximity",
        "-F.cosine_similarity",
        lambda target, pred, reduction: -F.cosine_similarity(pred, target),
        only=("none", "grad"),
        target=d.A,
        pred=d.B,
    )


def triplets(g: Golden) -> None:
    inputs = {"anchor": d.A, "positive": d.B, "negative": d.C}
    wrt = "anchor,positive,negative"
    for margin, p, swap in ((1.0, 2, False), (0.2, 2, True), (1.0, 1, False), (2.5, 3, True)):
        spec = "triplet" + options(margin=margin, p=p, swap=swap)
        call = f"F.triplet_margin_loss(margin={margin}, p={p}, swap={swap})"

        def fn(
            anchor: Any, positive: Any, negative: Any, reduction: str, m=margin, p=p, s=swap
        ) -> torch.Tensor:
            return F.triplet_margin_loss(anchor, positive, negative, m, p, swap=s, reduction=reduction)

        rows(g, spec, call, fn, like="torch", wrt=wrt, **inputs)
        rows(g, spec + ":eps=1e-06", call, fn, wrt=wrt, only=("none", "grad"), **inputs)
    for squared in (False, True):

        def gap(a: Any, b: Any, s=squared) -> torch.Tensor:
            return ((a - b) ** 2).sum(-1) if s else torch.linalg.vector_norm(a - b, dim=-1)

        for margin in (1.0, 0.2):
            rows(
                g,
                "triplet" + options(margin=margin, squared=squared),
                f"F.triplet_margin_with_distance_loss({margin})",
                lambda anchor, positive, negative, reduction, m=margin, gap=gap: (
                    F.triplet_margin_with_distance_loss(
                        anchor, positive, negative, distance_function=gap, margin=m, reduction=reduction
                    )
                ),
                wrt=wrt,
                **inputs,
            )


def distributions(g: Golden) -> None:
    p, q = d.SOFT_ROWS, d.PROBS
    log_q, log_p = torch.log(tensor(q)).tolist(), torch.log(tensor(d.PROBS[::-1])).tolist()
    shapes: list[tuple[str, str, Rows, Any, Any]] = [
        (
            "kl",
            "F.kl_div(log(pred), target)",
            lambda target, pred, reduction: F.kl_div(torch.log(pred), target, reduction="none"),
            p,
            q,
        ),
        (
            "kl:log-input=true",
            "F.kl_div",
            lambda target, pred, reduction: F.kl_div(pred, target, reduction="none"),
            p,
            log_q,
        ),
        (
            "kl:log-input=true:log-target=true",
            "F.kl_div(log_target=True)",
            lambda target, pred, reduction: F.kl_div(pred, target, reduction="none", log_target=True),
            log_p,
            log_q,
        ),
        (
            "kl:from-logits=true",
            "F.kl_div(log_softmax(pred))",
            lambda target, pred, reduction: F.kl_div(torch.log_softmax(pred, 1), target, reduction="none"),
            p,
            d.LOGITS,
        ),
    ]
    for spec, call, fn, target, pred in shapes:
        rows(g, spec, call, fn, sums=True, target=target, pred=pred)
    value = F.kl_div(tensor(log_q), tensor(p), reduction="batchmean")
    g.add("kl:log-input=true", "F.kl_div(reduction='batchmean')", value, target=p, pred=log_q)
    rows(
        g,
        "kl",
        "F.kl_div(log(pred), target)",
        lambda target, pred, reduction: F.kl_div(torch.log(pred), target, reduction="none"),
        sums=True,
        only=("none", "mean"),
        target=p[:3],
        pred=d.PROBS_END[:3],
    )
    rows(
        g,
        "entropy",
        "torch.special.entr(pred).sum(1)",
        lambda pred, reduction: torch.special.entr(pred),
        sums=True,
        only=("none",),
        pred=d.PROBS_END,
    )


def generative(g: Golden) -> None:
    real = [2.0, -1.0, 0.5]
    fake = [0.5, -2.0, 1.25]
    r, f = tensor(real), tensor(fake)
    inputs = {
        "target": [1, 0, 1, 0, 1, 0],
        "pred": [x for pair in zip(real, fake, strict=True) for x in pair],
    }
    bce = F.binary_cross_entropy_with_logits
    one, zero = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    table = [
        (
            "gan:side=discriminator:mode=minimax:from-logits=true",
            "bce(real, 1) + bce(fake, 0)",
            bce(r, one) + bce(f, zero),
        ),
        ("gan:side=generator:mode=non-saturating:from-logits=true", "bce(fake, 1)", bce(f, one)),
        ("gan:side=generator:mode=minimax:from-logits=true", "-bce(fake, 0)", -bce(f, zero)),
        (
            "lsgan:side=discriminator",
            "(mse(real, 1) + mse(fake, 0)) / 2",
            (F.mse_loss(r, one) + F.mse_loss(f, zero)) / 2,
        ),
        (
            "lsgan:side=discriminator:half=false",
            "mse(real, 1) + mse(fake, 0)",
            F.mse_loss(r, one) + F.mse_loss(f, zero),
        ),
        ("lsgan:side=generator", "mse(fake, 1) / 2", F.mse_loss(f, one) / 2),
        (
            "lsgan:side=discriminator:real-label=0.9:fake-label=-1",
            "(mse(real, 0.9) + mse(fake, -1)) / 2",
            (F.mse_loss(r, 0.9 * one) + F.mse_loss(f, -one)) / 2,
        ),
        ("wgan:side=critic", "fake.mean() - real.mean()", f.mean() - r.mean()),
        ("wgan:side=generator", "-fake.mean()", -f.mean()),
        (
            "hinge-gan:side=discriminator",
            "relu(1 - real).mean() + relu(1 + fake).mean()",
            F.relu(1 - r).mean() + F.relu(1 + f).mean(),
        ),
        ("hinge-gan:side=generator", "-fake.mean()", -f.mean()),
    ]
    for spec, call, value in table:
        g.add(spec, f"torch: {call}", value, reduction="pooled", **inputs)
    normal, unit = torch.distributions.Normal, torch.distributions.Normal(tensor(0.0), tensor(1.0))

    def kl(mu: Any, logvar: Any, reduction: str = "none") -> torch.Tensor:
        return torch.distributions.kl_divergence(normal(mu, torch.exp(logvar / 2)), unit).sum(-1)

    latent = {"mu": d.A, "logvar": d.C}
    rows(
        g,
        "kl-normal",
        "torch.distributions.kl_divergence(Normal, Normal(0, 1)).sum",
        kl,
        wrt="mu,logvar",
        **latent,
    )
    both = {"target": d.PROBS, "pred": d.SOFT_ROWS[::-1]}
    rows(
        g,
        "vae:beta=0.5",
        "F.mse_loss summed + 0.5 * KL",
        lambda target, pred, mu, logvar, reduction: (
            F.mse_loss(pred, target, reduction="none").sum(1) + 0.5 * kl(mu, logvar)
        ),
        wrt="pred,mu,logvar",
        **both,
        **latent,
    )
    inside = {"target": d.MASK, "pred": d.INK, "mu": d.A[:2], "logvar": d.C[:2]}
    rows(
        g,
        "vae:reconstruction=bce",
        "F.binary_cross_entropy summed + KL",
        lambda target, pred, mu, logvar, reduction: (
            F.binary_cross_entropy(pred, target, reduction="none").sum(1) + kl(mu, logvar)
        ),
        wrt="pred,mu,logvar",
        **inside,
    )


def sequences(g: Golden) -> None:
    torch.manual_seed(0)
    frames = [4, 6, 5, 3]
    logits = [torch.randn(n, 4, dtype=torch.float64).round(decimals=3).tolist() for n in frames]
    targets = [[1, 2], [3, 3, 1], [2], [1, 1, 1]]  # the last needs five frames and has three: impossible

    def ctc(pred: list[torch.Tensor], target: list[list[int]], reduction: str, **more: Any) -> torch.Tensor:
        padded = torch.nn.utils.rnn.pad_sequence(pred)
        flat = torch.tensor([label for row in target for label in row])
        sizes = torch.tensor([len(p) for p in pred]), torch.tensor([len(t) for t in target])
        return F.ctc_loss(padded, flat, *sizes, reduction=reduction, **more)

    for kept, extra in ((3, {}), (3, {"blank": 0}), (4, {}), (4, {"zero_infinity": True})):
        log_probs = [torch.log_softmax(tensor(rows_), 1) for rows_ in logits[:kept]]
        for form, pred in (("", [p.tolist() for p in log_probs]), (":from-logits=true", logits[:kept])):
            spec, inputs = f"ctc{form}{options(**extra)}", {"target": targets[:kept], "pred": pred}
            call = f"F.ctc_loss({extra or ''})"
            g.add(
                spec,
                call,
                ctc(log_probs, targets[:kept], "none", **extra),
                reduction="none",
                rtol=1e-11,
                **inputs,
            )
            g.add(
                spec,
                call,
                ctc(log_probs, targets[:kept], "sum", **extra),
                reduction="sum",
                rtol=1e-11,
                **inputs,
            )
            value = ctc(log_probs, targets[:kept], "mean", **extra)
            g.add(f"{spec}:per-target=true", call, value, rtol=1e-11, **inputs)
            g.add(spec, call, value, like="torch", rtol=1e-11, **inputs)
    leaves = [tensor(rows_).requires_grad_() for rows_ in logits[:3]]
    ctc([torch.log_softmax(leaf, 1) for leaf in leaves], targets[:3], "sum").backward()
    g.add(
        "ctc:from-logits=true",
        "F.ctc_loss(log_softmax(pred)), autograd",
        {"grad_pred": [x.grad for x in leaves]},
        reduction="none",
        grad=True,
        rtol=1e-10,
        target=targets[:3],
        pred=logits[:3],
    )
    last, cut = [[1, 2, 3, 0], [0, 0, 1, 2, 3, 3], [2, 1, 0, 0, 1]], logits[:3]
    flat, labels = torch.cat([tensor(rows_) for rows_ in cut]), torch.tensor([x for row in last for x in row])
    for name in ("token-nll", "pixel-cross-entropy"):
        for tail, more in (("", {}), (":ignore-index=0", {"ignore_index": 0})):
            g.add(
                f"{name}:from-logits=true{tail}",
                f"F.cross_entropy over all tokens{tail}",
                F.cross_entropy(flat, labels, **more),
                reduction="pooled",
                target=last,
                pred=cut,
            )


def others(g: Golden) -> None:
    near = torch.nn.functional.normalize
    a, b, group = tensor(d.A), tensor(d.B), [7, 7, 7, 7]
    for tau in (0.1, 0.5):
        sim = near(a, dim=1) @ near(b, dim=1).T / tau
        here = torch.arange(4)
        one, two = (
            F.cross_entropy(sim, here, reduction="none"),
            F.cross_entropy(sim.T, here, reduction="none"),
        )
        inputs = {"anchor": d.A, "positive": d.B, "group": group}
        g.add(f"info-nce:temperature={tau}", "F.cross_entropy(cosines / t, arange)", one.mean(), **inputs)
        g.add(
            f"info-nce:temperature={tau}:symmetric=true",
            "CLIP's mean of both directions",
            (one + two).mean() / 2,
            **inputs,
        )
    raw = F.cross_entropy(a @ b.T, torch.arange(4))
    g.add(
        "info-nce:temperature=1:normalize=false",
        "F.cross_entropy(a @ b.T, arange)",
        raw,
        anchor=d.A,
        positive=d.B,
        group=group,
    )
    rows(
        g,
        "perceptual",
        "F.mse_loss(reduction='none').sum(1)",
        lambda target, pred, reduction: F.mse_loss(pred, target, reduction="none"),
        sums=True,
        target=d.A,
        pred=d.B,
    )
    rows(
        g,
        "perceptual:normalize=true",
        "F.mse_loss(reduction='none').mean(1)",
        lambda target, pred, reduction: F.mse_loss(pred, target, reduction="none"),
        target=d.A,
        pred=d.B,
    )
    rows(
        g,
        "brier",
        "F.mse_loss",
        lambda target, pred, reduction: F.mse_loss(pred, target, reduction=reduction),
        target=d.BIN,
        pred=d.PROB,
    )
