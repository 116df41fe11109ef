"""Overlap of axis-parallel boxes, four numbers each."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

import numpy as np

from lossctl.domain import NONNEG, UNIT, Interval
from lossctl.loss import Array, BadValue, Form, Param, gradient, like, loss

Box = Annotated[Array, Form("real", "vector", width=4)]
Eps = Annotated[float, Param("added to every denominator", NONNEG)]
Layout = Annotated[
    Literal["xyxy", "xywh", "cxcywh"],
    Param("two corners, a corner with width and height, or the centre with width and height"),
]
PER_CORNER = 4.0 / math.pi**2


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


def _edges(box: Array, layout: str, name: str) -> Edges:
    """The box as edges. Raises BadValue for one that is turned inside out: it has no area to compare."""
    a, b, c, d = (np.ascontiguousarray(column) for column in box.T)
    inverted = (c < a) | (d < b) if layout == "xyxy" else (c < 0.0) | (d < 0.0)
    if inverted.any():
        rule = "x1 <= x2 and y1 <= y2" if layout == "xyxy" else "width and height at least 0"
        raise BadValue(name, box[int(np.argmax(inverted))].tolist(), f"boxes with {rule} (layout={layout})")
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


def _pair(target: Array, pred: Array, layout: str) -> Pair:
    p, t = _edges(pred, layout, "pred"), _edges(target, layout, "target")
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


def _over(top: Array, bottom: Array, eps: float) -> Array:
    """top / (bottom + eps), and 0 where that is 0/0."""
    full = bottom + eps
    share: Array = top / np.where(full == 0.0, 1.0, full)
    return share


def _miss(pair: Pair, eps: float) -> Array:
    """1 − IoU; two boxes without area overlap fully if they are equal and not at all otherwise."""
    full = pair.union + eps
    same = np.logical_and.reduce([a == b for a, b in zip(pair.p, pair.t, strict=True)])
    blank = np.where(same, 0.0, 1.0)
    return np.where(full == 0.0, blank, _over(pair.apart + eps, pair.union, eps))


def _more(first: Array, second: Array) -> Array:
    """1 where first > second, ½ where equal: the slope of a maximum."""
    return 0.5 * ((first > second).astype(np.float64) + (first >= second))


def _columns(*parts: Array) -> Array:
    return np.stack(parts, axis=1)


def _inter_slope(pair: Pair) -> Array:
    """d intersection / d (x1, y1, x2, y2) of the prediction, as are all slopes below."""
    p, t = pair.p, pair.t
    return _columns(
        -pair.high * _more(p.x1, t.x1),
        -pair.wide * _more(p.y1, t.y1),
        pair.high * _more(t.x2, p.x2),
        pair.wide * _more(t.y2, p.y2),
    )


def _area_slope(box: Edges) -> Array:
    return _columns(-box.height, -box.width, box.height, box.width)


def _cover_slopes(pair: Pair) -> tuple[Array, Array]:
    """d width and d height of the box around both."""
    p, t = pair.p, pair.t
    zero = np.zeros(len(p.x1))
    across = _columns(-_more(t.x1, p.x1), zero, _more(p.x2, t.x2), zero)
    along = _columns(zero, -_more(t.y1, p.y1), zero, _more(p.y2, t.y2))
    return across, along


def _miss_slope(pair: Pair, eps: float) -> Array:
    inter = _inter_slope(pair)
    union = _area_slope(pair.p) - inter
    share = _over(pair.inter, pair.union, eps)[:, None]
    full = (pair.union + eps)[:, None]
    return (share * union - inter) / np.where(full == 0.0, np.inf, full)


def _as_layout(slope: Array, layout: str) -> Array:
    """Slopes of the edges as slopes of the four numbers given."""
    if layout == "xyxy":
        return slope
    near, far = slope[:, :2], slope[:, 2:]
    return np.concatenate([near + far, far if layout == "xywh" else 0.5 * (far - near)], axis=1)


@loss(
    range=UNIT,
    tasks=("images", "regression"),
    likes=(
        like(
            "torchmetrics", "1 − torchmetrics.detection.IntersectionOverUnion", note="over all pairs of boxes"
        ),
        like("torchvision", "1 − torchvision.ops.box_iou", note="over all pairs of boxes"),
    ),
)
def box_iou(target: Box, pred: Box, *, eps: Eps = 0.0, layout: Layout = "xyxy") -> Array:
    """Intersection over union loss of a predicted box.

    Formula: 1 − I/(U + ε), I the area of the intersection and U that of the union.
    Gradient: −(U·dI − I·dU)/U², 0 for boxes that do not touch.
    Use when: boxes are reported by their overlap.
    Avoid when: boxes may be apart: all such pairs cost 1 (box-giou, box-diou).
    Numerics: U − I is a sum of strips, so nearly equal boxes keep their digits; equal boxes without area
        cost 0, different ones 1; a box turned inside out is refused. Rows are within 4 ulp.
    See also: box-giou, box-diou, box-ciou; jaccard for masks.
    References: Yu, Jiang, Wang, Cao & Huang (2016), UnitBox.

    >>> import lossctl
    >>> lossctl.compute("box-iou", [[0, 0, 2, 2]], [[0, 0, 2, 1]]).value  # 1 − 2/4
    0.5
    """
    return _miss(_pair(target, pred, layout), eps)


@gradient(box_iou)
def _(target: Array, pred: Array, *, eps: float, layout: str) -> Array:
    return _as_layout(_miss_slope(_pair(target, pred, layout), eps), layout)


@loss(
    range=Interval(0.0, 2.0),
    tasks=("images", "regression"),
    likes=(
        like(
            "torchvision",
            "torchvision.ops.generalized_box_iou_loss",
            eps=1e-7,
            note="adds 1e-7 to denominators",
        ),
        like("monai", "monai.losses.BoxGIoULoss", note="adds the float32 epsilon to denominators"),
        like("tensorflow-addons", "tfa.losses.GIoULoss", note="boxes are (y1, x1, y2, x2)"),
    ),
)
def box_giou(target: Box, pred: Box, *, eps: Eps = 0.0, layout: Layout = "xyxy") -> Array:
    """Generalised IoU loss of a predicted box: IoU that still tells how far apart two boxes are.

    Formula: 1 − I/(U + ε) + (C − U)/(C + ε), C the area of the smallest box around both.
    Gradient: that of box-iou plus ((C + ε)(dC − dU) − (C − U)dC)/(C + ε)².
    Use when: boxes may be apart and should still be pulled together.
    Numerics: as box-iou; for overlapping boxes C − U is the sum of the free corners. Rows are within 4 ulp.
    See also: box-diou, box-ciou.
    References: Rezatofighi et al. (2019), Generalized Intersection over Union.

    >>> import lossctl
    >>> lossctl.compute("box-giou", [[0, 0, 1, 1]], [[3, 0, 4, 1]]).value  # 1 − 0 + (4 − 2)/4
    1.5
    """
    pair = _pair(target, pred, layout)
    return _miss(pair, eps) + _over(pair.spare, pair.cover, eps)


@gradient(box_giou)
def _(target: Array, pred: Array, *, eps: float, layout: str) -> Array:
    pair = _pair(target, pred, layout)
    across, along = _cover_slopes(pair)
    cover = across * pair.cover_height[:, None] + along * pair.cover_width[:, None]
    union = _area_slope(pair.p) - _inter_slope(pair)
    full = (pair.cover + eps)[:, None]
    free = _over(pair.spare, pair.cover, eps)[:, None]
    slope = (cover - union - free * cover) / np.where(full == 0.0, np.inf, full)
    return _as_layout(_miss_slope(pair, eps) + slope, layout)


def _centres(pair: Pair) -> tuple[Array, Array]:
    """How far the predicted centre lies from the true one."""
    p, t = pair.p, pair.t
    return 0.5 * ((p.x1 - t.x1) + (p.x2 - t.x2)), 0.5 * ((p.y1 - t.y1) + (p.y2 - t.y2))


def _drift(pair: Pair, eps: float) -> Array:
    """Squared distance of the centres over the squared diagonal of the box around both."""
    x, y = _centres(pair)
    return _over(x * x + y * y, pair.cover_width**2 + pair.cover_height**2, eps)


def _drift_slope(pair: Pair, eps: float) -> Array:
    x, y = _centres(pair)
    across, along = _cover_slopes(pair)
    diagonal = 2.0 * (across * pair.cover_width[:, None] + along * pair.cover_height[:, None])
    full = (pair.cover_width**2 + pair.cover_height**2 + eps)[:, None]
    return (_columns(x, y, x, y) - _drift(pair, eps)[:, None] * diagonal) / np.where(
        full == 0.0, np.inf, full
    )


@loss(
    range=Interval(0.0, 2.0),
    tasks=("images", "regression"),
    likes=(
        like(
            "torchvision", "torchvision.ops.distance_box_iou_loss", eps=1e-7, note="adds 1e-7 to denominators"
        ),
    ),
)
def box_diou(target: Box, pred: Box, *, eps: Eps = 0.0, layout: Layout = "xyxy") -> Array:
    """Distance IoU loss of a predicted box: IoU and the distance of the centres.

    Formula: 1 − I/(U + ε) + ρ²/(c² + ε), ρ the distance of the centres, c the diagonal of the smallest box
        around both.
    Gradient: that of box-iou plus that of the quotient.
    Use when: boxes should be centred quickly, also where one lies inside the other.
    Numerics: as box-iou; the centres are compared edge by edge. Rows are within 4 ulp.
    See also: box-ciou adds the aspect ratio.
    References: Zheng et al. (2020), Distance-IoU Loss.

    >>> import lossctl
    >>> lossctl.compute("box-diou", [[0, 0, 2, 2]], [[2, 2, 4, 4]]).value  # 1 − 0 + 8/32
    1.25
    """
    pair = _pair(target, pred, layout)
    return _miss(pair, eps) + _drift(pair, eps)


@gradient(box_diou)
def _(target: Array, pred: Array, *, eps: float, layout: str) -> Array:
    pair = _pair(target, pred, layout)
    return _as_layout(_miss_slope(pair, eps) + _drift_slope(pair, eps), layout)


def _aspect(pair: Pair) -> Array:
    """Difference of the boxes' angles atan(width/height); a point has angle 0."""
    gap: Array = np.arctan2(pair.t.width, pair.t.height) - np.arctan2(pair.p.width, pair.p.height)
    return gap


@loss(
    range=Interval(0.0, 3.0),
    tasks=("images", "regression"),
    likes=(
        like(
            "torchvision",
            "torchvision.ops.complete_box_iou_loss",
            eps=1e-7,
            note="adds 1e-7 to denominators; its gradient takes α for a constant",
        ),
    ),
)
def box_ciou(target: Box, pred: Box, *, eps: Eps = 0.0, layout: Layout = "xyxy") -> Array:
    """Complete IoU loss of a predicted box: IoU, the distance of the centres and the aspect ratio.

    Formula: 1 − IoU + ρ²/(c² + ε) + αv, v = (4/π²)(atan(w/h) − atan(ŵ/ĥ))², α = v/(1 − IoU + v + ε).
    Gradient: of the formula as it stands; in training α is usually held constant.
    Use when: the shape of a box matters besides its place.
    Numerics: as box-diou; angles by atan2, so that flat boxes are legal; a point has angle 0. Rows are
        within 4 ulp.
    See also: box-diou.
    References: Zheng et al. (2020), Distance-IoU Loss.

    >>> import lossctl
    >>> lossctl.compute("box-ciou", [[0, 0, 2, 2]], [[2, 2, 4, 4]]).value  # as box-diou: same shape
    1.25
    """
    pair = _pair(target, pred, layout)
    miss = _miss(pair, eps)
    shape = PER_CORNER * _aspect(pair) ** 2
    return miss + _drift(pair, eps) + _over(shape * shape, miss + shape, eps)


@gradient(box_ciou)
def _(target: Array, pred: Array, *, eps: float, layout: str) -> Array:
    pair = _pair(target, pred, layout)
    by_miss = _miss_slope(pair, eps)
    angle, width, height = _aspect(pair), pair.p.width, pair.p.height
    shape = PER_CORNER * angle**2
    reach = width * width + height * height
    turn = 2.0 * PER_CORNER * angle / np.where(reach == 0.0, np.inf, reach)
    by_shape = _columns(turn * height, -turn * width, -turn * height, turn * width)
    total = _miss(pair, eps) + shape
    share = _over(shape, total, eps)[:, None]
    extra = 2.0 * share * by_shape - share**2 * (by_miss + by_shape)
    return _as_layout(by_miss + _drift_slope(pair, eps) + extra, layout)
