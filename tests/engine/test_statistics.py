"""Activation statistics against NumPy on the activations themselves."""

import functools
import operator

import keras
import networks
import numpy as np
import pytest
from keras import layers

from pytest_cnnaudit import Engine, LayerStats
from pytest_cnnaudit.metrics import hoyer_sparsity, zero_fraction

PATHS = ["trunk/backbone/conv1", "trunk/backbone/pool1", "trunk/backbone/conv2", "gap", "logits"]


@pytest.fixture(scope="module")
def engine():
    return networks.engine("nested", batch_size=4)


def assert_same(one, other, tolerance=1e-6):
    assert one.is_relu_like == other.is_relu_like
    for name in ("count", "zeros", "min", "max", "dead"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("mean", "std", "sparsity_per_image", "hoyer_per_image"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=tolerance, err_msg=name)


def test_statistics_are_those_of_the_activations(engine):
    images = networks.pictures(11)
    activations = engine.activations(images, PATHS)
    stats = engine.activation_stats(images, PATHS)
    assert list(stats) == PATHS
    for path, one in stats.items():
        values = activations[path].astype(np.float64)
        channels = values.reshape(-1, values.shape[-1])
        np.testing.assert_array_equal(one.count, [len(channels)] * channels.shape[1])
        np.testing.assert_allclose(one.zero_fraction, (channels == 0).mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(one.mean, channels.mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(one.std, channels.std(axis=0), atol=1e-5)
        np.testing.assert_allclose(one.min, channels.min(axis=0), atol=1e-6)
        np.testing.assert_allclose(one.max, channels.max(axis=0), atol=1e-6)
        np.testing.assert_allclose(one.sparsity_per_image, zero_fraction(values), atol=1e-12)
        np.testing.assert_allclose(one.hoyer_per_image, hoyer_sparsity(values), atol=1e-5)
        np.testing.assert_allclose(one.largest_per_image, np.abs(values).reshape(11, -1).max(axis=1), rtol=1e-6)
        assert one.sparsity == pytest.approx((channels == 0).mean())
        assert one.sparsity_per_image.shape == one.hoyer_per_image.shape == (11,)
    assert 0.1 < stats["trunk/backbone/conv1"].sparsity < 0.9


def test_merged_parts_are_one_pass(engine):
    images = networks.pictures(11)
    whole = engine.activation_stats(images, PATHS)
    first, second = engine.activation_stats(images[:6], PATHS), engine.activation_stats(images[6:], PATHS)
    for path in PATHS:
        assert_same(first[path] + second[path], whole[path])


def test_statistics_of_different_layers_are_not_merged(engine):
    stats = engine.activation_stats(networks.pictures(1), PATHS)
    with pytest.raises(ValueError, match="different layers can't be merged: 4 and 5 channels"):
        stats[PATHS[0]] + stats[PATHS[2]]


def test_streamed_pictures_are_taken_one_batch_at_a_time(engine):
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(11)]
    taken = []

    def stream():
        for index, picture in enumerate(pictures):
            taken.append(index)
            yield picture

    streamed = engine.activation_stats(stream(), PATHS)
    assert taken == list(range(11))
    array = engine.activation_stats(np.stack(pictures).astype(np.float32), PATHS)
    for path in PATHS:
        assert_same(streamed[path], array[path], tolerance=1e-4)


def test_default_layers_are_convolutions_and_poolings(engine):
    assert list(engine.activation_stats(networks.pictures(1))) == PATHS[:4]


# Known values


def channels_model():
    """1 × 1 convolution to the channels x, −x, 0·x − 1, 0·x + 3, then ReLU as a layer of its own."""
    picture = keras.Input((2, 2, 1))
    convolution = layers.Conv2D(4, 1, name="conv")
    x = layers.ReLU(name="relu")(convolution(picture))
    model = keras.Model(picture, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    convolution.set_weights([np.array([1.0, -1, 0, 0]).reshape(1, 1, 1, 4), np.array([0.0, 0, -1, 3])])
    return model


POSITIVE = np.array([[1.0, 2.0], [3.0, 0.0]], np.float32).reshape(1, 2, 2, 1)


def test_dead_and_constant_channels():
    stats = Engine(channels_model()).activation_stats(POSITIVE, ["conv", "relu"])
    assert stats["relu"].is_relu_like
    assert stats["relu"].dead.tolist() == [False, True, True, True]
    assert stats["relu"].dead_fraction == 0.75
    assert not stats["conv"].is_relu_like
    assert stats["conv"].dead.tolist() == [False, False, True, True]
    np.testing.assert_allclose(stats["relu"].mean, [1.5, 0, 0, 3])
    np.testing.assert_allclose(stats["relu"].std, [np.sqrt(1.25), 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(stats["relu"].zero_fraction, [0.25, 1, 1, 0])
    np.testing.assert_allclose(stats["conv"].min, [0, -3, -1, 3])
    np.testing.assert_allclose(stats["conv"].max, [3, 0, -1, 3])


def test_a_channel_that_fires_for_one_picture_is_alive():
    images = np.concatenate([POSITIVE, -POSITIVE])
    stats = Engine(channels_model()).activation_stats(images, "relu")["relu"]
    assert stats.dead.tolist() == [False, False, True, True]


def test_sparsity_and_hoyer_of_single_pictures():
    """ReLU outputs (1, 2, 3, 0), zeros, zeros, threes: 9 zeros of 16; then −x for the negated picture."""
    stats = Engine(channels_model()).activation_stats(np.concatenate([POSITIVE, -POSITIVE]), "relu")["relu"]
    np.testing.assert_allclose(stats.sparsity_per_image, [9 / 16, 9 / 16])
    hoyer = (4 - (6 + 12) / np.sqrt(14 + 36)) / (4 - 1)
    np.testing.assert_allclose(stats.hoyer_per_image, [hoyer, hoyer], atol=1e-6)
    assert stats.sparsity == 9 / 16


def test_negative_values_count_by_their_magnitude():
    stats = Engine(channels_model()).activation_stats(POSITIVE, "conv")["conv"]
    hoyer = (4 - (6 + 6 + 4 + 12) / np.sqrt(14 + 14 + 4 + 36)) / (4 - 1)
    np.testing.assert_allclose(stats.hoyer_per_image, [hoyer], atol=1e-6)


def test_picture_without_any_activation_has_hoyer_one():
    model = networks.one_conv()
    stats = Engine(model).activation_stats(np.zeros((2, 2, 2, 1), np.float32), "conv")["conv"]
    np.testing.assert_array_equal(stats.hoyer_per_image, [1, 1])
    np.testing.assert_array_equal(stats.sparsity_per_image, [1, 1])
    assert stats.dead_fraction == 1


def test_mean_and_variance_far_from_zero():
    """Sums of squares would cancel: the mean is a hundred times the standard deviation."""
    picture = keras.Input((8, 8, 1))
    x = layers.Rescaling(1.0, offset=100.0, name="shifted")(picture)
    engine = Engine(keras.Model(picture, layers.Dense(2)(layers.Flatten()(x))), batch_size=2)
    images = networks.pictures(7, channels=1)
    stats = engine.activation_stats(images, "shifted")["shifted"]
    np.testing.assert_allclose(stats.mean, [100 + images.mean(dtype=np.float64)], rtol=1e-6)
    np.testing.assert_allclose(stats.std, [images.std(dtype=np.float64)], rtol=0.01)


def test_padding_of_the_last_batch_is_not_counted(engine):
    images = networks.pictures(5)
    stats = engine.activation_stats(images, PATHS[0])[PATHS[0]]
    assert stats.count.tolist() == [5 * 36] * 4
    assert isinstance(stats, LayerStats)


def test_channels_first_statistics_are_per_channel():
    keras.config.set_image_data_format("channels_first")
    try:
        stats = Engine(channels_model_first()).activation_stats(POSITIVE, "conv")["conv"]
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_allclose(stats.max, [3, 0])


def channels_model_first():
    picture = keras.Input((1, 2, 2))
    convolution = layers.Conv2D(2, 1, name="conv")
    model = keras.Model(picture, layers.Dense(2)(layers.GlobalAveragePooling2D()(convolution(picture))))
    convolution.set_weights([np.array([1.0, -1]).reshape(1, 1, 1, 2), np.zeros(2)])
    return model


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_statistics_of_non_finite_activations_are_not_numbers(wrong):
    """Never a sparsity that looks fine because of the channels that are."""
    model = channels_model()
    engine = Engine(model)
    kernel = model.get_layer("conv").get_weights()[0]
    model.get_layer("conv").set_weights([kernel, np.array([wrong, 0, -1, 3], np.float32)])
    stats = engine.activation_stats(POSITIVE, "conv")["conv"]
    assert not np.isfinite(stats.mean[0])
    assert np.isfinite(stats.mean[1:]).all()
    assert np.isnan(stats.sparsity)
    assert not np.isfinite(stats.hoyer_per_image).any()


def test_many_batches_are_their_merged_parts(engine):
    """More pictures than are kept before they are merged."""
    images = networks.pictures(150)
    whole = engine.activation_stats(images, PATHS)
    parts = [engine.activation_stats(images[start : start + 8], PATHS) for start in range(0, 150, 8)]
    for path in PATHS:
        assert_same(functools.reduce(operator.add, [part[path] for part in parts]), whole[path], tolerance=1e-5)


# (1, 2, 3, 0), −(1, 2, 3, 0) and eight zeros
SCALED_HOYER = (4 - 12 / np.sqrt(28)) / (4 - 1)


@functools.cache
def scaling():
    """Channels x, −x, 0 and 0."""
    model = channels_model()
    kernel = model.get_layer("conv").get_weights()[0]
    model.get_layer("conv").set_weights([kernel, np.zeros(4)])
    return Engine(model)


def scaled_stats(*scales):
    """Of the channels x, −x, 0 and 0, for the picture times each of the scales."""
    pictures = np.concatenate([POSITIVE * np.float32(scale) for scale in scales])
    return scaling().activation_stats(pictures, "conv")["conv"]


@pytest.mark.parametrize("scale", [1e30, 1e19, 4e14, 1e-16, 1e-20, 1e-30])
def test_hoyer_is_unknown_where_squares_in_float32_over_or_underflow(scale):
    stats = scaled_stats(1, scale)
    np.testing.assert_allclose(stats.largest_per_image, [3, 3 * scale], rtol=1e-6)
    np.testing.assert_allclose(stats.hoyer_per_image, [SCALED_HOYER, np.nan], atol=1e-6)
    np.testing.assert_allclose(stats.sparsity_per_image, [10 / 16, 10 / 16])
    assert stats.dead.tolist() == [False, False, True, True]
    assert np.isfinite(stats.mean).all()


@pytest.mark.parametrize("scale", [3e14, 1e7, 1e-7, 4e-16])
def test_hoyer_is_known_as_far_as_squares_are(scale):
    found = scaled_stats(1, scale, 0).hoyer_per_image
    np.testing.assert_allclose(found, [SCALED_HOYER, SCALED_HOYER, 1], atol=1e-6)


def test_unknown_hoyer_stays_its_pictures_own_when_merged():
    stats = scaled_stats(1, 1e30) + scaled_stats(1e-30, 1)
    assert np.isnan(stats.hoyer_per_image).tolist() == [False, True, True, False]
    np.testing.assert_allclose(stats.largest_per_image, [3, 3e30, 3e-30, 3], rtol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(224, 224), (197, 199)])
def test_sums_over_many_positions_keep_their_digits(height, width):
    """Equal values are the worst case of adding them up one by one."""
    picture = keras.Input((height, width, 2))
    x = layers.Rescaling(1.0, name="same")(picture)
    engine = Engine(keras.Model(picture, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))
    flat = np.full((1, height, width, 2), 77.7, np.float32) * np.float32([1, -0.1])
    stats = engine.activation_stats(flat, "same")["same"]
    np.testing.assert_allclose(stats.mean, [77.7, -7.77], rtol=1e-5)
    np.testing.assert_allclose(stats.hoyer_per_image, hoyer_sparsity(flat), atol=1e-5)
