"""Every way lossctl refuses, as one tree.

    LossctlError                 exit 70 when nothing more precise applies
      UsageError            2    the command, spec, parameter or config is wrong
        UnknownName              a loss, parameter, option or key that does not exist
        BadValue                 a parameter or option value outside its range
        BadSpec                  a loss spec or expression that cannot be parsed
      DataError             3    the data was refused
        MissingColumn            no such column, or none can be guessed
        AmbiguousColumn          several columns could play the role
        BadRow                   a value the loss or the reader cannot accept
        RowsDisagree             rows delivered differ from rows promised
        NoRowsLeft               every row was filtered or skipped
      ResourceError         4    permission, disk, memory cap, missing extra, engine

Each error takes facts and builds its own message: what happened, where, what to do.
`facts` holds the same as data, for the JSON form.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AmbiguousColumn",
    "BadRow",
    "BadSpec",
    "BadValue",
    "DataError",
    "LossctlError",
    "MissingColumn",
    "NoRowsLeft",
    "ResourceError",
    "RowRefused",
    "RowsDisagree",
    "UnknownName",
    "UsageError",
    "counted",
    "size_text",
    "visible",
]

_SHOWN = 12
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


def visible(text: object, limit: int = 200) -> str:
    """`text` with control and direction characters spelt out, so that data never acts on a terminal."""
    raw = str(text)
    out = []
    for char in raw[:limit]:
        code = ord(char)
        if code < 0x20 or 0x7F <= code < 0xA0:
            out.append(f"\\x{code:02x}")
        elif char in _BIDI or 0xD800 <= code < 0xE000:
            out.append(f"\\u{code:04x}")
        else:
            out.append(char)
    return "".join(out) + ("…" if len(raw) > limit else "")


def size_text(count: int) -> str:
    """A number of bytes for people, such as 1 kB or 4.29 GB, in the units that options take."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"


def counted(count: int, one: str, many: str) -> str:
    """`1 row has` or `1,200 rows have`."""
    return f"{count:,} {one if count == 1 else many}"


def _listed(names: Iterable[str]) -> str:
    shown = [visible(name) for name in names]
    more = f", … ({len(shown)} in all)" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


class LossctlError(Exception):
    """Base of all refusals; `exit_code` is the contract's, `facts` are what the JSON form carries."""

    exit_code = 70

    def __init__(self, message: str, *, hint: str | None = None, **facts: object) -> None:
        self.message = message
        self.hint = hint
        self.facts = {key: value for key, value in facts.items() if value is not None}
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(LossctlError):
    """The command line, a spec, a parameter or the configuration is wrong."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that is not one of the known ones; the nearest are suggested."""

    def __init__(self, what: str, name: str, known: Iterable[str], *, see: str | None = None) -> None:
        names = sorted(set(known))
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
        if near:
            hint = "did you mean " + " or ".join(f"'{n}'" for n in near) + "?"
        elif see:
            hint = see
        elif names:
            hint = f"there are: {_listed(names)}"
        else:
            hint = "there are none here"
        super().__init__(f"unknown {what} '{visible(name)}'", hint=hint, what=what, name=name, near=near)


class BadValue(UsageError):
    """A parameter or option with a value it cannot take."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(
            f"{name} cannot be {visible(value)!r}", hint=f"it takes {allowed}", name=name, value=str(value)
        )


class BadSpec(UsageError):
    """A loss spec or expression that cannot be parsed.

    `at` is the 0-based character; people and JSON are told it counted from 1.
    """

    def __init__(self, text: str, problem: str, *, at: int | None = None, hint: str | None = None) -> None:
        place = None if at is None else at + 1
        where = "" if place is None else f" at character {place}"
        super().__init__(
            f"cannot read '{visible(text, 120)}'{where}: {problem}", hint=hint, spec=text, at=place
        )


class DataError(LossctlError):
    """The data was refused; the place is file, 0-based data row within the file, and column."""

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        row: int | None = None,
        line: int | None = None,
        column: str | None = None,
        hint: str | None = None,
        **facts: object,
    ) -> None:
        place = []
        if path is not None:
            place.append(visible(path))
        if line is not None:
            place.append(f"line {line}")
        if row is not None:
            place.append(f"row {row}")
        if column is not None:
            place.append(f"column '{visible(column)}'")
        prefix = ", ".join(place) + ": " if place else ""
        super().__init__(prefix + message, hint=hint, path=path, row=row, line=line, column=column, **facts)

    def locate(self, path: str) -> None:
        """Say the file as well, unless it is said."""
        if "path" not in self.facts:
            more = ", " if self.facts.keys() & {"row", "line", "column"} else ": "
            self.message = visible(path) + more + self.message
            self.facts = {"path": path, **self.facts}


class MissingColumn(DataError):
    """A column that is not in the file, or a role no column could be guessed for."""

    def __init__(
        self, role: str, name: str | None, available: Iterable[str], *, path: str | None = None
    ) -> None:
        self.names = names = list(available)
        self.guessed = name is None
        if name is None:
            message, hint = f"no column for {role}", None
        else:
            near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
            folded = [n for n in names if n.strip().casefold() == name.strip().casefold()]
            closest = folded or near
            message = f"no column '{visible(name)}' for {role}"
            hint = (f"closest: {_listed(closest)}; " if closest else "") + f"columns are: {_listed(names)}"
        super().__init__(message, path=path, hint=hint, role=role, name=name, available=names)
        self.by(f"with --{role}")

    def by(self, way: str) -> None:
        """Say how a column is named where none was."""
        if self.guessed:
            self.hint = f"name it {way}; columns are: {_listed(self.names)}"


class AmbiguousColumn(DataError):
    """Several columns could play the role, so none is taken."""

    def __init__(self, role: str, candidates: Iterable[str], *, path: str | None = None) -> None:
        names = list(candidates)
        super().__init__(
            f"several columns could be {role}: {_listed(names)}",
            path=path,
            role=role,
            candidates=names,
        )
        self.by(f"with --{role}")

    def by(self, way: str) -> None:
        """Say how one of them is chosen."""
        self.hint = f"choose one {way}"


class BadRow(DataError):
    """A value in one row that the reader or the loss cannot accept."""


class RowRefused(DataError):
    """A row that a kernel cannot accept, by its number in the block: it knows neither file nor column.

    row: its number among all rows, once somebody knows it.
    """

    def __init__(self, role: str, at: int, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.role, self.at = role, at
        self.row = -1
        self.column: str | None = None

    def placed(self, path: str | None, row: int) -> BadRow:
        """The same of a row of a file."""
        return BadRow(self.message, path=path, row=row, column=self.column, hint=self.hint)


class RowsDisagree(DataError):
    """Rows delivered are not the rows the file promised."""

    def __init__(self, path: str, promised: int, delivered: int) -> None:
        super().__init__(
            f"the file promises {counted(promised, 'row', 'rows')} but delivered {delivered:,}",
            path=path,
            hint="the file is damaged or was cut; write it again",
            promised=promised,
            delivered=delivered,
        )


class NoRowsLeft(DataError):
    """Every row was filtered or skipped, so there is nothing to judge."""


class ResourceError(LossctlError):
    """Permission, disk, memory cap, missing extra or engine: not the data's fault."""

    exit_code = 4

    def __init__(self, message: str, *, path: str | None = None, hint: str | None = None) -> None:
        prefix = f"{visible(path)}: " if path is not None else ""
        super().__init__(prefix + message, hint=hint, path=path)
