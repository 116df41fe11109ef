"""Makes every file of examples/data: predictions by real models on the data sets inside scikit-learn.

    python examples/make_data.py [DIRECTORY]

Needs scikit-learn (which brings SciPy) and pyarrow. The files here were made with Python 3.11, scikit-learn
1.9.1, NumPy 2.4.6, SciPy 1.17.1 and pyarrow 26.0.1. Every prediction is for a row that its model did not
see: out of fold, or from a test split (only the rows of epochs.csv marked `train` were trained on, which is
their point). Seeds are fixed and everything runs in one thread, so on the same versions and processor the
files come out the same to the byte. CSV files hold the shortest decimal that reads back as the same double;
where a Parquet file has the same stem, its values are equal to the bit.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.ndimage import gaussian_filter
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import BayesianRidge, LogisticRegression, PoissonRegressor, RidgeCV
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    train_test_split,
)
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
BANDS = ("19-39", "40-59", "60-79")
ROW_GROUPS = 4
INK = 8  # a pixel of the digits goes from 0 to 16

Table = dict[str, Any]


def write_parquet(path: Path, columns: Table) -> None:
    """Several row groups and a checksum on every page, so that the examples exercise both."""
    table = pa.table(columns)
    rows = -(-table.num_rows // ROW_GROUPS)
    pq.write_table(table, path, compression="zstd", row_group_size=rows, write_page_checksum=True)


def write_csv(path: Path, columns: Table) -> None:
    """`repr` of a Python float is the shortest decimal that reads back as the same double."""
    values = [pa.array(column).to_pylist() for column in columns.values()]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in zip(*values, strict=True):
            writer.writerow([repr(value) if isinstance(value, float) else value for value in row])


def write_both(stem: Path, columns: Table) -> None:
    write_parquet(stem.with_suffix(".parquet"), columns)
    write_csv(stem.with_suffix(".csv"), columns)


def vectors(values: np.ndarray, type_: pa.DataType, ragged: bool = False) -> pa.Array:
    """A matrix as a list column: fixed-size, or `list` where `ragged` asks for the general type."""
    flat = pa.array(np.ascontiguousarray(values).ravel(), type_)
    if not ragged:
        return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), flat)


def age_bands(age: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """The band of each patient, and a weight that gives the three bands the same total."""
    band = np.digitize(age, [40, 60])
    size = np.bincount(band, minlength=len(BANDS))
    weight = len(age) / (len(BANDS) * size[band])
    return pa.DictionaryArray.from_arrays(pa.array(band, pa.int8()), pa.array(BANDS)), weight


def preds(out: Path) -> None:
    """Two regressions of disease progression on the same rows: boosted trees and ridge."""
    x, y = load_diabetes(return_X_y=True, scaled=False)
    folds = KFold(10, shuffle=True, random_state=0)
    trees = GradientBoostingRegressor(n_estimators=150, learning_rate=0.05, max_depth=3, random_state=0)
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 16)))
    band, weight = age_bands(x[:, 0])
    pred = {name: cross_val_predict(model, x, y, cv=folds) for name, model in (("a", trees), ("b", ridge))}
    first = {"id": np.arange(len(y)), "y_true": y, "y_pred": pred["a"], "age_band": band, "w": weight}
    write_both(out / "preds", first)
    write_parquet(out / "preds_b.parquet", first | {"y_pred": pred["b"]})


def cancer(out: Path) -> None:
    """A binary classifier's logit and probability, and the margin of a linear support vector machine."""
    x, y = load_breast_cancer(return_X_y=True)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    svm = make_pipeline(StandardScaler(), LinearSVC(C=0.01, dual=False))
    logit = cross_val_predict(logistic, x, y, cv=folds, method="decision_function")
    fold = np.empty(len(y), np.int64)
    for number, (_, test) in enumerate(folds.split(x, y)):
        fold[test] = number
    columns = {
        "id": np.arange(len(y)),
        "label": y.astype(np.int64),
        "prob": expit(logit),
        "logit": logit,
        "score": cross_val_predict(svm, x, y, cv=folds, method="decision_function"),
        "fold": fold,
    }
    write_both(out / "cancer", columns)


def digits(out: Path) -> None:
    """Ten-class probabilities in ten columns, and as lists beside the logits; the rows of the test half."""
    x, y = load_digits(return_X_y=True)
    train, test = train_test_split(np.arange(len(y)), test_size=0.5, stratify=y, random_state=0)
    model = LogisticRegression(C=0.01, max_iter=2000).fit(x[train] / 4, y[train])
    logits, probs = model.decision_function(x[test] / 4), model.predict_proba(x[test] / 4)
    label = y[test].astype(np.int64)
    columns = {"id": test, "label": label} | {f"p_{k}": np.ascontiguousarray(probs[:, k]) for k in range(10)}
    write_both(out / "digits", columns)
    lists = {
        "label": label,
        "name": [NAMES[k] for k in label],
        "logits": vectors(logits, pa.float64()),
        "probs": vectors(probs, pa.float64(), ragged=True),
    }
    write_parquet(out / "digits_logits.parquet", lists)


def triplets(out: Path, rows: int = 300) -> None:
    """Embeddings of unseen digits by a learned linear map: an anchor, the same digit, another digit."""
    x, y = load_digits(return_X_y=True)
    train, test = train_test_split(np.arange(len(y)), test_size=0.5, stratify=y, random_state=0)
    model = NeighborhoodComponentsAnalysis(n_components=8, init="pca", max_iter=30, random_state=0)
    space = model.fit(x[train] / 16, y[train]).transform(x[test] / 16).astype(np.float32)
    label, rng = y[test], np.random.default_rng(0)
    anchor = rng.choice(len(label), rows, replace=False)
    positive = [rng.choice(np.flatnonzero((label == label[a]) & (test != test[a]))) for a in anchor]
    negative = [rng.choice(np.flatnonzero(label != label[a])) for a in anchor]
    columns: Table = {"id": np.arange(rows), "label": label[anchor], "negative_label": label[negative]}
    for role, picked in (("anchor", anchor), ("positive", positive), ("negative", negative)):
        columns[role] = vectors(space[picked], pa.float32())
    write_parquet(out / "triplets.parquet", columns)


def masks(out: Path, images: int = 120) -> None:
    """Where is the ink? Per-pixel probabilities from a blurred and noisy copy of each image."""
    clean = load_digits().images[:images]
    noise = np.random.default_rng(0).normal(0, 2, clean.shape)
    seen = np.pad(gaussian_filter(clean, (0, 1, 1)) + noise, ((0, 0), (1, 1), (1, 1)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(seen, (3, 3), axis=(1, 2)).reshape(images * 64, 9)
    mask, image = (clean >= INK).reshape(-1), np.repeat(np.arange(images), 64)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    folds = GroupKFold(5)
    prob = cross_val_predict(model, windows, mask, groups=image, cv=folds, method="predict_proba")[:, 1]
    truth = mask.astype(np.float64)
    columns = {
        "id": np.arange(images),
        "mask": vectors(truth.reshape(images, 64), pa.float64()),
        "pred": vectors(prob.reshape(images, 64), pa.float64()),
    }
    write_parquet(out / "masks.parquet", columns)
    first = image < 20
    pixels = {"image": image[first], "mask": mask[first].astype(np.int64), "pred": prob[first]}
    write_csv(out / "masks_pixels.csv", pixels)


def normal_forecast(x: np.ndarray, y: np.ndarray, folds: KFold) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of a Bayesian ridge regression's predictive distribution."""
    mean, scale = np.empty(len(y)), np.empty(len(y))
    for train, test in folds.split(x):
        mean[test], scale[test] = BayesianRidge().fit(x[train], y[train]).predict(x[test], return_std=True)
    return mean, scale


def members(x: np.ndarray, y: np.ndarray, folds: KFold, count: int = 12) -> np.ndarray:
    """An ensemble forecast: what each tree of a small forest says."""
    says = np.empty((len(y), count))
    for train, test in folds.split(x):
        forest = RandomForestRegressor(count, min_samples_leaf=5, random_state=0, n_jobs=1)
        forest.fit(x[train], y[train])
        says[test] = np.column_stack([tree.predict(x[test]) for tree in forest.estimators_])
    return says


def quantiles(out: Path) -> None:
    """Distributional forecasts of the diabetes target: quantiles, an interval, a normal, an ensemble."""
    x, y = load_diabetes(return_X_y=True)
    folds = KFold(10, shuffle=True, random_state=0)
    columns: Table = {"id": np.arange(len(y)), "y_true": y}
    for level in (0.1, 0.5, 0.9):
        model = GradientBoostingRegressor(
            loss="quantile", alpha=level, n_estimators=80, learning_rate=0.08, max_depth=2, random_state=0
        )
        columns[f"q_{level}"] = cross_val_predict(model, x, y, cv=folds)
    mean, scale = normal_forecast(x, y, folds)
    columns |= {
        "lower": np.minimum(columns["q_0.1"], columns["q_0.9"]),
        "upper": np.maximum(columns["q_0.1"], columns["q_0.9"]),
        "mean": mean,
        "scale": scale,
        "variance": scale**2,
        "members": vectors(members(x, y, folds), pa.float64()),
    }
    write_parquet(out / "quantiles.parquet", columns)


def ranking(out: Path, queries: int = 60, candidates: int = 12) -> None:
    """Image search: candidates for a digit, scored by how alike its blurred and noisy copy is to theirs.

    Relevance, from clean images and labels: 3 the same digit and close (nearer than half of such pairs),
    2 the same digit, 1 another digit but among the nearest tenth of other-digit pairs, 0 the rest.
    """
    data, rng = load_digits(), np.random.default_rng(0)
    every = np.arange(len(data.target))
    query = rng.choice(every, queries, replace=False)
    found = np.stack([rng.choice(every[every != q], candidates, replace=False) for q in query])
    same = data.target[found] == data.target[query][:, None]
    distance = np.linalg.norm(data.data[found] - data.data[query][:, None], axis=2)
    close = distance < np.where(same, np.median(distance[same]), np.quantile(distance[~same], 0.1))
    seen = gaussian_filter(data.images, (0, 1, 1)) + rng.normal(0, 2, data.images.shape)
    unit = seen.reshape(len(seen), 64)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    columns = {
        "query": np.repeat(np.arange(queries), candidates),
        "rel": (2 * same + close).ravel().astype(np.int64),
        "score": (unit[found] * unit[query][:, None]).sum(axis=2).ravel(),
    }
    write_parquet(out / "ranking.parquet", columns)


def counts(out: Path) -> None:
    """How many ink pixels has the lower half of a digit? Poisson regression on the upper half."""
    x = load_digits().data
    y = (x[:, 32:] >= INK).sum(axis=1).astype(np.float64)
    folds = KFold(10, shuffle=True, random_state=0)
    pred = cross_val_predict(PoissonRegressor(alpha=1e-3, max_iter=500), x[:, :32] / 16, y, cv=folds)
    write_parquet(out / "counts.parquet", {"id": np.arange(len(y)), "y_true": y, "y_pred": pred})


def epochs(out: Path, count: int = 24) -> None:
    """A training curve: is the digit five or more? A network on 120 images, judged after each epoch."""
    x, y = load_digits(return_X_y=True)
    x, y = x / 16, (y >= 5).astype(np.int64)
    rows = np.arange(len(y))
    train, valid = train_test_split(rows, train_size=120, test_size=120, stratify=y, random_state=0)
    model = MLPClassifier((32,), learning_rate_init=0.01, batch_size=20, random_state=0)
    columns: dict[str, list[Any]] = {name: [] for name in ("epoch", "split", "y", "prob")}
    for epoch in range(1, count + 1):
        model.partial_fit(x[train], y[train], classes=[0, 1])
        for split, chosen in (("train", train), ("valid", valid)):
            columns["epoch"] += [epoch] * len(chosen)
            columns["split"] += [split] * len(chosen)
            columns["y"] += y[chosen].tolist()
            columns["prob"] += model.predict_proba(x[chosen])[:, 1].tolist()
    write_csv(out / "epochs.csv", columns)


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data"
    out.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(1):
        for make in (preds, cancer, digits, triplets, masks, quantiles, ranking, counts, epochs):
            make(out)


if __name__ == "__main__":
    main()
