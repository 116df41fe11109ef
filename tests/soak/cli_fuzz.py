"""Command lines at random: python tests/soak/cli_fuzz.py [COUNT] [SEED].

Every one must end with an exit code of the contract, never 70, with one line of error and nothing on stdout
when it is refused, and with JSON where that was asked for. Runs in forks, a few hundred command lines each.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

CODES = {0, 1, 2, 3, 4}
BATCH = 250
SLOW = 20.0
DATA = Path(__file__).parent.parent.parent / "examples" / "data"


def listed(text: str, mark: str | None = None) -> list[str]:
    return text.split(mark)


COMMANDS = listed(
    "compute compute compute compute compute compute compute worst worst compare curve check recommend list "
    "explain schema diff gate gate comput --help --version"
)
LOSSES = listed(
    "mae mse huber bce cross-entropy quantile medae rmse r2-loss custom dice ndcg-loss wer ctc kl focal "
    "triplet max-error wape hubr MAE smooth_l1"
)
SPECS = listed(
    "huber:delta=1.5|mae,mse|2*mae+0.5*mse|quantile:tau=0.9|huber:delta=-1|mae,mae|mae:|:|mae+|1e999*mae|2*|"
    "custom:expr='abs(y_true-y_pred)'|custom:expr=\"y_true*2\"|huber:delta=[1,2]|mae:pred=y_true|bce:eps=0.1|"
    'mae:pred="y_pred"|cross-entropy:classes=[a,b]|-1*mae',
    "|",
)
NUMBERS = ["9" * 40, *listed("0 1 -1 2 1.5 1e308 1e400 nan inf -inf 0x10 1_000 １ 1e-320")]
HOSTILE = listed("- -- ' , : = * / % \\ %s%n {0} $(id) ../.. /dev/null ::error::x [red] é 日本")
HOSTILE += ["", " ", "\n", "\t", "\x1b[31mred\x1b[0m", "\x00", "\u202eevil", "\udcff", "a" * 5000, '"']
FILES = listed(
    "preds.csv preds.parquet cancer.csv digits.csv ranking.parquet masks.parquet epochs.csv "
    "quantiles.parquet p*.csv nowhere.csv nowhere/*.csv . empty.csv bad.csv odd.csv -x.csv "
    "result.json deep.json deep.toml "
    "lossctl.toml -"
)
COLUMNS = [*listed("y_true y_pred age_band id w label prob logit p_* nope a,b y_true,y_pred"), "odd\x1b"]
EXPRESSIONS = [
    "y_true > 100",
    "age_band == '19-39'",
    "1",
    "y_true >",
    "import os",
    "(" * 50,
    "y_true / 0 > 1",
]
VALUES = {
    "--reduction": listed("mean sum mean-n pooled none median"),
    "--elements": listed("mean sum max"),
    "--nan": listed("error skip propagate drop"),
    "-f": listed("table json jsonl csv tsv markdown value github junit openmetrics yaml"),
    "--format": ["json", "json", "value", ""],
    "-o": listed("out.csv out.json json:x parquet:y out.parquet no/out.csv preds.csv csv:/dev/full - csv:-"),
    "--like": listed("torch keras sklearn nobody"),
    "--max-memory": listed("1K 0 1e3GB 4GB -1 GB"),
    "--ci": listed("0.95 95 95% 0 1"),
    "--join": listed("strict inner outer"),
    "--color": listed("always never auto"),
    "--progress": listed("always never"),
    "--target-file": FILES,
    "--max": listed("mae=50 mae= =1 mae=nan nope=1 huber:delta=1=70"),
    "--min": ["mae=1"],
    "--max-regression": listed("mae=1% mae=x"),
    "--baseline": listed("result.json deep.json new.json"),
    "-c": listed("lossctl.toml deep.toml nowhere.toml"),
    "--init": FILES,
    "--expr": ["abs(y_true - y_pred)", *EXPRESSIONS],
    "--where": EXPRESSIONS,
    "--family": listed("regression nope"),
    "--task": listed("binary nope"),
}
FLAGS = listed(
    "--grad --no-clobber -q -v --help --exit-code --from-logits --no-from-logits --update-baseline -qv "
    "--debugger -- -qfjson -fjson"
)
TAKING = listed("--target --pred --weight --by --id --cluster --on --split --delta --tau --na")
NUMERIC = listed(
    "--width --threads --chunk-rows --digits --seed --fail-above --fail-below -n --resamples --min-rows "
    "--rtol --atol --expect-rows --tolerance --patience --level"
)
GOOD = listed(
    "-f json|-f jsonl|-f csv|-f value|-f markdown|--by age_band|--weight w|--nan skip|--threads 1|"
    "--chunk-rows 7|--digits 3|--where y_true>100|--ci 0.9|--seed 5|-o out.csv|-o out.json|-q|-v|"
    "--color always|"
    "--color never|--fail-above 1e9|--fail-below -1|--reduction none|--reduction sum|--elements sum|"
    "--pred y_pred|--id id|"
    "--target y_true|--expect-rows 119|--max-memory 1GB|--no-clobber|--grad|--progress never|--na x",
    "|",
)
GOOD_FILES = listed("preds.csv preds.parquet preds.csv p*.csv ./preds.csv")
GOOD_LOSSES = listed(
    "mae mse huber rmse medae quantile huber:delta=1.5 mae,mse 2*mae+0.5*mse max-error log-cosh"
)
GOOD_COMMANDS = listed("compute compute compute compute worst check recommend")


def command_line(pick: random.Random) -> list[str]:
    """One command line: right, nearly right, or anything."""
    odd = pick.choice([0.0, 0.05, 0.2, 1.0])
    command = pick.choice(COMMANDS if pick.random() < odd else GOOD_COMMANDS)
    words = []
    if command in ("compute", "worst", "compare", "curve", "explain", "list", "schema"):
        words.append(_any(pick, [*LOSSES, *SPECS] if pick.random() < odd else GOOD_LOSSES, 0.06 * odd))
    number = pick.choice([0, 1, 1, 1, 2, 3]) if odd == 1.0 else 1
    files = [_any(pick, FILES if pick.random() < odd else GOOD_FILES, 0.05 * odd) for _ in range(number)]
    options = [_option(pick, odd) for _ in range(pick.choice([0, 1, 1, 2, 2, 3, 4, 6]))]
    if command in ("check", "recommend") and odd < 1.0:
        options = options[:1]
    parts = [words, files, *options]
    if pick.random() < 0.3 * odd:
        pick.shuffle(parts)
    made = [command, *(word for part in parts for word in part)]
    if pick.random() < 0.3 * odd:
        made.insert(pick.randrange(len(made) + 1), pick.choice(HOSTILE))
    return made


def _any(pick: random.Random, likely: list[str], odd: float) -> str:
    return pick.choice(HOSTILE) if pick.random() < odd else pick.choice(likely)


def _option(pick: random.Random, odd: float) -> list[str]:
    if pick.random() > odd:
        return pick.choice(GOOD).split(" ")
    roll = pick.random()
    if roll < 0.2:
        return [pick.choice(FLAGS)]
    if roll < 0.45:
        name, value = pick.choice(TAKING), _any(pick, COLUMNS, 0.1)
    elif roll < 0.65:
        name, value = pick.choice(NUMERIC), _any(pick, NUMBERS, 0.1)
    else:
        name = pick.choice(sorted(VALUES))
        value = _any(pick, VALUES[name], 0.08)
    return [f"{name}={value}"] if name.startswith("--") and pick.random() < 0.3 else [name, value]


def prepare(folder: Path) -> None:
    """Small files of every kind, good and bad, to run on."""
    import csv

    for name in (
        "preds.parquet",
        "ranking.parquet",
        "masks.parquet",
        "quantiles.parquet",
        "epochs.csv",
        "cancer.csv",
    ):
        shutil.copy(DATA / name, folder / name)
    for name in ("preds.csv", "digits.csv"):
        with (DATA / name).open() as file, (folder / name).open("w", newline="") as out:
            csv.writer(out).writerows(list(csv.reader(file))[:120])
    (folder / "empty.csv").write_bytes(b"")
    (folder / "bad.csv").write_bytes(b"y_true,y_pred\n1,\xff\n2,x\n3\n")
    (folder / "odd.csv").write_text("y_true,y_pred,odd\x1b\n1,2,=1+1\n3,4,\x1b]0;x\x07\n", newline="")
    (folder / "-x.csv").write_text("y_true,y_pred\n1,2\n")
    (folder / "result.json").write_text('{"schema": "lossctl.result/1"}')
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "deep.toml").write_text("a = " + "[" * 5_000)
    (folder / "lossctl.toml").write_text('[data]\nfiles = ["preds.csv"]\n[[check]]\nspec = "mae"\nmax = 50\n')


def captured(words: list[str], folder: Path) -> tuple[Any, bytes, bytes]:
    """Exit code, stdout and stderr of a command line run in this process; what it raises is the code."""
    from lossctl import process as entry

    paths = [folder / ".out", folder / ".err"]
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(path.open("w+b")) for path in paths]
        saved = [os.dup(fd) for fd in (1, 2)]
        streams = sys.stdout, sys.stderr
        for fd, file in zip((1, 2), files, strict=True):
            os.dup2(file.fileno(), fd)
        sys.stdout, sys.stderr = (open(fd, "w", closefd=False) for fd in (1, 2))  # noqa: SIM115
        try:
            code: Any = entry.run(list(words), debug=False)
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):
                    stream.flush()
            for fd, old in zip((1, 2), saved, strict=True):
                os.dup2(old, fd)
                os.close(old)
            sys.stdout, sys.stderr = streams
    out, errors = (path.read_bytes() for path in paths)
    return code, out, errors


def run(words: list[str], folder: Path) -> tuple[Any, str | None]:
    """The exit code, and what is wrong with how the command line ended, None when nothing is."""
    began = time.monotonic()
    code, out, errors = captured(words, folder)
    return code, _judged(words, code, out, errors, time.monotonic() - began)


def _judged(words: list[str], code: Any, out: bytes, errors: bytes, seconds: float) -> str | None:
    from lossctl.process import wants_json

    told = [line for line in errors.decode(errors="replace").splitlines() if not line.startswith("warning: ")]
    if code not in CODES:
        return f"exit {code}: {told[-1:]}"
    if b"Traceback" in errors:
        return "traceback"
    if b"\x1b" in errors and "--progress" not in " ".join(words):
        return "an escape on stderr"
    if seconds > SLOW:
        return f"{seconds:.0f} seconds"
    if code in (2, 3, 4) and not errors and not out.startswith(b"Usage"):
        return f"exit {code} without a word"
    partial = out and not out.startswith(b"Usage") and b"problem: " not in out and b'"problems"' not in out
    streaming = "none" in " ".join(words) or "-" in words or any("-" in w and ":" in w for w in words)
    if code in (2, 3, 4) and partial and not streaming and words[0] not in ("gate", "worst"):
        return f"exit {code} with {out[:80]!r} on stdout"
    if wants_json(words) and code in (2, 3, 4) and told:
        try:
            json.loads(told[-1])["error"]["exit"]
        except (ValueError, KeyError, TypeError):
            return f"no JSON error: {told[-1][:200]}"
    texts = ("--version", "--init")  # these answer with text whatever the format
    if (
        wants_json(words)
        and code in (0, 1)
        and b"Usage" not in out
        and not any(t in w for t in texts for w in words)
    ):
        return _strict(out) if out else None
    return None


def _strict(out: bytes) -> str | None:
    def refuse(token: str) -> None:
        raise ValueError(token)

    text = out.decode()
    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        try:
            for line in text.splitlines():
                json.loads(line, parse_constant=refuse)
        except ValueError as error:
            return f"no JSON on stdout: {error}: {out[:100]!r}"
    return None


def fuzz(count: int, seed: int = 1) -> tuple[Counter[str], list[str]]:
    """How the command lines ended, and what went wrong."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        for start in range(0, count, BATCH):
            found, bad = _forked(Path(name), seed * 1_000_003 + start, min(BATCH, count - start))
            counts.update(found)
            wrong += bad
    return counts, wrong


def _forked(folder: Path, seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """A batch in a process of its own, so that no run's leftovers add up."""
    where = folder / "work"
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir()
    prepare(where)
    report = folder / "report"
    child = os.fork()
    if child == 0:
        try:
            _batch(where, report, seed, count)
        except BaseException:
            traceback.print_exc()
        finally:  # whatever happened, this is not the process that cleans up
            os._exit(0 if report.read_bytes()[:1] == b"[" else 9)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        return Counter(died=1), [f"the process died with {status} on {report.read_text()[:1000]}"]
    counts, wrong = json.loads(report.read_text())
    return Counter(counts), wrong


def _batch(where: Path, report: Path, seed: int, count: int) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(where)
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    pick = random.Random(seed)
    for _ in range(count):
        words = command_line(pick)
        report.write_text(repr(words))
        code, bad = run(words, where)
        counts[f"exit {code}"] += 1
        if bad:
            wrong.append(f"{words!r}: {bad}"[:1000])
    report.write_text(json.dumps([counts, wrong]))


if __name__ == "__main__":
    began = time.perf_counter()
    made, bad = fuzz(*(int(argument) for argument in sys.argv[1:] or ["50000"]))
    for line in bad:
        print(line)
    print(json.dumps({"lines": made, "wrong": len(bad), "seconds": round(time.perf_counter() - began, 1)}))
