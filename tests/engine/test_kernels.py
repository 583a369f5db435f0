"""`Engine.kernels`: a filter a row, from every kind of layer that has kernels."""

import keras
import numpy as np
import pytest
from keras import layers

from pytest_cnnaudit import Engine
from pytest_cnnaudit.engine.errors import NonFiniteError


def engine_of(*middle, channels=2):
    image = x = keras.Input((6, 6, channels))
    for layer in middle:
        x = layer(x)
    return Engine(keras.Model(image, layers.Dense(2, name="head")(layers.GlobalAveragePooling2D(name="pool")(x))))


def test_a_convolutions_rows_are_its_filters_with_the_bias_last():
    layer = layers.Conv2D(3, (2, 1), name="conv")
    engine = engine_of(layer)
    kernel = np.arange(12, dtype=np.float32).reshape(2, 1, 2, 3)
    layer.set_weights([kernel, np.array([100, 200, 300], np.float32)])
    found = engine.kernels()["conv"]
    assert found.filters.tolist() == [[0, 3, 6, 9, 100], [1, 4, 7, 10, 200], [2, 5, 8, 11, 300]]
    assert (found.filters.dtype, found.groups) == (np.float32, 1)


def test_without_a_bias_there_is_no_column_for_it():
    assert engine_of(layers.Conv2D(3, 2, use_bias=False, name="conv")).kernels()["conv"].filters.shape == (3, 8)


def test_a_transposed_convolutions_filters_are_its_outputs():
    layer = layers.Conv2DTranspose(3, 1, name="up")
    engine = engine_of(layer)
    kernel = np.array([[0, 1], [10, 11], [20, 21]], np.float32)[None, None]
    layer.set_weights([kernel, np.zeros(3, np.float32)])
    assert engine.kernels()["up"].filters.tolist() == [[0, 1, 0], [10, 11, 0], [20, 21, 0]]


def test_of_a_separable_convolution_the_pointwise_kernels_are_taken():
    layer = layers.SeparableConv2D(3, 2, name="separable")
    engine = engine_of(layer)
    pointwise = np.array([[1, 2, 3], [4, 5, 6]], np.float32)[None, None]
    layer.set_weights([layer.get_weights()[0], pointwise, np.array([7, 8, 9], np.float32)])
    assert engine.kernels()["separable"].filters.tolist() == [[1, 4, 7], [2, 5, 8], [3, 6, 9]]


def test_groups_are_told():
    found = engine_of(layers.Conv2D(4, 1, groups=2, name="grouped")).kernels()["grouped"]
    assert (found.groups, found.filters.shape) == (2, (4, 2))


def test_a_dense_layer_is_taken_where_it_is_named_alone():
    engine = engine_of(layers.Conv2D(3, 1, name="conv"))
    assert list(engine.kernels()) == ["conv"]
    found = engine.kernels("head")["head"].filters
    kernel, bias = engine.model.get_layer("head").get_weights()
    np.testing.assert_array_equal(found, np.vstack([kernel, bias]).T)


def test_depthwise_and_other_layers_are_left_out_and_refused_by_name():
    engine = engine_of(
        layers.Conv2D(2, 1, name="conv"), layers.DepthwiseConv2D(1, name="depthwise"), layers.ReLU(name="relu")
    )
    assert list(engine.kernels()) == ["conv"]
    with pytest.raises(ValueError, match=r"'depthwise' .* its kernels see a channel each"):
        engine.kernels(["conv", "depthwise"])
    with pytest.raises(ValueError, match=r"'relu' \(ReLU\) has no kernels"):
        engine.kernels("relu")


def test_a_model_without_convolutions_is_an_error():
    with pytest.raises(ValueError, match="no convolution whose kernels can be compared"):
        engine_of(layers.ReLU()).kernels()


def test_a_shared_layer_is_taken_once():
    shared = layers.Conv2D(2, 1, name="shared")
    engine = engine_of(shared, layers.ReLU(name="relu"), shared)
    assert [layer.path for layer in engine.layers if layer.type == "Conv2D"] == ["shared#1", "shared"]
    assert list(engine.kernels()) == ["shared"]
    assert list(engine.kernels(["shared", "shared#1"])) == ["shared#1"]


def test_nested_models_are_walked_into():
    backbone = keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(3, 1, name="deep")], name="backbone")
    assert list(engine_of(backbone).kernels()) == ["backbone/deep"]


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "bfloat16"])
def test_kernels_of_any_precision_are_float32(policy):
    layer = layers.Conv2D(2, 1, use_bias=False, dtype=policy, name="conv")
    engine = engine_of(layer, layers.ReLU(dtype="float32", name="relu"))
    layer.set_weights([np.array([[1, 2], [0.5, 4]])[None, None]])
    found = engine.kernels()["conv"].filters
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 0.5], [2, 4]]


def test_weights_are_those_of_now_and_nan_in_them_is_an_error():
    layer = layers.Conv2D(1, 1, use_bias=False, name="conv")
    engine = engine_of(layer)
    layer.set_weights([np.full((1, 1, 2, 1), 5, np.float32)])
    assert engine.kernels()["conv"].filters.tolist() == [[5, 5]]
    layer.set_weights([np.full((1, 1, 2, 1), np.nan, np.float32)])
    with pytest.raises(NonFiniteError, match="'conv' hold NaN"):
        engine.kernels()


def test_quantized_weights_are_an_error():
    engine = engine_of(layers.Conv2D(2, 1, name="conv"))
    assert engine.kernels("head")["head"].filters.shape == (2, 3)
    engine.model.get_layer("head").quantize("int8")
    with pytest.raises(ValueError, match="'head' are quantized"):
        engine.kernels("head")
