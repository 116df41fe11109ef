"""Kernels of masks, pictures and boxes: values of other libraries, extremes, slopes.

Where a comment names a library, the literal is what that library returned for the same input: monai 1.6.1,
kornia 0.9.0, segmentation_models_pytorch 0.6.0, torchmetrics 1.9.0 (torch 2.13.0, float64), torchvision as in
tests/golden/torchvision.json. Everything else is derived in its comment.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from test_kernels_vectors import check_slopes, near, pooled, rows

from lossctl.errors import UsageError
from lossctl.loss import BadValue, RowRefused
from lossctl.loss.registry import get

MASK = [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
INK = [[0.9, 0.8, 0.3, 0.1], [0.2, 0.1, 0.1, 0.6]]
LOGIT = [[2.0, 1.5, -0.5, -2.0], [-1.25, -3.0, -2.0, 0.75]]
MASKS, LOGITS = {"target": MASK, "pred": INK}, {"target": MASK, "pred": LOGIT}

# two images of 12 x 13 pixels with two channels, hundredths
PLACE = np.arange(2 * 12 * 13 * 2)
FIRST = ((PLACE * PLACE * 7 + PLACE * 13) % 101 / 100.0).reshape(2, -1)
SECOND = ((PLACE * PLACE * 5 + PLACE * 11) % 101 / 100.0).reshape(2, -1)
IMAGES, SHAPE = {"target": FIRST, "pred": SECOND}, {"shape": "12x13x2"}

BOX = [
    [0.0, 0.0, 4.0, 4.0],
    [1.0, 1.0, 3.0, 5.0],
    [0.0, 0.0, 1.0, 1.0],
    [0.0, 0.0, 2.0, 2.0],
    [1.0, 2.0, 5.0, 9.0],
]
BOX_PRED = [
    [1.0, 2.0, 5.0, 5.0],
    [0.0, 0.0, 6.0, 6.0],
    [3.0, 4.0, 5.0, 8.0],
    [2.0, 0.0, 3.0, 2.5],
    [1.0, 2.0, 5.0, 9.0],
]
BOXES = {"target": BOX, "pred": BOX_PRED}
TINY = {"eps": 1e-7}

VALUES = [
    # monai DiceLoss(smooth_nr=0, smooth_dr=0, jaccard=...), with sigmoid and 1 added to twice
    # both, TverskyLoss(0.3, 0.7)
    ("dice", {}, MASKS, [0.170731707317073, 0.4]),
    ("jaccard", {}, MASKS, [0.2916666666666665, 0.5714285714285714]),
    ("jaccard", {"smooth": 0.5, "from_logits": True}, LOGITS, [0.26641319567491195, 0.3758743234491776]),
    ("tversky", {"alpha": 0.3, "beta": 0.7}, MASKS, [0.16256157635467983, 0.4]),
    ("focal-tversky", {"gamma": 2}, MASKS, [0.16256157635467983**2, 0.16]),
    # nothing drawn and nothing there: the declared score; NaN marks the row left out
    ("jaccard", {}, {"target": [[0, 0]], "pred": [[0, 0]]}, [0.0]),
    ("jaccard", {"empty": "0"}, {"target": [[0, 0]], "pred": [[0, 0]]}, [1.0]),
    ("tversky", {"empty": "skip"}, {"target": [[0, 0]], "pred": [[0, 0]]}, [math.nan]),
    ("focal-tversky", {"empty": "skip"}, {"target": [[0, 0]], "pred": [[0, 0]]}, [math.nan]),
    ("dice", {"empty": "skip"}, {"target": [[0, 0]], "pred": [[0, 0.1]]}, [1.0]),
    ("dice", {"smooth": 1}, {"target": [[0, 0]], "pred": [[0, 0]]}, [0.0]),
    # kornia lovasz_hinge_loss; an image without foreground costs its largest error
    ("lovasz-hinge", {}, LOGITS, [0.16666666666666669, 0.25]),
    ("lovasz-hinge", {}, {"target": [[0, 0, 0]], "pred": [[-2, 0.5, 0.25]]}, [1.5]),
    ("lovasz-hinge", {}, {"target": [[1]], "pred": [[-2]]}, [3.0]),
    # torchmetrics and kornia total_variation
    ("total-variation", {**SHAPE, "kind": "l1"}, {"pred": FIRST}, [180.91, 181.11]),
    # differences of [[0, 1], [3, 2]]: 3 and 1 from the 0, 1 below the 1, 1 after the 3
    ("total-variation", {"shape": "2x2"}, {"pred": [[0, 1, 3, 2]]}, [12.0]),
    ("total-variation", {"shape": "2x2", "kind": "l1"}, {"pred": [[0, 1, 3, 2]]}, [6.0]),
    ("total-variation", {"shape": "2x2", "kind": "isotropic"}, {"pred": [[0, 1, 3, 2]]}, [math.sqrt(10) + 2]),
    ("total-variation", {"shape": "1x1x3", "kind": "isotropic"}, {"pred": [[0, 1, 3]]}, [0.0]),
    # kornia psnr_loss(max_val=2)
    ("psnr-loss", {"data_range": 2}, IMAGES, [-14.76665276174677, -14.796561065556364]),
    ("psnr-loss", {"data_range": 255}, {"target": [[1, 2]], "pred": [[1, 2]]}, [-math.inf]),
    # mpmath, by the textbook formula; monai SSIMLoss agrees to the seven digits of its float32 window
    ("ssim-loss", SHAPE, IMAGES, [0.9148355487833961, 0.67639216569055465]),
    (
        "ssim-loss",
        {**SHAPE, "window": 5, "sigma": 1.2, "k1": 0.02, "k2": 0.05, "data_range": 2},
        IMAGES,
        [0.79874428222583889, 0.71859867440472862],
    ),
    ("ssim-loss", {**SHAPE, "k1": 0, "k2": 0}, {"target": FIRST * 0, "pred": FIRST * 0}, [0.0, 0.0]),
    # I/U: 6/22, 8/36, 0, 0, all
    ("box-iou", {}, BOXES, [1 - 6 / 22, 1 - 8 / 36, 1.0, 1.0, 0.0]),
    # torchvision generalized, distance and complete_box_iou_loss(eps=1e-7)
    (
        "box-giou",
        TINY,
        BOXES,
        [0.8472727280323967, 0.7777777783950617, 1.7749999980625, 1.1333333315555556, 3.5714285973043047e-09],
    ),
    (
        "box-diou",
        TINY,
        BOXES,
        [
            0.7922727283823968,
            0.7916666672646604,
            1.477528089351092,
            1.1516393432679388,
            3.5714285973043047e-09,
        ],
    ),
    (
        "box-ciou",
        TINY,
        BOXES,
        [
            0.7923632747048087,
            0.793814124770661,
            1.4792175500504876,
            1.1557787619806892,
            3.5714285973043047e-09,
        ],
    ),
    # boxes without area: the same point, another point (C = 4, diagonal² = 8), a flat box against a square
    ("box-iou", {}, {"target": [[1, 1, 1, 1]] * 2, "pred": [[1, 1, 1, 1], [3, 3, 3, 3]]}, [0.0, 1.0]),
    ("box-giou", {}, {"target": [[1, 1, 1, 1]] * 2, "pred": [[1, 1, 1, 1], [3, 3, 3, 3]]}, [0.0, 2.0]),
    ("box-diou", {}, {"target": [[1, 1, 1, 1]] * 2, "pred": [[1, 1, 1, 1], [3, 3, 3, 3]]}, [0.0, 2.0]),
    ("box-ciou", {}, {"target": [[1, 1, 1, 1]] * 2, "pred": [[1, 1, 1, 1], [3, 3, 3, 3]]}, [0.0, 2.0]),
    # v = (4/π²)(π/4 − π/2)² = ¼, α = ¼/(1 + ¼); centres ½ apart, diagonal² = 2
    ("box-ciou", {}, {"target": [[0, 0, 1, 1]], "pred": [[0, 0, 1, 0]]}, [1 + 0.125 + 0.05]),
]


@pytest.mark.parametrize(("name", "params", "inputs", "expected"), VALUES)
def test_value(name: str, params: dict[str, Any], inputs: dict[str, Any], expected: list[float]) -> None:
    # torchvision's literals come through 1 − x
    found = np.asarray(rows(name, params, **inputs)).tolist()
    assert found == pytest.approx(expected, rel=1e-13, abs=1e-15 if params is TINY else 0, nan_ok=True)


def test_pooled() -> None:
    # monai DiceLoss(batch=True); smp TverskyLoss(alpha=0.3, beta=0.7, gamma=0.75)
    assert pooled("dice", **MASKS) == near(0.24590163934426212, rel=1e-14)
    assert pooled("focal-tversky", **MASKS) == near(0.34388257787346893, rel=1e-7)
    # of single pixels as of whole images
    flat = {name: np.ravel(value) for name, value in MASKS.items()}
    for name in ("dice", "jaccard", "tversky", "focal-tversky"):
        assert pooled(name, **flat) == pooled(name, **MASKS), name
    # TP = 2.3, FP = 0.8, FN = 0.7
    assert pooled("jaccard", **MASKS) == near(1.5 / 3.8, rel=1e-14)
    assert pooled("tversky", {"alpha": 1, "beta": 0}, **MASKS) == near(0.8 / 3.1, rel=1e-14)
    nothing = {"target": [[0, 0]], "pred": [[0, 0]]}
    assert [pooled("jaccard", {"empty": empty}, **nothing) for empty in ("1", "0")] == [0.0, 1.0]


def test_a_nearly_perfect_mask_keeps_its_digits() -> None:
    # 1 − 2(2 − e)/(4 − e) = e/(4 − e); 1 − (2 − e)/2 = e/2
    e = 2.0**-40
    masks = {"target": [[1, 1, 0]], "pred": [[1, 1 - e, 0]]}
    assert rows("dice", **masks) == near(e / (4 - e), rel=1e-15)
    assert rows("jaccard", **masks) == near(e / 2, rel=1e-15)
    # logits of 50: 1 − σ(50) = σ(−50), which 1 − p cannot hold
    sure = rows("jaccard", {"from_logits": True}, target=[[1, 0]], pred=[[50.0, -800]])
    assert sure == near(1 / (1 + math.exp(50)), rel=1e-14)


def test_lovasz_is_twice_the_jaccard_loss_of_hard_masks() -> None:
    rng = np.random.default_rng(0)
    target, guess = rng.integers(0, 2, (50, 12)).astype(float), rng.integers(0, 2, (50, 12)).astype(float)
    found = rows("lovasz-hinge", target=target, pred=2 * guess - 1)
    assert found == near(2 * rows("jaccard", target=target, pred=guess), rel=1e-13)


def test_ssim_of_nearly_equal_images_keeps_its_digits() -> None:
    # one window of one pixel about 0.5: only μ counts: d²/(μ₁² + μ₂² + C₁), C₁ = 1e-4
    e = 2.0**-30
    params = {"shape": "1x1", "window": 1}
    value = rows("ssim-loss", params, target=[[0.5]], pred=[[0.5 + e]])
    assert value == near(e * e / (0.25 + (0.5 + e) ** 2 + 1e-4), rel=1e-14)
    # with μ made irrelevant, a common offset does not disturb the variances (128ths: all sums are exact)
    only_form = {**SHAPE, "k1": 1e9}
    first, second = np.round(128 * FIRST) / 128, np.round(128 * SECOND) / 128
    far = rows("ssim-loss", only_form, target=first + 4096, pred=second + 4096)
    assert far.tolist() == near(rows("ssim-loss", only_form, target=first, pred=second).tolist(), rel=1e-11)


def test_ssim_of_equal_images_is_exactly_zero() -> None:
    assert rows("ssim-loss", SHAPE, target=FIRST, pred=FIRST).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "params", "inputs", "words"),
    [
        ("total-variation", {"shape": "3x3"}, {"pred": [[0.0] * 8]}, "shape"),
        ("total-variation", {"shape": "8"}, {"pred": [[0.0] * 8]}, "shape"),
        ("ssim-loss", {"shape": "2x4"}, {"target": [[0.0] * 8], "pred": [[0.0] * 8]}, "window"),
    ],
)
def test_refused(name: str, params: dict[str, Any], inputs: dict[str, Any], words: str) -> None:
    with pytest.raises(BadValue, match=words):
        rows(name, params, **inputs)


@pytest.mark.parametrize(
    ("name", "params", "target", "pred", "role", "words"),
    [
        ("box-iou", {}, [0, 0, 1, 1], [2, 0, 1, 1], "pred", "x1 <= x2"),
        ("box-giou", {}, [0, 3, 1, 1], [0, 0, 1, 1], "target", "y1 <= y2"),
        ("box-ciou", {"layout": "cxcywh"}, [0, 3, 1, 1], [0, 0, 1, -1], "pred", "width and height"),
    ],
)
def test_boxes_inside_out(
    name: str, params: dict[str, Any], target: list[int], pred: list[int], role: str, words: str
) -> None:
    good = [0, 0, 1, 1]
    with pytest.raises(RowRefused, match="inside out") as refused:
        rows(name, params, target=[good, target], pred=[good, pred])
    assert (refused.value.role, refused.value.at) == (role, 1)
    assert words in str(refused.value.hint)


@pytest.mark.parametrize("name", ["total-variation", "psnr-loss", "ssim-loss"])
def test_parameters_without_default_are_required(name: str) -> None:
    with pytest.raises(UsageError, match=r"shape|data-range"):
        get(name).resolve({})


def test_nearly_equal_boxes_keep_their_digits() -> None:
    # shifted right by e: I = 4 − 2e, U = 4 + 2e; C = U; centres e apart, diagonal² = (2 + e)² + 4
    e = 2.0**-40
    boxes = {"target": [[0, 0, 2, 2]], "pred": [[e, 0, 2 + e, 2]]}
    overlap = 4 * e / (4 + 2 * e)
    assert rows("box-iou", **boxes) == near(overlap, rel=1e-15)
    assert rows("box-giou", **boxes) == near(overlap, rel=1e-15)
    assert rows("box-diou", **boxes) == near(overlap + e * e / ((2 + e) ** 2 + 4), rel=1e-15)
    # shifted both ways: two free corners of e²
    boxes = {"target": [[0, 0, 2, 2]], "pred": [[e, e, 2 + e, 2 + e]]}
    cross = (8 * e - 2 * e * e) / (4 + 4 * e - e * e) + 2 * e * e / (2 + e) ** 2
    assert rows("box-giou", **boxes) == near(cross, rel=1e-15)


def test_layouts() -> None:
    corner = {key: [[a, b, c - a, d - b] for a, b, c, d in value] for key, value in BOXES.items()}
    centre = {
        key: [[(a + c) / 2, (b + d) / 2, c - a, d - b] for a, b, c, d in value]
        for key, value in BOXES.items()
    }
    for name in ("box-iou", "box-giou", "box-diou", "box-ciou"):
        plain = rows(name, **BOXES).tolist()
        assert rows(name, {"layout": "xywh"}, **corner).tolist() == plain
        assert rows(name, {"layout": "cxcywh"}, **centre).tolist() == plain


# no two edges at one place: there a minimum has a kink
SMOOTH = {"target": [*BOX[:3], [0.5, 0.25, 2.0, 3.0]], "pred": [*BOX_PRED[:3], [0.75, 0.5, 1.0, 2.5]]}
SLOPES = [
    *(
        (name, {"smooth": smooth}, MASKS)
        for name in ("dice", "jaccard", "tversky", "focal-tversky")
        for smooth in (0, 1.5)
    ),
    *((name, {"from_logits": True, "smooth": 0.5}, LOGITS) for name in ("dice", "jaccard")),
    ("tversky", {"alpha": 0.2, "beta": 1.5}, {"target": INK, "pred": INK[::-1]}),
    ("focal-tversky", {"gamma": 2}, MASKS),
    ("dice", {}, {"target": [0.9, 0.2, 1.0], "pred": [0.5, 0.25, 0.75]}),
    ("lovasz-hinge", {}, {"target": MASK, "pred": [[-0.5, 1.5, 0.25, -0.75], [0.5, -0.25, 0.125, 0.375]]}),
    *(
        ("total-variation", {"shape": "3x4x2", "kind": kind}, {"pred": FIRST[:, :24]})
        for kind in ("squared", "l1", "isotropic")
    ),
    ("psnr-loss", {"data_range": 2}, {"target": FIRST[:, :12], "pred": SECOND[:, :12]}),
    ("ssim-loss", {"shape": "4x6", "window": 3}, {"target": FIRST[:, :24], "pred": SECOND[:, :24]}),
    (
        "ssim-loss",
        {"shape": "4x4x2", "window": 2, "sigma": 0.8, "k1": 0.1, "data_range": 3},
        {"target": FIRST[:, :32], "pred": SECOND[:, :32]},
    ),
    *((f"box-{kind}", {"eps": eps}, SMOOTH) for kind in ("iou", "giou", "diou", "ciou") for eps in (0, 0.5)),
    *(
        (f"box-{kind}", {"layout": layout}, {"target": [[1, 2, 3, 4]], "pred": [[1.5, 1.75, 3.5, 3]]})
        for kind in ("giou", "ciou")
        for layout in ("xywh", "cxcywh")
    ),
]


@pytest.mark.parametrize(("name", "params", "inputs"), SLOPES)
def test_slope(name: str, params: dict[str, Any], inputs: dict[str, Any]) -> None:
    check_slopes(name, params, **inputs)


def test_slopes_at_the_edge_are_defined() -> None:
    nothing = np.zeros((1, 3))
    for name in ("dice", "jaccard", "tversky", "focal-tversky"):
        loss = get(name)
        assert (loss.gradients["pred"](nothing, nothing, **loss.resolve({})) == 0.0).all(), name
    point = np.array([[1.0, 1.0, 1.0, 1.0]])
    for name in ("box-iou", "box-giou", "box-diou", "box-ciou"):
        assert np.isfinite(get(name).gradients["pred"](point, point, eps=0.0, layout="xyxy")).all(), name
    assert (get("psnr-loss").gradients["pred"](FIRST, FIRST, data_range=1.0) == 0.0).all()
    flat = get("total-variation").gradients["pred"](np.ones((1, 6)), shape=(2, 3), kind="isotropic")
    assert (flat == 0.0).all()
