"""The architectures of `keras.applications`, and one of them explained: `python architectures.py NAME RESULT.json`.

The table was written by reading how each network is built, not by asking the engine.
"""

import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import networks
import numpy as np
import untouched
from keras import ops

from pytest_cnnaudit import Engine

CLASSES, TARGET = 7, 3
WITH_PREPROCESSING = (0, 255)
BACKENDS = {"tensorflow": "TensorFlow", "torch": "PyTorch", "jax": "JAX"}
EVERYWHERE = tuple(BACKENDS)


@dataclass(frozen=True)
class Architecture:
    """What is known of one before it is built.

    `explained` is the last spatial output before pooling, under the name it has in a process that built nothing
    before; `side` the smallest input that leaves a 3 × 3 grid there; `backends` those that the sweep explains it on:
    the smallest of each family everywhere. `pixels` are those the first layer expects.
    """

    explained: str
    side: int
    backends: tuple[str, ...] = ("tensorflow",)
    pixels: tuple[float, float] = (-1, 1)


# Five halvings that round up need 65 pixels, five that round down 96; in between lie those that do both
# (DenseNet pools without padding, MobileNet pads on one side), and unpadded convolutions take theirs besides.
ARCHITECTURES = {
    # ReLU after the last separable convolution.
    "Xception": Architecture("block14_sepconv2_act", 71, EVERYWHERE),
    # The last max pooling, which is flattened: there is no global one.
    "VGG16": Architecture("block5_pool", 96, EVERYWHERE),
    "VGG19": Architecture("block5_pool", 96),
    # ReLU after the last block's addition; the fifth stage has three blocks in all of them.
    "ResNet50": Architecture("conv5_block3_out", 65, EVERYWHERE),
    "ResNet101": Architecture("conv5_block3_out", 65),
    "ResNet152": Architecture("conv5_block3_out", 65),
    # Blocks that end in an addition, so one more normalization and ReLU.
    "ResNet50V2": Architecture("post_relu", 65, EVERYWHERE),
    "ResNet101V2": Architecture("post_relu", 65),
    "ResNet152V2": Architecture("post_relu", 65),
    # The concatenation of the last inception block.
    "InceptionV3": Architecture("mixed10", 139, EVERYWHERE),
    # The ReLU of a 1 × 1 convolution with normalization, after the last block.
    "InceptionResNetV2": Architecture("conv_7b_ac", 139, EVERYWHERE),
    # A pooling that keeps its axes, then the classes by a 1 × 1 convolution.
    "MobileNet": Architecture("conv_pw_13_relu", 95, EVERYWHERE),
    "MobileNetV2": Architecture("out_relu", 65, EVERYWHERE),
    # The same with one more convolution in between. Hard swishes have no name of their own: before this one there
    # are the stem's and two for each of 8 (9) blocks, the earlier blocks having ReLU.
    "MobileNetV3Small": Architecture("activation_17", 65, EVERYWHERE, pixels=WITH_PREPROCESSING),
    "MobileNetV3Large": Architecture("activation_19", 65, pixels=WITH_PREPROCESSING),
    # Normalization and ReLU after the last dense block.
    "DenseNet121": Architecture("relu", 93, EVERYWHERE),
    "DenseNet169": Architecture("relu", 93),
    "DenseNet201": Architecture("relu", 93),
    # A ReLU without a name. Before it, each cell has 11, and one more where the cell before the last has as
    # many rows but not as many channels: 16 cells and 11 of these (Mobile), 22 and 17 (Large).
    # Keras refuses to build the small one on PyTorch.
    "NASNetMobile": Architecture("activation_187", 67, ("tensorflow", "jax")),
    "NASNetLarge": Architecture("activation_259", 67, ("tensorflow", "torch")),
    # The swish of a 1 × 1 convolution with normalization, after the last block.
    "EfficientNetB0": Architecture("top_activation", 65, EVERYWHERE, pixels=WITH_PREPROCESSING),
    "EfficientNetB1": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetB2": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetB3": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetB4": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetB5": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetB6": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetB7": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetV2B0": Architecture("top_activation", 65, EVERYWHERE, pixels=WITH_PREPROCESSING),
    "EfficientNetV2B1": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetV2B2": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetV2B3": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetV2S": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetV2M": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    "EfficientNetV2L": Architecture("top_activation", 65, pixels=WITH_PREPROCESSING),
    # A block's bare addition: the last of 3 + 3 + 9 + 3 of them, or of 3 + 3 + 27 + 3.
    "ConvNeXtTiny": Architecture("add_17", 96, EVERYWHERE, pixels=WITH_PREPROCESSING),
    "ConvNeXtSmall": Architecture("add_35", 96, pixels=WITH_PREPROCESSING),
    "ConvNeXtBase": Architecture("add_35", 96, pixels=WITH_PREPROCESSING),
    "ConvNeXtLarge": Architecture("add_35", 96, pixels=WITH_PREPROCESSING),
    "ConvNeXtXLarge": Architecture("add_35", 96, pixels=WITH_PREPROCESSING),
}

REFUSED = {("NASNetMobile", "torch"): "not available with the torch backend"}
"""What Keras itself doesn't build, and its words."""


def shape(name: str) -> tuple[int, int, int]:
    side = ARCHITECTURES[name].side
    return (side, side, 3)


def images_for(name: str) -> np.ndarray:
    side, (low, high) = ARCHITECTURES[name].side, ARCHITECTURES[name].pixels
    return networks.pictures(2, side, side, low=low, high=high)


def classifier(name: str) -> keras.Model:
    """With random weights, and with the layers' names that a fresh process gives."""
    keras.utils.clear_session()
    model = getattr(keras.applications, name)(weights=None, input_shape=shape(name), classes=CLASSES)
    return networks.assign_weights(model)


def output_of(model: keras.Model, name: str) -> keras.KerasTensor:
    """The symbolic output of a layer or, in ConvNeXt, of an operation that is none."""
    return next(operation.output for operation in model.operations if operation.name == name)


def transcribed(
    model: keras.Model, layer: str, images: np.ndarray, target: int = TARGET
) -> tuple[np.ndarray, np.ndarray]:
    """Grad-CAM before its ReLU (Selvaraju 2017), in the framework's own words, and the logits.

    The model is taken apart where its graph allows it, as textbooks do: trunk = picture → layer, head = layer →
    input of the last dense layer (or activation). A dense layer's logits are written as a matrix product.
    """
    cut, last = output_of(model, layer), model.layers[-1]
    trunk, head = keras.Model(model.input, cut), keras.Model(cut, last.input)
    activations = trunk.predict(images, verbose=0)
    weights = [ops.convert_to_tensor(array) for array in last.get_weights()]

    def logits(tensor: Any) -> Any:
        features = head(tensor, training=False)
        return ops.matmul(features, weights[0]) + weights[1] if weights else features

    gradients = networks.gradient(lambda tensor: ops.sum(logits(tensor)[:, target]), activations)
    importance = gradients.mean(axis=(1, 2), keepdims=True)
    return (importance * activations).sum(axis=-1), ops.convert_to_numpy(logits(ops.convert_to_tensor(activations)))


def grid(model: keras.Model, layer: str, side: int) -> list[int]:
    """The layer's output shape for another side of the input, from the graph alone."""

    def described(operation: keras.Operation) -> Callable[..., keras.KerasTensor]:
        # By hand, since compute_output_shape refuses any input but the one that a model was made for.
        graph = operation._functional if isinstance(operation, keras.Sequential) else operation
        if isinstance(graph, keras.Function):
            return lambda picture, **_: graph._run_through_graph(picture, described)
        return operation.compute_output_spec

    trunk = keras.Function(model.input, output_of(model, layer))
    return list(described(trunk)(keras.KerasTensor((None, side, side, 3))).shape[1:])


def difference(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference as a share of the largest magnitude, of the picture for which it is largest."""
    axes = tuple(range(1, expected.ndim))
    peaks = np.abs(expected).max(axis=axes)
    return float((np.abs(actual - expected).max(axis=axes) / peaks).max())


@dataclass(frozen=True)
class Result:
    """What one backend computed of one architecture."""

    name: str
    layer: str
    type: str
    side: int
    grid: list[int]
    grid_of_a_smaller_input: list[int]
    map_difference: float
    logits_difference: float
    changed: list[str]
    versions: dict[str, str]
    machine: str


def explained(name: str) -> Result:
    """The architecture's `Result` on the backend of this process."""
    model, images = classifier(name), images_for(name)
    before = untouched.snapshot(model)
    engine = Engine(model)
    heatmaps = engine.heatmaps(images, target=TARGET)
    changed = untouched.differences(before, untouched.snapshot(model))
    layer = engine.layer(heatmaps.layer)
    maps, logits = transcribed(model, ARCHITECTURES[name].explained, images)
    backend = keras.backend.backend()
    return Result(
        name=name,
        layer=layer.path,
        type=layer.type,
        side=shape(name)[0],
        grid=list(layer.output_shape[1:]),
        grid_of_a_smaller_input=grid(model, ARCHITECTURES[name].explained, shape(name)[0] - 1),
        map_difference=difference(heatmaps.signed, maps),
        logits_difference=difference(heatmaps.logits, logits),
        changed=changed,
        versions={"keras": keras.__version__, backend: version(backend)},
        machine=f"{platform.system()} on {platform.machine()}, {os.cpu_count()} processors",
    )


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(asdict(explained(sys.argv[1]))), encoding="utf-8")
