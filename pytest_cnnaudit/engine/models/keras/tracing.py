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
from pytest_cnnaudit.engine.models.keras.backends import Tensor
from pytest_cnnaudit.engine.models.keras.private import INPUT_CHECK, direct_layers

# An operation's attributes are shared by all threads, so one trace at a time.
TRACING = threading.RLock()


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


class _AllSeen(BaseException):
    """Leaves a model's call half-way. No `Exception`: those Keras catches and words anew."""


def outputs_until(layers: Sequence[TracedLayer], call: Callable[[], Any]) -> list[Tensor]:
    """The layers' outputs during `call()`, which is left as soon as the last of them is there.

    What comes after the layers is neither traced nor computed, on all backends alike.
    """
    seen: dict[str, Tensor] = {}

    def observe(layer: TracedLayer, output: Tensor) -> Tensor:
        seen[layer.path] = output
        if len(seen) == len(layers):
            raise _AllSeen
        return output

    with suppress(_AllSeen), observed(layers, observe):
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
        raise _AllSeen

    with suppress(_AllSeen), replaced_calls({id(layer.operation): (layer.operation, enter)}):
        call()
    return taken[0]


_AFFINE = (
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.Dense,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)


def is_affine(layer: TracedLayer) -> bool:
    """Whether the layer is known to add and multiply its input by constants alone, in float32."""
    operation = layer.operation
    return (
        type(operation) in _AFFINE
        and operation.activation is keras.activations.linear
        and operation.compute_dtype == "float32"
        and operation.quantization_mode is None
    )


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


def layers_of(calls: Sequence[Call]) -> tuple[TracedLayer, ...]:
    """The calls as layers with unique paths, in execution order."""
    remaining: dict[str, int] = {}
    for call in calls:
        remaining[call.path] = remaining.get(call.path, 0) + 1
    total = dict(remaining)
    layers = []
    in_attention = _in_attention(calls)
    for position, call in enumerate(calls):
        remaining[call.path] -= 1
        left = remaining[call.path]
        path = f"{call.path}#{total[call.path] - left}" if left else call.path
        shape = tuple(call.output.shape)
        layers.append(
            TracedLayer(
                path=path,
                type=type(call.operation).__name__,
                output_shape=(None, *shape[1:]),
                # One picture was recorded: what has more rows cut it into windows.
                is_spatial=len(shape) == 4 and shape[0] == 1 and position not in in_attention,
                is_relu_like=_is_relu_like(call.operation),
                operation=call.operation,
                occurrence=call.occurrence,
            )
        )
    return tuple(layers)


def _is_relu_like(operation: keras.Operation) -> bool:
    """Whether its output is exactly 0 for every negative input: the units of which one says that they fire."""
    # Another's layer may use what it calls its activation anywhere inside.
    keras_own = type(operation).__module__.startswith("keras.")
    activation = (getattr(operation, "activation", None) if keras_own else None) or operation
    name = getattr(activation, "__name__", type(activation).__name__)
    return name.lower() in {"relu", "relu6"} and not getattr(activation, "negative_slope", 0)


def _in_attention(calls: Sequence[Call]) -> set[int]:
    """Positions of the calls inside attention layers: their four dimensions are tokens and heads, no grid."""
    around = tuple(f"{call.path}/" for call in calls if "Attention" in type(call.operation).__name__)
    return {position for position, call in enumerate(calls) if call.path.startswith(around)}


_GLOBAL_POOLING = ("GlobalAveragePooling2D", "GlobalMaxPooling2D")
_REDUCTIONS = ("AveragePooling2D", "MaxPooling2D", "Mean", "Max", "Sum")


def default_layer(calls: Sequence[Call], output: Tensor, *, is_one_of_several: bool = False) -> int | None:
    """Position of the call that feeds the last global pooling, else the first flatten, else the last grid.

    A flatten of a grid that comes after the last global pooling wins: that pooling was inside a block, such as
    squeeze-and-excitation. So were all of them where the `output` is a grid itself. A pooling or reduction to a
    single cell is a global pooling by another name. Of several outputs, only what this one is computed from
    counts.
    """
    producers: dict[int, int] = {}
    pooled = flattened = last = None
    in_attention = _in_attention(calls)
    used = _ancestors(calls, output) if is_one_of_several else range(len(calls))
    for position in used:
        call = calls[position]
        kind = type(call.operation).__name__
        source = call.inputs[0] if call.inputs else None
        producer = producers.get(id(source))
        if source is not None and producer is not None and len(source.shape) == 4:
            collapses = _cells(source) > 1 and _cells(call.output) == 1
            if kind in _GLOBAL_POOLING or (kind in _REDUCTIONS and collapses):
                pooled = producer
            elif flattened is None and collapses and len(call.output.shape) == 2:
                flattened = producer
        # The first to give a tensor is the innermost: a block and its last layer give the same one.
        producers.setdefault(id(call.output), position)
        is_grid = len(call.output.shape) == 4 and call.output.shape[0] == 1 and position not in in_attention
        if is_grid and (last is None or _cells(call.output) > 1):
            last = position
    if _cells(output) > 1:
        return producers.get(id(output), last)
    return max((found for found in (pooled, flattened) if found is not None), default=last)


def _ancestors(calls: Sequence[Call], output: Tensor) -> Sequence[int]:
    """Positions of the calls that `output` is computed from; all where the way back leads to no grid."""
    wanted, found = {id(output)}, []
    for position in reversed(range(len(calls))):
        call = calls[position]
        if id(call.output) in wanted:
            found.append(position)
            wanted.update(map(id, call.inputs))
    reached_a_grid = any(len(calls[position].output.shape) == 4 for position in found)
    return found[::-1] if reached_a_grid else range(len(calls))


def _cells(tensor: Tensor) -> int:
    """Number of cells of a grid; 1 for a vector, 0 for anything else."""
    if len(tensor.shape) != 4:
        return int(len(tensor.shape) == 2)
    first = 2 if keras.config.image_data_format() == "channels_first" else 1
    return int(tensor.shape[first]) * int(tensor.shape[first + 1])
