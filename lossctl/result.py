"""What an evaluation gives: numbers with everything needed to reproduce them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lossctl.errors import DataError, UsageError, counted
from lossctl.version import __version__

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "lossctl.result/1"
STATUS_WORDS = {"inf": "infinite", "-inf": "minus infinity", "nan": "not a number", "empty": "of no rows"}


def status_of(value: float) -> str:
    """'ok', or why the value is not a finite number."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return "ok"


@dataclass(frozen=True)
class InputFile:
    """One file that was read: rows are those it delivered.

    checksums: whether the pages read of a Parquet file had any and so were verified: all of them
    ("verified"), some ("partial") or the first of no column chunk ("none"); None for other formats.
    """

    path: str
    format: str
    rows: int
    checksums: str | None = None

    def to_dict(self) -> dict[str, Any]:
        made = {"path": self.path, "format": self.format, "rows": self.rows}
        return made | ({"checksums": self.checksums} if self.checksums is not None else {})


@dataclass(frozen=True)
class RowCount:
    """read = used + filtered + skipped, always."""

    read: int
    used: int
    filtered: int = 0
    skipped: int = 0

    @property
    def text(self) -> str:
        """What became of all rows."""
        read = counted(self.read, "row", "rows")
        return f"{read} read: {self.used:,} used, {self.skipped:,} skipped, {self.filtered:,} filtered"

    @property
    def warnings(self) -> list[str]:
        """That rows were skipped, if any were."""
        if not self.skipped:
            return []
        return [f"{self.skipped:,} of {counted(self.read, 'row was', 'rows were')} skipped"]

    def to_dict(self) -> dict[str, int]:
        return {"read": self.read, "used": self.used, "filtered": self.filtered, "skipped": self.skipped}


def conditions_of(
    where: str | None, missing: str = "error", na: Sequence[str] = (), join: str = "strict"
) -> dict[str, str]:
    """What besides weights decides which rows count; what is not in force is left out."""
    made = {
        "where": where,
        "nan": missing if missing != "error" else None,
        "na": ",".join(na) or None if missing != "error" else None,
        "join": join if join != "strict" else None,
    }
    return {name: value for name, value in made.items() if value is not None}


@dataclass(frozen=True)
class Part:
    """One term of a weighted sum of losses."""

    spec: str
    coefficient: float
    value: float


@dataclass(frozen=True)
class Confidence:
    """An interval of the aggregate that holds it at `level`; where there is none, NaN and `note` says why."""

    level: float
    low: float
    high: float
    method: str
    resamples: int
    seed: int
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        made = {
            "level": self.level,
            "low": plain(self.low),
            "high": plain(self.high),
            "method": self.method,
            "resamples": self.resamples,
            "seed": self.seed,
        }
        return made | ({"note": self.note} if self.note else {})


@dataclass(frozen=True)
class Score:
    """One number: a loss, aggregated over one group of rows (`group` is empty for all of them).

    rows: rows (or groups of a ranking) the loss used; weightless: those of them whose weight is zero, which
    change nothing; ignored: those it left out; weight: the total weight; nonfinite: rows by status whose own
    value is not finite; empty: nothing to aggregate.
    """

    spec: str
    loss: str
    params: Mapping[str, Any]
    reduction: str
    value: float
    rows: int
    weight: float
    signature: str
    group: Mapping[str, str] = field(default_factory=dict)
    ignored: int = 0
    nonfinite: Mapping[str, int] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()
    direction: str = "lower"
    empty: bool = False
    interval: Confidence | None = None
    weightless: int = 0

    @property
    def counted(self) -> int:
        """Rows that have a say."""
        return self.rows - self.weightless

    @property
    def status(self) -> str:
        return "empty" if self.empty else status_of(self.value)

    def to_dict(self) -> dict[str, Any]:
        """Plain data in the order of the schema; a non-finite value is None beside its status."""
        made: dict[str, Any] = {
            "spec": self.spec,
            "loss": self.loss,
            "params": {name.replace("_", "-"): plain(value) for name, value in self.params.items()},
            "reduction": self.reduction,
            "group": dict(self.group),
            "value": plain(self.value),
            "status": self.status,
            "rows": self.rows,
            "ignored": self.ignored,
            "weight": plain(self.weight),
            "signature": self.signature,
        }
        if self.weightless:
            made["weightless"] = self.weightless
        if self.interval is not None:
            made["ci"] = self.interval.to_dict()
        if self.nonfinite:
            made["nonfinite"] = dict(self.nonfinite)
        if self.parts:
            made["parts"] = [
                {
                    "spec": part.spec,
                    "coefficient": part.coefficient,
                    "value": plain(part.value),
                    "status": status_of(part.value),
                }
                for part in self.parts
            ]
        return made


@dataclass(frozen=True)
class Result:
    """All numbers of one pass over the data, with where they came from.

    conditions: what decided which rows count, as `conditions_of` has it.
    """

    inputs: Sequence[InputFile]
    columns: Mapping[str, str | list[str]]
    guessed: Sequence[str]
    rows: RowCount
    scores: Sequence[Score]
    warnings: Sequence[str] = ()
    conditions: Mapping[str, str] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The one number of a result that has only one; raises UsageError otherwise."""
        if len(self.scores) != 1:
            raise UsageError(
                f"the result holds {len(self.scores)} values", hint="read them from .scores or .to_frame()"
            )
        return self.scores[0].value

    def to_dict(self) -> dict[str, Any]:
        """The JSON form as plain data."""
        return {
            "schema": SCHEMA,
            "lossctl": __version__,
            "inputs": [file.to_dict() for file in self.inputs],
            "columns": {role: plain(columns) for role, columns in self.columns.items()},
            "guessed": list(self.guessed),
            "rows": self.rows.to_dict(),
            **({"conditions": dict(self.conditions)} if self.conditions else {}),
            "results": [score.to_dict() for score in self.scores],
            "warnings": list(self.warnings),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per score: group columns, spec, value, rows, weight."""
        import pandas as pd

        return pd.DataFrame(
            [
                {**s.group, "spec": s.spec, "value": s.value, "rows": s.rows, "weight": s.weight}
                for s in self.scores
            ]
        )


def plain(value: Any) -> Any:
    """`value` as JSON can hold it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    return value


def check_counts(rows: RowCount, promised: int | None) -> None:
    """Refuse a result in which a row is unaccounted for."""
    if rows.read != rows.used + rows.filtered + rows.skipped or promised not in (None, rows.read):
        raise DataError(
            f"rows do not add up: read {rows.read}, used {rows.used}, filtered {rows.filtered}, "
            f"skipped {rows.skipped}, promised {promised}",
            hint="this is never expected; please report it with the file",
        )
