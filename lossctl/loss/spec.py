"""Spec strings: `huber:delta=1.5`, `mae,rmse`, `0.5*mse+0.1*kl`, the same everywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from lossctl.errors import BadSpec, UsageError, visible
from lossctl.loss.declare import Input, Loss
from lossctl.loss.params import number_text, value_text
from lossctl.loss.quoting import quoted, split, unquoted
from lossctl.loss.registry import get

__all__ = ["Bound", "Spec", "Term", "bind", "parse"]

_COEFFICIENT = re.compile(r"^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*\*\s*")


@dataclass(frozen=True)
class Bound:
    """A loss with every parameter decided; `columns` are inputs bound inside the spec."""

    loss: Loss
    params: Mapping[str, Any]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def inputs(self) -> Mapping[str, Input]:
        return self.loss.open_inputs(self.params) if self.loss.open_inputs else self.loss.inputs

    @property
    def arguments(self) -> tuple[str, ...]:
        return tuple(self.inputs) if self.loss.open_inputs else self.loss.arguments

    @cached_property
    def text(self) -> str:
        """The canonical spec: the loss's name and what differs from its defaults, in declared order."""
        parts = [self.loss.name]
        for name, column in self.columns.items():
            listed = [quoted(c) for c in column]
            parts.append(f"{name}={listed[0] if len(listed) == 1 else '[' + ','.join(listed) + ']'}")
        for name, param in self.loss.params.items():
            if self.params[name] != param.default:
                parts.append(f"{param.kebab}={value_text(self.params[name])}")
        return ":".join(parts)

    def signature(self, reduction: str, version: str) -> str:
        """How exactly the number came about: every parameter, default or not."""
        params = [f"{p.kebab}={value_text(self.params[n])}" for n, p in self.loss.params.items()]
        return "|".join([self.loss.name, *params, reduction, "exact", f"lossctl {version}"])


class Term(NamedTuple):
    coefficient: float
    bound: Bound


@dataclass(frozen=True)
class Spec:
    """One result column: a loss, or a weighted sum of several."""

    terms: tuple[Term, ...]

    @property
    def is_sum(self) -> bool:
        return len(self.terms) > 1 or self.terms[0].coefficient != 1.0

    @cached_property
    def text(self) -> str:
        """Canonical text; parsing it gives the same spec."""
        return "+".join(
            (f"{number_text(t.coefficient)}*" if t.coefficient != 1.0 else "") + t.bound.text
            for t in self.terms
        )

    @property
    def direction(self) -> str | None:
        """Which way it gets better: lower, higher or zero; None where the parts of a sum disagree."""
        turned = {"lower": "higher", "higher": "lower"}
        ways = {
            turned.get(t.bound.loss.direction, "zero") if t.coefficient < 0 else t.bound.loss.direction
            for t in self.terms
        }
        return ways.pop() if len(ways) == 1 else None


def bind(loss: Loss, given: Mapping[str, Any], like: str | None = None) -> dict[str, Any]:
    """All parameters of the loss: explicit ones win over the library's, those over the defaults.

    Raises UsageError naming the libraries that have the loss when `like` does not.
    """
    conventions: Mapping[str, Any] = {}
    if like is not None:
        known = [entry for entry in loss.likes if entry.exists]
        match = [entry for entry in known if entry.library == like.lower()]
        if not match:
            names = ", ".join(dict.fromkeys(entry.library for entry in known)) or "no other library"
            raise UsageError(
                f"--like {like}: {loss.name} cannot follow that library",
                hint=f"it can follow: {names}; see: lossctl explain {loss.name}",
            )
        conventions = match[0].params
    explicit = {key.replace("-", "_"): value for key, value in given.items()}
    return loss.resolve({**conventions, **explicit})


def parse(text: str, *, like: str | None = None, given: Mapping[str, Any] | None = None) -> list[Spec]:
    """Specs in `text`, separated by commas. `given` are parameters for a single plain loss.

    Raises BadSpec, UnknownName or BadValue.
    """
    try:
        return _parsed(text, like, given or {})
    except UsageError as error:
        better = _better(text)
        if better is not None:
            error.hint = f"write '{visible(better)}'"
        raise


def _better(text: str) -> str | None:
    """The spec that `text` was probably meant to be, where there is one."""
    from lossctl.loss.rewrite import rewritten  # only a refusal asks for it

    better = rewritten(text)
    if better is None or better == text:
        return None
    try:
        _parsed(better, None, {})
    except UsageError:
        return None
    return better


def _parsed(text: str, like: str | None, given: Mapping[str, Any]) -> list[Spec]:
    specs: list[Spec] = []
    for offset, part in split(text, ","):
        if specs:
            _refuse_parameter(part, offset, text, specs[-1].terms[-1].bound)
        specs.append(_sum(part, offset, text, like, given))
    if not specs:
        raise BadSpec(text, "it is empty", hint="name a loss, such as mae; see: lossctl list")
    seen: set[str] = set()
    for spec in specs:
        if spec.text in seen:
            raise BadSpec(text, f"'{spec.text}' stands in it twice", hint="name each loss once")
        seen.add(spec.text)
    return specs


def _refuse_parameter(part: str, offset: int, whole: str, before: Bound) -> None:
    """A comma begins another loss, so no parameter of the one before it can follow."""
    key, equals, _ = part.partition("=")
    if equals and key.strip().replace("-", "_") in {*before.loss.params, *before.loss.inputs}:
        at = offset + len(part) - len(part.lstrip())
        raise BadSpec(
            whole,
            f"'{visible(key.strip())}' is a parameter of {before.loss.name}; parameters are joined by ':'",
            at=at,
        )


def _sum(part: str, offset: int, whole: str, like: str | None, given: Mapping[str, Any]) -> Spec:
    terms = []
    for at, piece in split(part, "+"):
        found = _COEFFICIENT.match(piece)
        body = piece[found.end() :] if found else piece
        start = offset + at + (found.end() if found else 0)
        if found and not math.isfinite(float(found.group(1))):
            raise BadSpec(whole, "the coefficient is not a finite number", at=offset + at)
        terms.append(Term(float(found.group(1)) if found else 1.0, _bound(body, start, whole, like, given)))
    return Spec(tuple(terms))


def _bound(body: str, at: int, whole: str, like: str | None, given: Mapping[str, Any]) -> Bound:
    pieces = list(split(body, ":"))
    name = pieces[0][1].strip() if pieces else ""
    if not re.fullmatch(r"[A-Za-z][\w-]*", name):
        at += len(body) - len(body.lstrip())
        raise BadSpec(whole, "a loss name is expected here", at=at, hint="specs look like huber:delta=1.5")
    loss = get(name)
    params: dict[str, Any] = {}
    columns: dict[str, tuple[str, ...]] = {}
    for offset, piece in pieces[1:]:
        key, equals, value = piece.partition("=")
        key = key.strip()
        if not equals or not key:
            names = ", ".join(param.kebab for param in loss.params.values()) or "none"
            hint = f"the parameters of {loss.name} are: {names}"
            raise BadSpec(whole, f"'{piece}' is not name=value", at=at + offset, hint=hint)
        snake = key.replace("-", "_")
        if snake in params or snake in columns:
            raise BadSpec(whole, f"'{key}' is set twice", at=at + offset)
        if snake in loss.inputs and snake not in loss.params:
            columns[snake] = tuple(_names(value))
        else:
            params[snake] = unquoted(value)
    return Bound(loss, bind(loss, {**params, **given}, like), columns)


def _names(value: str) -> Iterator[str]:
    body = value.strip()
    if body.startswith("[") and body.endswith("]"):
        for _, part in split(body[1:-1], ","):
            yield unquoted(part)
    else:
        yield unquoted(body)
