"""Channels-first models in a process of its own: what the engine makes of each, written as JSON."""

import json
import sys
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers, ops

from pytest_cnnaudit import Engine, ModelError

PICTURE = [[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]]
"""(N, H, W, C): channels last, as the engine takes pictures."""

computed = []


class Counted(layers.Layer):
    """Hands its input on, and notes when values pass."""

    def call(self, x):
        passed = tf.numpy_function(lambda values: (computed.append(1), values)[1], [x], x.dtype)
        passed.set_shape(x.shape)
        return passed


class CustomConvolution(layers.Layer):
    """Adds up the channels, through Keras' operation."""

    def call(self, x):
        return ops.conv(x, ops.ones((1, 1, 2, 1), x.dtype), data_format="channels_first")


def _model(layer):
    picture = keras.Input((2, 2, 2))
    x = layers.GlobalAveragePooling2D()(layer(Counted()(picture)))
    return keras.Model(picture, layers.Dense(2, kernel_initializer="ones", dtype="float32")(x), name="first")


ONES = {"kernel_initializer": "ones"}
LAYERS = {
    "convolution": lambda: layers.Conv2D(1, 1, name="summed", **ONES),
    "transposed": lambda: layers.Conv2DTranspose(1, 1, **ONES),
    "custom": CustomConvolution,
    "groups": lambda: layers.Conv2D(2, 1, groups=2, **ONES),
    "depthwise": lambda: layers.DepthwiseConv2D(1, depthwise_initializer="ones"),
    "pooling": lambda: layers.MaxPooling2D(1),
    "half precision": lambda: layers.Conv2D(1, 1, dtype="float16", **ONES),
}


def outcome(layer):
    """The logits, or the engine's error; and whether anything was computed."""
    computed.clear()
    engine = Engine(_model(layer()))
    try:
        result = engine.predict(tf.constant(PICTURE).numpy()).logits.tolist()
    except ModelError as error:
        result = str(error)
    return {"result": result, "computed": bool(computed)}


if __name__ == "__main__":
    keras.config.set_image_data_format("channels_first")
    Path(sys.argv[1]).write_text(json.dumps({name: outcome(one) for name, one in LAYERS.items()}), encoding="utf-8")
