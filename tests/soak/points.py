"""Where accuracy is measured: the whole domain of every input, its ends, near equality, branch points."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from cases import Case
from numpy.typing import NDArray

from lossctl.loss import Form

Rng = np.random.Generator
Floats = NDArray[np.float64]
Data = dict[str, Any]
SPECIAL = (0.0, 1.0, 0.5, 2.0, 1.5, 10.0, 709.5, 745.0, 5e-324, 2.3e-308, 1e-160, 1e150, 1e300, 8e307)


def mixed(rng: Rng, n: int, kinds: list[tuple[float, Callable[[int], Floats]]]) -> Floats:
    """Each value by one of the kinds, taken with their shares."""
    shares = np.array([share for share, _ in kinds])
    chosen = rng.choice(len(kinds), n, p=shares / shares.sum())
    return np.choose(chosen, [make(n) for _, make in kinds]).astype(np.float64)


def spread(rng: Rng, low: float, high: float) -> Callable[[int], Floats]:
    """Powers of ten between two exponents, evenly by exponent."""
    return lambda n: 10.0 ** rng.uniform(low, high, n)


def size(rng: Rng, n: int) -> Floats:
    """Non-negative numbers: everyday ones, of every exponent, special ones and whole ones."""
    kinds = [
        (0.35, lambda n: np.abs(rng.normal(0.0, 3.0, n))),
        (0.2, spread(rng, -6, 6)),
        (0.15, spread(rng, -320, 308)),
        (0.1, lambda n: rng.uniform(600.0, 1100.0, n)),
        (0.1, lambda n: rng.choice(SPECIAL, n)),
        (0.1, lambda n: rng.integers(0, 50, n).astype(np.float64)),
    ]
    return mixed(rng, n, kinds)


def unit(rng: Rng, n: int) -> Floats:
    """Probabilities, many near 0 and near 1."""
    kinds = [
        (0.3, lambda n: rng.random(n)),
        (0.2, spread(rng, -20, 0)),
        (0.1, spread(rng, -323, 0)),
        (0.2, lambda n: 1.0 - 10.0 ** rng.uniform(-16, 0, n)),
        (0.1, lambda n: rng.choice([0.0, 1.0, 0.5, math.nextafter(1.0, 0.0), 5e-324], n)),
        (0.1, lambda n: 0.5 + rng.integers(-9, 10, n) * 2.0**-53),
    ]
    return mixed(rng, n, kinds)


def shares(rng: Rng, rows: int, width: int) -> Floats:
    """Rows that sum to one up to rounding, from even to almost certain, some values zero."""
    raw = rng.random((rows, width)) ** (10.0 ** rng.uniform(-1, 2, (rows, 1)))
    raw[rng.random((rows, width)) < 0.03] = 0.0
    raw[:, 0] += 1e-30
    return raw / raw.sum(axis=1, keepdims=True)


def vectors(rng: Rng, rows: int, width: int) -> Floats:
    """Rows of one scale each, a few of many scales."""
    scale = mixed(rng, rows, [(0.5, np.ones), (0.4, spread(rng, -6, 6)), (0.1, spread(rng, -300, 300))])
    values = rng.normal(0.0, 1.0, (rows, width)) * scale[:, None]
    wild = rng.random(rows) < 0.1
    values[wild] *= 10.0 ** rng.uniform(-12, 2, (int(wild.sum()), width))
    return np.where(rng.random((rows, width)) < 0.03, 0.0, values)


def legal(form: Form, values: Floats) -> Floats:
    """Values moved to the nearest that the domain holds."""
    return np.clip(values, *form.domain.ends)


def fresh(form: Form, rng: Rng, rows: int, width: int) -> Any:
    """Values of one input on their own."""
    shape = (rows,) if form.shape == "scalar" else (rows, form.width or width)
    count = math.prod(shape)
    if form.kind == "label":
        return rng.integers(0, width, shape)
    if form.kind in ("sign", "binary"):
        return rng.choice([-1.0 if form.kind == "sign" else 0.0, 1.0], shape)
    if form.sums_to_one:
        return shares(rng, *shape)
    if form.kind == "prob":
        return unit(rng, count).reshape(shape)
    if form.shape == "vector":
        return vectors(rng, *shape)
    values = size(rng, count).reshape(shape)
    values = np.minimum(values, 8e307)  # a difference past the doubles is infinite whatever becomes of it
    if form.kind == "real":
        values = values * rng.choice([-1.0, 1.0], shape)
    return legal(form, values)


def beside(form: Form, rng: Rng, first: Floats, alone: Floats, edges: list[float]) -> Floats:
    """Half of the rows near another input's: equal, some ulp or a share away, or by a branch point."""
    shape = (len(first),) + (1,) * (first.ndim - 1)
    steps = rng.integers(-3, 4, first.shape) * np.spacing(np.abs(first))
    share = first * (10.0 ** rng.uniform(-17, 0, shape) * rng.normal(0.0, 1.0, first.shape))
    edge = rng.choice(edges, shape) * (1.0 + rng.integers(-4, 5, shape) * 2.0**-53)
    edge = edge * rng.choice([-1.0, 1.0], shape)
    kind = rng.random(shape)
    near = np.where(kind < 0.1, first + steps, np.where(kind < 0.4, first + share, alone))
    near = np.where((kind > 0.4) & (kind < 0.5), first + edge, near)
    near = np.where(np.isfinite(near), legal(form, near), alone)
    if form.sums_to_one:
        sums = near.sum(axis=1, keepdims=True)
        near = np.where(sums > 0.0, near / np.where(sums > 0.0, sums, 1.0), alone)
    return near


def plain(case: Case, rng: Rng, rows: int) -> Data:
    """Any loss: inputs by their forms; numbers of one kind are often near each other."""
    width = int(rng.integers(3, 11))
    listed = [len(v) for v in case.bound.params.values() if isinstance(v, tuple) and v]
    width = listed[0] if listed else width
    numbers = [v for v in case.bound.params.values() if isinstance(v, float) and math.isfinite(v)]
    edges = [abs(v) for v in numbers if v] or [1.0]
    data: Data = {}
    seen: dict[tuple[str, str], Floats] = {}
    for name, form in case.forms.items():
        if form.kind == "group":
            data[name] = np.array(
                [f"g{i}" for i in np.repeat(np.arange(rows), rng.integers(1, 7, rows))[:rows]]
            )
            data[name] = data[name].astype(object)
            continue
        values = fresh(form, rng, rows, width)
        key = ("share" if form.kind == "prob" else "number", form.shape)
        if form.kind not in ("label", "sign", "binary") and key in seen:
            values = beside(form, rng, seen[key], values, edges)
        data[name] = values
        seen.setdefault(key, values)
    return data


def moderate(case: Case, rng: Rng, rows: int) -> Data:
    """Numbers whose difference can be squared and rooted again."""
    data = plain(case, rng, rows)
    x = np.clip(data["target"], -0.9 if case.forms["target"].domain.low == -1.0 else -1e150, 1e150)
    gap = np.abs(data["pred"] - x)
    near = legal(case.forms["pred"], x + rng.normal(0.0, 1.0, rows) * np.maximum(np.abs(x), 1e-120))
    return {
        "target": x,
        "pred": np.where((gap < 1e150) & (gap > 1e-130 * (1 + np.abs(x))), data["pred"], near),
    }


def filled(case: Case, rng: Rng, rows: int) -> Data:
    """No target of zero."""
    data = plain(case, rng, rows)
    return {**data, "target": np.where(data["target"] == 0.0, 1.0, data["target"])}


def tame(case: Case, rng: Rng, rows: int) -> Data:
    """Vectors whose squares stay among the doubles."""
    data = plain(case, rng, rows)
    for name, form in case.forms.items():
        if form.kind == "real":
            top = np.max(np.abs(data[name]), axis=1, keepdims=True)
            data[name] = np.where(
                (top < 1e100) & (top > 1e-100), data[name], rng.normal(0, 1, data[name].shape)
            )
    return data


def calm(case: Case, rng: Rng, rows: int) -> Data:
    """Numbers whose sums and squares stay among the doubles."""
    data = plain(case, rng, rows)
    return {n: np.clip(v, -1e150, 1e150) if v.dtype.kind == "f" else v for n, v in data.items()}


def counts(case: Case, rng: Rng, rows: int) -> Data:
    """Whole targets; other numbers between 1e−100 and 1e100."""
    data = plain(case, rng, rows)
    made = {n: np.clip(v, 1e-100, 1e100) for n, v in data.items()}
    return {**made, "target": np.round(np.clip(data["target"], 0.0, 1e100))}


def boxes(case: Case, rng: Rng, rows: int) -> Data:
    """Boxes apart, one in the other, nearly equal, slivers; coordinates of pixels or of any scale."""
    corner, far = rng.uniform(0, 10, (2, rows, 2)), rng.uniform(0, 10, (2, rows, 2))
    extent = rng.uniform(0.01, 10, (2, rows, 2)) * np.where(rng.random((2, rows, 2)) < 0.05, 1e-9, 1.0)
    target = np.concatenate([corner[0], corner[0] + extent[0]], axis=1)
    pred = np.concatenate([corner[1] + far[1] * (rng.random((rows, 1)) < 0.2)] * 2, axis=1)
    pred[:, 2:] += extent[1]
    close = rng.random(rows) < 0.4
    shift = 10.0 ** rng.uniform(-17, 0, (rows, 1)) * rng.normal(0, 1, (rows, 4))
    pred[close] = (target + shift)[close]
    scale = np.where(rng.random((rows, 1)) < 0.8, 1.0, 10.0 ** rng.uniform(-60, 60, (rows, 1)))
    made = {"target": target * scale, "pred": pred * scale}
    for box in made.values():
        box[:, 2:] = np.maximum(box[:, :2] * (1.0 + 2.0**-50), box[:, 2:])
    return made


def masks(case: Case, rng: Rng, rows: int) -> Data:
    """Masks of zeros and ones, one pixel at least set, under any probabilities."""
    data = plain(case, rng, rows)
    target = np.round(data["target"])
    target[:, 0] = 1.0
    sure = rng.random((rows, 1)) < 0.3
    return {"target": target, "pred": np.where(sure, np.abs(target - data["pred"] * 1e-9), data["pred"])}


def inked(case: Case, rng: Rng, rows: int) -> Data:
    """Masks without the faintest pixels: a ratio among the subnormal numbers has no digits to be rooted."""
    data = masks(case, rng, rows)
    return {name: np.where(x < 1e-280, 0.0, x) for name, x in data.items()}


def pixels(case: Case, rng: Rng, rows: int) -> Data:
    """Pictures of 2 × 3 pixels in [0, 1], many of them nearly the same."""
    target = rng.random((rows, 6))
    pred = target + 10.0 ** rng.uniform(-12, 0, (rows, 1)) * rng.normal(0.0, 1.0, (rows, 6))
    return {name: {"target": target, "pred": pred}[name] for name in case.forms}


def relevances(case: Case, rng: Rng, rows: int) -> Data:
    """Grades, with tied scores."""
    data = plain(case, rng, rows)
    return {
        **data,
        "target": rng.integers(0, 5, rows).astype(np.float64),
        "pred": np.round(np.clip(data["pred"], -1e6, 1e6), 1),
    }


def steps(case: Case, rng: Rng, rows: int) -> Data:
    """Sequences of one to four steps over three classes."""
    lengths = rng.integers(1, 5, rows)
    sums = case.forms["pred"].sums_to_one
    pred = [shares(rng, n, 3) if sums else vectors(rng, n, 3) for n in lengths]
    return {"target": [rng.integers(0, 3, n) for n in lengths], "pred": pred}


def normalised(scores: Floats) -> Floats:
    """Their log-probabilities, rounded."""
    left = scores - scores.max(axis=1, keepdims=True)
    return left - np.log(np.exp(left).sum(axis=1, keepdims=True))


def unaligned(case: Case, rng: Rng, rows: int) -> Data:
    """Short targets over more steps; class 0 is the blank. Half of the log-probabilities are normalised."""
    data = steps(case, rng, rows)
    if not case.bound.params["from_logits"]:
        data["pred"] = [normalised(p) if rng.random() < 0.5 else p for p in data["pred"]]
    return {**data, "target": [rng.integers(1, 3, rng.integers(0, len(p) // 2 + 1)) for p in data["pred"]]}


DRAWS: dict[str, Callable[[Case, Rng, int], Data]] = {
    f.__name__: f
    for f in (
        plain,
        moderate,
        filled,
        tame,
        calm,
        counts,
        boxes,
        masks,
        inked,
        pixels,
        relevances,
        steps,
        unaligned,
    )
}


def draw(case: Case, how: str, block: int, rows: int) -> Data:
    """Block number `block` of a case's points: the same each time."""
    rng = np.random.default_rng((zlib.crc32(case.id.encode()), block))
    with np.errstate(all="ignore"):
        return DRAWS[how](case, rng, rows)
