"""The options that commands share, each said once: its name, type, default and help."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import typer

from lossctl.cli.plain import read_plainly
from lossctl.errors import BadValue
from lossctl.machine import cores

__all__ = ["CHOICES", "FLAGS", "Option", "check_choices", "column_names", "made_command", "options"]

Parameter = inspect.Parameter

CHOICES = {
    "join": ("strict", "inner"),
    "reduction": ("mean", "sum", "mean-n", "pooled", "none"),
    "elements": ("mean", "sum"),
    "nan": ("error", "skip", "propagate"),
    "needs": ("value", "significant"),
    "progress": ("auto", "always", "never"),
    "color": ("auto", "always", "never"),
}


@dataclass(frozen=True)
class Option:
    """One option of the command line; `settings` are what typer.Option takes besides the flags."""

    name: str
    kind: Any
    default: Any
    flags: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def parameter(self, **changes: Any) -> Parameter:
        """As a parameter of a command; a change of `default`, `flags` or a setting is that command's own."""
        made = replace(self, **{key: changes.pop(key) for key in ("default", "flags") if key in changes})
        kind: Any = made.kind
        note = Annotated[kind, typer.Option(*made.flags, **{**made.settings, **changes})]
        return Parameter(made.name, Parameter.KEYWORD_ONLY, default=made.default, annotation=note)


def column_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Columns of the file on the command line, for shell completion."""
    from lossctl.sources import open_dataset

    files = ctx.params.get("files") or [a for a in ctx.args if not a.startswith("-")]
    try:
        with open_dataset(list(files)[:1]) as dataset:
            return [c.name for c in dataset.columns if c.name.startswith(incomplete)]
    except Exception:  # completion never disturbs the shell
        return []


def _option(name: str, kind: Any, default: Any, *flags: str, **settings: Any) -> Option:
    return Option(name, kind, default, flags, settings)


def _text(name: str, flag: str, metavar: str, help_: str, **settings: Any) -> Option:
    return _option(name, str | None, None, flag, metavar=metavar, help=help_, **settings)


def _column(name: str, flag: str, help_: str) -> Option:
    return _text(name, flag, "COL", help_, autocompletion=column_names)


def _columns(name: str, flag: str, help_: str) -> Option:
    settings = {"metavar": "COL", "help": help_, "autocompletion": column_names}
    return _option(name, list[str] | None, None, flag, **settings)


def _number(name: str, flag: str, help_: str, **limits: int) -> Option:
    return _option(name, int | None, None, flag, metavar="N", help=help_, **limits)


def _limit(name: str, flag: str, help_: str) -> Option:
    return _option(name, float | None, None, flag, metavar="X", help=help_)


def _switch(name: str, *flags: str, help_: str) -> Option:
    return _option(name, bool, False, *flags, help=help_)


_ALL = (
    _column("weight", "--weight", "Sample weights."),
    _columns("by", "--by", "One row per group, plus the total; repeatable."),
    _columns("ids", "--id", "Column carried into per-sample output; repeatable."),
    _text("where", "--where", "EXPR", "Keep rows where this holds: \"split == 'test' and pred > 0\"."),
    _text(
        *("target_file", "--target-file", "FILE"),
        "Targets come from this file, joined one-to-one on the keys of --on.",
    ),
    _text(
        *("on", "--on", "KEY[,KEY]"),
        "Key columns that both files have; pred.NAME and target.NAME tell other common names apart.",
    ),
    _text(
        *("join", "--join", "strict|inner"),
        "strict: both files hold the same keys; inner: rows without a partner are counted and left out "
        "[default strict].",
    ),
    _switch("grad", "--grad", help_="With --reduction none: also the gradient of each row's loss."),
    _text("like", "--like", "LIB", "Follow that library's conventions (torch, keras, sklearn, ...)."),
    _text(
        *("reduction", "--reduction", "KIND"),
        "mean, sum, mean-n, pooled, or none for per-sample values; the loss's own unless said.",
    ),
    _option(
        *("elements", str | None, "mean", "--elements"),
        metavar="mean|sum",
        help="How a pointwise loss over a vector row becomes one value.",
    ),
    _option(
        *("nan", str | None, "error", "--nan"),
        metavar="error|skip|propagate",
        help="What to do about nulls, NaN and infinities in used columns.",
    ),
    _number("width", "--width", "Values per step of a flat matrix column.", min=1),
    _limit("fail_above", "--fail-above", "Exit 1 when a value is above X."),
    _limit("fail_below", "--fail-below", "Exit 1 when a value is below X."),
    _option("format_", str, "table", "-f", "--format", metavar="FORMAT"),
    _option(
        *("output", list[str] | None, None, "-o", "--output"),
        metavar="[FORMAT:]PATH",
        help="Also write there, atomically, format by extension; repeatable.",
    ),
    _switch("no_clobber", "--no-clobber", help_="Refuse to replace existing files."),
    _text("input_format", "--input-format", "csv|parquet", "Input format when the content does not say."),
    _text("delimiter", "--delimiter", "CHAR", "CSV field separator."),
    _option(
        *("na", list[str] | None, None, "--na"),
        metavar="TEXT",
        help="CSV cells of exactly this text are empty, such as NA; repeatable.",
    ),
    _switch(
        "require_checksums",
        "--require-checksums",
        help_="Refuse all but Parquet files with a checksum on every page read.",
    ),
    _number("expect_rows", "--expect-rows", "Refuse data that has not exactly N rows.", min=1),
    _option(
        *("threads", int, cores(), "--threads"),
        min=1,
        max=64,
        metavar="N",
        show_default="the cores there are, at most 8",
        help="Decoding and computing threads.",
    ),
    _number("chunk_rows", "--chunk-rows", "Rows per block; never changes a result.", min=1),
    _option(
        *("max_memory", str, "4GB", "--max-memory"),
        metavar="SIZE",
        help="Cap for losses that keep all rows, and for joins.",
    ),
    _option(
        *("progress", str, "auto", "--progress"), metavar="auto|always|never", help="Progress on stderr."
    ),
    _option("color", str, "auto", "--color", metavar="auto|always|never", help="Colours in tables."),
    _number("digits", "--digits", "Significant digits in tables only.", min=1, max=17),
    _switch("quiet", "-q", "--quiet", help_="No warnings."),
    _switch("verbose", "-v", "--verbose", help_="Also show which columns were guessed."),
    _text("ci", "--ci", "LEVEL", "Confidence interval by bootstrap, such as 0.95."),
    _column("cluster", "--cluster", "Rows with one value here are drawn together."),
    _number("seed", "--seed", "Seed of the resampling [default 0].", min=0),
    _number("resamples", "--resamples", "Bootstrap resamples [default 2000].", min=100, max=100_000),
)
_BY_NAME = {each.name: each for each in _ALL}
FLAGS = frozenset({flag for each in _ALL if each.kind is bool for flag in each.flags} | {"--help"})


def options(*names: str, **changes: Mapping[str, Any]) -> list[Parameter]:
    """Those options in the order of this file, each with the changes that the command makes to it."""
    unknown = {*names, *changes} - set(_BY_NAME)
    assert not unknown, f"no shared options: {sorted(unknown)}"
    return [each.parameter(**changes.get(each.name, {})) for each in _ALL if each.name in {*names, *changes}]


def check_choices(
    values: Mapping[str, Any], formats: Sequence[str], *, reductions: Sequence[str] = CHOICES["reduction"]
) -> None:
    """Refuse a value outside the choices of its option, and a format that the command has not."""
    for name, choices in {**CHOICES, "reduction": reductions}.items():
        if values.get(name) is not None and values[name] not in choices:
            raise BadValue(f"--{name}", values[name], " or ".join(choices))
    if values["format_"] not in formats:
        raise BadValue("--format", values["format_"], " or ".join(formats))


def made_command(
    name: str, run: Callable[..., None], parameters: Iterable[Parameter], help_: str, **settings: Any
) -> Any:
    """The command that calls `run` with these parameters by name."""
    listed = list(parameters)

    def call(**values: Any) -> None:
        run(**values)

    call.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in listed}
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name=name, help=help_, **settings)(call)
    return read_plainly(typer.main.get_command(app))
