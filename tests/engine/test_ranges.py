"""Mistakes in preprocessing: each is noticed once, and what is right is met with silence."""

import pathlib
import warnings

import keras
import networks
import numpy as np
import pytest
from keras import layers

from pytest_cnnaudit import Engine, Preprocessing, PreprocessingWarning, load_model
from pytest_cnnaudit.engine.ranges import Expectation, mistakes

FIXTURES = pathlib.Path(__file__).parents[2] / "fixtures"
UNIT, SIGNED = (lambda pixels: pixels / 255), (lambda pixels: pixels / 127.5 - 1)
IMAGENET = ([0.485, 0.456, 0.406], [0.229**2, 0.224**2, 0.225**2])


def photos(count=2, size=8):
    """From black to white, all sizes of steps in between."""
    noise = np.random.default_rng(0).integers(0, 256, (count, size, size, 3))
    noise[:, 0, 0], noise[:, 0, 1] = 0, 255
    return list(noise.astype(np.uint8))


def head(x, classes=3):
    return layers.Dense(classes, name="logits")(layers.GlobalAveragePooling2D(name="gap")(x))


def beginning_with(*first, classes=3):
    """A small classifier that begins with these layers."""
    picture = keras.Input((8, 8, 3))
    x = picture
    for layer in first:
        x = layer(x)
    x = layers.Conv2D(4, 3, activation="relu", name="conv1")(x)
    return keras.Model(picture, head(x, classes), name="candidate")


def normalized(spread):
    """A convolution and the batch normalization that has seen its responses to pixels of this spread."""
    picture = keras.Input((8, 8, 3))
    convolution, norm = layers.Conv2D(4, 3, name="conv1"), layers.BatchNormalization(name="norm")
    x = layers.ReLU(name="relu")(norm(convolution(picture)))
    model = keras.Model(picture, head(x), name="candidate")
    kernel = convolution.get_weights()[0]
    responses = spread * np.sqrt((kernel**2).sum(axis=(0, 1, 2)))
    norm.set_weights([np.ones(4), np.zeros(4), np.zeros(4), responses**2])
    return model


def of_raw_pixels():
    """Trained on 0 to 255 without saying so: a kernel of hundredths, no normalization."""
    model = beginning_with()
    kernel, bias = model.get_layer("conv1").get_weights()
    model.get_layer("conv1").set_weights([kernel / 255, bias])
    return model


def warned(model, images=None, scale=None):
    """The texts of all warnings when a model gets these pictures twice; nothing is compiled for it."""
    engine = Engine(model, preprocessing=Preprocessing(scale=scale))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            list(engine._batches(photos() if images is None else images))
    return [str(one.message) for one in caught if issubclass(one.category, PreprocessingWarning)]


MODELS = {
    "rescaling": lambda: beginning_with(layers.Rescaling(1 / 255, name="own")),
    "rescaling to −1 to 1": lambda: beginning_with(layers.Rescaling(1 / 127.5, -1, name="own")),
    "rescaling and normalization": lambda: beginning_with(
        layers.Rescaling(1 / 255), layers.Normalization(mean=IMAGENET[0], variance=IMAGENET[1], name="own")
    ),
    "normalization of pixels": lambda: beginning_with(
        layers.Normalization(mean=[123.7, 116.3, 103.5], variance=[58.4**2, 57.1**2, 57.4**2], name="own")
    ),
    "mean of pixels": lambda: beginning_with(layers.Rescaling(1.0, offset=-117.0, name="own")),
    "augmentation first": lambda: beginning_with(
        layers.RandomFlip(), layers.ZeroPadding2D(1), layers.Rescaling(1 / 255, name="own")
    ),
    "nested": lambda: beginning_with(
        keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(1 / 255, name="own")], name="prepare")
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_rescales_gets_pixels_and_nothing_else(name):
    assert warned(MODELS[name]()) == []
    for scale, seen in ((UNIT, "0 to 1"), (SIGNED, "-1 to 1")):
        (text,) = warned(MODELS[name](), scale=scale)
        assert text.startswith(f"The model 'candidate' is handed values from {seen}, but rescales them by itself (")
        assert "own') and expects 0 to 255: leave the scaling out" in text


def test_values_that_no_pixel_has():
    (text,) = warned(MODELS["rescaling"](), scale=lambda pixels: pixels - 124)
    assert "is handed values from -124 to 131, but rescales them by itself" in text
    (text,) = warned(of_raw_pixels(), networks.pictures(2, low=0, high=65535))
    assert "but 8-bit pixels end at 255: divide 16-bit ones by 257" in text


@pytest.mark.parametrize(
    "own",
    [
        lambda: layers.Rescaling(2.0, -1.0, name="own"),
        lambda: layers.Normalization(mean=IMAGENET[0], variance=IMAGENET[1], name="own"),
        lambda: layers.BatchNormalization(name="own"),
    ],
    ids=["rescaling", "normalization", "batch normalization"],
)
def test_a_model_that_rescales_values_from_0_to_1(own):
    assert warned(beginning_with(own()), scale=UNIT) == []
    (text,) = warned(beginning_with(own()))
    assert "rescales them by itself ('own') and expects around 1: scale them" in text


def test_raw_pixels_for_a_model_without_rescaling():
    (text,) = warned(beginning_with())
    assert text.startswith("The model 'candidate' is handed values from 0 to 255, but has no layer that rescales them")
    assert "before its first one ('conv1')" in text
    assert "Preprocessing(scale=lambda pixels: pixels / 255)" in text
    # An array of four dimensions is not preprocessed, which is what whoever scales pictures may not expect.
    assert len(warned(beginning_with(), np.stack(photos()), scale=UNIT)) == 1
    for scale in (UNIT, SIGNED, lambda pixels: pixels - 117, lambda pixels: pixels):
        assert warned(beginning_with(), scale=scale) == []


@pytest.mark.parametrize(("spread", "count"), [(0.1, 1), (0.6, 1), (25, 0), (60, 0)])
def test_batch_normalization_remembers_the_pixels_of_training(spread, count):
    """0.1 to 0.6 after training on pixels from 0 to 1 or −1 to 1, 25 to 60 on raw ones."""
    assert len(warned(normalized(spread))) == count
    assert warned(normalized(spread), scale=UNIT) == []


def test_a_kernel_of_hundredths_was_made_for_raw_pixels():
    assert warned(of_raw_pixels()) == []


class Own(layers.Layer):
    """Does something to the pixels, and nobody knows what."""

    def call(self, x):
        return x / 255


def test_silence_where_the_beginning_can_not_be_read():
    assert warned(beginning_with(Own())) == []
    picture = keras.Input((8, 8, 3))
    assert warned(keras.Model(picture, head(layers.Conv2D(4, 3, name="conv1")(picture / 255.0)))) == []


@pytest.mark.parametrize("classes", [1, 3])
def test_the_head_does_not_matter(classes):
    assert warned(beginning_with(layers.Rescaling(1 / 255), classes=classes)) == []
    assert len(warned(beginning_with(classes=classes))) == 1


@pytest.mark.parametrize("name", ["honest", "shortcut"])
def test_the_shipped_models_with_their_pictures(name):
    model, pictures = load_model(FIXTURES / f"{name}.keras"), sorted((FIXTURES / "pictures").iterdir())[:4]
    assert warned(model, pictures) == []
    (text,) = warned(model, pictures, scale=UNIT)
    assert "rescales them by itself ('rescaling') and expects 0 to 255" in text


def test_pictures_of_one_colour():
    grey = [np.full((8, 8, 3), value, np.uint8) for value in (10, 200)]
    (text,) = warned(MODELS["rescaling"](), grey)
    assert "is handed pictures of one colour only, values from 10 to 200" in text
    assert warned(MODELS["rescaling"](), [*grey, *photos()]) == []
    assert warned(MODELS["rescaling"](), np.zeros((2, 8, 8, 3), np.uint8)) == []  # a baseline


def test_grey_pictures_for_a_colour_model():
    assert warned(MODELS["rescaling"](), [photo[..., 0] for photo in photos()]) == []


def test_each_kind_once_an_engine_whatever_is_called():
    engine = Engine(beginning_with(), preprocessing=Preprocessing(), batch_size=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        engine.predict(photos(3))
        engine.predict([np.full((8, 8, 3), 9, np.uint8)] * 2)
        engine.activations(photos(3), "conv1")
        engine.heatmaps(photos(3), target=0)
    texts = [str(one.message) for one in caught if one.category is PreprocessingWarning]
    assert [text.split(",")[0] for text in texts] == [
        "The model 'candidate' is handed values from 0 to 255",
        "The model 'candidate' is handed pictures of one colour only",
    ]


def test_only_the_first_batch_is_looked_at():
    dark = np.zeros((8, 8, 3), np.uint8)
    dark[0, 0] = 1
    assert warned(beginning_with(), [dark] * 32 + photos()) == []


def test_silence_for_a_model_whose_beginning_says_nothing():
    assert mistakes(np.stack(photos()).astype(np.float32), Expectation("unknown"), Preprocessing()) is None
