"""optax on JAX with 64-bit floats, and the gradients JAX gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import data as d
import jax
import jax.numpy as jnp
import numpy as np
from common import Golden, options
from optax import losses as o

jax.config.update("jax_enable_x64", True)


def rows(
    g: Golden,
    spec: str,
    call: str,
    fn: Callable[..., Any],
    *,
    wrt: str = "pred",
    like: bool = False,
    grad: bool = True,
    rtol: float = 1e-12,
    **inputs: Any,
) -> None:
    t = {k: jnp.asarray(np.array(v)) for k, v in inputs.items()}

    def row(**t: Any) -> Any:
        value = fn(**t)
        return value if value.ndim == 1 else value.mean(tuple(range(1, value.ndim)))

    for lib in (None, "optax") if like else (None,):
        g.add(spec, f"optax.losses.{call}", row(**t), like=lib, reduction="none", rtol=rtol, **inputs)
        g.add(spec, f"optax.losses.{call}", row(**t).mean(), like=lib, rtol=rtol, **inputs)
    if grad:
        names = wrt.split(",")
        found = jax.grad(lambda part: row(**(t | part)).sum())({n: t[n] for n in names})
        g.add(
            spec,
            f"jax.grad of {call}",
            {f"grad_{n}": found[n] for n in names},
            reduction="none",
            grad=True,
            rtol=rtol,
            **inputs,
        )


def regression(g: Golden) -> None:
    for target, pred in (
        (d.Y, d.P),
        (d.Y_2D, d.P_2D),
        ([d.Y_TAIL[i] for i in d.TAIL], [d.P_TAIL[i] for i in d.TAIL]),
    ):
        rows(
            g,
            "mse",
            "squared_error",
            lambda target, pred: o.squared_error(pred, target),
            like=True,
            target=target,
            pred=pred,
        )
        rows(
            g,
            "half-mse",
            "l2_loss",
            lambda target, pred: o.l2_loss(pred, target),
            like=True,
            target=target,
            pred=pred,
        )
        rows(
            g,
            "log-cosh",
            "log_cosh",
            lambda target, pred: o.log_cosh(pred, target),
            like=True,
            rtol=1e-11,
            target=target,
            pred=pred,
        )
        for v in (1.0, 0.4):
            rows(
                g,
                f"huber:delta={v}",
                f"huber_loss(delta={v})",
                lambda target, pred, v=v: o.huber_loss(pred, target, delta=v),
                target=target,
                pred=pred,
            )


def classification(g: Golden) -> None:
    for target in (d.BIN, d.SOFT):
        for pred in (d.LOGIT, d.LOGIT_TAIL):
            rows(
                g,
                "bce:from-logits=true",
                "sigmoid_binary_cross_entropy",
                lambda target, pred: o.sigmoid_binary_cross_entropy(pred, target),
                like=True,
                target=target,
                pred=pred,
            )
    for alpha in (None, 0.25):
        for gamma in (2.0, 1.0):
            spec = "binary-focal:from-logits=true" + options(
                alpha="none" if alpha is None else alpha, gamma=gamma
            )
            rows(
                g,
                spec,
                f"sigmoid_focal_loss(alpha={alpha}, gamma={gamma})",
                lambda target, pred, a=alpha, c=gamma: o.sigmoid_focal_loss(pred, target, alpha=a, gamma=c),
                rtol=1e-9,
                target=d.BIN,
                pred=d.LOGIT,
            )
    for pred in (d.LOGITS, d.LOGITS_TAIL):
        rows(
            g,
            "cross-entropy:from-logits=true",
            "softmax_cross_entropy",
            lambda target, pred: o.softmax_cross_entropy(pred, target),
            like=True,
            target=d.SOFT_ROWS,
            pred=pred,
        )
        rows(
            g,
            "cross-entropy:from-logits=true",
            "softmax_cross_entropy_with_integer_labels",
            lambda target, pred: o.softmax_cross_entropy_with_integer_labels(pred, target),
            target=d.LABEL,
            pred=pred,
        )
    for s in (0.1, 0.25):
        rows(
            g,
            f"cross-entropy:from-logits=true:label-smoothing={s}",
            f"softmax_cross_entropy(smooth_labels({s}))",
            lambda target, pred, s=s: o.softmax_cross_entropy(pred, o.smooth_labels(target, s)),
            target=d.ONE_HOT,
            pred=d.LOGITS,
        )


def vectors(g: Golden) -> None:
    log_q = np.log(d.PROBS).tolist()
    rows(
        g,
        "kl:log-input=true",
        "kl_divergence",
        lambda target, pred: o.kl_divergence(pred, target),
        target=d.SOFT_ROWS,
        pred=log_q,
    )
    rows(
        g,
        "kl:log-input=true:log-target=true",
        "kl_divergence_with_log_targets",
        lambda target, pred: o.kl_divergence_with_log_targets(pred, target),
        target=log_q[::-1],
        pred=log_q,
    )
    rows(
        g,
        "hinge",
        "hinge_loss",
        lambda target, pred: o.hinge_loss(pred, target),
        like=True,
        target=d.SIGNS,
        pred=d.LOGIT,
    )
    rows(
        g,
        "multiclass-hinge",
        "multiclass_hinge_loss",
        lambda target, pred: o.multiclass_hinge_loss(pred, target),
        like=True,
        grad=False,
        target=d.LABEL,
        pred=d.LOGITS,
    )
    rows(
        g,
        "cosine-distance",
        "cosine_distance",
        lambda target, pred: o.cosine_distance(pred, target),
        target=d.A,
        pred=d.B,
    )
    inputs = {"anchor": d.A, "positive": d.B, "negative": d.C}
    for margin in (1.0, 0.3):
        rows(
            g,
            f"triplet:margin={margin}",
            f"triplet_margin_loss(margin={margin}, eps=0)",
            lambda anchor, positive, negative, m=margin: o.triplet_margin_loss(
                anchor, positive, negative, margin=m, eps=0.0
            ),
            wrt="anchor,positive,negative",
            rtol=1e-11,
            **inputs,
        )


def groups(g: Golden) -> None:
    rank = {"group": d.GROUP[:4], "target": d.RELEVANCE[:4], "pred": d.SCORE[:4]}
    for name, labels in (
        ("raw", d.RELEVANCE[:4]),
        ("normalized", (np.array(d.RELEVANCE[:4]) / 6).tolist()),
        ("softmax", jax.nn.softmax(jnp.array(d.RELEVANCE[:4]))),
    ):
        value = o.ranking_softmax_loss(jnp.array(d.SCORE[:4]), jnp.array(labels), reduce_fn=None)
        g.add(f"listnet:labels={name}", f"optax.losses.ranking_softmax_loss({name} labels)", value, **rank)
    g.add(
        "listnet",
        "optax.losses.ranking_softmax_loss",
        o.ranking_softmax_loss(jnp.array(d.SCORE[:4]), jnp.array(d.RELEVANCE[:4])),
        like="optax",
        **rank,
    )
    score, relevance = [[0.5, -0.25], [1.0, 2.0]], [[0.0, 0.0], [1.0, 0.0]]
    g.add(
        "listnet",
        "optax.losses.ranking_softmax_loss, a group without relevance",
        o.ranking_softmax_loss(jnp.array(score), jnp.array(relevance)),
        like="optax",
        group=[1, 1, 2, 2],
        target=[x for row in relevance for x in row],
        pred=[x for row in score for x in row],
    )


def regions(g: Golden) -> None:
    mask, logit = jnp.array(d.MASK), jnp.array(d.INK_LOGIT)
    for smooth in (1.0, 0.0):
        for a, b in ((0.5, 0.5), (0.3, 0.7)):
            value = o.dice_loss(logit[..., None], mask[..., None], smooth=smooth, alpha=a, beta=b)
            prob = jax.nn.sigmoid(logit)
            call = f"optax.losses.dice_loss(smooth={smooth}, alpha={a}, beta={b})"
            g.add(
                f"tversky:alpha={a}:beta={b}:smooth={smooth}",
                call,
                value,
                reduction="none",
                target=d.MASK,
                pred=prob,
            )
            if a == b:
                g.add(
                    f"dice:smooth={2 * smooth}:from-logits=true",
                    call,
                    value,
                    reduction="none",
                    target=d.MASK,
                    pred=d.INK_LOGIT,
                )
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(2, 6, 4)).round(3), np.array([[1, 2, 3], [2, 2, 1]])
    value = o.ctc_loss(jnp.array(logits), jnp.zeros((2, 6)), jnp.array(labels), jnp.zeros((2, 3)))
    g.add(
        "ctc:from-logits=true",
        "optax.losses.ctc_loss",
        value,
        reduction="none",
        rtol=1e-9,
        target=labels,
        pred=logits,
    )


def make() -> Golden:
    g = Golden("optax", ("optax", "jax"))
    for part in (regression, classification, vectors, groups, regions):
        part(g)
    return g
