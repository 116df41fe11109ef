"""A saved result (`lossctl.result/1`) read back: the numbers to compare with, and how they were made."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lossctl.errors import DataError, ResourceError
from lossctl.result import SCHEMA, Result

__all__ = [
    *("Entry", "Saved", "Share", "condition_changes", "read_saved", "saved_from", "signature_changes"),
    "to_saved",
]

_SPECIAL = {"nan": math.nan, "empty": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class Entry:
    """One number of a saved result. `check` and `conditions` are there when `gate` wrote it."""

    spec: str
    group: Mapping[str, str]
    value: float
    status: str
    rows: int
    signature: str
    check: str | None = None
    conditions: Mapping[str, Any] | None = None

    @property
    def key(self) -> tuple[str | None, str, tuple[tuple[str, str], ...]]:
        return (self.check, self.spec, tuple(sorted(self.group.items())))


@dataclass(frozen=True)
class Saved:
    """A saved result; `weight` is the column its rows were weighted by.

    conditions: what else decided which rows count, of all entries that have none of their own.
    """

    path: str
    entries: Sequence[Entry]
    weight: str | None = None
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def conditions_of(self, entry: Entry) -> dict[str, Any]:
        """What decided which rows of an entry count, and how much."""
        whole = {"weight": self.weight, **self.conditions}  # by `compute`
        return whole if entry.conditions is None else dict(entry.conditions)


@dataclass(frozen=True)
class Share:
    """The part of a result that belongs to one check."""

    check: str
    spec: str
    conditions: Mapping[str, Any]
    result: Result


def read_saved(path: str) -> Saved:
    """The result saved at `path`.

    Raises DataError when there is none or it is something else, ResourceError when it cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError("no such file", path=path) from None
    except OSError as error:
        raise ResourceError((error.strerror or str(error)).lower(), path=path) from None
    except UnicodeDecodeError:
        raise _other(path, "it is not text") from None
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise _other(path, f"it is not JSON ({error})") from None
    return saved_from(data, path)


def saved_from(data: Any, path: str) -> Saved:
    """The result that `data` is the JSON form of."""
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise _other(path, f"its schema is {schema!r}")
    try:
        entries = [_entry(each) for each in data["results"]]
        weight = data.get("columns", {}).get("weight")
        conditions = dict(data.get("conditions", {}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _other(path, f"it is damaged ({type(error).__name__}: {error})") from None
    twice = len({entry.key for entry in entries}) != len(entries)
    if twice:
        raise _other(path, "the same loss and group stand in it twice")
    return Saved(path, entries, weight, conditions)


def _entry(data: Any) -> Entry:
    status = data["status"]
    if status == "ok" and (isinstance(data["value"], bool) or not isinstance(data["value"], int | float)):
        raise ValueError(f"value {data['value']!r} is not a number")
    value = float(data["value"]) if status == "ok" else _SPECIAL[status]
    group = {str(name): str(label) for name, label in data["group"].items()}
    return Entry(
        str(data["spec"]),
        group,
        value,
        status,
        int(data["rows"]),
        str(data["signature"]),
        data.get("check"),
        data.get("conditions"),
    )


def _other(path: str, why: str) -> DataError:
    return DataError(
        f"not a saved result: {why}",
        path=path,
        hint="write one with: lossctl compute ... -o result.json, or lossctl gate --update-baseline",
    )


def signature_changes(old: str, new: str) -> list[str]:
    """The parts in which two signatures differ, as `old -> new`."""
    before, after = old.split("|"), new.split("|")
    if len(before) == len(after):
        return [f"{a} -> {b}" for a, b in zip(before, after, strict=True) if a != b]
    gone = [part for part in before if part not in after]
    come = [part for part in after if part not in before]
    return [f"{', '.join(gone) or 'nothing'} -> {', '.join(come) or 'nothing'}"] if gone or come else []


def condition_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The conditions in which two numbers differ, as `name=old -> name=new`."""
    return [
        f"{name}={old.get(name) or 'none'} -> {name}={new.get(name) or 'none'}"
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def to_saved(shares: Sequence[Share]) -> dict[str, Any]:
    """The numbers of several checks as one `lossctl.result/1`, each with its check and conditions."""
    results = list({id(share.result): share.result for share in shares}.values())
    made = results[0].to_dict()
    made.pop("conditions", None)
    merged = {json.dumps(file): file for result in results for file in result.to_dict()["inputs"]}
    made["inputs"] = list(merged.values())
    for result in results[1:]:
        for role, columns in result.to_dict()["columns"].items():
            made["columns"].setdefault(role, columns)
    if any("weight" not in result.columns for result in results):
        made["columns"].pop("weight", None)
    made["guessed"] = list(dict.fromkeys(name for result in results for name in result.guessed))
    counts = [result.to_dict()["rows"] for result in results]
    made["rows"] = {name: sum(count[name] for count in counts) for name in counts[0]}
    made["results"] = [
        {**score.to_dict(), "check": share.check, "conditions": dict(share.conditions)}
        for share in shares
        for score in share.result.scores
        if score.spec == share.spec
    ]
    made["warnings"] = list(dict.fromkeys(note for result in results for note in result.warnings))
    return made
