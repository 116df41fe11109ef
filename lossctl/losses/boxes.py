"""Overlap of axis-parallel boxes, four numbers each."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np

from lossctl.domain import NONNEG, UNIT, Interval
from lossctl.loss import Array, Form, Param, gradient, like, loss
from lossctl.losses._edges import (
    Pair,
    area_slope,
    as_layout,
    centres,
    columns,
    cover_slopes,
    inter_slope,
    miss,
    miss_slope,
    over,
    pair_of,
)

Box = Annotated[Array, Form("real", "vector", width=4)]
Eps = Annotated[float, Param("added to every denominator", NONNEG)]
Layout = Annotated[
    Literal["xyxy", "xywh", "cxcywh"],
    Param("two corners, a corner with width and height, or the centre with width and height"),
]
PER_CORNER = 4.0 / math.pi**2


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
    Numerics: U − I is a sum of strips, so nearly equal boxes keep their digits; equal boxes without area cost
        0, different ones 1; a box turned inside out is refused. Rows are within 4 ulp: a ratio of rounded
        sums.
    See also: box-giou, box-diou, box-ciou; jaccard for masks.
    References: Yu, Jiang, Wang, Cao & Huang (2016), UnitBox.

    >>> import lossctl
    >>> lossctl.compute("box-iou", [[0, 0, 2, 2]], [[0, 0, 2, 1]]).value  # 1 − 2/4
    0.5
    """
    return miss(pair_of(target, pred, layout), eps)


@gradient(box_iou)
def _(target: Array, pred: Array, *, eps: float, layout: str) -> Array:
    return as_layout(miss_slope(pair_of(target, pred, layout), eps), layout)


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
    Numerics: as box-iou; for overlapping boxes C − U is the sum of the free corners. Rows are within 4 ulp:
        sums of ratios.
    See also: box-diou, box-ciou.
    References: Rezatofighi et al. (2019), Generalized Intersection over Union.

    >>> import lossctl
    >>> lossctl.compute("box-giou", [[0, 0, 1, 1]], [[3, 0, 4, 1]]).value  # 1 − 0 + (4 − 2)/4
    1.5
    """
    pair = pair_of(target, pred, layout)
    return miss(pair, eps) + over(pair.spare, pair.cover, eps)


@gradient(box_giou)
def _(target: Array, pred: Array, *, eps: float, layout: str) -> Array:
    pair = pair_of(target, pred, layout)
    across, along = cover_slopes(pair)
    cover = across * pair.cover_height[:, None] + along * pair.cover_width[:, None]
    union = area_slope(pair.p) - inter_slope(pair)
    full = (pair.cover + eps)[:, None]
    free = over(pair.spare, pair.cover, eps)[:, None]
    slope = (cover - union - free * cover) / np.where(full == 0.0, np.inf, full)
    return as_layout(miss_slope(pair, eps) + slope, layout)


def _drift(pair: Pair, eps: float) -> Array:
    """Squared distance of the centres over the squared diagonal of the box around both."""
    x, y = centres(pair)
    return over(x * x + y * y, pair.cover_width**2 + pair.cover_height**2, eps)


def _drift_slope(pair: Pair, eps: float) -> Array:
    x, y = centres(pair)
    across, along = cover_slopes(pair)
    diagonal = 2.0 * (across * pair.cover_width[:, None] + along * pair.cover_height[:, None])
    full = (pair.cover_width**2 + pair.cover_height**2 + eps)[:, None]
    return (columns(x, y, x, y) - _drift(pair, eps)[:, None] * diagonal) / np.where(full == 0.0, np.inf, full)


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
    Numerics: as box-iou; the centres are compared edge by edge. Rows are within 4 ulp: sums of ratios.
    See also: box-ciou adds the aspect ratio.
    References: Zheng et al. (2020), Distance-IoU Loss.

    >>> import lossctl
    >>> lossctl.compute("box-diou", [[0, 0, 2, 2]], [[2, 2, 4, 4]]).value  # 1 − 0 + 8/32
    1.25
    """
    pair = pair_of(target, pred, layout)
    return miss(pair, eps) + _drift(pair, eps)


@gradient(box_diou)
def _(target: Array, pred: Array, *, eps: float, layout: str) -> Array:
    pair = pair_of(target, pred, layout)
    return as_layout(miss_slope(pair, eps) + _drift_slope(pair, eps), layout)


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
    Numerics: as box-diou; angles by atan2, so that flat boxes are legal; a point has angle 0. Rows are within
        4 ulp: sums of ratios.
    See also: box-diou.
    References: Zheng et al. (2020), Distance-IoU Loss.

    >>> import lossctl
    >>> lossctl.compute("box-ciou", [[0, 0, 2, 2]], [[2, 2, 4, 4]]).value  # as box-diou: same shape
    1.25
    """
    pair = pair_of(target, pred, layout)
    apart = miss(pair, eps)
    shape = PER_CORNER * _aspect(pair) ** 2
    return apart + _drift(pair, eps) + over(shape * shape, apart + shape, eps)


@gradient(box_ciou)
def _(target: Array, pred: Array, *, eps: float, layout: str) -> Array:
    pair = pair_of(target, pred, layout)
    by_miss = miss_slope(pair, eps)
    angle, width, height = _aspect(pair), pair.p.width, pair.p.height
    shape = PER_CORNER * angle**2
    reach = width * width + height * height
    turn = 2.0 * PER_CORNER * angle / np.where(reach == 0.0, np.inf, reach)
    by_shape = columns(turn * height, -turn * width, -turn * height, turn * width)
    total = miss(pair, eps) + shape
    share = over(shape, total, eps)[:, None]
    extra = 2.0 * share * by_shape - share**2 * (by_miss + by_shape)
    return as_layout(by_miss + _drift_slope(pair, eps) + extra, layout)
