"""Which columns could be targets, predictions and groups: by the user's word, then by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise

from lossctl.columns import COMMON, Schema

__all__ = ["Candidates", "Columns", "candidates", "families", "levels", "role_text"]

Columns = tuple[str, ...]

_NUMBERED = re.compile(r"(.+?)[_.\-]?(\d+(?:\.\d+)?)")
_TARGETS = ("rel", "relevance", "mask", "rating", "class", "observed", "reference", "tokens", "labels")
_PREDS = (
    *("probs", "probas", "scores", "preds", "predictions", "log_probs", "logprobs", "members", "ensemble"),
    *("mean", "forecast", "hypothesis", "transcript", "output", "risk"),
)
_STEMS = (*COMMON["pred"], *_PREDS, "q", "quantile", "member", "y_prob", "class", "out")
_GROUPS = ("query", "query_id", "qid", "group", "group_id", "session", "session_id", "user", "user_id")
_QUANTILES = ("q", "quantile", "quantiles", "pred_q", "y_pred_q")


@dataclass(frozen=True)
class Candidates:
    """Column tuples that could play a role; `groups` are named like the queries of a ranking."""

    targets: tuple[Columns, ...]
    preds: tuple[Columns, ...]
    groups: tuple[str, ...]


def families(names: Sequence[str]) -> dict[str, Columns]:
    """Columns numbered alike (p_0, p_1, ...) by their stem, two or more of each, by number."""
    found: dict[str, list[tuple[float, str]]] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match:
            found.setdefault(match[1].rstrip("_.-"), []).append((float(match[2]), name))
    return {
        stem: tuple(name for _, name in sorted(columns, key=lambda each: each[0]))
        for stem, columns in found.items()
        if len(columns) > 1
    }


def levels(columns: Columns) -> tuple[float, ...] | None:
    """Quantile levels that the names of the columns end in: q_0.1, or q10 for percent."""
    matches = [_NUMBERED.fullmatch(name) for name in columns]
    if not all(matches):
        return None
    found = [float(match[2]) for match in matches if match]
    percent = all(m and "." not in m[2] and m[1].rstrip("_.-").casefold() in _QUANTILES for m in matches)
    scaled = tuple(value / 100 if percent else value for value in found)
    rising = all(a < b for a, b in pairwise(scaled))
    return scaled if rising and all(0 < value < 1 for value in scaled) else None


def candidates(
    schema: Schema, kinds: Mapping[str, str], target: str | None = None, pred: str | None = None
) -> Candidates:
    """The columns named by the user (MissingColumn if absent), otherwise all whose names say so."""
    numeric = [name for name, kind in kinds.items() if kind == "number"]
    groups = tuple(name for name in kinds if name.casefold() in _GROUPS)
    stems = {stem: columns for stem, columns in families(numeric).items()}
    targets = (schema.expand("target", target),) if target else _targets(list(kinds), stems)
    preds = (schema.expand("pred", pred),) if pred else _preds(list(kinds), stems)
    return Candidates(targets, tuple(p for p in preds if p not in targets), groups)


def _targets(names: list[str], stems: Mapping[str, Columns]) -> tuple[Columns, ...]:
    for known in (COMMON["target"], _TARGETS):
        found: list[Columns] = [(name,) for name in names if name.strip().casefold() in known]
        found += [columns for stem, columns in stems.items() if stem.casefold() in known]
        if found:
            return tuple(found)
    return ()


def _preds(names: list[str], stems: Mapping[str, Columns]) -> tuple[Columns, ...]:
    found: list[Columns] = [(name,) for name in names if name.strip().casefold() in COMMON["pred"]]
    found += [columns for stem, columns in stems.items() if stem.casefold() in _STEMS]
    found += [(name,) for name in names if name.strip().casefold() in _PREDS]
    return tuple(dict.fromkeys(found))


def role_text(columns: Columns, names: Sequence[str]) -> str:
    """How to say these columns on the command line: a name, a glob that finds just them, or a list."""
    if len(columns) == 1:
        return columns[0]
    stem = columns[0]
    while not all(name.startswith(stem) for name in columns):
        stem = stem[:-1]
    stem = stem.rstrip("0123456789.") or stem
    plain = stem and not any(c in stem for c in "*?[,")
    if plain and tuple(name for name in names if fnmatchcase(name, f"{stem}*")) == columns:
        return f"{stem}*"
    return ",".join(columns)
