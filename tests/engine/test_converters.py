"""Pictures become model input as Keras' own resizing and keras_hub's converter do it, and boxes go along.

Keras' layer is what keras_hub's `ImageConverter` resizes with; a stand-in with the converter's attributes runs
on every backend, the real one where keras_hub is installed (test_keras_hub.py).
"""

from types import SimpleNamespace

import keras
import networks
import numpy as np
import pytest
from keras import layers

from pytest_cnnaudit import Box, Case, Engine, KerasResizing, Preprocessing

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
RESIZES = {
    "crop": {"crop_to_aspect_ratio": True},
    "pad": {"pad_to_aspect_ratio": True},
    "stretch": {},
}


def photo(height=75, width=101):
    """Smooth, and different in every channel."""
    y, x = np.mgrid[:height, :width] / 20
    waves = np.stack([np.sin(x + 0.3), np.cos(y + x / 2), np.sin(y * x / 3)], axis=-1)
    return np.round(127 + 120 * waves).astype(np.uint8)


def converter(size, **options):
    """Has the attributes of keras_hub's."""
    defaults = {"scale": None, "offset": None, "interpolation": "bilinear", "antialias": False}
    resize = {"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": False}
    return SimpleNamespace(**{"image_size": size, **defaults, **resize, **options})


def by_keras(pixels, size, resize, **options):
    layer = layers.Resizing(*size, data_format="channels_last", **RESIZES[resize], **options)
    return keras.ops.convert_to_numpy(layer(pixels[None].astype(np.float32)))[0]


@pytest.mark.parametrize("size", [(32, 32), (31, 57), (120, 90)], ids=str)
@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize(("interpolation", "antialias"), [("bilinear", False), ("bilinear", True), ("bicubic", True)])
def test_resizing_is_that_of_keras(size, resize, interpolation, antialias):
    options = {"interpolation": interpolation, "antialias": antialias}
    found, _ = KerasResizing(**options).resized(photo(), size, resize)
    np.testing.assert_allclose(found, by_keras(photo(), size, resize, **options), atol=0.02)


def test_a_converter_is_followed_with_its_scale_and_offset():
    scale, offset = list(1 / 255 / DEVIATION), list(-MEAN / DEVIATION)
    preprocessing = Preprocessing.from_keras_hub(converter((40, 30), scale=scale, offset=offset))
    inputs, _ = preprocessing.bound((40, 30, 3))(photo())
    expected = (by_keras(photo(), (40, 30), "crop") / 255 - MEAN) / DEVIATION
    np.testing.assert_allclose(inputs, expected, atol=1e-4)


@pytest.mark.parametrize(("scale", "offset"), [(1 / 255, None), (None, -3.0), (2.0, [1, 2, 3])])
def test_scale_and_offset_are_numbers_or_one_a_channel(scale, offset):
    pixels = photo(8, 8)
    inputs, _ = Preprocessing.from_keras_hub(converter((8, 8), scale=scale, offset=offset)).bound((8, 8, 3))(pixels)
    expected = pixels * np.float32(1 if scale is None else scale) + np.float32(0 if offset is None else offset)
    np.testing.assert_allclose(inputs, expected, rtol=1e-6)


@pytest.mark.parametrize("resize", RESIZES)
def test_a_box_is_found_where_keras_puts_its_pixels(resize):
    """A bright box, painted and found again: its mass and its centre, in the converter's own output."""
    box, size = Box(36, 20, 61, 45), (160, 120)
    pixels = np.zeros((70, 103, 3), np.uint8)
    pixels[20:45, 36:61] = 255
    found = by_keras(pixels, size, resize)[..., 0] / 255
    _, geometry = Preprocessing(size, resize=resize, resizing=KerasResizing()).bound((*size, 3))(pixels)
    moved = geometry.to_model(box)
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    assert found.sum() == pytest.approx((moved.right - moved.left) * (moved.bottom - moved.top), rel=0.03)
    assert (found * columns).sum() / found.sum() == pytest.approx((moved.left + moved.right) / 2, abs=0.1)
    assert (found * rows).sum() / found.sum() == pytest.approx((moved.top + moved.bottom) / 2, abs=0.1)


class Classifier(keras.Model):
    """Has a preprocessor as keras_hub's classifiers have."""

    def __init__(self, image_converter):
        super().__init__(name="classifier")
        self.trunk = networks.trunk((32, 32))
        self.pool = layers.GlobalAveragePooling2D(name="gap")
        self.head = layers.Dense(3, name="logits")
        # As keras_hub sets it: not tracked as a layer.
        object.__setattr__(self, "preprocessor", SimpleNamespace(image_converter=image_converter))

    def call(self, x):
        return self.head(self.pool(self.trunk(x)))


@pytest.fixture
def classifier():
    model = Classifier(converter((32, 32), scale=1 / 255))
    model.build((None, 32, 32, 3))
    model(np.zeros((1, 32, 32, 3), np.float32))
    return networks.assign_weights(model)


def test_the_models_own_converter_is_the_default(classifier):
    engine = Engine(classifier)
    expected = by_keras(photo(), (32, 32), "crop")[None] / 255
    np.testing.assert_allclose(engine.predict([photo()]).logits, engine.predict(expected).logits, atol=1e-4)


def test_an_explicit_preprocessing_wins(classifier):
    given = Preprocessing(scale=lambda pixels: pixels / 127.5 - 1)
    assert Engine(classifier, preprocessing=given).preprocessing is given
    assert Engine(networks.build("functional")).preprocessing == Preprocessing()


def test_boxes_follow_the_models_own_crop(classifier):
    # The centred square of a picture 96 × 64 begins at 16: the box is half of it.
    case = Case(np.zeros((64, 96, 3), np.uint8), region=Box(16, 0, 48, 64))
    (geometry,) = Engine(classifier).heatmaps([case], target=0).geometries
    assert geometry.to_model(case.regions[0]) == Box(0, 0, 16, 32)


class ImageConverter:
    """Called as keras_hub's class is."""

    def call(self, inputs):
        return inputs


class OwnImageConverter(ImageConverter):
    """Does more than its attributes say."""

    def call(self, inputs):
        return inputs[..., ::-1]


def test_a_converter_with_a_way_of_its_own_is_refused():
    with pytest.raises(ValueError, match=r"OwnImageConverter converts pictures in a way of its own \(call\).*say as a"):
        Preprocessing.from_keras_hub(OwnImageConverter())
