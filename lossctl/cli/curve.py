"""`lossctl curve`: a loss over the steps of training, as a plot and in words."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from lossctl.cli.allocator import keep_freed_memory
from lossctl.cli.compute import CHOICES, LossGroup, memory, say, terminal_width
from lossctl.cli.plain import read_plainly
from lossctl.curve import judge, ordered, step_of, train_of
from lossctl.errors import BadValue, DataError, UsageError, visible
from lossctl.loss.spec import Spec, parse
from lossctl.options import column_names, files_parameter, input_parameters, shared_parameters
from lossctl.series import Curve, Point, Rules, to_dict

__all__ = ["command"]

KEPT = {"weight", "where", "like", "reduction", "elements", "nan", "width", "output", "no_clobber"}
KEPT |= {"input_format", "delimiter", "threads", "chunk_rows", "max_memory", "progress", "digits", "quiet"}
WIDTH = 80


class CurveGroup(LossGroup):
    """SPEC is a subcommand, so that its inputs are options."""

    def get_command(self, ctx: Any, name: str) -> Any:
        return _curve_command(name)


def command(name: str) -> Any:
    """The `curve` group."""
    app = typer.Typer(
        cls=CurveGroup,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        subcommand_metavar="SPEC [OPTIONS] --by STEP FILE...",
    )

    @app.callback(epilog="lossctl curve SPEC epochs.csv --by epoch --split split")
    def curve() -> None:
        """A loss over the steps of training: a plot, and what it shows in words."""

    return read_plainly(typer.main.get_command(app))


def _own_parameters() -> list[inspect.Parameter]:
    def option(name: str, kind: Any, default: Any, *flags: str, **settings: Any) -> inspect.Parameter:
        note = Annotated[kind, typer.Option(*flags, **settings)]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=note)

    own = Rules()
    columns = {"metavar": "COL", "autocompletion": column_names}
    return [
        option("by", str, ..., "--by", help="Column of the step, a number.", **columns),
        option("split", str | None, None, "--split", help="Column of the split: one curve each.", **columns),
        option("train", str | None, None, "--train", metavar="NAME", help="The split that was trained on."),
        option(
            "tolerance",
            float,
            own.tolerance,
            "--tolerance",
            metavar="X",
            help="Relative improvement that counts.",
        ),
        option(
            "patience",
            int,
            own.patience,
            "--patience",
            min=1,
            metavar="N",
            help="Steps without it: a plateau.",
        ),
        option("margin", float, own.margin, "--margin", metavar="X", help="Relative rise that counts."),
        option("format_", str, "table", "-f", "--format", metavar="FORMAT", help="table, json or csv."),
    ]


def _curve_command(text: str) -> Any:
    specs = parse(text)
    names = dict.fromkeys(name for spec in specs for term in spec.terms for name in term.bound.inputs)
    parameters = [files_parameter(), *input_parameters(list(names)), *_own_parameters()]
    parameters += [each for each in shared_parameters() if each.name in KEPT]

    def run(**values: Any) -> None:
        _run(text, **values)

    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            each.replace(default=inspect.Parameter.empty) if each.default is ... else each
            for each in parameters
        ]
    )
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name=text, help="A plot of the loss over the steps, and what it shows in words.")(run)
    return read_plainly(typer.main.get_command(app))


def _run(text: str, files: Sequence[str], **values: Any) -> None:
    from lossctl.aggregate import to_result
    from lossctl.cli.progress import progress
    from lossctl.plan import make_plan
    from lossctl.render.output import check_targets, parse_target
    from lossctl.sources import open_dataset
    from lossctl.spine import run as evaluate

    targets = [parse_target(each) for each in values["output"] or ()]
    rules = _check(values, targets)
    keep_freed_memory()
    specs = parse(text, like=values["like"])
    source = {"input_format": values["input_format"], "delimiter": values["delimiter"]}
    with open_dataset(list(files), threads=values["threads"], **source) as dataset:
        check_targets(targets, [s.path for s in dataset.sources], clobber=not values["no_clobber"])
        plan = make_plan(specs, _settings(values), dataset)
        with progress(values["progress"], dataset.nbytes, dataset.promised_rows) as tick:
            outcome = evaluate(plan, dataset, progress=tick)
        result = to_result(plan, outcome, dataset)
    if not values["quiet"]:
        for warning in result.warnings:
            say(f"warning: {visible(warning, 1000)}")
    curves = [_curve(spec, result, values, rules) for spec in specs]
    _write(curves, rules, result, targets, values)


def _settings(values: Mapping[str, Any]) -> Any:
    from lossctl.plan import Settings

    return Settings(
        columns={k.removeprefix("input_"): v for k, v in values.items() if k.startswith("input_") and v},
        weight=values["weight"],
        by=(values["by"],) if values["split"] is None else (values["by"], values["split"]),
        reduction=values["reduction"],
        elements=values["elements"],
        missing=values["nan"],
        width=values["width"],
        threads=values["threads"],
        chunk_rows=values["chunk_rows"],
        max_memory=memory(values["max_memory"]),
        where=values["where"],
    )


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
    return judge(found, direction_of(spec), rules, spec=spec.text, train=train)


def direction_of(spec: Spec) -> str:
    """The declared direction; of a sum, that of its terms where they agree once signs are counted."""
    turned = {"lower": "higher", "higher": "lower"}
    ways = {
        way if t.coefficient > 0 else turned.get(way, way)
        for t in spec.terms
        for way in (t.bound.loss.direction,)
    }
    return ways.pop() if len(ways) == 1 else "lower"


def _write(
    curves: Sequence[Curve], rules: Rules, result: Any, targets: Sequence[Any], values: Mapping[str, Any]
) -> None:
    from lossctl.render.curve import render_csv, render_curves
    from lossctl.render.output import Stdout, atomic

    def made(format_: str, width: int = WIDTH, encoding: str = "utf-8") -> str:
        if format_ == "json":
            data = to_dict(curves, rules, result, values["by"], values["split"])
            return json.dumps(data, indent=2, allow_nan=False) + "\n"
        if format_ == "csv":
            return render_csv(curves)
        digits = values["digits"] or 4
        return render_curves(curves, rules, values["by"], width=width, digits=digits, encoding=encoding)

    for target in targets:
        with atomic(target.path) as file:
            file.write(made(target.format).encode("utf-8", "backslashreplace"))
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    terminal = sys.stdout is not None and sys.stdout.isatty()
    text = made(values["format_"], terminal_width() if terminal else WIDTH, encoding)
    out = Stdout()
    out.write(text.encode(encoding if values["format_"] == "table" else "utf-8", "backslashreplace"))
    out.flush()


def _check(values: Mapping[str, Any], targets: Sequence[Any]) -> Rules:
    from lossctl.render.curve import CURVE_FORMATS

    for name in ("elements", "nan", "progress"):
        if values[name] not in CHOICES[name]:
            raise BadValue(f"--{name}", values[name], " or ".join(CHOICES[name]))
    summed = [each for each in CHOICES["reduction"] if each != "none"]
    if values["reduction"] is not None and values["reduction"] not in summed:
        raise BadValue("--reduction", values["reduction"], " or ".join(summed))
    for format_ in (values["format_"], *(target.format for target in targets)):
        if format_ not in CURVE_FORMATS:
            raise BadValue("--format", format_, " or ".join(CURVE_FORMATS))
    for name in ("tolerance", "margin"):
        if not 0 <= values[name] < float("inf"):
            raise BadValue(f"--{name}", values[name], "a number from 0")
    if values["split"] == values["by"]:
        raise UsageError("--by and --split name the same column", hint="--split is for train and validation")
    if values["train"] is not None and values["split"] is None:
        raise UsageError("--train names a split", hint="say which column holds it with --split")
    return Rules(values["tolerance"], values["patience"], values["margin"])
