"""The order in which globs find columns, held against what a loss makes of it: a wrong class looks right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lossctl.errors import DataError, visible

if TYPE_CHECKING:
    from lossctl.columns import Feed, Schema

# Inputs that a kernel compares element by element.
COMPARED = (("target", "pred"), ("first", "second"), ("anchor", "positive", "negative"), ("mu", "logvar"))

_SHOWN = 12

__all__ = ["COMPARED", "refuse_disorder"]


def refuse_disorder(
    asked: Mapping[str, str | Sequence[str]], feeds: Mapping[str, Feed], schema: Schema
) -> None:
    """Refuse vectors found by globs in an order that gives a wrong class or pairs the wrong elements."""
    for feed in feeds.values():
        of = feed.form.of if feed.form.kind == "label" else None
        if of is not None and of in asked:
            _refuse_classes(of, asked[of], feed.classes, schema)
    for names in COMPARED:
        first, *others = [name for name in names if name in asked and len(feeds[name].columns) > 1] or [""]
        for other in others:
            _refuse_pair({name: asked[name] for name in (first, other)}, schema)


def _refuse_classes(
    role: str, text: str | Sequence[str], classes: Sequence[str] | None, schema: Schema
) -> None:
    whole = _whole(text, schema)
    if classes is not None and whole is not None and set(whole) == set(classes):
        if list(whole) != list(classes):
            raise _disorder(role, list(whole.values()), [whole[name] for name in classes], schema)
        return
    for pattern, names in schema.globs(text).items():
        texts = _texts(pattern, names)
        ordered = sorted(names, key=lambda name: _size(texts[name]))
        if all(each.isascii() and each.isdecimal() for each in texts.values()) and ordered != names:
            raise _disorder(role, names, ordered, schema)


def _refuse_pair(asked: Mapping[str, str | Sequence[str]], schema: Schema) -> None:
    (one, first), (other, second) = ((role, _whole(text, schema)) for role, text in asked.items())
    if first is None or second is None or set(first) != set(second) or list(first) == list(second):
        return
    raise DataError(
        f"--{_flag(one)} finds the columns in the order {_listed(list(first.values()))}, "
        f"--{_flag(other)} in the order {_listed(list(second.values()))}, so the wrong ones meet",
        path=schema.path,
        hint=f"name both in one order, e.g. --{_flag(other)} {_listed([second[key] for key in first], ',')}",
    )


def _disorder(role: str, found: Sequence[str], meant: Sequence[str], schema: Schema) -> DataError:
    return DataError(
        f"--{_flag(role)} finds the columns in the order {_listed(found)}, in which labels would count them",
        path=schema.path,
        hint=f"name the columns in class order, e.g. --{_flag(role)} {_listed(meant, ',')}",
    )


def _whole(text: str | Sequence[str], schema: Schema) -> dict[str, str] | None:
    """The columns by what a glob's wildcards matched, where one glob is all that was said."""
    globs = schema.globs(text)
    if len(globs) != 1 or len(schema.parts(text)) != 1:
        return None
    ((pattern, names),) = globs.items()
    return {matched: name for name, matched in _texts(pattern, names).items()}


def _texts(pattern: str, names: Sequence[str]) -> dict[str, str]:
    """By column, what stands where the pattern's wildcards are."""
    head, tail = len(re.split(r"[*?[]", pattern)[0]), len(re.split(r"[]*?]", pattern)[-1])
    return {name: name[head : len(name) - tail] for name in names}


def _size(digits: str) -> tuple[int, str]:
    """What sorts whole numbers of any length by value."""
    body = digits.lstrip("0")
    return len(body), body


def _flag(role: str) -> str:
    return role.replace("_", "-")


def _listed(names: Sequence[str], comma: str = ", ") -> str:
    shown = [visible(name) for name in names]
    return comma.join(shown[:_SHOWN] + ["…"] * (len(shown) > _SHOWN))
