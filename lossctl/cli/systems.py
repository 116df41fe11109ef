"""The systems of a comparison: each file evaluated, its rows found to be the baseline's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lossctl.errors import DataError, visible

__all__ = ["Systems"]

KEPT = "\0kept"  # whether --where keeps a row; no file can name a column so


@dataclass
class Systems:
    """How the files are read: alone and in row order, or beside the baseline by key."""

    specs: Any
    settings: Any
    values: Mapping[str, Any]
    keys: list[str] | None

    def __post_init__(self) -> None:
        self.warnings: list[str] = []
        self.tick: Callable[[int, int], None] | None = None
        self._base: Any = None
        self._names: list[str] = []

    def surveyed(self, files: Sequence[str]) -> tuple[list[str], int]:
        """All files that will be read, and how many bytes: the baseline again beside each of the others."""
        paths, sizes = [], []
        for path in files:
            with self._open([path]) as dataset:
                paths += [source.path for source in dataset.sources]
                sizes.append(dataset.nbytes)
        base, *others = sizes
        return paths, base + sum(2 * base if self.keys else base + 2 * size for size in others)

    def evaluated(self, path: str, baseline: str) -> Any:
        """The run of one file, its rows paired with the baseline's and found to have the same targets."""
        from lossctl.plan import listed_apart, make_plan

        with self._open([path]) as dataset:
            self.settings = listed_apart(self.settings, dataset)
            plan = make_plan(self.specs, self.settings, dataset)
            if self._base is None:
                self._base, self._names = plan, [column.name for column in dataset.columns]
                return self._folded(path, plan, dataset)
            if self.keys is None:
                self._same_rows(baseline, path, plan)
                return self._folded(path, plan, dataset)
            names = [column.name for column in dataset.columns]
        return self._beside(baseline, path, plan, names)

    def _open(self, paths: list[str]) -> Any:
        from lossctl.sources import open_dataset

        return open_dataset(paths, **self._options())

    def _options(self) -> dict[str, Any]:
        names = ("input_format", "delimiter", "threads", "require_checksums")
        options = {name: self.values[name] for name in names}
        return {**options, "na": self.values["na"] or ()}

    def _folded(self, path: str, plan: Any, dataset: Any) -> Any:
        from lossctl.aggregate import codes_of, to_result
        from lossctl.compare import Run
        from lossctl.spine import run

        outcome = run(plan, dataset, progress=self.tick)
        plain = replace(plan, settings=replace(plan.settings, ci=None))
        result = to_result(plain, outcome, dataset)
        self.warnings += [*result.warnings, *(f"{visible(path)}: {each}" for each in result.rows.warnings)]
        return Run(path, plan, outcome, result.rows, result.scores, codes_of(plan))

    def _same_rows(self, baseline: str, path: str, plan: Any) -> None:
        from lossctl.sources.aligned import batches_of, marked, rows_apart

        mine, its = (_paired_columns(each, self.settings) for each in (self._base, plan))
        pairs = list(zip(mine, its, strict=True))
        sides: list[Any] = []
        with self._open([baseline]) as first, self._open([path]) as second:
            for dataset, each, names in ((first, self._base, mine), (second, plan, its)):
                wanted = {name: each.wanted[name] for name in [*names, *self._tested]}
                batches = batches_of(dataset, wanted, self.tick)
                sides.append(marked(batches, KEPT, each.reading.keep))
            if self._tested:
                pairs.append((KEPT, KEPT))
            _refuse(rows_apart(sides[0], sides[1], pairs), baseline, path)

    @property
    def _tested(self) -> tuple[str, ...]:
        """The columns that --where reads."""
        if self.settings.where is None:
            return ()
        from lossctl.expr import compile_truth

        return tuple(compile_truth(self.settings.where).names)

    def _beside(self, baseline: str, path: str, alone: Any, names: list[str]) -> Any:
        """The rows of `path` in the order of the baseline's."""
        from lossctl.plan import make_plan
        from lossctl.sources.aligned import under_names

        def own(name: str, side: str) -> str:
            both = name in names and name in self._names and name not in (self.keys or ())
            return f"{side}.{name}" if both else name

        try:
            wanted = self._agreeing(baseline, path, alone, own)
        except DataError as error:
            if "only_in_targets" in error.facts:  # a comparison has no --join
                error.hint = "a comparison is of the same rows: leave the other ones out of the files"
            raise
        ours = self.settings
        columns = {
            role: own(said, "target") if isinstance(said, str) else [own(each, "target") for each in said]
            for role, said in alone.columns.items()
            if role not in ("weight", "by", "cluster")
        }
        drawn = ours.ci if ours.ci.cluster is None else replace(ours.ci, cluster=own(ours.ci.cluster, "pred"))
        weight = None if ours.weight is None else own(ours.weight, "pred")
        by = [own(name, "pred") for name in ours.by]
        settings = replace(ours, columns=columns, weight=weight, by=by, ci=drawn, where=None)
        with self._joined(baseline, path) as dataset:
            plan = make_plan(self.specs, settings, dataset)
            if self._tested:
                tested = {own(name, "pred"): name for name in self._tested}
                keep = under_names(self._base.reading.keep, tested)
                plan.reading = replace(plan.reading, keep=keep)
                plan.wanted = {name: wanted[name] for name in tested} | plan.wanted
            return self._folded(path, plan, dataset)

    def _agreeing(self, baseline: str, path: str, alone: Any, own: Any) -> dict[str, Any]:
        """Refuse paired rows that differ in what both have; the types of the columns read for it."""
        from lossctl.sources.aligned import differing_row, kept_apart, under_names

        mine, its = (_paired_columns(each, self.settings) for each in (self._base, alone))
        pairs = [(own(a, "pred"), own(b, "target")) for a, b in zip(mine, its, strict=True)]
        said = {own(name, "pred"): name for name in mine} | {KEPT: KEPT}
        wanted: dict[str, Any] = {}
        keeps: list[Any] = []
        for plan, names, side in ((self._base, mine, "pred"), (alone, its, "target")):
            wanted |= {own(name, side): plan.wanted[name] for name in [*names, *self._tested]}
            tested = {own(name, side): name for name in self._tested}
            keeps += [under_names(plan.reading.keep, tested)] if tested else []
        with self._joined(baseline, path) as dataset:
            start = 0
            for piece in dataset.pieces(wanted):
                for batch in piece.read():
                    found = differing_row(batch, batch, pairs)
                    if found is None and keeps:
                        row = kept_apart(batch, *keeps)
                        found = None if row is None else (row, KEPT)
                    if found is not None:
                        _refuse((start + found[0], said[found[1]]), path, baseline, keyed=True)
                    start += batch.num_rows
                if self.tick is not None:
                    self.tick(piece.rows, piece.nbytes)
            dataset.finish()
        return wanted

    def _joined(self, baseline: str, path: str) -> Any:
        from lossctl.sources.join import open_joined

        cap = self.settings.max_memory
        return open_joined([baseline], path, self.keys or (), "strict", max_memory=cap, **self._options())


def _paired_columns(plan: Any, settings: Any) -> list[str]:
    """The columns in which paired rows must agree: targets, weights, groups and clusters."""
    feeds = [job.feeds["target"] for job in plan.jobs if "target" in job.feeds]
    names = [name for feed in feeds for name in feed.columns]
    names += [settings.weight] if settings.weight is not None else []
    names += [*settings.by, *settings.clusters]
    return list(dict.fromkeys(names))


def _refuse(found: tuple[int, str | None] | None, baseline: str, path: str, *, keyed: bool = False) -> None:
    """Refuse the row of `path`, which `baseline` has otherwise; `keyed` where a key paired the two."""
    if found is None:
        return
    row, column = found
    if column is None:
        raise DataError(
            f"one of it and {visible(baseline)} ends before row {row} while the other goes on",
            path=path,
            hint="systems are compared on the same rows; pair rows by a key with --on",
        )
    if column == KEPT:
        raise DataError(
            f"--where keeps this row in one of it and {visible(baseline)} only",
            path=path,
            row=row,
            hint="filter by columns that are the same in both",
        )
    raise DataError(
        f"differs from {visible(baseline)}" + (" in the row of the same key" if keyed else ""),
        path=path,
        row=row,
        column=column,
        hint="correct one of the files, or choose a key with --on that tells all rows apart"
        if keyed
        else "rows are not the same; pair them by a key with --on",
    )
