"""Custom layers and functions in model files: given, or an error that says how to give them."""

import json
import sys

import keras
import pytest
from archives import change_of, rewritten
from keras import layers

from pytest_cnnaudit import Engine, ModelError, load_model


class Unregistered(layers.Layer):
    """A custom layer that the file knows by name only."""

    def call(self, x):
        return x * 2


def doubled(x):
    return 2 * x


def custom(layer=None, activation=None):
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(2, 3, activation=activation, name="conv")(picture)
    x = layer(x) if layer is not None else x
    return keras.Model(picture, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))


UNKNOWN = "uses '{}', which is not known here.*--cnnaudit-import.*from the fixture cnnaudit_custom_objects"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_custom_layer(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    custom(Unregistered(name="custom")).save(path)
    with pytest.raises(ModelError, match=UNKNOWN.format("Unregistered")):
        load_model(path)
    assert Engine(load_model(path, {"Unregistered": Unregistered})).default_layer == "custom"
    with keras.saving.custom_object_scope({"Unregistered": Unregistered}):
        assert Engine(path).default_layer == "custom"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_custom_function(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    custom(activation=doubled).save(path)
    with pytest.raises(ModelError, match=UNKNOWN.format("doubled")):
        load_model(path)
    assert load_model(path, {"doubled": doubled}).layers[1].activation is doubled


def test_all_unknown_classes_are_named(tmp_path):
    custom(Unregistered(), doubled).save(tmp_path / "model.keras")
    # Keras stops at the first; only that one is certain to be missing.
    with pytest.raises(ModelError, match=UNKNOWN.format("doubled")):
        load_model(tmp_path / "model.keras", {"Unregistered": Unregistered})


class Failing(layers.Layer):
    """Can be made and saved, and fails when it is loaded."""

    where = "nowhere"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.fail("init")

    def build(self, shape):
        self.fail("build")
        self.factor = self.add_weight(shape=(), name="factor")

    def call(self, x):
        return x * self.factor

    def fail(self, where):
        if self.where == where:
            raise RuntimeError("no licence for this layer")


@pytest.mark.parametrize("where", ["init", "build"])
def test_a_custom_layer_that_raises_is_named_with_its_line(tmp_path, monkeypatch, where):
    custom(Failing()).save(tmp_path / "model.keras")
    monkeypatch.setattr(Failing, "where", where)
    words = r"can't be loaded: no licence for this layer \(RuntimeError in \w+, line \d+ of .*test_custom_objects.py\)"
    with pytest.raises(ModelError, match=words):
        load_model(tmp_path / "model.keras", {"Failing": Failing})


def test_a_model_of_keras_hub_says_what_to_install(saved, tmp_path, monkeypatch):
    # An import of a module that stands here as None fails as if it was not installed.
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    module = b'"keras_hub.src.models.resnet.resnet_backbone"'

    def change(content):
        model = json.loads(content)
        model["config"]["layers"][2] |= {"module": json.loads(module), "registered_name": "keras_hub>MaxPooling2D"}
        return json.dumps(model).encode()

    path = rewritten(saved[".keras"], tmp_path / "model.keras", change_of("config.json", change))
    words = "uses 'MaxPooling2D' of keras_hub: install keras-hub, and import it with --cnnaudit-import keras_hub"
    with pytest.raises(ModelError, match=words):
        Engine(path)
