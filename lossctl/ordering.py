"""The order in which globs find columns, held against what a loss makes of it: a wrong class looks right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from lossctl.errors import DataError, UsageError, visible

if TYPE_CHECKING:
    from lossctl.columns import Feed, Schema
    from lossctl.loss.spec import Bound

# Inputs that a kernel compares element by element.
COMPARED = (("target", "pred"), ("first", "second"), ("anchor", "positive", "negative"), ("mu", "logvar"))

_SHOWN = 12
_NUMBER = re.compile(r"\D*?(\d+(?:[._]\d+)?)\D*", re.ASCII)

__all__ = ["COMPARED", "refuse_disorder"]


def refuse_disorder(
    bound: Bound, asked: Mapping[str, str | Sequence[str]], feeds: Mapping[str, Feed], schema: Schema
) -> None:
    """Refuse vectors found in an order that gives a wrong class or level or pairs the wrong elements, and one
    column in two roles that are compared: it would be all right with itself."""
    for name, feed in feeds.items():
        of = feed.form.of if feed.form.kind == "label" else None
        if of is not None and of in asked:
            _refuse_classes(of, asked[of], feed.classes, schema)
        if feed.form.length and name in asked:
            _refuse_levels(name, asked[name], bound.params[feed.form.length], feed.form.length, schema)
    for names in COMPARED:
        _refuse_same({name: feeds[name].columns for name in names if name in feeds})
        first, *others = [name for name in names if name in asked and len(feeds[name].columns) > 1] or [""]
        for other in others:
            _refuse_pair({name: asked[name] for name in (first, other)}, schema)


def _refuse_same(places: Mapping[str, tuple[str, ...]]) -> None:
    for (one, first), (other, second) in combinations(places.items(), 2):
        if first == second:
            raise UsageError(
                f"--{_flag(one)} and --{_flag(other)} are the same: {_listed(first)}",
                hint=f"name other columns with --{_flag(one)} or --{_flag(other)}",
            )


def _refuse_classes(
    role: str, text: str | Sequence[str], classes: Sequence[str] | None, schema: Schema
) -> None:
    if classes is not None:
        found = schema.expand(role, text)
        meant = _by_class(found, classes)
        if meant is not None and meant != list(found):
            raise _disorder(role, found, meant, schema)
        if meant is not None:
            return
    for pattern, names in schema.globs(text).items():
        texts = _texts(pattern, names)
        numbered = {name: text for name, text in texts.items() if text.isascii() and text.isdecimal()}
        ordered = sorted(numbered, key=lambda name: _size(texts[name]))
        if len(numbered) == len(names) and ordered != names:
            raise _disorder(role, names, ordered, schema)
        if classes is None and numbered and schema.parts(text) == [pattern]:
            _refuse_numbers(role, names, numbered, schema)


def _refuse_numbers(role: str, names: Sequence[str], numbered: Mapping[str, str], schema: Schema) -> None:
    """Labels count the columns from 0: where these have other numbers, one of the two is misunderstood."""
    strange = [name for name in names if name not in numbered]
    if not strange and [int(text) for text in numbered.values()] == list(range(len(names))):
        return
    found = f"{_listed(strange)} among numbered columns" if strange else _listed(names)
    columns = f"--{_flag(role)} {_listed(list(numbered), ',')}"
    hint = f"where labels start at 0 name the columns in class order: {columns}"
    if not strange:
        hint += f"; where labels are these numbers add --classes {_listed(list(numbered.values()), ',')}"
    raise DataError(
        f"--{_flag(role)} finds {found}, but labels count columns from 0", path=schema.path, hint=hint
    )


def _refuse_levels(
    role: str, text: str | Sequence[str], levels: Sequence[float], parameter: str, schema: Schema
) -> None:
    """Columns with numbers in their names, such as q10, q50, q90, stand in the order of the levels."""
    found = _whole(text, schema)
    numbers = [_NUMBER.fullmatch(matched) for matched in found or ()]
    if found is None or len(numbers) != len(levels) or not all(numbers):
        return
    sizes = [float(match[1].replace("_", ".")) for match in numbers if match]
    by_level = sorted(range(len(levels)), key=lambda at: levels[at])
    by_name = sorted(range(len(levels)), key=lambda at: sizes[at])
    if by_level == by_name or len(set(sizes)) < len(sizes):
        return
    names, meant = list(found.values()), [""] * len(levels)
    for level, name in zip(by_level, by_name, strict=True):
        meant[level] = names[name]
    raise DataError(
        f"--{_flag(role)} finds the columns in the order {_listed(names)}, "
        f"--{_flag(parameter)} is {_listed([f'{level:g}' for level in levels])}",
        path=schema.path,
        hint=f"name the columns in the order of the levels, e.g. --{_flag(role)} {_listed(meant, ',')}",
    )


def _by_class(columns: Sequence[str], classes: Sequence[str]) -> list[str] | None:
    """The columns in the order of the classes they are named after; None if they are not."""
    first = classes[0]
    for name in columns:
        for match in re.finditer(f"(?={re.escape(first)})", name):
            head, tail = name[: match.start()], name[match.start() + len(first) :]
            named = [f"{head}{each}{tail}" for each in classes]
            if set(named) == set(columns):
                return named
    return None


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
