"""Losses by name. Families load when a name asks for one of theirs, so that start-up stays short."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import lossctl.losses
from lossctl.errors import UnknownName
from lossctl.loss.declare import _ALIASES, _REGISTRY, Loss
from lossctl.plugins import load_entry_points

__all__ = ["all_losses", "families", "get", "known_names", "related"]


@cache
def families() -> tuple[str, ...]:
    """Module names of the families, alphabetical."""
    found = (p.stem for folder in lossctl.losses.__path__ for p in Path(folder).glob("*.py"))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def get(name: str) -> Loss:
    """The loss of that name or alias (kebab-case or snake_case).

    Raises UnknownName with the nearest names.
    """
    wanted = name.strip().lower().replace("_", "-")
    if wanted not in _ALIASES:
        _load_family_of(wanted)
    if wanted not in _ALIASES:
        nearest = next((loss.name for loss in all_losses() if wanted in loss.scores), None)
        if nearest is not None:
            see = f"it is a score, of which more is better; the nearest loss is {nearest}"
            raise UnknownName("loss", name, (), see=see)
        raise UnknownName("loss", name, known_names(), see="see: lossctl list")
    return _REGISTRY[_ALIASES[wanted]]


def all_losses() -> list[Loss]:
    """Every registered loss, in the order of families and of declaration."""
    for family in families():
        _load(family)
    load_entry_points()
    order = {family: at for at, family in enumerate(families())}
    return sorted(_REGISTRY.values(), key=lambda loss: order.get(loss.family, len(order)))


def related(loss: Loss, shapes: Mapping[str, str]) -> list[Loss]:
    """Other losses of one of its tasks whose inputs may have these shapes; its own family first."""
    found = [
        other
        for other in all_losses()
        if set(other.tasks) & set(loss.tasks)
        and not other.pointwise
        and set(other.inputs) == set(shapes)
        and all(any(form.shape == shapes[name] for form in i.forms) for name, i in other.inputs.items())
    ]
    return sorted(found, key=lambda other: other.family != loss.family)


def known_names() -> list[str]:
    """Every name and alias."""
    all_losses()
    return sorted(_ALIASES)


def _load(family: str) -> None:
    importlib.import_module(f"lossctl.losses.{family}")


def _load_family_of(name: str) -> None:
    """Import only the families whose text contains the name, as a function or as a quoted alias.

    Reading ten source files takes under a millisecond; importing them all would take twenty.
    """
    marks = (f'"{name}"', f"def {name.replace('-', '_')}(")
    for family in families():
        for folder in lossctl.losses.__path__:
            file = Path(folder) / f"{family}.py"
            if file.exists():
                text = file.read_text(encoding="utf-8")
                if any(mark in text for mark in marks):
                    _load(family)
        if name in _ALIASES:
            return
