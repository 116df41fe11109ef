"""`lossctl compute`: one generated subcommand per loss or spec, all run by the same function."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import typer
from typer.core import TyperGroup

from lossctl.cli.allocator import keep_freed_memory
from lossctl.cli.interval import asked_interval
from lossctl.cli.plain import read_plainly
from lossctl.errors import BadValue, UsageError, visible
from lossctl.loss.registry import all_losses
from lossctl.loss.spec import parse
from lossctl.options import FLAGS, compute_command

__all__ = ["command"]

CHOICES = {
    "join": ("strict", "inner"),
    "reduction": ("mean", "sum", "mean-n", "pooled", "none"),
    "elements": ("mean", "sum"),
    "nan": ("error", "skip", "propagate"),
    "progress": ("auto", "always", "never"),
    "color": ("auto", "always", "never"),
}


class LossGroup(TyperGroup):
    """LOSS names are subcommands, built when asked for; a spec is one too."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [loss.name for loss in all_losses()]

    def get_command(self, ctx: Any, name: str) -> Any:
        return compute_command(name, run)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return args[0], self.get_command(ctx, args[0]), args[1:]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return list(super().parse_args(ctx, _loss_first(args)))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        families: dict[str, list[str]] = {}
        for loss in all_losses():
            families.setdefault(loss.family, []).append(loss.name)
        with formatter.section("Losses"):
            formatter.write_dl([(family, ", ".join(names)) for family, names in families.items()])


def _loss_first(args: list[str]) -> list[str]:
    """Options may stand before LOSS: move the first word that belongs to no option to the front."""
    if not args or not args[0].startswith("-") or args[0] == "-" or "--help" in args[:1]:
        return args
    at = 0
    while at < len(args) and args[at].startswith("-") and args[at] != "-":
        at += 1 if args[at] in FLAGS or "=" in args[at] or args[at].startswith("--no-") else 2
    return [args[at], *args[:at], *args[at + 1 :]] if at < len(args) else args


def command(name: str) -> Any:
    """The `compute` group."""
    app = typer.Typer(
        cls=LossGroup,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        subcommand_metavar="LOSS [OPTIONS] FILE...",
    )

    @app.callback(
        epilog="A LOSS may be a spec: mae,rmse,huber:delta=1.5 computes all in one pass, dice+bce adds. "
        "lossctl compute LOSS --help shows the options of a loss."
    )
    def compute() -> None:
        """Evaluate losses over files of predictions."""

    return read_plainly(typer.main.get_command(app))


def run(text: str, files: Sequence[str], **values: Any) -> None:
    """Evaluate `text` over `files` and print, write and judge the result."""
    from lossctl.plan import Settings, make_plan
    from lossctl.render import FORMATS
    from lossctl.render.output import check_targets, parse_target

    _check_choices(values, FORMATS)
    keep_freed_memory()
    given = {
        k.removeprefix("param_"): v for k, v in values.items() if k.startswith("param_") and v is not None
    }
    specs = parse(text, like=values["like"], given=given)
    settings = Settings(
        columns={
            k.removeprefix("input_"): v for k, v in values.items() if k.startswith("input_") and v is not None
        },
        weight=values["weight"],
        by=values["by"] or (),
        ids=values["ids"] or (),
        reduction=values["reduction"],
        elements=values["elements"],
        missing=values["nan"],
        width=values["width"],
        threads=values["threads"],
        chunk_rows=values["chunk_rows"],
        max_memory=memory(values["max_memory"]),
        where=values["where"],
        grad=values["grad"],
        ci=asked_interval(values),
    )
    targets = [parse_target(each) for each in values["output"] or ()]
    with _opened(files, values, settings.max_memory) as dataset:
        check_targets(targets, [s.path for s in dataset.sources], clobber=not values["no_clobber"])
        plan = make_plan(specs, settings, dataset)
        if values["reduction"] == "none":
            from lossctl.cli.samples import run_samples

            run_samples(plan, dataset, targets, values)
        else:
            _aggregate(plan, dataset, targets, values)


def _opened(files: Sequence[str], values: Mapping[str, Any], max_memory: int) -> Any:
    """The data set of the files, with the columns of --target-file where there is one."""
    from lossctl.sources import open_dataset

    options = {name: values[name] for name in ("input_format", "delimiter", "threads")}
    if values["target_file"] is None:
        for name in ("on", "join"):
            if values[name] is not None:
                raise UsageError(
                    f"--{name} is for a join", hint="name the file of targets with --target-file"
                )
        return open_dataset(list(files), **options)
    from lossctl.sources.join import open_joined

    if values["on"] is None:
        raise UsageError("--target-file needs keys to join on", hint="name the key columns with --on")
    how = values["join"] or "strict"
    return open_joined(
        list(files), values["target_file"], values["on"], how, max_memory=max_memory, **options
    )


def _aggregate(plan: Any, dataset: Any, targets: Sequence[Any], values: Mapping[str, Any]) -> None:
    from lossctl.aggregate import to_result
    from lossctl.cli.progress import progress
    from lossctl.spine import run as evaluate

    with progress(values["progress"], dataset.nbytes, dataset.promised_rows) as tick:
        outcome = evaluate(plan, dataset, progress=tick)
    result = to_result(plan, outcome, dataset)
    if not values["quiet"]:
        for warning in result.warnings:
            say(f"warning: {visible(warning, 1000)}")
    write_result(result, targets, values)
    verdict(result, values["fail_above"], values["fail_below"])


def write_result(result: Any, targets: Sequence[Any], values: Mapping[str, Any]) -> None:
    """Every output file, then standard output."""
    from lossctl.render import render
    from lossctl.render.output import Stdout, atomic

    for target in targets:
        with atomic(target.path) as file:
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
    out = Stdout()
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


def _check_choices(values: Mapping[str, Any], formats: Sequence[str]) -> None:
    for name, choices in CHOICES.items():
        if values.get(name) is not None and values[name] not in choices:
            raise BadValue(f"--{name}", values[name], " or ".join(choices))
    if values["format_"] not in formats:
        raise BadValue("--format", values["format_"], " or ".join(formats))
    if values["grad"] and values["reduction"] != "none":
        raise UsageError("--grad belongs to per-sample output", hint="add --reduction none")
    for name in ("fail_above", "fail_below"):
        if values[name] is not None and values[name] != values[name]:
            raise BadValue(f"--{name.replace('_', '-')}", "nan", "a number")
        if values[name] is not None and values["reduction"] == "none":
            raise UsageError(f"--{name.replace('_', '-')} judges an aggregate, --reduction none gives none")


def memory(text: str) -> int:
    """Bytes from 500MB, 4GB, 2GiB or a plain number."""
    units = {
        "": 1,
        "k": 10**3,
        "m": 10**6,
        "g": 10**9,
        "t": 10**12,
        "ki": 2**10,
        "mi": 2**20,
        "gi": 2**30,
        "ti": 2**40,
    }
    body = text.strip().lower().removesuffix("b")
    number = body.rstrip("kmgti")
    try:
        size = float(number) * units[body[len(number) :]]
    except (ValueError, KeyError):
        raise BadValue("--max-memory", text, "a size such as 500MB or 4GB") from None
    if not 0 < size < 2**63:
        raise BadValue("--max-memory", text, "a size such as 500MB or 4GB")
    return int(size)


def use_color(choice: str, terminal: bool) -> bool:
    """--color wins; then NO_COLOR, FORCE_COLOR and TERM=dumb as other tools read them."""
    import os

    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR_FORCE"):
        return True
    return terminal and os.environ.get("TERM") != "dumb"


def terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def say(text: str) -> None:
    """One line on stderr."""
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
