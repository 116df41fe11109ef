"""Which columns play which role: named by the user, bound in a spec, or guessed when only one fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from lossctl.arrow import is_list
from lossctl.errors import AmbiguousColumn, DataError, MissingColumn, visible
from lossctl.loss.declare import Input
from lossctl.loss.kinds import Form
from lossctl.loss.registry import related
from lossctl.loss.spec import Bound
from lossctl.ordering import refuse_disorder
from lossctl.sources.base import Column

COMMON = {
    "target": ("y_true", "target", "label", "labels", "y", "actual", "truth", "ground_truth"),
    "pred": (
        "y_pred",
        "pred",
        "prediction",
        "yhat",
        "y_hat",
        "score",
        "prob",
        "proba",
        "p",
        "logit",
        "logits",
    ),
}


@dataclass(frozen=True)
class Feed:
    """Columns read as one form: what a kernel argument is made of. Equal feeds are read once."""

    columns: tuple[str, ...]
    form: Form
    classes: tuple[str, ...] | None = None
    ignore: int | None = None
    width_of: tuple[str, ...] | None = None
    width: int | None = None

    @cached_property
    def _hash(self) -> int:
        return hash((self.columns, self.form, self.classes, self.ignore, self.width_of, self.width))

    def __hash__(self) -> int:  # of seven nested parts, and asked for several times per block
        return self._hash


class Roles(NamedTuple):
    """Feeds of one loss by input name, and which of the inputs were guessed."""

    feeds: Mapping[str, Feed]
    guessed: tuple[str, ...]


class Schema:
    """The columns on offer and how a role finds its own among them."""

    def __init__(
        self,
        columns: Sequence[Column],
        path: str | None = None,
        joined: bool = False,
        files: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`columns` are those that every file has, `files` the names by path where there are several."""
        self.types = {column.name: column.type for column in columns}
        self.names = [column.name for column in columns]
        self.path = path
        self.joined = joined
        self.files = files or {}

    def listed(self, name: str) -> list[str]:
        """The columns of a comma list, where no column has the whole name and one has a part of it."""
        parts = [part.strip() for part in name.split(",")]
        return parts if not self.has(name) and any(self.has(part) for part in parts) else [name]

    def missing(self, role: str, name: str) -> MissingColumn:
        """The refusal of a column, with the first file that lacks it."""
        parts = self.listed(name)
        if len(parts) > 1:
            error = MissingColumn(role, name, self.names, path=self.path)
            error.hint = "name each alone: " + " ".join(f"--{role} {visible(part)}" for part in parts)
            return error
        head = name.partition(".")[0]
        for path, names in self.files.items():
            if not any(known in (name, head) or _matches(known, name) for known in names):
                return MissingColumn(role, name, names, path=path)
        return MissingColumn(role, name, self.names, path=self.path)

    def type_of(self, name: str) -> pa.DataType | None:
        """Arrow type of a column or of a struct field by dotted path; None for CSV text."""
        return self.types[name] if name in self.types else self._nested(name)

    def has(self, name: str) -> bool:
        return name in self.types or self._nested(name) is not None

    def _nested(self, name: str) -> pa.DataType | None:
        head, *rest = name.split(".")
        kind = self.types.get(head)
        for part in rest:
            if kind is None or not pa.types.is_struct(kind) or kind.get_field_index(part) < 0:
                return None
            kind = kind.field(part).type
        return kind if rest else None

    def expand(self, role: str, text: str | Sequence[str]) -> tuple[str, ...]:
        """Columns meant by a name, comma list or glob (in file order); MissingColumn otherwise."""
        globs = self.globs(text)
        found: list[str] = []
        for part in self.parts(text):
            matches = globs.get(part, [part])
            if not matches:
                raise self.missing(role, part)
            found.extend(matches)
        twice = [name for name, count in Counter(found).items() if count > 1]
        if twice:
            raise DataError(f"column '{twice[0]}' stands twice in --{role}", path=self.path)
        return tuple(self._side(role, name) for name in found)

    def parts(self, text: str | Sequence[str]) -> list[str]:
        """The names and globs of a comma list; a column's whole name is one, whatever it holds."""
        if not isinstance(text, str):
            return list(text)
        return [text] if self.has(text) else [part.strip() for part in text.split(",")]

    def globs(self, text: str | Sequence[str]) -> dict[str, list[str]]:
        """What each part that is no column matches, in file order."""
        return {
            part: [name for name in self.names if _matches(name, part)]
            for part in self.parts(text)
            if not self.has(part)
        }

    def _side(self, role: str, name: str) -> str:
        """The column of the file that a role belongs to, where two joined files both have the name."""
        side = f"{role}.{name}"
        return side if self.joined and role in COMMON and side in self.types else name

    def guess(self, role: str) -> tuple[str, ...]:
        """The one column whose name says that it is this role."""
        common = COMMON.get(role, (role, role.replace("_", "-")))
        folded = [n for n in self.names if n.strip().casefold() in common]
        exact = [n for n in self.names if n in common]
        candidates = exact or folded
        if len(candidates) > 1:
            raise AmbiguousColumn(role, candidates, path=self.path)
        if not candidates:
            raise self._unguessed(role, common)
        return (self._side(role, candidates[0]),)

    def _unguessed(self, role: str, common: Sequence[str]) -> DataError:
        """The refusal of a role, with the first file that has no column for it or calls it otherwise."""
        option = role.replace("_", "-")
        called: dict[str, str] = {}
        for path, names in self.files.items():
            own = next((name for name in names if name.strip().casefold() in common), None)
            if own is None:
                return MissingColumn(option, None, names, path=path)
            called[path] = own
        for path, own in called.items():
            if own != called[next(iter(called))]:
                before = next(iter(called.items()))
                return DataError(
                    f"'{visible(own)}' looks like {option}, but in {visible(before[0])} it is "
                    f"'{visible(before[1])}'",
                    path=path,
                    hint="call it the same in all files",
                )
        return MissingColumn(option, None, self.names, path=self.path)

    def is_vector(self, columns: tuple[str, ...]) -> bool:
        return len(columns) > 1 or is_list(self.type_of(columns[0]))


def _matches(name: str, pattern: str) -> bool:
    return any(c in pattern for c in "*?[") and fnmatchcase(name, pattern)


def assign(
    bound: Bound, given: Mapping[str, str | Sequence[str]], schema: Schema, width: int | None = None
) -> Roles:
    """The feeds of a loss. `given` are the user's columns by input name; the spec's own come first."""
    places: dict[str, tuple[str, ...]] = {}
    asked: dict[str, str | Sequence[str]] = {}
    guessed = []
    for name in bound.inputs:
        chosen = bound.columns.get(name, given.get(name))
        if chosen is None and bound.loss.open_inputs:
            if schema.has(name):
                chosen = (name,)
            elif name not in COMMON:
                raise schema.missing("the expression", name)
        places[name] = schema.expand(name, chosen) if chosen is not None else schema.guess(name)
        if chosen is None:
            guessed.append(name)
        else:
            asked[name] = chosen
    vectors = {name for name, columns in places.items() if schema.is_vector(columns)}
    feeds = {}
    for name, item in bound.inputs.items():
        form = choose_form(bound, item, name in vectors, bool(vectors - {name}))
        _refuse_truths(name, form, places[name], schema)
        feeds[name] = _feed(bound, form, places, name, width)
    _refuse_uneven(bound, feeds, schema)
    refuse_disorder(bound, asked, feeds, schema)
    return Roles(feeds, tuple(guessed))


def _refuse_uneven(bound: Bound, feeds: Mapping[str, Feed], schema: Schema) -> None:
    """A number beside a vector would be stretched over it, or over the rows: never what was meant."""
    wide = sorted(name for name, feed in feeds.items() if feed.form.shape == "vector")
    narrow = sorted(name for name, feed in feeds.items() if feed.form.shape == "scalar")
    if not (wide and narrow and (bound.loss.pointwise or ("target" in wide and "pred" in narrow))):
        return
    shapes = {name: feed.form.shape for name, feed in feeds.items()}
    others = [visible(loss.name) for loss in related(bound.loss, shapes)][:3]
    more = f"; one number beside a vector is for {' or '.join(others)}" if others else ""
    raise DataError(
        f"{bound.loss.name} compares element by element, but {', '.join(wide)} holds vectors "
        f"and {', '.join(narrow)} one number per row",
        path=schema.path,
        column=",".join(feeds[wide[0]].columns),
        hint=f"name one column for {', '.join(wide)}, or a vector as wide for {', '.join(narrow)}{more}",
    )


def _refuse_truths(name: str, form: Form, columns: Sequence[str], schema: Schema) -> None:
    """A prediction stored as true or false was rounded before: it is a class, but no number any more."""
    if name != "pred" or form.kind not in ("real", "prob", "positive"):
        return
    for column in columns:
        if _truths(schema.type_of(column)):
            raise DataError(
                f"holds truth values where the loss takes {form.kind} predictions",
                path=schema.path,
                column=column,
                hint="store the predicted numbers, or choose a loss for classes such as zero-one",
            )


def _truths(kind: pa.DataType | None) -> bool:
    while kind is not None and (is_list(kind) or pa.types.is_dictionary(kind)):
        kind = kind.value_type
    return kind is not None and bool(pa.types.is_boolean(kind))


def _feed(
    bound: Bound, form: Form, places: Mapping[str, tuple[str, ...]], name: str, width: int | None
) -> Feed:
    params: Mapping[str, Any] = bound.params
    if form.length:
        form = form._replace(width=len(params[form.length]))
    made = Feed(places[name], form)
    if form.kind == "label":
        made = replace(
            made,
            classes=params.get(form.names) if form.names else None,
            ignore=params.get(form.ignore) if form.ignore else None,
            width_of=places.get(form.of) if form.of else None,
        )
    if form.shape == "matrix" or (form.of and form.shape == "sequence"):
        made = replace(made, width=width)
    return made


def choose_form(bound: Bound, item: Input, vector: bool, others: bool) -> Form:
    """The form that fits: conditional forms by their flag, vectors for lists, labels beside vectors."""
    active = [f for f in item.forms if f.holds(bound.params)]
    forms = active or [f for f in item.forms if f.when is None]
    if vector:
        shaped = [f for f in forms if f.shape != "scalar"]
        if shaped:
            return shaped[0]
        if bound.loss.pointwise:
            return forms[0]._replace(shape="vector")
        raise DataError(
            f"{bound.loss.name} takes one number per row for {item.option}, not a vector",
            hint=f"name a single scalar column with --{item.option}",
        )
    scalars = [f for f in forms if f.shape == "scalar"]
    if not scalars:
        raise DataError(
            f"{bound.loss.name} needs a vector for {item.option}",
            hint=f"give --{item.option} a glob such as 'p_*', a comma list, or a list column",
        )
    labels = [f for f in scalars if f.kind == "label"]
    return labels[0] if labels and others else scalars[0]
