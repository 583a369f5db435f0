"""What one recording of a model's calls tells: its layers, its head, and the values it is made for.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_cnnaudit.engine.errors import ModelError
from pytest_cnnaudit.engine.models.keras import heads, tracing
from pytest_cnnaudit.engine.models.keras.backends.interface import Backend, Spec, Tensor
from pytest_cnnaudit.engine.models.keras.expectation import expectation
from pytest_cnnaudit.engine.models.keras.forward import Forward
from pytest_cnnaudit.engine.models.keras.layers import default_layer, layers_of
from pytest_cnnaudit.engine.models.keras.tracing import Call, TracedLayer, one_at_a_time
from pytest_cnnaudit.engine.outputs import Activation
from pytest_cnnaudit.engine.ranges import Expectation

SAME = 1e-3
"""Probabilities that differ by less are the same: half precision has three digits."""


@dataclass(frozen=True)
class Structure:
    """The layers in execution order, the position of the `default` one, and the head."""

    layers: tuple[TracedLayer, ...]
    default: int | None
    outputs: int
    squashing: int | None
    """Which of the softmaxes and sigmoids that the model computes makes its output, counted from the end."""
    activation: Activation | None
    expects: Expectation


def record(forward: Forward, backend: Backend, specs: Sequence[Spec], given: Activation | None) -> Structure:
    """Calls the model once, for shapes and order; `given` is what it is said to end in."""
    found: list[tuple[Tensor, list[heads.Squashing]]] = []
    calls: list[Call] = []
    layers: list[tuple[TracedLayer, ...]] = []
    images: list[Tensor] = []

    def run(*tensors: Tensor) -> None:
        calls.extend(tracing.record_calls(forward.model, lambda: found.append(forward(tensors))))
        layers.append(layers_of(calls))
        images.append(tensors[0])

    one_at_a_time(backend.abstract)(run, forward.model, specs)
    output, squashings = found[0]
    squashing, certain = heads.find_squashing(output, squashings)
    if squashing is not None and not certain and not _is_made_by(squashing, forward, backend, specs):
        squashing = None
    activation = None if squashing is None else squashings[squashing][0]
    outputs = int(np.prod(output.shape[1:]))
    if "softmax" in (activation, given) and outputs == 1:
        raise ModelError(
            f"The model {forward.model.name!r} ends in a softmax over a single output, which is always 1; "
            "a binary model with one output needs a sigmoid"
        )
    default = default_layer(calls, output, is_one_of_several=forward.output is not None)
    several = sum(one.is_picture for one in forward.inputs.all) > 1
    expects = expectation(calls, images[0] if several else None)
    return Structure(layers[0], default, outputs, squashing, activation, expects)


def _is_made_by(squashing: int, forward: Forward, backend: Backend, specs: Sequence[Spec]) -> bool:
    """Whether the output has the values of this softmax or sigmoid, on a random image."""

    def program(*tensors: Tensor) -> Tensor:
        output, found = forward(tensors)
        return heads.deviation(output, found[squashing])

    generator = np.random.default_rng(0)
    arrays = [generator.uniform(0, 1, shape).astype(dtype) for shape, dtype in specs]
    return bool(one_at_a_time(backend.compiled(program, forward.model))(*arrays) < SAME)
