"""A loss's docstring, read into the sections that `explain` and `--help` show."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

SECTIONS = (
    "Formula",
    "Gradient",
    "Aggregate",
    "Use when",
    "Avoid when",
    "Numerics",
    "See also",
    "References",
)
_HEAD = re.compile(rf"^({'|'.join(SECTIONS)}): *(.*)$")


@dataclass(frozen=True)
class Doc:
    """summary: the first line; sections: by heading, paragraphs joined; example: the doctest's lines."""

    summary: str
    sections: dict[str, str] = field(default_factory=dict)
    example: str = ""


def parse_doc(text: str | None) -> Doc:
    lines = inspect.cleandoc(text or "").splitlines()
    if not lines:
        return Doc("")
    sections: dict[str, list[str]] = {}
    example: list[str] = []
    heading: str | None = None
    for line in lines[1:]:
        found = _HEAD.match(line)
        if line.startswith(">>>") or (example and line.strip()):
            example.append(line)
        elif found:
            heading = found.group(1)
            sections[heading] = [found.group(2)]
        elif heading and line.strip():
            sections[heading].append(line.strip())
    joined = {name: " ".join(part for part in parts if part) for name, parts in sections.items()}
    return Doc(lines[0].strip(), joined, "\n".join(example))
