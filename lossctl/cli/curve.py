"""`lossctl curve`: a loss over the steps of training, as a plot and in words."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lossctl.cli.reading import memory, opened, outputs, settings_said
from lossctl.cli.shared import CHOICES, Option, check_choices, column_names, options
from lossctl.cli.specs import spec_group
from lossctl.cli.terminal import terminal_width, warn
from lossctl.curve import judge, ordered, step_of, train_of
from lossctl.errors import BadValue, DataError, UsageError, visible
from lossctl.loss.spec import Spec, parse
from lossctl.options import spec_command
from lossctl.series import Curve, Point, Rules, to_dict

__all__ = ["command"]

KEPT = (
    *("weight", "where", "target_file", "on", "join", "like", "reduction", "elements", "nan", "width"),
    *("output", "no_clobber", "input_format", "delimiter", "na", "expect_rows", "threads", "chunk_rows"),
    "require_checksums",
    *("max_memory", "progress", "digits", "quiet"),
)
REDUCTIONS = tuple(each for each in CHOICES["reduction"] if each != "none")
WIDTH = 80


def command(name: str) -> Any:
    """The `curve` group."""
    return spec_group(
        _curve_command,
        "SPEC [OPTIONS] --by STEP FILE...",
        "A loss over the steps of training: a plot, and what it shows in words.",
        "lossctl curve SPEC epochs.csv --by epoch --split split",
    )


def _own_parameters() -> list[inspect.Parameter]:
    own = Rules()
    columns = {"metavar": "COL", "autocompletion": column_names}
    made = [
        Option("by", str, ..., ("--by",), {"help": "Column of the step, a number.", **columns}),
        Option(
            *("split", str | None, None, ("--split",)),
            {"help": "Column of the split: one curve each.", **columns},
        ),
        Option(
            *("train", str | None, None, ("--train",)),
            {"metavar": "NAME", "help": "The split that was trained on."},
        ),
        Option(
            *("tolerance", float, own.tolerance, ("--tolerance",)),
            {"metavar": "X", "help": "Relative improvement that counts."},
        ),
        Option(
            *("patience", int, own.patience, ("--patience",)),
            {"min": 1, "metavar": "N", "help": "Steps without it: a plateau."},
        ),
        Option(
            *("margin", float, own.margin, ("--margin",)),
            {"metavar": "X", "help": "Relative rise that counts."},
        ),
    ]
    return [each.parameter() for each in made]


def _curve_command(text: str) -> Any:
    parameters = [*_own_parameters(), *options(*KEPT, format_={"help": "table, json or csv."})]
    required = [
        each.replace(default=inspect.Parameter.empty) if each.default is ... else each for each in parameters
    ]
    help_ = "A plot of the loss over the steps, and what it shows in words."
    return spec_command(text, _run, required, help_)


def _run(text: str, files: Sequence[str], **values: Any) -> None:
    from lossctl.aggregate import to_result
    from lossctl.cli.progress import progress
    from lossctl.plan import make_plan
    from lossctl.render.curve import CURVE_FORMATS
    from lossctl.render.output import check_targets
    from lossctl.spine import run as evaluate

    check_choices(values, CURVE_FORMATS, reductions=REDUCTIONS)
    targets = outputs(values["output"], CURVE_FORMATS)
    rules = _check(values)
    specs = parse(text, like=values["like"])
    with opened(files, values, memory(values["max_memory"])) as dataset:
        check_targets(targets, [s.path for s in dataset.sources], clobber=not values["no_clobber"])
        plan = make_plan(specs, _settings(values), dataset)
        with progress(values["progress"], dataset.nbytes, dataset.promised_rows) as tick:
            outcome = evaluate(plan, dataset, progress=tick)
        result = to_result(plan, outcome, dataset)
    result = replace(result, warnings=[*result.warnings, *result.rows.warnings])
    warn(result.warnings, values)
    curves = [_curve(spec, result, values, rules) for spec in specs]
    _write(curves, rules, result, targets, values)


def _settings(values: dict[str, Any]) -> Any:
    by = (values["by"],) if values["split"] is None else (values["by"], values["split"])
    return settings_said({**values, "by": by})


def _curve(spec: Spec, result: Any, values: Mapping[str, Any], rules: Rules) -> Curve:
    by, split = values["by"], values["split"]
    splits: dict[str, list[Point]] = {}
    for score in result.scores:
        if score.spec == spec.text and score.group:
            point = Point(step_of(score.group[by], by), score.value, score.rows, score.empty)
            splits.setdefault(score.group[split] if split else "", []).append(point)
    train = train_of(list(splits), values["train"])
    if values["train"] is not None and train not in splits:
        raise DataError(
            f"no split is '{visible(train)}'", column=split, hint=f"there are: {visible(', '.join(splits))}"
        )
    order = sorted(splits, key=lambda name: (name != train, name))
    found = {name: ordered(splits[name], by) for name in order}
    return judge(found, spec.direction or "lower", rules, spec=spec.text, train=train)


def _write(
    curves: Sequence[Curve], rules: Rules, result: Any, targets: Sequence[Any], values: Mapping[str, Any]
) -> None:
    from lossctl.render.curve import render_csv, render_curves
    from lossctl.render.output import Stdout, atomic
    from lossctl.render.structured import strict_json

    def made(format_: str, width: int = WIDTH, encoding: str = "utf-8") -> str:
        if format_ == "json":
            data = to_dict(curves, rules, result, values["by"], values["split"])
            return strict_json(data, indent=2) + "\n"
        if format_ == "csv":
            return render_csv(curves)
        digits = values["digits"] or 4
        head = (curves, rules, values["by"], result.rows)
        return render_curves(*head, width=width, digits=digits, encoding=encoding)

    for target in targets:
        with atomic(target.path, clobber=not values["no_clobber"]) as file:
            file.write(made(target.format).encode("utf-8", "backslashreplace"))
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    terminal = sys.stdout is not None and sys.stdout.isatty()
    text = made(values["format_"], terminal_width() if terminal else WIDTH, encoding)
    out = Stdout()
    out.write(text.encode(encoding if values["format_"] == "table" else "utf-8", "backslashreplace"))
    out.flush()


def _check(values: Mapping[str, Any]) -> Rules:
    for name in ("tolerance", "margin"):
        if not 0 <= values[name] < float("inf"):
            raise BadValue(f"--{name}", values[name], "a number from 0")
    if values["split"] == values["by"]:
        raise UsageError("--by and --split name the same column", hint="--split is for train and validation")
    if values["train"] is not None and values["split"] is None:
        raise UsageError("--train names a split", hint="say which column holds it with --split")
    return Rules(values["tolerance"], values["patience"], values["margin"])
