"""Sequences: labels step by step, unaligned labels, and text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np

from lossctl.domain import ANY, NONNEG, UNIT
from lossctl.loss import (
    Array,
    Form,
    LabelSeq,
    Masked,
    Param,
    Pooled,
    Ragged,
    RealMat,
    RowRefused,
    Text,
    gradient,
    like,
    loss,
)
from lossctl.loss.kinds import MASKED
from lossctl.losses import _ctc
from lossctl.losses._classes import (
    BOUNDLESS,
    Eps,
    FromLogits,
    FromLogProbs,
    IgnoreIndex,
    ScoreForm,
    kept,
)
from lossctl.numeric import row_blocks, segment_sum

StepLabels = Annotated[Ragged, Form("label", "sequence", of="pred", ignore="ignore_index")]
StepScores = Annotated[
    Ragged,
    Form("prob", "matrix", UNIT, sums_to_one=True),
    Form("real", "matrix", MASKED, when="from_logits"),
    Form("real", "matrix", MASKED, when="from_log_probs"),
]


def _ratio(total: Any, count: Any) -> Any:
    return total / count


def _matched(target: Ragged, pred: Ragged) -> None:
    wrong = target.lengths != pred.lengths
    if wrong.any():
        at = int(np.argmax(wrong))
        found, wanted = int(target.lengths[at]), int(pred.lengths[at])
        raise RowRefused("target", at, f"labels: {found}, steps of pred: {wanted}", "give one label per step")


def _step_costs(target: Ragged, pred: Ragged, form: ScoreForm, ignore_index: int | None) -> Masked:
    """Σ −log p and the number of steps that count, of each row; rows without such a step are left out."""
    _matched(target, pred)
    label, used = kept(target.values, ignore_index)
    costs = -form.checked().log_prob_of(label, pred.values)
    steps = target.lengths.astype(np.float64)
    if used is not None:
        costs = np.where(used, costs, 0.0)
        steps = segment_sum(used.astype(np.float64), target.offsets)
    return Masked((segment_sum(costs, target.offsets), steps), steps > 0.0)


def _step_slope(target: Ragged, pred: Ragged, form: ScoreForm, ignore_index: int | None) -> Ragged:
    """d(mean cost of the row's steps)/d pred."""
    _matched(target, pred)
    label, used = kept(target.values, ignore_index)
    counted = np.ones(len(label)) if used is None else used.astype(np.float64)
    share = counted / np.repeat(segment_sum(counted, target.offsets), target.lengths)
    slope = form.checked().label_slope(label, np.where(counted > 0.0, share, 0.0), pred.values)
    return Ragged(slope, pred.offsets)


@loss(
    Pooled(_ratio),
    range=BOUNDLESS,
    best=None,
    tasks=("segmentation", "images"),
    likes=(
        like(
            "torch",
            "torch.nn.CrossEntropyLoss on (N, C, H, W)",
            ignore_index=-100,
            note="logits, class-major",
        ),
        like("smp", "SoftCrossEntropyLoss", exists=False, note="ignored pixels count in N"),
    ),
)
def pixel_cross_entropy(
    target: StepLabels,
    pred: StepScores,
    *,
    from_logits: FromLogits = False,
    eps: Eps = 0.0,
    ignore_index: IgnoreIndex = None,
) -> Masked:
    """Pixel-wise cross-entropy: a row is an image, its label a list of classes, one per pixel.

    Formula: Σ −log p_y over all pixels of all images / their number.
    Gradient: of an image alone, (softmax(z) − e_y)/n for each of its n pixels; −1/(n·p_y) for probabilities.
    Aggregate: pooled over pixels, so a large image weighs more; --reduction mean averages images.
    Use when: every pixel has one class and is judged by itself.
    Avoid when: the classes' areas differ by orders of magnitude (dice, focal).
    Numerics: as cross-entropy; an image whose pixels are all ignored is left out.
    See also: cross-entropy for one pixel per row, dice.
    References: Long, Shelhamer & Darrell (2015), Fully Convolutional Networks for Semantic Segmentation.

    >>> import lossctl
    >>> lossctl.compute("pixel-cross-entropy:from-logits=true", [[0, 1]], [[[0, 0], [0, 0]]]).value  # log 2
    0.6931471805599453
    """
    return _step_costs(target, pred, ScoreForm(from_logits, eps=eps), ignore_index)


@gradient(pixel_cross_entropy)
def _(target: Ragged, pred: Ragged, *, from_logits: bool, eps: float, ignore_index: int | None) -> Ragged:
    return _step_slope(target, pred, ScoreForm(from_logits, eps=eps), ignore_index)


@loss(
    Pooled(_ratio),
    range=ANY,
    best=None,
    tasks=("sequences",),
    likes=(
        like("torch", "torch.nn.CrossEntropyLoss over all tokens", ignore_index=-100, note="logits"),
        like("torchmetrics", "log of torchmetrics.text.Perplexity", note="takes logits"),
    ),
)
def token_nll(
    target: StepLabels,
    pred: StepScores,
    *,
    from_logits: FromLogits = False,
    from_log_probs: FromLogProbs = False,
    ignore_index: IgnoreIndex = None,
) -> Masked:
    """Token negative log-likelihood: cross-entropy of the right token, per token of all sequences.

    Formula: Σ −log p(token) over all tokens / their number.
    Gradient: of a sequence alone, (softmax(z) − e_y)/n at each of its n tokens; −1/(n·p_y) for probabilities.
    Aggregate: pooled over tokens, so a long sequence weighs more; --reduction mean averages sequences.
    Use when: language models are compared on the same tokens; its exponential is the perplexity.
    Avoid when: labels are not aligned with the steps (ctc).
    Numerics: as cross-entropy; a sequence without a token that counts is left out. Rows are within 2 ulp.
    See also: perplexity, cross-entropy for one token per row.
    References: Bengio, Ducharme, Vincent & Jauvin (2003), A Neural Probabilistic Language Model.

    >>> import lossctl
    >>> lossctl.compute("token-nll:from-logits=true", [[0, 1], [1]], [[[0, 0]] * 2, [[0, 0]]]).value  # log 2
    0.6931471805599453
    """
    return _step_costs(target, pred, ScoreForm(from_logits, from_log_probs), ignore_index)


@gradient(token_nll)
def _(
    target: Ragged, pred: Ragged, *, from_logits: bool, from_log_probs: bool, ignore_index: int | None
) -> Ragged:
    return _step_slope(target, pred, ScoreForm(from_logits, from_log_probs), ignore_index)


@loss(
    range=ANY,
    best=None,
    tasks=("sequences",),
    likes=(
        like(
            "torch",
            "torch.nn.CTCLoss",
            per_target=True,
            note="an empty target is divided by 1; its sum and none divide nothing: per-target=false",
        ),
        like("keras", "keras.losses.CTC", note="logits; class 0 is both blank and padding"),
        like("optax", "optax.losses.ctc_loss", note="logits; about 1e5 instead of inf where no path exists"),
    ),
)
def ctc(
    target: LabelSeq,
    pred: RealMat,
    *,
    from_logits: FromLogits = False,
    blank: Annotated[int, Param("class that stands for no label", NONNEG)] = 0,
    zero_infinity: Annotated[bool, Param("targets that do not fit their input cost 0, not inf")] = False,
    per_target: Annotated[bool, Param("divide each row by its target's length, at least 1")] = False,
) -> Array:
    """Connectionist temporal classification: the target's likelihood over all its alignments to the steps.

    Formula: −log Σ_paths Π_t p_t(path_t), over the paths that give the target once repeats are merged and
        blanks dropped; pred holds log-probabilities.
    Gradient: with respect to log-probabilities minus the posterior share of each class at each step; to
        logits softmax(z) minus it.
    Use when: labels come in order but without their times, as in speech or handwriting recognition.
    Avoid when: every step has a label (token-nll).
    Numerics: forward recursion over factors in twice the digits, each with a power of two of its own; a
        target that needs more steps than there are (its length plus one per repeated neighbour) is exactly
        infinite; log-probabilities are taken as they are, not normalised. Rows are within 2 ulp of the loss,
        or of a thousandth of the best path's cost, or of 1e-16 (or that cost if it is less), whichever is
        more; with probabilities above 1, of 1e-3 at least; within 3 where hundreds of steps cost over 1e15.
    See also: wer and cer judge decoded text.
    References: Graves, Fernández, Gomez & Schmidhuber (2006), Connectionist Temporal Classification.

    >>> import lossctl
    >>> round(lossctl.compute("ctc:from-logits=true", [[1]], [[[0, 0], [0, 0]]]).value, 12)  # −log ¾
    0.287682072452
    """
    _ctc.check_blank(target, pred, blank)
    value = _ctc.losses(target, pred, blank, from_logits)
    return _settled(value, target, zero_infinity, per_target)


def _log_steps(pred: Ragged, from_logits: bool) -> Ragged:
    if not from_logits:
        return pred
    out = np.empty_like(pred.values)
    for rows in row_blocks(pred.values, 1 << 13):
        out[rows] = ScoreForm(from_logits=True).log_probs(pred.values[rows])
    return Ragged(out, pred.offsets)


def _settled(value: Array, target: Ragged, zero_infinity: bool, per_target: bool) -> Array:
    value = np.where(np.isposinf(value), 0.0, value) if zero_infinity else value
    return value / np.maximum(target.lengths, 1) if per_target else value


@gradient(ctc)
def _(
    target: Ragged, pred: Ragged, *, from_logits: bool, blank: int, zero_infinity: bool, per_target: bool
) -> Ragged:
    _ctc.check_blank(target, pred, blank)
    logs = _log_steps(pred, from_logits)
    slope, possible = _ctc.slopes(target, logs, blank)
    if from_logits:
        slope += np.exp(logs.values)
    factor = np.where(possible, 1.0, 0.0 if zero_infinity else np.nan)
    steps = np.repeat(_settled(factor, target, False, per_target), pred.lengths)[:, None]
    return Ragged(np.where(steps == 0.0, 0.0, slope * steps), pred.offsets)


def _edits(first: Sequence[str], second: Sequence[str]) -> int:
    """Levenshtein distance; two integers hold a column of its table, a bit per item (Hyyrö 2003)."""
    if not first or not second or first == second:
        return 0 if first == second else max(len(first), len(second))
    where: dict[str, int] = {}
    for place, item in enumerate(first):
        where[item] = where.get(item, 0) | 1 << place
    everywhere, last = (1 << len(first)) - 1, 1 << (len(first) - 1)
    up, down, distance = everywhere, 0, len(first)
    for item in second:
        same = where.get(item, 0)
        level = (((same & up) + up) ^ up) | same | down
        rise, fall = down | (everywhere & ~(level | up)), up & level
        distance += bool(rise & last) - bool(fall & last)
        rise, fall = rise << 1 | 1, fall << 1
        up = (fall | ~(same | down | rise)) & everywhere
        down = rise & (same | down) & everywhere
    return distance


def _edit_terms(target: Sequence[Sequence[str]], pred: Sequence[Sequence[str]]) -> tuple[Array, Array]:
    edits = [_edits(a, b) for a, b in zip(target, pred, strict=True)]
    return np.array(edits, dtype=np.float64), np.array([len(a) for a in target], dtype=np.float64)


@loss(
    Pooled(_ratio, skips=True),
    range=BOUNDLESS,
    tasks=("sequences",),
    likes=(like("torchmetrics", "torchmetrics.text.WordErrorRate"), like("jiwer", "jiwer.wer")),
)
def wer(target: Text, pred: Text) -> tuple[Array, Array]:
    """Word error rate: words to insert, delete or replace, per word of the reference.

    Formula: Σ edits / Σ words of target; words are what white space separates.
    Aggregate: a ratio of totals; a row alone gives its edits per word, infinite for an empty reference.
    Use when: transcripts are judged.
    Avoid when: words are not separated by spaces, or spelling counts (cer).
    Numerics: exact integers. Case, punctuation and Unicode forms are compared as they are.
    See also: cer.
    References: Levenshtein (1966), Binary Codes Capable of Correcting Deletions, Insertions, and Reversals.

    >>> import lossctl
    >>> lossctl.compute("wer", ["the cat sat"], ["a cat sat down"]).value  # 2 edits / 3 words
    0.6666666666666666
    """
    return _edit_terms([text.split() for text in target], [text.split() for text in pred])


@loss(
    Pooled(_ratio, skips=True),
    range=BOUNDLESS,
    tasks=("sequences",),
    likes=(like("torchmetrics", "torchmetrics.text.CharErrorRate"), like("jiwer", "jiwer.cer")),
)
def cer(target: Text, pred: Text) -> tuple[Array, Array]:
    """Character error rate: characters to insert, delete or replace, per character of the reference.

    Formula: Σ edits / Σ characters of target; characters are Unicode code points, spaces among them.
    Aggregate: a ratio of totals; a row alone gives its edits per character, infinite for an empty reference.
    Use when: transcripts or recognised characters are judged and near misses should count as near.
    Numerics: exact integers. Case, punctuation and Unicode forms are compared as they are.
    See also: wer.
    References: Levenshtein (1966), Binary Codes Capable of Correcting Deletions, Insertions, and Reversals.

    >>> import lossctl
    >>> lossctl.compute("cer", ["kitten"], ["sitting"]).value  # 3 edits / 6 characters
    0.5
    """
    return _edit_terms(list(target), list(pred))
