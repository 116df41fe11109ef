"""Forward and backward recursion of connectionist temporal classification, over many rows at once.

A target of n labels is n + 1 blanks around n labels. States are arrays (place, row): b[i] is the blank
before label i, l[i] label i. Rows with about as many labels go together, longest input first, so that the
rows still running at step t are the first `alive[t]` columns.

Forward states are numbers, not logarithms: (3, place, row) holds a power of two, −∞ where no path is, and a
factor as a double and its rest. At each step all are over the largest of the row's probabilities there, of
which the logarithms are added up apart: of a row that is all but certain only 1 + the other paths is left,
and its logarithm keeps the digits of a loss near 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossctl.elementary import LOG_2, exp_split, log_split
from lossctl.errorfree import Double, difference, leading, raw_two_sum, two_sum
from lossctl.loss import Array, BadValue, Codes, Ragged
from lossctl.numeric import row_blocks, row_sum, sum_parts

# Places × rows of one batch: 15.7 ns per state and step, 16.8 with half, 16.3 with twice; one row alone 148.
_CELLS = 1 << 15
_KEPT = 1 << 22  # places × rows × steps of a batch whose forward states are kept
_FLOOR = -1.7e308
_HUGE = 1e300
_TALL = 1e6  # as far as exp_split knows all digits
_VANISHED = -3000.0  # a double times two to this power is 0
_SETTLED = 256  # steps, which multiply a factor by less than 6²⁵⁶


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


class _Norms(NamedTuple):
    """log Σ e^z of each step's logits: the largest, and the logarithm of the sum over that."""

    top: Array
    log: Double


class _Steps:
    """Log-probabilities of the blank and of a batch's labels at each step, or logits with their norms."""

    def __init__(self, batch: _Batch, logs: Array, blank: int, norms: _Norms | None = None) -> None:
        self.start, self.norms = batch.start, norms
        self.flat = np.ascontiguousarray(logs).reshape(-1)
        self.width = logs.shape[1]
        classes = np.concatenate((np.full((1, len(batch.rows)), blank), batch.labels))
        self.places = batch.start * self.width + classes

    def at(self, t: int, n: int) -> Array:
        """Those of the first n rows: of the blank, and below of each label."""
        taken: Array = self.flat.take(self.places[:, :n] + t * self.width)
        return taken

    def bases(self, t: int, top: Array) -> Iterator[Array]:
        """Numbers whose sum is the log-probability of what `at` says is `top`."""
        if self.norms is None:
            yield top
            return
        place = self.start[: len(top)] + t
        yield from difference(top, self.norms.top[place])
        yield -self.norms.log.high[place]
        yield -self.norms.log.low[place]


def _nowhere(places: int, rows: int) -> Array:
    made = np.zeros((3, places, rows))
    made[0] = -np.inf
    return made


def _plus(a: Array, b: Array, out: Array) -> Array:
    power = np.maximum(a[0], b[0], out=out[0])
    base = np.maximum(power, _FLOOR)  # −∞ less −∞ would be NaN
    (first, first_rest), (second, second_rest) = _aligned(a, base), _aligned(b, base)
    out[1], lost = raw_two_sum(first, second)
    lost += first_rest
    np.add(lost, second_rest, out=out[2])
    return out


def _aligned(state: Array, power: Array) -> Array:
    shift = state[0] - power
    np.maximum(shift, _VANISHED, out=shift)
    made: Array = np.ldexp(state[1:], shift.astype(np.int32))
    return made


def _times(state: Array, power: Array, factor: Double, out: Array) -> None:
    """A factor of 1 changes no bit; others are known to 2⁻⁶³ and multiplied to 2⁻⁶⁴."""
    np.add(state[0], power, out=out[0])
    product = state[1] * factor.high
    bulk = leading(state[1])
    lost = state[1] - bulk
    lost *= factor.high
    bulk *= factor.high
    bulk -= product
    lost += bulk
    lost += state[2] * factor.rounded
    lost += state[1] * factor.low
    np.add(product, lost, out=out[1])
    product -= out[1]
    np.add(product, lost, out=out[2])


def _settle(state: Array) -> None:
    """Factors between ½ and 1 again."""
    state[1], power = np.frexp(state[1])
    state[0] += power
    np.ldexp(state[2], -power, out=state[2])


def _log(state: Array, base: Double) -> Double:
    """Its logarithm; without a path the power is −∞ and the factor 0."""
    return log_split(state[0], Double(np.where(state[1] > 0.0, state[1], 1.0), state[2])).plus(base)


def _rounded(state: Array, base: Array) -> Array:
    logs: Array = np.log(state[1])
    logs += state[0] * LOG_2[0]
    logs += base
    return logs


def _window(batch: _Batch, t: int) -> tuple[int, int]:
    """The places that step t can reach and that can still reach the end of a target."""
    last = min(len(batch.labels), t + 1)
    first = int(batch.sizes.min()) - (len(batch.alive) - t)
    return min(max(first, 0), last), last


def _forward(batch: _Batch, steps: _Steps, states: list[tuple[Array, Array]] | None) -> Array:
    """The loss of each row; with `states`, logarithms of the forward states after each step too."""
    count, places = len(batch.rows), len(batch.labels) + 1
    b, l = _nowhere(places, count), _nowhere(places, count)  # noqa: E741 - l[:, i + 1] is label i
    b[:2, 0] = [[0.0], [1.0]]  # before the first step: no label yet
    base = Double(np.zeros(count), np.zeros(count))
    room = np.empty((2, 3, places, count))
    for t, n in enumerate(batch.alive.tolist()):
        first, last = _window(batch, t)
        blanks, labels = b[:, first : last + 1, :n], l[:, first : last + 1, :n]
        power, factor = _factors(steps, t, n, base, first, last)
        both = _plus(blanks, labels, room[0, :, first : last + 1, :n])
        before = np.where(batch.skip[first:last, :n], both[:, :-1], blanks[:, :-1])
        _times(both, power[0], Double(factor.high[0], factor.low[0]), blanks)
        labels = labels[:, 1:]
        joined = _plus(labels, before, room[1, :, first:last, :n])
        _times(joined, power[1:], Double(factor.high[1:], factor.low[1:]), labels)
        if t % _SETTLED == _SETTLED - 1:
            _settle(blanks)
            _settle(labels)
        if states is not None:
            reached = base.rounded[:n]
            states.append((_rounded(b[:, :, :n], reached), _rounded(l[:, 1:, :n], reached)))
    column = np.arange(count)
    ended = _plus(b[:, batch.sizes, column], l[:, batch.sizes, column], room[0, :, 0])
    return 0.0 - _log(ended, base).rounded


def _factors(steps: _Steps, t: int, n: int, base: Double, first: int, last: int) -> tuple[Array, Double]:
    """e^logs of the blank and of the labels between two places, over the row's largest, which base takes.

    Not over one beyond _TALL: what a path below it costs would be a difference of far greater numbers.
    """
    logs = steps.at(t, n)
    top = np.maximum(np.maximum.reduce(logs, axis=0), _FLOOR)
    if steps.norms is None:
        top[top > _TALL] = 0.0
    for part in steps.bases(t, top):
        base.high[:n], lost = two_sum(base.high[:n], part)
        base.low[:n] += lost
    logs[first] = logs[0]
    return exp_split(Double.between(logs[first : last + 1], top))


def losses(target: Ragged, logs: Ragged, blank: int, from_logits: bool = False) -> Array:
    """−log likelihood of each row; inf where no path exists."""
    found = _losses(target, logs, blank, from_logits)
    lost = np.isinf(found)
    finite = np.isfinite(logs.values)
    if lost.any() and np.abs(logs.values[finite]).max(initial=0.0) > _HUGE:
        # A power of two of such a probability is itself out of range. Of so large numbers only the best path
        # counts, so they may be scaled.
        smaller = Ragged(logs.values * 2.0**-64, logs.offsets)
        found = np.where(lost, _losses(target, smaller, blank, from_logits) * 2.0**64, found)
    return found


def _losses(target: Ragged, logs: Ragged, blank: int, from_logits: bool) -> Array:
    out = np.empty(len(target.lengths))
    norms = _norms(logs.values) if from_logits else None
    for batch in _batches(target, logs, blank, keep=False):
        out[batch.rows] = _forward(batch, _Steps(batch, logs.values, blank, norms), None)
    return out


def _norms(scores: Array) -> _Norms:
    found = [_norm(scores[rows]) for rows in row_blocks(scores, 1 << 13)]
    top, high, low = np.concatenate(found, axis=1) if found else np.empty((3, 0))
    return _Norms(top, Double(high, low))


def _norm(scores: Array) -> Array:
    """Rows: the largest, and the logarithm of 1 + the others' shares of it, high and low."""
    at = np.argmax(scores, axis=1)[:, None]
    top = np.take_along_axis(scores, at, axis=1)
    power, share = exp_split(Double.between(scores, top))
    shift = np.maximum(power, _VANISHED).astype(np.int32)
    np.put_along_axis(share.high, at, 0.0, axis=1)
    np.put_along_axis(share.low, at, 0.0, axis=1)
    high, low = sum_parts(np.ldexp(share.high, shift))
    total, lost = two_sum(np.ones(len(scores)), high)
    lost += low + row_sum(np.ldexp(share.low, shift))
    return np.stack((top[:, 0], *log_split(np.zeros(len(scores)), Double(total, lost))))


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
        emitted = steps.at(t, n)
        np.add(ahead, emitted[0], out=blanks)
        np.add(stay, emitted[1:], out=labels)
