"""What a loss may declare about its inputs, parameters, aggregation and relatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lossctl.domain import ANY, NONNEG, POSITIVE, REAL, UNIT, Interval

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Kind = Literal["real", "prob", "positive", "nonneg", "sign", "binary", "label", "text", "group"]
Shape = Literal["scalar", "vector", "sequence", "matrix"]


class Form(NamedTuple):
    """One way an input may arrive.

    kind: what a value means; shape: values per row; domain: where the values must lie; width: exact
    length of a vector; sums_to_one: rows should, and a warning counts those that do not. when: name of
    the boolean parameter, or `parameter=choice` or `parameter<number`, under which this form replaces the
    unconditional ones. For labels, of: the input whose width is the number of classes; ignore: the
    parameter holding a label outside them that is legal; names: the parameter holding class names for text
    labels;
    length: the list parameter with one entry per value of a vector; without: the parameter holding
    a class that no label may be.
    """

    kind: Kind
    shape: Shape = "scalar"
    domain: Interval = REAL
    width: int | None = None
    sums_to_one: bool = False
    when: str | None = None
    of: str | None = None
    ignore: str | None = None
    names: str | None = None
    length: str | None = None
    without: str | None = None

    def __str__(self) -> str:
        size = {"scalar": "", "vector": " vector", "sequence": " sequence", "matrix": " matrix"}[self.shape]
        bounds = "" if self.kind in ("label", "text", "group", "sign", "binary") else f" in {self.domain}"
        shown = (self.when or "").replace("_", "-").replace("=", " ").replace("<", " < ")
        return f"{self.kind}{size}{bounds}{f' with --{shown}' if shown else ''}"

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether there is a condition and the parameters meet it."""
        name, less, limit = (self.when or "").partition("<")
        if less:
            return bool(params[name] < float(limit))
        name, equals, choice = name.partition("=")
        value = params.get(name)
        if not equals:
            return bool(value)
        return bool(value == (float(choice) if isinstance(value, float) else choice))


class Ragged(NamedTuple):
    """A block of variable-length rows: row i is values[offsets[i]:offsets[i+1]].

    A matrix block has values of shape (total steps, width); a sequence block (total,).
    """

    values: NDArray[Any]
    offsets: Codes

    @property
    def lengths(self) -> Codes:
        return np.diff(self.offsets)


class Masked(NamedTuple):
    """Terms together with which rows (or groups) count; the others are reported as ignored."""

    terms: Any
    used: NDArray[np.bool_]


MASKED = Interval(-math.inf, math.inf, open_high=True)  # a logit of −∞ masks its class


class Derived(NamedTuple):
    """Marks a kernel argument that the spine computes from the columns."""

    name: str


RESIDUAL = Derived("residual")

# Input annotations. Several forms in one annotation are alternatives: a vector form is taken when the
# column is a list or several columns, otherwise the scalar form.
Real = Annotated[Array, Form("real")]
Prob = Annotated[Array, Form("prob", domain=UNIT)]
ProbOrLogit = Annotated[Array, Form("prob", domain=UNIT), Form("real", when="from_logits")]
Positive = Annotated[Array, Form("positive", domain=POSITIVE)]
Nonneg = Annotated[Array, Form("nonneg", domain=NONNEG)]
Sign = Annotated[Array, Form("sign")]
Binary = Annotated[Array, Form("binary", domain=UNIT)]
Label = Annotated[Codes, Form("label", of="pred", names="classes")]
Text = Annotated[NDArray[np.object_], Form("text")]
Group = Annotated[Codes, Form("group")]
RealVec = Annotated[Array, Form("real", "vector")]
ProbVec = Annotated[Array, Form("prob", "vector", UNIT)]
Simplex = Annotated[Array, Form("prob", "vector", UNIT, sums_to_one=True)]
BinaryVec = Annotated[Array, Form("binary", "vector", UNIT)]
LabelSeq = Annotated[Ragged, Form("label", "sequence", of="pred", without="blank")]
RealMat = Annotated[Ragged, Form("real", "matrix", MASKED)]
# Class targets: integer or named labels, or one probability per class.
LabelOrSoft = Annotated[
    NDArray[Any],
    Form("label", of="pred", ignore="ignore_index", names="classes"),
    Form("prob", "vector", UNIT, sums_to_one=True),
]
# Class predictions: probabilities, logits or log-probabilities as the loss's flags say.
ClassScores = Annotated[
    Array,
    Form("prob", "vector", UNIT, sums_to_one=True),
    Form("real", "vector", MASKED, when="from_logits"),
    Form("real", "vector", MASKED, when="from_log_probs"),
    Form("nonneg", "vector", NONNEG, when="normalize"),
]
# pred − target: the loss's inputs are those two. The spine subtracts once per block and hands the same
# array to every loss of the pass.
Residual = Annotated[Array, RESIDUAL]


class Param(NamedTuple):
    """A hyper-parameter: what it means and its range, less a gap; type and default are the signature's.

    clips: it changes values that are too near a border, unless it has its default; a warning counts the rows.
    """

    help: str
    domain: Interval = ANY
    gap: Interval | None = None
    clips: bool = False

    def allows(self, number: float) -> bool:
        """Whether a number is in the range."""
        return self.domain.contains(number) and (self.gap is None or not self.gap.contains(number))

    @property
    def bounds(self) -> str:
        """The range in words, empty when every number is allowed."""
        inside = "" if self.domain == ANY else f" in {self.domain}"
        return inside + (f" not in {self.gap}" if self.gap else "")


ImageShape = tuple[int, ...]


@dataclass(frozen=True)
class Like:
    """How another library computes this loss.

    library: the `--like` name; name: what it is called there; note: how its number differs;
    params: settings of this loss's own parameters that reproduce it. `exists=False`: named for reference
    only, `--like` refuses it.
    """

    library: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    exists: bool = True


def like(library: str, name: str, /, *, note: str = "", exists: bool = True, **params: Any) -> Like:
    """A `Like` with the parameters as keywords (snake_case)."""
    return Like(library, name, params, note, exists)


@dataclass(frozen=True)
class Mean:
    """Σw·l/Σw of one term per row. A kernel may return (w'·l, w') instead: then Σw·w'·l/Σw·w'."""

    label = "mean"
    default = "mean"


@dataclass(frozen=True)
class Pooled:
    """`value(*totals, **params it names)` of the weighted totals of the terms; also gives each row's value.

    elements: how a vector row's elements enter: pooled, or one total per column averaged at the end.
    moments: indices of terms whose total is replaced by the centred second moment Σw·t² − (Σw·t)²/Σw,
    summed exactly. row: whether a row alone has a value, so that `--reduction mean` and `none` exist.
    skips: a NaN value of a row with finite terms means that the row is left out of that mean.
    """

    value: Callable[..., Any]
    elements: Literal["pool", "columns"] = "pool"
    moments: tuple[int, ...] = ()
    row: bool = True
    skips: bool = False
    label = "pooled"
    default = "pooled"


@dataclass(frozen=True)
class Whole:
    """`value(*terms, weights, **params it names)` over all rows, kept in memory under a cap.

    weights is None when all rows count alike. The result must not depend on row order.
    row: whether a row alone has a value (then the first term is it).
    """

    value: Callable[..., float]
    row: bool = True
    label = "whole"
    default = "whole"


@dataclass(frozen=True)
class Largest:
    """The maximum of the rows' values; rows of weight zero do not take part."""

    label = "max"
    default = "max"


Reduction = Mean | Pooled | Whole | Largest
MEAN = Mean()
LARGEST = Largest()
