"""PyTorch: its losses, their reductions, weights and gradients, all in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import data as d
import torch
import torch.nn.functional as F
from common import Golden, options

Rows = Callable[..., torch.Tensor]


def tensor(values: Any) -> torch.Tensor:
    """Whole-number labels stay integers; everything else is float64."""
    found = torch.tensor(values)
    return found if found.dtype == torch.int64 else torch.tensor(values, dtype=torch.float64)


def rows(g: Golden, spec: str, call: str, fn: Rows, *, wrt: str = "pred", like: str | None = None, sums: bool = False,
         atol: float = 0.0, only: tuple[str, ...] = ("none", "mean", "sum", "grad"), **inputs: Any) -> None:
    """The loss of each row, its reductions and its gradient. `fn` takes the inputs and `reduction`.

    A row that is a vector has the mean of its elements as loss, or with `sums` their sum.
    """
    t = {name: tensor(values) for name, values in inputs.items()}
    names = wrt.split(",")
    for name in names:
        t[name].requires_grad_("grad" in only)
    per = fn(reduction="none", **t)
    if per.ndim > 1:
        flat = per.reshape(len(per), -1)
        per = flat.sum(1) if sums else flat.mean(1)
    vector = t[names[0]].ndim > 1
    for reduction in only:
        if reduction == "none":
            g.add(spec, call, per, like=like, reduction="none", atol=atol, **inputs)
        elif reduction == "grad":
            found = torch.autograd.grad(per.sum(), [t[name] for name in names])
            grads = {f"grad_{name}": grad for name, grad in zip(names, found, strict=True)}
            g.add(spec, call, grads, like=like, reduction="none", grad=True, atol=atol, **inputs)
        else:
            whole = per.mean() if reduction == "mean" else per.sum()
            g.add(spec, call, whole if vector else fn(reduction=reduction, **t), like=like, reduction=reduction, **inputs)


def regression(g: Golden) -> None:
    shapes: list[tuple[str, str, Rows]] = [
        ("mse", "F.mse_loss", lambda target, pred, reduction: F.mse_loss(pred, target, reduction=reduction)),
        ("mae", "F.l1_loss", lambda target, pred, reduction: F.l1_loss(pred, target, reduction=reduction)),
    ]
    for delta in (1.0, 1.5, 0.1):
        shapes.append((f"huber:delta={delta}", f"F.huber_loss(delta={delta})",
                       lambda target, pred, reduction, v=delta: F.huber_loss(pred, target, reduction, v)))
    for beta in (1.0, 0.5, 2.0):
        shapes.append((f"smooth-l1:beta={beta}", f"F.smooth_l1_loss(beta={beta})",
                       lambda target, pred, reduction, v=beta: F.smooth_l1_loss(pred, target, reduction=reduction, beta=v)))
    for spec, call, fn in shapes:
        rows(g, spec, call, fn, target=d.Y, pred=d.P)
        rows(g, spec, call, fn, target=d.Y_TAIL, pred=d.P_TAIL)
        rows(g, spec, call, fn, target=d.Y_2D, pred=d.P_2D, only=("none", "mean", "grad"))
    for name, loss in (("mse", F.mse_loss), ("mae", F.l1_loss), ("huber", F.huber_loss)):
        value = loss(tensor(d.P), tensor(d.Y), weight=tensor(d.W))
        # torch divides its weighted Huber by the number of rows, the other two by the sum of the weights
        reduction = "mean-n" if name == "huber" else "mean"
        g.add(name, f"F.{loss.__name__}(weight=w)", value, reduction=reduction, weight=d.W, target=d.Y, pred=d.P)
    for name in ("mse", "mae", "huber", "smooth-l1"):
        loss = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss, "smooth-l1": F.smooth_l1_loss}[name]
        g.add(name, f"F.{loss.__name__}()", loss(tensor(d.P), tensor(d.Y)), like="torch", target=d.Y, pred=d.P)
    g.add("rmse", "F.mse_loss(weight=w).sqrt()", F.mse_loss(tensor(d.P), tensor(d.Y), weight=tensor(d.W)).sqrt(),
          reduction="pooled", weight=d.W, target=d.Y, pred=d.P)


def likelihoods(g: Golden) -> None:
    for eps, like in ((1e-8, None), (1e-8, "torch"), (1e-3, None)):
        spec = "poisson-nll" if like else f"poisson-nll:eps={eps}"
        rows(g, spec, f"F.poisson_nll_loss(log_input=False, eps={eps})", lambda target, pred, reduction, e=eps:
             F.poisson_nll_loss(pred, target, log_input=False, eps=e, reduction=reduction), like=like,
             target=d.COUNT, pred=d.RATE)
    rows(g, "poisson-nll:log-input=true", "F.poisson_nll_loss(log_input=True)", lambda target, pred, reduction:
         F.poisson_nll_loss(pred, target, log_input=True, reduction=reduction), target=d.COUNT, pred=d.LOGIT)
    for full in (False, True):
        for spec, like, variance in ((f"gaussian-nll{options(full=full)}", None, d.SCALE),
                                     (f"gaussian-nll{options(full=full, eps=1e-06)}", None, [*d.SCALE[:5], 1e-9]),
                                     (f"gaussian-nll{options(full=full)}", "torch", [*d.SCALE[:5], 0.0])):
            rows(g, spec, f"F.gaussian_nll_loss(full={full})", lambda target, pred, variance, reduction, f=full:
                 F.gaussian_nll_loss(pred, target, variance, full=f, reduction=reduction), like=like,
                 wrt="pred,variance" if like is None and variance is d.SCALE else "pred",
                 target=d.Y, pred=d.P, variance=variance)
    normal = torch.distributions.Laplace
    rows(g, "laplace-nll", "-torch.distributions.Laplace(pred, scale).log_prob(target)",
         lambda target, pred, scale, reduction: -normal(pred, scale).log_prob(target), wrt="pred,scale",
         only=("none", "grad"), target=d.Y, pred=d.P, scale=d.SCALE)
    rows(g, "poisson-nll:full=true", "-torch.distributions.Poisson(pred).log_prob(target)",
         lambda target, pred, reduction: -torch.distributions.Poisson(pred).log_prob(target),
         only=("none", "grad"), target=d.COUNT, pred=d.RATE)
    rows(g, "negative-binomial-nll", "-NegativeBinomial(total_count=k, logits=log(pred / k)).log_prob(target)",
         lambda target, pred, dispersion, reduction: -torch.distributions.NegativeBinomial(
             dispersion, logits=torch.log(pred / dispersion)).log_prob(target), wrt="pred,dispersion",
         only=("none", "grad"), target=d.COUNT, pred=d.RATE, dispersion=d.SCALE)


def binary(g: Golden) -> None:
    for target in (d.BIN, d.SOFT):
        rows(g, "bce", "F.binary_cross_entropy", lambda target, pred, reduction:
             F.binary_cross_entropy(pred, target, reduction=reduction), target=target, pred=d.PROB)
        for logit in (d.LOGIT, d.LOGIT_TAIL):
            rows(g, "bce:from-logits=true", "F.binary_cross_entropy_with_logits", lambda target, pred, reduction:
                 F.binary_cross_entropy_with_logits(pred, target, reduction=reduction), atol=1e-15, target=target,
                 pred=logit)
        for weight in (3.0, 0.25):
            rows(g, f"bce:from-logits=true:pos-weight={weight}", f"BCEWithLogitsLoss(pos_weight={weight})",
                 lambda target, pred, reduction, v=weight: F.binary_cross_entropy_with_logits(
                     pred, target, reduction=reduction, pos_weight=tensor(v)), atol=1e-15, target=target,
                 pred=d.LOGIT)
    for spec, like in (("bce", "torch"), ("bce:log-floor=-100", None)):
        rows(g, spec, "F.binary_cross_entropy (each log at least -100)", lambda target, pred, reduction:
             F.binary_cross_entropy(pred, target, reduction=reduction), like=like, only=("none", "mean", "sum"),
             target=d.BIN, pred=d.PROB_END)
    rows(g, "bce", "F.binary_cross_entropy, several labels per row", lambda target, pred, reduction:
         F.binary_cross_entropy(pred, target, reduction=reduction), only=("none", "mean", "grad"),
         target=d.MASK, pred=d.INK)
    rows(g, "bce:from-logits=true", "F.multilabel_soft_margin_loss", lambda target, pred, reduction:
         F.multilabel_soft_margin_loss(pred, target, reduction=reduction), only=("none", "mean", "grad"),
         target=d.MASK, pred=d.INK_LOGIT)
    loss, inputs = F.binary_cross_entropy, {"target": d.BIN, "pred": d.PROB}
    for reduction, ours in (("mean", "mean-n"), ("sum", "sum")):
        value = loss(tensor(d.PROB), tensor(d.BIN), weight=tensor(d.W), reduction=reduction)
        g.add("bce", f"BCELoss(weight=w, reduction={reduction!r})", value, reduction=ours, weight=d.W, **inputs)


def multiclass(g: Golden) -> None:
    ce, call = F.cross_entropy, "F.cross_entropy"

    def logits(target: Any, pred: Any, reduction: str, **more: Any) -> torch.Tensor:
        return ce(pred, target, reduction=reduction, **more)

    for target in (d.LABEL, d.SOFT_ROWS):
        for pred in (d.LOGITS, d.LOGITS_TAIL):
            rows(g, "cross-entropy:from-logits=true", call, logits, target=target, pred=pred)
        for s in (0.1, 0.3):
            rows(g, f"cross-entropy:from-logits=true:label-smoothing={s}", f"{call}(label_smoothing={s})",
                 lambda target, pred, reduction, v=s: logits(target, pred, reduction, label_smoothing=v),
                 target=target, pred=d.LOGITS)
        rows(g, "cross-entropy", f"{call}(log(pred))", lambda target, pred, reduction:
             logits(target, torch.log(pred / pred.sum(1, keepdim=True)), reduction), only=("none", "mean"),
             target=target, pred=d.PROBS)
    log_probs = torch.log_softmax(tensor(d.LOGITS), 1).tolist()
    rows(g, "cross-entropy:from-log-probs=true", "F.nll_loss", lambda target, pred, reduction:
         F.nll_loss(pred, target, reduction=reduction), target=d.LABEL, pred=log_probs)
    rows(g, "cross-entropy", "F.nll_loss(log(pred))", lambda target, pred, reduction:
         F.nll_loss(torch.log(pred), target, reduction=reduction), target=d.LABEL, pred=d.PROBS)
    z, y, q, w = tensor(d.LOGITS), tensor(d.LABEL), tensor(d.SOFT_ROWS), tensor(d.CLASS_WEIGHTS)
    weights, inputs = "class-weights=[1,2,4]", {"target": d.LABEL, "pred": d.LOGITS}
    for s in (0.0, 0.1):
        tail = "" if s == 0 else f":label-smoothing={s}"
        for reduction in ("mean", "sum"):
            value = ce(z, y, w, reduction=reduction, label_smoothing=s)
            for like in (None, "torch"):
                g.add(f"cross-entropy:from-logits=true:{weights}{tail}", f"{call}(weight, label_smoothing={s})", value,
                      like=like, reduction=reduction, **inputs)
    g.add(f"cross-entropy:from-logits=true:{weights}", f"{call}(weight), soft targets: divided by N", ce(z, q, w),
          like="torch", target=d.SOFT_ROWS, pred=d.LOGITS)
    g.add(f"cross-entropy:from-logits=true:{weights}", f"{call}(weight), soft targets", ce(z, q, w, reduction="sum"),
          reduction="sum", target=d.SOFT_ROWS, pred=d.LOGITS)
    for reduction in ("mean", "sum"):
        for extra, more in (("", {}), (f":{weights}", {"weight": w}), (":label-smoothing=0.1", {"label_smoothing": 0.1})):
            value = ce(z, y, ignore_index=0, reduction=reduction, **more)
            g.add(f"cross-entropy:from-logits=true:ignore-index=0{extra}", f"{call}(ignore_index=0{extra})", value,
                  reduction=reduction, **inputs)
        g.add("cross-entropy:from-logits=true", f"{call}(), a target of -100", ce(z, tensor([0, -100, 2, -100]),
              reduction=reduction), like="torch", reduction=reduction, target=[0, -100, 2, -100], pred=d.LOGITS)
    g.add("perplexity:from-logits=true", f"{call}().exp()", ce(z, y).exp(), reduction="pooled", **inputs)
    for p, margin in ((1, 1.0), (2, 1.0), (1, 0.5)):
        rows(g, f"multi-margin:p={p}:margin={margin}", f"F.multi_margin_loss(p={p}, margin={margin})",
             lambda target, pred, reduction, p=p, m=margin: F.multi_margin_loss(pred, target, p, m, reduction=reduction),
             target=d.LABEL, pred=d.LOGITS)


def margins(g: Golden) -> None:
    for pred in (d.LOGIT, d.LOGIT_TAIL):
        rows(g, "soft-margin", "F.softplus(-target * pred)", lambda target, pred, reduction:
             F.softplus(-target * pred, threshold=1e4), only=("none", "grad"), target=d.SIGNS, pred=pred)
    rows(g, "soft-margin", "F.soft_margin_loss", lambda target, pred, reduction:
         F.soft_margin_loss(pred, target, reduction=reduction), target=d.SIGNS, pred=d.LOGIT)
    for m in (1.0, 0.5):
        rows(g, f"hinge-embedding:margin={m}", f"F.hinge_embedding_loss(margin={m})",
             lambda target, pred, reduction, v=m: F.hinge_embedding_loss(pred, target, v, reduction=reduction),
             target=d.SIGNS, pred=[0.25, 0.75, 2.0, 0.125, 0.0, 3.0])
    for m in (0.0, 0.3):  # no row is at a kink
        rows(g, f"margin-ranking:margin={m}", f"F.margin_ranking_loss(margin={m})",
             lambda first, second, target, reduction, v=m:
             F.margin_ranking_loss(first, second, target, v, reduction=reduction), wrt="first,second",
             first=d.Y, second=d.P, target=d.SIGNS)
        rows(g, f"cosine-embedding:margin={m}", f"F.cosine_embedding_loss(margin={m})",
             lambda first, second, target, reduction, v=m:
             F.cosine_embedding_loss(first, second, target, v, reduction=reduction), wrt="first,second", atol=1e-10,
             first=d.A, second=d.B, target=d.PAIR_SIGN)
    rows(g, "bpr", "-F.logsigmoid(positive - negative)", lambda positive, negative, reduction:
         -F.logsigmoid(positive - negative), wrt="positive,negative", only=("none", "grad"), positive=d.LOGIT_TAIL,
         negative=d.LOGIT)
    rows(g, "cosine-distance:eps=1e-08", "1 - F.cosine_similarity", lambda target, pred, reduction:
         1 - F.cosine_similarity(pred, target), only=("none", "grad"), target=d.A, pred=d.B)
    rows(g, "cosine-proximity", "-F.cosine_similarity", lambda target, pred, reduction:
         -F.cosine_similarity(pred, target), only=("none", "grad"), target=d.A, pred=d.B)


def triplets(g: Golden) -> None:
    inputs = {"anchor": d.A, "positive": d.B, "negative": d.C}
    wrt = "anchor,positive,negative"
    for margin, p, swap in ((1.0, 2, False), (0.2, 2, True), (1.0, 1, False), (2.5, 3, True)):
        spec = "triplet" + options(margin=margin, p=p, swap=swap)
        call = f"F.triplet_margin_loss(margin={margin}, p={p}, swap={swap})"

        def fn(anchor: Any, positive: Any, negative: Any, reduction: str, m=margin, p=p, s=swap) -> torch.Tensor:
            return F.triplet_margin_loss(anchor, positive, negative, m, p, swap=s, reduction=reduction)

        rows(g, spec, call, fn, like="torch", wrt=wrt, **inputs)
        rows(g, spec + ":eps=1e-06", call, fn, wrt=wrt, only=("none", "grad"), **inputs)
    for squared in (False, True):
        def gap(a: Any, b: Any, s=squared) -> torch.Tensor:
            return ((a - b) ** 2).sum(-1) if s else torch.linalg.vector_norm(a - b, dim=-1)

        for margin in (1.0, 0.2):
            rows(g, "triplet" + options(margin=margin, squared=squared), f"F.triplet_margin_with_distance_loss({margin})",
                 lambda anchor, positive, negative, reduction, m=margin, gap=gap: F.triplet_margin_with_distance_loss(
                     anchor, positive, negative, distance_function=gap, margin=m, reduction=reduction), wrt=wrt, **inputs)


def distributions(g: Golden) -> None:
    p, q = d.SOFT_ROWS, d.PROBS
    log_q, log_p = torch.log(tensor(q)).tolist(), torch.log(tensor(d.PROBS[::-1])).tolist()
    shapes: list[tuple[str, str, Rows, Any, Any]] = [
        ("kl", "F.kl_div(log(pred), target)", lambda target, pred, reduction:
         F.kl_div(torch.log(pred), target, reduction="none"), p, q),
        ("kl:log-input=true", "F.kl_div", lambda target, pred, reduction: F.kl_div(pred, target, reduction="none"), p, log_q),
        ("kl:log-input=true:log-target=true", "F.kl_div(log_target=True)", lambda target, pred, reduction:
         F.kl_div(pred, target, reduction="none", log_target=True), log_p, log_q),
        ("kl:from-logits=true", "F.kl_div(log_softmax(pred))", lambda target, pred, reduction:
         F.kl_div(torch.log_softmax(pred, 1), target, reduction="none"), p, d.LOGITS),
    ]
    for spec, call, fn, target, pred in shapes:
        rows(g, spec, call, fn, sums=True, target=target, pred=pred)
    value = F.kl_div(tensor(log_q), tensor(p), reduction="batchmean")
    g.add("kl:log-input=true", "F.kl_div(reduction='batchmean')", value, target=p, pred=log_q)
    rows(g, "kl", "F.kl_div(log(pred), target)", lambda target, pred, reduction: F.kl_div(
         torch.log(pred), target, reduction="none"), sums=True, only=("none", "mean"), target=p[:3], pred=d.PROBS_END[:3])
    rows(g, "entropy", "torch.special.entr(pred).sum(1)", lambda pred, reduction: torch.special.entr(pred), sums=True,
         only=("none",), pred=d.PROBS_END)


def generative(g: Golden) -> None:
    real = [2.0, -1.0, 0.5]
    fake = [0.5, -2.0, 1.25]
    r, f = tensor(real), tensor(fake)
    inputs = {"target": [1, 0, 1, 0, 1, 0], "pred": [x for pair in zip(real, fake, strict=True) for x in pair]}
    bce = F.binary_cross_entropy_with_logits
    one, zero = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    table = [
        ("gan:side=discriminator:mode=minimax:from-logits=true", "bce(real, 1) + bce(fake, 0)", bce(r, one) + bce(f, zero)),
        ("gan:side=generator:mode=non-saturating:from-logits=true", "bce(fake, 1)", bce(f, one)),
        ("gan:side=generator:mode=minimax:from-logits=true", "-bce(fake, 0)", -bce(f, zero)),
        ("lsgan:side=discriminator", "(mse(real, 1) + mse(fake, 0)) / 2", (F.mse_loss(r, one) + F.mse_loss(f, zero)) / 2),
        ("lsgan:side=discriminator:half=false", "mse(real, 1) + mse(fake, 0)", F.mse_loss(r, one) + F.mse_loss(f, zero)),
        ("lsgan:side=generator", "mse(fake, 1) / 2", F.mse_loss(f, one) / 2),
        ("lsgan:side=discriminator:real-label=0.9:fake-label=-1", "(mse(real, 0.9) + mse(fake, -1)) / 2",
         (F.mse_loss(r, 0.9 * one) + F.mse_loss(f, -one)) / 2),
        ("wgan:side=critic", "fake.mean() - real.mean()", f.mean() - r.mean()),
        ("wgan:side=generator", "-fake.mean()", -f.mean()),
        ("hinge-gan:side=discriminator", "relu(1 - real).mean() + relu(1 + fake).mean()",
         F.relu(1 - r).mean() + F.relu(1 + f).mean()),
        ("hinge-gan:side=generator", "-fake.mean()", -f.mean()),
    ]
    for spec, call, value in table:
        g.add(spec, f"torch: {call}", value, reduction="pooled", **inputs)
    normal, unit = torch.distributions.Normal, torch.distributions.Normal(tensor(0.0), tensor(1.0))

    def kl(mu: Any, logvar: Any, reduction: str = "none") -> torch.Tensor:
        return torch.distributions.kl_divergence(normal(mu, torch.exp(logvar / 2)), unit).sum(-1)

    latent = {"mu": d.A, "logvar": d.C}
    rows(g, "kl-normal", "torch.distributions.kl_divergence(Normal, Normal(0, 1)).sum", kl, wrt="mu,logvar", **latent)
    both = {"target": d.PROBS, "pred": d.SOFT_ROWS[::-1]}
    rows(g, "vae:beta=0.5", "F.mse_loss summed + 0.5 * KL", lambda target, pred, mu, logvar, reduction:
         F.mse_loss(pred, target, reduction="none").sum(1) + 0.5 * kl(mu, logvar), wrt="pred,mu,logvar", **both, **latent)
    inside = {"target": d.MASK, "pred": d.INK, "mu": d.A[:2], "logvar": d.C[:2]}
    rows(g, "vae:reconstruction=bce", "F.binary_cross_entropy summed + KL", lambda target, pred, mu, logvar, reduction:
         F.binary_cross_entropy(pred, target, reduction="none").sum(1) + kl(mu, logvar), wrt="pred,mu,logvar", **inside)


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
            g.add(spec, call, ctc(log_probs, targets[:kept], "none", **extra), reduction="none", rtol=1e-11, **inputs)
            g.add(spec, call, ctc(log_probs, targets[:kept], "sum", **extra), reduction="sum", rtol=1e-11, **inputs)
            value = ctc(log_probs, targets[:kept], "mean", **extra)
            g.add(f"{spec}:per-target=true", call, value, rtol=1e-11, **inputs)
            g.add(spec, call, value, like="torch", rtol=1e-11, **inputs)
    leaves = [tensor(rows_).requires_grad_() for rows_ in logits[:3]]
    ctc([torch.log_softmax(leaf, 1) for leaf in leaves], targets[:3], "sum").backward()
    g.add("ctc:from-logits=true", "F.ctc_loss(log_softmax(pred)), autograd", {"grad_pred": [x.grad for x in leaves]},
          reduction="none", grad=True, rtol=1e-10, target=targets[:3], pred=logits[:3])
    last, cut = [[1, 2, 3, 0], [0, 0, 1, 2, 3, 3], [2, 1, 0, 0, 1]], logits[:3]
    flat, labels = torch.cat([tensor(rows_) for rows_ in cut]), torch.tensor([x for row in last for x in row])
    for name in ("token-nll", "pixel-cross-entropy"):
        for tail, more in (("", {}), (":ignore-index=0", {"ignore_index": 0})):
            g.add(f"{name}:from-logits=true{tail}", f"F.cross_entropy over all tokens{tail}",
                  F.cross_entropy(flat, labels, **more), reduction="pooled", target=last, pred=cut)


def others(g: Golden) -> None:
    near = torch.nn.functional.normalize
    a, b, group = tensor(d.A), tensor(d.B), [7, 7, 7, 7]
    for tau in (0.1, 0.5):
        sim = near(a, dim=1) @ near(b, dim=1).T / tau
        here = torch.arange(4)
        one, two = F.cross_entropy(sim, here, reduction="none"), F.cross_entropy(sim.T, here, reduction="none")
        inputs = {"anchor": d.A, "positive": d.B, "group": group}
        g.add(f"info-nce:temperature={tau}", "F.cross_entropy(cosines / t, arange)", one.mean(), **inputs)
        g.add(f"info-nce:temperature={tau}:symmetric=true", "CLIP's mean of both directions", (one + two).mean() / 2,
              **inputs)
    raw = F.cross_entropy(a @ b.T, torch.arange(4))
    g.add("info-nce:temperature=1:normalize=false", "F.cross_entropy(a @ b.T, arange)", raw, anchor=d.A, positive=d.B,
          group=group)
    rows(g, "perceptual", "F.mse_loss(reduction='none').sum(1)", lambda target, pred, reduction:
         F.mse_loss(pred, target, reduction="none"), sums=True, target=d.A, pred=d.B)
    rows(g, "perceptual:normalize=true", "F.mse_loss(reduction='none').mean(1)", lambda target, pred, reduction:
         F.mse_loss(pred, target, reduction="none"), target=d.A, pred=d.B)
    rows(g, "brier", "F.mse_loss", lambda target, pred, reduction: F.mse_loss(pred, target, reduction=reduction),
         target=d.BIN, pred=d.PROB)


def make() -> Golden:
    g = Golden("torch", ("torch",))
    for part in (regression, likelihoods, binary, multiclass, margins, triplets, distributions, generative, sequences, others):
        part(g)
    return g
