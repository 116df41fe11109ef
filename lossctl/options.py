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
from lossctl.loss.spec import Bound, parse

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
    single = _single(text)
    if single is not None:
        inputs = ["target", "pred"] if single.open_inputs else list(single.inputs)
        help_, bounds = help_text(single), []
    else:
        bounds = [term.bound for spec in parse(text) for term in spec.terms]
        inputs = list(dict.fromkeys(name for bound in bounds for name in bound.inputs))
        listed = "\n".join(f"  {bound.text}: {bound.loss.doc.summary}" for bound in bounds)
        help_ = f"Several losses in one pass over the data.\n\n\b\n{listed}"
    parameters = [files_parameter(), *input_parameters(inputs)]
    parameters += loss_parameters(single) if single is not None else []
    parameters += options(*_NAMES, format_={"help": "table, json, jsonl, csv, tsv, markdown or value."})

    return point_to_spec(made_command(text, partial(run, text), parameters, help_), bounds)


def _single(text: str) -> Loss | None:
    """The loss that is named alone, without parameters."""
    if not _PLAIN.fullmatch(text.strip()):
        return None
    try:
        return get(text)
    except UnknownName:
        parse(text)  # mse-mae: the refusal of a spec says what to write
        raise


def point_to_spec(command: Any, bounds: Sequence[Bound]) -> Any:
    """`command`, whose losses stand in a spec: a parameter given as an option is told its place."""
    parse_args = command.parse_args
    owners = {f"--{param.kebab}": (b.loss, param) for b in bounds for param in b.loss.params.values()}

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
