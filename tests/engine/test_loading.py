"""Model files and class names: read right, or an error that says what is wrong with them."""

import io
import json
import os
import pathlib
import pickle
import sys
import zipfile

import keras
import networks
import numpy as np
import pytest
from keras import layers, ops
from keras.src.saving.serialization_lib import SafeModeScope, in_safe_mode

from pytest_cnnaudit import Engine, ModelError, load_model
from pytest_cnnaudit.engine import read_class_names
from pytest_cnnaudit.engine.errors import NonFiniteError


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_model_file(tmp_path, suffix):
    model, images = networks.build("nested"), networks.pictures(2)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    for name in (path, str(path)):
        np.testing.assert_array_equal(
            Engine(name).heatmaps(images, target=1).signed, Engine(model).heatmaps(images, target=1).signed
        )


def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.keras' does not exist \(looked in "):
        Engine(tmp_path / "nowhere.keras")


def test_other_suffix(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"1")
    with pytest.raises(ModelError, match=r"must end in \.keras or \.h5, not '\.pt'"):
        Engine(path)


# Folders


def test_folder(tmp_path):
    with pytest.raises(ModelError, match=r"is a folder; give a \.keras or \.h5 file"):
        Engine(tmp_path)


def test_saved_model(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"1")
    with pytest.raises(ModelError, match="folder with a TensorFlow SavedModel, which Keras 3 can't load"):
        Engine(tmp_path)


def test_unpacked_model(saved, tmp_path):
    zipfile.ZipFile(saved[".keras"]).extractall(tmp_path)
    with pytest.raises(ModelError, match="folder with an unpacked model: pack it with zip"):
        Engine(tmp_path)


# Files that are none or broken


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """The files of one model, by suffix."""
    folder = tmp_path_factory.mktemp("saved")
    paths = {suffix: folder / f"model{suffix}" for suffix in (".keras", ".h5", ".weights.h5")}
    model = networks.build("functional")
    model.save(paths[".keras"])
    model.save(paths[".h5"])
    model.save_weights(paths[".weights.h5"])
    return paths


class Executed:
    """Unpickled, it leaves a file behind."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return pathlib.Path.touch, (self.marker,)


def of_torch(marker):
    """What torch.save writes: a zip archive with a pickle in it."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Executed(marker)))
    return written.getvalue()


KINDS = {
    "empty": (lambda marker: b"", "it is empty"),
    "text": (lambda marker: b"not a model", "it is something else"),
    "pickle": (lambda marker: pickle.dumps(Executed(marker)), "it is a Python pickle, or a file of PyTorch"),
    "torch": (of_torch, "it is a file of PyTorch"),
    "pointer": (lambda marker: b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "it is a Git LFS pointer"),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kind", KINDS)
def test_foreign_file(tmp_path, suffix, kind):
    content, words = KINDS[kind]
    marker, path = tmp_path / "executed", tmp_path / f"model{suffix}"
    path.write_bytes(content(marker))
    with pytest.raises(ModelError, match=rf"model{suffix}' \(\d+ bytes\) is not an? .*: {words}"):
        Engine(path)
    assert not marker.exists()


@pytest.mark.parametrize(("suffix", "other", "kind"), [(".keras", ".h5", "HDF5 file"), (".h5", ".keras", "archive")])
def test_renamed_file(saved, tmp_path, suffix, other, kind):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(saved[other].read_bytes())
    with pytest.raises(ModelError, match=rf"is not an? .*: it is an? .*{kind}"):
        Engine(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_file_cut_short(saved, tmp_path, suffix, share):
    content, path = saved[suffix].read_bytes(), tmp_path / f"model{suffix}"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match=rf"model{suffix}'.* is cut short or damaged"):
        Engine(path)


def test_archive_with_a_hole(saved, tmp_path):
    """As a broken download leaves it: the directory at the end is there, the middle is not."""
    content, path = saved[".keras"].read_bytes(), tmp_path / "model.keras"
    path.write_bytes(content[: len(content) // 2] + content[len(content) // 2 + 700 :])
    with pytest.raises(ModelError, match="damaged"):
        Engine(path)


def test_archive_with_changed_bytes(saved, tmp_path):
    content, path = bytearray(saved[".keras"].read_bytes()), tmp_path / "model.keras"
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"is damaged: the checksum of model\.weights\.h5 in it is wrong"):
        Engine(path)


def rewritten(source, target, change):
    """A copy of an archive whose members went through `change(name, content)`; None drops one."""
    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w") as made:
        for name in given.namelist():
            content = change(name, given.read(name))
            if content is not None:
                made.writestr(name, content)
    return target


def change_of(member, change):
    """Changes the member whose name ends like this."""
    return lambda name, content: change(content) if name.endswith(member) else content


DAMAGES = {
    "no architecture": (
        change_of("config.json", lambda content: None),
        "holds no config.json, so it is no Keras model",
    ),
    "no weights": (change_of(".h5", lambda content: None), "holds no weights .*, only an architecture"),
    "half an architecture": (change_of("config.json", lambda content: content[:90]), "its architecture is no JSON"),
    "a list": (change_of("config.json", lambda content: b"[]"), "its architecture has no class"),
    "deep": (change_of("config.json", lambda content: b"[" * 10**5), "its architecture is no JSON|has no class"),
    "text for weights": (change_of(".h5", lambda content: b"text"), "holds damaged weights"),
    "half of the weights": (change_of(".h5", lambda content: content[:9000]), "holds damaged weights"),
    "another head": (
        change_of("config.json", lambda content: content.replace(b'"units": 3', b'"units": 4')),
        "holds weights that don't fit its architecture.*<Dense name=logits",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_archive_that_is_incomplete(saved, tmp_path, damage):
    change, words = DAMAGES[damage]
    with pytest.raises(ModelError, match=words):
        Engine(rewritten(saved[".keras"], tmp_path / "model.keras", change))


def test_weights_of_another_model(saved, tmp_path):
    networks.build("flat").save(tmp_path / "flat.keras")
    weights = zipfile.ZipFile(tmp_path / "flat.keras").read("model.weights.h5")
    change = change_of(".h5", lambda content: weights)
    with pytest.raises(ModelError, match="holds weights that don't fit its architecture"):
        Engine(rewritten(saved[".keras"], tmp_path / "model.keras", change))


def test_weights_alone(saved, tmp_path):
    with pytest.raises(ModelError, match="has no architecture, so it holds weights only: save the whole model"):
        Engine(saved[".weights.h5"])


def test_a_layer_is_no_model(saved, tmp_path):
    layer = json.dumps(keras.saving.serialize_keras_object(layers.Dense(3))).encode()
    change = change_of("config.json", lambda content: layer)
    with pytest.raises(ModelError, match=r"holds a Dense, not a keras\.Model"):
        Engine(rewritten(saved[".keras"], tmp_path / "model.keras", change))


class Nest(layers.Layer):
    """Its layers are in a list of lists, which files of old have no weights for."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.rows = [[layers.Conv2D(2, 1, name="inner")]]

    def build(self, shape):
        self.rows[0][0].build(shape)

    def call(self, x):
        return self.rows[0][0](x)


def test_weights_that_would_stay_random(tmp_path):
    """Keras warns of them and goes on; a model whose weights are random is not the one to judge."""
    import h5py

    picture = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(Nest(name="nest")(picture))
    keras.Model(picture, layers.Dense(2)(x)).save(tmp_path / "model.keras")

    def without_the_nest(content):
        with h5py.File(io.BytesIO(content), "r+") as weights:
            del weights["layers/nest/rows"]
            weights.flush()
            return weights.id.get_file_image()

    assert load_model(tmp_path / "model.keras", {"Nest": Nest}).count_params() == 14
    path = rewritten(tmp_path / "model.keras", tmp_path / "old.keras", change_of(".h5", without_the_nest))
    with pytest.raises(ModelError, match=r"lacks weights\. Keras says: Skipping nested container at 'layers/nest/rows"):
        load_model(path, {"Nest": Nest})


# Code


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


# Custom objects


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
    words = r"can't be loaded: no licence for this layer \(RuntimeError in \w+, line \d+ of .*test_loading.py\)"
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


# Class names


def test_class_names_from_a_file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("cat\n\n  dog \nMöwe\n", encoding="utf-8")
    assert read_class_names(path) == read_class_names(str(path)) == ("cat", "dog", "Möwe")
    assert Engine(networks.build("functional"), class_names=path).class_names == ("cat", "dog", "Möwe")


@pytest.mark.parametrize(
    ("names", "error", "words"),
    [
        ([], ValueError, "are empty"),
        (["cat", "cat"], ValueError, "'cat' stands twice"),
        (["cat", 3], TypeError, "must be a str, not 3"),
        ("missing.txt", ValueError, r"missing\.txt' can't be read"),
    ],
)
def test_class_names_errors(names, error, words):
    with pytest.raises(error, match=words):
        read_class_names(names)


def test_class_names_that_are_not_text(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"names\.txt' can't be read"):
        read_class_names(path)


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
