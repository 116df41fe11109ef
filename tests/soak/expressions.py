"""Fuzz of lossctl.expr: python tests/soak/expressions.py [COUNT] [SEED].

Three kinds of text in turn: tokens at random, raw characters, true expressions with a few tokens disturbed.
Only BadSpec and UnknownName may come out. What is accepted must round-trip through its canonical text, run on
a block with NaN, infinities and missing text, give the right type and length, and leave its inputs alone.
"""

from __future__ import annotations

import json
import random
import sys
import time
import warnings

import numpy as np

from lossctl.errors import BadSpec, UnknownName
from lossctl.expr import FUNCTIONS, Coded, compile_number, compile_truth

NAMES = ["a", "b", "target", "_", "`odd name-1`", "`min`", "`a``b`", "`é`", "match"]
TEXTS = ["'EU'", '"it\'s"', "''", "'é\\\\'", "'\\''"]
NUMBERS = ["0", "1", "2", "0.5", ".5", "1.", "1e3", "1e-320", "9" * 30]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**"]
ORDER = ["<", "<=", ">", ">=", "==", "!="]
_HOSTILE = r"""
1e999 0x1f 1_000 1j 007 lambda : if else for is None True __import__ eval( exec( open( sqr( . .. ... [ ] { } @
:= = -> ; # $ ? ! ^ && || << >> <> \ ' " ` ''' f'{a}' b'x' ( ) , *a **a not in é ａ 𝐚 () (,) await
yield import print(a) ().__class__ a.tofile('x') a[0] x=1 ~ &
"""
HOSTILE = [*_HOSTILE.split(), "\x00", "\n", "\t", "\x1b", "\u202e", "\ud800"]
TOKENS = [*NAMES, *TEXTS, *NUMBERS, *OPERATORS, *ORDER, *HOSTILE, *FUNCTIONS]
TOKENS += ["(", ")", ",", "and", "or", "not", "in", "&", "|", "~"] * 4
CHARACTERS = "ab1.0 ()+-*/%<>=!&|~,'\"`\\_eE\n\t\x00é\u202e#:;[]{}@"


def number(pick: random.Random, depth: int) -> str:
    roll = pick.random()
    if depth <= 0 or roll < 0.25:
        return pick.choice(NAMES + NUMBERS)
    if roll < 0.6:
        return f"{number(pick, depth - 1)} {pick.choice(OPERATORS)} {number(pick, depth - 1)}"
    if roll < 0.75:
        return pick.choice(["({})", "-{}", "+{}"]).format(number(pick, depth - 1))
    name = pick.choice(sorted(FUNCTIONS))
    first = truth(pick, depth - 1) if name == "where" else number(pick, depth - 1)
    rest = [number(pick, depth - 1) for _ in FUNCTIONS[name][1:]]
    return f"{name}({', '.join([first, *rest])})"


def truth(pick: random.Random, depth: int) -> str:
    roll = pick.random()
    if depth <= 0 or roll < 0.4:
        return f"({number(pick, depth - 1)} {pick.choice(ORDER)} {number(pick, depth - 1)})"
    if roll < 0.55:
        texts = ", ".join(pick.choice(TEXTS) for _ in range(pick.randint(1, 3)))
        return f"region {pick.choice(['in', 'not in'])} ({texts})"
    if roll < 0.65:
        return pick.choice(["region == {}", "region != {}", "{} == region"]).format(pick.choice(TEXTS))
    if roll < 0.75:
        return pick.choice(["not {}", "~{}", "({})"]).format(truth(pick, depth - 1))
    return f"{truth(pick, depth - 1)} {pick.choice(['and', 'or', '&', '|'])} {truth(pick, depth - 1)}"


def sample(pick: random.Random, turn: int) -> str:
    if turn % 3 == 0:
        return pick.choice(["", " "]).join(pick.choice(TOKENS) for _ in range(pick.randint(1, 14)))
    if turn % 3 == 1:
        return "".join(pick.choice(CHARACTERS) for _ in range(pick.randint(0, 30)))
    words = pick.choice([number, truth])(pick, pick.randint(1, 4)).split(" ")
    for _ in range(pick.choice([0, 0, 0, 1, 2])):
        words[pick.randrange(len(words))] = pick.choice(TOKENS)
    return " ".join(words)


def soak(count: int, seed: int = 1) -> dict[str, float]:
    pick = random.Random(seed)
    figures = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -3.0, 5e-324, 1e308])
    text = np.array(["EU", "", None, "it's", "é\\", "'", "x", "EU", None], dtype=object)
    kept, kept_text = figures.copy(), text.copy()
    found = ["EU", "", "it's", "é\\", "'", "x"]
    coded = Coded(np.array([-1 if t is None else found.index(t) for t in text], dtype=np.int32), found)
    tally: dict[str, float] = {"texts": 0, "accepted": 0, "BadSpec": 0, "UnknownName": 0, "slowest_ms": 0.0}
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        for turn in range(count):
            source = sample(pick, turn)
            tally["texts"] += 1
            compiler = pick.choice([compile_number, compile_truth])
            started = time.thread_time()
            try:
                program = compiler(source)
            except (BadSpec, UnknownName) as refusal:
                tally[type(refusal).__name__] += 1
                place = refusal.facts.get("at", 1)
                fine = isinstance(place, int) and 1 <= place <= len(source) + 1 and len(str(refusal)) < 1000
                if not fine:
                    raise AssertionError(f"bad refusal of {source!r}: {refusal}") from None
                continue
            finally:
                tally["slowest_ms"] = max(tally["slowest_ms"], 1e3 * (time.thread_time() - started))
            tally["accepted"] += 1
            again = compiler(program.canonical)
            if again != program or again.canonical != program.canonical:
                raise AssertionError(f"{source!r} does not round-trip: {program.canonical!r}")
            results = []
            for column in (text, coded):
                values = {n: column if n in program.strings else figures for n in program.names}
                results.append(program.run(values, len(figures)))
            result, same = results
            good = result.dtype == (np.float64 if program.kind == "number" else np.bool_)
            good &= result.shape == (len(figures),) and result.tobytes() == same.tobytes()
            good &= figures.tobytes() == kept.tobytes() and list(text) == list(kept_text)
            if not good:
                raise AssertionError(f"{source!r} gave {result!r}, {same!r}")
    tally["warnings"] = len(leaked)
    return tally


if __name__ == "__main__":
    began = time.perf_counter()
    counts = soak(*(int(argument) for argument in sys.argv[1:] or ["2000000"]))
    print(json.dumps(counts | {"seconds": round(time.perf_counter() - began, 1)}))
