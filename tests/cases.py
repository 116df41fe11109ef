"""Legal random data for every registered loss, drawn from nothing but its declaration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lossctl.columns import choose_form
from lossctl.domain import Interval
from lossctl.loss import BadValue, BoundParam, Form, Loss
from lossctl.loss.registry import all_losses, get
from lossctl.loss.spec import Bound

CLASSES = 3
WORDS = ("the", "cat", "sat", "on", "a", "mat", "köln", "x")
Data = Mapping[str, Any]  # arrays with a row per sample; lists of arrays where rows differ in length


@dataclass(frozen=True)
class Case:
    """A loss with its parameters decided and the form in which every input arrives."""

    bound: Bound
    forms: Mapping[str, Form]
    layout: str

    @property
    def loss(self) -> Loss:
        return self.bound.loss

    @property
    def id(self) -> str:
        return self.bound.text + ("" if self.layout == "scalar" else f" ({self.layout})")

    @property
    def seed(self) -> int:
        return sum(at * ord(char) for at, char in enumerate(self.id, 1))

    @property
    def width(self) -> int:
        """Values of a vector: a picture's pixels, or the classes."""
        shapes = (v for n, v in self.bound.params.items() if self.loss.params[n].type == tuple[int, ...])
        return math.prod(next((shape for shape in shapes if shape), (CLASSES,)))

    def draw(self, rows: int, *, ends: bool = False, seed: int = 0) -> dict[str, Any]:
        """`rows` legal rows (the ends of every domain among them if `ends`); the same each time."""
        rng = np.random.default_rng((self.seed, seed))
        lengths = rng.integers(2, 6, rows)
        return {name: self._values(form, rng, rows, lengths, ends) for name, form in self.forms.items()}

    def _values(self, form: Form, rng: Any, rows: int, lengths: Any, ends: bool) -> Any:
        if form.kind == "group":
            keys = np.repeat(np.arange(rows), rng.integers(1, 6, rows))[:rows]
            return np.array([f"g{key}" for key in keys], dtype=object)
        if form.kind == "text":
            return np.array([" ".join(rng.choice(WORDS, n)) for n in lengths], dtype=object)
        if form.shape in ("sequence", "matrix"):
            short = form.without is not None
            sizes = np.maximum(lengths // 2 - 1, 0) if short else lengths
            shape = () if form.shape == "sequence" else (CLASSES,)
            return [self._numbers(form, rng, (int(n), *shape), ends and i == 1) for i, n in enumerate(sizes)]
        if form.width == 4:  # boxes that are right way out as corners as well as with a size
            return np.concatenate([rng.uniform(-1, 2, (rows, 2)), rng.uniform(2, 5, (rows, 2))], axis=1)
        listed = len(self.bound.params[form.length]) if form.length else None
        shape = (rows,) if form.shape == "scalar" else (rows, form.width or listed or self.width)
        return self._numbers(form, rng, shape, ends)

    def _numbers(self, form: Form, rng: Any, shape: tuple[int, ...], ends: bool) -> Any:
        if form.kind == "label":
            return self._labels(form, rng, shape)
        if form.kind in ("sign", "binary"):
            return rng.choice([-1.0 if form.kind == "sign" else 0.0, 1.0], shape)
        free_labels = any(f.kind == "label" and f.of is None for f in self.forms.values())
        if free_labels and form.kind == "nonneg":  # compared with labels, so labels too
            return rng.integers(0, CLASSES, shape).astype(np.float64)
        domain = form.domain if ends else form.domain._replace(open_low=True, open_high=True)
        values = domain.sample(rng, shape)
        if form.sums_to_one and values.size:
            values = values / values.sum(axis=-1, keepdims=True)
            if ends:
                values[0] = np.eye(shape[-1])[0]
        return rng.permutation(values) if ends else values

    def _labels(self, form: Form, rng: Any, shape: tuple[int, ...]) -> Any:
        legal = list(range(CLASSES))
        if form.without is not None:
            legal.remove(self.bound.params[form.without])
        names = self.bound.params.get(form.names) if form.names else None
        if names:
            return rng.choice(np.array(names, dtype=object), shape)
        ignore = self.bound.params.get(form.ignore) if form.ignore else None
        return rng.choice(legal if ignore is None else [*legal, ignore], shape)


def layouts(bound: Bound) -> Iterator[tuple[str, dict[str, Form]]]:
    """The ways the inputs may arrive: numbers, vectors, and labels beside vectors."""
    shaped = {
        name: [f.shape != "scalar" for f in item.forms if f.when is None or f.holds(bound.params)]
        for name, item in bound.inputs.items()
    }
    seen = []
    for layout in ("scalar", "vector", "label"):
        vector = {}
        for name, options in shaped.items():
            labels = any(f.kind == "label" for f in bound.inputs[name].forms)
            if layout == "scalar" or (layout == "label" and labels):
                vector[name] = all(options)
            else:
                vector[name] = any(options) or bound.loss.pointwise
        if vector in seen:
            continue
        seen.append(vector)
        forms = {
            name: choose_form(bound, item, vector[name], any(v for n, v in vector.items() if n != name))
            for name, item in bound.inputs.items()
        }
        yield layout, forms


def settings_of(param: BoundParam) -> list[Any]:
    """Values to try besides the default: all choices, both flags, some numbers inside the range."""
    if param.is_flag:
        return [not param.default]
    made: list[Any] = [choice for choice in param.choices if choice != param.default]
    for kind in param.alternatives:
        if kind in (int, float):
            made += [n for n in numbers_in(param.meta.domain, kind) if param.meta.allows(n)]
        elif kind == tuple[float, ...]:
            made.append(tuple(sorted(numbers_in(param.meta.domain, float, CLASSES))))
        elif kind == tuple[str, ...]:
            made.append(tuple(f"c{i}" for i in range(CLASSES)))
    return [value for value in made if value != param.default and takes(param, value)]


def takes(param: BoundParam, value: Any) -> bool:
    """Whether the parameter's range, which may have a gap, holds the value."""
    try:
        param.read(value)
    except BadValue:
        return False
    return True


def numbers_in(domain: Interval, kind: Any, count: int = 2) -> list[Any]:
    """Closed finite ends of a range and `count` numbers from inside."""
    low, high = domain.low, domain.high
    if kind is int:
        return [int(low) + i for i in range(count)] if math.isfinite(low) else [1, -100][:count]
    steps = [(i + 1) / (count + 1) for i in range(count)]
    if math.isfinite(low) and math.isfinite(high):
        ends = [end for end in (low, high) if domain.contains(end) and count == 2]
        return ends + [low + (high - low) * s for s in steps]
    if math.isfinite(low):
        return ([low] if domain.contains(low) and count == 2 else []) + [low + 4.0 * s for s in steps]
    if math.isfinite(high):
        return [high - 4.0 * s for s in steps]
    return [1.25, -1.5][:count]


def required(loss: Loss) -> dict[str, Any]:
    """A value for every parameter without a default."""
    made: dict[str, Any] = {}
    for name, param in loss.params.items():
        if not param.required:
            continue
        if param.type is str:
            made[name] = "abs(target - pred)"
        elif param.type == tuple[int, ...]:  # a picture no smaller than any whole number of the loss
            side = max([2, *(p.default for p in loss.params.values() if p.type is int)])
            made[name] = (side + 1, side)
        else:
            made[name] = settings_of(param)[0]
    return made


def cases(loss: Loss) -> tuple[Case, ...]:
    """The loss as it is by default, and with one parameter changed at a time, in every layout."""
    return _cases(loss.name)


@cache
def _cases(name: str) -> tuple[Case, ...]:
    loss = get(name)
    base = required(loss)
    varied = [base] + [
        {**base, name: value}
        for name, param in loss.params.items()
        if name not in base
        for value in settings_of(param)
    ]
    made = []
    for params in varied:
        bound = Bound(loss, loss.resolve(params))
        for layout, forms in layouts(bound):
            named = [
                n for n, p in bound.params.items() if p and loss.params[n].type == tuple[str, ...] | None
            ]
            if all(any(f.names == n and f.shape == "scalar" for f in forms.values()) for n in named):
                made.append(Case(bound, forms, layout))
    return tuple(made)


def plain_cases() -> list[Case]:
    """Every loss with its defaults, in every layout."""
    return [c for loss in all_losses() for c in cases(loss) if c.bound.params == cases(loss)[0].bound.params]


def every_case() -> list[Case]:
    return [case for loss in all_losses() for case in cases(loss)]


def take(data: Data, index: Any) -> dict[str, Any]:
    """The rows of `index`."""
    return {n: [v[i] for i in index] if isinstance(v, list) else v[index] for n, v in data.items()}


def repeated(data: Data, times: Any) -> dict[str, Any]:
    """Row i times[i] times; each copy of a group is a group of its own."""
    if "group" not in data:
        return take(data, np.repeat(np.arange(len(times)), times))
    index = np.arange(len(times))
    parts = [take(data, index[times > copy]) for copy in range(int(times.max()))]
    for copy, part in enumerate(parts):
        part["group"] = np.array([f"{key}/{copy}" for key in part["group"]], dtype=object)
    return {n: np.concatenate([part[n] for part in parts]) for n in data}


def per_row(case: Case, data: Data, choices: Sequence[Any], seed: int = 0) -> Any:
    """A random choice per row, the same for all rows of a group."""
    drawn = np.random.default_rng((case.seed, seed)).choice(choices, rows_of(data))
    if "group" not in data:
        return drawn
    starts = np.concatenate([[True], data["group"][1:] != data["group"][:-1]])
    return drawn[starts][np.cumsum(starts) - 1]


def rows_of(data: Data) -> int:
    return len(next(iter(data.values())))


def column(values: Any, kind: pa.DataType | None = None) -> pa.Array:
    """One column; `kind` is the type of its floating-point numbers."""
    if isinstance(values, list):
        number = pa.int64() if all(v.dtype.kind == "i" for v in values) else kind or pa.float64()
        inner = pa.list_(number) if values and values[0].ndim == 2 else number
        return pa.array([v.tolist() for v in values], pa.list_(inner))
    if values.dtype == object or values.dtype.kind == "i":
        return pa.array(values.tolist())
    flat = pa.array(values.reshape(-1).tolist()).cast(kind or pa.float64())
    return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def table(data: Data, *, kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({name: column(values, kind) for name, values in data.items()})


def over(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case.id for case in cases])


def has_rows(case: Case) -> bool:
    return getattr(case.loss.reduction, "row", True)
