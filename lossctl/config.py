"""`lossctl.toml`, or [tool.lossctl] of pyproject.toml, and the flags of `gate` -> checks."""

from __future__ import annotations

import glob
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lossctl.config_checks import check_of, settings_of
from lossctl.config_values import column, known, text, texts
from lossctl.errors import BadValue, ResourceError, UsageError, visible
from lossctl.loss.spec import Spec, parse
from lossctl.plan import REDUCTIONS
from lossctl.verdicts import SIGNIFICANT, VALUE, Check

__all__ = ["CheckPlan", "GateConfig", "build", "discover", "load"]

SCHEMA = "lossctl.config/1"
TOP = ("schema", "baseline", "on-inconclusive", "needs", "data", "check")
SHARED = (
    *("files", "weight", "by", "where", "nan", "like", "reduction", "elements", "width"),
    *("input-format", "delimiter", "na", "min-rows", "expect-rows", "target-file", "on", "join"),
    "require-checksums",
    *("ci", "cluster", "seed", "resamples"),
)
OWN = ("name", "spec", "max", "min", "max-regression", "severity", "on-inconclusive", "needs")
CHOICES = {
    "nan": ("error", "skip", "propagate"),
    "elements": ("mean", "sum"),
    "severity": ("error", "warning"),
    "on-inconclusive": ("fail", "warn", "pass"),
    "reduction": REDUCTIONS[:-1],
    "input-format": ("csv", "parquet"),
    "join": ("strict", "inner"),
    "needs": (VALUE, SIGNIFICANT),
}


@dataclass(frozen=True)
class CheckPlan:
    """A check with what its pass needs: the loss, files, columns by role and the other settings.

    notes: what the user should know of how it is judged.
    """

    check: Check
    spec: Spec
    files: tuple[str, ...]
    columns: Mapping[str, str | tuple[str, ...]]
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()


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
    except RecursionError:
        raise UsageError(f"{visible(path)} is nested too deeply") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{visible(path)} is not TOML: {visible(error)}") from None


def build(
    config: GateConfig,
    shared: Mapping[str, Any],
    extra: Sequence[Mapping[str, Any]],
    given: Mapping[str, Any] | None = None,
) -> list[CheckPlan]:
    """All checks: those of the configuration, then `extra` from flags.

    `shared` wins over [data], `given` over the configuration's own needs and on-inconclusive.

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
    top = {name: data[name] for name in ("on-inconclusive", "needs") if name in data} | dict(given or {})
    pending = [(f"{origin}, check {at}", _placed(each, config.folder)) for at, each in enumerate(tables, 1)]
    pending += [("the command line", dict(each)) for each in extra]
    specs = [_spec(place, table, defaults) for place, table in pending]
    roles = {role for spec in specs for term in spec.terms for role in term.bound.inputs}
    with _at(f"{origin}, [data]"):
        for key in own:
            if key in TOP:
                raise UsageError(f"'{visible(key)}' does not stand here", hint="it belongs above [data]")
        known("key", defaults, (*SHARED, *sorted(_dashed(roles))))
    plans = []
    for (place, table), spec in zip(pending, specs, strict=True):
        with _at(place):
            plans.append(_plan(table, spec, defaults, top))
    with _at(origin):
        _used(defaults, plans)
    return _named(plans)


def _used(defaults: Mapping[str, Any], plans: Sequence[CheckPlan]) -> None:
    """Refuse what all checks share when none of them has a use for it."""
    for names, purpose, setting in (
        (("cluster", "seed", "resamples"), "an interval: say ci = 0.95 (--ci)", "ci"),
        (("on", "join"), "a join: name the target-file", "target_file"),
    ):
        for name in names:
            if defaults.get(name) is not None and not any(plan.settings[setting] for plan in plans):
                raise UsageError(f"{name} is for {purpose}")


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
    settings, notes = settings_of(said, table, spec)
    return CheckPlan(check_of(said, spec, settings), spec, files, columns, settings, notes)


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
        made["files"] = tuple(_inside(folder, path) for path in texts("files", made["files"]))
    if folder and made.get("target-file"):
        made["target-file"] = _inside(folder, text("target-file", made["target-file"]))
    return made


def _inside(folder: str, path: str) -> str:
    if path == "-":
        return path
    return os.path.join(glob.escape(folder) if glob.has_magic(path) else folder, path)


def _dashed(roles: set[str]) -> set[str]:
    return {key for role in roles for key in _spellings(role)}


def _spellings(role: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((role, role.replace("_", "-"))))
