"""segmentation-models-pytorch, MONAI, Kornia, pytorch-metric-learning, torchvision's Python losses."""

from __future__ import annotations

import importlib
import os
import sys
import types
from pathlib import Path
from typing import Any

import data as d
import kornia.losses as k
import monai.losses as mn
import torch
from common import Golden, options
from pytorch_metric_learning import distances, losses, reducers


def tensor(values: Any) -> torch.Tensor:
    found = torch.tensor(values)
    return found if found.dtype == torch.int64 else torch.tensor(values, dtype=torch.float64)


MASK, INK, LOGIT = tensor(d.MASK), tensor(d.INK), tensor(d.INK_LOGIT)
PAIR = {"target": d.MASK, "pred": d.INK}
PAIR_LOGIT = {"target": d.MASK, "pred": d.INK_LOGIT}


def bare_package(name: str, folder: Path) -> None:
    """Lets a package's submodules be imported without running its __init__ (and what that needs)."""
    package = types.ModuleType(name)
    package.__path__ = [str(folder)]
    sys.modules[name] = package


def smp() -> Golden:
    name = "segmentation_models_pytorch"
    bare_package(name, next(Path(p) / name for p in sys.path if (Path(p) / name).is_dir()))
    s = importlib.import_module(f"{name}.losses")
    wing = importlib.import_module(f"{name}.losses._functional").wing_loss
    g = Golden("smp", ("segmentation-models-pytorch", "torch"))
    pred, target = INK[:, None], MASK[:, None]
    for smooth in (0.0, 0.5):
        # smooth is added to TP, which dice counts twice; a pixel of both images is pooled
        table = [
            (f"dice:smooth={2 * smooth}", "DiceLoss", s.DiceLoss("binary", from_logits=False, smooth=smooth)),
            (
                f"jaccard:smooth={smooth}",
                "JaccardLoss",
                s.JaccardLoss("binary", from_logits=False, smooth=smooth),
            ),
            (
                f"tversky:alpha=0.3:beta=0.7:smooth={smooth}",
                "TverskyLoss",
                s.TverskyLoss("binary", from_logits=False, smooth=smooth, alpha=0.3, beta=0.7),
            ),
            (
                f"focal-tversky:alpha=0.3:beta=0.7:gamma=0.75:smooth={smooth}",
                "TverskyLoss(gamma=0.75)",
                s.TverskyLoss("binary", from_logits=False, smooth=smooth, alpha=0.3, beta=0.7, gamma=0.75),
            ),
        ]
        for spec, call, loss in table:
            g.add(
                spec,
                f"smp.losses.{call}, smooth={smooth}",
                loss(pred, target),
                reduction="pooled",
                rtol=1e-12,
                **PAIR,
            )
    g.add(
        "dice:from-logits=true",
        "smp.losses.DiceLoss",
        s.DiceLoss("binary")(LOGIT[:, None], target),
        reduction="pooled",
        **PAIR_LOGIT,
    )
    g.add(
        "lovasz-hinge",
        "smp.losses.LovaszLoss(per_image=True)",
        s.LovaszLoss("binary", per_image=True)(LOGIT[:, None].float(), target.float()),
        rtol=1e-6,
        **PAIR_LOGIT,
    )
    for alpha in (None, 0.25):
        spec = "binary-focal:from-logits=true" + options(alpha="none" if alpha is None else alpha)
        g.add(
            spec,
            f"smp.losses.FocalLoss(alpha={alpha})",
            s.FocalLoss("binary", alpha=alpha)(LOGIT, MASK),
            rtol=1e-9,
            **PAIR_LOGIT,
        )
    g.add(
        "bce:from-logits=true",
        "smp.losses.SoftBCEWithLogitsLoss",
        s.SoftBCEWithLogitsLoss()(LOGIT, MASK),
        **PAIR_LOGIT,
    )
    # smp smooths y to y(1-s) + (1-y)s: lossctl's label-smoothing is twice that
    g.add(
        "bce:from-logits=true:label-smoothing=0.2",
        "smp.losses.SoftBCEWithLogitsLoss(smooth_factor=0.1)",
        s.SoftBCEWithLogitsLoss(smooth_factor=0.1)(LOGIT, MASK),
        **PAIR_LOGIT,
    )
    g.add(
        "cross-entropy:from-logits=true:label-smoothing=0.1",
        "smp.losses.SoftCrossEntropyLoss(smooth_factor=0.1)",
        s.SoftCrossEntropyLoss(smooth_factor=0.1)(tensor(d.LOGITS), tensor(d.LABEL)),
        target=d.LABEL,
        pred=d.LOGITS,
    )
    y, p = [0.0, 0.0, 1.0, -3.0, 2.0], [7.0, 0.125, 1.0, 4.5, 2.25]
    for width, curve in ((5, 0.5), (10, 2)):
        value = wing(tensor(p), tensor(y), width=width, curvature=curve, reduction="none")
        g.add(
            f"wing:width={width}:curvature={curve}",
            "smp wing_loss",
            value,
            reduction="none",
            target=y,
            pred=p,
        )
    return g


def monai() -> Golden:
    g = Golden("monai", ("monai", "torch"))
    for mask, ink in ((d.MASK, d.INK), (d.MASK_EMPTY, d.INK_EMPTY)):
        inputs = {"target": mask, "pred": ink}
        pred, target = tensor(ink)[:, None], tensor(mask)[:, None]
        for smooth in (1e-5, 1.0):
            extra = {"smooth_nr": smooth, "smooth_dr": smooth}
            for batch, reduction in ((False, "mean"), (True, "pooled")):
                dice = mn.DiceLoss(batch=batch, **extra)(pred, target)
                tversky = mn.TverskyLoss(alpha=0.3, beta=0.7, batch=batch, **extra)(pred, target)
                more = {"reduction": reduction, "rtol": 1e-11} | inputs
                g.add(
                    f"dice:smooth={smooth}",
                    f"monai.losses.DiceLoss(batch={batch}), smooth={smooth}",
                    dice,
                    **more,
                )
                g.add(
                    f"tversky:alpha=0.3:beta=0.7:smooth={smooth}",
                    f"monai.losses.TverskyLoss(batch={batch})",
                    tversky,
                    **more,
                )
                if smooth < 1:
                    g.add("dice", f"monai.losses.DiceLoss(batch={batch})", dice, like="monai", **more)
    # jaccard doubles the denominator, and the smoothing stays as it is: half of it in lossctl's form
    for smooth in (0.0, 1.0):
        value = mn.DiceLoss(jaccard=True, smooth_nr=smooth, smooth_dr=smooth)(INK[:, None], MASK[:, None])
        g.add(
            f"jaccard:smooth={smooth / 2}",
            f"monai.losses.DiceLoss(jaccard=True), smooth={smooth}",
            value,
            **PAIR,
        )
    for alpha in (None, 0.25):
        spec = "binary-focal:from-logits=true" + options(alpha="none" if alpha is None else alpha)
        value = mn.FocalLoss(alpha=alpha, reduction="none")(LOGIT[:, None], MASK[:, None])
        g.add(
            spec,
            f"monai.losses.FocalLoss(alpha={alpha})",
            value.mean((1, 2)),
            reduction="none",
            rtol=1e-6,
            **PAIR_LOGIT,
        )
    value = mn.DiceCELoss(sigmoid=True, smooth_nr=0, smooth_dr=0)(LOGIT[:, None], MASK[:, None])
    g.add(
        "dice:from-logits=true+bce:from-logits=true",
        "monai.losses.DiceCELoss(sigmoid=True)",
        value,
        rtol=1e-6,
        **PAIR_LOGIT,
    )
    torch.manual_seed(0)
    a = torch.rand(3, 1, 12, 13, dtype=torch.float64)
    b = 0.6 * a + 0.4 * torch.rand(3, 1, 12, 13, dtype=torch.float64)
    images = {"target": a.reshape(3, -1), "pred": b.reshape(3, -1)}
    for window, sigma in ((11, 1.5), (5, 0.75)):
        value = mn.SSIMLoss(2, win_size=window, kernel_sigma=sigma, reduction="none")(b, a).ravel()
        g.add(
            f"ssim-loss:shape=12x13:window={window}:sigma={sigma}",
            f"monai.losses.SSIMLoss({window}, {sigma})",
            value,
            reduction="none",
            rtol=1e-5,
            **images,
        )
    value = 1 + mn.BoxGIoULoss(reduction="none")(tensor(d.BOX_PRED), tensor(d.BOX)) - 1
    g.add(
        "box-giou",
        "monai.losses.BoxGIoULoss",
        value,
        reduction="none",
        rtol=1e-5,
        target=d.BOX,
        pred=d.BOX_PRED,
    )
    return g


def kornia() -> Golden:
    g = Golden("kornia", ("kornia", "torch"))
    y, p = tensor(d.Y), tensor(d.P)
    for specs, fn in (
        (("cauchy:c=1.4142135623730951", "barron:alpha=0"), k.cauchy_loss),
        (("welsch:c=1.4142135623730951", "barron:alpha=-inf"), k.welsch_loss),
        (("geman-mcclure", "barron:alpha=-2"), k.geman_mcclure_loss),
        (("pseudo-huber", "barron:alpha=1"), k.charbonnier_loss),
    ):
        for spec in specs:
            value = fn(p, y, reduction="none")
            g.add(
                spec,
                f"kornia.losses.{fn.__name__}",
                value,
                reduction="none",
                rtol=1e-11,
                target=d.Y,
                pred=d.P,
            )
    z, label = tensor(d.LOGITS), tensor(d.LABEL)
    for gamma in (2.0, 0.5):
        value = k.focal_loss(z, label, alpha=None, gamma=gamma).sum(1)
        g.add(
            f"focal:from-logits=true:gamma={gamma}",
            "kornia.losses.focal_loss(alpha=None).sum(1)",
            value,
            reduction="none",
            rtol=1e-11,
            target=d.LABEL,
            pred=d.LOGITS,
        )
        value = k.focal_loss(z, label, alpha=0.25, gamma=gamma).sum(1)
        g.add(
            f"focal:from-logits=true:gamma={gamma}:alpha=[0.75,0.25,0.25]",
            "kornia.losses.focal_loss(alpha=0.25).sum(1)",
            value,
            reduction="none",
            rtol=1e-11,
            target=d.LABEL,
            pred=d.LOGITS,
        )
        value = k.binary_focal_loss_with_logits(
            tensor(d.LOGIT)[:, None], tensor(d.BIN)[:, None], alpha=0.25, gamma=gamma
        )
        g.add(
            f"binary-focal:from-logits=true:alpha=0.25:gamma={gamma}",
            "kornia.losses.binary_focal_loss_with_logits",
            value.ravel(),
            reduction="none",
            rtol=1e-9,
            target=d.BIN,
            pred=d.LOGIT,
        )
    value = [k.lovasz_hinge_loss(LOGIT[i].reshape(1, 1, 2, 2), MASK[i].reshape(1, 2, 2)) for i in range(2)]
    g.add(
        "lovasz-hinge", "kornia.losses.lovasz_hinge_loss", torch.stack(value), reduction="none", **PAIR_LOGIT
    )
    image = tensor([[[[0.0, 1.0, 0.5], [3.0, 2.0, -1.0]]], [[[1.0, 1.0, 1.0], [0.0, 4.0, 0.25]]]])
    g.add(
        "total-variation:kind=l1:shape=2x3",
        "kornia.losses.total_variation",
        k.total_variation(image).ravel(),
        reduction="none",
        pred=image.reshape(2, 6),
    )
    colour = image.reshape(1, 2, 2, 3)  # channels first: two channels of two by three
    g.add(
        "total-variation:kind=l1:shape=2x3x2",
        "kornia.losses.total_variation, channels moved last",
        k.total_variation(colour).sum(),
        reduction="sum",
        pred=colour.permute(0, 2, 3, 1).reshape(1, 12),
    )
    for span in (1.0, 4.0):
        value = [k.psnr_loss(image[i] + 0.25 * i + 0.1, image[i], span) for i in range(2)]
        moved = torch.stack([image[i] + 0.25 * i + 0.1 for i in range(2)]).reshape(2, 6)
        g.add(
            f"psnr-loss:data-range={span}",
            "kornia.losses.psnr_loss",
            torch.stack(value),
            reduction="none",
            target=image.reshape(2, 6),
            pred=moved,
        )
    return g


def metric_learning() -> Golden:
    """Explicit pairs, raw distances and no averaging: PML's per-pair terms."""
    g = Golden("pml", ("pytorch-metric-learning", "torch"))
    both = torch.cat([tensor(d.A), tensor(d.B)])
    index, other = torch.arange(4), torch.arange(4, 8)
    similar = [1, 0, 1, 0]
    for squared in (False, True):
        metric = distances.LpDistance(normalize_embeddings=False, power=2 if squared else 1)
        for margin in (1.0, 2.5):
            if squared and margin != 1.0:
                continue
            loss = losses.ContrastiveLoss(0, margin, distance=metric, reducer=reducers.DoNothingReducer())
            yes, no = torch.tensor([0, 2]), torch.tensor([1, 3])
            found = loss(both, indices_tuple=(index[yes], other[yes], index[no], other[no]))
            terms = torch.zeros(4, dtype=torch.float64)
            terms[yes], terms[no] = found["pos_loss"]["losses"], found["neg_loss"]["losses"]
            if not squared:
                g.add(
                    f"contrastive:margin={margin}:squared=false",
                    "pytorch_metric_learning ContrastiveLoss, raw distance",
                    terms,
                    reduction="none",
                    first=d.A,
                    second=d.B,
                    target=similar,
                )
                gap = (tensor(d.A) - tensor(d.B)).norm(dim=1)
                g.add(
                    f"contrastive-distance:margin={margin}:squared=false",
                    "the same",
                    terms,
                    reduction="none",
                    distance=gap,
                    target=similar,
                )
    three = torch.cat([both, tensor(d.C)])
    at = (index, other, torch.arange(8, 12))
    for margin, swap in ((1.0, False), (0.5, True)):
        metric = distances.LpDistance(normalize_embeddings=False)
        loss = losses.TripletMarginLoss(
            margin, swap=swap, distance=metric, reducer=reducers.DoNothingReducer()
        )
        terms = loss(three, indices_tuple=at)["loss"]["losses"]
        g.add(
            "triplet" + options(margin=margin, swap=swap),
            "pytorch_metric_learning TripletMarginLoss, raw distance",
            terms,
            reduction="none",
            rtol=1e-11,
            anchor=d.A,
            positive=d.B,
            negative=d.C,
        )
    return g


def torchvision() -> Golden | None:
    """The wheel does not fit this torch, but its losses are plain Python: unpack torchvision/ops from it."""
    folder = Path(os.environ.get("TORCHVISION_SOURCE", "torchvision"))
    if not folder.is_dir():
        return None
    bare_package("torchvision", folder)
    bare_package("torchvision.ops", folder / "ops")
    utils = types.ModuleType("torchvision.utils")
    utils._log_api_usage_once = lambda _: None  # type: ignore[attr-defined]
    sys.modules["torchvision.utils"] = utils
    load = lambda name: importlib.import_module(f"torchvision.ops.{name}")  # noqa: E731
    g = Golden("torchvision", ("torch",))
    boxes, pred = {"target": d.BOX, "pred": d.BOX_PRED}, tensor(d.BOX_PRED)
    for name, module, fn in (
        ("giou", "giou_loss", "generalized_box_iou_loss"),
        ("diou", "diou_loss", "distance_box_iou_loss"),
        ("ciou", "ciou_loss", "complete_box_iou_loss"),
    ):
        loss = getattr(load(module), fn)
        for eps, like in ((1e-7, None), (1e-7, "torchvision"), (0.0, None)):
            leaf = pred.clone().requires_grad_()
            value = loss(leaf, tensor(d.BOX), eps=eps)
            spec = f"box-{name}" if like or not eps else f"box-{name}:eps=1e-07"
            # complete_box_iou_loss hands its eps on to only half of its parts: 1e-7 stays in the rest
            atol = 1e-8 if name == "ciou" and not eps else 1e-15
            g.add(
                spec,
                f"torchvision.ops.{fn}(eps={eps})",
                value,
                like=like,
                reduction="none",
                rtol=1e-11,
                atol=atol,
                **boxes,
            )
            if (
                not like and name != "ciou"
            ):  # torchvision holds ciou's alpha constant: not the gradient of its value
                found = torch.autograd.grad(value[:2].sum(), leaf)[0][:2]
                cut = {key: rows[:2] for key, rows in boxes.items()}
                g.add(
                    spec,
                    f"torchvision.ops.{fn}(eps={eps}), autograd",
                    {"grad_pred": found},
                    reduction="none",
                    grad=True,
                    rtol=1e-9,
                    atol=10 * atol,
                    **cut,
                )
    focal = load("focal_loss").sigmoid_focal_loss
    for alpha in (-1, 0.25):
        for gamma in (2, 0.5):
            leaf = tensor(d.LOGIT).requires_grad_()
            value = focal(leaf, tensor(d.BIN), alpha, gamma)
            spec = "binary-focal:from-logits=true" + options(
                alpha="none" if alpha < 0 else alpha, gamma=gamma
            )
            inputs = {"target": d.BIN, "pred": d.LOGIT}
            g.add(
                spec,
                f"torchvision.ops.sigmoid_focal_loss({alpha}, {gamma})",
                value,
                reduction="none",
                rtol=1e-9,
                **inputs,
            )
            grads = {"grad_pred": torch.autograd.grad(value.sum(), leaf)[0]}
            g.add(spec, "the same, autograd", grads, reduction="none", grad=True, rtol=1e-8, **inputs)
    return g


def make() -> list[Golden]:
    return [g for g in (smp(), monai(), kornia(), metric_learning(), torchvision()) if g]
