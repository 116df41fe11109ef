"""Specs at random: python tests/soak/specs.py [COUNT] [SEED].

Every text is refused as wrong usage, or its canonical form reads back as the same specs.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from typing import Any


def spec_fuzz(count: int, seed: int = 1) -> tuple[Counter[str], list[str]]:
    """Spec strings: refused as UsageError, or canonical and read back as the same."""
    from lossctl.errors import UsageError
    from lossctl.loss.registry import all_losses
    from lossctl.loss.spec import parse

    pick = random.Random(seed)
    losses = all_losses()
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for _ in range(count):
        text = _spec(pick, losses)
        try:
            specs = parse(text)
        except UsageError as error:
            counts["refused"] += 1
            if len(str(error)) > 3000:
                wrong.append(f"{text!r}: {len(str(error))} characters of error")
            continue
        except Exception as error:
            wrong.append(f"{text!r}: {type(error).__name__}: {error}"[:500])
            continue
        counts["accepted"] += 1
        canonical = ",".join(spec.text for spec in specs)
        try:
            again = parse(canonical)
            same = [s.text for s in again] == [s.text for s in specs] and again == specs
        except Exception as error:
            same, canonical = False, f"{canonical}: {error}"
        if not same:
            wrong.append(f"{text!r} does not round-trip: {canonical}"[:500])
    return counts, wrong


PIECES = [
    *":=,+*[]'\\\"1- é_\x00\x1b\u202e\udcff",
    "0.5",
    "1e5",
    "e+",
    "none",
    "true",
    "nan",
    "inf",
    "a b",
    "x" * 300,
]


def _spec(pick: random.Random, losses: list[Any]) -> str:
    terms = []
    for _ in range(pick.choice([1, 1, 1, 2, 3])):
        loss = pick.choice(losses)
        text = pick.choice([loss.name, *loss.aliases, loss.name.upper(), loss.name.replace("-", "_")])
        for param in pick.sample(
            sorted(loss.params.values(), key=lambda p: p.name), min(len(loss.params), pick.choice([0, 1, 2]))
        ):
            text += f":{pick.choice([param.kebab, param.name])}={_value(pick, param)}"
        if pick.random() < 0.2 and loss.inputs:
            text += f":{pick.choice(sorted(loss.inputs))}={_words(pick)}"
        terms.append(pick.choice(["", "", "", "2*", "-0.5 * ", "1e-3*", "+.5*"]) + text)
    made = "".join(t + pick.choice([",", "+", " + ", ", "]) for t in terms)[:-1].rstrip("+, ")
    for _ in range(pick.choice([0, 0, 0, 1, 2])):
        at = pick.randrange(len(made) + 1)
        made = made[:at] + pick.choice(PIECES) + made[at + pick.choice([0, 0, 1]) :]
    return made


def _value(pick: random.Random, param: Any) -> str:
    if param.choices and pick.random() < 0.6:
        return str(pick.choice(param.choices))
    roll = pick.random()
    if roll < 0.5:
        return pick.choice(
            [
                repr(pick.uniform(0, 2)),
                repr(10 ** pick.uniform(-320, 308)),
                "1",
                "2",
                "0.5",
                "true",
                "none",
                "28x28",
            ]
        )
    return (
        _words(pick)
        if roll < 0.8
        else pick.choice(["[0.1,0.5,0.9]", "[1,2]", "[a,b]", "[]", "[[1]]", "target-pred"])
    )


def _words(pick: random.Random) -> str:
    raw = "".join(pick.choice("ab\"'\\,:=+[]* é\n") for _ in range(pick.randint(0, 6)))
    from lossctl.loss.quoting import quoted

    listed = "[" + ",".join(quoted(part) for part in (raw, "x", raw + "z")) + "]"
    return pick.choice([quoted(raw), quoted(raw), raw, "'" + raw + "'", listed])


if __name__ == "__main__":
    began = time.perf_counter()
    made, bad = spec_fuzz(*(int(argument) for argument in sys.argv[1:] or ["200000"]))
    for line in bad:
        print(line)
    print(json.dumps({"specs": made, "wrong": len(bad), "seconds": round(time.perf_counter() - began, 1)}))
