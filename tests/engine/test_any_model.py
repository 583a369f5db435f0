"""Models as people build them: augmentation, rescaling, frozen trunks, depth, sharing, channels first, every head."""

import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import keras
import networks
import numpy as np
import pytest
from distances import distance
from keras import layers, ops

from pytest_cnnaudit import Engine, ModelError
from pytest_cnnaudit.engine import methods
from pytest_cnnaudit.engine.methods import METHODS


def few(method):
    """The method, with few masks where it draws many."""
    return partial(methods.rise, masks=40) if method == "rise" else method


@cache
def engine_of(model):
    """The engine that tests of one model share."""
    return Engine(model)


def maps_of(model, images, method="grad-cam", **arguments):
    return engine_of(model).heatmaps(images, target=1, method=few(method), **arguments).signed


def classifier(front=(), trunk=None):
    """Layers in front, a trunk, global pooling and three logits."""
    picture = keras.Input((8, 8, 3))
    x = picture
    for layer in front:
        x = layer(x)
    x = (networks.trunk() if trunk is None else trunk)(x)
    return keras.Model(picture, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D(name="gap")(x)))


def copied(model, weights_of):
    """The model with another's trained weights; layers in front have none of these."""
    for name in ("backbone", "logits"):
        model.get_layer(name).set_weights(weights_of.get_layer(name).get_weights())
    return model


PIXELS = networks.pictures(3, low=0, high=255)
SCALED = (PIXELS / np.float32(127.5) - 1).astype(np.float32)


@pytest.fixture(scope="module")
def plain():
    return networks.assign_weights(classifier())


@pytest.fixture(scope="module")
def rescaling(plain):
    return copied(classifier([layers.Rescaling(1 / 127.5, offset=-1)]), plain)


# The others multiply or replace pixels, and behind a rescaling zero is another colour.
@pytest.mark.parametrize(
    "method", [name for name, one in METHODS.items() if one.kind == "cam"] + ["ablation-cam", "eigen-cam", "saliency"]
)
def test_rescaling_inside_gives_the_maps_of_scaled_pictures(plain, rescaling, method):
    """Gradients with respect to pixels are 1/127.5 as large."""
    factor = 127.5 if METHODS[method].kind == "picture" else 1
    assert distance(maps_of(rescaling, PIXELS, method) * factor, maps_of(plain, SCALED, method)) < 1e-3


def test_normalization_inside(plain):
    normalization = layers.Normalization(mean=[127.5] * 3, variance=[127.5**2] * 3)
    assert distance(maps_of(copied(classifier([normalization]), plain), PIXELS), maps_of(plain, SCALED)) < 1e-4


def test_augmentation_is_off(plain):
    """Flips, rotations, contrast and noise of a model that augments by itself leave its maps alone."""
    augmentation = [
        layers.RandomFlip("horizontal_and_vertical"),
        layers.RandomRotation(0.5),
        layers.RandomTranslation(0.5, 0.5),
        layers.RandomContrast(0.9),
        layers.GaussianNoise(0.9),
    ]
    model = copied(classifier([keras.Sequential([keras.Input((8, 8, 3)), *augmentation], name="augment")]), plain)
    engine = Engine(model)
    first = engine.heatmaps(SCALED, target=1, method=["grad-cam", "saliency"])
    for method, heatmaps in first.items():
        assert distance(heatmaps.signed, maps_of(plain, SCALED, method)) < 1e-4
        np.testing.assert_array_equal(engine.heatmaps(SCALED, target=1, method=method).signed, heatmaps.signed)


@pytest.mark.parametrize("method", ["saliency", "layer-cam", "ablation-cam"])
def test_a_frozen_trunk_is_explained_alike(plain, method):
    expected = maps_of(plain, SCALED, method)
    frozen = copied(classifier(), plain)
    frozen.get_layer("backbone").trainable = False
    assert distance(maps_of(frozen, SCALED, method), expected) < 1e-6
    assert not frozen.get_layer("backbone").trainable


class Wrapper(layers.Layer):
    """A layer of somebody's own around a model."""

    def __init__(self, inside, **kwargs):
        super().__init__(**kwargs)
        self.inside = inside

    def call(self, x):
        return self.inside(x)


class Outer(keras.Model):
    """A subclassed model around a layer around a Sequential model around a functional one."""

    def __init__(self, trunk):
        super().__init__(name="outer")
        self.wrapper = Wrapper(keras.Sequential([keras.Input((8, 8, 3)), trunk], name="middle"), name="wrapper")
        self.gap = layers.GlobalAveragePooling2D(name="gap")
        self.logits = layers.Dense(3, name="logits")

    def call(self, x):
        return self.logits(self.gap(self.wrapper(x)))


@pytest.mark.parametrize("method", ["grad-cam", "ablation-cam", "eigen-cam"])
def test_nested_to_any_depth(plain, method):
    trunk = networks.trunk()
    model = Outer(trunk)
    model(np.zeros((1, 8, 8, 3), np.float32))
    trunk.set_weights(plain.get_layer("backbone").get_weights())
    model.logits.set_weights(plain.get_layer("logits").get_weights())
    engine = Engine(model)
    path = "wrapper/middle/backbone/conv1"
    assert engine.layer("conv1").path == path
    assert engine.default_layer == "wrapper/middle/backbone/conv2"
    for layer in (None, path):
        expected = maps_of(plain, SCALED, method, layer=None if layer is None else "backbone/conv1")
        assert distance(engine.heatmaps(SCALED, target=1, method=method, layer=layer).signed, expected) < 1e-5


def test_a_shared_trunk_is_explained_at_each_of_its_calls():
    """Twins: the same trunk sees two pictures; a map is of the picture that call saw."""
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    trunk, gap = networks.trunk(), layers.GlobalAveragePooling2D(name="gap")
    both = layers.Concatenate(name="both")([gap(trunk(left)), gap(trunk(right))])
    model = networks.assign_weights(keras.Model([left, right], layers.Dense(3, name="logits")(both)))
    kernel = ops.convert_to_numpy(model.get_layer("logits").kernel)[:, 1]
    images = {"left": SCALED, "right": SCALED[::-1]}
    found = Engine(model, picture="left").heatmaps(images, target=1, layer=["backbone/conv2#1", "backbone/conv2"])
    expected = [
        ops.convert_to_numpy(trunk(images[side])) @ weights / 9
        for side, weights in zip(images, (kernel[:5], kernel[5:]), strict=True)
    ]
    # Which of the two Keras calls first is its own affair.
    matches = [[distance(one.signed, other) < 1e-5 for other in expected] for one in found.values()]
    assert sorted(matches) == [[False, True], [True, False]]


def test_operations_in_the_graph():
    """Bare operations of keras.ops between the layers, one of them the explained one."""
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv")(picture)
    x = ops.relu(x) * 2.0 - ops.sigmoid(x)
    pooled = ops.mean(x, axis=(1, 2))
    model = networks.assign_weights(keras.Model(picture, layers.Dense(3, name="logits")(pooled)))
    engine = Engine(model)
    assert engine.layer(engine.default_layer).type == "Subtract"
    features = ops.convert_to_numpy(model.get_layer("conv")(SCALED))
    features = np.maximum(features, 0) * 2 - 1 / (1 + np.exp(-features))
    kernel = ops.convert_to_numpy(model.get_layer("logits").kernel)[:, 1]
    assert distance(engine.heatmaps(SCALED, target=1).signed, features @ kernel / 36) < 1e-5
    ablated = engine.heatmaps(SCALED, target=1, method="ablation-cam").signed
    assert distance(ablated, np.einsum("nhwk,nk->nhw", features, features.mean(axis=(1, 2)) * kernel)) < 1e-4


@pytest.mark.parametrize("units", [1, 3])
def test_sigmoid_heads(plain, units):
    """Binary and multi-label: the logit's map is that of the head without its sigmoid."""
    picture = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(networks.trunk()(picture))
    model = networks.assign_weights(keras.Model(picture, layers.Dense(units, activation="sigmoid", name="head")(x)))
    engine = Engine(model)
    assert engine.activation == "sigmoid"
    activations = engine.activations(SCALED, "conv2")["backbone/conv2"]
    kernel = ops.convert_to_numpy(model.get_layer("head").kernel)[:, 0 if units == 1 else 1]
    assert distance(engine.heatmaps(SCALED, target=1).signed, activations @ kernel / 9) < 1e-5
    probabilities = ops.convert_to_numpy(model(SCALED))
    found = engine.predict(SCALED).probabilities
    expected = np.concatenate([1 - probabilities, probabilities], axis=1) if units == 1 else probabilities
    np.testing.assert_allclose(found, expected, atol=1e-6)


def channels_model():
    """A convolution, a squeeze-and-excitation that mixes channels, and a pooled head, in the current data format."""
    first = keras.config.image_data_format() == "channels_first"
    picture = keras.Input((3, 8, 8) if first else (8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv1")(picture)
    gate = layers.Dense(4, activation="sigmoid", name="gate")(layers.GlobalAveragePooling2D(name="squeeze")(x))
    x = layers.Multiply(name="scaled")([x, layers.Reshape((4, 1, 1) if first else (1, 1, 4))(gate)])
    x = layers.Conv2D(5, 3, activation="relu", name="conv2")(x)
    return keras.Model(picture, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D(name="gap")(x)))


@pytest.fixture(scope="module")
def both_orders():
    last = networks.assign_weights(channels_model())
    keras.config.set_image_data_format("channels_first")
    try:
        first = channels_model()
    finally:
        keras.config.set_image_data_format("channels_last")
    first.set_weights(last.get_weights())
    return last, first


ORDERED = [(name, None) for name in METHODS] + [
    (name, "conv1") for name, one in METHODS.items() if one.kind != "picture"
]
# A method of each kind; what the others make of the same arrays is NumPy's.
OF_EACH_KIND = [
    ("grad-cam", None),
    ("grad-cam", "conv1"),
    ("ablation-cam", "conv1"),
    ("saliency", None),
    ("rise", None),
]


@pytest.mark.parametrize(
    ("method", "layer"),
    [
        pytest.param(*one, marks=pytest.mark.every_backend if one in OF_EACH_KIND else pytest.mark.one_backend)
        for one in ORDERED
    ],
)
def test_channels_first_gives_what_channels_last_gives(both_orders, method, layer):
    last, first = both_orders
    expected = maps_of(last, SCALED, method, layer=layer)
    keras.config.set_image_data_format("channels_first")
    try:
        found = maps_of(first, SCALED, method, layer=layer)
    finally:
        keras.config.set_image_data_format("channels_last")
    assert distance(found, expected) < 1e-4


def test_a_model_of_another_data_format_than_keras_is_set_to():
    """No file says it, and the axes would be taken for each other."""
    keras.config.set_image_data_format("channels_first")
    try:
        model = channels_model()
    finally:
        keras.config.set_image_data_format("channels_last")
    with pytest.raises(
        ModelError, match=r"'conv1' .* is channels_first, but Keras is set to channels_last: call keras"
    ):
        Engine(model)


class Windows(layers.Layer):
    """Cuts a picture into four, each a row of the batch, as windowed attention does; `Joined` takes it back."""

    def call(self, x):
        _, height, width, channels = x.shape
        x = ops.reshape(x, (-1, 2, height // 2, 2, width // 2, channels))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height // 2, width // 2, channels))

    def compute_output_shape(self, shape):
        return (None, shape[1] // 2, shape[2] // 2, shape[3])


class Joined(layers.Layer):
    """Means of the four windows."""

    def call(self, x):
        return ops.mean(ops.reshape(x, (-1, 4, *x.shape[1:])), axis=1)

    def compute_output_shape(self, shape):
        return shape


def test_rows_that_are_no_pictures():
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1, activation="relu", name="conv")(picture)
    x = layers.Conv2D(4, 1, name="inside")(Windows(name="windows")(x))
    x = layers.GlobalAveragePooling2D()(Joined(name="joined")(x))
    engine = Engine(networks.assign_weights(keras.Model(picture, layers.Dense(3)(x))))
    assert {layer.path: layer.is_spatial for layer in engine.layers if "." not in layer.path}["inside"] is False
    assert engine.default_layer == "joined"
    for call in (engine.activations, engine.activation_stats):
        with pytest.raises(ValueError, match="'inside' gives 16 rows for a batch of 4"):
            call(SCALED, "inside")
    with pytest.raises(ValueError, match="a heatmap needs a spatial one, such as 'joined'"):
        engine.heatmaps(SCALED, layer="inside")


@cache
def whole_numbers():
    picture = keras.Input((8, 8, 3), dtype="uint8", name="pixels")
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(layers.Rescaling(1 / 255)(picture))
    return networks.assign_weights(keras.Model(picture, layers.Dense(3)(layers.GlobalAveragePooling2D()(x))))


@pytest.mark.parametrize("method", ["saliency", "gradient-x-input", "smoothgrad", "integrated-gradients"])
def test_whole_numbers_have_no_gradient(method):
    with pytest.raises(ModelError, match="takes its picture as uint8, and there is no gradient"):
        engine_of(whole_numbers()).heatmaps(np.round(PIXELS), target=0, method=method)


def test_whole_numbers_have_no_patterns():
    with pytest.raises(ModelError, match="takes its picture as uint8"):
        engine_of(whole_numbers()).filter_patterns("conv", size=(8, 8))


def test_whole_numbers_have_maps_of_layers():
    model = whole_numbers()
    kernel = ops.convert_to_numpy(model.layers[-1].kernel)[:, 0]
    activations = ops.convert_to_numpy(model.get_layer("conv")(np.round(PIXELS) / np.float32(255)))
    found = engine_of(model).heatmaps(np.round(PIXELS), target=0).signed
    assert distance(found, activations @ kernel / 36) < 1e-5


def test_threads_see_only_their_own_model():
    """What watches a model is patched for all threads; each must get what it gets alone."""
    images = networks.pictures(2)
    models = [networks.build("regularized"), networks.build("nested")]
    expected = [Engine(model).predict(images).logits for model in models]
    engines = [Engine(models[index % 2]) for index in range(6)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns in the middle of everything
    try:
        with ThreadPoolExecutor(len(engines)) as pool:
            found = list(pool.map(lambda one: [one.predict(images).logits for _ in range(20)], engines))
    finally:
        sys.setswitchinterval(interval)
    for index, several in enumerate(found):
        for one in several:
            np.testing.assert_allclose(one, expected[index % 2], atol=1e-6)


def test_pictures_are_not_kept():
    """300 pictures of 96 × 96 are 33 MB; what is kept of them is their maps."""
    picture = keras.Input((96, 96, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 32, strides=32, activation="relu")(picture))
    engine = Engine(networks.assign_weights(keras.Model(picture, layers.Dense(2)(x))), batch_size=10)
    engine.heatmaps(networks.pictures(10, 96, 96), target=0)
    generator = np.random.default_rng(0)
    stream = (generator.integers(0, 256, (96, 96, 3), np.uint8) for _ in range(300))
    tracemalloc.start()
    try:
        assert len(engine.heatmaps(stream, target=0)) == 300
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16e6
