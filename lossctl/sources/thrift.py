"""Thrift's compact protocol, as far as the headers of Parquet pages need it.

Anything that makes no sense raises ValueError, or IndexError where the bytes end.
"""

from __future__ import annotations

_DEPTH = 8
_MEMBERS = 256
TRUTHS, INTEGERS, STRUCT, STOP = (1, 2), (4, 5, 6), 12, 0

__all__ = ["INTEGERS", "STOP", "STRUCT", "field", "members", "number", "skip"]


def field(data: bytes, at: int, last: int) -> tuple[int, int, int]:
    """Kind and number of the field that begins here, and where its value begins."""
    head = data[at]
    if not head & 0xF0 and head:
        long, at = number(data, at + 1)
        return head & 0xF, long, at
    return head & 0xF, last + (head >> 4), at + 1


def number(data: bytes, at: int) -> tuple[int, int]:
    raw, at = _varint(data, at)
    return (raw >> 1) ^ -(raw & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("no number is so long")


def members(data: bytes, at: int) -> tuple[dict[int, int], int]:
    """The numbers of the struct that begins here by field, and where it ends."""
    found: dict[int, int] = {}
    last = 0
    while True:
        kind, last, at = field(data, at, last)
        if kind == STOP:
            return found, at
        if kind in INTEGERS:
            found[last], at = number(data, at)
        else:
            at = skip(data, at, kind, 0)


def skip(data: bytes, at: int, kind: int, depth: int) -> int:
    """Where the value that begins here ends."""
    if depth > _DEPTH:
        raise ValueError("nested too deep")
    if kind in TRUTHS:  # a truth value is its own field header
        return at
    if kind in INTEGERS:
        return _varint(data, at)[1]
    if kind == 8:
        length, at = _varint(data, at)
        return at + length
    if kind in (9, 10):
        return _skip_list(data, at, depth)
    if kind == STRUCT:
        last = 0
        while True:
            inner, last, at = field(data, at, last)
            if inner == STOP:
                return at
            at = skip(data, at, inner, depth + 1)
    if kind in (3, 7):
        return at + (1 if kind == 3 else 8)
    raise ValueError("no such kind in a page header")


def _skip_list(data: bytes, at: int, depth: int) -> int:
    count, kind = data[at] >> 4, data[at] & 0xF
    at += 1
    if count == 15:
        count, at = _varint(data, at)
    if count > _MEMBERS:
        raise ValueError("too many members")
    for _ in range(count):
        at = at + 1 if kind in TRUTHS else skip(data, at, kind, depth + 1)
    return at
