"""`--where`: which rows of an Arrow batch take part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.arrow import holds, numbers, valid_bits
from lossctl.columns import Schema
from lossctl.doubles import TOO_LONG, inexact, lost_of
from lossctl.errors import DataError, visible
from lossctl.expr import Coded, Program, compile_truth
from lossctl.groups import dictionary_codes

__all__ = ["Filter"]

_REMEDY = "rescale it, or store it as text and compare it with a text"


class Filter:
    """A condition over columns. Numbers that are missing compare false; so do missing texts."""

    def __init__(self, text: str, schema: Schema) -> None:
        self.program: Program = compile_truth(text)
        for name in self.program.names:
            if not schema.has(name):
                raise schema.missing("where", name)
        self.program.check({name: self._kind(name, schema) for name in self.program.names})

    def _kind(self, name: str, schema: Schema) -> Any:
        kind = schema.type_of(name)
        if kind is None:  # CSV: read as the expression uses it
            return "text" if name in self.program.strings else "number"
        found = holds(kind)
        if found not in ("text", "number"):
            raise DataError(f"holds {found}, which --where cannot compare", column=name, path=schema.path)
        return found

    def is_text(self, name: str) -> bool:
        return name in self.program.strings

    def keep(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        """Shape (rows,): True where the condition holds."""
        values = {name: self._values(batch.column(name), name) for name in self.program.names}
        kept: NDArray[np.bool_] = self.program.run(values, batch.num_rows)
        return kept

    def _values(self, column: pa.Array, name: str) -> Any:
        if self.is_text(name):
            codes, words, null = dictionary_codes(column)
            if null is not None:
                valid = valid_bits(column)
                codes = codes if valid is None else np.where(valid, codes, -1)
            return Coded(codes, words)
        if holds(column.type) == "text":  # a CSV column that is also a group, an id or a text input
            return self._read(column, name)
        values, valid = numbers(column)
        lost = inexact(values)
        lost = lost if lost is None or valid is None else lost & valid
        if lost is not None and lost.any():
            raise DataError(f"{values[int(np.argmax(lost))]} {TOO_LONG}", column=name, hint=_REMEDY)
        data = values.astype(np.float64)
        return data if valid is None else np.where(valid, data, np.nan)

    def _read(self, column: pa.Array, name: str) -> NDArray[np.float64]:
        """The numbers that the texts of a column spell."""
        codes, words, null = dictionary_codes(column)
        spelt = np.array([_number(word, name) for word in words] or [np.nan])
        valid = valid_bits(column) if null is not None else None
        data: NDArray[np.float64] = spelt[np.maximum(codes, 0)]
        return data if valid is None else np.where(valid, data, np.nan)


def _number(word: str, name: str) -> float:
    if not word:
        return float("nan")
    try:
        if not word.isascii() or "_" in word:
            raise ValueError(word)
        value = float(word)
    except ValueError:
        raise DataError(
            f"'{visible(word)}' is not a number, which --where compares it with",
            column=name,
            hint="compare it with a text, such as column == 'a'",
        ) from None
    lost = lost_of(word.encode())
    if lost:
        raise DataError(f"'{visible(word)}' {lost[0]}", column=name, hint=_REMEDY)
    return value
