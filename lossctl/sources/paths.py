"""Paths as given -> the files they mean: globs, directories, hive keys, each file once."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from lossctl.errors import DataError, visible
from lossctl.sources.base import Identity, refusing

STDIN = "-"
_ENDINGS = (".parquet", ".parq", ".pq", ".csv", ".tsv")
_PACKED = (".gz", ".zst", ".bz2")
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Found:
    """One file to read, as it was when found."""

    path: str
    identity: Identity | None
    partition: dict[str, str | None] = field(default_factory=dict)


def find(paths: Sequence[str]) -> list[Found]:
    """Every file meant by `paths`, in the order given (sorted within a glob or directory)."""
    if not paths:
        raise DataError("no input file was given")
    found: list[Found] = []
    seen: dict[tuple[int, int], str] = {}
    for path in _spread(paths):
        one = _look(path)
        key = (one.identity.device, one.identity.inode) if one.identity else (-1, -1)
        if key in seen:
            again = "" if seen[key] == path else f" (it is also {visible(seen[key])})"
            raise DataError(f"the same file is given twice{again}", path=path, hint="give it once")
        seen[key] = path
        found.append(one)
    return found


def _spread(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if path == STDIN:
            yield path
            continue
        with refusing(path):
            if "\0" in path:
                raise DataError("a file name cannot hold a NUL", path=path)
            names = _matches(path)
            below = [list(_inside(name)) if os.path.isdir(name) else [name] for name in names]
        for files in below:
            yield from files


def _matches(path: str) -> list[str]:
    if os.path.lexists(path) or not glob.has_magic(path):
        return [path]
    names = [name for name in sorted(glob.glob(path, recursive=True)) if not _leftover(name, path)]
    if not names:
        raise DataError("the pattern matches no file", path=path, hint="check the directory and the quotes")
    # `**` lists a directory and also everything in it: what is inside counts once
    folders = {name for name in names if os.path.isdir(name)}
    if "**" in path and len(folders) < len(names):
        return [name for name in names if name not in folders]
    return names


def _leftover(name: str, pattern: str) -> bool:
    """What writers leave beside data: `_SUCCESS` and the like, and `_temporary` directories under `**`."""
    folder, file = os.path.split(name)
    if file.startswith("_") and not _is_data(file) and not os.path.isdir(name):
        return True
    given = set(pattern.split(os.sep))
    return "**" in pattern and any(p.startswith("_") and p not in given for p in folder.split(os.sep))


def _inside(folder: str) -> list[str]:
    files = sorted(_walk(folder, frozenset()))
    if not files:
        raise DataError(
            "the directory holds no .parquet or .csv file", path=folder, hint="name the files instead"
        )
    return files


def _walk(folder: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    state = os.stat(folder)
    here = (state.st_dev, state.st_ino)
    if here in above:
        raise DataError("the directory contains itself through a link", path=folder)
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, above | {here})
        elif _is_data(entry.name):
            yield entry.path


def _is_data(name: str) -> bool:
    low = name.lower()
    for packed in _PACKED:
        low = low.removesuffix(packed)
    return low.endswith(_ENDINGS)


def _look(path: str) -> Found:
    if path == STDIN:
        return Found(path, _stdin())
    with refusing(path):
        state = os.stat(path)
        if stat.S_ISSOCK(state.st_mode) or stat.S_ISBLK(state.st_mode):
            raise DataError("not a file that can be read", path=path)
    return Found(path, Identity.of(state), hive_keys(path))


def _stdin() -> Identity | None:
    try:
        return Identity.of(os.fstat(sys.stdin.fileno()))
    except (AttributeError, OSError, ValueError):
        return None


def hive_keys(path: str) -> dict[str, str | None]:
    """`.../year=2024/part.parquet` -> {"year": "2024"}."""
    keys: dict[str, str | None] = {}
    for part in os.path.dirname(path).split(os.sep):
        key, sign, value = part.partition("=")
        if sign and key and "=" not in value:
            name = unquote(key)
            if name in keys:
                raise DataError(f"two directories give '{visible(name)}'", path=path)
            keys[name] = None if value == _HIVE_NULL else unquote(value)
    return keys
