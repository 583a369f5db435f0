"""The kernels of a model's convolutions, a filter a row.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.engine.errors import NonFiniteError
from pytest_cnnaudit.engine.kernels import Kernels
from pytest_cnnaudit.engine.models.keras.tracing import TracedLayer as Layer

Floats: TypeAlias = npt.NDArray[np.float32]

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.SeparableConv2D)


def compared(layers: Sequence[Layer]) -> list[Layer]:
    """The convolutions among the layers, a shared one once, by the path of its last call."""
    last = {id(layer.operation): layer for layer in layers if isinstance(layer.operation, _CONVOLUTIONS)}
    return [layer for layer in layers if last.get(id(layer.operation)) is layer]


def kernels(layer: Layer) -> Kernels:
    """The layer's kernels: of a separable convolution its pointwise ones, of a dense layer its columns.

    Raises `ValueError` for a layer that has none, for a depthwise one, whose kernels see a channel each, and for
    quantized weights; `NonFiniteError` for NaN or infinity.
    """
    operation = layer.operation
    if getattr(operation, "quantization_mode", None) is not None:
        raise ValueError(f"The weights of the layer {layer.path!r} are quantized: compare those they were made from")
    if isinstance(operation, keras.layers.SeparableConv2D):
        kernel, axis = operation.pointwise_kernel, -1
    elif isinstance(operation, keras.layers.Conv2DTranspose):
        kernel, axis = operation.kernel, -2
    elif isinstance(operation, (keras.layers.Conv2D, keras.layers.Dense)):
        kernel, axis = operation.kernel, -1
    else:
        why = "its kernels see a channel each" if isinstance(operation, keras.layers.DepthwiseConv2D) else "it has none"
        raise ValueError(
            f"The layer {layer.path!r} ({layer.type}) has no kernels to compare, {why}: name Conv2D, Conv2DTranspose, "
            "SeparableConv2D or Dense layers"
        )
    weights = np.moveaxis(_array(kernel), axis, 0)
    columns = [weights.reshape(len(weights), -1)]
    if operation.bias is not None:
        columns.append(_array(operation.bias)[:, None])
    filters = np.hstack(columns)
    if not np.isfinite(filters).all():
        raise NonFiniteError(f"The kernels of the layer {layer.path!r} hold NaN or infinity", layer.path)
    return Kernels(filters, operation.groups if isinstance(operation, keras.layers.Conv2D) else 1)


def _array(weights: keras.Variable) -> Floats:
    return np.asarray(keras.ops.convert_to_numpy(weights), np.float32)
