"""Two axis-parallel boxes beside each other: edges, shared and covering areas, and their slopes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lossctl.loss import Array, RowRefused


class Edges(NamedTuple):
    """Left, top, right and bottom of each box."""

    x1: Array
    y1: Array
    x2: Array
    y2: Array

    @property
    def width(self) -> Array:
        return self.x2 - self.x1

    @property
    def height(self) -> Array:
        return self.y2 - self.y1


def edges(box: Array, layout: str, name: str) -> Edges:
    """The box as edges. Raises RowRefused for one that is inside out: it has no area to compare."""
    a, b, c, d = (np.ascontiguousarray(column) for column in box.T)
    inverted = (c < a) | (d < b) if layout == "xyxy" else (c < 0.0) | (d < 0.0)
    if inverted.any():
        rule = "x1 <= x2 and y1 <= y2" if layout == "xyxy" else "width and height are at least 0"
        row = int(np.argmax(inverted))
        message = f"the box {box[row].tolist()} is inside out"
        raise RowRefused(name, row, message, f"with layout={layout} {rule}")
    if layout == "xyxy":
        return Edges(a, b, c, d)
    if layout == "xywh":
        return Edges(a, b, a + c, b + d)
    return Edges(a - 0.5 * c, b - 0.5 * d, a + 0.5 * c, b + 0.5 * d)


class Pair(NamedTuple):
    """A predicted and a true box: their shared width and height (0 if apart), and areas.

    apart: area of exactly one of them; cover: of the smallest box around both; spare: of that outside both.
    Areas that are small for nearly equal boxes are sums of thin strips, not differences of large areas.
    """

    p: Edges
    t: Edges
    wide: Array
    high: Array
    apart: Array
    cover: Array
    spare: Array

    @property
    def inter(self) -> Array:
        return self.wide * self.high

    @property
    def union(self) -> Array:
        return self.inter + self.apart

    @property
    def cover_width(self) -> Array:
        return np.maximum(self.p.x2, self.t.x2) - np.minimum(self.p.x1, self.t.x1)

    @property
    def cover_height(self) -> Array:
        return np.maximum(self.p.y2, self.t.y2) - np.minimum(self.p.y1, self.t.y1)


def pair_of(target: Array, pred: Array, layout: str) -> Pair:
    p, t = edges(pred, layout, "pred"), edges(target, layout, "target")
    left, right = np.maximum(p.x1, t.x1), np.minimum(p.x2, t.x2)
    top, bottom = np.maximum(p.y1, t.y1), np.minimum(p.y2, t.y2)
    meet = (right > left) & (bottom > top)
    wide, high = np.where(meet, right - left, 0.0), np.where(meet, bottom - top, 0.0)

    def outside(box: Edges) -> Array:
        strips = ((left - box.x1) + (box.x2 - right)) * box.height + wide * (
            (top - box.y1) + (box.y2 - bottom)
        )
        return np.where(meet, strips, box.width * box.height)

    apart = outside(p) + outside(t)
    made = Pair(p, t, wide, high, apart, wide, wide)
    cover = made.cover_width * made.cover_height
    corners = sum(
        np.maximum(sign * across * along, 0.0)
        for across, sign_x in ((p.x1 - t.x1, 1.0), (p.x2 - t.x2, -1.0))
        for along, sign_y in ((p.y1 - t.y1, 1.0), (p.y2 - t.y2, -1.0))
        for sign in (-sign_x * sign_y,)
    )
    spare = np.where(meet, corners, np.maximum(cover - apart, 0.0))
    return made._replace(cover=cover, spare=spare)


def over(top: Array, bottom: Array, eps: float) -> Array:
    """top / (bottom + eps), and 0 where that is 0/0."""
    full = bottom + eps
    share: Array = top / np.where(full == 0.0, 1.0, full)
    return share


def miss(pair: Pair, eps: float) -> Array:
    """1 − IoU; two boxes without area overlap fully if they are equal and not at all otherwise."""
    full = pair.union + eps
    same = np.logical_and.reduce([a == b for a, b in zip(pair.p, pair.t, strict=True)])
    blank = np.where(same, 0.0, 1.0)
    return np.where(full == 0.0, blank, over(pair.apart + eps, pair.union, eps))


def more(first: Array, second: Array) -> Array:
    """1 where first > second, ½ where equal: the slope of a maximum."""
    return 0.5 * ((first > second).astype(np.float64) + (first >= second))


def columns(*parts: Array) -> Array:
    return np.stack(parts, axis=1)


def inter_slope(pair: Pair) -> Array:
    """d intersection / d (x1, y1, x2, y2) of the prediction, as are all slopes below."""
    p, t = pair.p, pair.t
    return columns(
        -pair.high * more(p.x1, t.x1),
        -pair.wide * more(p.y1, t.y1),
        pair.high * more(t.x2, p.x2),
        pair.wide * more(t.y2, p.y2),
    )


def area_slope(box: Edges) -> Array:
    return columns(-box.height, -box.width, box.height, box.width)


def cover_slopes(pair: Pair) -> tuple[Array, Array]:
    """d width and d height of the box around both."""
    p, t = pair.p, pair.t
    zero = np.zeros(len(p.x1))
    across = columns(-more(t.x1, p.x1), zero, more(p.x2, t.x2), zero)
    along = columns(zero, -more(t.y1, p.y1), zero, more(p.y2, t.y2))
    return across, along


def miss_slope(pair: Pair, eps: float) -> Array:
    inter = inter_slope(pair)
    union = area_slope(pair.p) - inter
    share = over(pair.inter, pair.union, eps)[:, None]
    full = (pair.union + eps)[:, None]
    return (share * union - inter) / np.where(full == 0.0, np.inf, full)


def as_layout(slope: Array, layout: str) -> Array:
    """Slopes of the edges as slopes of the four numbers given."""
    if layout == "xyxy":
        return slope
    near, far = slope[:, :2], slope[:, 2:]
    return np.concatenate([near + far, far if layout == "xywh" else 0.5 * (far - near)], axis=1)


def centres(pair: Pair) -> tuple[Array, Array]:
    """How far the predicted centre lies from the true one."""
    p, t = pair.p, pair.t
    return 0.5 * ((p.x1 - t.x1) + (p.x2 - t.x2)), 0.5 * ((p.y1 - t.y1) + (p.y2 - t.y2))
