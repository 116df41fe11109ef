"""Evaluate any loss over predictions: exact, streaming, weighted, grouped.

The names load when first used, so that `import lossctl` is cheap.
"""

from __future__ import annotations

from lossctl.version import __version__

TYPE_CHECKING = False  # the name that type checkers know; importing `typing` takes 2 ms
if TYPE_CHECKING:
    from typing import Any

    from lossctl.api import compute, evaluate
    from lossctl.errors import LossctlError
    from lossctl.result import Result

__all__ = ["LossctlError", "Result", "__version__", "compute", "evaluate"]

_HOMES = {
    "LossctlError": "lossctl.errors",
    "Result": "lossctl.result",
    "compute": "lossctl.api",
    "evaluate": "lossctl.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lossctl' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
