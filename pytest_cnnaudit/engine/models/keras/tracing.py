"""Which layers a model runs, in which order, and how to watch one while the model is called.

A layer's `call` is replaced on the instance for the length of one (traced) call of the model. This works
alike for functional, Sequential, subclassed and nested models and for shared layers, needs no second model,
and leaves the graph, the weights and the flags as they were.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import keras

from pytest_cnnaudit.engine.layers import Layer
from pytest_cnnaudit.engine.models.keras.backends.interface import Tensor
from pytest_cnnaudit.engine.models.keras.private import INPUT_CHECK, direct_layers

# An operation's attributes are shared by all threads, so one trace at a time.
TRACING = threading.RLock()


def one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which waits while another thread calls a model: what watches a model is seen by all threads."""

    def call(*args: Any) -> Any:
        with TRACING:
            return function(*args)

    return call


@dataclass(frozen=True, repr=False)
class TracedLayer(Layer):
    """A layer with the operation of Keras that is called, and which of its calls it is."""

    operation: keras.Operation = field(default=None, compare=False)
    occurrence: int = field(default=0, compare=False)

    def __repr__(self) -> str:
        return super().__repr__().replace(type(self).__name__, Layer.__name__, 1)


@dataclass(frozen=True)
class Call:
    """What one call of an operation took and gave."""

    path: str
    operation: keras.Operation
    occurrence: int
    inputs: tuple[Tensor, ...]
    output: Tensor


@contextmanager
def replaced_calls(
    handlers: Mapping[int, tuple[keras.Operation, Callable[..., Any]]], attribute: str = "call"
) -> Iterator[None]:
    """Puts another `call` (or other attribute) on each operation, keyed by its id, and takes it off again."""
    with TRACING:
        before = {key: operation.__dict__.get(attribute) for key, (operation, _) in handlers.items()}
        try:
            for operation, call in handlers.values():
                # Through __dict__: Keras' and PyTorch's __setattr__ would track the function as state.
                operation.__dict__[attribute] = call
            yield
        finally:
            for key, (operation, _) in handlers.items():
                if before[key] is None:
                    operation.__dict__.pop(attribute, None)
                else:
                    operation.__dict__[attribute] = before[key]


@contextmanager
def observed(layers: Iterable[TracedLayer], observe: Callable[[TracedLayer, Tensor], Tensor]) -> Iterator[None]:
    """While the model is called, `observe(layer, output)` sees the layers' outputs and may replace them."""
    wanted: dict[int, dict[int, TracedLayer]] = {}
    operations: dict[int, keras.Operation] = {}
    for layer in layers:
        wanted.setdefault(id(layer.operation), {})[layer.occurrence] = layer
        operations[id(layer.operation)] = layer.operation

    def wrap(operation: keras.Operation) -> Callable[..., Any]:
        original, counter = operation.call, iter(range(10**9))

        def call(*args: Any, **kwargs: Any) -> Any:
            output = original(*args, **kwargs)
            layer = wanted[id(operation)].get(next(counter))
            return output if layer is None else observe(layer, output)

        return call

    with replaced_calls({key: (operation, wrap(operation)) for key, operation in operations.items()}):
        yield


@contextmanager
def observed_with_inputs_of_activations(
    layers: Sequence[TracedLayer], observe: Callable[[TracedLayer, Tensor], None]
) -> Iterator[None]:
    """While the model is called, `observe(layer, tensor)` sees the layers' outputs and what their activations took.

    A convolution with an activation of its own gives what that makes of it: a ReLU hides −∞, on TensorFlow NaN too.
    """
    taken: dict[int, list[Tensor]] = {}

    def wrap(operation: keras.Operation, activation: Callable[..., Any]) -> Callable[..., Any]:
        def activate(inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
            taken.setdefault(id(operation), []).append(inputs)
            return activation(inputs, *args, **kwargs)

        return activate

    def see(layer: TracedLayer, output: Tensor) -> Tensor:
        for tensor in (*taken.pop(id(layer.operation), ()), output):
            observe(layer, tensor)
        return output

    activations = ((layer.operation, getattr(layer.operation, "activation", None)) for layer in layers)
    handlers = {id(one): (one, wrap(one, activation)) for one, activation in activations if callable(activation)}
    with replaced_calls(handlers, "activation"), observed(layers, see):
        yield


class AllSeen(BaseException):
    """Leaves a model's call half-way. No `Exception`: those Keras catches and words anew."""


def outputs_until(layers: Sequence[TracedLayer], call: Callable[[], Any]) -> list[Tensor]:
    """The layers' outputs during `call()`, which is left as soon as the last of them is there.

    What comes after the layers is neither traced nor computed, on all backends alike.
    """
    seen: dict[str, Tensor] = {}

    def observe(layer: TracedLayer, output: Tensor) -> Tensor:
        seen[layer.path] = output
        if len(seen) == len(layers):
            raise AllSeen
        return output

    with suppress(AllSeen), observed(layers, observe):
        call()
    return [seen[layer.path] for layer in layers]


def input_until(layer: TracedLayer, call: Callable[[], Any]) -> Tensor:
    """What the layer takes first during `call()`, which is left before the layer computes anything."""
    original, counter = layer.operation.call, iter(range(10**9))
    taken: list[Tensor] = []

    def enter(inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        if next(counter) < layer.occurrence:
            return original(inputs, *args, **kwargs)
        taken.append(inputs)
        raise AllSeen

    with suppress(AllSeen), replaced_calls({id(layer.operation): (layer.operation, enter)}):
        call()
    return taken[0]


@contextmanager
def any_input_size(model: keras.Model) -> Iterator[None]:
    """While the model is called, it and the models in it take inputs of other sizes than they were built with.

    Only models' own checks are off; a layer that can't take what it gets still says so.
    """
    models = {id(one): one for one in (model, *operations_of(model)) if isinstance(one, (keras.Model, keras.Function))}
    with TRACING:
        before = {key: one.__dict__.get(INPUT_CHECK) for key, one in models.items()}
        try:
            for one in models.values():
                one.__dict__[INPUT_CHECK] = lambda *_: None
            yield
        finally:
            for key, one in models.items():
                if before[key] is None:
                    one.__dict__.pop(INPUT_CHECK, None)
                else:
                    one.__dict__[INPUT_CHECK] = before[key]


def record_calls(model: keras.Model, run: Callable[[], Any]) -> list[Call]:
    """Every call of a layer or operation inside `model` during `run()`, in the order of completion."""
    calls: list[Call] = []
    names: list[str] = []
    counts: dict[int, int] = {}

    def wrap(operation: keras.Operation) -> Callable[..., Any]:
        original = operation.call

        def call(*args: Any, **kwargs: Any) -> Any:
            names.append(operation.name)
            try:
                output = original(*args, **kwargs)
            finally:
                path = "/".join(names)
                names.pop()
            occurrence = counts.get(id(operation), 0)
            counts[id(operation)] = occurrence + 1
            # The output of a functional or Sequential model is the output of a layer in it.
            if hasattr(output, "shape") and not _is_graph(operation):
                inputs = tuple(x for x in keras.tree.flatten((args, kwargs)) if hasattr(x, "shape"))
                calls.append(Call(path, operation, occurrence, inputs, output))
            return output

        return call

    operations = {id(operation): operation for operation in operations_of(model)}
    with replaced_calls({key: (operation, wrap(operation)) for key, operation in operations.items()}):
        run()
    return calls


def _is_graph(operation: keras.Operation) -> bool:
    return isinstance(operation, (keras.Sequential, keras.Function))


def operations_of(container: keras.Operation) -> Iterator[keras.Operation]:
    """All layers and bare operations inside, at any depth, without the container itself."""
    if isinstance(container, keras.Sequential):
        inside: Sequence[keras.Operation] = container.layers
    elif isinstance(container, keras.Function):
        inside = container.operations
    elif isinstance(container, keras.Layer):
        inside = direct_layers(container)
    else:
        inside = ()
    for operation in inside:
        if not isinstance(operation, keras.layers.InputLayer):
            yield operation
            yield from operations_of(operation)
