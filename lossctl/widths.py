"""How many numbers the lists of a column hold, found before a pass that has to give missing lists a width."""

from __future__ import annotations

from typing import Any

from lossctl.arrow import is_list, list_width
from lossctl.columns import Feed, Schema
from lossctl.errors import DataError
from lossctl.plan import Plan

__all__ = ["find_widths"]


def find_widths(plan: Plan, dataset: Any) -> dict[Feed, int]:
    """The length of the first list of each feed that is neither missing nor empty; rows before it are read.

    Without it a block of missing lists only would have no width, or one by chance of the thread that had
    read others. Raises DataError for a column without any list.
    """
    schema = Schema(dataset.columns)
    feeds = [feed for feed in plan.reading.feeds if feed.form.shape in ("vector", "matrix")]
    feeds = [feed for feed in feeds if is_list(schema.type_of(feed.columns[0]))]
    lacking = {feed.columns[0]: plan.wanted[feed.columns[0]] for feed in feeds}
    found: dict[str, int] = {}
    for piece in dataset.pieces(lacking) if lacking else ():
        for batch in piece.read():
            widths = {name: list_width(batch.column(name)) for name in lacking}
            found |= {name: width for name, width in widths.items() if width}
            lacking = {name: kind for name, kind in lacking.items() if name not in found}
            if not lacking:
                return {feed: feed.width or found[feed.columns[0]] for feed in feeds}
    for name in lacking:
        raise DataError("every list is missing or empty", path=dataset.sources[0].path, column=name)
    return {}
