"""A slow, strict reader of CSV by the documented rules, sharing no code with lossctl.

The csv module in strict mode cuts records and fields, `float` rounds, `Decimal` tells what a double cannot
hold. Bytes are text in Latin-1 here, so that nothing is lost before it is known which columns must be UTF-8.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

csv.field_size_limit(1 << 30)

Cell = float | str | None
WIDE = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")


class Refused(Exception):
    """The file is no table; `row` (0-based) is the first one that breaks a rule, on line `line`."""

    def __init__(self, why: str, row: int | None = None, line: int | None = None) -> None:
        super().__init__(why)
        self.row, self.line = row, line
        self.malformed = False  # then the place may be told by its line alone


@dataclass
class Table:
    """The wanted columns of a file, and what its reader must warn of; with a fault, the rows before it."""

    columns: dict[str, list[Cell]]
    rows: int
    lines: list[int] = field(default_factory=list)
    vanished: int = 0
    unended: bool = False
    fault: Refused | None = None


def read(
    data: bytes, delimiter: str, wanted: Mapping[str, str], na: Sequence[str], unzstd: bytes | None
) -> Table:
    """The columns of `wanted` (name to 'number' or 'text'); raises Refused where no row is to blame.

    `unzstd`: what is within zstd.
    """
    raw = unpacked(data, unzstd)
    if data[:1] in (b"{", b"["):
        raise Refused("looks like JSON")
    if raw.startswith(WIDE):
        raise Refused("not UTF-8")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    records = _records(raw, delimiter)
    header, _ = next(records, (None, 0))
    names = _names(raw, header)
    for name in wanted:
        if names.count(name) != 1:
            raise Refused(f"column {name} is there {names.count(name)} times")
    at = {name: names.index(name) for name in wanted}
    table = Table({name: [] for name in wanted}, 0, unended=raw[-1:] not in (b"\n", b"\r"))
    try:
        _rows(table, records, at, wanted, len(names), na)
    except Refused as fault:
        table.fault = fault
    if not table.rows and table.fault is None:
        raise Refused("no rows")
    return table


def _rows(
    table: Table,
    records: Iterator[tuple[list[str], int]],
    at: Mapping[str, int],
    wanted: Mapping[str, str],
    width: int,
    na: Sequence[str],
) -> None:
    blank: Refused | None = None
    numbered = enumerate(_numbered(records))
    while True:
        try:
            row, (cells, line) = next(numbered)
        except StopIteration:
            return
        except Refused as fault:
            raise blank or fault from None
        if width > 1 and not cells:
            blank = blank or Refused("blank line", row, line)
        elif blank is not None:
            raise blank
        else:
            _row(table, at, wanted, cells or [""], width, na, row, line)


def unpacked(data: bytes, unzstd: bytes | None) -> bytes:
    """What is inside gzip or bzip2: every member, nothing after the last but the zeros that gzip allows."""
    try:
        if data.startswith(b"\x1f\x8b"):
            return gzip.decompress(data)
        if data.startswith(b"BZh") and data[3:4].isdigit() and data[4:8] in (b"1AY&", b"\x17rE8"):
            out = b""
            while data:
                box = bz2.BZ2Decompressor()
                out += box.decompress(data)
                if not box.eof:
                    raise Refused("cut off")
                data = box.unused_data
            return out
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise Refused(f"damaged: {error}") from error
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        if unzstd is None:
            raise Refused("damaged zstd")
        return unzstd
    return data


def _records(raw: bytes, delimiter: str) -> Iterator[tuple[list[str], int]]:
    """Records with the line on which each starts."""
    reader = csv.reader(io.StringIO(raw.decode("latin-1"), newline=""), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise Refused(f"malformed: {error}") from error
        yield record, line
        line = reader.line_num + 1


def _numbered(records: Iterator[tuple[list[str], int]]) -> Iterator[tuple[list[str], int]]:
    """The same, with the row in the refusal of a malformed one."""
    row = 0
    try:
        for row, record in enumerate(records, 1):  # noqa: B007 - the count is needed after the loop
            yield record
    except Refused as fault:
        located = Refused(str(fault), row)
        located.malformed = True
        raise located from fault


def _names(raw: bytes, header: list[str] | None) -> list[str]:
    if not header:
        raise Refused("no header")
    first = re.split(rb"[\r\n]", raw, maxsplit=1)[0]
    if raw.startswith(b"#") or "\0" in "".join(header) or not (first.strip() or len(header) > 1 or header[0]):
        raise Refused("the header is no header")
    try:
        names = [name.encode("latin-1").decode() for name in header]
    except UnicodeDecodeError as error:
        raise Refused("the header is not UTF-8") from error
    if len(names) == 1 and (not names[0].strip() or any(mark in names[0] for mark in ";\t|,")):
        raise Refused("one column, by another delimiter")
    return names


def _row(
    table: Table,
    at: Mapping[str, int],
    wanted: Mapping[str, str],
    cells: list[str],
    width: int,
    na: Sequence[str],
    row: int,
    line: int,
) -> None:
    if any("\0" in cell for cell in cells):
        raise Refused("NUL", row)
    if len(cells) != width:
        raise Refused("width", row, line)
    for name, kind in wanted.items():
        text = cells[at[name]]
        if text == "" or text in na:
            table.columns[name].append(None)
        elif kind == "text":
            try:
                table.columns[name].append(text.encode("latin-1").decode())
            except UnicodeDecodeError as error:
                raise Refused("text is not UTF-8", row, line) from error
        else:
            value = number(text)
            if value is None:
                raise Refused(f"{text!r} is not a number that a double can be", row, line)
            table.columns[name].append(value)
            table.vanished += value == 0 and bool(set(text.lower().partition("e")[0]) & set("123456789"))
    table.rows += 1
    table.lines.append(line)


def number(text: str) -> float | None:
    """The double that a cell means; None if it means none, or one that a double cannot be."""
    bare = text.strip(" \t")
    word = bare.lstrip("+-").lower() if len(bare) - len(bare.lstrip("+-")) < 2 else ""
    if word in ("inf", "infinity", "nan") or re.fullmatch(r"nan\([0-9a-z_]*\)", word):
        return -math.inf if bare[0] == "-" and word[0] == "i" else float(word[:3])
    if not bare or set(bare) - set("0123456789+-.eE"):
        return None
    try:
        value = float(bare)
    except ValueError:
        return None
    whole = not set(bare) & set(".eE")
    lossy = whole and math.isfinite(value) and abs(value) >= 2.0**53 and Decimal(bare) != Decimal(value)
    return None if math.isinf(value) or lossy else value
