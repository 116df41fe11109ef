"""A loss to a Typer command: its inputs, its parameters and the options every loss shares."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any

import typer

from lossctl.cli.shared import column_names, made_command, options
from lossctl.errors import UnknownName, UsageError
from lossctl.loss.declare import Loss
from lossctl.loss.params import REQUIRED, BoundParam, value_text
from lossctl.loss.registry import get
from lossctl.loss.spec import Bound, Spec, parse

_PLAIN = re.compile(r"[A-Za-z][\w-]*")

Parameter = inspect.Parameter

_NAMES = (
    *("weight", "by", "ids", "where", "target_file", "on", "join", "grad", "like", "reduction", "elements"),
    *("nan", "width", "fail_above", "fail_below", "output", "no_clobber", "input_format", "delimiter"),
    *("na", "expect_rows", "require_checksums"),
    *("threads", "chunk_rows", "max_memory", "progress", "color", "digits", "quiet", "verbose"),
    *("ci", "cluster", "seed", "resamples"),
)


def loss_parameters(loss: Loss) -> list[Parameter]:
    """One option per hyper-parameter of the loss."""
    return [_loss_option(param) for param in loss.params.values()]


def _loss_option(param: BoundParam) -> Parameter:
    flag = f"--{param.kebab}"
    default = "required" if param.default is REQUIRED else f"default {value_text(param.default)}"
    text = f"{param.meta.help[:1].upper()}{param.meta.help[1:]}: {param.allowed()} [{default}]."
    if param.is_flag:
        note: Any = Annotated[
            bool | None, typer.Option(f"{flag}/--no-{param.kebab}", help=text, show_default=False)
        ]
    else:
        note = Annotated[str | None, typer.Option(flag, help=text, metavar=param.metavar)]
    return Parameter(f"param_{param.name}", Parameter.KEYWORD_ONLY, default=None, annotation=note)


def input_parameters(names: Sequence[str]) -> list[Parameter]:
    """One option per input: the column, comma list or glob that plays it."""
    made = []
    for name in names:
        flag = f"--{name.replace('_', '-')}"
        note = Annotated[
            str | None,
            typer.Option(flag, metavar="COLUMNS", help=f"Column(s) for {name}.", autocompletion=column_names),
        ]
        made.append(Parameter(f"input_{name}", Parameter.KEYWORD_ONLY, default=None, annotation=note))
    return made


def files_parameter(
    metavar: str = "FILE...",
    help_: str = "CSV or Parquet files, globs, directories, or - for standard input.",
) -> Parameter:
    note = Annotated[list[str], typer.Argument(metavar=metavar, help=help_)]
    return Parameter("files", Parameter.POSITIONAL_OR_KEYWORD, annotation=note)


def compute_command(text: str, run: Callable[..., None]) -> Any:
    """The command of a loss or spec: `run(text, **values)` with the signature that help and parsing need."""
    shared = options(*_NAMES, format_={"help": "table, json, jsonl, csv, tsv, markdown or value."})
    single = _single(text)
    if single is None:
        bounds = [term.bound for spec in parse(text) for term in spec.terms]
        listed = "\n".join(f"  {bound.text}: {bound.loss.doc.summary}" for bound in bounds)
        help_ = f"Several losses in one pass over the data.\n\n\b\n{listed}"
        return spec_command(text, run, shared, help_)
    inputs = ["target", "pred"] if single.open_inputs else list(single.inputs)
    parameters = [files_parameter(), *input_parameters(inputs), *loss_parameters(single), *shared]
    return made_command(text, partial(run, text), parameters, help_text(single))


def _single(text: str) -> Loss | None:
    """The loss that is named alone, without parameters."""
    if not _PLAIN.fullmatch(text.strip()):
        return None
    try:
        return get(text)
    except UnknownName:
        parse(text)  # mse-mae: the refusal of a spec says what to write
        raise


def _inputs_of(specs: Sequence[Spec]) -> list[str]:
    """The inputs of all their losses, each once."""
    return list(dict.fromkeys(name for spec in specs for term in spec.terms for name in term.bound.inputs))


def spec_command(
    text: str,
    run: Callable[..., None],
    parameters: Sequence[Parameter],
    help_: str,
    files: Parameter | None = None,
) -> Any:
    """The command of a spec: its files, a column for every input of its losses, and these parameters."""
    specs = parse(text)
    listed = [files or files_parameter(), *input_parameters(_inputs_of(specs)), *parameters]
    bounds = [term.bound for spec in specs for term in spec.terms]
    return _point_to_spec(made_command(text, partial(run, text), listed, help_), bounds)


def _point_to_spec(command: Any, bounds: Sequence[Bound]) -> Any:
    """`command`, whose losses stand in a spec: a parameter given as an option is told its place."""
    parse_args = command.parse_args
    own = {flag for param in command.params for flag in param.opts}
    params = [(bound.loss, param) for bound in bounds for param in bound.loss.params.values()]
    owners = {flag: each for each in params if (flag := f"--{each[1].kebab}") not in own}

    def told(ctx: Any, args: list[str]) -> Any:
        words = args[: args.index("--")] if "--" in args else args
        for word, after in zip(words, [*words[1:], ""], strict=False):
            flag, equals, value = word.partition("=")
            if flag in owners:
                value = value if equals or after.startswith("-") else after
                loss, param = owners[flag]
                raise UsageError(
                    f"{flag} belongs to one loss of the spec",
                    hint=f"write it there: {loss.name}:{param.kebab}={value or param.metavar}",
                )
        return parse_args(ctx, args)

    command.parse_args = told
    return command


def help_text(loss: Loss) -> str:
    """What `--help` says above the options."""
    doc = loss.doc
    lines = [f"Formula: {doc.sections.get('Formula', '')}"]
    lines += [f"Input {i.option}: {' or '.join(str(f) for f in i.forms)}" for i in loss.inputs.values()]
    lines += [f"Aggregate: {doc.sections.get('Aggregate', 'the weighted mean of the rows.')}"]
    return "\n\n".join([doc.summary, *lines, f"See also: lossctl explain {loss.name}"])
