"""The values that a Keras model is made for, read off its first layers.

A Rescaling or Normalization there (or a batch normalization of the input itself) says it outright: the input range
that it brings to about 1 is the right one. Without one, the first convolution and the batch normalization behind it
tell: the latter remembers the spread of the responses in training, and a response spreads by about the kernel's
length times the spread of the pixels.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from pytest_cnnaudit.engine.models.keras.backends.interface import Tensor
from pytest_cnnaudit.engine.models.keras.tracing import Call
from pytest_cnnaudit.engine.ranges import LARGEST_ORDINARY, Expectation, Range

_PASSING = (
    *("Activity", "Average", "Cast", "CenterCrop", "Cropping", "Dropout", "Flatten", "Gaussian", "Identity"),
    *("MaxPooling", "Pad", "Permute", "Random", "Reshape", "Resiz", "Transpose", "UpSampling", "ZeroPadding"),
)
_SPREAD_OF_RAW_PIXELS = 5.0
"""In the units of what the first kernel takes: 0.1 to 1 in training on scaled pixels, 25 to 50 on raw ones."""


def expectation(calls: Sequence[Call], picture: Tensor | None = None) -> Expectation:
    """What a model expects of its picture, from its calls in their order; `picture` is which of several it is."""
    slope, intercept, path = 1.0, 0.0, ""
    takers = (index for index, call in enumerate(calls) if _takes_pictures(call))
    if picture is not None:
        takers = (index for index in takers if any(tensor is picture for tensor in calls[index].inputs))
    position = next(takers, None)
    while position is not None:
        call = calls[position]
        scaling = _scaling(call.operation)
        if scaling is not None:
            slope, intercept = scaling[0] * slope, scaling[0] * intercept + scaling[1]
            path = call.path
        elif not _passes(call):
            break
        position = _consumer(calls, position)
    if path:
        return Expectation(_rescaled(slope, intercept), True, path)
    if position is None:
        return Expectation("unknown")
    spread = _spread_in_training(calls, position)
    if spread is None:
        return Expectation("unknown")
    return Expectation("0 to 255" if spread > _SPREAD_OF_RAW_PIXELS else "around 1", layer=calls[position].path)


def _takes_pictures(call: Call) -> bool:
    return bool(call.inputs) and len(call.inputs[0].shape) == 4


def _passes(call: Call) -> bool:
    """Whether a layer leaves the values as they are, or nearly."""
    kind = type(call.operation).__name__
    return not hasattr(call.operation, "kernel") and any(kind.startswith(start) for start in _PASSING)


def _consumer(calls: Sequence[Call], position: int) -> int | None:
    """The first call that takes what this one gave."""
    output = calls[position].output
    later = range(position + 1, len(calls))
    return next((index for index in later if any(tensor is output for tensor in calls[index].inputs)), None)


def _scaling(layer: keras.Operation) -> tuple[float, float] | None:
    """(slope, intercept) of a layer that rescales, over its channels; None for any other."""
    kind = type(layer).__name__
    if kind == "Rescaling":
        return _mean(layer.scale), _mean(layer.offset)
    if kind == "Normalization" and layer.mean is not None:
        mean, deviation = _array(layer.mean), np.maximum(np.sqrt(_array(layer.variance)), 1e-6)
        if getattr(layer, "invert", False):
            return _mean(deviation), _mean(mean)
        return _mean(1 / deviation), _mean(-mean / deviation)
    if kind == "BatchNormalization":
        slope = 1 / np.sqrt(_array(layer.moving_variance) + layer.epsilon)
        return _mean(slope), _mean(-_array(layer.moving_mean) * slope)
    return None


def _rescaled(slope: float, intercept: float) -> Range:
    if not np.isfinite([slope, intercept]).all() or slope <= 0:
        return "unknown"
    middle = -intercept / slope
    return "0 to 255" if 255 * slope <= LARGEST_ORDINARY or middle > 2 else "around 1"


def _spread_in_training(calls: Sequence[Call], position: int) -> float | None:
    """How far the values spread that the kernel of a first layer was trained on; None where nothing tells."""
    layer = calls[position].operation
    kernel = getattr(layer, "kernel", None)
    if kernel is None or not getattr(layer, "built", False):
        return None
    weights = _array(kernel)
    lengths = np.sqrt((weights.reshape(-1, weights.shape[-1]) ** 2).sum(axis=0))
    follower = _consumer(calls, position)
    following: Any = None if follower is None else calls[follower].operation
    # Without a batch normalization: responses of the order of 1, which is what initial weights are made for.
    responses: Any = 0.5
    if type(following).__name__ == "BatchNormalization":
        responses = np.sqrt(_array(following.moving_variance))
    if not lengths.all() or np.shape(responses) not in ((), lengths.shape):
        return None
    return float(np.median(responses / lengths))


def _array(tensor: Any) -> Any:
    with warnings.catch_warnings():
        # Keras' own conversion of a variable uses what NumPy 2 deprecates; the user can do nothing about it.
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)


def _mean(values: Any) -> float:
    return float(np.mean(_array(values)))
