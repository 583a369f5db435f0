"""What comes after a layer, computed again for other outputs of it, without what comes before.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras

from pytest_cnnaudit.engine.models.keras.backends.interface import Tensor
from pytest_cnnaudit.engine.models.keras.tracing import TracedLayer, operations_of, replaced_calls


@dataclass
class Before:
    """What a model computes before it has one layer's output: outputs by operation and occurrence."""

    target: Tensor = None
    outputs: dict[tuple[int, int], Any] = field(default_factory=dict)
    inside: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=dict)
    """The calls that a call made."""


@contextmanager
def remembered(model: keras.Model, layer: TracedLayer) -> Iterator[Before]:
    """While the model is called, everything up to the layer's output is collected, for `replayed`."""
    before = Before()
    done: list[tuple[int, int]] = []
    counts: dict[int, int] = {}
    target = (id(layer.operation), layer.occurrence)

    def wrap(operation: keras.Operation) -> Callable[..., Any]:
        original = operation.call

        def call(*args: Any, **kwargs: Any) -> Any:
            first = len(done)
            output = original(*args, **kwargs)
            key = (id(operation), counts.get(id(operation), 0))
            counts[id(operation)] = key[1] + 1
            if target not in before.inside:
                before.inside[key] = done[first:]
                done.append(key)
                if key == target:
                    before.target = output
                else:
                    before.outputs[key] = output
            return output

        return call

    operations = {id(operation): operation for operation in operations_of(model)}
    with replaced_calls({key: (operation, wrap(operation)) for key, operation in operations.items()}):
        yield before


@contextmanager
def replayed(model: keras.Model, layer: TracedLayer, before: Before, variants: Tensor) -> Iterator[None]:
    """While the model is called, the layer gives `variants`, and what came before it is not computed again.

    `before` is of a single picture; its outputs are repeated for as many rows as there are variants.
    """
    counts: dict[int, int] = {}
    target = (id(layer.operation), layer.occurrence)

    def repeated(tensor: Any) -> Any:
        if not hasattr(tensor, "shape") or not len(tensor.shape) or tensor.shape[0] != 1:
            return tensor
        return keras.ops.broadcast_to(tensor, (variants.shape[0], *tensor.shape[1:]))

    def wrap(operation: keras.Operation) -> Callable[..., Any]:
        original = operation.call

        def call(*args: Any, **kwargs: Any) -> Any:
            key = (id(operation), counts.get(id(operation), 0))
            if key in before.inside:
                for inner, _ in (*before.inside[key], key):
                    counts[inner] = counts.get(inner, 0) + 1
                return variants if key == target else keras.tree.map_structure(repeated, before.outputs[key])
            output = original(*args, **kwargs)
            counts[key[0]] = key[1] + 1
            return output

        return call

    operations = {id(operation): operation for operation in operations_of(model)}
    with replaced_calls({key: (operation, wrap(operation)) for key, operation in operations.items()}):
        yield
