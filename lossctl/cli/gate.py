"""`lossctl gate`: every check of the configuration and of the flags, judged; exit 1 when one fails."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from lossctl.cli.plain import read_plainly
from lossctl.errors import BadValue, DataError, UsageError, visible

__all__ = ["command"]

Texts = list[str] | None


def command(name: str) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name=name)(gate)
    return read_plainly(typer.main.get_command(app))


def _option(*flags: str, **settings: Any) -> Any:
    return typer.Option(*flags, **settings)


def gate(
    files: Annotated[
        Texts, typer.Argument(metavar="[FILE]...", help="Data instead of the files in [data]; - is stdin.")
    ] = None,
    config: Annotated[
        str | None,
        _option(
            "-c", "--config", metavar="FILE", help="Checks; else the nearest lossctl.toml or pyproject.toml."
        ),
    ] = None,
    maximum: Annotated[Texts, _option("--max", metavar="SPEC=X", help="Fail above X; repeatable.")] = None,
    minimum: Annotated[Texts, _option("--min", metavar="SPEC=X", help="Fail below X; repeatable.")] = None,
    regression: Annotated[
        Texts,
        _option("--max-regression", metavar="SPEC=X", help="Fail when worse than before by X or X%."),
    ] = None,
    baseline: Annotated[
        str | None, _option("--baseline", metavar="FILE", help="The saved result to compare with.")
    ] = None,
    update: Annotated[
        bool, _option("--update-baseline", help="Write this run's numbers as the new baseline.")
    ] = False,
    by: Annotated[Texts, _option("--by", metavar="COL", help="Judge each group; repeatable.")] = None,
    min_rows: Annotated[
        int | None, _option("--min-rows", min=1, metavar="N", help="Fewer rows are inconclusive.")
    ] = None,
    weight: Annotated[str | None, _option("--weight", metavar="COL", help="Sample weights.")] = None,
    where: Annotated[
        str | None, _option("--where", metavar="EXPR", help="Keep rows where this holds.")
    ] = None,
    target: Annotated[
        str | None, _option("--target", metavar="COLUMNS", help="Column(s) for target.")
    ] = None,
    pred: Annotated[str | None, _option("--pred", metavar="COLUMNS", help="Column(s) for pred.")] = None,
    like: Annotated[str | None, _option("--like", metavar="LIB", help="That library's conventions.")] = None,
    nan: Annotated[
        str | None, _option("--nan", metavar="error|skip|propagate", help="Missing values.")
    ] = None,
    format_: Annotated[
        str,
        _option(
            "-f", "--format", metavar="FORMAT", help="table, json, markdown, github, junit or openmetrics."
        ),
    ] = "table",
    output: Annotated[
        Texts,
        _option(
            *("-o", "--output"),
            metavar="[FORMAT:]PATH",
            help="Also write there; github:step-summary appends to it.",
        ),
    ] = None,
    init: Annotated[
        str | None, _option("--init", metavar="FILE", help="Print a starter configuration; with -c write it.")
    ] = None,
    threads: Annotated[int, _option("--threads", min=1, max=64, metavar="N", help="Threads.")] = 2,
    progress: Annotated[
        str, _option("--progress", metavar="auto|always|never", help="Progress on stderr.")
    ] = "auto",
    color: Annotated[str, _option("--color", metavar="auto|always|never", help="Colours.")] = "auto",
    digits: Annotated[
        int | None, _option("--digits", min=1, max=17, metavar="N", help="Digits in tables only.")
    ] = None,
    quiet: Annotated[bool, _option("-q", "--quiet", help="No warnings.")] = False,
) -> None:
    """Judge checks with limits and baselines: exit 0 when all pass, 1 when one fails.

    Flags such as --where replace what [data] says; a check's own settings stay. Checks given by --max, --min
    and --max-regression are added to those of -c; without -c they stand alone.
    """
    _check_choices(format_, color, progress)
    if init is not None:
        from lossctl.cli.gate_init import write_starter

        write_starter(init, config)
        return
    extra = _flag_checks(maximum, minimum, regression)
    data = {
        "files": list(files or ()),
        "by": by,
        "min-rows": min_rows,
        "weight": weight,
        "where": where,
        "target": target,
        "pred": pred,
        "like": like,
        "nan": nan,
    }
    shared = {name: value for name, value in data.items() if value not in (None, [], ())}
    options = {"format": format_, "color": color, "digits": digits, "quiet": quiet, "progress": progress}
    _gate(config, extra, shared, baseline, update, output or (), threads, options)


def _gate(
    config_path: str | None,
    extra: Sequence[Mapping[str, Any]],
    shared: Mapping[str, Any],
    baseline_path: str | None,
    update: bool,
    outputs: Sequence[str],
    threads: int,
    options: Mapping[str, Any],
) -> None:
    from lossctl.cli.allocator import keep_freed_memory
    from lossctl.cli.progress import progress
    from lossctl.config import build
    from lossctl.passes import Passes
    from lossctl.render.gate import parse_gate_target
    from lossctl.render.output import Target, check_targets

    config = _config(config_path, bool(extra))
    plans = build(config, shared, extra)
    path = baseline_path or _baseline_path(config)
    if update and path is None:
        raise UsageError("--update-baseline needs a file to write", hint="name it with --baseline FILE")
    targets = [parse_gate_target(each) for each in outputs]
    baseline = _baseline(path, update)
    keep_freed_memory()
    with Passes(plans, threads) as passes:
        reads = [*passes.paths, *([config.path] if config.path else [])]
        writes = [*targets, *([Target(path, "json")] if update and path else [])]
        check_targets(writes, [*reads, *([path] if path and not update else [])], clobber=True)
        sizes = sum(each.dataset.nbytes for each in passes.passes)
        with progress(options["progress"], sizes, None) as tick:
            done = passes.run(tick)
    report = _report(plans, done, baseline, path)
    if update and path is not None:
        _update(plans, done, path)
    _write(report, targets, options)
    if report.failed:
        raise typer.Exit(1)


def _config(path: str | None, alone: bool) -> Any:
    from lossctl.config import GateConfig, discover, load

    if path is None and not alone:
        path = discover()
        if path is None:
            raise UsageError(
                "no lossctl.toml here or above",
                hint="make one with: lossctl gate --init FILE, or give --max 'SPEC=LIMIT'",
            )
    return GateConfig() if path is None else load(path)


def _baseline_path(config: Any) -> str | None:
    said = config.data.get("baseline")
    if said is None:
        return None
    if not isinstance(said, str) or not said:
        raise BadValue("baseline", said, "the path of a saved result")
    return os.path.join(config.folder, said)


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
    from lossctl.gate import Report, judge, unjudged

    verdicts = []
    for plan in plans:
        owner = next(each for each in done if any(mine is plan for mine in each.plans))
        if owner.result is None:
            verdicts.append(unjudged(plan.check, owner.reason))
        else:
            verdicts += judge(plan.check, owner.result.scores, baseline)
    results = [each.result for each in done if each.result is not None]
    inputs = list({file.path: file for result in results for file in result.inputs}.values())
    warnings = list(dict.fromkeys(note for result in results for note in result.warnings))
    return Report(verdicts, inputs, path, warnings)


def _update(plans: Sequence[Any], done: Sequence[Any], path: str) -> None:
    """Write all numbers of this run, whole or not at all; nothing when a check had no rows."""
    from lossctl.render.output import atomic
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
        file.write((json.dumps(to_saved(shares), indent=2, allow_nan=False) + "\n").encode())


def _write(report: Any, targets: Sequence[Any], options: Mapping[str, Any]) -> None:
    from lossctl.cli.compute import say, use_color
    from lossctl.render.gate import render_gate, write_summary
    from lossctl.render.output import Stdout, atomic

    if not options["quiet"]:
        for warning in report.warnings:
            say(f"warning: {visible(warning, 1000)}")
    for target in targets:
        if target.format == "step-summary":
            write_summary(report, target.path)
            continue
        with atomic(target.path) as file:
            file.write(
                render_gate(report, target.format, digits=options["digits"]).encode("utf-8", "replace")
            )
    terminal = sys.stdout is not None and sys.stdout.isatty()
    colored = use_color(options["color"], terminal)
    out = Stdout()
    out.write(render_gate(report, options["format"], digits=options["digits"], color=colored).encode())
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
        raise BadValue(f"--{key}", text, "SPEC=LIMIT with a number as the limit") from None


def _check_choices(format_: str, color: str, progress: str) -> None:
    from lossctl.render.gate import GATE_FORMATS

    for name, value, choices in (
        ("--format", format_, GATE_FORMATS),
        ("--color", color, ("auto", "always", "never")),
        ("--progress", progress, ("auto", "always", "never")),
    ):
        if value not in choices:
            raise BadValue(name, value, " or ".join(choices))
