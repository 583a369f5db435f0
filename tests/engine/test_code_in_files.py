"""Code in model files: never executed, whatever Keras is set to."""

import json
import os
import sys

import keras
import numpy as np
import pytest
from archives import change_of, rewritten
from keras import layers, ops
from keras.src.saving.serialization_lib import SafeModeScope, in_safe_mode

from pytest_cnnaudit import Engine, ModelError, load_model

_leaving_a_trace = lambda x: (  # noqa: E731 - goes into the file as byte code, so it imports what it needs
    __import__("pathlib").Path(__import__("os").environ["CNNAUDIT_TEST_MARKER"]).touch(),
    x,
)[1]


class Wrapper(layers.Layer):
    """Keeps another layer in its own config."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.deserialize(inner) if isinstance(inner, dict) else inner

    def call(self, x):
        return self.inner(x)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return {**super().get_config(), "inner": keras.layers.serialize(self.inner)}


def trace(shape=(8, 8, 3)):
    return layers.Lambda(_leaving_a_trace, output_shape=shape, name="trace")


HIDING_PLACES = {
    "at its top": trace,
    "in nested models": lambda: keras.Sequential(
        [keras.Input((8, 8, 3)), keras.Sequential([keras.Input((8, 8, 3)), trace()], name="deep")]
    ),
    "in TimeDistributed": lambda: layers.TimeDistributed(trace((8, 3))),
    "in a custom layer's config": lambda: Wrapper(trace(), name="wrapper"),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("place", HIDING_PLACES)
@pytest.mark.parametrize("unsafe", [False, True], ids=["safe", "unsafe"])
def test_a_lambda_is_never_executed(tmp_path, monkeypatch, suffix, place, unsafe):
    """Not even where somebody has allowed Keras to do it."""
    marker, path = tmp_path / "executed", tmp_path / f"model{suffix}"
    monkeypatch.setenv("CNNAUDIT_TEST_MARKER", str(marker))
    picture = keras.Input((8, 8, 3))
    model = keras.Model(picture, layers.Dense(2)(layers.Flatten()(HIDING_PLACES[place]()(picture))))
    model.save(path)
    model(np.zeros((1, 8, 8, 3), np.float32))
    assert marker.exists()
    marker.unlink()
    with SafeModeScope(not unsafe):
        with pytest.raises(
            ModelError, match=r"holds code, which is never executed here: a Lambda.*, at .*trace\. Replace"
        ):
            load_model(path, {"Wrapper": Wrapper})
        assert in_safe_mode() is not unsafe
    assert not marker.exists()


def test_a_lambda_behind_a_text_is_not_executed(tmp_path, monkeypatch):
    """A custom layer may keep its inner one as text, which nobody else can look into; Keras itself refuses it."""
    marker = tmp_path / "executed"
    monkeypatch.setenv("CNNAUDIT_TEST_MARKER", str(marker))

    class Texts(Wrapper):
        def __init__(self, inner, **kwargs):
            super().__init__(json.loads(inner) if isinstance(inner, str) else inner, **kwargs)

        def get_config(self):
            return {**super().get_config(), "inner": json.dumps(keras.layers.serialize(self.inner))}

    picture = keras.Input((8, 8, 3))
    keras.Model(picture, layers.Flatten()(Texts(trace())(picture))).save(tmp_path / "model.keras")
    marker.unlink(missing_ok=True)
    with SafeModeScope(False), pytest.raises(ModelError, match="needs code to be executed, which never happens here"):
        load_model(tmp_path / "model.keras", {"Texts": Texts})
    assert not marker.exists()


@pytest.mark.one_backend
@pytest.mark.parametrize("name", ["TFSMLayer", "TorchModuleWrapper"])
def test_layers_that_run_other_code_are_refused(saved, tmp_path, name):
    change = change_of("config.json", lambda content: content.replace(b'"MaxPooling2D"', f'"{name}"'.encode()))
    with pytest.raises(ModelError, match=f"holds code, which is never executed here: a {name}, .* at functional/pool1"):
        Engine(rewritten(saved[".keras"], tmp_path / "model.keras", change))


def test_a_lambda_of_a_keras_function_is_no_code(tmp_path):
    picture = keras.Input((8, 8, 3))
    x = layers.Lambda(ops.relu, output_shape=(8, 8, 3))(picture)
    keras.Model(picture, layers.Flatten()(x)).save(tmp_path / "model.keras")
    assert Engine(tmp_path / "model.keras").num_classes == 192


REFERENCES = {
    "os.system": "refers to 'system' of os, which is no part of a model; it is never called here",
    "subprocess.Popen": "refers to 'Popen' of subprocess, which is no part of a model",
    "builtins.eval": "'eval', which is not known here",
    "keras.utils.get_file": "refers to something that is no part of a model; it is never called here",
    "keras.src.utils.file_utils.get_file": "refers to something that is no part of a model",
    "keras.config.enable_unsafe_deserialization": "refers to something that is no part of a model",
    "not_installed_here.Layer": r"uses 'Layer'.*--cnnaudit-import \(when the model was saved, that was not_inst",
}


@pytest.mark.one_backend
@pytest.mark.parametrize("place", ["model", "activation"])
@pytest.mark.parametrize("kind", ["class", "function"])
@pytest.mark.parametrize("reference", REFERENCES)
def test_references_to_what_is_no_layer_lead_nowhere(saved, tmp_path, monkeypatch, reference, kind, place):
    called = []
    monkeypatch.setattr(os, "system", called.append)
    module, name = reference.rsplit(".", 1)
    config = {"class_name": name, "config": {"command": "1"}, "module": module, "registered_name": name}
    if kind == "function":
        config |= {"class_name": "function", "config": name}

    def change(content):
        model = json.loads(content)
        model["config"]["layers"][1]["config"]["activation"] = config
        return json.dumps(config if place == "model" else model).encode()

    modules = set(sys.modules)
    with pytest.raises(ModelError, match=REFERENCES[reference]):
        Engine(rewritten(saved[".keras"], tmp_path / "model.keras", change_of("config.json", change)))
    assert called == []
    assert keras.saving.get_custom_objects().keys() & {name} == set()
    assert {module} & (set(sys.modules) - modules) == set()
