"""`--ci` and what goes with it: options of `compute`, `compare` and `gate`, and what they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from lossctl.cli.shared import options
from lossctl.errors import UsageError

__all__ = ["asked_interval", "interval_parameters"]

_LEVEL = "Confidence level of the bootstrap intervals; 0.95 unless said."


def interval_parameters(flag: str = "--ci") -> list[inspect.Parameter]:
    """The level under `flag`, the cluster, the seed and the number of resamples."""
    more = {"flags": (flag,)} if flag == "--ci" else {"flags": (flag,), "help": _LEVEL}
    return options("ci", "cluster", "seed", "resamples", ci=more)


def asked_interval(values: Mapping[str, Any], *, flag: str = "--ci", default: str | None = None) -> Any:
    """The Bootstrap that the options ask for, or None."""
    level = default if values["ci"] is None else values["ci"]
    if level is None:
        for name in ("cluster", "seed", "resamples"):
            if values[name] is not None:
                raise UsageError(f"--{name} is for an interval", hint=f"ask for one with {flag} 0.95")
        return None
    if values.get("reduction") == "none":
        raise UsageError(f"{flag} is for an aggregate, --reduction none gives none")
    from lossctl.bootstrap import asked

    drawn = {name: values[name] for name in ("seed", "resamples", "cluster")}
    return asked(flag, level, **drawn)
