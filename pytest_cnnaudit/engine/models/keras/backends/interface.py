"""What the engine needs of a framework that Keras runs on.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

Tensor: TypeAlias = Any
Array: TypeAlias = npt.NDArray[Any]
Watch: TypeAlias = Callable[[Tensor], Tensor]
Spec: TypeAlias = tuple[Sequence[int], str]
"""Shape and dtype of a tensor."""
State: TypeAlias = tuple[Tensor, ...]


class Loop(Protocol):
    """A computation of equal steps."""

    def prepare(self, *tensors: Tensor) -> tuple[State, State]:
        """The first state, and what stays the same during the steps."""

    def step(self, index: Tensor, state: State, fixed: State) -> State:
        """The next state, of the same shapes."""

    def finish(self, count: Tensor, state: State, fixed: State) -> Any:
        """What the last state comes to."""


class Backend(Protocol):
    """What the engine needs of a framework."""

    def compiled(self, program: Callable[..., Any], model: keras.Model) -> Callable[..., Any]:
        """`program(*tensors)` as a function from NumPy arrays to NumPy arrays.

        Compiled once for its first arguments' shapes. Nothing in it can change a variable of `model`; the
        variables' values are read anew at each call.
        """

    def looped(self, loop: Loop, model: keras.Model) -> Callable[..., Any]:
        """The loop as one function `(count, *arrays)` from arrays to arrays.

        Compiled as `compiled` does, but for any count and any number of rows. All arrays have as many rows, each of
        which is computed without the others.
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

    def finite(self, rows: Tensor) -> Tensor:
        """Which rows of an `(N, M)` tensor of floats hold neither NaN nor infinity, `(N,)` bool."""

    def device(self) -> str:
        """What the framework computes on, for the record."""


def widened(array: Array) -> Array:
    """Integers as they are, floats of any precision as float32."""
    return array if array.dtype.kind in "biu" else array.astype(np.float32, copy=False)
