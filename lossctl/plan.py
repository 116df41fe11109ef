"""What a pass over a data set will do: jobs, feeds and column types, decided before the first row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lossctl import machine
from lossctl.apply import Job
from lossctl.arrow import Mask, holds, numbers
from lossctl.batch import Reading
from lossctl.columns import Feed, Roles, Schema, assign
from lossctl.domain import NONNEG
from lossctl.errors import DataError, UsageError
from lossctl.groups import GroupTable
from lossctl.loss.kinds import Form, Largest, Mean, Pooled, Whole
from lossctl.loss.spec import Bound, Spec
from lossctl.sources.tokens import NOTHING

if TYPE_CHECKING:
    from lossctl.bootstrap import Bootstrap

REDUCTIONS = ("mean", "sum", "mean-n", "pooled", "none")
GROUP_KEY = pa.dictionary(pa.int32(), pa.string())
BLOCK_ITEMS = 1 << 17  # values of one vector block: 1 MiB
# Rows of a block. Five losses in 15,872 took 1.86 s of wall with two threads that compute, 1.42 by turns.
PATIENT = 1 << 15


@dataclass(frozen=True)
class Settings:
    """Everything a user can say about a pass apart from the losses and the files.

    na, join: how the files are read, for the result to say; the data set does it.
    """

    columns: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    weight: str | None = None
    by: Sequence[str] = ()
    ids: Sequence[str] = ()
    reduction: str | None = None
    elements: str = "mean"
    missing: str = "error"
    width: int | None = None
    threads: int = 2
    chunk_rows: int | None = None
    max_memory: int = 4 << 30
    where: str | None = None
    na: Sequence[str] = ()
    join: str = "strict"
    grad: bool = False
    ci: Bootstrap | None = None
    expect_rows: int | None = None

    @property
    def clusters(self) -> Sequence[str]:
        """The column that an interval draws by, if any."""
        return [self.ci.cluster] if self.ci is not None and self.ci.cluster is not None else []


@dataclass
class Plan:
    """specs as asked; jobs, one per distinct loss; what to read for them."""

    specs: Sequence[Spec]
    jobs: list[Job]
    job_of: dict[str, Job]
    reading: Reading
    wanted: dict[str, Any]
    block_rows: int
    columns: dict[str, Any]
    guessed: list[str]
    settings: Settings

    @property
    def grouped(self) -> bool:
        return any(job.bound.loss.grouped for job in self.jobs)

    @property
    def patient(self) -> bool:
        """Whether kernels work on arrays so small that two threads would only fight over the interpreter.

        Kernels of sequences go step by step; blocks of scalars are small in the library and by --chunk-rows.
        """
        shapes = {feed.form.shape for job in self.jobs for feed in job.feeds.values()}
        return "matrix" in shapes or (shapes == {"scalar"} and self.block_rows < PATIENT)

    @property
    def group_feed(self) -> Feed:
        return next(job.feeds["group"] for job in self.jobs if job.bound.loss.grouped)


def listed_apart(settings: Settings, dataset: Any) -> Settings:
    """The settings with comma lists of --by as single columns; a column may have a comma in its name."""
    schema = Schema(dataset.columns)
    return replace(settings, by=[each for name in settings.by for each in schema.listed(name)])


def make_plan(specs: Sequence[Spec], settings: Settings, dataset: Any) -> Plan:
    """Resolve columns and reductions; raises before any row is read."""
    path = dataset.sources[0].path if dataset.sources else None
    schema = Schema(
        dataset.columns, path, getattr(dataset, "joined", False), getattr(dataset, "names_by_file", None)
    )
    _check_roles(specs, settings)
    jobs: dict[str, Job] = {}
    columns: dict[str, Any] = {}
    guessed: list[str] = []
    for bound in (term.bound for spec in specs for term in spec.terms):
        if bound.text in jobs:
            continue
        roles = assign(bound, settings.columns, schema, settings.width)
        jobs[bound.text] = Job(bound, roles.feeds, reduction_for(bound, settings), settings.elements)
        _record(columns, guessed, roles, bound)
    reading, wanted = _reading(list(jobs.values()), settings, schema, dataset)
    if settings.ci is not None:
        from lossctl.buckets import moments_of

        for job in jobs.values():
            moments_of(job)
    if settings.grad:
        from lossctl.gradients import require_gradients

        require_gradients(list(jobs.values()))
    if settings.weight is not None:
        columns["weight"] = settings.weight
    if settings.by:
        columns["by"] = list(settings.by)
    if settings.ci is not None and settings.ci.cluster is not None:
        columns["cluster"] = settings.ci.cluster
    return Plan(
        specs,
        list(jobs.values()),
        jobs,
        reading,
        wanted,
        _block_rows(jobs.values(), settings, schema),
        columns,
        guessed,
        settings,
    )


def reduction_for(bound: Bound, settings: Settings) -> str:
    """The reduction a loss will use; raises UsageError for one it does not have."""
    own = bound.loss.reduction
    asked = settings.reduction
    if asked is None:
        return own.default
    name = bound.loss.name
    if asked == "none":
        if isinstance(own, Pooled | Whole) and not own.row:
            raise UsageError(f"{name} has no value per row", hint="leave out --reduction none")
        return asked
    if isinstance(own, Whole | Largest):
        raise UsageError(
            f"{name} is computed over all rows at once, --reduction {asked} does not apply",
            hint="leave out --reduction, or use none for the rows' own values",
        )
    if asked == "pooled" and isinstance(own, Mean):
        raise UsageError(f"{name} is a mean of rows and has no pooled value", hint="leave out --reduction")
    if asked != "pooled" and isinstance(own, Pooled) and not own.row:
        raise UsageError(f"{name} has no value per row to take the {asked} of", hint="leave out --reduction")
    return asked


def _check_roles(specs: Sequence[Spec], settings: Settings) -> None:
    known = {name for spec in specs for term in spec.terms for name in term.bound.inputs}
    for role in settings.columns:
        if role not in known:
            raise UsageError(
                f"--{role} is not an input of {', '.join(spec.text for spec in specs)}",
                hint=f"the inputs are: {', '.join(sorted(known))}",
            )


def _record(columns: dict[str, Any], guessed: list[str], roles: Roles, bound: Bound) -> None:
    for name, feed in roles.feeds.items():
        listed = feed.columns[0] if len(feed.columns) == 1 else list(feed.columns)
        if name not in columns:
            columns[name] = listed
            guessed.extend([name] if name in roles.guessed else [])
        elif columns[name] != listed:
            columns[f"{bound.text}.{name}"] = listed


def _reading(
    jobs: list[Job], settings: Settings, schema: Schema, dataset: Any
) -> tuple[Reading, dict[str, Any]]:
    feeds = list(dict.fromkeys(feed for job in jobs for feed in job.feeds.values()))
    weight = None
    if settings.weight is not None:
        weight = Feed(schema.expand("weight", settings.weight)[:1], Form("nonneg", domain=NONNEG))
    drawn = settings.clusters
    for role, names in (("by", settings.by), ("id", settings.ids), ("cluster", drawn)):
        for name in names:
            if not schema.has(name):
                raise schema.missing(role, name)
    texts = _text_columns(feeds, schema, dataset)
    wanted: dict[str, Any] = {}
    for feed in [*feeds, *([weight] if weight else [])]:
        for name in feed.columns:
            text = feed.form.kind in ("text", "group") or name in texts
            wanted.setdefault(name, GROUP_KEY if text else pa.float64())
    for name in (*settings.by, *drawn):
        if pa.types.is_nested(schema.type_of(name) or pa.string()):
            raise DataError("holds lists or structs, which are no groups", path=schema.path, column=name)
        wanted.setdefault(name, GROUP_KEY)
    keep = _keep(settings, schema, dataset, wanted)
    for name in settings.ids:
        wanted.setdefault(name, pa.string())
    groups = GroupTable(settings.by) if settings.by else None
    return Reading(
        feeds,
        weight,
        groups,
        settings.missing,
        tuple(settings.ids),
        keep,
        texts,
        cluster=next(iter(drawn), None),
    ), wanted


def _keep(
    settings: Settings, schema: Schema, dataset: Any, wanted: dict[str, Any]
) -> Callable[[pa.RecordBatch], Mask] | None:
    """Which rows take part, by --where and by the data set's own mask; what that reads joins `wanted`."""
    keep: Callable[[pa.RecordBatch], Mask] | None = None
    if settings.where is not None:
        from lossctl.where import Filter  # the expression engine loads only when asked for

        filter_ = Filter(settings.where, schema)
        keep = filter_.keep
        for name in filter_.program.names:
            wanted.setdefault(name, GROUP_KEY if filter_.is_text(name) else pa.float64())
    mask = getattr(dataset, "mask", None)
    if mask is not None:
        wanted[mask] = pa.bool_()
        keep = _masked(mask, keep)
    return keep


def _masked(name: str, keep: Callable[[pa.RecordBatch], Mask] | None) -> Callable[[pa.RecordBatch], Mask]:
    """Of the rows that `keep` keeps, those where the data set's own mask holds."""

    def both(batch: pa.RecordBatch) -> Mask:
        mask: Mask = numbers(batch.column(name))[0].view(np.bool_)
        return mask if keep is None else mask & keep(batch)

    return both


def _text_columns(feeds: Sequence[Feed], schema: Schema, dataset: Any) -> frozenset[str]:
    """Columns read as text: those typed so, and CSV labels whose first values are not numbers."""
    texts = set()
    for feed in feeds:
        if feed.form.kind != "label" or feed.form.shape != "scalar":
            continue
        name = feed.columns[0]
        kind = schema.type_of(name)
        words = kind is None and _words(dataset.peek([name])[name])
        if words or feed.classes is not None or (kind is not None and holds(kind) == "text"):
            texts.add(name)
    if any(f.columns[0] in texts for f in feeds if f.form.kind == "label" and not f.width_of):
        texts |= {f.columns[0] for f in feeds if f.form.kind == "label" and f.form.shape == "scalar"}
    return frozenset(texts)


def _words(values: Sequence[Any]) -> bool:
    """Whether these are names; what usually marks a missing number is none."""
    odd = [value for value in values if not _is_number(value)]
    return not all(str(value).strip().lower() in NOTHING for value in odd)


def _is_number(text: Any) -> bool:
    try:
        float(text or "nan")
    except (TypeError, ValueError):
        return False
    return True


def _block_rows(jobs: Any, settings: Settings, schema: Schema) -> int:
    """Rows of a block: as many as the allocator bears for scalars; vectors fewer, by their width."""
    if settings.chunk_rows is not None:
        return settings.chunk_rows
    widest = 1
    for job in jobs:
        for feed in job.feeds.values():
            if feed.form.shape == "scalar":
                continue
            kind = schema.type_of(feed.columns[0])
            size = kind.list_size if kind is not None and pa.types.is_fixed_size_list(kind) else 0
            widest = max(widest, len(feed.columns), size, 64 if len(feed.columns) == 1 and not size else 1)
    return max(min(machine.block_rows(), BLOCK_ITEMS // widest), 16)
