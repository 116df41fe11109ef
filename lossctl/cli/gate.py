"""`lossctl gate`: every check of the configuration and of the flags, judged; exit 1 when one fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import Parameter
from typing import Annotated, Any

import typer

from lossctl.cli.shared import Option, check_choices, made_command, options
from lossctl.cli.specs import columns_said
from lossctl.errors import BadValue, DataError, UsageError, visible
from lossctl.options import input_parameters

__all__ = ["command"]

Texts = list[str] | None
HELP = """Judge checks with limits and baselines: exit 0 when all pass, 1 when one fails.

    Flags such as --where replace what [data] says; a check's own settings stay. Checks given by --max, --min
    and --max-regression are added to those of -c; without -c they stand alone.
    """
# What [data] says too, which a flag replaces: by the name of the parameter.
DATA = (
    *("by", "min_rows", "weight", "where", "target_file", "on", "join", "like", "nan", "input_format"),
    *("delimiter", "na", "expect_rows", "require_checksums", "ci", "cluster", "seed", "resamples"),
)


def command(name: str) -> Any:
    return made_command(name, gate, _parameters(), HELP)


def _parameters() -> list[Parameter]:
    def own(name: str, kind: Any, *flags: str, **settings: Any) -> Parameter:
        return Option(name, kind, False if kind is bool else None, flags, settings).parameter()

    files = typer.Argument(metavar="[FILE]...", help="Data instead of the files in [data]; - is stdin.")
    shared = [name for name in DATA if name not in ("by", "min_rows", "nan")]
    return [
        Parameter("files", Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=Annotated[Texts, files]),
        own(
            *("config", str | None, "-c", "--config"),
            metavar="FILE",
            help="Checks; else the nearest lossctl.toml or pyproject.toml.",
        ),
        own("maximum", Texts, "--max", metavar="SPEC=X", help="Fail above X; repeatable."),
        own("minimum", Texts, "--min", metavar="SPEC=X", help="Fail below X; repeatable."),
        own(
            *("regression", Texts, "--max-regression"),
            metavar="SPEC=X",
            help="Fail when worse than before by X or X%.",
        ),
        own("baseline", str | None, "--baseline", metavar="FILE", help="The saved result to compare with."),
        own("update", bool, "--update-baseline", help="Write this run's numbers as the new baseline."),
        own("min_rows", int | None, "--min-rows", min=1, metavar="N", help="Fewer rows are inconclusive."),
        own(
            *("needs", str | None, "--needs"),
            metavar="value|significant",
            help="significant: a breach fails only when the whole --ci interval (default 0.95) is beyond the "
            "limit; else it is a warning.",
        ),
        own(
            *("init", str | None, "--init"),
            metavar="DATA",
            help="Print a starter configuration; with -c write it.",
        ),
        *input_parameters(["target", "pred"]),
        *options(
            *shared,
            *("threads", "progress", "color", "digits", "quiet", "verbose"),
            by={"help": "Judge each group; repeatable."},
            nan={"default": None},
            format_={"help": "table, json, markdown, github, junit or openmetrics."},
            output={"help": "Also write there; github:step-summary appends to it."},
            verbose={"help": "Also show what became of all rows in tables."},
        ),
    ]


def gate(**values: Any) -> None:
    from lossctl.render.gate import GATE_FORMATS

    check_choices(values, GATE_FORMATS)
    if values["init"] is not None:
        from lossctl.cli.gate_init import write_starter

        _refuse_beside_init(values)
        write_starter(values["init"], values["config"], columns_said(values))
        return
    extra = _flag_checks(values["maximum"], values["minimum"], values["regression"])
    said = {name.replace("_", "-"): values[name] for name in DATA}
    said |= {"files": list(values["files"] or ()), "target": values["input_target"]}
    said |= {"pred": values["input_pred"]}
    shared = {name: v for name, v in said.items() if v is not False and v not in (None, [], ())}
    _gate(values, extra, shared)


def _refuse_beside_init(values: Mapping[str, Any]) -> None:
    named = {"files": "FILE", "maximum": "--max", "minimum": "--min", "regression": "--max-regression"}
    named |= {"update": "--update-baseline", "output": "--output", "baseline": "--baseline"}
    named |= {"needs": "--needs"} | {name: f"--{name.replace('_', '-')}" for name in DATA}
    for name, flag in named.items():
        if values[name]:
            raise UsageError(
                f"--init writes a configuration from DATA, --target and --pred; {flag} is not used",
                hint="leave it out, and write it into the configuration",
            )


def _gate(values: Mapping[str, Any], extra: Sequence[Mapping[str, Any]], shared: Mapping[str, Any]) -> None:
    from lossctl.cli.progress import progress
    from lossctl.cli.terminal import say
    from lossctl.config import build
    from lossctl.machine import keep_freed_memory
    from lossctl.passes import Passes
    from lossctl.render.gate import parse_gate_target
    from lossctl.render.output import Target, check_targets

    config = _config(values["config"], bool(extra))
    plans = build(config, shared, extra, {} if values["needs"] is None else {"needs": values["needs"]})
    update, path = values["update"], _baseline_path(config, values["baseline"])
    if update and path is None:
        raise UsageError("--update-baseline needs a file to write", hint="name it with --baseline FILE")
    targets = [parse_gate_target(each) for each in values["output"] or ()]
    baseline = _baseline(path, update)
    keep_freed_memory()
    with Passes(plans, values["threads"]) as passes:
        reads = [*passes.paths, *([config.path] if config.path else [])]
        writes = [*targets, *([Target(path, "json")] if update and path else [])]
        check_targets(writes, [*reads, *([path] if path and not update else [])], clobber=True)
        sizes = sum(each.dataset.nbytes for each in passes.passes)
        with progress(values["progress"], sizes, None) as tick:
            done = passes.run(tick)
    report = _report(plans, done, baseline, path)
    if update and path is not None:
        _update(plans, done, path)
        if not values["quiet"]:
            say(f"wrote the baseline {visible(path)}")
    _write(report, targets, values)
    if report.failed:
        raise typer.Exit(1)


def _config(path: str | None, alone: bool) -> Any:
    from lossctl.config import GateConfig, discover, load

    if path is None and not alone:
        path = discover()
        if path is None:
            raise UsageError(
                "no lossctl.toml here or above",
                hint="make one with: lossctl gate --init DATA -c lossctl.toml, or give --max 'SPEC=LIMIT'",
            )
    return GateConfig() if path is None else load(path)


def _baseline_path(config: Any, flag: str | None) -> str | None:
    """The file of --baseline, else the configuration's, which is relative to its folder."""
    said = config.data.get("baseline") if flag is None else flag
    if said is None:
        return None
    if not isinstance(said, str) or not said:
        raise BadValue("baseline" if flag is None else "--baseline", said, "the path of a saved result")
    return os.path.join(config.folder, said) if flag is None else said


def _baseline(path: str | None, update: bool) -> Any:
    from lossctl.gate import Baseline
    from lossctl.saved import read_saved

    if update:
        return Baseline(replacing=True)
    if path is None:
        return Baseline()
    if not os.path.lexists(path):
        return Baseline(reason=f"there is no baseline {visible(path)}")
    return Baseline(read_saved(path))


def _report(plans: Sequence[Any], done: Sequence[Any], baseline: Any, path: str | None) -> Any:
    from lossctl.gate import judge, one_sided, unjudged
    from lossctl.verdicts import Report

    verdicts = []
    for plan in plans:
        owner = next(each for each in done if any(mine is plan for mine in each.plans))
        if owner.result is None:
            verdicts.append(unjudged(plan.check, owner.reason))
        else:
            made = judge(plan.check, owner.result.scores, baseline)
            verdicts += [replace(verdict, account=owner.result.rows) for verdict in made]
    results = [each.result for each in done if each.result is not None]
    inputs = list({file.path: file for result in results for file in result.inputs}.values())
    notes = [visible(f"{plan.check.name}: {note}", 1000) for plan in plans for note in plan.notes]
    notes += [visible(note, 1000) for note in one_sided([plan.check for plan in plans])]
    warnings = list(dict.fromkeys([*notes, *(note for result in results for note in result.warnings)]))
    report = Report(verdicts, inputs, path, warnings)
    return replace(report, warnings=[*warnings, *(visible(note, 1000) for note in report.row_notes())])


def _update(plans: Sequence[Any], done: Sequence[Any], path: str) -> None:
    """Write all numbers of this run, whole or not at all; nothing when a check had no rows."""
    from lossctl.render.output import atomic
    from lossctl.render.structured import strict_json
    from lossctl.saved import Share, to_saved

    shares = []
    for plan in plans:
        owner = next(each for each in done if any(mine is plan for mine in each.plans))
        if owner.result is None:
            raise DataError(
                f"check '{visible(plan.check.name)}' has no rows, so the baseline is left as it is",
                hint=owner.reason,
            )
        shares.append(Share(plan.check.name, plan.check.spec, plan.check.conditions, owner.result))
    with atomic(path) as file:
        file.write((strict_json(to_saved(shares), indent=2) + "\n").encode())


def _write(report: Any, targets: Sequence[Any], values: Mapping[str, Any]) -> None:
    from lossctl.cli.terminal import use_color, warn
    from lossctl.render.gate import render_gate, write_summary
    from lossctl.render.output import Stdout, atomic

    warn(report.warnings, values)
    drawn = {"digits": values["digits"], "verbose": values["verbose"]}
    for target in targets:
        if target.format == "step-summary":
            write_summary(report, target.path)
            continue
        with atomic(target.path) as file:
            file.write(render_gate(report, target.format, **drawn).encode("utf-8", "backslashreplace"))
    terminal = sys.stdout is not None and sys.stdout.isatty()
    colored = use_color(values["color"], terminal)
    out = Stdout()
    out.write(render_gate(report, values["format_"], color=colored, **drawn).encode())
    out.flush()


def _flag_checks(maximum: Texts, minimum: Texts, regression: Texts) -> list[dict[str, Any]]:
    """Checks from flags: limits of one spec are one check."""
    made: dict[str, dict[str, Any]] = {}
    for key, texts in (("max", maximum), ("min", minimum), ("max-regression", regression)):
        for text in texts or ():
            spec, equals, limit = text.rpartition("=")
            if not equals or not spec.strip() or not limit.strip():
                raise BadValue(f"--{key}", text, "SPEC=LIMIT")
            check = made.setdefault(spec.strip(), {"spec": spec.strip()})
            if key in check:
                raise UsageError(f"--{key} is given twice for {visible(spec.strip())}")
            check[key] = limit.strip() if key == "max-regression" else _number(key, text, limit)
    return list(made.values())


def _number(key: str, text: str, limit: str) -> float:
    from lossctl.config_values import number

    try:
        return number(f"--{key}", float(limit))
    except ValueError:
        wanted = "SPEC=LIMIT with a number as the limit"
        percent = ", such as 0.05 for 5%" if limit.strip().endswith("%") else ""
        raise BadValue(f"--{key}", text, wanted + percent) from None
