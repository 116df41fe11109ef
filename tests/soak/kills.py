"""Runs killed at random moments while they write: python tests/soak/kills.py [COUNT] [SEED]."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

SIGNALS = {
    signal.SIGKILL: {-9},
    signal.SIGTERM: {143, -15},
    signal.SIGINT: {130, -2},
    signal.SIGHUP: {129, -1},
}
OLD = b"what was here before\n"
ROWS = 60_000
FORMS = ("csv", "parquet", "jsonl")


def write_data(path: Path) -> None:
    """CSV of more than a megabyte, so that threads take part."""
    with path.open("w") as file:
        file.write("target,pred,region,note\n")
        for at in range(ROWS):
            file.write(f"{at % 7},{(at % 11) / 3!r},r{at % 5},some text of row {at}\n")


def words(folder: Path, form: str) -> list[str]:
    out = folder / f"out.{form}"
    options = ["--reduction", "none", "--id", "region", "--id", "note", "--chunk-rows", "500", "-o", str(out)]
    return [sys.executable, "-m", "lossctl", "compute", "mse,mae", str(folder / "in.csv"), *options]


def kills(count: int, seed: int = 1) -> tuple[Counter[str], list[str]]:
    """What the runs came to by signal, and what must not be."""
    if (
        signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    ):  # under nohup the runs would inherit that, and heed it
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    pick = random.Random(seed)
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_data(folder / "in.csv")
        whole: dict[str, bytes] = {}
        longest = 0.0
        for form in FORMS:
            began = time.perf_counter()
            subprocess.run(words(folder, form), check=True, capture_output=True)
            longest = max(longest, time.perf_counter() - began)
            whole[form] = (folder / f"out.{form}").read_bytes()
        for turn in range(count):
            number, form = list(SIGNALS)[turn % 4], FORMS[turn // 4 % len(FORMS)]
            for each in folder.iterdir():
                if each.name != "in.csv":
                    each.unlink()
            out = folder / f"out.{form}"
            out.write_bytes(OLD)
            moment = pick.uniform(0.25, 1.0) if pick.random() < 0.8 else pick.random()
            _one(folder, out, number, moment * longest, whole[form], counts, wrong)
    return counts, wrong


def _one(
    folder: Path, out: Path, number: int, moment: float, whole: bytes, counts: Counter[str], wrong: list[str]
) -> None:
    process = subprocess.Popen(words(folder, out.suffix[1:]), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    errors = process.communicate(timeout=60)[1].decode(errors="replace")
    name = f"{signal.Signals(number).name} after {moment:.3f} s, {out.name}"
    content = out.read_bytes()
    state = "old" if content == OLD else "new" if content == whole else "torn"
    left = [p.name for p in folder.iterdir() if p.name not in ("in.csv", out.name)]
    counts[
        f"{signal.Signals(number).name} {'ended' if process.returncode == 0 else 'killed'}, {state} output"
    ] += 1
    counts["temporary files after SIGKILL"] += len(left) * (number == signal.SIGKILL)
    if state == "torn" or (process.returncode == 0 and state != "new"):
        wrong.append(f"{name}: exit {process.returncode}, {state} output of {len(content)} bytes")
    if left and number != signal.SIGKILL:
        wrong.append(f"{name}: left {left}")
    starting = "KeyboardInterrupt" in errors and "lossctl/cli" not in errors  # Python itself, before main()
    if "Traceback" in errors and not starting:
        wrong.append(f"{name}: {errors[-600:]}")
    elif process.returncode not in (SIGNALS[signal.Signals(number)] | {0}) and not starting:
        wrong.append(f"{name}: exit {process.returncode}, {errors[-300:]}")
    counts["interrupted before main"] += starting


if __name__ == "__main__":
    began = time.perf_counter()
    counts, wrong = kills(*(int(argument) for argument in sys.argv[1:] or ["1000"]))
    for line in wrong:
        print(line)
    seconds = round(time.perf_counter() - began, 1)
    print(json.dumps(dict(sorted(counts.items())) | {"wrong": len(wrong), "seconds": seconds}))
