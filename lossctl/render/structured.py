"""JSON and JSON Lines, of results and of errors: strict, in a stable order, in ASCII."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from lossctl.errors import LossctlError
from lossctl.result import Result


def render_json(result: Result) -> str:
    """The whole result, indented by two."""
    return json.dumps(result.to_dict(), indent=2, allow_nan=False) + "\n"


def render_jsonl(result: Result) -> str:
    """One score per line."""
    return "".join(
        json.dumps(score.to_dict(), allow_nan=False, separators=(",", ":")) + "\n" for score in result.scores
    )


def error_json(error: LossctlError) -> str:
    """The error as one line of JSON; a fact never hides the message, hint, type or exit code."""
    head = {
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "exit": error.exit_code,
    }
    facts = {str(key): _plain(value) for key, value in error.facts.items() if key not in head}
    return json.dumps({"error": head | facts}, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    """`value` as JSON can hold it; what it cannot hold becomes its text."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    item = getattr(value, "item", None)  # a NumPy scalar
    return _plain(item()) if callable(item) else str(value)
