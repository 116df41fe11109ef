"""Feeds of more than one value per row: vectors, sequences, matrices and texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.arrow import first_length, is_list, list_parts, numbers, offsets_of
from lossctl.columns import Feed
from lossctl.decode import Loaded, Loader, Mask, Scalars, Trouble, require
from lossctl.errors import DataError
from lossctl.groups import Keys, dictionary_codes
from lossctl.loss.kinds import Ragged

SUM_TOLERANCE = 1e-6

__all__ = ["loader"]


class Vectors(Loader):
    """k numbers per row as an (n, k) array: by rows from a list column, by columns from k of them.

    `numeric.row_sum` adds in one order whatever the layout: a row's sums round alike wherever it came from.
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

    def head(self, rows: int) -> NDArray[Any] | None:
        if self._parts is not None:
            return np.concatenate([values[:rows] for values, _ in self._parts])
        return self._items[self._offsets[0] : self._offsets[: rows + 1][-1]]

    def load(self, low: int, high: int) -> Loaded:
        values, valid, short = self._wide(low, high) if self._parts else self._listed(low, high)
        name = self._name
        loaded = self.check(values, valid, name)
        if short is not None:
            loaded.troubles.append(short)
        if self.form.kind in ("sign", "binary", "label"):
            loaded = self.convert(loaded, name, lambda row: f"row {low + row} of a batch")
        if self.form.sums_to_one and not loaded.troubles and loaded.values.size:
            gap = np.abs(np.add.reduce(loaded.values, axis=1) - 1.0)
            loaded.unnormalised = gap > SUM_TOLERANCE * loaded.values.shape[1]
        return loaded

    def _name(self, at: int) -> str:
        return self.feed.columns[at] if len(self.feed.columns) > 1 else f"{self.feed.columns[0]}[{at}]"

    def _wide(self, low: int, high: int) -> tuple[NDArray[Any], Mask | None, Trouble | None]:
        assert self._parts is not None
        self._width(len(self._parts))
        out = np.empty((high - low, len(self._parts)), order="F")
        for j, (values, _) in enumerate(self._parts):
            out[:, j] = values[low:high]
            if values.dtype.kind in "iu" and values.dtype.itemsize == 8:
                troubles: list[Trouble] = []
                self._too_long(values[low:high], lambda _, j=j: self._name(j), troubles)  # type: ignore[misc]
                if troubles:
                    return out, None, troubles[0]
        return out, self._all_valid(low, high), None

    def _all_valid(self, low: int, high: int) -> Mask | None:
        """Which elements are not null, None when all."""
        assert self._parts is not None
        if all(valid is None for _, valid in self._parts):
            return None
        whole = np.ones(high - low, bool)
        return np.stack([whole if valid is None else valid[low:high] for _, valid in self._parts], axis=1)

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
            self.width = first_length(lengths)
        width = self.width or 1  # of nothing but missing and empty lists
        items = self._items[offsets[0] : offsets[-1]]
        held = None if self._items_valid is None else self._items_valid[offsets[0] : offsets[-1]]
        right = lengths == width
        if right.all():
            held = None if held is None else held.reshape(high - low, width)
            return items.reshape(high - low, width), held, None
        out = np.full((high - low, width), np.nan)
        inside = np.repeat(right, lengths)
        out[right] = items[inside].reshape(-1, width)
        wrong = ~right if valid is None else ~right & valid
        if held is not None:
            elements = np.ones(out.shape, bool) if valid is None else np.repeat(valid[:, None], width, axis=1)
            elements[right] = held[inside].reshape(-1, width)
            valid = elements
        out[wrong] = 0.5 if self.form.kind == "prob" else 1.0
        if not wrong.any():
            return out, valid, None
        column = self.feed.columns[0]

        def describe(row: int) -> tuple[str, str, str]:
            told = (
                f"the row holds {lengths[row]} values, others {width}"
                if lengths[row]
                else "the list is empty"
            )
            return told, column, "every row needs the same number"

        return out, valid, Trouble(wrong, describe)


class Sequences(Loader):
    """A list of any length per row; `matrix` forms hold rows of `width` inside."""

    def attach(self, batch: pa.RecordBatch) -> None:
        column = batch.column(self.feed.columns[0])
        if len(self.feed.columns) > 1 or not is_list(column.type):
            raise DataError(
                "a list column is needed",
                column=self.feed.columns[0],
                hint="sequences come from Parquet list columns",
            )
        self._classes = self.class_count(batch) if self.form.kind == "label" else 0
        flat, self._offsets, self._valid = list_parts(column)
        inner = None
        if self.form.shape == "matrix" and is_list(flat.type):
            flat, inner = self._without_missing(flat)
        require(flat.type, "number", self.feed)
        values, self._items_valid = numbers(flat)
        self._values = values
        if self.form.shape == "matrix":
            self._shape(inner)

    def _without_missing(self, steps: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
        """The numbers of the steps and where each begins, missing steps left out: their rows are missing."""
        flat, inner, valid = list_parts(steps)
        if valid is None:
            return flat, inner
        before = offsets_of(valid)
        offsets = before[self._offsets]
        whole = np.diff(offsets) == np.diff(self._offsets)
        self._valid = whole if self._valid is None else whole & self._valid
        self._offsets = offsets
        return flat, np.concatenate([inner[:-1][valid], inner[-1:]])

    def _shape(self, inner: NDArray[np.int64] | None) -> None:
        width = self.feed.width or self.width
        if inner is not None:
            lengths = np.diff(inner)
            width = width or first_length(lengths)
            if not (lengths == width).all():
                raise DataError(
                    f"steps hold {sorted(set(lengths.tolist()))[:4]} values, not {width or 'some'} each",
                    column=self.feed.columns[0],
                    hint="every step needs one value per class",
                )
        else:
            if width is None:
                raise DataError(
                    "a flat list needs to know its number of classes",
                    column=self.feed.columns[0],
                    hint="give --width (width = N in a configuration), or store a list of lists",
                )
            if (np.diff(self._offsets) % width).any():
                raise DataError(f"rows are not multiples of --width {width}", column=self.feed.columns[0])
            self._offsets = self._offsets // width
        self.width = width
        self._values = self._values.reshape(-1, width or 1)

    def load(self, low: int, high: int) -> Loaded:
        start, end = int(self._offsets[low]), int(self._offsets[high])
        offsets = self._offsets[low : high + 1] - start
        values = self._values[start:end]
        valid = None
        if self._items_valid is not None:
            per = self.width if self.form.shape == "matrix" and self.width else 1
            valid = self._items_valid[start * per : end * per].reshape(values.shape)
        column = self.feed.columns[0]
        flat = self.check(values, valid, lambda _: column)
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
            told = "the list is missing" if self.form.shape == "sequence" else "the list or a step is missing"
            loaded.troubles.append(
                Trouble(null, lambda _: (told, column, "fill it in, or choose --nan skip"))
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

    def __init__(self, feed: Feed, missing: str, keys: Keys) -> None:
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
            self.class_count(batch)
            place = {name: at for at, name in enumerate(self.feed.classes)}
            self._codes = np.array([place.get(word, -1) for word in self._words], dtype=np.int64)
        elif self.form.kind != "text":
            self._codes = self._keys.of(self._words)
        if not self._words:  # all are missing
            self._codes = np.zeros(1, np.int64)

    def load(self, low: int, high: int) -> Loaded:
        local = self._local[low:high]
        column = self.feed.columns[0]
        null = None if self._null is None else self._null[low:high]
        if self.form.kind == "text":
            loaded = Loaded(np.array([*(self._words or [""]), None], dtype=object)[:-1][local])
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
            else:
                loaded.missing = null
        return loaded

    def _unknown(self, code: int) -> tuple[str, str, str]:
        known = ", ".join((self.feed.classes or ())[:12])
        return (
            f"'{self._words[code]}' is not one of the classes",
            self.feed.columns[0],
            f"--classes names {known}",
        )


LOADERS: dict[str, Callable[[Feed, str], Loader]] = {
    "scalar": Scalars,
    "vector": Vectors,
    "sequence": Sequences,
    "matrix": Sequences,
}


def loader(feed: Feed, missing: str, shared: dict[Feed, Keys], text_columns: frozenset[str]) -> Loader:
    """The loader for a feed. `shared` holds the codes of texts over all workers."""
    form = feed.form
    if form.kind in ("text", "group") or (
        form.kind == "label" and form.shape == "scalar" and feed.columns[0] in text_columns
    ):
        if form.kind == "label" and feed.classes is None and form.names:
            order = " in the order of the prediction's columns" if feed.width_of else ""
            hint = f"give their names{order}: --classes a,b,c"
            raise DataError("holds text labels", column=feed.columns[0], hint=hint)
        if form.kind == "group" and missing == "propagate":
            missing = "error"  # a row of no group would join whichever is beside it
        return Texts(feed, missing, shared.setdefault(_any_text(feed), Keys()))
    return LOADERS[form.shape](feed, missing)


def _any_text(feed: Feed) -> Feed:
    """One code table for all label columns, so that equal texts are equal labels across columns."""
    return Feed(("",), feed.form) if feed.form.kind == "label" else feed
