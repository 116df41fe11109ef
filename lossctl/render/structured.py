"""JSON and JSON Lines, of results and of errors: strict, in a stable order, in ASCII."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from lossctl.errors import LossctlError
from lossctl.result import Result

_LONE = re.compile(r"\\ud[89a-f]")  # in escaped JSON: maybe half of a pair, which many parsers refuse


def strict_json(data: Any, **options: Any) -> str:
    """`data` in ASCII; no NaN, and of bytes that are no UTF-8, as in file names, the spelt-out form."""
    text = json.dumps(data, allow_nan=False, **options)
    return json.dumps(_whole(data), allow_nan=False, **options) if _LONE.search(text) else text


def _whole(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode("utf-8", "backslashreplace").decode()
    if isinstance(data, Mapping):
        return {_whole(key): _whole(value) for key, value in data.items()}
    return [_whole(value) for value in data] if isinstance(data, list | tuple) else data


def render_json(result: Result) -> str:
    """The whole result, indented by two."""
    return strict_json(result.to_dict(), indent=2) + "\n"


def render_jsonl(result: Result) -> str:
    """One score per line."""
    return "".join(strict_json(score.to_dict(), separators=(",", ":")) + "\n" for score in result.scores)


def error_json(error: LossctlError) -> str:
    """The error as one line of JSON; a fact never hides the message, hint, type or exit code."""
    head = {
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "exit": error.exit_code,
    }
    facts = {str(key): _plain(value) for key, value in error.facts.items() if key not in head}
    return strict_json({"error": head | facts}) + "\n"


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
