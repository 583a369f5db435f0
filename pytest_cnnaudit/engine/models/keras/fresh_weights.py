"""Fresh weights in place of trained ones, from the output down to a layer, without touching the model.

The weights are arguments of what is computed and stand for the model's own while it is called. So there is no second
model: any model can be re-initialised, no weight is ever assigned, and nothing has to be put back.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.engine.errors import ModelError
from pytest_cnnaudit.engine.models.keras import tracing
from pytest_cnnaudit.engine.models.keras.backends.interface import Tensor
from pytest_cnnaudit.engine.models.keras.private import own_trainable_variables
from pytest_cnnaudit.engine.models.keras.tracing import TracedLayer as Layer

Array: TypeAlias = npt.NDArray[np.float32]

_ZEROS = ("bias", "beta", "moving_mean")
_ONES = ("gamma", "moving_variance")


@dataclass(frozen=True)
class FreshWeights:
    """`values` that stand for `variables`; `first` is the path of the lowest layer that has any."""

    first: str
    variables: tuple[keras.Variable, ...]
    values: tuple[Array, ...]
    normalizations: tuple[keras.Layer, ...]
    """The batch normalizations among the layers, whose trained statistics say nothing of what they now get."""

    @contextmanager
    def used(self, model: keras.Model, tensors: Sequence[Tensor]) -> Iterator[None]:
        """While the model is called, `tensors`, the values on the backend, stand for the variables."""
        fresh = dict(zip(map(id, self.variables), tensors, strict=True))
        # All of them: around this there may be another such mapping, as with JAX, whose values are to be seen too.
        mapping = [(variable, fresh.get(id(variable), variable.value)) for variable in model.variables]
        calls = {id(layer): (layer, _standardized(layer)) for layer in self.normalizations}
        with keras.StatelessScope(state_mapping=mapping), tracing.replaced_calls(calls):
            yield


def fresh_weights(
    model: keras.Model, layers: Sequence[Layer], path: str | None, seed: int, *, negated: bool = False
) -> FreshWeights:
    """Random weights for every layer of `layers` from the output down to and including `path`; None: for all.

    A layer without weights of its own, such as an activation, is made by the layers before it: those are included
    down to the nearest with a kernel. A layer that is also called before `path` has the same fresh weights there.

    Kernels are drawn from N(0, 2 / fan-in) (He 2015, arXiv:1502.01852), which keeps the size of activations from
    layer to layer, with NumPy, so that all backends have the same. Biases are 0, scales 1. A batch normalization
    uses the statistics of each picture by itself, as the trained ones are of other activations. `negated` turns the
    sign of the last kernel.

    Raises `ValueError` where none of these layers has weights, `ModelError` for a quantised model.
    """
    _check_not_quantised(model)
    start = 0 if path is None else _lowest(layers, path)
    variables: dict[int, tuple[keras.Variable, keras.Operation]] = {}
    normalizations: dict[int, keras.Layer] = {}
    for operation in (*(layer.operation for layer in layers[start:]), model):
        if getattr(operation, "moving_variance", None) is not None:
            normalizations[id(operation)] = operation
        for variable in _own_weights(operation):
            variables[id(variable)] = (variable, operation)
    if not variables:
        raise ValueError(
            f"No layer from the output down to {layers[start].path!r} has weights, so there is nothing to "
            "re-initialise: explain a layer before those that have"
        )
    generator = np.random.default_rng(seed)
    values = [_drawn(variable, operation, generator) for variable, operation in variables.values()]
    kernels = [index for index, value in enumerate(values) if value.ndim > 1]
    if negated and kernels:
        values[kernels[-1]] = -values[kernels[-1]]
    return FreshWeights(
        layers[start].path,
        tuple(variable for variable, _ in variables.values()),
        tuple(values),
        tuple(normalizations.values()),
    )


def _lowest(layers: Sequence[Layer], path: str) -> int:
    """Position of the first layer that makes the output of the one at `path`."""
    inside = [index for index, layer in enumerate(layers) if layer.path == path or layer.path.startswith(f"{path}/")]
    with_kernel = [index for index in range(inside[-1] + 1) if _has_kernel(layers[index].operation)]
    return min(inside[0], with_kernel[-1]) if with_kernel else inside[0]


def _has_kernel(operation: keras.Operation) -> bool:
    return any(len(variable.shape) > 1 for variable in _own_weights(operation))


def _own_weights(operation: keras.Operation) -> list[keras.Variable]:
    """What training changes in a layer itself, frozen or not, and a batch normalization's statistics."""
    own = own_trainable_variables(operation)
    statistics = (getattr(operation, name, None) for name in ("moving_mean", "moving_variance"))
    return own + [variable for variable in statistics if isinstance(variable, keras.Variable)]


def _check_not_quantised(model: keras.Model) -> None:
    """`ModelError` for a kernel of whole numbers, which would silently stay as it was trained."""
    for operation in tracing.operations_of(model):
        if getattr(operation, "quantization_mode", None) is not None:
            raise ModelError(
                f"The layer {operation.name!r} of the model {model.name!r} is quantised "
                f"({operation.quantization_mode}), and its weights can't be drawn anew: judge the model before that"
            )


def _drawn(variable: keras.Variable, operation: keras.Operation, generator: np.random.Generator) -> Array:
    shape = tuple(variable.shape)
    if variable.name in _ZEROS:
        return np.zeros(shape, np.float32)
    if variable.name in _ONES:
        return np.ones(shape, np.float32)
    # The last axis counts the outputs; of a depthwise kernel the last two do.
    depthwise = "depthwise" in f"{type(operation).__name__} {variable.name}".lower()
    is_depthwise = depthwise and "pointwise" not in variable.name
    fan_in = int(np.prod(shape[: -2 if is_depthwise else -1]))
    return np.asarray(generator.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / max(1, fan_in))))


def _standardized(layer: keras.Layer) -> Callable[..., Any]:
    """The batch normalization's `call`, followed by one over the positions of each picture and channel.

    With statistics of the batch, a picture's heatmap would depend on the others. Without positions (a vector, or
    a grid of one cell) there is nothing to take statistics of.
    """
    original, ops = layer.call, keras.ops

    def call(*args: Any, **kwargs: Any) -> Any:
        output = original(*args, **kwargs)
        rank = len(output.shape)
        positions = [axis for axis in range(1, rank) if axis != layer.axis % rank]
        if int(np.prod([output.shape[axis] for axis in positions])) == 1:
            return output
        values = ops.cast(output, "float32")
        mean, variance = ops.moments(values, axes=positions, keepdims=True)
        return ops.cast((values - mean) * ops.rsqrt(variance + layer.epsilon), output.dtype)

    return call
