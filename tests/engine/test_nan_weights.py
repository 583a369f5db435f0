"""NaN and infinity in a model's weights: an error that names the layer."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from pytest_cnnaudit import Engine
from pytest_cnnaudit.engine.errors import NonFiniteError


def in_a_sequential():
    inner = keras.Sequential([keras.Input((4, 4, 3)), layers.Conv2D(2, 1, name="conv")], name="block")
    return keras.Sequential([keras.Input((4, 4, 3)), inner, layers.Flatten(), layers.Dense(2, name="head")])


def in_a_functional():
    """Its layers' weights don't have its name in their paths."""
    picture = keras.Input((4, 4, 3))
    inner = keras.Model(picture, layers.Conv2D(2, 1, name="conv")(picture), name="block")
    return keras.Sequential([keras.Input((4, 4, 3)), inner, layers.Flatten(), layers.Dense(2, name="head")])


def in_a_wrapper():
    picture = keras.Input((4, 4, 3))
    x = layers.TimeDistributed(layers.Dense(2, name="conv"), name="block")(picture)
    return keras.Model(picture, layers.Dense(2, name="head")(layers.Flatten()(x)))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.block, self.head = in_a_functional().layers[0], layers.Dense(2, name="head")
        self.own = self.add_weight(shape=(2,), name="own")

    def call(self, inputs):
        return self.head(ops.mean(self.block(inputs), axis=(1, 2))) + self.own


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 4, 4, 3), np.float32))
    return model


@pytest.mark.parametrize("build", [in_a_sequential, in_a_functional, in_a_wrapper, subclassed])
@pytest.mark.parametrize(("weight", "layer"), [("conv/bias", "block/conv"), ("head/kernel", "head")])
def test_nan_in_a_weight_names_its_layer_as_the_engine_does(build, weight, layer):
    model = build()
    assert layer in {one.path for one in Engine(model).layers}
    [variable] = [one for one in model.variables if one.path.endswith(weight)]
    variable.assign(np.full(variable.shape, np.nan))
    with pytest.raises(NonFiniteError, match=f"{weight}' of the model '{model.name}' holds NaN") as raised:
        Engine(model)
    assert raised.value.layer == layer


def test_nan_in_a_weight_of_the_model_itself_is_of_no_layer():
    model = subclassed()
    model.own.assign([np.inf, 0])
    with pytest.raises(NonFiniteError, match="own' of the model") as raised:
        Engine(model)
    assert raised.value.layer is None


def test_nan_names_the_layer_whose_weight_it_is_where_two_have_the_same_path():
    def block(name):
        image = keras.Input((4, 4, 3))
        return keras.Model(image, keras.layers.Conv2D(3, 1, name="conv")(image), name=name)

    image, first, second = keras.Input((4, 4, 3)), block("first"), block("second")
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(second(first(image))))
    kernel = second.get_layer("conv").kernel
    assert kernel.path == first.get_layer("conv").kernel.path
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(NonFiniteError) as raised:
        Engine(model)
    assert raised.value.layer == "second/conv"
