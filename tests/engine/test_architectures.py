"""A handful of the architectures of `keras.applications`, against the formula written out independently.

All of them: `tox -e architectures`.
"""

import re
from pathlib import Path

import architectures
import keras
import networks
import pytest
from architectures import ARCHITECTURES, CLASSES, TARGET

from pytest_cnnaudit import Engine

# On MobileNetV2 the backends are compared with each other (test_agreement.py); what the others are made of is in these.
ON_EVERY_BACKEND = ("EfficientNetV2B0", "ConvNeXtTiny")
HANDFUL = [
    pytest.param(name, marks=pytest.mark.every_backend if name in ON_EVERY_BACKEND else pytest.mark.one_backend)
    for name in ("Xception", "MobileNetV2", "ResNet50V2", "EfficientNetV2B0", "ConvNeXtTiny")
]
# A layer before the explained one that the whole graph passes through.
EARLIER = {"Xception": "block14_sepconv1_act", "MobileNetV2": "block_15_add", "ResNet50V2": "conv5_block2_out"}
# One that ends in its default layer and one that does not.
NESTED = ("MobileNetV2", "ConvNeXtTiny")
PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"


def assert_same_maps(actual, expected):
    assert architectures.difference(actual, expected) <= 1e-4


@pytest.mark.parametrize("name", HANDFUL)
def test_grad_cam_at_the_default_layer(name):
    model, images = architectures.classifier(name), architectures.images_for(name)
    heatmaps = Engine(model).heatmaps(images, target=TARGET)
    maps, logits = architectures.transcribed(model, ARCHITECTURES[name].explained, images)
    assert heatmaps.layer == ARCHITECTURES[name].explained
    assert heatmaps.maps.shape == (2, 3, 3)
    assert_same_maps(heatmaps.signed, maps)
    assert architectures.difference(heatmaps.logits, logits) <= 1e-4


@pytest.mark.one_backend
@pytest.mark.parametrize("name", EARLIER)
def test_grad_cam_at_an_earlier_layer(name):
    model, images = architectures.classifier(name), architectures.images_for(name)
    heatmaps = Engine(model).heatmaps(images, target=TARGET, layer=EARLIER[name])
    assert_same_maps(heatmaps.signed, architectures.transcribed(model, EARLIER[name], images)[0])


@pytest.mark.one_backend
@pytest.mark.parametrize("name", NESTED)
def test_grad_cam_of_a_backbone_nested_in_a_model(name):
    """The head is global pooling and one dense layer, so Grad-CAM is the class activation map / Z."""
    shape, images = architectures.shape(name), architectures.images_for(name)
    inner = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=shape)
    picture = keras.Input(shape)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(inner(picture))
    outer = keras.Model(picture, keras.layers.Dense(CLASSES, activation="softmax", name="classes")(pooled))
    networks.assign_weights(outer)
    heatmaps = Engine(outer).heatmaps(images, target=TARGET)
    # ConvNeXt without its top ends in a layer normalization, the others in their default layer.
    assert heatmaps.layer == f"{inner.name}/{inner.layers[-1].name}"
    assert inner.layers[-1].name == ARCHITECTURES[name].explained or name == "ConvNeXtTiny"
    activations = inner.predict(images, verbose=0)
    kernel = outer.get_layer("classes").get_weights()[0]
    assert_same_maps(heatmaps.signed, activations @ kernel[:, TARGET] / 9)


@pytest.mark.one_backend
def test_the_page_names_every_default_layer():
    rows = re.findall(r"^\| (\w+) \| (\d+) × \2 \| `(\w+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == [(name, str(one.side), one.explained) for name, one in ARCHITECTURES.items()]
