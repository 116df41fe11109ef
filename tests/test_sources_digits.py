"""The short road for plain numbers gives what the full reader gives, or nothing."""

from __future__ import annotations

import random
import struct

import pyarrow as pa
import pytest

from lossctl.sources.base import Plan, Tally
from lossctl.sources.cutter import Block
from lossctl.sources.digits import numbers
from lossctl.sources.strict import Strict


def block(text: bytes, rows: int) -> Block:
    return Block(text, len(text), rows, 0, 2, len(text), False)


def spelled(noise: random.Random) -> str:
    """A finite double in one of many spellings."""
    value = struct.unpack("<d", noise.randbytes(8))[0] if noise.random() < 0.5 else noise.gauss(0, 100)
    if value != value or abs(value) >= 2.0**53:
        value = noise.gauss(0, 1)
    return noise.choice([repr, "{:.3f}".format, "{:e}".format, "{:.20g}".format, "{:.1f}".format])(
        value
    ).replace("+", "")


@pytest.mark.parametrize("places", [[0], [2], [0, 2], [2, 0], [0, 1, 2]])
def test_both_roads_are_python_floats(places: list[int]) -> None:
    noise = random.Random(5)
    cells = [[spelled(noise) for _ in range(3)] for _ in range(3000)]
    text = "".join(",".join(row) + "\n" for row in cells).encode()
    expected = {at: [float(row[at]) for row in cells] for at in places}
    short = numbers(block(text, len(cells)), 3, ord(","), places)
    assert short is not None
    assert {at: short[at].to_pylist() for at in places} == expected
    names = {f"c{at}": (at,) for at in places}
    strict = Strict("f", b",", 3, Plan(dict.fromkeys(names, pa.float64()), names), Tally())
    strict._plain = False
    full = strict.parse(block(text, len(cells)))
    assert {at: full.column(f"c{at}").to_pylist() for at in places} == expected


@pytest.mark.parametrize(
    "text",
    [b"1,2\n3,\n", b"1,2\n3, 4\n", b"1,2\n+3,4\n", b'1,2\n"3",4\n', b"1,2\r\n3,4\r\n", b"1,2\n3,4",
     b"1,2\n3\n4,5,6\n", b"1,2,3\n4\n", b"1,2\n3,x\n", b"1,2\n3,4\0\n", b"1,2\n3,\xff\n", b"1\n2,3,4\n"],
)  # fmt: skip
def test_whatever_is_not_plain_is_left_alone(text: bytes) -> None:
    assert numbers(block(text, 2), 2, ord(","), [0, 1]) is None


def test_words_for_no_number_are_plain() -> None:
    found = numbers(block(b"nan\tinf\n-inf\tNaN\n", 2), 2, ord("\t"), [0, 1])
    assert found is not None
    assert repr([found[0].to_pylist(), found[1].to_pylist()]) == "[[nan, -inf], [inf, nan]]"
    assert numbers(block(b"1;2\n", 1), 2, ord(";"), [0]) is None
    assert numbers(block(b"1,2\n", 1), 2, ord(","), []) is None
