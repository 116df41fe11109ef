"""`@loss` and `@gradient`: the one reader of kernel signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from lossctl.domain import REAL, Interval
from lossctl.loss.doc import Doc, parse_doc
from lossctl.loss.kinds import MEAN, RESIDUAL, Form, Like, Param, Reduction, Whole
from lossctl.loss.params import REQUIRED, BoundParam, resolve

F = TypeVar("F", bound=Callable[..., Any])

_REGISTRY: dict[str, Loss] = {}
_ALIASES: dict[str, str] = {}


class Input(NamedTuple):
    """One column role of a loss: `forms` are alternatives, the first fitting the data is taken."""

    name: str
    forms: tuple[Form, ...]

    @property
    def option(self) -> str:
        return self.name.replace("_", "-")


@dataclass(frozen=True)
class Loss:
    """A loss as declared; built only by `@loss`.

    `open_inputs` gives the inputs from the parameters where a parameter decides them.
    `arguments` are the kernel's positional parameters in order ('residual' among them where it takes
    that); `inputs` the column roles behind them.
    """

    name: str
    family: str
    kernel: Callable[..., Any]
    arguments: tuple[str, ...]
    inputs: Mapping[str, Input]
    params: Mapping[str, BoundParam]
    reduction: Reduction
    unit: str
    range: Interval
    best: float | None
    aliases: tuple[str, ...]
    likes: tuple[Like, ...]
    tasks: tuple[str, ...]
    direction: str
    scale_free: bool
    open_inputs: Callable[[Mapping[str, Any]], Mapping[str, Input]] | None = None
    scores: tuple[str, ...] = ()
    gradients: dict[str, Callable[..., Any]] = field(default_factory=dict, compare=False)

    @cached_property
    def doc(self) -> Doc:
        return parse_doc(self.kernel.__doc__)

    @property
    def grouped(self) -> bool:
        return "group" in self.inputs

    @property
    def pointwise(self) -> bool:
        """Whether every input is one number per row, so that vectors of them work element by element."""
        return (
            not self.grouped
            and self.open_inputs is None
            and not (isinstance(self.reduction, Whole) and not self.reduction.row)
            and all(
                form.shape == "scalar" and form.kind not in ("text",)
                for item in self.inputs.values()
                for form in item.forms
            )
        )

    def resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return resolve(self.params, given, self.name)


def loss(
    reduction: Reduction = MEAN,
    *,
    aliases: Sequence[str] = (),
    range: Interval = REAL,  # noqa: A002 - the field's own word
    best: float | None = 0.0,
    likes: Sequence[Like] = (),
    tasks: Sequence[str] = (),
    unit: str = "row",
    direction: str = "lower",
    scale_free: bool = True,
    open_inputs: Callable[[Mapping[str, Any]], Mapping[str, Input]] | None = None,
    scores: Sequence[str] = (),
) -> Callable[[F], F]:
    """Register a kernel as a loss and return it unchanged.

    reduction: how rows become one number. aliases: other names. range: where a row's loss lies.
    best: the value of a perfect prediction, None where there is none. likes: the same loss elsewhere.
    tasks: what `recommend` and `list --task` file it under. unit: 'row' or 'group', what one term is of.
    direction: which way is better ('lower', 'higher', 'zero'). scale_free: whether scaling all weights
    leaves the aggregate alone. open_inputs: the inputs of given parameters, for a loss whose inputs are
    not fixed by its signature. scores: what is no loss (higher is better) and is nearest to this one.
    """

    def register(kernel: F) -> F:
        arguments, inputs, params = _read_signature(kernel, open_inputs is not None)
        name = kernel.__name__.rstrip("_").replace("_", "-")
        made = Loss(
            name=name,
            family=kernel.__module__.rpartition(".")[2],
            kernel=kernel,
            arguments=arguments,
            inputs=inputs,
            params=params,
            reduction=reduction,
            unit=unit,
            range=range,
            best=best,
            aliases=tuple(aliases),
            likes=tuple(likes),
            tasks=tuple(tasks),
            direction=direction,
            scale_free=scale_free,
            open_inputs=open_inputs,
            scores=tuple(scores),
        )
        for label in (name, *made.aliases):
            taken = _ALIASES.get(label)
            if taken is not None and _REGISTRY[taken].kernel.__module__ != kernel.__module__:
                raise ValueError(f"{kernel.__module__}: the loss name '{label}' is already {taken}'s")
            _ALIASES[label] = name
        _REGISTRY[name] = made
        return kernel

    return register


def gradient(of: Callable[..., Any], *inputs: str) -> Callable[[F], F]:
    """Register d(row's loss)/d(input) for the inputs named (default pred).

    The function takes what the kernel takes and returns one array of the input's shape, or a tuple in
    the order of the names.
    """

    def register(function: F) -> F:
        owner = _REGISTRY[of.__name__.rstrip("_").replace("_", "-")]
        owner.gradients[",".join(inputs or ("pred",))] = function
        return function

    return register


def _read_signature(
    kernel: Callable[..., Any], open_inputs: bool
) -> tuple[tuple[str, ...], dict[str, Input], dict[str, BoundParam]]:
    hints = get_type_hints(kernel, include_extras=True)
    arguments: list[str] = []
    inputs: dict[str, Input] = {}
    params: dict[str, BoundParam] = {}
    for name, parameter in inspect.signature(kernel).parameters.items():
        hint = hints.get(name)
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            params[name] = _param(kernel, name, hint, parameter.default)
            continue
        if open_inputs:
            continue
        arguments.append(name)
        if RESIDUAL in getattr(hint, "__metadata__", ()):
            inputs["target"] = Input("target", (Form("real"),))
            inputs["pred"] = Input("pred", (Form("real"),))
        else:
            inputs[name] = Input(name, _forms(kernel, name, hint))
    return tuple(arguments), inputs, params


def _forms(kernel: Callable[..., Any], name: str, hint: Any) -> tuple[Form, ...]:
    forms = tuple(m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Form))
    if not forms:
        raise TypeError(
            f"{kernel.__module__}.{kernel.__qualname__}: input '{name}' needs an annotation "
            "such as lossctl.loss.Real that says what it is"
        )
    return forms


def _param(kernel: Callable[..., Any], name: str, hint: Any, default: Any) -> BoundParam:
    if get_origin(hint) is not Annotated:
        raise TypeError(
            f"{kernel.__module__}.{kernel.__qualname__}: parameter '{name}' needs "
            "Annotated[type, Param('what it means')]"
        )
    kind, *metadata = get_args(hint)
    meta = next((m for m in metadata if isinstance(m, Param)), None)
    if meta is None:
        raise TypeError(f"{kernel.__module__}.{kernel.__qualname__}: parameter '{name}' has no Param")
    return BoundParam(name, kind, REQUIRED if default is inspect.Parameter.empty else default, meta)
