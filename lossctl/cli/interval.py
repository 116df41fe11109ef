"""`--ci` and what goes with it: options of `compute` and `compare`, and what they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from lossctl.errors import BadValue, UsageError

__all__ = ["asked_interval", "interval_parameters", "level_of"]


def _option(name: str, kind: Any, flag: str, **settings: Any) -> inspect.Parameter:
    note = Annotated[kind | None, typer.Option(flag, **settings)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=note)


def interval_parameters(flag: str = "--ci") -> list[inspect.Parameter]:
    """The level under `flag`, the cluster, the seed and the number of resamples."""
    return [
        _option("ci", str, flag, metavar="LEVEL", help="Confidence interval by bootstrap, such as 0.95."),
        _option(
            "cluster", str, "--cluster", metavar="COL", help="Rows with one value here are drawn together."
        ),
        _option("seed", int, "--seed", min=0, metavar="N", help="Seed of the resampling [default 0]."),
        _option(
            *("resamples", int, "--resamples"),
            min=100,
            max=100_000,
            metavar="N",
            help="Bootstrap resamples [default 2000].",
        ),
    ]


def level_of(flag: str, text: str) -> float:
    """A level between 0 and 1; 95 and 95% mean 0.95."""
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = -1.0
    if 1 < value < 100 or text.strip().endswith("%"):
        value /= 100
    if not 0.5 <= value < 1:
        raise BadValue(flag, text, "a level such as 0.95, from 0.5 to below 1")
    return value


def asked_interval(values: Mapping[str, Any], *, flag: str = "--ci", default: str | None = None) -> Any:
    """The Bootstrap that the options ask for, or None."""
    level = values["ci"] or default
    if level is None:
        for name in ("cluster", "seed", "resamples"):
            if values[name] is not None:
                raise UsageError(f"--{name} is for an interval", hint=f"ask for one with {flag} 0.95")
        return None
    if values.get("reduction") == "none":
        raise UsageError(f"{flag} is for an aggregate, --reduction none gives none")
    from lossctl.buckets import Bootstrap

    seed, resamples = values["seed"] or 0, values["resamples"] or 2000
    if seed >= 1 << 64:
        raise BadValue("--seed", seed, "a whole number below 2^64")
    return Bootstrap(level_of(flag, level), seed, resamples, values["cluster"])
