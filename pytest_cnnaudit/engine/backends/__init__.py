"""The one place with framework code: three modules with the same small interface.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, cast

import keras
import numpy as np
import numpy.typing as npt

Tensor: TypeAlias = Any
Array: TypeAlias = npt.NDArray[Any]
Watch: TypeAlias = Callable[[Tensor], Tensor]
Spec: TypeAlias = tuple[Sequence[int], str]
"""Shape and dtype of a tensor."""
State: TypeAlias = tuple[Tensor, ...]
Step: TypeAlias = Callable[..., State]
"""`step(index, state, *tensors)` gives the next state, of the same shapes."""
REDUCTIONS = ("zeros", "sum", "norm", "absolute", "min", "max")
"""What `Backend.reductions` gives."""


class Backend(Protocol):
    """What the engine needs of a framework."""

    def compiled(self, program: Callable[..., Any], model: keras.Model) -> Callable[..., Any]:
        """`program(*tensors)` as a function from NumPy arrays to NumPy arrays.

        Compiled once for its first arguments' shapes. Nothing in it can change a variable of `model`; the
        variables' values are read anew at each call.
        """

    def looped(self, step: Step, finish: Callable[..., Any], model: keras.Model, carried: int) -> Callable[..., Any]:
        """`finish(count, state, *tensors)` after `count` times `step`, as one function from arrays to arrays.

        It is called with `count`, the `carried` arrays of the first state, and the other arrays; compiled as
        `compiled` does, for any count.
        """

    def abstract(self, run: Callable[..., Any], model: keras.Model, specs: Sequence[Spec]) -> None:
        """Calls `run(*tensors)` as cheaply as the framework can: for shapes and order, not for values."""

    def gradients(
        self, run: Callable[[Watch], tuple[Tensor, Any]]
    ) -> tuple[Any, Sequence[Tensor], Sequence[Tensor | None]]:
        """Runs `run(watch)` and differentiates the scalar it returns with respect to the watched tensors.

        `run` returns `(objective, auxiliary)` and hands each tensor to `watch`, going on with what `watch`
        gives back. What comes before the first watched tensor is plain inference. Gives `(auxiliary,
        watched, gradients)`; a gradient is None where the objective does not depend on the tensor.
        """

    def reductions(self, activation: Tensor) -> dict[str, Tensor]:
        """Sums over the H·W positions of an `(N, P, K)` tensor, each `(N, K)`.

        `zeros`, `sum`, `norm` (Euclidean), `absolute` (sum of magnitudes), `min`, `max`.
        """

    def device(self) -> str:
        """What the framework computes on, for the record."""


def current() -> Backend:
    """The backend Keras runs on in this process."""
    name = keras.backend.backend()
    known = {"tensorflow", "torch", "jax"}
    if name not in known:
        raise RuntimeError(
            f"Keras runs on the backend {name!r}; pytest-cnnaudit needs one of {sorted(known)}. "
            "Set KERAS_BACKEND or --cnnaudit-backend before Keras is imported."
        )
    return cast(Backend, importlib.import_module(f"{__name__}.{name}"))


def widened(array: Array) -> Array:
    """Integers as they are, floats of any precision as float32."""
    return array if array.dtype.kind in "biu" else array.astype(np.float32, copy=False)
