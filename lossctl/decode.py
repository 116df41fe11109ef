"""One feed's columns to checked float64 (or label) blocks; what is wrong is kept as troubles by row."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.arrow import holds, is_list, list_parts, list_width, numbers
from lossctl.columns import Feed
from lossctl.domain import REAL
from lossctl.doubles import TOO_LONG, inexact
from lossctl.errors import BadValue, DataError

Mask = NDArray[np.bool_]

__all__ = ["Fault", "Loaded", "Loader", "Scalars", "Trouble", "any_row", "require"]


class Fault(NamedTuple):
    row: int
    message: str
    column: str
    hint: str


class Trouble(NamedTuple):
    """Rows of a block that cannot be accepted, and how to say so for one of them."""

    rows: Mask
    describe: Callable[[int], tuple[str, str, str]]  # message, column, hint

    def first(self, wanted: Mask | None, excused: Mask | None) -> int | None:
        rows = self.rows if wanted is None else self.rows & wanted
        rows = rows if excused is None else rows & ~excused
        return int(np.argmax(rows)) if rows.any() else None

    def at(self, row: int) -> Fault:
        return Fault(row, *self.describe(row))


@dataclass
class Loaded:
    """A block of one feed: values, rows with something missing, troubles, and rows of no distribution."""

    values: Any
    missing: Mask | None = None
    troubles: list[Trouble] = field(default_factory=list)
    unnormalised: Mask | None = None


class Loader(ABC):
    """Reads one feed. `attach` takes an Arrow batch, `load` gives blocks of it."""

    def __init__(self, feed: Feed, missing: str) -> None:
        self.feed = feed
        self.form = feed.form
        self.missing = missing
        self.unnormalised = 0
        self.width: int | None = feed.form.width
        self.signs: dict[float, str] = {}
        self._classes = 0

    @abstractmethod
    def attach(self, batch: pa.RecordBatch) -> None:
        """Take the feed's columns of a batch."""

    @abstractmethod
    def load(self, low: int, high: int) -> Loaded:
        """Rows low to high of the attached batch, checked."""

    def head(self, rows: int) -> NDArray[Any] | None:
        """The numbers of the first rows of the attached batch, in any order and for advice only; None where
        there is none to give."""
        return None

    def agree(self, others: Sequence[Loader]) -> None:
        """Check over all workers what no block can decide alone."""
        widths = {each.width for each in (self, *others)} - {None}
        if len(widths) > 1:
            raise DataError(
                f"rows hold vectors of different widths: {sorted(w for w in widths if w)}",
                column=self.feed.columns[0],
            )
        seen = {key: value for each in (self, *others) for key, value in each.signs.items()}
        if 0.0 in seen and -1.0 in seen:
            raise DataError(
                f"labels mix 0 (as in {seen[0.0]}) and -1 (as in {seen[-1.0]})",
                column=self.feed.columns[0],
                hint="use 0/1 or -1/1 throughout",
            )

    def check(self, values: NDArray[Any], valid: Mask | None, name: Callable[[int], str]) -> Loaded:
        """Convert to float64 and hold against the domain; `values` may be (n,) or (n, k).

        `valid` tells nulls from other values, by row or by element.
        """
        troubles: list[Trouble] = []
        self._too_long(values, name, troubles)
        data = values if values.dtype == np.float64 else values.astype(np.float64)
        if valid is not None:
            data = np.where(valid if data.ndim == valid.ndim else valid[:, None], data, np.nan)
        domain = self.form.domain
        if domain.covers(data):
            return Loaded(data, None, troubles)
        outside = domain.outside(data)
        gone = outside & ~np.isfinite(data)
        wrong = outside & np.isfinite(data)
        if wrong.any():
            troubles.append(self._trouble(wrong, data, valid, name))
        missing: Mask = any_row(gone)
        if not missing.any():
            return Loaded(data, None, troubles)
        if self.missing == "error":
            troubles.append(self._trouble(gone, data, valid, name))
        if self.missing == "propagate" and domain == REAL and self.form.kind == "real":
            return Loaded(data, any_row(np.isnan(data)), troubles)
        return Loaded(np.where(gone, self._filler(data[~outside]), data), missing, troubles)

    def _filler(self, legal: NDArray[Any]) -> float:
        """What stands for a missing value: one that the block holds elsewhere, so that no check minds it."""
        if legal.size:
            return float(legal[0])
        return 0.0 if self.form.domain.contains(0.0) and self.form.kind != "sign" else 1.0

    def _too_long(self, values: NDArray[Any], name: Callable[[int], str], troubles: list[Trouble]) -> None:
        lost = inexact(values)
        if lost is None:
            return

        def describe(row: int) -> tuple[str, str, str]:
            at = int(np.argmax(lost[row])) if lost.ndim > 1 else 0
            value = values[row, at] if lost.ndim > 1 else values[row]
            return f"{value} {TOO_LONG}", name(at), "store it as a float, or rescale"

        troubles.append(Trouble(any_row(lost), describe))

    def _trouble(
        self, bad: Mask, data: NDArray[Any], valid: Mask | None, name: Callable[[int], str]
    ) -> Trouble:
        rows = any_row(bad)

        def describe(row: int) -> tuple[str, str, str]:
            at = int(np.argmax(bad[row])) if bad.ndim > 1 else 0
            value = float(data[row, at]) if bad.ndim > 1 else float(data[row])
            null = valid is not None and not (valid[row, at] if valid.ndim > 1 else valid[row])
            message, hint = explain_value(self.form, value, null)
            return message, name(at), hint

        return Trouble(rows, describe)

    def convert(self, loaded: Loaded, name: Callable[[int], str], row_of: Callable[[int], str]) -> Loaded:
        """Finish kinds that are not plain numbers: signs, 0/1 and integer labels."""
        kind, data = self.form.kind, loaded.values
        if kind == "sign":
            self._note_signs(data, row_of)
            wrong = ~((data == 1.0) | (data == 0.0) | (data == -1.0))
            loaded.values = np.where(data == 0.0, -1.0, data)
            self._refuse(
                loaded, wrong, data, "is neither 0/1 nor -1/1", name, "binary labels are 0/1 or -1/1"
            )
        elif kind == "binary":
            self._refuse(
                loaded, ~((data == 0.0) | (data == 1.0)), data, "is neither 0 nor 1", name, "use 0 and 1"
            )
        else:
            self._labels(loaded, name)
        return loaded

    def _note_signs(self, data: NDArray[Any], row_of: Callable[[int], str]) -> None:
        for value in (0.0, -1.0):
            if value not in self.signs:
                hits = any_row(data == value)
                if hits.any():
                    self.signs[value] = row_of(int(np.argmax(hits)))

    def _labels(self, loaded: Loaded, name: Callable[[int], str]) -> None:
        data = loaded.values
        fractional = data != np.floor(data)
        self._refuse(
            loaded,
            fractional,
            data,
            "is not a class number",
            name,
            "labels are 0, 1, 2, …; for named classes give --classes",
        )
        codes = np.where(fractional, 0.0, data).astype(np.int64)
        if self._classes:
            wrong = (codes < 0) | (codes >= self._classes)
            if self.feed.ignore is not None:
                wrong &= codes != self.feed.ignore
            text = f"is not one of the {self._classes} classes 0 … {self._classes - 1}"
            self._refuse(
                loaded, wrong & ~fractional, data, text, name, "labels count the prediction's columns from 0"
            )
            codes = np.where(wrong, 0, codes)
        loaded.values = codes

    def _refuse(
        self,
        loaded: Loaded,
        wrong: Mask,
        data: NDArray[Any],
        text: str,
        name: Callable[[int], str],
        hint: str,
    ) -> None:
        if loaded.missing is not None:
            wrong = wrong & ~(loaded.missing if wrong.ndim == 1 else loaded.missing[:, None])
        if not wrong.any():
            return

        def describe(row: int) -> tuple[str, str, str]:
            at = int(np.argmax(wrong[row])) if wrong.ndim > 1 else 0
            value = float(data[row, at]) if wrong.ndim > 1 else float(data[row])
            return f"{value:g} {text}", name(at), hint

        loaded.troubles.append(Trouble(any_row(wrong), describe))

    def class_count(self, batch: pa.RecordBatch) -> int:
        """Number of classes a label may name: the width of the input it labels."""
        width = self._label_width(batch)
        names = self.feed.classes
        if names is None:
            return width
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise BadValue("classes", list(names), f"each name once; '{twice[0]}' stands there twice")
        if width and width != len(names):
            raise BadValue("classes", list(names), f"{width} names, one per column of the prediction")
        return len(names)

    def _label_width(self, batch: pa.RecordBatch) -> int:
        columns = self.feed.width_of
        if not columns or not set(columns) <= set(batch.schema.names):
            return 0
        if len(columns) > 1:
            return len(columns)
        column = batch.column(columns[0])
        if not is_list(column.type) or not len(column):
            return 0
        if self.form.shape == "sequence" and not is_list(list_parts(column)[0].type):
            return self.feed.width or 0  # steps and classes in one list
        return list_width(column) or 0


def explain_value(form: Any, value: float, null: bool) -> tuple[str, str]:
    """What is wrong with a value and what to do, for a value outside a form's domain."""
    if null or math.isnan(value):
        return (
            "the value is missing" if null else "the value is NaN"
        ), "fill it in, or choose --nan skip or propagate"
    if math.isinf(value):
        return (
            f"the value is {'infinite' if value > 0 else 'minus infinity'}",
            "correct it, or choose --nan skip or propagate",
        )
    if form.kind == "prob":
        return (
            f"{value!r} is not a probability",
            "probabilities lie in [0, 1]; logits need --from-logits where the loss has it",
        )
    return f"{value!r} is outside {form.domain}", f"the loss takes {form.kind} values in {form.domain}"


def any_row(mask: Mask) -> Mask:
    """Which rows have any element set."""
    if mask.ndim == 1:
        return mask
    rows: Mask = np.asarray(mask.any(axis=1))
    return rows


class Scalars(Loader):
    """One number per row."""

    def attach(self, batch: pa.RecordBatch) -> None:
        column = batch.column(self.feed.columns[0])
        require(column.type, "number", self.feed)
        self._values, self._valid = numbers(column)
        if self.form.kind == "label":
            self._classes = self.class_count(batch)

    def head(self, rows: int) -> NDArray[Any] | None:
        return self._values[:rows]

    def load(self, low: int, high: int) -> Loaded:
        valid = None if self._valid is None else self._valid[low:high]
        name = self.feed.columns[0]
        loaded = self.check(self._values[low:high], valid, lambda _: name)
        if self.form.kind in ("sign", "binary", "label"):
            return self.convert(loaded, lambda _: name, lambda row: f"row {low + row} of a batch")
        return loaded


def require(kind: pa.DataType, what: str, feed: Feed) -> None:
    """Refuse a column whose type cannot play the role, by its name."""
    found = holds(kind)
    if found == what:
        return
    hint = {
        "text": "name a numeric column, or --classes for text labels",
        "list": "the loss takes one number per row here",
    }.get(found, f"convert it to {what}s first")
    raise DataError(
        f"holds {found} where the loss takes {feed.form.kind} {what}s", column=feed.columns[0], hint=hint
    )
