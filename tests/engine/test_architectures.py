"""Five architectures of `keras.applications` with random weights, against the formula written out independently.

The transcription takes the model apart where its graph allows it, as textbooks do: trunk = picture → layer,
head = layer → input of the last dense layer; the logits are written as a matrix product and differentiated
with the framework's own function.
"""

from dataclasses import dataclass

import keras
import networks
import numpy as np
import pytest
from keras import ops

from pytest_cnnaudit import Engine

SIDE, CLASSES = 96, 7
LAST_ADDITION = "the last bare addition"


@dataclass(frozen=True)
class Architecture:
    """`explained`: the default layer; `earlier`: one before it that the whole graph passes through."""

    explained: str
    earlier: str | None = None
    pixels: tuple[float, float] = (-1, 1)


ARCHITECTURES = {
    "Xception": Architecture("block14_sepconv2_act", "block14_sepconv1_act"),
    "MobileNetV2": Architecture("out_relu", "block_15_add"),
    "ResNet50V2": Architecture("post_relu", "conv5_block2_out"),
    "EfficientNetV2B0": Architecture("top_activation", pixels=(0, 255)),
    "ConvNeXtTiny": Architecture(LAST_ADDITION, pixels=(0, 255)),
}


def images_for(name):
    low, high = ARCHITECTURES[name].pixels
    return networks.pictures(2, SIDE, SIDE, low=low, high=high)


def backbone(name):
    return getattr(keras.applications, name)(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))


def classifier(name):
    model = getattr(keras.applications, name)(weights=None, input_shape=(SIDE, SIDE, 3), classes=CLASSES)
    return networks.assign_weights(model)


def output_of(model, layer):
    """The symbolic output of a layer or, in ConvNeXt, of an operation that is none."""
    if layer == LAST_ADDITION:
        additions = [operation for operation in model.operations if type(operation).__name__ == "Add"]
        return additions[-1].output
    return model.get_layer(layer).output


def transcribed(model, layer, images, target):
    """Grad-CAM before its ReLU (Selvaraju 2017), in the framework's own words."""
    cut = output_of(model, layer)
    dense = model.layers[-1]
    kernel, bias = (ops.convert_to_tensor(weights) for weights in dense.get_weights())
    trunk, head = keras.Model(model.input, cut), keras.Model(cut, dense.input)
    activations = trunk.predict(images, verbose=0)

    def score(tensor):
        logits = ops.matmul(head(tensor, training=False), kernel) + bias
        return ops.sum(logits[:, target])

    weights = networks.gradient(score, activations).mean(axis=(1, 2), keepdims=True)
    return (weights * activations).sum(axis=-1)


def assert_same_maps(actual, expected):
    peaks = np.abs(expected).max(axis=(1, 2))
    assert (peaks > 0).all()
    worst = (np.abs(actual - expected).max(axis=(1, 2)) / peaks).max()
    assert worst <= 1e-4, f"maps differ by {worst:.1e} of their maximum"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_grad_cam_at_the_default_layer(name):
    model, images = classifier(name), images_for(name)
    engine = Engine(model)
    heatmaps = engine.heatmaps(images, target=3)
    explained = ARCHITECTURES[name].explained
    last_addition = [layer.path for layer in engine.layers if layer.type == "Add"][-1]
    assert heatmaps.layer == (last_addition if explained == LAST_ADDITION else explained)
    assert heatmaps.maps.shape == (2, 3, 3)
    assert_same_maps(heatmaps.signed, transcribed(model, explained, images, 3))


@pytest.mark.parametrize("name", [name for name, one in ARCHITECTURES.items() if one.earlier])
def test_grad_cam_at_an_earlier_layer(name):
    model, images, layer = classifier(name), images_for(name), ARCHITECTURES[name].earlier
    heatmaps = Engine(model).heatmaps(images, target=3, layer=layer)
    assert_same_maps(heatmaps.signed, transcribed(model, layer, images, 3))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_grad_cam_of_a_backbone_nested_in_a_model(name):
    """The head is global pooling and one dense layer, so Grad-CAM is the class activation map / Z."""
    inner, images = backbone(name), images_for(name)
    picture = keras.Input((SIDE, SIDE, 3))
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(inner(picture))
    outer = keras.Model(picture, keras.layers.Dense(CLASSES, activation="softmax", name="classes")(pooled))
    networks.assign_weights(outer)
    heatmaps = Engine(outer).heatmaps(images, target=3)
    # ConvNeXt without its top ends in a layer normalization, the others in their default layer.
    assert heatmaps.layer == f"{inner.name}/{inner.layers[-1].name}"
    assert inner.layers[-1].name == ARCHITECTURES[name].explained or name == "ConvNeXtTiny"
    activations = inner.predict(images, verbose=0)
    kernel = outer.get_layer("classes").get_weights()[0]
    assert_same_maps(heatmaps.signed, activations @ kernel[:, 3] / 9)
