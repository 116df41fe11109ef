"""Writes tests/golden/<library>.json by running the real libraries.

    KERAS_BACKEND=torch python tests/golden/generate [LIBRARY MODULE ...]

Needs an environment with the libraries (CPU builds): torch keras jax optax scikit-learn xgboost lightgbm
catboost torchmetrics scipy mpmath scoringrules properscoring utilsforecast pytorch-metric-learning kornia
monai, and segmentation-models-pytorch without its dependencies. The tests read only the JSON.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path

MODULES = (
    "torch_losses",
    "sklearn_losses",
    "keras_losses",
    "optax_losses",
    "booster_losses",
    "torchmetrics_losses",
    "image_losses",
    "stats_losses",
    "exact_losses",
)


def main() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    warnings.simplefilter("ignore")
    for name in sys.argv[1:] or MODULES:
        made = importlib.import_module(name).make()
        for golden in made if isinstance(made, list) else [made]:
            golden.write(Path(__file__).parents[1])
            print(f"{golden.library:24}{len(golden.cases):5} cases")


if __name__ == "__main__":
    main()
