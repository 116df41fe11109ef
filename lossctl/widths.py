"""How many numbers the lists of a column hold, found before a pass that has to give missing lists a width."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossctl.arrow import list_parts
from lossctl.columns import Feed, Schema, is_list
from lossctl.errors import DataError
from lossctl.plan import Plan

__all__ = ["find_widths"]


def find_widths(plan: Plan, dataset: Any) -> dict[Feed, int]:
    """The length of the first list of each feed that is neither missing nor empty; rows before it are read.

    Without it a block of missing lists only would have no width, or one by chance of the thread that had
    read others. Raises DataError for a column without any list.
    """
    schema = Schema(dataset.columns)
    feeds = {
        feed.columns[0]: feed
        for feed in plan.reading.feeds
        if feed.form.shape in ("vector", "matrix") and is_list(schema.type_of(feed.columns[0]))
    }
    found: dict[Feed, int] = {}
    if not feeds:
        return found
    for piece in dataset.pieces({name: plan.wanted[name] for name in feeds}):
        for batch in piece.read():
            for name, feed in feeds.items():
                width = _first_width(batch.column(name), feed.form.shape == "matrix")
                if feed not in found and width:
                    found[feed] = feed.width or width
            if len(found) == len(feeds):
                return found
    lacking = next(name for name, feed in feeds.items() if feed not in found)
    raise DataError("every list is missing or empty", path=dataset.sources[0].path, column=lacking)


def _first_width(column: Any, nested: bool) -> int:
    flat, offsets, _ = list_parts(column)
    if nested and is_list(flat.type):
        offsets = list_parts(flat)[1]
    lengths = np.diff(offsets)
    return int(lengths[np.argmax(lengths > 0)]) if len(lengths) else 0
