"""The files of the benchmark, written once per directory; each in a process of its own.

What a process has in memory counts as the peak of every child it starts, so the one that measures makes none.
"""

from __future__ import annotations

import gzip
import shutil
import sys
from pathlib import Path
from typing import Any

GROUP = 1 << 20
CLASSES, WIDTH, EMBEDDING = 10, 1000, 128


def _normals(rng: Any, size: int) -> list[Any]:
    import numpy as np

    y = rng.normal(size=size)
    words = np.array([f"group-{i}" for i in range(8)])
    prob = rng.uniform(0.01, 0.99, size)
    label = (rng.uniform(size=size) < prob).astype(float)
    return [y, y + 0.5 * rng.normal(size=size), words[rng.integers(0, 8, size)], label, prob]


def table(path: Path, rows: int) -> None:
    """Doubles with a group of eight words, compressed by zstd."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    doubles = [(name, pa.float64()) for name in ("y_true", "y_pred", "label", "prob")]
    schema = pa.schema([*doubles[:2], ("g", pa.string()), *doubles[2:]])
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for start in range(0, rows, GROUP):
            file.write_table(pa.table(_normals(rng, min(GROUP, rows - start)), schema=schema), GROUP)


def csv(path: Path, rows: int) -> None:
    """Two doubles with all their digits."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pc

    rng = np.random.default_rng(0)
    schema = pa.schema([("y_true", pa.float64()), ("y_pred", pa.float64())])
    with pc.CSVWriter(path, schema, write_options=pc.WriteOptions(quoting_style="none")) as file:
        for start in range(0, rows, GROUP):
            file.write_table(pa.table(_normals(rng, min(GROUP, rows - start))[:2], schema=schema))


def packed(path: Path, rows: int) -> None:
    """The CSV file beside it, compressed as the suffix says."""
    plain = path.with_suffix("")
    if not plain.exists():
        csv(plain, rows)
    with plain.open("rb") as source:
        if path.suffix == ".gz":
            with gzip.open(path, "wb", 6) as target:
                shutil.copyfileobj(source, target, 1 << 20)
            return
        import pyarrow as pa

        with pa.CompressedOutputStream(str(path), "zstd") as target:
            while block := source.read(1 << 20):
                target.write(block)


def probabilities(path: Path, rows: int) -> None:
    """Ten float32 columns that sum to one, and a label."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    scores = np.exp(rng.normal(size=(rows, CLASSES)))
    probs = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)
    columns = {f"p_{i}": np.ascontiguousarray(probs[:, i]) for i in range(CLASSES)}
    pq.write_table(pa.table({"label": rng.integers(0, CLASSES, rows), **columns}), path, compression="zstd")


def _lists(values: Any, width: int) -> Any:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)


def triplets(path: Path, rows: int) -> None:
    """Anchor, positive and negative embeddings: fixed-size lists of 128 float32."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    made = {
        name: _lists(rng.normal(size=(rows, EMBEDDING)).astype(np.float32), EMBEDDING)
        for name in ("anchor", "positive", "negative")
    }
    pq.write_table(pa.table(made), path, compression="zstd")


def logits(path: Path, rows: int) -> None:
    """A label and lists of 1,000 float32 logits."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    schema = pa.schema([("label", pa.int64()), ("logits", pa.list_(pa.float32()))])
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for start in range(0, rows, 10_000):
            size = min(10_000, rows - start)
            values = rng.normal(size=size * WIDTH).astype(np.float32)
            offsets = np.arange(0, (size + 1) * WIDTH, WIDTH, dtype=np.int32)
            lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
            file.write_table(pa.table([rng.integers(0, WIDTH, size), lists], schema=schema))


def masks(path: Path, rows: int) -> None:
    """Segmentation masks and probabilities: lists of 4,096 pixels."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    pixels = 4096
    prob = rng.uniform(size=(rows, pixels)).astype(np.float32)
    mask = (rng.uniform(size=prob.shape) < prob).astype(np.float32)
    pq.write_table(
        pa.table({"target": _lists(mask, pixels), "pred": _lists(prob, pixels)}), path, compression="zstd"
    )


def utterances(path: Path, rows: int) -> None:
    """CTC: 100 steps of 32 log-probabilities and 30 labels a row."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    steps, classes, labels = 100, 32, 30
    scores = rng.normal(size=(rows, steps, classes)).astype(np.float32)
    scores -= np.log(np.exp(scores).sum(axis=2, keepdims=True))
    inner = pa.FixedSizeListArray.from_arrays(pa.array(scores.reshape(-1)), classes)
    offsets = np.arange(0, (rows + 1) * steps, steps, dtype=np.int32)
    target = rng.integers(1, classes, rows * labels)
    ends = np.arange(0, (rows + 1) * labels, labels, dtype=np.int32)
    made = {
        "target": pa.ListArray.from_arrays(pa.array(ends), pa.array(target)),
        "pred": pa.ListArray.from_arrays(pa.array(offsets), inner),
    }
    pq.write_table(pa.table(made), path, compression="zstd")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
