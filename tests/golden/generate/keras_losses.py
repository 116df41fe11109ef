"""Keras on PyTorch, in float64: its promotion rules, which would fall back to float32, are replaced."""

from __future__ import annotations

from typing import Any

import data as d
import keras
import numpy as np
from common import Golden, options
from keras.src.backend.common import dtypes

keras.config.set_floatx("float64")
_promote = dtypes.result_type
dtypes.result_type = lambda *found: "float64" if any("float64" in str(x) for x in found) else _promote(*found)

L = keras.losses
CLIP = 1.5e-7  # Keras clips class probabilities at 1 − 1e-7 too, lossctl only from below


def f64(values: Any) -> Any:
    return keras.ops.convert_to_tensor(np.array(values, dtype=np.float64))


def rows(
    g: Golden,
    spec: str,
    name: str,
    target: Any,
    pred: Any,
    *,
    likes: tuple[str | None, ...] = (None, "keras"),
    labels: bool = False,
    rtol: float = 1e-12,
    atol: float = 0.0,
    **params: Any,
) -> None:
    """Per-row values and their mean. A scalar row is a vector of one, the mean of which is itself."""
    column = lambda x: x if np.ndim(x) > 1 else np.reshape(x, (-1, 1))  # noqa: E731
    y = keras.ops.convert_to_tensor(np.array(target)) if labels else f64(column(target))
    value = getattr(L, name)(y, f64(column(pred)), **params)
    assert "float64" in str(value.dtype), (name, value.dtype)
    call = f"keras.losses.{name}({', '.join(f'{k}={v!r}' for k, v in params.items())})"
    for like in likes:
        g.add(spec, call, value, like=like, reduction="none", rtol=rtol, atol=atol, target=target, pred=pred)
        g.add(spec, call, value.mean(), like=like, rtol=rtol, atol=atol, target=target, pred=pred)


def pointwise(g: Golden) -> None:
    same = [
        ("mse", "mean_squared_error", {}),
        ("mae", "mean_absolute_error", {}),
        ("log-cosh", "log_cosh", {}),
    ]
    same += [(f"huber:delta={v}", "huber", {"delta": v}) for v in (1.0, 1.5, 0.1)]
    for spec, name, params in same:
        for target, pred in (
            (d.Y, d.P),
            (d.Y_2D, d.P_2D),
            ([d.Y_TAIL[i] for i in d.TAIL], [d.P_TAIL[i] for i in d.TAIL]),
        ):
            rows(
                g,
                spec,
                name,
                target,
                pred,
                likes=(None,) if "huber:" in spec else (None, "keras"),
                rtol=1e-11 if name == "log_cosh" else 1e-12,
                **params,
            )
    g.add("huber", "keras.losses.huber()", L.huber(f64(d.Y), f64(d.P)), like="keras", target=d.Y, pred=d.P)
    percent = "mape:zero=eps:eps=1e-07:scale=100"
    for target, pred in ((d.Y, d.P), ([0.0, 1.0, -2.0], [1.0, 1.0, -2.5])):
        rows(g, percent, "mean_absolute_percentage_error", target, pred, likes=(None,))
        rows(g, "mape", "mean_absolute_percentage_error", target, pred, likes=("keras",))
    rows(g, "msle", "mean_squared_logarithmic_error", d.POSITIVE, [*d.RATE[:5], 0.5], likes=(None,))
    rows(g, "poisson-nll:eps=1e-07", "poisson", d.COUNT, d.RATE, likes=(None,))
    rows(g, "poisson-nll", "poisson", [*d.COUNT, 3.0], [*d.RATE, 0.0], likes=("keras",))
    rows(g, "hinge", "hinge", d.SIGNS, d.LOGIT)
    rows(g, "hinge", "hinge", d.BIN, d.LOGIT)
    rows(g, "squared-hinge", "squared_hinge", d.SIGNS, d.LOGIT)
    rows(g, "squared-hinge", "squared_hinge", d.BIN, d.LOGIT)


def probabilities(g: Golden) -> None:
    for target in (d.BIN, d.SOFT, d.MASK):
        prob, logit = (d.INK, d.INK_LOGIT) if target is d.MASK else (d.PROB, d.LOGIT)
        rows(g, "bce:eps=1e-07", "binary_crossentropy", target, prob, likes=(None,))
        rows(g, "bce", "binary_crossentropy", target, prob, likes=("keras",))
        rows(g, "bce:from-logits=true", "binary_crossentropy", target, logit, atol=1e-15, from_logits=True)
        for s in (0.1, 0.4):
            rows(
                g,
                f"bce:from-logits=true:label-smoothing={s}",
                "binary_crossentropy",
                target,
                logit,
                from_logits=True,
                label_smoothing=s,
            )
    rows(g, "bce", "binary_crossentropy", d.BIN, d.PROB_END, likes=("keras",))
    # Keras takes the power of what is not clipped yet
    focal = "binary_focal_crossentropy"
    rows(g, "binary-focal", focal, d.BIN, d.PROB_END, likes=("keras",), rtol=3e-7, atol=1e-20)
    for gamma in (2.0, 0.5):
        for alpha in (None, 0.25, 0.6):
            spec = options(gamma=gamma, alpha="none" if alpha is None else alpha)
            extra = {"gamma": gamma, "apply_class_balancing": alpha is not None, "alpha": alpha or 0.25}
            rows(
                g,
                f"binary-focal{spec}",
                "binary_focal_crossentropy",
                d.BIN,
                [*d.PROB[:5], 0.125],
                rtol=1e-12,
                likes=(None, "keras"),
                **extra,
            )
            rows(
                g,
                f"binary-focal{spec}:from-logits=true",
                "binary_focal_crossentropy",
                d.BIN,
                [*d.LOGIT[:4], 1.0, -0.5],
                from_logits=True,
                likes=(None,),
                rtol=1e-9,
                **extra,
            )
    for s in (0.0, 0.1):
        tail = f":label-smoothing={s}"
        for target in (d.SOFT_ROWS, d.ONE_HOT):
            rows(
                g,
                "cross-entropy:eps=1e-07" + tail,
                "categorical_crossentropy",
                target,
                d.PROBS,
                likes=(None,),
                label_smoothing=s,
            )
            rows(
                g,
                "cross-entropy" + tail,
                "categorical_crossentropy",
                target,
                d.PROBS_END,
                likes=("keras",),
                atol=CLIP,
                label_smoothing=s,
            )
            rows(
                g,
                "cross-entropy:from-logits=true" + tail,
                "categorical_crossentropy",
                target,
                d.LOGITS,
                from_logits=True,
                label_smoothing=s,
            )
    rows(g, "cross-entropy", "sparse_categorical_crossentropy", d.LABEL, d.PROBS, labels=True)
    rows(
        g,
        "cross-entropy",
        "sparse_categorical_crossentropy",
        d.LABEL,
        d.PROBS_END,
        labels=True,
        likes=("keras",),
        atol=CLIP,
    )
    rows(
        g,
        "cross-entropy:from-logits=true",
        "sparse_categorical_crossentropy",
        d.LABEL,
        d.LOGITS_TAIL,
        labels=True,
        from_logits=True,
    )
    short = [[0.2, 0.2, 0.2], [3.0, 1.0, 4.0]]
    rows(g, "cross-entropy:normalize=true", "sparse_categorical_crossentropy", [0, 1], short, labels=True)
    rows(g, "cross-entropy", "sparse_categorical_crossentropy", [0, 1], short, labels=True, likes=("keras",))
    for gamma, alpha in ((2.0, 1.0), (0.5, 0.25)):
        rows(
            g,
            f"focal:gamma={gamma}:alpha={alpha}",
            "categorical_focal_crossentropy",
            d.ONE_HOT,
            d.PROBS,
            gamma=gamma,
            alpha=alpha,
        )
    rows(g, "focal", "categorical_focal_crossentropy", d.ONE_HOT, d.PROBS, likes=("keras",))
    rows(g, "kl:eps=1e-07", "kl_divergence", d.SOFT_ROWS, d.PROBS, likes=(None,))
    for pred in (d.PROBS, d.PROBS_END):
        rows(g, "kl", "kl_divergence", d.SOFT_ROWS, pred, likes=("keras",), rtol=1e-11)
    rows(g, "cosine-proximity", "cosine_similarity", d.A, d.B)
    short = [[1e-8, 0.0], [3e-8, 4e-8], [0.0, 0.0]]
    rows(g, "cosine-proximity", "cosine_similarity", short, [[1.0, 0.0]] * 3, likes=("keras",))


def regions(g: Golden) -> None:
    for target, pred in ((d.MASK, d.INK), (d.MASK_EMPTY, d.INK_EMPTY)):
        rtol = 1e-6  # Keras adds 1e-7 to the denominator alone, which no parameter of lossctl says
        g.add(
            "dice",
            "keras.losses.dice()",
            L.dice(f64(target), f64(pred)),
            reduction="pooled",
            rtol=rtol,
            target=target,
            pred=pred,
        )
        g.add(
            "dice",
            "keras.losses.dice(axis=1)",
            L.dice(f64(target), f64(pred), axis=1),
            reduction="none",
            rtol=rtol,
            target=target,
            pred=pred,
        )
        for a, b in ((0.5, 0.5), (0.3, 0.7)):
            # Keras 3.15 multiplies the false negatives by alpha, so the two change places
            g.add(
                f"tversky:alpha={a}:beta={b}",
                f"keras.losses.tversky(alpha={b}, beta={a})",
                L.tversky(f64(target), f64(pred), alpha=b, beta=a),
                reduction="pooled",
                rtol=rtol,
                target=target,
                pred=pred,
            )


def sequences(g: Golden) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3, 5, 4)).round(3)
    targets = [[1, 2], [3, 1], [2, 2]]
    value = L.ctc(keras.ops.convert_to_tensor(np.array(targets)), f64(logits))
    g.add(
        "ctc:from-logits=true",
        "keras.losses.ctc (computes in float32)",
        value,
        reduction="none",
        rtol=1e-6,
        target=targets,
        pred=logits.tolist(),
    )


def make() -> Golden:
    g = Golden("keras", ("keras", "torch"))
    for part in (pointwise, probabilities, regions, sequences):
        part(g)
    return g
