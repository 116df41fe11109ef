"""One result however the rows are cut, shared out and stored; run this file for the number of runs."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from cases import Case, column, over, per_row, plain_cases, take

import lossctl
import lossctl.spine

CHUNKS = (1, 7, 1000, 4096, 65536, None)
ROWS = 211
GROUPS = ["a", "b", "c"]


def fits_csv(case: Case) -> bool:
    """Whether every value fits a cell, or a few cells of one row."""
    return all(form.shape in ("scalar", "vector") for form in case.forms.values())


def representatives() -> list[Case]:
    """The first loss of every kind of aggregate, by what its declaration says of it."""
    found: dict[tuple[Any, ...], Case] = {}
    for case in plain_cases():
        reduction = case.loss.reduction
        detail = [getattr(reduction, name, None) for name in ("elements", "moments", "row", "skips")]
        key = (type(reduction), case.loss.unit, case.loss.grouped, fits_csv(case), case.layout, str(detail))
        found.setdefault(key, case)
    return list(found.values())


CASES = representatives()


def cells(data: dict[str, Any]) -> tuple[pa.Table, dict[str, str]]:
    """The data with vectors as several columns, and the columns of every role."""
    columns: dict[str, Any] = {}
    roles = {}
    for name, values in data.items():
        if isinstance(values, list) or values.ndim == 1:
            columns[name] = column(values)
            roles[name] = name
        else:
            columns |= {f"{name}_{j}": column(values[:, j].copy()) for j in range(values.shape[1])}
            roles[name] = f"{name}_*"
    return pa.table(columns), roles


def shuffled(case: Case, data: dict[str, Any]) -> dict[str, Any]:
    """The rows in another order, whole groups where there are any."""
    rng = np.random.default_rng(case.seed)
    if "group" not in data:
        return take(data, rng.permutation(ROWS))
    names = rng.permutation(list(dict.fromkeys(data["group"])))
    return take(data, np.concatenate([np.flatnonzero(data["group"] == name) for name in names]))


def written(folder: Path, table: pa.Table, files: int, form: str) -> list[str]:
    """The table as files; `form` is csv, or parquet with the rows of a row group."""
    paths = []
    bounds = np.linspace(0, table.num_rows, files + 1).astype(int)
    for number, (low, high) in enumerate(itertools.pairwise(bounds)):
        part = table.slice(low, high - low)
        path = folder / f"{form}-{files}-{number}.{form.partition(':')[0]}".replace(":", "-")
        if form == "csv":
            pyarrow.csv.write_csv(part, path)
        else:
            pq.write_table(part, path, row_group_size=int(form.partition(":")[2]))
        paths.append(str(path))
    return paths


def layouts(case: Case, folder: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The same rows as files of every kind, in order and shuffled."""
    data = case.draw(ROWS)
    data["w"] = per_row(case, data, [0.3, 1.0, 2.7])
    data |= {
        name: per_row(case, data, GROUPS, at).astype(object) for at, name in enumerate(("key", "half"), 1)
    }
    forms = ["parquet:10", "parquet:100", "parquet:1000"] + (["csv"] if fits_csv(case) else [])
    for order, rows in (("given", data), ("shuffled", shuffled(case, data))):
        table, roles = cells(rows)
        roles = {name: roles[name] for name in case.forms}
        for form, files in itertools.product(forms, (1, 3)):
            place = folder / order
            place.mkdir(exist_ok=True)
            yield written(place, table, files, form), roles


def expected_groups(case: Case) -> int:
    """How many pairs of keys the rows have, and the total."""
    data = case.draw(ROWS)
    pairs = zip(per_row(case, data, GROUPS, 1), per_row(case, data, GROUPS, 2), strict=True)
    return len(set(pairs)) + 1


def results(case: Case, folder: Path, *, every: bool) -> Iterator[bytes]:
    """The result of every run, as bytes; `every`: all chunk sizes and thread counts for all layouts."""
    spec = case.bound.text
    runs = list(itertools.product(CHUNKS, (1, 2)))
    for number, (paths, roles) in enumerate(layouts(case, folder)):
        for chunk, threads in runs if every else [runs[(5 * number + k) % len(runs)] for k in (0, 1)]:
            made = lossctl.evaluate(
                paths, spec, weight="w", by=["key", "half"], threads=threads, chunk_rows=chunk, **roles
            )
            yield json.dumps(made.to_dict()["results"]).encode()


@pytest.fixture(autouse=True)
def threads_for_small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lossctl.spine, "SMALL", 0)


@over(CASES)
def test_every_partition_gives_the_same_bytes(case: Case, tmp_path: Path) -> None:
    distinct = set(results(case, tmp_path, every=False))
    assert len(distinct) == 1
    scores = json.loads(distinct.pop())
    assert len({json.dumps(score["group"]) for score in scores}) == len(scores) == expected_groups(case)


def main() -> None:
    """Every combination, for every representative."""
    lossctl.spine.SMALL = 0
    runs = wrong = 0
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            made = list(results(case, Path(folder), every=True))
        runs += len(made)
        wrong += len(set(made)) != 1
        print(f"{case.id:40}{len(made):5} runs {len(set(made)):3} distinct results")
    print(f"{len(CASES)} losses, {runs} runs, {wrong} with more than one distinct result")


if __name__ == "__main__":
    main()
