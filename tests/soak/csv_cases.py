"""CSV files at random, one for every seed: a table in an odd but legal dialect, often damaged afterwards."""

from __future__ import annotations

import bz2
import gzip
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa

NUMBERS = ["0", "-0.0", "+.5", "5.", "1E5", "007", "1e-320", "1e-400", "9007199254740992", "1e308", "-1e-999"]
NUMBERS += [
    "9007199254740993.0",
    "0." + "0" * 330 + "1",
    "1" + "0" * 22,
    "18014398509481984",
    "-9007199254740994",
]
ODD = ["", "", "NA", "-999", "nan", "inf", "-Infinity", "1e400", "9007199254740993", "1_000", "0x10", "1,5"]
ODD += [
    "TRUE",
    "--1",
    "1e",
    "e5",
    "nan(x)",
    " ",
    "1 2",
    "1.5f",
    "50%",
    "\u0661",
    "\uff11",
    "1.2.3",
    "+-1",
    "-",
]
WORDS = [
    "a",
    "",
    '"',
    ",",
    ";",
    "\n",
    "\r\n",
    "\r",
    "\u00e9",
    "1.5",
    " x ",
    '""',
    "\ufeff",
    "NA",
    "\t",
    "|",
    "#",
]
BYTES = b'"",;\t|\n\r\n\r\0 \xff\x1ae+-.x\'#01'
DIGITS = b"0123456789" * 5 + b"e.-+ "


@dataclass(frozen=True)
class Case:
    """Bytes, and everything said to lossctl about them."""

    data: bytes
    delimiter: str = ","
    wanted: tuple[tuple[str, str], ...] = (("y", "number"), ("p", "number"))
    weight: bool = False
    by: bool = False
    nan: str = "error"
    na: tuple[str, ...] = ()
    block: int = 1 << 20
    chunk: int | None = None
    threads: int = 1
    cells: bool = False
    unzstd: bytes | None = None
    damaged: bool = False
    piped: bool = False


def spelled(pick: random.Random) -> str:
    """A number in some spelling."""
    value = pick.choice(
        [pick.gauss(0, 1), pick.uniform(-1e6, 1e6), pick.gauss(0, 1) * 10.0 ** pick.randint(-40, 40)]
    )
    form = pick.choice(["{!r}", "{:.3f}", "{:e}", "{:.20g}", "{:.0f}", "{:+.17g}", "{:.30f}", "{:E}"])
    return form.format(value) if abs(value) < 1e15 else repr(value)


def cell(pick: random.Random, kind: str, odd: float) -> str:
    if kind == "text":
        return "".join(pick.choices(WORDS, k=pick.randrange(4))) or ("" if pick.random() < odd else "a")
    if pick.random() < odd:
        return pick.choice(ODD)
    text = pick.choice(NUMBERS) if pick.random() < 0.1 else spelled(pick)
    if kind == "weight":
        text = text.lstrip("-") if pick.random() < 1 - odd / 9 else text
    pad = pick.choice([" ", "\t", "  "]) if pick.random() < 0.05 else ""
    return pick.choice([pad + text, text + pad])


def written(pick: random.Random, text: str, delimiter: str, quoting: float) -> bytes:
    """One field, quoted where it must be, and otherwise by chance."""
    must = text[:1] == '"' or any(mark in text for mark in (delimiter, "\r", "\n"))
    raw = text.encode()
    if must or pick.random() < quoting:
        return b'"' + raw.replace(b'"', b'""') + b'"'
    return raw


def generate(pick: random.Random) -> Case:
    """A legal file (but for odd values and blank lines, both rare), plain every third time."""
    plain = pick.random() < 0.35
    delimiter = "," if plain else pick.choice(",,,;\t|")
    kinds = {"y": "number", "p": "number", "w": "weight", "g": "text"}
    some = pick.sample(["w", "g"], pick.randrange(3))
    names = (
        ["y"] if pick.random() < 0.08 else ["y", "p", *(some if not plain else [n for n in some if n == "w"])]
    )
    extra = [f"x{at}" for at in range(pick.choice([0, 0, 0, 1, 2, 30]))]
    columns = [*names, *extra]
    pick.shuffle(columns)
    if len(columns) > 1 and pick.random() < 0.02:
        columns[0] = columns[-1]
    odd = pick.choice([0, 0, 0, 0, 0, 0.01, 0.1])
    quoting = 0.0 if plain else pick.choice([0, 0, 0.1, 1])
    ends = (
        [b"\n"]
        if plain
        else pick.choice([[b"\n"], [b"\r\n"], [b"\r"], [b"\n", b"\r\n"], [b"\n", b"\r\n", b"\r"]])
    )
    unused = pick.choice(["number", "text"]) if not plain else "number"
    lines = [[name if pick.random() < 0.999 else f" {name}" for name in columns]]
    for _ in range(pick.choice([0, 1, 2, 5, 5, 5, 20, 20, 20, 60, 60, 300])):
        lines.append([cell(pick, kinds.get(name, unused), odd if name in kinds else 0.1) for name in columns])
    mark = delimiter.encode()
    parts = [b"\xef\xbb\xbf"] if pick.random() < 0.1 else []
    for line in lines:
        raw = mark.join(written(pick, text, delimiter, quoting) for text in line)
        if unused == "text" and extra and line is not lines[0] and pick.random() < 0.05:
            raw = raw.replace("\u00e9".encode(), b"\xe9")
        parts += [raw, pick.choice(ends)]
        if pick.random() < 0.001:
            parts.append(pick.choice(ends))
    if pick.random() < 0.3:
        parts.pop()
    elif pick.random() < 0.1:
        parts += [pick.choice(ends)] * pick.randrange(1, 4)
    data = b"".join(parts)
    block = pick.choice([5, 16, 33, 100, 700, 1 << 20])
    role = {"y": "number", "p": "number", "w": "number", "g": "text"}
    return Case(
        data,
        delimiter,
        tuple((name, role[name]) for name in names),
        weight="w" in names,
        by="g" in names,
        nan=pick.choice(["error", "skip"]),
        na=pick.choice([(), (), (), ("NA", "-999"), ("nan", "-")]),
        block=max(block, len(data) // 20),
        chunk=pick.choice([None, 1, 7, 50]),
        threads=pick.choice([1, 2]),
        cells=len(names) == 1 or pick.random() < 0.3,
        piped=pick.random() < 0.1,
    )


def mutated(pick: random.Random, data: bytes) -> bytes:
    """A few bytes changed, taken out, put in or said twice; now and then the end cut off."""
    text = bytearray(data)
    for _ in range(pick.choice([1, 1, 1, 2, 3, 6])):
        if not text:
            break
        at, span = pick.randrange(len(text)), pick.choice([1, 1, 1, 2, 5, 40])
        roll = pick.randrange(8)
        if roll < 2:
            text[at] = pick.choice(BYTES if roll else DIGITS)
        elif roll == 2:
            text[at] ^= 1 << pick.randrange(8)
        elif roll == 3:
            del text[at : at + span]
        elif roll == 4:
            text[at:at] = bytes(pick.choices(BYTES, k=min(span, 5)))
        elif roll == 5:
            text[at:at] = text[at : at + span]
        elif roll == 6:
            marks = [place for place, byte in enumerate(text) if byte in b",;\t|\r\n"]
            text[pick.choice(marks or [at])] = pick.choice(BYTES)
        elif pick.random() < 0.3:
            del text[at:]
    return bytes(text)


def packed(pick: random.Random, case: Case) -> Case:
    """Compressed one time in seven, in several members or damaged now and then."""
    if pick.random() > 0.15:
        return case
    cut = pick.randrange(len(case.data) + 1)
    members = [case.data[:cut], case.data[cut:]] if pick.random() < 0.3 else [case.data]
    how = pick.choice(["gzip", "bzip2", "zstd"])
    if how == "zstd":
        data = b"".join(map(_zstd, members))
        roll = pick.random()
        if roll < 0.2:  # a flipped bit cannot be seen: Arrow writes these frames without a checksum
            data = (
                data[: pick.randrange(4, len(data))] if roll < 0.1 else data + bytes([pick.randrange(1, 256)])
            )
            whole = data == _zstd(members[0])
            return replace(case, data=data, unzstd=members[0] if whole else None, damaged=True)
        return replace(case, data=data, unzstd=case.data)
    pack: Callable[[bytes], bytes] = gzip.compress if how == "gzip" else bz2.compress
    data = b"".join(map(pack, members))
    damaged = pick.random() < 0.4
    return replace(case, data=mutated(pick, data) if damaged else data, damaged=damaged)


def _zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    made: bytes = sink.getvalue().to_pybytes()
    return made


def make(seed: str) -> Case:
    pick = random.Random(seed)
    case = generate(pick)
    if pick.random() < 0.5:
        case = replace(case, data=mutated(pick, case.data))
    return packed(pick, case)
