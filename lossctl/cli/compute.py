"""`lossctl compute`: one generated subcommand per loss or spec, all run by the same function."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from lossctl.cli.interval import asked_interval
from lossctl.cli.reading import opened, outputs, refuse_row_formats, settings_said
from lossctl.cli.shared import check_choices
from lossctl.cli.specs import spec_group
from lossctl.cli.terminal import say, terminal_width, use_color, warn
from lossctl.errors import UsageError, visible
from lossctl.loss.spec import parse
from lossctl.options import compute_command

__all__ = ["command"]


def command(name: str) -> Any:
    """The `compute` group."""
    return spec_group(
        lambda text: compute_command(text, run),
        "LOSS [OPTIONS] FILE...",
        "Evaluate losses over files of predictions.",
        "A LOSS may be a spec: mae,rmse,huber:delta=1.5 computes all in one pass, dice+bce adds. "
        "lossctl compute LOSS --help shows the options of a loss.",
    )


def run(text: str, files: Sequence[str], **values: Any) -> None:
    """Evaluate `text` over `files` and print, write and judge the result."""
    from lossctl.plan import listed_apart, make_plan
    from lossctl.render import FORMATS
    from lossctl.render.output import check_targets

    check_choices(values, FORMATS)
    _check(values)
    given = {
        k.removeprefix("param_"): v for k, v in values.items() if k.startswith("param_") and v is not None
    }
    specs = parse(text, like=values["like"], given=given)
    settings = settings_said(values, ci=asked_interval(values))
    targets = outputs(values["output"])
    if values["reduction"] != "none":
        refuse_row_formats(targets)
    with opened(files, values, settings.max_memory) as dataset:
        check_targets(targets, [s.path for s in dataset.sources], clobber=not values["no_clobber"])
        plan = make_plan(specs, listed_apart(settings, dataset), dataset)
        if settings.width is not None and all(feed.width is None for feed in plan.reading.feeds):
            raise UsageError("--width is for lists of steps and classes, which no input here is")
        if values["reduction"] == "none":
            from lossctl.cli.samples import run_samples

            run_samples(plan, dataset, targets, values)
        else:
            _aggregate(plan, dataset, targets, values)


def _aggregate(plan: Any, dataset: Any, targets: Sequence[Any], values: Mapping[str, Any]) -> None:
    from lossctl.aggregate import to_result
    from lossctl.cli.progress import progress
    from lossctl.render import ACCOUNTING
    from lossctl.spine import run as evaluate

    with progress(values["progress"], dataset.nbytes, dataset.promised_rows) as tick:
        outcome = evaluate(plan, dataset, progress=tick)
    result = to_result(plan, outcome, dataset)
    skipped = [] if values["format_"] in ACCOUNTING else result.rows.warnings
    warn([*result.warnings, *skipped], values)
    write_result(result, targets, values)
    verdict(result, values["fail_above"], values["fail_below"])


def write_result(result: Any, targets: Sequence[Any], values: Mapping[str, Any]) -> None:
    """Every output file, then standard output."""
    from lossctl.render import render
    from lossctl.render.output import atomic, stdout_for

    for target in targets:
        with atomic(target.path, clobber=not values["no_clobber"]) as file:
            file.write(
                render(result, target.format, digits=values["digits"], verbose=values["verbose"]).encode()
            )
    terminal = sys.stdout is not None and sys.stdout.isatty()
    text = render(
        result,
        values["format_"],
        digits=values["digits"],
        color=use_color(values["color"], terminal),
        width=terminal_width() if terminal else None,
        verbose=values["verbose"],
    )
    out = stdout_for(values["format_"])
    out.write(text.encode())
    out.flush()


def verdict(result: Any, above: float | None, below: float | None) -> None:
    """Exit 1 when any value breaches a limit or is NaN; exit 3 when there is nothing to judge."""
    from lossctl.errors import DataError

    if above is None and below is None:
        return
    breaches = []
    for score in result.scores:
        name = score.spec + "".join(f" [{k}={v}]" for k, v in score.group.items())
        if score.status == "empty":
            raise DataError(f"{name} has no rows to judge", hint="a gate without data never passes")
        if score.status == "nan":
            breaches.append(f"{name} is NaN")
        if above is not None and score.value > above:
            breaches.append(f"{name} = {score.value!r} is above {above!r}")
        if below is not None and score.value < below:
            breaches.append(f"{name} = {score.value!r} is below {below!r}")
    for breach in breaches:
        say(f"FAIL {visible(breach, 1000)}")
    if breaches:
        raise typer.Exit(1)


def _check(values: Mapping[str, Any]) -> None:
    for name, flag in (("grad", "--grad"), ("ids", "--id")):
        if values[name] and values["reduction"] != "none":
            raise UsageError(f"{flag} belongs to per-sample output", hint="add --reduction none")
    if values["reduction"] != "none":
        return
    for name in ("fail_above", "fail_below"):
        if values[name] is not None:
            raise UsageError(f"--{name.replace('_', '-')} judges an aggregate, --reduction none gives none")
    for name, does in (("by", "groups"), ("weight", "weighs")):
        if values[name]:
            raise UsageError(
                f"--{name} {does} an aggregate, --reduction none gives none",
                hint="use --id to carry the column",
            )
