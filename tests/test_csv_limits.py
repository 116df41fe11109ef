"""CSV that is compressed, huge or hostile: all of it read, or refused, in little memory; and a short fuzz."""

from __future__ import annotations

import bz2
import gzip
import importlib.util
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
from isal import isal_zlib

import lossctl
from lossctl.errors import DataError
from lossctl.sources import feed, open_dataset


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    made: bytes = sink.getvalue().to_pybytes()
    return made


PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "zstd": zstd}
NOISE = random.Random(65)
ROWS = [f"{NOISE.random()},{NOISE.random()}\n".encode() for _ in range(60)]
WHOLE = b"y,p\n" + b"".join(ROWS)
# One zstd frame of "y,p\n1,2\n3,4\n" with a checksum, which Arrow checks but does not write.
CHECKED = b"(\xb5/\xfd$\x0ca\x00\x00y,p\n1,2\n3,4\n\xc6\x91$\xb8"

Value = Callable[[bytes], float]


@pytest.fixture(params=[16, 200, 1 << 20])
def value(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Value:
    """The mean absolute error of a file of these bytes."""
    monkeypatch.setitem(open_dataset.__kwdefaults__, "block_size", request.param)

    def of(data: bytes) -> float:
        path = tmp_path / "a.csv"
        path.write_bytes(data)
        return lossctl.evaluate(str(path), "mae", expect_rows=60 if len(data) > 99 else None).value

    return of


@pytest.fixture(params=[zlib, isal_zlib], ids=["zlib", "isal"])
def inflater(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """gzip is read by either."""
    monkeypatch.setattr(feed, "_zlib", lambda: request.param)
    library: ModuleType = request.param
    return library


def test_the_faster_inflater_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert feed._zlib() is isal_zlib
    monkeypatch.setitem(sys.modules, "isal", None)
    assert feed._zlib() is zlib


@pytest.mark.usefixtures("inflater")
@pytest.mark.parametrize("name", list(PACKERS))
def test_65_compressed(value: Value, name: str) -> None:
    pack, right = PACKERS[name], value(WHOLE)
    packed = pack(WHOLE)
    assert value(packed) == right
    assert value(pack(WHOLE[:777]) + pack(b"") + pack(WHOLE[777:])) == right
    for cut in (9, 20, len(packed) // 3, len(packed) // 2, len(packed) - 9, len(packed) - 1):
        with pytest.raises(DataError):
            value(packed[:cut])
    with pytest.raises(DataError, match=f"the {name} data ends too early"):
        value(packed[:-2])
    with pytest.raises(DataError, match="too early"):
        value(packed + packed[:-3])
    for garbage in (b"garbage", b"x", b"\n", packed[:1] + b"?" * 30):
        with pytest.raises(DataError, match=f"the {name} data "):
            value(packed + garbage)


@pytest.mark.usefixtures("inflater")
def test_65_every_flipped_byte_of_a_checksum_is_seen(value: Value) -> None:
    packed = gzip.compress(WHOLE)
    with pytest.raises(DataError, match="the gzip data is damaged"):
        value(packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:])
    assert zlib.crc32(WHOLE).to_bytes(4, "little") == packed[-8:-4]
    assert value(packed + bytes(512)) == value(WHOLE)  # padding, which gzip allows
    packed = bz2.compress(WHOLE)
    with pytest.raises(DataError, match="the bzip2 data is damaged"):
        value(packed[:11] + bytes([packed[11] ^ 1]) + packed[12:])
    assert value(CHECKED) == 1.0
    with pytest.raises(DataError, match="the zstd data is damaged"):
        value(CHECKED.replace(b"3,4", b"3,5"))


CHILD = """
import sys
from lossctl.process import run
code = run(sys.argv[1:], False)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(code, int(peak.split()[1]) >> 10)
"""
needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures memory by /proc")


def huge(path: Path, loss: str, *options: str) -> tuple[int, int, str]:
    """Exit code, peak memory in MiB and what was said, of a process of its own."""
    command = [sys.executable, "-c", CHILD, "compute", loss, str(path), "-f", "value", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    code, peak = done.stdout.split()[-2:]
    return int(code), int(peak), done.stdout + done.stderr


def bomb(path: Path, start: bytes, piece: bytes) -> None:
    """200 MB in a few hundred KB."""
    with gzip.open(path, "wb", 1) as file:
        file.write(start)
        for _ in range(200):
            file.write(piece * ((1 << 20) // len(piece)))


@needs_proc
def test_26_a_row_of_100_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"y,p,t\n1,2,a\n3,4," + b"x" * 20_000_000 + b'\n5,6,"' + b"x\n" * 10_000_000 + b'"\n')
    code, peak, said = huge(path, "mae")
    assert (code, said[:4]) == (0, "1.0\n")
    assert peak < 500
    for text in (b"x" * 100_000_000 + b"\n", b'"' + b"3,4,5\n" * 17_000_000):
        path.write_bytes(b"y,p,t\n1,2,a\n3,4," + text)
        code, peak, said = huge(path, "mae")
        assert code == 3
        assert "a.csv, line 3: a row is longer than 64 MiB" in said
        assert peak < 500


@needs_proc
def test_27_a_hundred_thousand_columns(tmp_path: Path) -> None:
    path, count = tmp_path / "a.csv", 100_000
    names = ",".join(f"p_{at}" for at in range(count)).encode()
    path.write_bytes(b"y," + names + b"\n" + (b"0" + b",1.5" * count + b"\n") * 20)
    code, peak, said = huge(path, "mae", "--pred", "p_77")
    assert (code, said[:4]) == (0, "1.5\n")
    assert peak < 400
    code, peak, said = huge(path, "mae", "--pred", "q_77")
    assert (code, "closest: p_77" in said, len(said) < 500) == (3, True, True)
    assert peak < 400
    path.write_bytes(b"y," + names + b"\n" + (b"0" + b",1.5" * (count - 1) + b"\n") * 20)
    code, peak, said = huge(path, "mae", "--pred", "p_77")
    assert "line 2, row 0: 100000 fields where the header has 100001" in said


@needs_proc
@pytest.mark.parametrize(
    ("start", "piece", "told"),
    [
        (b"y,p\n", b"1,2\n", "1.0\n"),
        (b"y,p\n", b"1", "line 2: a row is longer than 64 MiB"),
        (b"", b"y", "line 1: a row is longer than 64 MiB"),
        (b"y,p\n1,2\n", b"\n", "line 3: a row is longer than 64 MiB"),
        (b'y,p\n1,"', b'""', "line 2: a row is longer than 64 MiB"),
    ],
    ids=["rows", "one row", "one name", "blank lines", "one quoted cell"],
)
def test_66_bombs(tmp_path: Path, start: bytes, piece: bytes, told: str) -> None:
    path = tmp_path / "a.csv.gz"
    bomb(path, start, piece)
    assert path.stat().st_size < 4_000_000
    code, peak, said = huge(path, "mae")
    assert told in said
    assert code == (0 if told == "1.0\n" else 3)
    assert peak < 450


def soak() -> Callable[..., dict[str, int]]:
    path = Path(__file__).parent / "soak" / "csv_fuzz.py"
    spec = importlib.util.spec_from_file_location("soak_csv_fuzz", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    made: Callable[..., dict[str, int]] = module.soak
    return made


def test_fuzz_smoke() -> None:
    told: list[str] = []
    counts = soak()(400, 11, show=told.append)
    assert told == []
    assert counts["right"] + counts["refused"] == counts["cases"] == 400
    assert counts["right"] > 140
