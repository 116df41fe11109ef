"""`lossctl check`: what a file holds and whether it can be used, before any loss."""

from __future__ import annotations

import math
from typing import Any

import typer

from lossctl.cli.recommend import Asked, survey, survey_command
from lossctl.cli.terminal import warn
from lossctl.errors import DataError, counted, visible

__all__ = ["command"]

SCHEMA = "lossctl.check/1"
_GROUPS = 1000  # more keys than this are hardly groups
_HEADS = ("column", "type", "nulls", "nan", "inf", "min", "max", "distinct")


def command(name: str) -> Any:
    help_ = "Preflight: rows, columns, types, missing values, guessed roles and groups; computes no loss."
    return survey_command(name, check, help_)


def check(asked: Asked) -> None:
    with asked.opened() as dataset:
        seen, _ = survey(dataset, asked.input_target, asked.input_pred)
        warn(dataset.warnings, {"quiet": asked.quiet})
        made = report(dataset, seen, asked.input_target, asked.input_pred)
    if asked.format_ == "json":
        from lossctl.render.structured import strict_json

        typer.echo(strict_json(made, indent=2))
    else:
        _print(made)
    if made["problems"]:
        raise DataError(made["problems"][0], hint="the file cannot be used like this")


def report(dataset: Any, seen: Any, target: str | None, pred: str | None) -> dict[str, Any]:
    """Everything that is printed, as plain data in a stable order."""
    from lossctl.columns import Schema
    from lossctl.result import InputFile

    schema = Schema(dataset.columns, dataset.sources[0].path)
    columns = [_column(column, seen) for column in dataset.columns]
    roles = {name: _role(schema, name, said) for name, said in (("target", target), ("pred", pred))}
    taken = {name for role in roles.values() for name in role["columns"]}
    unusable = _problems(seen, roles)
    problems, notes = (unusable, []) if unusable else _shapes(seen, roles)
    return {
        "schema": SCHEMA,
        "inputs": [InputFile(s.path, s.format, s.rows, s.checksums).to_dict() for s in dataset.sources],
        "rows": seen.rows,
        "columns": columns,
        "roles": roles,
        "groups": [c["name"] for c in columns if c["name"] not in taken and _groups(seen, c["name"])],
        "problems": problems,
        "notes": notes,
    }


def _role(schema: Any, name: str, said: str | None) -> dict[str, Any]:
    """The columns of a role, named or guessed as `compute` guesses, or why there are none."""
    if said is not None:
        return {"columns": list(schema.expand(name, said)), "guessed": False, "why": None}
    try:
        return {"columns": list(schema.guess(name)), "guessed": True, "why": None}
    except DataError as error:
        return {"columns": [], "guessed": False, "why": str(error)}


def _column(column: Any, seen: Any) -> dict[str, Any]:
    from lossctl.profile import Vectors
    from lossctl.tallies import Numbers

    stats = seen.columns.get(column.name)
    kind = seen.kinds.get(column.name)
    numbers = stats.values if isinstance(stats, Vectors) else stats
    made: dict[str, Any] = {
        "name": column.name,
        "type": str(column.type) if column.type is not None else kind or "duplicate name",
        "holds": kind or "duplicate name",
        "readable": stats is not None,
        "nulls": stats.nulls if stats is not None else None,
        "nan": numbers.nan if isinstance(numbers, Numbers) else None,
        "inf": numbers.posinf + numbers.neginf if isinstance(numbers, Numbers) else None,
        "min": _finite(numbers.low) if isinstance(numbers, Numbers) else None,
        "max": _finite(numbers.high) if isinstance(numbers, Numbers) else None,
        "integers": bool(numbers.whole and numbers.finite) if isinstance(numbers, Numbers) else None,
        "mean": _finite(numbers.mean) if isinstance(numbers, Numbers) else None,
        "outliers": numbers.outliers if isinstance(numbers, Numbers) else None,
        "distinct": numbers.distinct if numbers is not None else None,
    }
    if isinstance(stats, Vectors):
        made["width"] = list(stats.widths) if stats.widths else None
        made["rows_in_unit"], made["rows_summing_to_one"] = stats.unit, stats.sums
    return made


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _groups(seen: Any, name: str) -> bool:
    """Whether a column could divide the rows: few keys, each on several rows on average."""
    from lossctl.profile import Vectors
    from lossctl.tallies import Numbers

    stats = seen.columns.get(name)
    if stats is None or isinstance(stats, Vectors) or stats.missing or stats.distinct is None:
        return False
    if isinstance(stats, Numbers) and not stats.whole:
        return False
    return bool(2 <= stats.distinct <= min(_GROUPS, seen.rows // 2))


def _problems(seen: Any, roles: Any) -> list[str]:
    from lossctl.profile import Vectors
    from lossctl.tallies import Numbers

    problems = [] if seen.columns else ["no column holds numbers, text or lists of numbers"]
    for role, each in roles.items():
        for name in each["columns"]:
            stats = seen.columns.get(name)
            if stats is None and "." in name:
                continue
            if stats is None:
                problems.append(f"column '{name}' for {role} holds {seen.kinds.get(name, 'a duplicate')}")
                continue
            numbers = stats.values if isinstance(stats, Vectors) else stats
            left = numbers.finite if isinstance(numbers, Numbers) else numbers.size - numbers.nulls
            if not left:
                problems.append(f"column '{name}' for {role} has no usable value")
    return problems


def _shapes(seen: Any, roles: Any) -> tuple[list[str], list[str]]:
    """Whether any loss takes a row of the target beside one of the prediction: problems and notes."""
    from lossctl.fits import role_of, stored_flat, taken_together

    columns = [tuple(roles[name]["columns"]) for name in ("target", "pred")]
    target, pred = (role_of(seen, names) if names else None for names in columns)
    if target is None or pred is None or taken_together(target, pred):
        return [], []
    flat = stored_flat(target, pred)
    if flat is not None:
        return [], [flat.text]
    rows = f"target holds {target.rows_text} but pred holds {pred.rows_text} per row"
    return [f"{rows}: no loss compares them"], []


def _print(made: dict[str, Any]) -> None:
    for each in made["inputs"]:
        typer.echo(f"{visible(each['path'])}: {each['format']}, {counted(each['rows'], 'row', 'rows')}")
    typer.echo("")
    rows = [_HEADS, *(_cells(column) for column in made["columns"])]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADS))]
    for row in rows:
        cells = [
            c.ljust(w) if at < 2 else c.rjust(w) for at, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())
    typer.echo("")
    for name, role in made["roles"].items():
        found = ", ".join(role["columns"]) + (" (guessed)" if role["guessed"] else "")
        typer.echo(f"{name}: {visible(found if role['columns'] else 'none: ' + role['why'], 600)}")
    typer.echo(f"groups: {visible(', '.join(made['groups']) or 'none', 600)}")
    for problem in made["problems"]:
        typer.echo(f"problem: {visible(problem)}")
    for note in made["notes"]:
        typer.echo(f"note: {visible(note)}")


def _cells(column: dict[str, Any]) -> tuple[str, ...]:
    def shown(key: str) -> str:
        value = column[key]
        if value is None:
            return "many" if key == "distinct" and column["readable"] else "-"
        return f"{value:.6g}" if isinstance(value, float) else str(value)

    name, kind = visible(column["name"], 40), visible(column["type"], 40)
    if column.get("width") and "fixed_size" not in kind:
        low, high = column["width"]
        kind += f" of {low}" if low == high else f" of {low} to {high}"
    return (name, kind, *(shown(key) for key in _HEADS[2:]))
