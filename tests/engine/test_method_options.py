"""Heatmap methods by their arguments: several at once, random numbers, precision, memory, and what is wrong."""

import functools
import tracemalloc
from fractions import Fraction
from functools import partial

import keras
import networks
import numpy as np
import pytest
from distances import distance
from keras import layers
from networks import PICTURE, Listening

from pytest_cnnaudit import Engine
from pytest_cnnaudit.engine import methods
from pytest_cnnaudit.engine.methods import METHODS

CAM_METHODS = [name for name, method in METHODS.items() if method.kind == "cam"]
PICTURE_METHODS = [name for name, method in METHODS.items() if method.kind == "picture"]


# Several layers and methods from one pass


def test_a_list_of_layers_gives_one_map_each():
    engine, images = networks.engine("nested"), networks.pictures(3)
    paths = ["trunk/backbone/conv2", "trunk/backbone/conv1"]
    both = engine.heatmaps(images, target=1, layer=["conv2", "conv1"])
    assert list(both) == paths
    for path in paths:
        single = engine.heatmaps(images, target=1, layer=path)
        assert distance(both[path].signed, single.signed) < 1e-6
        assert both[path].layer == path


def test_lists_of_layers_and_methods_give_every_pair():
    engine, images = networks.engine("functional"), networks.pictures(3)
    found = engine.heatmaps(images, target=1, layer=["conv1", "conv2"], method=["layer-cam", "eigen-cam"])
    assert list(found) == [(path, name) for path in ("conv1", "conv2") for name in ("layer-cam", "eigen-cam")]
    for (path, name), heatmaps in found.items():
        assert distance(heatmaps.signed, engine.heatmaps(images, target=1, layer=path, method=name).signed) < 1e-6


def test_one_pass_for_all(rows):
    picture = keras.Input((8, 8, 3))
    x = Listening(name="first")(picture)
    for index in range(3):
        x = layers.Conv2D(3, 3, padding="same", activation="relu", name=f"conv{index}")(x)
    model = keras.Model(picture, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    engine = Engine(networks.assign_weights(model))
    engine.predict(networks.pictures(2))
    rows.clear()
    engine.heatmaps(networks.pictures(2), target=0, layer=["conv2", "conv0"], method=CAM_METHODS)
    dry_run = keras.backend.backend() == "jax"  # looks for what the score depends on before it differentiates
    assert len(rows["first"]) == 1 + dry_run


@pytest.mark.one_backend
def test_lists_are_checked():
    engine, images = networks.engine("functional"), networks.pictures(1)
    with pytest.raises(ValueError, match="empty list was given as layer"):
        engine.heatmaps(images, layer=[])
    with pytest.raises(ValueError, match="empty list was given as method"):
        engine.heatmaps(images, method=[])
    with pytest.raises(ValueError, match="'grad-cam' at 'conv1' is asked for twice"):
        engine.heatmaps(images, layer=["conv1", "conv1"])


# The picture's own grid


@pytest.mark.parametrize("method", PICTURE_METHODS)
def test_maps_of_the_picture_have_its_size_and_the_inputs_name(method):
    picture = keras.Input((8, 6, 3), name="photo")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(picture))
    engine = Engine(networks.assign_weights(keras.Model(picture, layers.Dense(3)(x))))
    heatmaps = engine.heatmaps(networks.pictures(2, 8, 6), target=0, method=method)
    assert heatmaps.signed.shape == (2, 8, 6)
    assert heatmaps.layer == "photo"


@pytest.mark.one_backend
def test_a_layer_for_a_method_that_takes_none():
    engine = networks.engine("functional")
    with pytest.raises(ValueError, match=r"'saliency' explains the picture itself and takes no layer.*'conv1'"):
        engine.heatmaps(networks.pictures(1), method="saliency", layer="conv1")


# Random numbers


@pytest.mark.parametrize("method", ["smoothgrad", "rise"])
def test_random_numbers_come_from_the_seed(method):
    model, images = networks.build("functional"), networks.pictures(2)
    method = partial(methods.rise, masks=50) if method == "rise" else method
    one = Engine(model, seed=1).heatmaps(images, target=1, method=method).signed
    engine = networks.engine("functional")
    same, other = (engine.heatmaps(images, target=1, method=method, seed=seed).signed for seed in (1, 2))
    np.testing.assert_array_equal(one, same)
    assert distance(other, one) > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_a_map_does_not_depend_on_its_neighbours_nor_on_the_batch(method):
    images = networks.pictures(5)
    function = partial(methods.rise, masks=40) if method == "rise" else method
    together = networks.engine("nested").heatmaps(images, target=1, method=function).signed
    alone = networks.engine("nested", batch_size=3).heatmaps(images[3:4], target=1, method=function).signed[0]
    assert distance(alone, together[3]) < 1e-4


# Limits


@pytest.mark.parametrize("method", ["score-cam", "ablation-cam"])
def test_a_wide_layer_needs_little_memory(method):
    """All 1,024 masked pictures at once would take 101 MB."""
    picture = keras.Input((64, 128, 3))
    x = layers.Conv2D(1024, 16, strides=16, activation="relu", name="wide")(picture)
    model = keras.Model(picture, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    engine = Engine(networks.assign_weights(model))
    images = networks.pictures(1, 64, 128)
    tracemalloc.start()
    try:
        heatmaps = engine.heatmaps(images, target=0, method=method)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert heatmaps.signed.shape == (1, 4, 8)
    assert peak < 60e6


@pytest.mark.parametrize("method", ["grad-cam", "score-cam", "ablation-cam"])
def test_a_layer_the_score_does_not_depend_on(method):
    picture = keras.Input((8, 8, 3))
    used = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="used")(picture))
    unused = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="unused")(picture))
    model = keras.Model(picture, [layers.Dense(2, name="kept")(used), layers.Dense(2, name="other")(unused)])
    engine = Engine(networks.assign_weights(model), output="kept")
    with pytest.raises(ValueError, match="does not depend on the layer 'unused'"):
        engine.heatmaps(networks.pictures(1), target=0, layer="unused", method=method)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("method", "words"),
    [
        (lambda activations, gradients: activations[..., 0], r"'<lambda>', .* with \(activations, gradients, scores\)"),
        (Fraction, "'Fraction', .* a function of three arrays"),
        (partial(methods.grad_cam, power=2), r"'grad_cam', .* unexpected keyword argument 'power'; 'grad-cam' with"),
        (partial(methods.eigen_cam, power=2), r"'eigen_cam', .* with \(probe, layer\): .* keyword argument 'power'"),
        (partial(methods.rise, mask=100), r"'rise', .* with \(probe\): got an unexpected keyword argument 'mask'"),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_what_a_method_is_called_with_is_checked_before_anything_is_computed(method, words, several):
    """No picture is taken from the stream of them."""
    taken = []
    stream = (taken.append(picture) or picture for picture in np.zeros((2, 2, 2, 3), np.uint8))
    with pytest.raises(TypeError, match=f"^method is {words}"):
        networks.worked_example().heatmaps(stream, method=["grad-cam", method] if several else method)
    assert taken == []


@pytest.mark.one_backend
def test_an_error_within_a_method_is_the_users_own():
    error = TypeError("takes 2 positional arguments but 3 were given")

    def method(activations, gradients, scores):
        raise error

    with pytest.raises(TypeError) as caught:
        networks.worked_example().heatmaps(PICTURE, method=method)
    assert caught.value is error


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("given", "words"),
    [([[[1, 2], [3]]], "gave list: setting an array"), ("no map", "gave str: could not convert"), ({}, "gave dict")],
)
def test_what_is_no_array_of_numbers_is_an_error_that_says_what_was_given(given, words):
    with pytest.raises(TypeError, match=f"The method '<lambda>' {words}"):
        networks.worked_example().heatmaps(PICTURE, method=lambda activations, gradients, scores: given)


@pytest.mark.one_backend
def test_unknown_method_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no method 'gradcam'; known: grad-cam, grad-cam\+\+, .*rise, or a callable"):
        networks.worked_example().heatmaps(PICTURE, method="gradcam")


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("method", "words"),
    [
        (partial(methods.occlusion, patch=3), "patch is 3, larger than the model's input of 2 × 2"),
        (partial(methods.occlusion, stride=0), "stride is 0"),
        (partial(methods.rise, masks=0), "masks is 0"),
        (partial(methods.rise, masks=2.5), r"masks is 2\.5; an integer of at least 1 is expected"),
        (partial(methods.rise, cells="7"), "cells is '7'; an integer of at least 1 is expected"),
        (partial(methods.smoothgrad, noise="0.1"), "noise is '0.1'; a positive number is expected"),
        (partial(methods.rise, keep=1.0), r"keep is 1\.0"),
        (partial(methods.smoothgrad, noise=float("nan")), "noise is nan"),
        (partial(methods.integrated_gradients, steps=0), "steps is 0"),
    ],
)
def test_wrong_parameters(method, words):
    with pytest.raises(ValueError, match=words):
        networks.worked_example().heatmaps(PICTURE, target=0, method=method)


@pytest.mark.one_backend
@pytest.mark.parametrize("seed", [-1, 0.5, "a", True])
def test_wrong_seed(seed):
    with pytest.raises(ValueError, match=f"seed is {seed!r}; an integer of at least 0 is expected"):
        networks.worked_example().heatmaps(PICTURE, target=0, method="smoothgrad", seed=seed)


def test_slow_methods_show_progress_where_asked(capsys):
    images = networks.pictures(1)
    networks.engine("functional", progress=True).heatmaps(images, target=0, method="occlusion")
    assert "chunk" in capsys.readouterr().out
    networks.engine("functional").heatmaps(images, target=0, method="occlusion")
    assert capsys.readouterr().out == ""


@functools.cache
def half_precision(policy):
    with networks.dtype_policy(policy):
        return Engine(networks.build("functional"))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("method", METHODS)
def test_half_precision(policy, method):
    """The map of the same weights in full precision, as far as the digits go."""
    images = networks.pictures(2)
    function = partial(methods.rise, masks=60) if method == "rise" else method
    full = networks.engine("functional").heatmaps(images, target=1, method=function)
    half = half_precision(policy).heatmaps(images, target=1, method=function)
    assert half.signed.dtype == np.float32
    assert np.corrcoef(half.signed.ravel(), full.signed.ravel())[0, 1] > 0.98
