"""`lossctl compare`: systems on the same rows, the first being the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lossctl.cli.interval import asked_interval, interval_parameters
from lossctl.cli.reading import outputs, settings_said
from lossctl.cli.shared import CHOICES, check_choices, options
from lossctl.cli.specs import spec_group
from lossctl.cli.terminal import warn
from lossctl.errors import UsageError
from lossctl.loss.spec import parse
from lossctl.machine import keep_freed_memory
from lossctl.options import files_parameter, spec_command

__all__ = ["command"]

KEPT = (
    *("weight", "by", "where", "like", "reduction", "elements", "nan", "width", "output", "no_clobber"),
    *("input_format", "delimiter", "na", "expect_rows", "threads", "chunk_rows", "max_memory", "digits"),
    *("require_checksums", "progress", "quiet"),
)
REDUCTIONS = tuple(each for each in CHOICES["reduction"] if each != "none")


def command(name: str) -> Any:
    """The `compare` group."""
    return spec_group(
        _compare_command,
        "SPEC [OPTIONS] A B [C]...",
        "Are B and C better than A on the same rows? Differences, intervals, p-values, verdicts.",
        "lossctl compare mae,rmse baseline.parquet candidate.parquet --on id",
    )


def _compare_command(text: str) -> Any:
    parameters = options(
        *KEPT,
        on={"help": "Pair rows by these columns instead of by their order."},
        format_={"help": "table, json or markdown."},
    )
    parameters += interval_parameters("--level")
    help_ = "Compare systems on the same rows; the first is the baseline."
    files = files_parameter("A B [C]...", "CSV or Parquet files; the first is the baseline.")
    return spec_command(text, _run, parameters, help_, files)


def _run(text: str, files: Sequence[str], **values: Any) -> None:
    from lossctl.cli.progress import progress
    from lossctl.cli.systems import Systems
    from lossctl.compare import compare, direction_of
    from lossctl.render.compare import COMPARE_FORMATS, render_compare
    from lossctl.render.output import Stdout, atomic, check_targets

    check_choices(values, COMPARE_FORMATS, reductions=REDUCTIONS)
    targets = outputs(values["output"], COMPARE_FORMATS)
    _check(files)
    keep_freed_memory()
    specs = parse(text, like=values["like"])
    for spec in specs:
        direction_of(spec)
    asked = asked_interval(values, flag="--level", default="0.95")
    settings = settings_said(values, ci=asked)
    keys = [key.strip() for key in values["on"].split(",")] if values["on"] is not None else None
    systems = Systems(specs, settings, values, keys)
    paths, nbytes = systems.surveyed(files)
    check_targets(targets, paths, clobber=not values["no_clobber"])
    with progress(values["progress"], nbytes, None) as systems.tick:
        runs = [systems.evaluated(path, files[0]) for path in files]
    pairing = "row order" if keys is None else "key " + ", ".join(keys)
    made = replace(compare(runs, asked, pairing), warnings=list(dict.fromkeys(systems.warnings)))
    warn(made.warnings, values)
    digits = values["digits"] or 6
    for target in targets:
        with atomic(target.path, clobber=not values["no_clobber"]) as file:
            file.write(render_compare(made, target.format, digits=digits).encode("utf-8", "backslashreplace"))
    out = Stdout()
    out.write(render_compare(made, values["format_"], digits=digits).encode("utf-8", "backslashreplace"))
    out.flush()


def _check(files: Sequence[str]) -> None:
    if len(files) < 2:
        raise UsageError("a comparison needs two files", hint="the first is the baseline: compare SPEC A B")
    if "-" in files:
        raise UsageError("compare reads its files twice, so not from standard input", hint="name files")
