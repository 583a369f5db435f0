"""What a recording of a model's calls tells of its layers, and which of them is explained by default.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence

import keras

from pytest_cnnaudit.engine.models.keras.backends.interface import Tensor
from pytest_cnnaudit.engine.models.keras.data_format import number_of_cells
from pytest_cnnaudit.engine.models.keras.tracing import Call, TracedLayer

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
    return number_of_cells(tensor.shape)
