"""Where the channels are: in the last axis, or after the batch where Keras is set to channels first.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from pytest_cnnaudit.engine.models.keras.backends.interface import Tensor


def channels_last(tensor: Tensor) -> Tensor:
    """A layer's output with its channels in the last axis, whatever the model's data format."""
    if is_channels_first() and len(tensor.shape) == 4:
        return keras.ops.transpose(tensor, (0, 2, 3, 1))
    return tensor


def is_channels_first() -> bool:
    """Whether Keras is set to channels first."""
    return bool(keras.config.image_data_format() == "channels_first")


def number_of_cells(shape: Sequence[int | None]) -> int:
    """Of a grid with such a shape, batch axis included."""
    first = 2 if is_channels_first() else 1
    return int(np.prod([side or 1 for side in shape[first : first + 2]]))
