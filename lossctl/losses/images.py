"""Pictures as vectors of pixels, row by row, channels last."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

import numpy as np

from lossctl.domain import NONNEG, POSITIVE, Interval
from lossctl.errorfree import squared_ratio
from lossctl.loss import Array, BadValue, ImageShape, Param, RealVec, gradient, like, loss
from lossctl.numeric import row_blocks, row_sum, squared_distance

COUNT = Interval(1.0, math.inf)

Shape = Annotated[ImageShape, Param("height x width [x channels]", COUNT)]
Variation = Annotated[
    Literal["squared", "l1", "isotropic"],
    Param("squared differences, absolute ones, or the length of each pixel's gradient"),
]


def _pixels(image: Array, shape: ImageShape) -> Array:
    """Rows as (images, height, width, channels)."""
    if len(shape) not in (2, 3) or math.prod(shape) != image.shape[1]:
        text = "x".join(str(side) for side in shape)
        raise BadValue(
            "shape", text, f"a shape such as 28x28 or 32x32x3 with {image.shape[1]} numbers, as the rows have"
        )
    height, width = shape[:2]
    return image.reshape(len(image), height, width, -1)


def _flat(x: Array) -> Array:
    flat: Array = x.reshape(len(x), -1)
    return flat


def _steps(image: Array) -> tuple[Array, Array]:
    """Forward differences downwards and to the right, zero past the border."""
    down, right = np.zeros_like(image), np.zeros_like(image)
    down[:, :-1] = np.diff(image, axis=1)
    right[:, :, :-1] = np.diff(image, axis=2)
    return down, right


@loss(
    range=NONNEG,
    best=None,
    tasks=("images", "generative"),
    likes=(
        like("torchmetrics", "torchmetrics.image.TotalVariation", kind="l1", note="sums over images as well"),
        like("kornia", "kornia.losses.total_variation", kind="l1", note="one value per channel"),
        like("tensorflow", "tf.image.total_variation", kind="l1"),
    ),
)
def total_variation(pred: RealVec, *, shape: Shape, kind: Variation = "squared") -> Array:
    """Total variation of an image: how much neighbouring pixels differ.

    Formula: Σ(Δ₁² + Δ₂²) squared, Σ(|Δ₁| + |Δ₂|) l1, Σ√(Δ₁² + Δ₂²) isotropic, with forward differences Δ
        downwards and to the right that are zero past the border.
    Gradient: the differences, their signs or their directions, leaving each pixel minus entering it.
    Aggregate: mean over images; an image's value is the sum over its pixels and channels.
    Use when: a reconstruction should be smooth, beside a loss that looks at the target.
    Avoid when: images of different size are compared: the sum grows with the number of pixels.
    Numerics: rows of up to 10 numbers are within 2 ulp.
    References: Rudin, Osher & Fatemi (1992), Nonlinear Total Variation Based Noise Removal Algorithms.

    >>> import lossctl
    >>> lossctl.compute("total-variation:shape=2x2", pred=[[0, 1, 3, 2]]).value  # 3² + 1² + 1² + 1²
    12.0
    """
    image = _pixels(pred, shape)
    if kind == "squared":
        total = squared_distance(_flat(image[:, 1:]), _flat(image[:, :-1]))
        return total + squared_distance(_flat(image[:, :, 1:]), _flat(image[:, :, :-1]))
    down, right = _steps(image)
    return row_sum(_flat(np.hypot(down, right) if kind == "isotropic" else np.abs(down) + np.abs(right)))


@gradient(total_variation)
def _(pred: Array, *, shape: ImageShape, kind: str) -> Array:
    down, right = _steps(_pixels(pred, shape))
    if kind == "isotropic":
        reach = np.hypot(down, right)
        reach[reach == 0.0] = np.inf
        down, right = down / reach, right / reach
    elif kind == "l1":
        down, right = np.sign(down), np.sign(right)
    else:
        down, right = 2.0 * down, 2.0 * right
    slope = -down - right
    slope[:, 1:] += down[:, :-1]
    slope[:, :, 1:] += right[:, :, :-1]
    return _flat(slope)


@loss(
    range=Interval(-math.inf, math.inf),
    best=None,
    tasks=("images",),
    scores=("psnr",),
    likes=(
        like("kornia", "kornia.losses.psnr_loss", note="pools the images; data-range is max_val"),
        like("torchmetrics", "−torchmetrics.image.PeakSignalNoiseRatio", note="pools the images"),
    ),
)
def psnr_loss(
    target: RealVec,
    pred: RealVec,
    *,
    data_range: Annotated[float, Param("largest minus smallest possible pixel value", POSITIVE)],
) -> Array:
    """Minus the peak signal-to-noise ratio of an image, in decibels.

    Formula: 10·log₁₀(mean (pred − target)² / range²).
    Gradient: (20/ln 10)·(pred − target) / Σ(pred − target)²; 0 for equal images.
    Aggregate: mean over images of the images' own values, not the value of their pooled error.
    Use when: codecs or denoisers are compared; smaller (more negative) is better, −∞ for equal images.
    Avoid when: some images are reproduced exactly: their −∞ is the mean (mse).
    Numerics: the square of an error over the range is rounded once. Rows of up to 10 numbers are within 2 ulp
        of the larger part of the difference.
    See also: ssim-loss.
    References: Huynh-Thu & Ghanbari (2008), Scope of Validity of PSNR in Image/Video Quality Assessment.

    >>> import lossctl
    >>> lossctl.compute("psnr-loss:data-range=10", [[0, 0]], [[1, 1]]).value  # 10·log₁₀(1/100)
    -20.0
    """
    decibels: Array = 10.0 * np.log10(row_sum(squared_ratio(pred, target, data_range)) / pred.shape[1])
    return decibels


@gradient(psnr_loss)
def _(target: Array, pred: Array, *, data_range: float) -> Array:
    gap = (pred - target) / data_range
    total = row_sum(gap * gap)
    total[total == 0.0] = np.inf
    return (20.0 / math.log(10.0) / data_range) * gap / total[:, None]


Window = Annotated[int, Param("side of the window in pixels", COUNT)]
Sigma = Annotated[float, Param("standard deviation of the window's Gaussian, in pixels", POSITIVE)]
K1 = Annotated[float, Param("stabilises the comparison of means, in data ranges", NONNEG)]
K2 = Annotated[float, Param("stabilises the comparison of variances, in data ranges", NONNEG)]


def _gaussian(window: int, sigma: float, image: Array) -> Array:
    if window > min(image.shape[1:3]):
        raise BadValue("window", window, f"at most {min(image.shape[1:3])}, the shorter side of the images")
    place = np.arange(window) - 0.5 * (window - 1)
    weight = np.exp(-0.5 * (place / sigma) ** 2)
    share: Array = weight / np.sum(weight)
    return share


def _shifted(image: Array, count: int, axis: int) -> list[Array]:
    """What is at each place of the windows along an axis."""
    size = image.shape[axis] - count + 1
    return [image[:, i : i + size] if axis == 1 else image[:, :, i : i + size] for i in range(count)]


def _blend(parts: list[Array], weight: Array) -> Array:
    total: Array = weight[0] * parts[0]
    for share, part in zip(weight[1:], parts[1:], strict=True):
        total += share * part
    return total


def _scatter(parts: list[Array], weight: Array, centre: Array) -> Array:
    """Weighted mean of the squared distances from the centre, whose own error hardly counts."""
    total = np.zeros_like(centre)
    for share, part in zip(weight, parts, strict=True):
        gap = part - centre
        gap *= gap
        gap *= share
        total += gap
    return total


def _moments(image: Array, weight: Array) -> tuple[Array, Array]:
    """Mean and variance of every window that fits.

    The variance is the mean of its columns' variances and the variance of their means, these taken from the
    means of the steps to the right: no difference of squares, and none of rounded means.
    """
    count = len(weight)
    columns = _shifted(image, count, 1)
    means = _blend(columns, weight)
    inside = _blend(_shifted(_scatter(columns, weight, means), count, 2), weight)
    lines = _shifted(means, count, 2)
    steps = _blend(_shifted(np.diff(image, axis=2), count, 1), weight)
    climbs = [np.zeros_like(lines[0])]
    for i in range(count - 1):
        climbs.append(climbs[-1] + steps[:, :, i : i + climbs[0].shape[2]])
    return _blend(lines, weight), inside + _scatter(climbs, weight, _blend(climbs, weight))


def _spread(windows: Array, weight: Array, shape: tuple[int, ...]) -> Array:
    """The transpose of `_blur`: every window's number to its pixels."""
    rows, cols = windows.shape[1:3]
    wide = np.zeros((shape[0], rows, shape[2], shape[3]))
    for i, w in enumerate(weight):
        wide[:, :, i : i + cols] += w * windows
    image = np.zeros(shape)
    for i, w in enumerate(weight):
        image[:, i : i + rows] += w * wide
    return image


def _quotient(top: Array, bottom: Array) -> Array:
    share: Array = top / np.where(bottom == 0.0, 1.0, bottom)
    return share


@loss(
    range=Interval(0.0, 2.0),
    tasks=("images",),
    scores=("ssim",),
    likes=(
        like("monai", "monai.losses.SSIMLoss(spatial_dims=2)", note="channels first"),
        like(
            "torchmetrics",
            "1 − torchmetrics.image.StructuralSimilarityIndexMeasure",
            exists=False,
            note="windows reach past the border, over reflected pixels; data range from the images",
        ),
        like(
            "kornia",
            "kornia.losses.ssim_loss",
            exists=False,
            note="half of it, and windows reach past the border",
        ),
    ),
)
def ssim_loss(
    target: RealVec,
    pred: RealVec,
    *,
    shape: Shape,
    window: Window = 11,
    sigma: Sigma = 1.5,
    k1: K1 = 0.01,
    k2: K2 = 0.03,
    data_range: Annotated[float, Param("largest minus smallest possible pixel value", POSITIVE)] = 1.0,
) -> Array:
    """One minus the structural similarity of two images.

    Formula: 1 − mean over windows of (2μ₁μ₂ + C₁)(2σ₁₂ + C₂) / ((μ₁² + μ₂² + C₁)(σ₁² + σ₂² + C₂)), with
        Gaussian means and (co)variances and C = (k·range)².
    Gradient: by the chain rule through the windows' means and variances.
    Aggregate: mean over images of the mean over windows that lie inside the image, and over channels.
    Use when: images should have the same structure; less sensitive than psnr to a change of brightness.
    Avoid when: images are smaller than the window, or errors must be weighed evenly (mse).
    Numerics: with d = pred − target, a = μ_d²/(μ₁² + μ₂² + C₁) and b = σ_d²/(σ₁² + σ₂² + C₂) it is a + (1 −
        a)b, which keeps the digits of a small loss; variances are taken about each window's mean. Rows of up
        to 10 numbers are within 4 ulp: a and b are ratios of sums.
    See also: psnr-loss, perceptual.
    References: Wang, Bovik, Sheikh & Simoncelli (2004), Image Quality Assessment.

    >>> import lossctl
    >>> spec = "ssim-loss:shape=1x1:window=1:k1=1"
    >>> lossctl.compute(spec, [[1.0]], [[0.0]]).value  # 1 − (0 + 1) / (1 + 0 + 1)
    0.5
    """
    value, levels = np.empty(len(pred)), ((k1 * data_range) ** 2, (k2 * data_range) ** 2)
    for rows in row_blocks(pred):
        made = _compare(target[rows], pred[rows], shape, window, sigma, *levels)
        value[rows] = _mean(made.light + (1.0 - made.light) * made.form)
    return value


def _mean(windows: Array) -> Array:
    flat = _flat(windows)
    total: Array = row_sum(flat) / flat.shape[1]
    return total


class Comparison(NamedTuple):
    """What two images' windows come to.

    weight: of a window's pixels; gap: pred − target; centred: pred less the target's mean; light and form:
    a and b of each window, base and spread their denominators; mean_gap, mean, level: its mean gap, centred
    and plain mean prediction.
    """

    weight: Array
    gap: Array
    centred: Array
    light: Array
    form: Array
    base: Array
    spread: Array
    mean_gap: Array
    mean: Array
    level: Array


def _compare(
    target: Array, pred: Array, shape: ImageShape, window: int, sigma: float, c1: float, c2: float
) -> Comparison:
    x, y = _pixels(target, shape), _pixels(pred, shape)
    weight = _gaussian(window, sigma, x)
    gap = y - x
    (mean_x, scatter_x), (mean_y, scatter_y), (mean_gap, noise) = (_moments(z, weight) for z in (x, y, gap))
    base, spread = mean_x**2 + mean_y**2 + c1, scatter_x + scatter_y + c2
    light, form = _quotient(mean_gap * mean_gap, base), _quotient(noise, spread)
    centre = _mean(x)[:, None, None, None]
    return Comparison(weight, gap, y - centre, light, form, base, spread, mean_gap, mean_y - centre, mean_y)


@gradient(ssim_loss)
def _(
    target: Array,
    pred: Array,
    *,
    shape: ImageShape,
    window: int,
    sigma: float,
    k1: float,
    k2: float,
    data_range: float,
) -> Array:
    made = _compare(target, pred, shape, window, sigma, (k1 * data_range) ** 2, (k2 * data_range) ** 2)
    by_light = 2.0 * (1.0 - made.form) * _quotient(made.mean_gap - made.light * made.level, made.base)
    by_form = 2.0 * _quotient(1.0 - made.light, made.spread)
    whole = made.gap.shape
    slope = _spread(by_light - by_form * (made.mean_gap - made.form * made.mean), made.weight, whole)
    slope += made.gap * _spread(by_form, made.weight, whole)
    slope -= made.centred * _spread(by_form * made.form, made.weight, whole)
    return _flat(slope / math.prod(made.light.shape[1:]))
