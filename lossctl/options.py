"""A loss to a Typer command: its inputs, its parameters and the options every loss shares."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from lossctl.cli.interval import interval_parameters
from lossctl.cli.plain import read_plainly
from lossctl.loss.declare import Loss
from lossctl.loss.params import REQUIRED, BoundParam, value_text
from lossctl.loss.registry import get
from lossctl.loss.spec import parse

_PLAIN = re.compile(r"[A-Za-z][\w-]*")

Parameter = inspect.Parameter


def shared_parameters() -> list[Parameter]:
    """The options of `compute` that do not depend on the loss, in the order of its help."""

    def option(name: str, kind: Any, default: Any, *flags: str, **settings: Any) -> Parameter:
        note = Annotated[kind, typer.Option(*flags, **settings)]
        return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=note)

    return [
        option(
            "weight",
            str | None,
            None,
            "--weight",
            metavar="COL",
            help="Sample weights.",
            autocompletion=column_names,
        ),
        option(
            "by",
            list[str] | None,
            None,
            "--by",
            metavar="COL",
            help="One row per group, plus the total; repeatable.",
            autocompletion=column_names,
        ),
        option(
            "ids",
            list[str] | None,
            None,
            "--id",
            metavar="COL",
            help="Column carried into per-sample output; repeatable.",
            autocompletion=column_names,
        ),
        option(
            "where",
            str | None,
            None,
            "--where",
            metavar="EXPR",
            help="Keep rows where this holds, such as \"split == 'test' and pred > 0\".",
        ),
        option(
            "target_file",
            str | None,
            None,
            "--target-file",
            metavar="FILE",
            help="Targets come from this file, joined one-to-one on the keys of --on.",
        ),
        option(
            "on",
            str | None,
            None,
            "--on",
            metavar="KEY[,KEY]",
            help="Key columns that both files have; pred.NAME and target.NAME tell other common names apart.",
        ),
        option(
            "join",
            str | None,
            None,
            "--join",
            metavar="strict|inner",
            help="strict: both files hold the same keys; inner: rows without a partner are counted and left "
            "out [default strict].",
        ),
        option(
            "grad", bool, False, "--grad", help="With --reduction none: also the gradient of each row's loss."
        ),
        option(
            "like",
            str | None,
            None,
            "--like",
            metavar="LIB",
            help="Follow that library's conventions (torch, keras, sklearn, ...).",
        ),
        option(
            "reduction",
            str | None,
            None,
            "--reduction",
            metavar="KIND",
            help="mean, sum, mean-n, pooled, or none for per-sample values; the loss's own unless said.",
        ),
        option(
            "elements",
            str,
            "mean",
            "--elements",
            metavar="mean|sum",
            help="How a pointwise loss over a vector row becomes one value.",
        ),
        option(
            "nan",
            str,
            "error",
            "--nan",
            metavar="error|skip|propagate",
            help="What to do about nulls, NaN and infinities in used columns.",
        ),
        option(
            "width",
            int | None,
            None,
            "--width",
            min=1,
            metavar="N",
            help="Values per step of a flat matrix column.",
        ),
        option(
            "fail_above",
            float | None,
            None,
            "--fail-above",
            metavar="X",
            help="Exit 1 when a value is above X.",
        ),
        option(
            "fail_below",
            float | None,
            None,
            "--fail-below",
            metavar="X",
            help="Exit 1 when a value is below X.",
        ),
        option(
            "format_",
            str,
            "table",
            "-f",
            "--format",
            metavar="FORMAT",
            help="table, json, jsonl, csv, tsv, markdown or value.",
        ),
        option(
            "output",
            list[str] | None,
            None,
            "-o",
            "--output",
            metavar="[FORMAT:]PATH",
            help="Also write there, atomically, format by extension; repeatable.",
        ),
        option("no_clobber", bool, False, "--no-clobber", help="Refuse to replace existing files."),
        option(
            "input_format",
            str | None,
            None,
            "--input-format",
            metavar="csv|parquet",
            help="Format of the input when its content does not say.",
        ),
        option("delimiter", str | None, None, "--delimiter", metavar="CHAR", help="CSV field separator."),
        option(
            "threads", int, 2, "--threads", min=1, max=64, metavar="N", help="Decoding and computing threads."
        ),
        option(
            "chunk_rows",
            int | None,
            None,
            "--chunk-rows",
            min=1,
            metavar="N",
            help="Rows per block; never changes a result.",
        ),
        option(
            "max_memory",
            str,
            "4GB",
            "--max-memory",
            metavar="SIZE",
            help="Cap for losses that keep all rows, and for joins.",
        ),
        option(
            "progress", str, "auto", "--progress", metavar="auto|always|never", help="Progress on stderr."
        ),
        option("color", str, "auto", "--color", metavar="auto|always|never", help="Colours in tables."),
        option(
            "digits",
            int | None,
            None,
            "--digits",
            min=1,
            max=17,
            metavar="N",
            help="Significant digits in tables only.",
        ),
        option("quiet", bool, False, "-q", "--quiet", help="No warnings."),
        option("verbose", bool, False, "-v", "--verbose", help="Also show which columns were guessed."),
    ]


FLAGS = {"--grad", "--no-clobber", "-q", "--quiet", "-v", "--verbose", "--help"}


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


def files_parameter() -> Parameter:
    note = Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="CSV or Parquet files, globs, directories, or - for standard input."
        ),
    ]
    return Parameter("files", Parameter.POSITIONAL_OR_KEYWORD, annotation=note)


def compute_command(text: str, run: Callable[..., None]) -> Any:
    """The command of a loss or spec: `run(text, **values)` with the signature that help and parsing need."""
    single = get(text) if _PLAIN.fullmatch(text.strip()) else None
    if single is not None:
        inputs, help_ = list(single.inputs), help_text(single)
    else:
        bounds = [term.bound for spec in parse(text) for term in spec.terms]
        inputs = list(dict.fromkeys(name for bound in bounds for name in bound.inputs))
        listed = "\n".join(f"  {bound.text}: {bound.loss.doc.summary}" for bound in bounds)
        help_ = f"Several losses in one pass over the data.\n\n\b\n{listed}"
    parameters = [files_parameter(), *input_parameters(inputs)]
    parameters += loss_parameters(single) if single is not None else []
    parameters += [*shared_parameters(), *interval_parameters()]

    def command(**values: Any) -> None:
        run(text, **values)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name=text, help=help_)(command)
    return read_plainly(typer.main.get_command(app))


def help_text(loss: Loss) -> str:
    """What `--help` says above the options."""
    doc = loss.doc
    lines = [f"Formula: {doc.sections.get('Formula', '')}"]
    lines += [f"Input {i.option}: {' or '.join(str(f) for f in i.forms)}" for i in loss.inputs.values()]
    lines += [f"Aggregate: {doc.sections.get('Aggregate', 'the weighted mean of the rows.')}"]
    return "\n\n".join([doc.summary, *lines, f"See also: lossctl explain {loss.name}"])


def column_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Columns of the file on the command line, for shell completion."""
    from lossctl.sources import open_dataset

    files = ctx.params.get("files") or [a for a in ctx.args if not a.startswith("-")]
    try:
        with open_dataset(list(files)[:1]) as dataset:
            return [c.name for c in dataset.columns if c.name.startswith(incomplete)]
    except Exception:  # completion never disturbs the shell
        return []
