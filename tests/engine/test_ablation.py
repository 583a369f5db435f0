"""Ablation-CAM computes only what comes after the layer, wherever the layer is in the model."""

import keras
import networks
import numpy as np
import pytest
from distances import distance
from keras import layers, ops
from networks import Listening

from pytest_cnnaudit import Engine


def test_only_the_head_is_computed_for_every_channel(rows):
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(Listening(name="trunk")(picture))
    x = layers.GlobalAveragePooling2D()(Listening(name="head")(x))
    engine = Engine(networks.assign_weights(keras.Model(picture, layers.Dense(2)(x))))
    engine.heatmaps(networks.pictures(2), target=0, layer="conv")
    rows.clear()
    engine.heatmaps(networks.pictures(2), target=0, layer="conv", method="ablation-cam")
    assert max(rows["trunk"]) <= 2  # the pictures themselves
    assert 7 in rows["head"]  # six channels and the whole


HEADS = {
    ("bare_operations", "conv1"): lambda get: lambda a: get("gap")(a + ops.relu(get("conv2")(a))),
    ("shared", "twice#1"): lambda get: lambda a: get("gap")(get("twice")(a)),
    ("composite", "block/inner"): lambda get: lambda a: get("gap")(get("block").normalization(a)),
    ("squeeze_and_excite", "conv1"): lambda get: (
        lambda a: get("flatten")(get("scaled")([a, get("reshape")(get("excite")(get("squeeze")(a)))]))
    ),
    ("regularized", "norm"): lambda get: lambda a: get("gap")(get("relu")(a)),
}


@pytest.mark.parametrize(("name", "layer"), HEADS)
def test_ablation_where_the_layers_output_is_used_twice_or_deep_inside(name, layer):
    model, images = networks.build(name), networks.pictures(2)
    engine = Engine(model)
    activations = engine.activations(images, layer)[layer]
    features = HEADS[name, layer](model.get_layer)
    last = model.layers[-1]

    def scores(a):
        return ops.convert_to_numpy(ops.matmul(features(ops.convert_to_tensor(a)), last.kernel) + last.bias)[:, 1]

    weights = []
    for k in range(activations.shape[-1]):
        keep = np.ones(activations.shape[-1], np.float32)
        keep[k] = 0
        weights.append(scores(activations) - scores(activations * keep))
    expected = np.einsum("nhwk,kn->nhw", activations, np.stack(weights))
    found = engine.heatmaps(images, target=1, layer=layer, method="ablation-cam").signed
    assert distance(found, expected) < 1e-4


def test_ablation_where_something_beside_the_layer_reaches_the_head():
    """A branch that bypasses the layer is computed once and repeated for every channel."""
    picture = keras.Input((8, 8, 3))
    side = layers.GlobalMaxPooling2D(name="side")(layers.Conv2D(2, 3, name="other")(picture))
    x = layers.GlobalAveragePooling2D(name="gap")(layers.Conv2D(4, 3, activation="relu", name="conv")(picture))
    both = layers.Concatenate(name="both")([side, x])
    hidden = layers.Dense(5, activation="sigmoid", name="hidden")(both)
    model = networks.assign_weights(keras.Model(picture, layers.Dense(3, name="logits")(hidden)))
    images = networks.pictures(2)
    engine = Engine(model)
    beside = ops.convert_to_numpy(model.get_layer("side")(model.get_layer("other")(images)))
    activations = engine.activations(images, "conv")["conv"]

    def scores(a):
        joined = np.concatenate([beside, a.mean(axis=(1, 2))], axis=1)
        return ops.convert_to_numpy(model.get_layer("logits")(model.get_layer("hidden")(joined)))[:, 0]

    weights = [scores(activations) - scores(activations * (np.arange(4) != k)) for k in range(4)]
    expected = np.einsum("nhwk,kn->nhw", activations, np.stack(weights))
    assert distance(engine.heatmaps(images, target=0, layer="conv", method="ablation-cam").signed, expected) < 1e-4
