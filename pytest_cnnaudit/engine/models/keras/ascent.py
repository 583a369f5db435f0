"""The ascent of a chunk of filters: one compiled loop over the network up to the layer.

Only up to its input where the layer is affine: a filter's mean activation then is a product with weights found once,
before the loop.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

from pytest_cnnaudit.engine.ascent import Ascent, Climber, Normalization, cell_weights
from pytest_cnnaudit.engine.fourier import MIDDLE, Basis
from pytest_cnnaudit.engine.inputs import Inputs
from pytest_cnnaudit.engine.models.keras import tracing
from pytest_cnnaudit.engine.models.keras.backends.interface import Backend, Spec, State, Tensor, Watch
from pytest_cnnaudit.engine.models.keras.data_format import channels_last
from pytest_cnnaudit.engine.models.keras.layers import is_affine
from pytest_cnnaudit.engine.models.keras.tracing import Call, TracedLayer

_MOST_CLIMBERS = 16


class Trunk(Protocol):
    """What an ascent needs of a network."""

    model: keras.Model
    inputs: Inputs
    backend: Backend

    def layer(self, name: str) -> TracedLayer:
        """The layer with this path."""

    def output_of(self, layer: TracedLayer, pictures: Tensor) -> Tensor:
        """The layer's output for images of any size, channels last; nothing after it is computed."""

    def input_of(self, layer: TracedLayer, pictures: Tensor) -> Tensor:
        """What the layer takes for images of any size, as it takes it."""

    def own_weights(self) -> AbstractContextManager[None]:
        """While the model is called, the weights that it computes with."""

    def check_float_picture(self) -> None:
        """`ModelError` where the image is an input of integers."""

    def abstract(self, run: Callable[..., Any], specs: Sequence[Spec]) -> None:
        """See `Backend.abstract`."""

    def one_at_a_time(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, which waits while another thread calls a model."""


class Climbers:
    """A network's climbers, the last few of them kept."""

    def __init__(self) -> None:
        self._kept: dict[Ascent, Climber] = {}

    def of(self, network: Trunk, ascent: Ascent) -> Climber:
        """See `Climbs.climber`."""
        if ascent not in self._kept:
            network.check_float_picture()
            while len(self._kept) >= _MOST_CLIMBERS:
                del self._kept[next(iter(self._kept))]
            self._kept[ascent] = _climber(network, ascent)
        return self._kept[ascent]


def _climber(network: Trunk, ascent: Ascent) -> Climber:
    layer = network.layer(ascent.layer)
    output, calls = _probe(network, layer, ascent.shape)
    size = sum(4 * math.prod(int(side) for side in call.output.shape) for call in calls)
    taken = tuple(int(side) for side in calls[-1].inputs[0].shape)
    loop = _Loop(network, layer, ascent, taken, _loss_scale(output), _in_float32(ascent.basis()))
    climb = network.one_at_a_time(network.backend.looped(loop, network.model))
    return Climber(climb, int(output.shape[-1]), size)


def _probe(network: Trunk, layer: TracedLayer, shape: tuple[int, int, int]) -> tuple[Tensor, Sequence[Call]]:
    """The layer's output for one image, and all calls up to it; says where the network can't take such images."""
    found: list[Tensor] = []
    calls: list[Call] = []

    def run(pictures: Tensor) -> None:
        calls.extend(tracing.record_calls(network.model, lambda: found.append(network.output_of(layer, pictures))))

    where = f"The layer {layer.path!r} can't be computed for pictures of size {shape[:2]}"
    try:
        network.abstract(run, [((1, *shape), "float32")])
    except Exception as error:
        own = network.inputs.explained.shape[:2]
        raise ValueError(
            f"{where}: {_in_short(error)}. The model takes {own} by itself; say size=(height, width)"
        ) from error
    given = tuple(int(side) for side in found[0].shape)
    if len(given) < 2 or 0 in given:
        raise ValueError(f"{where}: its output would have the shape {given}; say a larger size=(height, width)")
    return found[0], calls


def _in_short(error: Exception) -> str:
    """What an error says, on one line, without what Keras adds: colors, and the arguments of the call."""
    said = str(error).partition("\n\nArguments received by")[0]
    return " ".join(re.sub(r"\x1b\[\d*m", "", said).split()).rstrip(".")


def _loss_scale(activation: Tensor) -> float:
    """What keeps a gradient in half precision from vanishing: the mean divides it by the number of cells."""
    if keras.backend.standardize_dtype(activation.dtype) != "float16":
        return 1.0
    return float(2 ** (math.prod(int(side) for side in activation.shape[1:-1]) - 1).bit_length())


def _in_float32(basis: Basis | None) -> tuple[Any, ...] | None:
    if basis is None:
        return None
    return tuple(part.astype(np.float32) for part in (basis.height, basis.width, basis.spectrum, basis.colors))


@dataclass(frozen=True)
class _Loop:
    """See `backends.Loop`: (start, losses, shifts, filters) → (images, losses)."""

    network: Trunk
    layer: TracedLayer
    ascent: Ascent
    input_shape: tuple[int, ...]
    """Of the layer's input, for one image."""
    loss_scale: float
    basis: tuple[Any, ...] | None

    def prepare(self, start: Tensor, losses: Tensor, shifts: Tensor, filters: Tensor) -> tuple[State, State]:
        chosen = self._weights(filters) if is_affine(self.layer) else (filters,)
        return (start, losses), (shifts, *chosen)

    def step(self, index: Tensor, state: State, fixed: State) -> State:
        """`parameters += step_size · normalized gradient`, and the losses before it."""
        ops, ascent = keras.ops, self.ascent
        (parameters, losses), (shifts, *chosen) = state, fixed

        def objective(watch: Watch) -> tuple[Tensor, Tensor]:
            pictures = self._pictures(watch(parameters))
            seen = _shifted(pictures, ops.take(shifts[0], index, axis=0)) if ascent.jitter else pictures
            loss = self._loss(seen, chosen)
            return ops.sum(loss - _penalties(pictures, ascent)) * self.loss_scale, ops.stop_gradient(loss)

        loss, _, (gradient,) = self.network.backend.gradients(objective)
        gradient = ops.zeros_like(parameters) if gradient is None else ops.cast(gradient, "float32") / self.loss_scale
        direction = _normalized(gradient, ascent.normalize)
        return parameters + ascent.step_size * direction, _recorded(losses, index, loss)

    def finish(self, count: Tensor, state: State, fixed: State) -> State:
        """The images, and the losses with the last one."""
        (parameters, losses), (_, *chosen) = state, fixed
        pictures = self._pictures(parameters)
        return pictures, _recorded(losses, count, self._loss(pictures, chosen))

    def _pictures(self, parameters: Tensor) -> Tensor:
        """The parameters `(F, H, W, C)` as images in the input range."""
        low, high = self.ascent.input_range
        unit = parameters if self.basis is None else _from_coefficients(parameters, self.basis)
        return low + (high - low) * unit

    def _loss(self, pictures: Tensor, chosen: Sequence[Tensor]) -> Tensor:
        """Mean activation of each image's filter, `(F,)`; `chosen`: the filters, or an affine layer's `_weights`."""
        network, layer = self.network, self.layer
        with network.own_weights():
            if len(chosen) == 1:
                return _mean_activations(network.output_of(layer, pictures), chosen[0])
            taken = network.input_of(layer, pictures)
        at_zero, slopes = chosen
        return at_zero + keras.ops.sum(slopes * taken, axis=(1, 2, 3)[: slopes.ndim - 1])

    def _weights(self, filters: Tensor) -> State:
        """Mean activations of an affine layer for an input of zeros, `(F,)`, and their gradients `(F, h, w, K)`."""
        ops = keras.ops

        def objective(watch: Watch) -> tuple[Tensor, Tensor]:
            taken = watch(ops.zeros((ops.shape(filters)[0], *self.input_shape[1:]), "float32"))
            with self.network.own_weights():
                means = _mean_activations(channels_last(self.layer.operation(taken)), filters)
            return ops.sum(means), means

        at_zero, _, (slopes,) = self.network.backend.gradients(objective)
        return at_zero, slopes


def _mean_activations(activation: Tensor, filters: Tensor) -> Tensor:
    """Mean of one filter's activation for each row, `(F,)`, without the border of a grid."""
    ops = keras.ops
    _, *grid, channels = activation.shape
    # A product with what picks the filter, then one with the cells' weights: backwards, a slice and a mean would
    # be several passes over the whole output, of which nearly all is 0.
    picked = ops.one_hot(filters, channels, dtype="float32")[:, :, None]
    values = ops.matmul(ops.reshape(ops.cast(activation, "float32"), (-1, math.prod(grid), channels)), picked)[:, :, 0]
    return ops.sum(values * ops.convert_to_tensor(cell_weights(tuple(grid))), axis=1)


def _recorded(losses: Tensor, at: Tensor, values: Tensor) -> Tensor:
    ops = keras.ops
    return ops.where(ops.arange(losses.shape[1], dtype="int32") == at, values[:, None], losses)


def _normalized(gradient: Tensor, how: Normalization) -> Tensor:
    """`"global"`: each image's gradient over its L2 norm; `"pixel"`: each pixel's colors over theirs."""
    ops = keras.ops
    if how == "pixel":
        return ops.normalize(gradient, axis=-1)
    for size in (ops.max(ops.abs(gradient), axis=(1, 2, 3), keepdims=True), None):
        # First the largest becomes 1: the squares of a tiny gradient would vanish.
        norm = ops.sqrt(ops.sum(ops.square(gradient), axis=(1, 2, 3), keepdims=True)) if size is None else size
        gradient = gradient / ops.where(norm > 0, norm, 1.0)
    return gradient


def _shifted(pictures: Tensor, shift: Tensor) -> Tensor:
    """The images moved by `shift` (down, right), what leaves at one side coming back at the other."""
    ops = keras.ops
    for axis in (1, 2):
        side = pictures.shape[axis]
        positions = ops.arange(side, dtype="int32") - shift[axis - 1] + side
        pictures = ops.take(pictures, ops.mod(positions, side), axis=axis)
    return pictures


def _penalties(pictures: Tensor, ascent: Ascent) -> Tensor:
    """total_variation · mean |difference of neighbors| + l2 · mean (distance from the middle)², `(F,)`.

    In units of the input range, so that weights mean the same for 0…1 and 0…255.
    """
    ops = keras.ops
    low, high = ascent.input_range
    unit = (pictures - low) / (high - low)
    penalty = ops.zeros((), "float32")
    if ascent.total_variation:
        for step in (unit[:, 1:] - unit[:, :-1], unit[:, :, 1:] - unit[:, :, :-1]):
            # Not abs: where neighbors are equal its gradient is 1 in JAX and 0 elsewhere.
            size = step * ops.stop_gradient(ops.sign(step))
            penalty = penalty + ascent.total_variation * ops.mean(size, axis=(1, 2, 3))
    if ascent.l2:
        penalty = penalty + ascent.l2 * ops.mean(ops.square(unit - 0.5), axis=(1, 2, 3))
    return penalty


def _from_coefficients(coefficients: Tensor, basis: tuple[Any, ...]) -> Tensor:
    """See `fourier.Basis`."""
    ops = keras.ops
    height, width, spectrum, colors = map(ops.convert_to_tensor, basis)
    planes = ops.transpose(coefficients * spectrum[..., None], (0, 3, 1, 2))
    planes = ops.matmul(ops.matmul(height, planes), ops.transpose(width))
    return MIDDLE + ops.matmul(ops.transpose(planes, (0, 2, 3, 1)), ops.transpose(colors))
