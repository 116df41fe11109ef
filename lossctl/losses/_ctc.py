"""Forward and backward recursion of connectionist temporal classification, over many rows at once.

A target of n labels is n + 1 blanks around n labels. States are arrays (place, row): b[i] is the blank
before label i, l[i] label i. Rows with about as many labels go together, longest input first, so that the
rows still running at step t are the first `alive[t]` columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossctl.loss import Array, BadValue, Codes, Ragged

_CELLS = 1 << 14  # places × rows of one batch: its few arrays stay in the cache
_KEPT = 1 << 22  # places × rows × steps of a batch whose forward states are kept
_FLOOR = -1.7e308


@dataclass(frozen=True)
class _Batch:
    """rows: of the block; sizes, labels, skip: per row's target; start: first step of each row."""

    rows: Codes
    start: Codes
    sizes: Codes
    alive: Codes
    labels: Codes
    skip: NDArray[np.bool_]


def _log_add(a: Array, b: Array) -> Array:
    """log(e^a + e^b); −∞ is no path. Comes without branches: two −∞ give −∞, not NaN."""
    high = np.maximum(a, b)
    gap = np.minimum(a, b)
    gap -= np.maximum(high, _FLOOR)
    np.exp(gap, out=gap)
    np.log1p(gap, out=gap)
    gap += high
    return gap


def check_blank(target: Ragged, pred: Ragged, blank: int) -> None:
    width = pred.values.shape[1]
    if blank >= width and len(pred.values):
        raise BadValue("blank", blank, f"one of the {width} classes")
    if (target.values[target.offsets[0] : target.offsets[-1]] == blank).any():
        raise BadValue("blank", blank, "a class that no target holds")


def _batches(target: Ragged, pred: Ragged, blank: int, keep: bool) -> Iterator[_Batch]:
    sizes, steps = target.lengths, pred.lengths
    order = np.lexsort((-steps, -sizes))
    at = 0
    while at < len(order):
        places = int(sizes[order[at]]) + 1
        count = _CELLS // places
        if keep:
            count = min(count, _KEPT // (places * (int(steps.max()) + 1)))
        rows = order[at : at + max(count, 1)]
        at += len(rows)
        rows = rows[np.argsort(-steps[rows], kind="stable")]
        alive = np.searchsorted(-steps[rows], -np.arange(int(steps[rows[0]])), side="left")
        yield _batch(target, pred, rows, alive, blank)


def _batch(target: Ragged, pred: Ragged, rows: Codes, alive: Codes, blank: int) -> _Batch:
    sizes = target.lengths[rows]
    place = np.arange(int(sizes.max()))[:, None]
    source = np.minimum(target.offsets[rows] + place, max(len(target.values) - 1, 0))
    labels = np.where(place < sizes, target.values.take(source) if source.size else source, blank)
    skip = np.ones((len(labels) + 1, len(rows)), bool)
    skip[1:-1] = labels[1:] != labels[:-1]
    return _Batch(rows, pred.offsets[rows], sizes, alive, labels, skip)


class _Steps:
    """Log-probabilities of a batch's labels and of the blank at each step."""

    def __init__(self, batch: _Batch, logs: Array, blank: int) -> None:
        self.flat = np.ascontiguousarray(logs).reshape(-1)
        self.width = logs.shape[1]
        self.blank = batch.start * self.width + blank
        self.labels = batch.start * self.width + batch.labels

    def at(self, t: int, n: int) -> tuple[Array, Array]:
        shift = t * self.width
        return self.flat.take(self.blank[:n] + shift), self.flat.take(self.labels[:, :n] + shift)


def _forward(batch: _Batch, steps: _Steps, states: list[tuple[Array, Array]] | None) -> Array:
    """The loss of each row of the batch; with `states`, the forward states after each step too."""
    count, many = len(batch.rows), len(batch.labels)
    b, l = np.full((many + 1, count), -np.inf), np.full((many, count), -np.inf)  # noqa: E741
    b[0] = 0.0  # before the first step: no label yet
    for t, n in enumerate(batch.alive.tolist()):
        blank, emitted = steps.at(t, n)
        blanks, labels = b[:, :n], l[:, :n]
        both = np.empty_like(blanks)
        both[0] = blanks[0]
        both[1:] = _log_add(blanks[1:], labels)
        labels[...] = _log_add(labels, np.where(batch.skip[:-1, :n], both[:-1], blanks[:-1]))
        labels += emitted
        np.add(both, blank, out=blanks)
        if states is not None:
            states.append((blanks.copy(), labels.copy()))
    column = np.arange(count)
    last = b[batch.sizes, column]
    if many:
        ended = np.where(batch.sizes > 0, l[np.maximum(batch.sizes - 1, 0), column], -np.inf)
        last = _log_add(last, ended)
    return 0.0 - last


def losses(target: Ragged, logs: Ragged, blank: int) -> Array:
    """−log likelihood of each row; inf where no path exists."""
    out = np.empty(len(target.lengths))
    for batch in _batches(target, logs, blank, keep=False):
        out[batch.rows] = _forward(batch, _Steps(batch, logs.values, blank), None)
    return out


def slopes(target: Ragged, logs: Ragged, blank: int) -> tuple[Array, NDArray[np.bool_]]:
    """d loss/d log p = −posterior of each class at each step (0 without a path), and which rows have one."""
    out = np.zeros(logs.values.shape)
    possible = np.empty(len(target.lengths), bool)
    for batch in _batches(target, logs, blank, keep=True):
        steps = _Steps(batch, logs.values, blank)
        states: list[tuple[Array, Array]] = []
        found = _forward(batch, steps, states)
        possible[batch.rows] = np.isfinite(found)
        _backward(batch, steps, states, np.where(np.isfinite(found), found, 0.0), blank, out)
    return out, possible


def _backward(
    batch: _Batch, steps: _Steps, states: list[tuple[Array, Array]], found: Array, blank: int, out: Array
) -> None:
    count, many, width = len(batch.rows), len(batch.labels), steps.width
    column = np.arange(count)
    b, l = np.full((many + 1, count), -np.inf), np.full((many, count), -np.inf)  # noqa: E741
    b[batch.sizes, column] = 0.0  # after the last step: the final blank, or the label before it
    slots = np.concatenate((np.full((many + 1, count), blank), batch.labels)) + column * width
    for t in range(len(batch.alive) - 1, -1, -1):
        n = int(batch.alive[t])
        blanks, labels = b[:, :n], l[:, :n]
        ahead = blanks.copy()
        ahead[:-1] = _log_add(blanks[:-1], labels)
        stay = _log_add(labels, np.where(batch.skip[1:, :n], ahead[1:], blanks[1:]))
        before = states.pop()
        posterior = np.concatenate((before[0] + ahead, before[1] + stay))
        posterior += found[:n]
        np.exp(posterior, out=posterior)
        mass = np.bincount(slots[:, :n].reshape(-1), posterior.reshape(-1), minlength=n * width)
        out[batch.start[:n] + t] = -mass.reshape(n, width)
        blank_log, emitted = steps.at(t, n)
        np.add(ahead, blank_log, out=blanks)
        np.add(stay, emitted, out=labels)
