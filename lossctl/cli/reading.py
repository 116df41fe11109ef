"""What the options of reading ask for: the data set, joined where targets have a file, and its memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lossctl.cli.specs import columns_said
from lossctl.errors import BadValue, UsageError, visible
from lossctl.machine import keep_freed_memory

__all__ = ["memory", "opened", "outputs", "refuse_row_formats", "settings_said"]

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def opened(files: Sequence[str], values: Mapping[str, Any], max_memory: int) -> Any:
    """The data set of the files, with the columns of --target-file where there is one.

    From here on the process only reads and computes, so its memory is set up for that.
    """
    from lossctl.sources import open_dataset

    keep_freed_memory()
    options = {name: values[name] for name in ("input_format", "delimiter", "threads", "require_checksums")}
    options["na"] = values["na"] or ()
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


def settings_said(values: dict[str, Any], **own: Any) -> Any:
    """What the options of a command say of its pass; `own` is what the command decides itself."""
    from lossctl.plan import Settings

    plain = ("weight", "where", "reduction", "elements", "width", "threads", "chunk_rows", "grad")
    made = {name: values[name] for name in (*plain, "expect_rows") if name in values}
    made |= {name: values[name] or () for name in ("by", "ids") if name in values}
    made |= {"missing": values["nan"], "max_memory": memory(values["max_memory"])}
    made |= {"na": values["na"] or (), "join": values.get("join") or "strict"}
    return Settings(columns=columns_said(values), **{**made, **own})


def memory(text: str) -> int:
    """Bytes from 500MB, 4GB, 2GiB or a plain number."""
    body = text.strip().lower().removesuffix("b")
    number = body.rstrip("kmgti")
    try:
        size = float(number) * _UNITS[body[len(number) :]]
    except (ValueError, KeyError):
        raise BadValue("--max-memory", text, "a size such as 500MB or 4GB") from None
    if not 1 <= size < 2**63:
        raise BadValue("--max-memory", text, "a size such as 500MB or 4GB")
    return int(size)


def refuse_row_formats(targets: Sequence[Any]) -> None:
    """Parquet holds the values of rows; an aggregate is written as text."""
    for target in targets:
        if target.format == "parquet":
            raise UsageError(
                f"the output {visible(target.path)}: parquet is for values by row, not for an aggregate",
                hint="write .json or .csv, or add --reduction none",
            )


def outputs(texts: Sequence[str] | None, formats: Sequence[str] | None = None) -> list[Any]:
    """The targets of -o; raises BadValue for a format that the command does not write."""
    from lossctl.render.output import parse_target

    targets = [parse_target(text) for text in texts or ()]
    for text, target in zip(texts or (), targets, strict=True):
        if formats is not None and target.format not in formats:
            raise BadValue("--output", text, " or ".join(formats))
    return targets
