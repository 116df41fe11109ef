"""One feed's columns to checked float64 (or label) blocks; what is wrong is kept as troubles by row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.arrow import holds, list_parts, numbers
from lossctl.columns import Feed, is_list
from lossctl.domain import REAL
from lossctl.errors import DataError
from lossctl.groups import Keys, dictionary_codes
from lossctl.loss.kinds import Ragged
from lossctl.numeric import row_sum

Mask = NDArray[np.bool_]
EXACT = 1 << 53
SUM_TOLERANCE = 1e-6

__all__ = ["Loaded", "Loader", "Trouble", "loader"]


class Fault(NamedTuple):
    row: int
    message: str
    column: str
    hint: str


@dataclass(frozen=True)
class Trouble:
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
    """A block of one feed: values, rows with something missing, and troubles."""

    values: Any
    missing: Mask | None = None
    troubles: list[Trouble] = field(default_factory=list)


class Loader:
    """Reads one feed. `attach` takes an Arrow batch, `load` gives blocks of it."""

    def __init__(self, feed: Feed, missing: str) -> None:
        self.feed = feed
        self.form = feed.form
        self.missing = missing
        self.unnormalised = 0
        self.width: int | None = feed.form.width
        self.signs: dict[float, str] = {}
        self._classes = 0

    def attach(self, batch: pa.RecordBatch) -> None:
        raise NotImplementedError

    def load(self, low: int, high: int) -> Loaded:
        raise NotImplementedError

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
        """Convert to float64 and hold against the domain; `values` may be (n,) or (n, k)."""
        troubles: list[Trouble] = []
        if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
            self._too_long(values, name, troubles)
        data = values if values.dtype == np.float64 else values.astype(np.float64)
        if valid is not None:
            data = np.where(valid if data.ndim == 1 else valid[:, None], data, np.nan)
        domain = self.form.domain
        if domain.covers(data):
            return Loaded(data, None, troubles)
        outside = domain.outside(data)
        gone = outside & ~np.isfinite(data)
        wrong = outside & np.isfinite(data)
        if wrong.any():
            troubles.append(self._trouble(wrong, data, valid, name))
        missing = _any_row(gone)
        if not missing.any():
            return Loaded(data, None, troubles)
        if self.missing == "error":
            troubles.append(self._trouble(gone, data, valid, name))
        if self.missing == "propagate" and domain == REAL and self.form.kind == "real":
            return Loaded(data, None, troubles)
        filler = 0.0 if domain.contains(0.0) else 1.0
        return Loaded(np.where(gone, filler, data), missing, troubles)

    def _too_long(self, values: NDArray[Any], name: Callable[[int], str], troubles: list[Trouble]) -> None:
        if values.size == 0 or (int(values.max()) <= EXACT and int(values.min()) >= -EXACT):
            return
        back = values.astype(np.float64)
        # The cast back is undefined at 2^63 and beyond, which a double holds exactly only as a power of two.
        lost = (np.abs(back) > EXACT) & ((back >= 2.0**63) | (back.astype(values.dtype) != values))
        if lost.any():
            rows = _any_row(lost)

            def describe(row: int) -> tuple[str, str, str]:
                at = int(np.argmax(lost[row])) if lost.ndim > 1 else 0
                value = values[row, at] if lost.ndim > 1 else values[row]
                return f"{value} is too long for a double to hold exactly", name(at), "store it as a float, or rescale"

            troubles.append(Trouble(rows, describe))

    def _trouble(self, bad: Mask, data: NDArray[Any], valid: Mask | None, name: Callable[[int], str]) -> Trouble:
        rows = _any_row(bad)

        def describe(row: int) -> tuple[str, str, str]:
            at = int(np.argmax(bad[row])) if bad.ndim > 1 else 0
            value = float(data[row, at]) if bad.ndim > 1 else float(data[row])
            message, hint = explain_value(self.form, value, valid is not None and not valid[row])
            return message, name(at), hint

        return Trouble(rows, describe)

    def convert(self, loaded: Loaded, name: Callable[[int], str], row_of: Callable[[int], str]) -> Loaded:
        """Finish kinds that are not plain numbers: signs, 0/1 and integer labels."""
        kind, data = self.form.kind, loaded.values
        if kind == "sign":
            self._note_signs(data, row_of)
            wrong = ~((data == 1.0) | (data == 0.0) | (data == -1.0))
            loaded.values = np.where(data == 0.0, -1.0, data)
            self._refuse(loaded, wrong, data, "is neither 0/1 nor -1/1", name, "binary labels are 0/1 or -1/1")
        elif kind == "binary":
            self._refuse(loaded, ~((data == 0.0) | (data == 1.0)), data, "is neither 0 nor 1", name, "use 0 and 1")
        elif kind == "label":
            self._labels(loaded, name)
        return loaded

    def _note_signs(self, data: NDArray[Any], row_of: Callable[[int], str]) -> None:
        for value in (0.0, -1.0):
            if value not in self.signs:
                hits = _any_row(data == value)
                if hits.any():
                    self.signs[value] = row_of(int(np.argmax(hits)))

    def _labels(self, loaded: Loaded, name: Callable[[int], str]) -> None:
        data = loaded.values
        fractional = data != np.floor(data)
        self._refuse(loaded, fractional, data, "is not a class number", name, "labels are 0, 1, 2, …; for named classes give --classes")
        codes = np.where(fractional, 0.0, data).astype(np.int64)
        if self._classes:
            wrong = (codes < 0) | (codes >= self._classes)
            if self.feed.ignore is not None:
                wrong &= codes != self.feed.ignore
            text = f"is not one of the {self._classes} classes 0 … {self._classes - 1}"
            self._refuse(loaded, wrong & ~fractional, data, text, name, "labels count the prediction's columns from 0")
            codes = np.where(wrong, 0, codes)
        loaded.values = codes

    def _refuse(
        self, loaded: Loaded, wrong: Mask, data: NDArray[Any], text: str, name: Callable[[int], str], hint: str
    ) -> None:
        if loaded.missing is not None:
            wrong = wrong & ~(loaded.missing if wrong.ndim == 1 else loaded.missing[:, None])
        if not wrong.any():
            return

        def describe(row: int) -> tuple[str, str, str]:
            at = int(np.argmax(wrong[row])) if wrong.ndim > 1 else 0
            value = float(data[row, at]) if wrong.ndim > 1 else float(data[row])
            return f"{value:g} {text}", name(at), hint

        loaded.troubles.append(Trouble(_any_row(wrong), describe))

    def class_count(self, batch: pa.RecordBatch) -> int:
        """Number of classes a label may name: the width of the input it labels."""
        columns = self.feed.width_of
        if self.feed.classes is not None:
            return len(self.feed.classes)
        if not columns or not set(columns) <= set(batch.schema.names):
            return 0
        if len(columns) > 1:
            return len(columns)
        column = batch.column(columns[0])
        if not is_list(column.type) or not len(column):
            return 0
        flat, offsets, valid = list_parts(column)
        if is_list(flat.type):
            return int(list_parts(flat.slice(0, 1))[1][-1]) if len(flat) else 0
        lengths = np.diff(offsets)
        full = lengths if valid is None else lengths[valid]
        return int(full[0]) if len(full) else 0


def explain_value(form: Any, value: float, null: bool) -> tuple[str, str]:
    """What is wrong with a value and what to do, for a value outside a form's domain."""
    if null or math.isnan(value):
        return ("the value is missing" if null else "the value is NaN"), "fill it in, or choose --nan skip or propagate"
    if math.isinf(value):
        return f"the value is {'infinite' if value > 0 else 'minus infinity'}", "correct it, or choose --nan skip or propagate"
    if form.kind == "prob":
        return f"{value!r} is not a probability", "probabilities lie in [0, 1]; logits need --from-logits where the loss has it"
    return f"{value!r} is outside {form.domain}", f"the loss takes {form.kind} values in {form.domain}"


def _any_row(mask: Mask) -> Mask:
    return mask if mask.ndim == 1 else mask.any(axis=1)


class Scalars(Loader):
    """One number per row."""

    def attach(self, batch: pa.RecordBatch) -> None:
        column = batch.column(self.feed.columns[0])
        require(column.type, "number", self.feed)
        self._values, self._valid = numbers(column)
        if self.form.kind == "label":
            self._classes = self.class_count(batch)

    def load(self, low: int, high: int) -> Loaded:
        valid = None if self._valid is None else self._valid[low:high]
        name = self.feed.columns[0]
        loaded = self.check(self._values[low:high], valid, lambda _: name)
        if self.form.kind in ("sign", "binary", "label"):
            return self.convert(loaded, lambda _: name, lambda row: f"row {low + row} of a batch")
        return loaded


class Vectors(Loader):
    """k numbers per row, from k columns or one list column, as a C-contiguous (n, k) array.

    One layout for both, so that a row's sums have the same rounding wherever it came from.
    """

    def attach(self, batch: pa.RecordBatch) -> None:
        self._columns = [batch.column(name) for name in self.feed.columns]
        if self.form.kind == "label":
            self._classes = self.class_count(batch)
        if len(self._columns) == 1 and is_list(self._columns[0].type):
            self._flat, self._offsets, self._rows_valid = list_parts(self._columns[0])
            require(self._flat.type, "number", self.feed)
            self._items, self._items_valid = numbers(self._flat)
            self._parts = None
            return
        for column in self._columns:
            require(column.type, "number", self.feed)
        self._parts = [numbers(column) for column in self._columns]

    def load(self, low: int, high: int) -> Loaded:
        values, valid, short = self._wide(low, high) if self._parts else self._listed(low, high)
        name = self._name
        loaded = self.check(values, valid, name)
        if short is not None:
            loaded.troubles.append(short)
        if self.form.kind in ("sign", "binary", "label"):
            loaded = self.convert(loaded, name, lambda row: f"row {low + row} of a batch")
        if self.form.sums_to_one and not loaded.troubles and loaded.values.size:
            gap = np.abs(row_sum(loaded.values) - 1.0)
            self.unnormalised += int(np.count_nonzero(gap > SUM_TOLERANCE * loaded.values.shape[1]))
        return loaded

    def _name(self, at: int) -> str:
        return self.feed.columns[at] if len(self.feed.columns) > 1 else f"{self.feed.columns[0]}[{at}]"

    def _wide(self, low: int, high: int) -> tuple[NDArray[Any], Mask | None, Trouble | None]:
        assert self._parts is not None
        self._width(len(self._parts))
        out = np.empty((high - low, len(self._parts)))
        for j, (values, valid) in enumerate(self._parts):
            out[:, j] = values[low:high]
            if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
                troubles: list[Trouble] = []
                self._too_long(values[low:high], lambda _, j=j: self._name(j), troubles)  # type: ignore[misc]
                if troubles:
                    return out, None, troubles[0]
            if valid is not None:
                out[~valid[low:high], j] = np.nan
        return out, None, None

    def _width(self, width: int) -> None:
        if self.width is None:
            self.width = width
        elif self.width != width:
            raise DataError(
                f"rows need {self.width} values but {width} columns are named",
                column=",".join(self.feed.columns),
            )

    def _listed(self, low: int, high: int) -> tuple[NDArray[Any], Mask | None, Trouble | None]:
        offsets = self._offsets[low : high + 1]
        lengths = np.diff(offsets)
        valid = None if self._rows_valid is None else self._rows_valid[low:high]
        if self.width is None:
            full = lengths if valid is None else lengths[valid]
            self.width = int(full[0]) if len(full) else None
        width = self.width or 0
        items = self._items[offsets[0] : offsets[-1]]
        if self._items_valid is not None:
            items = np.where(self._items_valid[offsets[0] : offsets[-1]], items, np.nan)
        right = lengths == width
        if right.all():
            return items.reshape(high - low, width), None, None
        out = np.full((high - low, width), np.nan)
        out[right] = items[np.repeat(right, lengths)].reshape(-1, width)
        wrong = ~right if valid is None else ~right & valid
        out[wrong] = 0.5 if self.form.kind == "prob" else 1.0
        if not wrong.any():
            return out, valid, None
        column = self.feed.columns[0]

        def describe(row: int) -> tuple[str, str, str]:
            return f"the row holds {lengths[row]} values, others {width}", column, "every row needs the same number"

        return out, valid, Trouble(wrong, describe)


class Sequences(Loader):
    """A list of any length per row; `matrix` forms hold rows of `width` inside."""

    def attach(self, batch: pa.RecordBatch) -> None:
        column = batch.column(self.feed.columns[0])
        if len(self.feed.columns) > 1 or not is_list(column.type):
            raise DataError(
                "a list column is needed", column=self.feed.columns[0], hint="sequences come from Parquet list columns"
            )
        self._classes = self.class_count(batch) if self.form.kind == "label" else 0
        flat, self._offsets, self._valid = list_parts(column)
        inner = None
        if self.form.shape == "matrix" and is_list(flat.type):
            flat, inner, _ = list_parts(flat)
        require(flat.type, "number", self.feed)
        values, self._items_valid = numbers(flat)
        self._values = values
        if self.form.shape == "matrix":
            self._shape(inner)

    def _shape(self, inner: NDArray[np.int64] | None) -> None:
        width = self.feed.width or self.width
        if inner is not None and len(inner) > 1:
            lengths = np.diff(inner)
            width = width or int(lengths[0])
            if not (lengths == width).all():
                raise DataError(
                    f"steps hold {sorted(set(lengths.tolist()))[:4]} values, not {width} each",
                    column=self.feed.columns[0], hint="every step needs one value per class",
                )  # fmt: skip
        elif inner is None:
            if width is None:
                raise DataError(
                    "a flat list needs to know its number of classes",
                    column=self.feed.columns[0], hint="give --width, or store a list of lists",
                )  # fmt: skip
            if (np.diff(self._offsets) % width).any():
                raise DataError(f"rows are not multiples of --width {width}", column=self.feed.columns[0])
            self._offsets = self._offsets // width
        self.width = width or 1
        self._values = self._values.reshape(-1, self.width)

    def load(self, low: int, high: int) -> Loaded:
        start, end = int(self._offsets[low]), int(self._offsets[high])
        offsets = self._offsets[low : high + 1] - start
        values = self._values[start:end]
        valid = None
        if self._items_valid is not None:
            per = self.width if self.form.shape == "matrix" and self.width else 1
            valid = self._items_valid[start * per : end * per].reshape(values.shape)
            values = np.where(valid, values, np.nan)
        column = self.feed.columns[0]
        flat = self.check(values, None, lambda _: column)
        if self.form.kind in ("sign", "binary", "label"):
            flat = self.convert(flat, lambda _: column, lambda row: f"a row near {low}")
        rows = np.repeat(np.arange(high - low), np.diff(offsets))
        loaded = Loaded(Ragged(flat.values, offsets))
        for trouble in flat.troubles:
            loaded.troubles.append(_lifted(trouble, rows, high - low))
        if flat.missing is not None:
            loaded.missing = _to_rows(flat.missing, rows, high - low)
        if self._valid is not None and not self._valid[low:high].all():
            self._null_rows(loaded, ~self._valid[low:high], column)
        return loaded

    def _null_rows(self, loaded: Loaded, null: Mask, column: str) -> None:
        if self.missing == "error":
            loaded.troubles.append(
                Trouble(null, lambda _: ("the list is missing", column, "fill it in, or choose --nan skip"))
            )
        loaded.missing = null if loaded.missing is None else loaded.missing | null


def _to_rows(items: Mask, rows: NDArray[np.int64], count: int) -> Mask:
    out = np.zeros(count, bool)
    out[rows[items]] = True
    return out


def _lifted(trouble: Trouble, rows: NDArray[np.int64], count: int) -> Trouble:
    def describe(row: int) -> tuple[str, str, str]:
        return trouble.describe(int(np.flatnonzero(trouble.rows & (rows == row))[0]))

    return Trouble(_to_rows(trouble.rows, rows, count), describe)


class Texts(Loader):
    """Text per row: as labels by `classes`, as codes of equal texts, or as the words themselves."""

    def __init__(self, feed: Feed, missing: str, keys: Keys | None = None) -> None:
        super().__init__(feed, missing)
        self._keys = keys

    def attach(self, batch: pa.RecordBatch) -> None:
        column = batch.column(self.feed.columns[0])
        if self.form.kind == "text":
            require(column.type, "text", self.feed)
        self._local, self._words, _ = dictionary_codes(column)
        self._null = None
        if column.null_count:
            self._null = np.array(column.is_null().to_pylist(), dtype=bool)
        if self.feed.classes is not None:
            place = {name: at for at, name in enumerate(self.feed.classes)}
            self._codes = np.array([place.get(word, -1) for word in self._words], dtype=np.int64)
        elif self._keys is not None:
            self._codes = self._keys.of(self._words)

    def load(self, low: int, high: int) -> Loaded:
        local = self._local[low:high]
        column = self.feed.columns[0]
        null = None if self._null is None else self._null[low:high]
        if self.form.kind == "text":
            loaded = Loaded(np.array([*self._words, None], dtype=object)[:-1][local])
        else:
            codes = self._codes[local]
            loaded = Loaded(np.maximum(codes, 0))
            wrong = codes < 0 if null is None else (codes < 0) & ~null
            if wrong.any():
                loaded.troubles.append(Trouble(wrong, lambda row: self._unknown(local[row])))
        if null is not None and null.any():
            if self.missing == "error":
                text = ("the text is missing", column, "fill it in, or choose --nan skip")
                loaded.troubles.append(Trouble(null, lambda _: text))
            loaded.missing = null
        return loaded

    def _unknown(self, code: int) -> tuple[str, str, str]:
        known = ", ".join((self.feed.classes or ())[:12])
        return f"'{self._words[code]}' is not one of the classes", self.feed.columns[0], f"--classes names {known}"


def require(kind: pa.DataType, what: str, feed: Feed) -> None:
    """Refuse a column whose type cannot play the role, by its name."""
    found = holds(kind)
    if found == what:
        return
    hint = {
        "text": "name a numeric column, or --classes for text labels",
        "list": "the loss takes one number per row here",
    }.get(found, f"convert it to {what}s first")
    raise DataError(f"holds {found} where the loss takes {feed.form.kind} {what}s", column=feed.columns[0], hint=hint)


def loader(feed: Feed, missing: str, shared: dict[Feed, Keys], text_columns: frozenset[str]) -> Loader:
    """The loader for a feed. `shared` holds the codes of texts over all workers."""
    form = feed.form
    if form.kind in ("text", "group") or (form.kind == "label" and form.shape == "scalar" and feed.columns[0] in text_columns):
        if form.kind == "label" and feed.classes is None and feed.width_of and form.names:
            raise DataError(
                "holds text labels", column=feed.columns[0],
                hint="give their names in the order of the prediction's columns: --classes a,b,c",
            )  # fmt: skip
        return Texts(feed, missing, shared.setdefault(_any_text(feed), Keys()))
    return {"scalar": Scalars, "vector": Vectors, "sequence": Sequences, "matrix": Sequences}[form.shape](feed, missing)


def _any_text(feed: Feed) -> Feed:
    """One code table for all label columns, so that equal texts are equal labels across columns."""
    return Feed(("",), feed.form) if feed.form.kind == "label" else feed


