"""One check of a configuration, with what it shares with others, -> a Check and its pass's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossctl.bootstrap import LEVEL, Bootstrap, asked, require_totals
from lossctl.config_values import allowance, number, optional, text, texts, truth, whole
from lossctl.errors import UsageError, visible
from lossctl.loss.spec import Spec
from lossctl.result import conditions_of
from lossctl.verdicts import SIGNIFICANT, VALUE, Check

__all__ = ["check_of", "settings_of"]


def settings_of(
    said: Mapping[str, Any], own: Mapping[str, Any], spec: Spec
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """How the rows are read and aggregated, and notes; `own` is what the check itself says."""
    ci, notes = _interval(said, own, spec)
    made = {
        "weight": optional("weight", said),
        "by": texts("by", said.get("by", ())),
        "where": optional("where", said),
        "missing": said.get("nan", "error"),
        "reduction": said.get("reduction"),
        "elements": said.get("elements", "mean"),
        "width": _whole("width", said),
        "input_format": said.get("input-format"),
        "delimiter": optional("delimiter", said),
        "na": texts("na", said.get("na", ())),
        "expect_rows": _whole("expect-rows", said),
        "require_checksums": truth("require-checksums", said.get("require-checksums", False)),
        "ci": ci,
        **_join(said, own),
    }
    return made, notes


def _whole(name: str, said: Mapping[str, Any]) -> int | None:
    return None if said.get(name) is None else whole(name, said[name])


def _join(said: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    target_file = optional("target-file", said)
    if target_file is None:
        for name in ("on", "join"):
            if own.get(name):
                raise UsageError(f"{name} is for a join", hint="name the file of targets: target-file")
        return {"target_file": None, "on": (), "join": "strict"}
    on = said.get("on", ())
    keys = tuple(key.strip() for key in on.split(",")) if isinstance(on, str) else texts("on", on)
    if not keys:
        raise UsageError("target-file needs keys to join on", hint='name the key columns: on = "id"')
    return {"target_file": target_file, "on": keys, "join": said.get("join", "strict")}


def _interval(
    said: Mapping[str, Any], own: Mapping[str, Any], spec: Spec
) -> tuple[Bootstrap | None, tuple[str, ...]]:
    """What the check's interval is asked for with; a check that needs one has one, or is refused."""
    needed = said.get("needs", VALUE) == SIGNIFICANT
    if not needed and "ci" not in said:
        for name in ("cluster", "seed", "resamples"):
            if name in own:
                raise UsageError(f"{name} is for an interval", hint="ask for one with ci = 0.95")
        return None, ()
    drawn = {name: said.get(name) for name in ("seed", "resamples")}
    ci = asked("ci", said.get("ci", LEVEL), cluster=optional("cluster", said), **drawn)
    try:
        for term in spec.terms:
            require_totals(term.bound)
    except UsageError as error:
        if needed:
            error.hint = f'judge its value alone: needs = "{VALUE}"'
            raise
        if "ci" in own:
            error.hint = "leave out its ci"
            raise
        return None, (error.message,)
    return ci, ()


def check_of(said: Mapping[str, Any], spec: Spec, settings: Mapping[str, Any]) -> Check:
    """The limits and how they are judged; raises UsageError when there is none, or none could hold."""
    limits = [said.get(name) for name in ("max", "min", "max-regression")]
    if all(limit is None for limit in limits):
        raise UsageError("it has no limit", hint="give it max, min or max-regression")
    maximum, minimum = (
        None if x is None else number(n, x) for n, x in zip(("max", "min"), limits[:2], strict=True)
    )
    if maximum is not None and minimum is not None and minimum > maximum:
        raise UsageError(f"min {minimum!r} is above max {maximum!r}: nothing could pass")
    regression = None if limits[2] is None else allowance("max-regression", limits[2])
    if regression is not None and spec.direction is None:
        raise UsageError(
            f"'{visible(spec.text)}' has no max-regression: its parts get better in different ways",
            hint="check the parts one by one",
        )
    ci = settings["ci"]
    return Check(
        name=text("name", said["name"]) if "name" in said else "",
        spec=spec.text,
        direction=spec.direction or "lower",
        maximum=maximum,
        minimum=minimum,
        regression=regression,
        by=settings["by"],
        min_rows=_whole("min-rows", said),
        severity=said.get("severity", "error"),
        on_inconclusive=said.get("on-inconclusive", "fail"),
        needs=said.get("needs", VALUE),
        level=None if ci is None else ci.level,
        conditions=_conditions(settings),
    )


def _conditions(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Whatever else decides which rows count and how: a baseline has to have the same."""
    rows = conditions_of(settings["where"], settings["missing"], settings["na"], settings["join"])
    return rows if settings["weight"] is None else {"weight": settings["weight"], **rows}
