"""`lossctl gate --init FILE`: a starter configuration that fits the file and passes today."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from lossctl.errors import DataError, LossctlError, UsageError, visible

__all__ = ["write_starter"]

_FEW = 20  # groups worth suggesting
_TEMPLATE = """\
# Checks for `lossctl gate`; paths are relative to this file. See: lossctl schema config
schema = "lossctl.config/1"
# Written by `lossctl gate --update-baseline`; max-regression compares with it.
# baseline = "baseline.json"
# What cannot be judged (NaN, too few rows, no baseline) fails unless this says "warn" or "pass".
# on-inconclusive = "fail"
# With "significant" a breach fails only when its whole confidence interval is beyond the limit, else warns.
# needs = "value"

[data]
files = [{files}]
{columns}
# weight = "COLUMN"
# where = "split == 'test'"
# nan = "error"                  # or "skip", "propagate"
# target-file = "labels.csv"     # targets in a file of their own, joined one-to-one
# on = "id"                      # by these key columns; join = "inner" leaves out rows without a partner
# ci = 0.95                      # show intervals; cluster = "COLUMN" draws rows of one user together
{checks}"""
_CHECK = """
[[check]]
name = {name}
spec = {spec}
max = {maximum}                  # it is {value} now
# min = 0.0
# max-regression = {{ abs = 0.002, rel = "2%" }}   # the larger one counts
{by}
# min-rows = 100                 # smaller groups are inconclusive
# severity = "error"             # a "warning" never fails
# needs = "significant"          # set min-rows too: with few rows no difference is significant
"""
_UNKNOWN = """
# No loss was found that reads these columns as they are; name the columns above and choose one:
# lossctl list
# [[check]]
# spec = "LOSS"
# max = 1.0
"""


def write_starter(data: str, path: str | None, columns: Mapping[str, Any]) -> None:
    """To standard output, or to `path` where there is nothing yet."""
    from lossctl.render.output import Stdout, atomic

    if data.lower().endswith(".toml"):
        raise UsageError(
            f"--init takes a data file to write a configuration for, not {visible(data)}",
            hint=f"write: lossctl gate --init DATA -c {visible(data)}",
        )
    if path is not None and os.path.lexists(path):
        raise UsageError(f"{visible(path)} exists", hint="name another file with -c, or move it away")
    text = starter(data, os.path.dirname(path) if path is not None else "", columns)
    if path is None:
        out = Stdout()
        out.write_text(text)
        out.flush()
        return
    with atomic(path, clobber=False) as file:
        file.write_text(text)
    print(f"wrote {visible(path)}; run: lossctl gate -c {visible(path)}", file=sys.stderr)


def starter(data: str, folder: str, said: Mapping[str, Any]) -> str:
    """The text of a configuration for the file; `said` are columns by role."""
    from lossctl.columns import Schema
    from lossctl.sources import open_dataset

    if data == "-":
        raise UsageError("--init needs a file, not standard input")
    with open_dataset([data]) as dataset:
        schema = Schema(dataset.columns, data)
        columns = "\n".join(_role(schema, role, said) for role in ("target", "pred"))
        groups = ", ".join(_toml(name) for name in _groups(dataset))
        by = f"# by = [{groups or _toml('COLUMN')}]   # judge each group"
        checks = [
            _CHECK.format(name=_toml(f"{spec} stays low"), spec=_toml(spec), by=by, **_limit(value))
            for spec, value in _fitting(dataset, said)
        ]
    listed = _toml(os.path.relpath(data, folder or "."))
    return _TEMPLATE.format(files=listed, columns=columns, checks="".join(checks) or _UNKNOWN)


def _role(schema: Any, role: str, said: Mapping[str, Any]) -> str:
    if role in said:
        schema.expand(role, said[role])
        return f"{role} = {_toml(said[role])}"
    try:
        return f"{role} = {_toml(schema.guess(role)[0])}"
    except DataError:
        return f'# {role} = "COLUMN"'


def _groups(dataset: Any) -> Iterator[str]:
    """Text columns with few values."""
    names = [column.name for column in dataset.columns]
    for name, values in dataset.peek(names).items():
        texts = [value for value in values if isinstance(value, str) and not _is_number(value)]
        if len(texts) == len(values) and 1 < len(set(texts)) <= _FEW:
            yield name


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fitting(dataset: Any, said: Mapping[str, Any]) -> Sequence[tuple[str, float]]:
    """Up to two losses that the file fits, with their values: those declared for its task come first."""
    from lossctl.loss.params import REQUIRED
    from lossctl.loss.registry import all_losses

    losses = [
        loss
        for loss in all_losses()
        if set(loss.inputs) == {"target", "pred"}
        and not any(param.default is REQUIRED for param in loss.params.values())
        and loss.direction == "lower"
    ]
    task = _task(dataset, said)
    losses = [loss for loss in losses if task in loss.tasks[:1]]
    found: list[tuple[str, float]] = []
    for loss in losses:
        value = _value(loss.name, dataset, said)
        if value is not None:
            found.append((loss.name, value))
        if len(found) == 2:
            break
    return found


def _value(spec: str, dataset: Any, said: Mapping[str, Any]) -> float | None:
    from lossctl.aggregate import to_result
    from lossctl.loss.spec import parse
    from lossctl.plan import Settings, make_plan
    from lossctl.spine import run

    try:
        plan = make_plan(parse(spec), Settings(said), dataset)
        value = to_result(plan, run(plan, dataset), dataset).value
    except LossctlError:
        return None
    return value if math.isfinite(value) else None


def _task(dataset: Any, said: Mapping[str, Any]) -> str:
    """What the first rows look like: binary (0 and 1 against probabilities), else regression."""
    from lossctl.columns import Schema

    schema = Schema(dataset.columns)
    try:
        places = [
            schema.expand(role, said[role]) if role in said else schema.guess(role)
            for role in ("target", "pred")
        ]
        target, pred = places[0][0], places[1][0]
        if schema.is_vector(places[1]):
            return "multi-class"
        peeked = dataset.peek(list(dict.fromkeys((target, pred))))
        labels = {float(value) for value in peeked[target] if value is not None}
        inside = all(0.0 <= float(value) <= 1.0 for value in peeked[pred] if value is not None)
    except (DataError, TypeError, ValueError):
        return "regression"
    return "binary" if labels <= {0.0, 1.0} and inside else "regression"


def _limit(value: float) -> dict[str, str]:
    """A limit a little above `value`, in three digits."""
    above = Decimal(f"{value + 0.05 * abs(value) or 0.001:.3g}")
    return {"maximum": f"{above:f}", "value": repr(value)}


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
