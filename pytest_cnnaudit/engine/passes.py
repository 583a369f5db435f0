"""What is wanted of one forward pass, as data, and what comes back.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.engine.layers import Layer

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = tuple[Array, ...]
"""What a model is called with: the explained image first, then its other inputs, in the model's order."""
Score: TypeAlias = Literal["logit", "probability"]

INPUT = "/input"
"""Stands for the explained image among a pass' gradients: no path of a layer begins like that."""
REDUCTIONS = ("zeros", "sum", "norm", "absolute", "min", "max")
"""Of a layer's values over its positions: how many are 0, sum, Euclidean norm, sum of magnitudes, extremes."""
PREDICTED = -1
"""Stands for the predicted class among a pass' targets."""


@dataclass(frozen=True)
class Pass:
    """What is wanted of one forward pass; layers are named by their paths. `a | b` is what answers both.

    Args:
        layers: Layers whose outputs are wanted.
        gradients: Layers at which the sum of the classes' scores is differentiated; their outputs come with it.
            `INPUT` stands for the explained image.
        reductions: Layers whose `REDUCTIONS` over positions are wanted.
        finite: Layers that are looked at for NaN and infinity, and with them the output.
        score: Which score is differentiated.
        logits: Whether the logits are wanted. Without them a pass stops at the last layer that is.

    Examples:
        >>> Pass(layers=("conv1",), logits=False) | Pass(gradients=("conv2",))
        Pass(layers=('conv1',), gradients=('conv2',), reductions=(), finite=(), score='logit', logits=True)
    """

    layers: tuple[str, ...] = ()
    gradients: tuple[str, ...] = ()
    reductions: tuple[str, ...] = ()
    finite: tuple[str, ...] = ()
    score: Score = "logit"
    logits: bool = True

    def __or__(self, other: Pass) -> Pass:
        if self.gradients and other.gradients and self.score != other.score:
            raise ValueError(f"One pass differentiates one score, not both {self.score!r} and {other.score!r}")
        return Pass(
            layers=_union(self.layers, other.layers),
            gradients=_union(self.gradients, other.gradients),
            reductions=_union(self.reductions, other.reductions),
            finite=_union(self.finite, other.finite),
            score=other.score if other.gradients else self.score,
            logits=self.logits or other.logits,
        )

    def __bool__(self) -> bool:
        """Whether anything is wanted."""
        return bool(self.logits or self.layers or self.gradients or self.reductions or self.finite)


NOTHING = Pass(logits=False)


def united(passes: Iterable[Pass]) -> Pass:
    """What answers all of them."""
    return reduce(or_, passes, NOTHING)


def _union(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


@dataclass(frozen=True)
class Computed:
    """What one pass over N rows gave, by path; channels last, float32 apart from `finite`.

    `logits` `(N, classes)`, (−z, z) for a single output z; `layers` and `gradients` `(N, …)`; `reductions` are
    `(6, N, K)` with the number of positions they are over. `finite` `(N,)` bool says of each row whether its values,
    and those a layer hands to its own activation, are neither NaN nor infinity; where the output is not that of a
    layer it is there by the model's name.
    """

    logits: Array | None = None
    layers: Mapping[str, Array] = field(default_factory=dict)
    gradients: Mapping[str, Array] = field(default_factory=dict)
    reductions: Mapping[str, tuple[Array, int]] = field(default_factory=dict)
    finite: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)


class Layered(Protocol):
    """What a model says of its layers."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """In the order of execution."""

    @property
    def default_layer(self) -> str | None:
        """Path of the one that is explained unless another is named."""


Wanted: TypeAlias = Callable[[Layered], Pass]
"""What an assertion needs of a model; several of the same cases are answered by one pass."""


def class_evidence(model: Layered) -> Pass:
    """The logits, and what a class activation map at the default layer is made of, where the model has one."""
    default = model.default_layer
    return Pass() if default is None else Pass(gradients=(default,))


def sparsity(model: Layered) -> Pass:
    """Statistics of all layers that are 0 for every negative input."""
    return Pass(reductions=tuple(layer.path for layer in model.layers if layer.is_relu_like), logits=False)


def finiteness(model: Layered) -> Pass:
    """NaN and infinity in every layer and in the output."""
    return Pass(finite=tuple(layer.path for layer in model.layers), logits=False)
