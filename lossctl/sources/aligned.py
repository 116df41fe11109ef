"""Two runs of batches read in step: where their values first differ, bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lossctl.arrow import holds, list_parts, numbers

__all__ = ["batches_of", "differing_row", "kept_apart", "marked", "rows_apart", "under_names"]

Keep: TypeAlias = Callable[[pa.RecordBatch], NDArray[np.bool_]]


def batches_of(
    dataset: Any, wanted: Mapping[str, Any], tick: Callable[[int, int], None] | None = None
) -> Iterator[pa.RecordBatch]:
    """The wanted columns of a data set, in row order; `tick` hears of the rows and bytes of every piece."""
    for piece in dataset.pieces(wanted):
        yield from piece.read()
        if tick is not None:
            tick(piece.rows, piece.nbytes)
    dataset.finish()


def marked(batches: Iterable[pa.RecordBatch], name: str, keep: Keep | None) -> Iterator[pa.RecordBatch]:
    """The batches with a column more that is 1 where `keep` keeps a row, else 0."""
    for batch in batches:
        if keep is None:
            yield batch
        else:
            kept = np.ascontiguousarray(keep(batch), np.float64)
            column = pa.Array.from_buffers(pa.float64(), len(kept), [None, pa.py_buffer(kept)])
            yield batch.append_column(name, column)


def under_names(keep: Keep, names: Mapping[str, str]) -> Keep:
    """`keep` for batches that have its columns under other names: {name in the batch: name it knows}."""
    return lambda batch: keep(batch.select(list(names)).rename_columns(list(names.values())))


def kept_apart(batch: pa.RecordBatch, mine: Keep, its: Keep) -> int | None:
    """The first row of a batch that only one of the two keeps."""
    apart = np.flatnonzero(mine(batch) != its(batch))
    return int(apart[0]) if len(apart) else None


def rows_apart(
    left: Iterable[pa.RecordBatch], right: Iterable[pa.RecordBatch], pairs: Sequence[tuple[str, str]]
) -> tuple[int, str | None] | None:
    """The first row whose paired columns differ, and the column on the left; None when there is none.

    The column is None where one side ends before the other; the row is then the length of the shorter.
    """
    mine, its = iter(left), iter(right)
    a = b = None
    start = 0
    while True:
        while (a is not None and not a.num_rows) or a is None:
            a = next(mine, None)
            if a is None:
                break
        while (b is not None and not b.num_rows) or b is None:
            b = next(its, None)
            if b is None:
                break
        if a is None or b is None:
            return None if a is b else (start, None)
        rows = min(a.num_rows, b.num_rows)
        found = differing_row(a.slice(0, rows), b.slice(0, rows), pairs)
        if found is not None:
            return start + found[0], found[1]
        start += rows
        a, b = a.slice(rows), b.slice(rows)


def differing_row(
    left: pa.RecordBatch, right: pa.RecordBatch, pairs: Sequence[tuple[str, str]]
) -> tuple[int, str] | None:
    """The first row of two batches of one length whose paired columns differ, and the column on the left."""
    worst: tuple[int, str] | None = None
    for mine, its in pairs:
        a, b = left.column(mine), right.column(its)
        if _same(a, b):
            continue
        low, high = 0, len(a)
        while high - low > 1:
            middle = (low + high) // 2
            if _same(a.slice(low, middle - low), b.slice(low, middle - low)):
                low = middle
            else:
                high = middle
        if worst is None or low < worst[0]:
            worst = low, mine
    return worst


def _same(a: pa.Array, b: pa.Array) -> bool:
    if holds(a.type) != holds(b.type):
        return False
    if holds(a.type) == "list":
        (flat_a, offsets_a, valid_a), (flat_b, offsets_b, valid_b) = list_parts(a), list_parts(b)
        return (
            np.array_equal(offsets_a, offsets_b) and _same_nulls(valid_a, valid_b) and _same(flat_a, flat_b)
        )
    if holds(a.type) == "number":
        (x, valid_x), (y, valid_y) = numbers(a), numbers(b)
        bits_x, bits_y = (v.astype(np.float64).view(np.int64) for v in (x, y))
        equal = bits_x == bits_y
        return _same_nulls(valid_x, valid_y) and bool((equal if valid_x is None else equal | ~valid_x).all())
    return bool(_plain(a).equals(_plain(b)))


def _same_nulls(a: Any, b: Any) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def _plain(array: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array if pa.types.is_string(array.type) else array.cast(pa.string())
