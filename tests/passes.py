"""Cases run over tables in memory, in pieces if asked: aggregates, row values and gradients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from cases import Case, Data, table

from lossctl.aggregate import to_result
from lossctl.loss import Mean, Ragged
from lossctl.loss.spec import parse
from lossctl.plan import Settings, make_plan
from lossctl.result import Result, Score
from lossctl.sources.memory import MemoryDataset, MemoryPiece
from lossctl.spine import SMALL
from lossctl.spine import run as fold
from lossctl.worker import SampleBlock


class Pieces(MemoryDataset):
    """A table that arrives in pieces of `size` rows."""

    def __init__(self, whole: pa.Table, size: int | None = None) -> None:
        super().__init__(whole)
        self.size = size or max(whole.num_rows, 1)
        self.nbytes = SMALL  # so that threads are started when asked for

    def pieces(self, wanted: Mapping[str, Any]) -> Iterator[MemoryPiece]:
        chosen = self.table.select(list(wanted))
        for start in range(0, chosen.num_rows, self.size):
            part = chosen.slice(start, self.size)
            yield MemoryPiece(part, "memory", start, start, part.num_rows, part.nbytes)


def _plan(case: Case, whole: pa.Table, dataset: MemoryDataset, settings: Mapping[str, Any]) -> Any:
    columns = {name: name for name in case.forms}
    weight = "weight" if "weight" in whole.column_names else None
    made = Settings(**{"columns": columns, "weight": weight, "threads": 1, **settings})
    return make_plan(parse(case.bound.text), made, dataset)


def evaluate(case: Case, data: Data | pa.Table, *, piece: int | None = None, **settings: Any) -> Result:
    """The aggregate of a case over columns named like its inputs (and `weight`)."""
    whole = data if isinstance(data, pa.Table) else table(data)
    dataset = Pieces(whole, piece)
    plan = _plan(case, whole, dataset, settings)
    return to_result(plan, fold(plan, dataset), dataset)


def total(case: Case, data: Data | pa.Table, **settings: Any) -> Score:
    """The score of all rows; an empty one where no row is left that counts."""
    return evaluate(case, data, **settings).scores[-1]


def brings_weights(case: Case, data: Data) -> bool:
    """Whether the kernel of a mean gives (w'·l, w') rather than l."""
    dataset = Pieces(table(data))
    plan = _plan(case, dataset.table, dataset, {})
    state = fold(plan, dataset).states[case.bound.text]
    return isinstance(case.loss.reduction, Mean) and len(state.sums) == 2  # type: ignore[attr-defined]


def row_values(case: Case, data: Data | pa.Table, **settings: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Row values, whether each counts, and under grad=True the gradients' numbers in one line per input."""
    whole = data if isinstance(data, pa.Table) else table(data)
    dataset = Pieces(whole)
    blocks: list[SampleBlock] = []
    plan = _plan(case, whole, dataset, {**settings, "reduction": "none"})
    fold(plan, dataset, sample=blocks.append)
    text = case.bound.text
    values = np.concatenate([b.values[text] for b in blocks])
    masks = [b.used[text] for b in blocks]
    used = [np.ones(len(b.rows), bool) if m is None else m for b, m in zip(blocks, masks, strict=True)]
    slopes = {name: np.concatenate([flat(b.gradients[name]) for b in blocks]) for name in blocks[0].gradients}
    return values, np.concatenate(used), slopes


def flat(values: Any) -> Any:
    """The numbers of a column in one line, whatever its shape."""
    if isinstance(values, Ragged):
        return values.values.reshape(-1)
    return np.concatenate([v.reshape(-1) for v in values]) if isinstance(values, list) else values.reshape(-1)


def bits(value: float) -> str:
    return "nan" if math.isnan(value) else float(value).hex()
