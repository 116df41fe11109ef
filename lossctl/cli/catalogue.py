"""`lossctl list` and `lossctl explain`, read from the declarations."""

from __future__ import annotations

import textwrap
from typing import Annotated, Any

import typer

from lossctl.cli.plain import read_plainly
from lossctl.errors import UnknownName
from lossctl.loss.declare import Loss
from lossctl.loss.kinds import Pooled
from lossctl.loss.params import REQUIRED, value_text
from lossctl.loss.registry import all_losses, families
from lossctl.loss.spec import parse

AGGREGATES = {
    "mean": "weighted mean of the rows' values, exact",
    "pooled": "the loss's value of exact totals; --reduction mean averages the rows' own values",
    "whole": "computed over all rows together; keeps them in memory",
    "max": "the largest value of any row",
}


def command(name: str) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    if name == "list":
        app.command(name=name)(list_losses)
    else:
        app.command(name=name)(explain)
    return read_plainly(typer.main.get_command(app))


def list_losses(
    pattern: Annotated[str, typer.Argument(help="Only names, aliases or summaries that contain this.")] = "",
    family: Annotated[str | None, typer.Option("--family", help="Only this family.")] = None,
    task: Annotated[str | None, typer.Option("--task", help="Only losses for this task.")] = None,
) -> None:
    """The catalogue: every loss by family, with its aliases and what it is for."""
    if family is not None and family not in families():
        raise UnknownName("family", family, families())
    losses = all_losses()
    tasks = sorted({t for loss in losses for t in loss.tasks})
    if task is not None and task not in tasks:
        raise UnknownName("task", task, tasks)
    chosen = [
        loss
        for loss in losses
        if _matches(loss, pattern.lower())
        and family in (None, loss.family)
        and (task is None or task in loss.tasks)
    ]
    if not chosen:
        raise UnknownName("loss", pattern, [n for loss in losses for n in (loss.name, *loss.aliases)])
    width = max(len(loss.name) for loss in chosen)
    last = ""
    for loss in chosen:
        if loss.family != last:
            typer.echo(f"{'' if not last else chr(10)}{loss.family}")
            last = loss.family
        also = f" ({', '.join(loss.aliases)})" if loss.aliases else ""
        typer.echo(f"  {loss.name:<{width}}  {loss.doc.summary}{also}")


def _matches(loss: Loss, pattern: str) -> bool:
    text = " ".join((loss.name, *loss.aliases, loss.doc.summary)).lower()
    return pattern in text or pattern.replace("_", "-") in text


def explain(
    spec: Annotated[str, typer.Argument(help="A loss or spec, such as huber or huber:delta=1.5.")],
) -> None:
    """Formula, inputs, parameters, aggregate, numerics, library names and differences, references."""
    try:
        losses = [(term.bound.loss, term.bound.params) for each in parse(spec) for term in each.terms]
    except Exception:
        from lossctl.loss.registry import get

        losses = [(get(spec), {})] if ":" not in spec and "," not in spec and "+" not in spec else []
        if not losses:
            raise
    typer.echo("\n\n".join(explanation(loss, params) for loss, params in losses))


def explanation(loss: Loss, params: Any) -> str:
    """The reference page of a loss as plain text."""
    doc = loss.doc
    lines = [f"{loss.name}: {doc.summary}"]
    if loss.aliases:
        lines.append(f"also: {', '.join(loss.aliases)}")
    lines.append(f"family: {loss.family}    tasks: {', '.join(loss.tasks) or '-'}")
    lines += _section("Formula", doc.sections.get("Formula", ""))
    lines += ["", "Inputs"]
    lines += [f"  --{i.option:<12} {' or '.join(str(f) for f in i.forms)}" for i in loss.inputs.values()]
    if loss.pointwise:
        lines.append("  vectors work element by element; --elements says how a row's become one")
    if loss.params:
        lines += ["", "Parameters"]
        for param in loss.params.values():
            now = params.get(param.name, param.default)
            shown = "required" if now is REQUIRED else value_text(now)
            lines.append(f"  --{param.kebab:<16} {shown:<10} {param.meta.help}: {param.allowed()}")
    own = doc.sections.get("Aggregate", AGGREGATES[loss.reduction.label])
    lines += _section("Aggregate", own)
    best = "no fixed best value" if loss.best is None else f"best {loss.best:g}"
    lines += _section(
        "Range",
        f"{loss.range}, {best}, {loss.direction} is better"
        if loss.direction != "zero"
        else f"{loss.range}, best 0",
    )
    gradient = doc.sections.get("Gradient")
    if gradient:
        lines += _section("Gradient", gradient)
    for name in ("Use when", "Avoid when", "Numerics", "See also", "References"):
        if name in doc.sections:
            lines += _section(name, doc.sections[name])
    if loss.likes:
        lines += ["", "In other libraries (--like)"]
        for entry in loss.likes:
            settings = ", ".join(f"{k.replace('_', '-')}={value_text(v)}" for k, v in entry.params.items())
            note = "; ".join(
                part for part in (settings, entry.note, "" if entry.exists else "not reproduced") if part
            )
            lines.append(f"  {entry.library:<13} {entry.name}{': ' + note if note else ''}")
    lines += ["", "Example", *(f"  {line}" for line in doc.example.splitlines())]
    if loss.open_inputs is not None:
        lines += _section(
            "Safety",
            "the expression is read against a short list of what is allowed and never run as code. Code of "
            "yours runs only from --plugin FILE, or from an installed package that offers losses.",
        )
    if isinstance(loss.reduction, Pooled) and not loss.reduction.row:
        lines += _section("Note", "a row alone has no value.")
    return "\n".join(lines)


def _section(title: str, text: str) -> list[str]:
    return ["", title, *textwrap.wrap(text, 98, initial_indent="  ", subsequent_indent="  ")]
