"""How a golden case is recorded: what lossctl is asked, and what a real library answered.

A case is one object of `cases` in tests/golden/<library>.json:

    spec       a lossctl spec, parameters spelt out      like       a library's conventions, or null
    inputs     values by lossctl's role name             weight     sample weights, or null
    reduction  mean, sum, mean-n, pooled or none         expected   a number, or a list with one entry per row
    call       what was called, for the reader           rtol       how near lossctl has to come
    atol       only where the library itself rounds or clips more: an absolute tolerance beside rtol
    grad       only when true: `expected` maps grad_<input> to the gradient of each row's loss

Infinite and NaN values are the strings "inf", "-inf" and "nan", since JSON has no other way to say them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Tensors and arrays of any library as lists of Python numbers, non-finite ones as strings."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if hasattr(value, "__array__"):
        value = np.asarray(value).tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


@dataclass
class Golden:
    """The cases of one library."""

    library: str
    distributions: tuple[str, ...]
    cases: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        spec: str,
        call: str,
        expected: Any,
        *,
        like: str | None = None,
        reduction: str = "mean",
        weight: Any = None,
        rtol: float = 1e-12,
        atol: float = 0.0,
        grad: bool = False,
        **inputs: Any,
    ) -> None:
        case = {
            "spec": spec,
            "like": like,
            "inputs": plain(inputs),
            "weight": plain(weight),
            "reduction": reduction,
        }
        case |= {"expected": plain(expected), "call": call, "rtol": rtol}
        case |= ({"atol": atol} if atol else {}) | ({"grad": True} if grad else {})
        self.cases.append(case)

    def write(self, folder: Path) -> None:
        """One case per line, so that a changed value is a changed line."""
        names = ("numpy", *self.distributions)
        versions = json.dumps({name: version(name) for name in names})
        lines = ",\n".join(json.dumps(case, allow_nan=False, ensure_ascii=False) for case in self.cases)
        text = f'{{"versions": {versions},\n"cases": [\n{lines}\n]}}\n'
        (folder / f"{self.library}.json").write_text(text, encoding="utf-8")


def options(**params: Any) -> str:
    """`delta=1.5, from_logits=True` as the tail of a spec: `:delta=1.5:from-logits=true`."""
    shown = {
        key.replace("_", "-"): str(value).lower() if isinstance(value, bool) else value
        for key, value in params.items()
    }
    return "".join(f":{key}={str(value).replace(' ', '')}" for key, value in shown.items())
