"""PyTorch: Keras' copies to channels first are left out while the engine runs, and only then."""

import keras
import networks
import numpy as np
import pytest
from keras import layers

from pytest_cnnaudit import Engine

if keras.backend.backend() != "torch":
    pytest.skip("only Keras on PyTorch copies to channels first", allow_module_level=True)

from keras.src.backend.torch import nn


class Looking(layers.Layer):
    """Notes which function Keras has when it is called; raises where it is told to."""

    def __init__(self):
        super().__init__()
        self.seen, self.fails = [], False

    def call(self, x):
        self.seen.append(nn._transpose_spatial_inputs)
        if self.fails:
            raise RuntimeError("in the middle")
        return x


def test_values_are_those_of_keras_own_forward_pass():
    model = networks.build("nested")
    images = networks.pictures(3)
    backbone = model.get_layer("trunk").get_layer("backbone")
    pooled = keras.Model(backbone.input, backbone.get_layer("pool1").output)
    found = Engine(model).activations(images, "trunk/backbone/pool1")["trunk/backbone/pool1"]
    np.testing.assert_allclose(found, pooled.predict(images, verbose=0), atol=1e-6)


def test_keras_function_is_replaced_for_a_call_only():
    original, looking = nn._transpose_spatial_inputs, Looking()
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(2, 3)(looking(picture))
    engine = Engine(keras.Model(picture, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))
    engine.predict(networks.pictures(1))
    assert looking.seen[-1] is not original
    assert nn._transpose_spatial_inputs is original
    looking.fails = True
    with pytest.raises(RuntimeError, match="in the middle"):
        engine.predict(networks.pictures(1))
    assert nn._transpose_spatial_inputs is original
