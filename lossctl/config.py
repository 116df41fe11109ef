"""`lossctl.toml`, or [tool.lossctl] of pyproject.toml, and the flags of `gate` -> checks."""

from __future__ import annotations

import glob
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lossctl.config_values import allowance, column, known, number, optional, text, texts, whole
from lossctl.errors import BadValue, ResourceError, UsageError, visible
from lossctl.gate import Check
from lossctl.loss.spec import Spec, parse
from lossctl.plan import REDUCTIONS

__all__ = ["CheckPlan", "GateConfig", "build", "discover", "load"]

SCHEMA = "lossctl.config/1"
TOP = ("schema", "baseline", "on-inconclusive", "data", "check")
SHARED = (
    *("files", "weight", "by", "where", "nan", "like", "reduction", "elements", "width"),
    *("input-format", "delimiter", "min-rows"),
)
OWN = ("name", "spec", "max", "min", "max-regression", "severity", "on-inconclusive")
CHOICES = {
    "nan": ("error", "skip", "propagate"),
    "elements": ("mean", "sum"),
    "severity": ("error", "warning"),
    "on-inconclusive": ("fail", "warn", "pass"),
    "reduction": REDUCTIONS[:-1],
    "input-format": ("csv", "parquet"),
}


@dataclass(frozen=True)
class CheckPlan:
    """A check with what its pass needs: the loss, files, columns by role and the other settings."""

    check: Check
    spec: Spec
    files: tuple[str, ...]
    columns: Mapping[str, str | tuple[str, ...]]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class GateConfig:
    """A configuration as it was read; `folder` is what its paths are relative to."""

    data: Mapping[str, Any] = field(default_factory=dict)
    path: str | None = None
    folder: str = ""


def discover(folder: str = "") -> str | None:
    """The nearest lossctl.toml, or pyproject.toml with [tool.lossctl], from here upwards."""
    here = os.path.abspath(folder)
    while True:
        for name in ("lossctl.toml", "pyproject.toml"):
            path = os.path.join(here, name)
            if os.path.isfile(path) and (name == "lossctl.toml" or "lossctl" in _read(path).get("tool", {})):
                return os.path.relpath(path)
        parent = os.path.dirname(here)
        if parent == here:
            return None
        here = parent


def load(path: str) -> GateConfig:
    """The configuration at `path`; raises UsageError when it is not there or not TOML."""
    data = _read(path)
    if os.path.basename(path) == "pyproject.toml":
        data = data.get("tool", {}).get("lossctl", {})
        if not data:
            raise UsageError(f"{visible(path)} has no [tool.lossctl]", hint="see: lossctl gate --init FILE")
    return GateConfig(data, path, os.path.dirname(path))


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"no configuration {visible(path)}", hint="make one with: lossctl gate --init FILE"
        ) from None
    except OSError as error:
        raise ResourceError((error.strerror or str(error)).lower(), path=path) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{visible(path)} is not TOML: {visible(error)}") from None


def build(
    config: GateConfig, shared: Mapping[str, Any], extra: Sequence[Mapping[str, Any]]
) -> list[CheckPlan]:
    """All checks: those of the configuration, then `extra` from flags. `shared` wins over [data].

    Raises UsageError, naming the place, for whatever is wrong.
    """
    data = config.data
    origin = visible(config.path) if config.path else "the command line"
    with _at(origin):
        known("key", data, TOP)
        if data.get("schema", SCHEMA) != SCHEMA:
            raise BadValue("schema", data["schema"], SCHEMA)
        own = data.get("data", {})
        tables = data.get("check", [])
        if not isinstance(own, dict):
            raise BadValue("data", own, "a table [data]")
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            raise BadValue("check", type(tables).__name__, "tables [[check]]")
        if not tables and not extra:
            raise UsageError("there are no checks", hint="add [[check]] tables, or --max 'SPEC=LIMIT'")
    files = _placed(own, config.folder)
    defaults = {**files, **shared}
    top = {"on-inconclusive": data["on-inconclusive"]} if "on-inconclusive" in data else {}
    pending = [(f"{origin}, check {at}", _placed(each, config.folder)) for at, each in enumerate(tables, 1)]
    pending += [("the command line", dict(each)) for each in extra]
    specs = [_spec(place, table, defaults) for place, table in pending]
    roles = {role for spec in specs for term in spec.terms for role in term.bound.inputs}
    with _at(f"{origin}, [data]"):
        known("key", defaults, (*SHARED, *sorted(_dashed(roles))))
    plans = []
    for (place, table), spec in zip(pending, specs, strict=True):
        with _at(place):
            plans.append(_plan(table, spec, defaults, top))
    return _named(plans)


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Name the place in every refusal."""
    try:
        yield
    except UsageError as error:
        error.message = f"{place}: {error.message}"
        raise


def _spec(place: str, table: Mapping[str, Any], defaults: Mapping[str, Any]) -> Spec:
    with _at(place):
        if "spec" not in table:
            known("key", table, (*OWN, *SHARED))
            raise UsageError("it has no spec", hint='say which loss to check, such as spec = "..."')
        written = text("spec", table["spec"])
        like = table.get("like", defaults.get("like")) or None
        specs = parse(written, like=None if like is None else text("like", like))
        if len(specs) != 1:
            raise UsageError(f"'{visible(written)}' is several losses", hint="make a check of each")
        return specs[0]


def _plan(
    table: Mapping[str, Any], spec: Spec, defaults: Mapping[str, Any], top: Mapping[str, Any]
) -> CheckPlan:
    mine = {role for term in spec.terms for role in term.bound.inputs}
    known("key", table, (*OWN, *SHARED, *sorted(_dashed(mine))))
    said = {**top, **defaults, **table}
    for name, choices in CHOICES.items():
        if name in said and said[name] not in choices:
            raise BadValue(name, said[name], " or ".join(choices))
    files = texts("files", said.get("files", ()))
    if not files:
        raise UsageError("no files are named", hint='name them: lossctl gate FILE, or files = ["..."]')
    columns = {role: column(role, said[key]) for role in mine for key in _spellings(role) if key in said}
    width = said.get("width")
    settings = {
        "weight": optional("weight", said),
        "by": texts("by", said.get("by", ())),
        "where": optional("where", said),
        "missing": said.get("nan", "error"),
        "reduction": said.get("reduction"),
        "elements": said.get("elements", "mean"),
        "width": None if width is None else whole("width", width),
        "input_format": said.get("input-format"),
        "delimiter": optional("delimiter", said),
    }
    return CheckPlan(_check(said, spec, settings), spec, files, columns, settings)


def _check(said: Mapping[str, Any], spec: Spec, settings: Mapping[str, Any]) -> Check:
    limits = [said.get(name) for name in ("max", "min", "max-regression")]
    if all(limit is None for limit in limits):
        raise UsageError("it has no limit", hint="give it max, min or max-regression")
    maximum, minimum = (
        None if x is None else number(n, x) for n, x in zip(("max", "min"), limits[:2], strict=True)
    )
    if maximum is not None and minimum is not None and minimum > maximum:
        raise UsageError(f"min {minimum!r} is above max {maximum!r}: nothing could pass")
    regression = None if limits[2] is None else allowance("max-regression", limits[2])
    conditions = {"weight": settings["weight"], "where": settings["where"]}
    if settings["missing"] != "error":
        conditions["nan"] = settings["missing"]
    return Check(
        name=text("name", said["name"]) if "name" in said else "",
        spec=spec.text,
        direction=_direction(spec, regression is not None),
        maximum=maximum,
        minimum=minimum,
        regression=regression,
        by=settings["by"],
        min_rows=None if said.get("min-rows") is None else whole("min-rows", said["min-rows"]),
        severity=said.get("severity", "error"),
        on_inconclusive=said.get("on-inconclusive", "fail"),
        conditions={name: value for name, value in conditions.items() if value is not None},
    )


def _direction(spec: Spec, needed: bool) -> str:
    """Which way is better, from the declarations; a negative coefficient turns it round."""
    turned = {"lower": "higher", "higher": "lower"}
    ways = {
        turned.get(t.bound.loss.direction, "zero") if t.coefficient < 0 else t.bound.loss.direction
        for t in spec.terms
    }
    if len(ways) > 1 and needed:
        raise UsageError(
            f"'{visible(spec.text)}' has no max-regression: its parts get better in different ways",
            hint="check the parts one by one",
        )
    return ways.pop()


def _named(plans: Sequence[CheckPlan]) -> list[CheckPlan]:
    """Every check under a name of its own; two of the same given name are refused."""
    from dataclasses import replace

    given = [plan.check.name for plan in plans if plan.check.name]
    for name in given:
        if given.count(name) > 1:
            raise UsageError(f"two checks are named '{visible(name)}'", hint="give each its own name")
    taken, made = set(given), []
    for plan in plans:
        name, count = plan.check.name, 1
        if not name:
            name = plan.check.spec
            while name in taken:
                count += 1
                name = f"{plan.check.spec} ({count})"
            taken.add(name)
        made.append(replace(plan, check=replace(plan.check, name=name)))
    return made


def _placed(table: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """The table with its files relative to the configuration's folder."""
    made = dict(table)
    if folder and "files" in made:
        made["files"] = tuple(
            path
            if path == "-"
            else os.path.join(glob.escape(folder), path)
            if glob.has_magic(path)
            else os.path.join(folder, path)
            for path in texts("files", made["files"])
        )
    return made


def _dashed(roles: set[str]) -> set[str]:
    return {key for role in roles for key in _spellings(role)}


def _spellings(role: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((role, role.replace("_", "-"))))
