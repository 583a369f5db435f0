"""The program that computes a class' score without each channel of a layer, and only what comes after the layer.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from pytest_cnnaudit.engine.models.keras import replaying
from pytest_cnnaudit.engine.models.keras.backends.interface import Tensor
from pytest_cnnaudit.engine.models.keras.data_format import channels_last, is_channels_first
from pytest_cnnaudit.engine.models.keras.forward import Forward
from pytest_cnnaudit.engine.models.keras.heads import Head
from pytest_cnnaudit.engine.models.keras.tracing import TracedLayer

_HEAD_BYTES = 64 * 2**20
"""What the head may make of a chunk of ablated activations."""


@dataclass(frozen=True)
class Ablation:
    """Called with the class' index `(1,)` and the tensors of one image's inputs.

    Gives the layer's activations, and the score without each channel and with all, `(chunks, chunk)`.
    """

    forward: Forward
    head: Head
    layer: TracedLayer
    score: str
    chunk: int

    def __call__(self, index: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        ops, model, chunk = keras.ops, self.forward.model, self.chunk
        with replaying.remembered(model, self.layer) as before:
            self.forward(tensors)
        activation = before.target
        axis = 1 if is_channels_first() else 3
        channels = activation.shape[axis]
        chunks = -(-(channels + 1) // chunk)

        def score_without(dropped: Tensor) -> Tensor:
            numbers = ops.arange(channels, dtype="int32")
            keep = ops.cast(ops.not_equal(ops.expand_dims(dropped, 1), numbers), activation.dtype)
            shape = [chunk, 1, 1, 1]
            shape[axis] = channels
            variants = activation * ops.reshape(keep, shape)
            rows = [ops.broadcast_to(tensor, (chunk, *tensor.shape[1:])) for tensor in tensors]
            with replaying.replayed(model, self.layer, before, variants):
                _, scores = self.head.scores(*self.forward(rows), self.score)
            return ops.sum(scores * ops.one_hot(index, scores.shape[-1], dtype="float32"), axis=-1)

        # No channel has the number `channels`, so there all are kept.
        dropped = np.minimum(np.arange(chunks * chunk), channels).reshape(chunks, chunk).astype(np.int32)
        return channels_last(activation), ops.map(score_without, ops.convert_to_tensor(dropped))


def chunk_of(layer: TracedLayer, layers: Sequence[TracedLayer]) -> int:
    """How many variants of a layer's output fit the budget with what the head makes of them."""
    start = next(index for index, one in enumerate(layers) if one.path == layer.path)
    sizes = [int(np.prod([side or 1 for side in one.output_shape])) * 4 for one in layers[start:]]
    channels = layer.output_shape[1 if is_channels_first() else -1] or 1
    return int(np.clip(_HEAD_BYTES // max(1, sum(sizes)), 1, channels + 1))
