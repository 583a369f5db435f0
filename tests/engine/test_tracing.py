"""Which layers a model has, under which paths, and which one is explained by default."""

import re

import keras
import networks
import numpy as np
import pytest
from keras import layers

from pytest_cnnaudit import Engine, ModelError

CONVOLUTIONS = ["conv1", "pool1", "conv2"]
EXPECTED = {
    "sequential": ([*CONVOLUTIONS, "gap", "logits"], "conv2"),
    "functional": ([*CONVOLUTIONS, "gap", "logits"], "conv2"),
    "nested": ([*(f"trunk/backbone/{name}" for name in CONVOLUTIONS), "gap", "logits"], "trunk/backbone/conv2"),
    "nested_sequential": ([*(f"backbone/{name}" for name in CONVOLUTIONS), "gap", "logits"], "backbone/conv2"),
    "shared": (["twice#1", "twice", "gap", "logits"], "twice"),
    "bare_operations": (["conv1", "conv2", "relu", "add", "gap", "logits"], "add"),
    "flat": (["conv1", "pool1", "flatten", "hidden", "logits"], "pool1"),
    "squeeze_and_excite": (
        ["conv1", "squeeze", "excite", "reshape", "scaled", "flatten", "logits"],
        "scaled",
    ),
    "composite": (["block/inner", "block/norm", "block", "gap", "logits"], "block/norm"),
    "subclassed": (["block/inner", "block/norm", "block", "dropout", "gap", "logits"], "block/norm"),
    "subclassed_plain": (["conv1", "dropout", "gap", "logits"], "conv1"),
    "regularized": (["conv1", "norm", "relu", "dropout", "gap", "probabilities"], "relu"),
}


def plain(path):
    """Without the counter that a process gives the names of bare operations: add_3 → add."""
    return re.sub(r"_\d+$", "", path)


@pytest.mark.parametrize("name", EXPECTED)
def test_paths_in_execution_order_and_the_default_layer(name):
    engine = Engine(networks.build(name))
    paths, default = EXPECTED[name]
    assert [plain(layer.path) for layer in engine.layers] == paths
    assert plain(engine.default_layer) == default


def test_what_a_layer_says():
    first, pool, second, gap, logits = networks.engine("nested").layers
    assert [layer.type for layer in (first, pool, second, gap, logits)] == [
        "Conv2D",
        "MaxPooling2D",
        "Conv2D",
        "GlobalAveragePooling2D",
        "Dense",
    ]
    assert first.output_shape == (None, 6, 6, 4)
    assert pool.output_shape == (None, 3, 3, 4)
    assert logits.output_shape == (None, 3)
    assert [layer.is_spatial for layer in (first, pool, second, gap, logits)] == [True, True, True, False, False]
    assert [layer.is_relu_like for layer in (first, pool, second, gap, logits)] == [True, False, True, False, False]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (lambda: layers.ReLU(), True),
        (lambda: layers.ReLU(max_value=6), True),
        (lambda: layers.Activation("relu6"), True),
        (lambda: layers.Conv2D(2, 1, activation="relu"), True),
        (lambda: keras.ops.relu, True),
        (lambda: layers.ReLU(negative_slope=0.1), False),
        (lambda: layers.LeakyReLU(), False),
        (lambda: layers.Activation("gelu"), False),
        (lambda: layers.Conv2D(2, 1), False),
        (lambda: layers.BatchNormalization(), False),
    ],
)
def test_relu_like(layer, expected):
    picture = keras.Input((4, 4, 3))
    x = layers.GlobalAveragePooling2D()(layer()(picture))
    engine = Engine(keras.Model(picture, layers.Dense(2)(x)))
    assert engine.layers[0].is_relu_like is expected


def test_free_input_size():
    picture = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv1")(picture)
    model = networks.assign_weights(
        keras.Model(picture, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D(name="gap")(x)))
    )
    engine = Engine(model)
    assert engine.input_shape == (None, None, 3)
    assert engine.default_layer == "conv1"
    for size in (8, 11):
        assert engine.heatmaps(networks.pictures(2, size, size), target=0).maps.shape == (2, size - 2, size - 2)


def test_backbone_whose_output_is_not_pooled():
    """Nothing collapses the grid: the last spatial output is explained, and a class is an output unit."""
    engine = Engine(networks.assign_weights(networks.trunk()))
    assert engine.default_layer == "conv2"
    assert engine.num_classes == 3 * 3 * 5


def test_last_global_pooling_wins_over_one_inside_a_block():
    engine = Engine(networks.assign_weights(networks.squeeze_and_excite(pooled=True)))
    assert engine.default_layer == "scaled"


def test_poolings_inside_blocks_of_a_backbone_whose_output_is_not_pooled():
    """EfficientNet without its top: every global pooling is one of a squeeze-and-excitation."""
    whole = networks.squeeze_and_excite()
    backbone = keras.Model(whole.input, layers.ReLU(name="relu")(whole.get_layer("scaled").output))
    assert Engine(backbone).default_layer == "relu"


def test_a_grid_that_is_another_output_is_not_explained():
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv1")(picture)
    logits = layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D(name="gap")(x))
    decoded = layers.Conv2D(1, 3, name="decoded")(layers.Conv2D(4, 3, name="conv2")(x))
    model = keras.Model(picture, {"logits": logits, "decoded": decoded})
    assert Engine(model, output="logits").default_layer == "conv1"
    assert Engine(model, output="decoded").default_layer == "decoded"


def test_pooled_grid_kept_as_one_cell_is_no_map():
    """MobileNetV3 ends in pooling with keepdims, a 1 × 1 convolution and a flatten."""
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv1")(picture)
    x = layers.GlobalAveragePooling2D(keepdims=True, name="gap")(x)
    x = layers.Flatten(name="flatten")(layers.Conv2D(6, 1, name="wide")(x))
    assert Engine(keras.Model(picture, layers.Dense(3)(x))).default_layer == "conv1"


@pytest.mark.parametrize(
    "pooling",
    [
        lambda x: keras.ops.mean(x, axis=(1, 2)),
        lambda x: layers.Flatten()(layers.AveragePooling2D(6)(x)),
        lambda x: layers.Flatten()(layers.Conv2D(5, 6, name="fully")(x)),
    ],
)
def test_what_leaves_one_cell_pools_globally(pooling):
    picture = keras.Input((8, 8, 3))
    x = pooling(layers.Conv2D(4, 3, name="conv1")(picture))
    assert Engine(keras.Model(picture, layers.Dense(3)(x))).default_layer == "conv1"


def test_mean_over_channels_is_not_a_global_pooling():
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="conv1")(picture)
    gate = layers.Dense(4)(layers.Flatten()(keras.ops.mean(x, axis=-1)))
    x = layers.Conv2D(4, 3, name="conv2")(x)
    x = layers.GlobalAveragePooling2D()(x) + gate
    assert Engine(keras.Model(picture, layers.Dense(3)(x))).default_layer == "conv2"


def test_a_layer_by_path_and_by_bare_name():
    engine = networks.engine("nested")
    assert engine.layer("conv2") is engine.layer("trunk/backbone/conv2")
    assert networks.engine("shared").layer("twice#1").path == "twice#1"


def test_ambiguous_name_lists_the_candidates():
    picture = keras.Input((8, 8, 3))
    twins = [networks.trunk(name=name)(picture) for name in ("left", "right")]
    x = layers.GlobalAveragePooling2D()(layers.Add()(twins))
    engine = Engine(keras.Model(picture, layers.Dense(2)(x)))
    with pytest.raises(ValueError, match="'conv2' is ambiguous; write one of the paths 'left/conv2', 'right/conv2'"):
        engine.heatmaps(networks.pictures(1), layer="conv2")


def test_unknown_name_offers_the_nearest():
    with pytest.raises(ValueError, match="no layer 'covn2'; nearest: 'trunk/backbone/conv2'"):
        networks.engine("nested").layer("covn2")


def test_layer_must_be_a_name():
    with pytest.raises(TypeError, match="named by a str, not 3"):
        networks.engine("functional").layer(3)


def test_each_call_of_a_shared_layer_is_watched_on_its_own():
    model = networks.build("shared")
    images = networks.pictures(2)
    found = Engine(model).activations(images, ["twice#1", "twice"])
    convolution = model.get_layer("twice")
    once = keras.ops.convert_to_numpy(convolution(images))
    np.testing.assert_allclose(found["twice#1"], once, atol=1e-5)
    np.testing.assert_allclose(found["twice"], keras.ops.convert_to_numpy(convolution(once)), atol=1e-5)
    maps = [Engine(model).heatmaps(images, layer=path, target=0).signed for path in ("twice#1", "twice")]
    assert np.abs(maps[0] - maps[1]).max() > 1e-3


@pytest.mark.parametrize("name", networks.BUILDERS)
def test_activations_are_those_of_the_model_in_inference_mode(name):
    """Each layer's output explains the logits: the head applied to it gives what the model gives."""
    model, images = networks.build(name), networks.pictures(3)
    engine = Engine(model)
    last = engine.layers[-1].path
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(engine.activations(images, last)[last], expected, atol=1e-5)
    predictions = engine.predict(images)
    probabilities = name == "regularized"
    np.testing.assert_allclose(predictions.probabilities if probabilities else predictions.logits, expected, atol=1e-5)


def test_no_spatial_layer():
    picture = keras.Input((4, 4, 3))
    model = keras.Model(picture, layers.Dense(2)(layers.Flatten()(picture)), name="dense")
    with pytest.raises(ModelError, match="'dense' has no spatial layer"):
        Engine(model).heatmaps(networks.pictures(1, 4, 4))


def test_channels_first_model_gives_channels_last():
    keras.config.set_image_data_format("channels_first")
    try:
        picture = keras.Input((3, 8, 8))
        x = layers.Conv2D(4, 3, activation="relu", name="conv1")(picture)
        model = keras.Model(picture, layers.Dense(3)(layers.GlobalAveragePooling2D(name="gap")(x)))
        first = Engine(networks.assign_weights(model))
        images = networks.pictures(2, 8, 8)
        maps, activations = first.heatmaps(images, target=1).signed, first.activations(images)["conv1"]
        weights = model.get_weights()
        assert first.input_shape == (8, 8, 3)
    finally:
        keras.config.set_image_data_format("channels_last")
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv1")(picture)
    model = keras.Model(picture, layers.Dense(3)(layers.GlobalAveragePooling2D(name="gap")(x)))
    model.set_weights(weights)
    last = Engine(model)
    np.testing.assert_allclose(maps, last.heatmaps(images, target=1).signed, atol=1e-6)
    np.testing.assert_allclose(activations, last.activations(images)["conv1"], atol=1e-6)


def test_attention_has_four_dimensions_and_no_grid():
    """Its queries are (N, tokens, heads, dimensions), its weights (N, heads, tokens, tokens)."""
    picture = keras.Input((8, 8, 3))
    patches = layers.Conv2D(6, 4, strides=4, name="patches")(picture)
    tokens = layers.Reshape((4, 6), name="tokens")(patches)
    tokens = layers.MultiHeadAttention(2, 3, name="attention")(tokens, tokens)
    pooled = layers.GlobalAveragePooling1D(name="pool")(tokens)
    engine = Engine(networks.assign_weights(keras.Model(picture, layers.Dense(3, name="logits")(pooled))))
    assert engine.default_layer == "patches"
    assert {layer.path for layer in engine.layers if layer.is_spatial} == {"patches"}
    assert engine.heatmaps(networks.pictures(2), target=0).signed.shape == (2, 2, 2)
