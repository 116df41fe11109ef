"""What the PyTorch generators share: one call gives a loss's rows, reductions and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from common import Golden

Rows = Callable[..., torch.Tensor]


def tensor(values: Any) -> torch.Tensor:
    """Whole-number labels stay integers; everything else is float64."""
    found = torch.tensor(values)
    return found if found.dtype == torch.int64 else torch.tensor(values, dtype=torch.float64)


def rows(
    g: Golden,
    spec: str,
    call: str,
    fn: Rows,
    *,
    wrt: str = "pred",
    like: str | None = None,
    sums: bool = False,
    atol: float = 0.0,
    only: tuple[str, ...] = ("none", "mean", "sum", "grad"),
    **inputs: Any,
) -> None:
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
            g.add(
                spec,
                call,
                whole if vector else fn(reduction=reduction, **t),
                like=like,
                reduction=reduction,
                atol=atol,
                **inputs,
            )
