"""The program that answers a `Pass`: from tensors to tensors, run by the backend.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeAlias

import keras
import numpy as np

from pytest_cnnaudit.engine.models.keras import tracing
from pytest_cnnaudit.engine.models.keras.backends.interface import Backend, Tensor, Watch
from pytest_cnnaudit.engine.models.keras.data_format import channels_last, number_of_cells
from pytest_cnnaudit.engine.models.keras.forward import Forward
from pytest_cnnaudit.engine.models.keras.heads import Head
from pytest_cnnaudit.engine.models.keras.tracing import TracedLayer
from pytest_cnnaudit.engine.passes import INPUT, REDUCTIONS, Pass

Groups: TypeAlias = list[list[Tensor]]
"""Logits, layers, layers with gradients, gradients, reductions, finiteness: in the order of the pass, each empty
where nothing of it is wanted."""


@dataclass
class Program:
    """Called with the tensors of the inputs, and before them the targets where there are gradients.

    Gives `Groups`. `layers` are all of the model by path, `default` is the one whose grid is pooled. `positions`, by
    path, is how many a layer's reductions are over: known as soon as the program was traced.
    """

    wanted: Pass
    forward: Forward
    head: Head
    backend: Backend
    layers: Mapping[str, TracedLayer]
    default: TracedLayer | None
    positions: dict[str, int] = field(default_factory=dict)

    def __call__(self, *tensors: Tensor) -> Groups:
        """See the class."""
        if self.wanted.gradients:
            return self._differentiated(tensors[0], tensors[1:])
        seen = _Seen(self, rows=tensors[0].shape[0])
        if not (self.wanted.logits or self.wanted.finite):
            with suppress(tracing.AllSeen), seen.watching(leave=True):
                self.forward(tensors)
            layers, reductions, _ = seen.groups()
            return [[], layers, [], [], reductions, []]
        with seen.watching():
            output, found = self.forward(tensors)
        logits = [self.head.scores(output, found, "logit")[0]] if self.wanted.logits else []
        layers, reductions, finite = seen.groups(output)
        return [logits, layers, [], [], reductions, finite]

    @property
    def plain(self) -> tuple[str, ...]:
        """The layers whose outputs alone are wanted."""
        return tuple(path for path in self.wanted.layers if path not in self.wanted.gradients)

    @property
    def differentiated(self) -> tuple[str, ...]:
        """The layers whose outputs come with their gradients."""
        return tuple(path for path in self.wanted.gradients if path != INPUT)

    def _differentiated(self, targets: Tensor, tensors: Sequence[Tensor]) -> Groups:
        """What comes before the first layer with a gradient is inference."""
        scale, order = self._scale_of_the_input(), []

        def run(watch: Watch) -> tuple[Tensor, Groups]:
            def observe(layer: TracedLayer, output: Tensor) -> Tensor:
                nonlocal scale
                scale = max(scale, _loss_scale(output))
                order.append(layer.path)
                return watch(output)

            order.clear()
            given = tensors
            if INPUT in self.wanted.gradients:
                order.append(INPUT)
                given = (watch(tensors[0]), *tensors[1:])
            seen = _Seen(self, rows=tensors[0].shape[0])
            with seen.watching(), tracing.observed([self.layers[path] for path in self.differentiated], observe):
                output, found = self.forward(given)
            logits, scores = self.head.scores(output, found, self.wanted.score)
            groups = [[logits] if self.wanted.logits else [], *seen.groups(output)]
            return _sum_of_chosen(logits, scores, targets) * scale, groups

        groups, watched, gradients = self.backend.gradients(run)
        by_path = dict(zip(order, zip(watched, gradients, strict=True), strict=True))
        for path, (_, gradient) in by_path.items():
            if gradient is None:
                what = f"input {self.forward.inputs.explained.name!r}" if path == INPUT else f"layer {path!r}"
                raise ValueError(f"The score does not depend on the {what}: its gradient is undefined")
        found = {path: keras.ops.cast(gradient, "float32") / scale for path, (_, gradient) in by_path.items()}
        logits, layers, reductions, finite = groups
        return [
            logits,
            layers,
            [channels_last(by_path[path][0]) for path in self.differentiated],
            [found[path] if path == INPUT else channels_last(found[path]) for path in self.wanted.gradients],
            reductions,
            finite,
        ]

    def _scale_of_the_input(self) -> float:
        """Half precision: the same scale as for the layer that is pooled."""
        half = keras.backend.standardize_dtype(self.forward.model.compute_dtype) == "float16"
        if INPUT not in self.wanted.gradients or self.default is None or not half:
            return 1.0
        return _power_above(number_of_cells(self.default.output_shape))


class _Seen:
    """What is seen of the layers in one call of the model."""

    def __init__(self, program: Program, rows: int) -> None:
        self._program = program
        self._rows = rows
        self._left: int | None = None
        self._outputs: dict[str, Tensor] = {}
        self._reductions: dict[str, Tensor] = {}
        self._are_finite: dict[str, Tensor] = {}

    @contextmanager
    def watching(self, *, leave: bool = False) -> Iterator[None]:
        """While the model is called, the layers are looked at; `leave` it as soon as all outputs were seen."""
        program, wanted = self._program, self._program.wanted
        plain, reduced, finite = (
            [program.layers[path] for path in paths] for paths in (program.plain, wanted.reductions, wanted.finite)
        )
        self._left = len(plain) + len(reduced) if leave else None
        with (
            tracing.observed(plain, self._keep),
            tracing.observed(reduced, self._reduce),
            tracing.observed_with_inputs_of_activations(finite, self._look),
        ):
            yield

    def groups(self, output: Tensor = None) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Layers, reductions and finiteness, of the layers `(layers + 1, N)`: the last is that of the output."""
        wanted = self._program.wanted
        flags: list[Tensor] = []
        if wanted.finite:
            each = [*(self._are_finite[path] for path in wanted.finite), self._finite(output)]
            flags = [keras.ops.stack(each)]
        return (
            [channels_last(self._outputs[path]) for path in self._program.plain],
            [self._reductions[path] for path in wanted.reductions],
            flags,
        )

    def _keep(self, layer: TracedLayer, output: Tensor) -> Tensor:
        self._outputs[layer.path] = output
        return self._counted(output)

    def _reduce(self, layer: TracedLayer, output: Tensor) -> Tensor:
        """`(6, N, K)` in one tensor, since each costs its way to NumPy."""
        values = keras.ops.cast(channels_last(output), "float32")
        count, channels = values.shape[0], values.shape[-1]
        positions = int(np.prod(values.shape[1:-1]))
        found = self._program.backend.reductions(keras.ops.reshape(values, (count, positions, channels)))
        self._reductions[layer.path] = keras.ops.stack([found[name] for name in REDUCTIONS])
        self._program.positions[layer.path] = positions
        return self._counted(output)

    def _counted(self, output: Tensor) -> Tensor:
        if self._left is not None:
            self._left -= 1
            if not self._left:
                raise tracing.AllSeen
        return output

    def _look(self, layer: TracedLayer, values: Tensor) -> None:
        found, path = self._finite(values), layer.path
        before = self._are_finite.get(path)
        self._are_finite[path] = found if before is None else keras.ops.logical_and(before, found)

    def _finite(self, values: Tensor) -> Tensor:
        """`(rows,)` bool; windows of an image lie together, and what is of no image is of all."""
        if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(values.dtype)):
            return keras.ops.ones((self._rows,), "bool")
        own = bool(values.shape) and values.shape[0] % self._rows == 0
        found = self._program.backend.finite(keras.ops.reshape(values, (self._rows if own else 1, -1)))
        return found if own else keras.ops.broadcast_to(found, (self._rows,))


def _sum_of_chosen(logits: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
    """Sum over the images of the target class' score; −1 stands for the predicted class."""
    ops = keras.ops
    classes = ops.where(targets < 0, ops.cast(ops.argmax(logits, axis=-1), "int32"), targets)
    return ops.sum(scores * ops.one_hot(classes, scores.shape[-1], dtype="float32"))


def _loss_scale(activation: Tensor) -> float:
    """What keeps a gradient in half precision from vanishing: pooling divides it by the number of cells."""
    if keras.backend.standardize_dtype(activation.dtype) != "float16":
        return 1.0
    return _power_above(number_of_cells(activation.shape))


def _power_above(count: int) -> float:
    return float(2 ** (count - 1).bit_length())
