"""A bound loss on a block: call its kernel, and shape what it returns into terms or row values."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossctl.batch import Block
from lossctl.columns import Feed
from lossctl.errors import DataError, RowRefused
from lossctl.loss.kinds import Largest, Masked, Mean, Pooled, Whole
from lossctl.loss.spec import Bound
from lossctl.numeric import row_sum
from lossctl.ordering import COMPARED

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_ROUNDING = 1e-9  # a kernel may take another way to the same value when nothing is clipped

__all__ = ["Job", "Terms", "changed"]


@dataclass
class Terms:
    """columns: one array of n doubles per term, or a whole number for a constant; used: rows that count.

    repeat: elements per row when elements enter one by one. columns_per_term: how many columns of a
    vector row keep totals of their own.
    """

    columns: list[Any]
    used: Mask | None
    repeat: int = 1
    columns_per_term: int = 1


@dataclass(frozen=True)
class Job:
    """One loss of the pass with its feeds and how rows become one number."""

    bound: Bound
    feeds: Mapping[str, Feed]
    reduction: str
    elements: str = "mean"

    @cached_property
    def signature(self) -> str:
        reduction = self.reduction if self.elements == "mean" else f"{self.reduction}|elements=sum"
        from lossctl.version import __version__

        return self.bound.signature(reduction, __version__)

    @cached_property
    def value_params(self) -> dict[str, Any]:
        """The parameters that the loss's value function asks for by name."""
        reduction = self.bound.loss.reduction
        if not isinstance(reduction, Pooled | Whole):
            return {}
        wanted = inspect.signature(reduction.value).parameters
        return {name: value for name, value in self.bound.params.items() if name in wanted}

    @cached_property
    def compared(self) -> list[list[str]]:
        """Inputs that the kernel compares element by element and that may be vectors."""
        vectors = {name for name, feed in self.feeds.items() if feed.form.shape == "vector"}
        found = [[name for name in names if name in vectors] for names in COMPARED]
        return [names for names in found if len(names) > 1]

    @property
    def vector_rows(self) -> bool:
        """Whether rows of a pointwise loss are vectors."""
        return self.bound.loss.pointwise and any(f.form.shape == "vector" for f in self.feeds.values())

    def call(self, block: Block, shared: dict[Any, Any]) -> tuple[list[Any], Mask | None]:
        """The kernel's terms as they come, and which rows it uses; `shared` keeps derived arrays."""
        self._same_widths(block)
        arguments = [self.argument(name, block, shared) for name in self.bound.arguments]
        if self.bound.loss.open_inputs:
            arguments = [dict(zip(self.bound.arguments, arguments, strict=True))]
        try:
            result = self.bound.loss.kernel(*arguments, **self.bound.params)
        except RowRefused as error:
            error.column = ",".join(self.feeds[error.role].columns)
            raise
        used = None
        if isinstance(result, Masked):
            result, used = result.terms, result.used
        return list(result) if isinstance(result, tuple) else [result], used

    def _same_widths(self, block: Block) -> None:
        """Vectors that are compared must be equally long: NumPy would stretch one of width 1."""
        for names in self.compared:
            widths = {name: block.arrays[self.feeds[name]].shape[1] for name in names}
            if len(set(widths.values())) > 1:
                listed = ", ".join(f"{name} has {width}" for name, width in widths.items())
                columns = next(iter(self.feeds[name].columns for name in widths))
                raise DataError(f"vectors differ in width: {listed} values per row", column=",".join(columns))

    def argument(self, name: str, block: Block, shared: dict[Any, Any]) -> Any:
        """What the kernel receives for one of its positional parameters."""
        if name == "group" and self.bound.loss.grouped:
            return block.extra["offsets"]
        if name != "residual" or name in self.feeds:
            return block.arrays[self.feeds[name]]
        pair = (self.feeds["target"], self.feeds["pred"])
        if pair not in shared:
            shared[pair] = block.arrays[pair[1]] - block.arrays[pair[0]]
        return shared[pair]

    def terms(self, block: Block, shared: dict[Any, Any]) -> Terms:
        """What the state sums: the terms themselves for pooled values, else each row's value."""
        columns, used = self.call(block, shared)
        reduction = self.bound.loss.reduction
        if isinstance(reduction, Whole | Largest):
            made = self._by_row(columns, used)
        elif self.reduction == "pooled":
            made = self._pooled(columns, used)
        elif isinstance(reduction, Mean):
            made = self._by_row(columns, used)
        else:
            made = self._row_value(columns, used)
        return self._voided(made, block)

    @cached_property
    def unclipped(self) -> Job | None:
        """The same without clipping; None when nothing is clipped."""
        params = self.bound.loss.params
        off = {
            name: param.default
            for name, param in params.items()
            if param.meta.clips and self.bound.params[name] != param.default
        }
        return replace(self, bound=replace(self.bound, params={**self.bound.params, **off})) if off else None

    def row_values(self, block: Block, shared: dict[Any, Any]) -> tuple[Array, Mask | None]:
        """Each row's own value, and which rows have one."""
        columns, used = self.call(block, shared)
        if isinstance(self.bound.loss.reduction, Pooled):
            made = self._row_value(columns, used)
        else:
            made = self._by_row(columns, used)
        made = self._voided(made, block)
        value = made.columns[0]
        if isinstance(self.bound.loss.reduction, Mean) and len(made.columns) == 2:
            value = value / made.columns[1]
        return value + 0.0, made.used  # no row's value is minus zero

    def _voided(self, made: Terms, block: Block) -> Terms:
        if block.void is None or not block.void.any():
            return made
        void = block.void
        if self.bound.loss.unit == "group":
            void = np.logical_or.reduceat(void, block.extra["offsets"][:-1])
        void = np.repeat(void, made.repeat)
        made.used = None if made.used is None else made.used | void
        made.columns = [c if isinstance(c, int) else np.where(void, np.nan, c) for c in made.columns]
        return made

    def _by_row(self, columns: list[Any], used: Mask | None) -> Terms:
        if columns[0].ndim == 1:
            return Terms(columns, used)
        values = columns[0]
        if isinstance(self.bound.loss.reduction, Largest):
            return Terms([values.max(axis=1)], None)
        if used is None:
            total = row_sum(values)
            return Terms([total if self.elements == "sum" else total / values.shape[1]], None)
        counts = np.count_nonzero(used, axis=1)
        total = row_sum(np.where(used, values, 0.0))
        return Terms([total if self.elements == "sum" else total / np.maximum(counts, 1)], counts > 0)

    def _pooled(self, columns: list[Any], used: Mask | None) -> Terms:
        first = next(c for c in columns if not isinstance(c, int))
        if first.ndim == 1:
            return Terms(columns, used)
        assert isinstance(self.bound.loss.reduction, Pooled)
        width = first.shape[1]
        if self.bound.loss.reduction.elements == "columns":
            split = [np.ascontiguousarray(c[:, j]) for j in range(width) for c in columns]
            whole: Any = None if used is None else used.all(axis=1)
            return Terms(split, whole, 1, width)
        flat = [c if isinstance(c, int) else np.ascontiguousarray(c).reshape(-1) for c in columns]
        return Terms(flat, None if used is None else used.reshape(-1), width)

    def _row_value(self, columns: list[Any], used: Mask | None) -> Terms:
        reduction = self.bound.loss.reduction
        assert isinstance(reduction, Pooled)
        first = next(c for c in columns if not isinstance(c, int))
        totals = [float(c) if isinstance(c, int) else c for c in columns]
        if first.ndim == 2:
            width = float(first.shape[1])
            totals = [c * width if isinstance(c, float) else row_sum(c) for c in totals]
        value = np.asarray(reduction.value(*totals, **self.value_params), dtype=np.float64)
        if reduction.skips:
            finite: Mask = np.isfinite(np.array([t for t in totals if not isinstance(t, float)])).all(axis=0)
            kept: Mask = ~(np.isnan(value) & finite)
            used = kept if used is None else used & kept
        return Terms([value], used)


def changed(ones: list[Any], others: list[Any], repeat: int = 1) -> int:
    """Rows in which any term differs by more than rounding; NaN is like NaN."""
    differs: Any = np.False_
    for one, other in zip(ones, others, strict=True):
        if isinstance(one, int) or isinstance(other, int):
            continue
        near = np.abs(one - other) <= _ROUNDING * np.abs(one)
        differs = differs | ~(near | (one == other) | (np.isnan(one) & np.isnan(other)))
    if repeat > 1:
        differs = differs.reshape(-1, repeat).any(axis=1)
    return int(np.count_nonzero(differs))
