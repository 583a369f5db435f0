"""Model files: read right, or an error that says what is wrong with them."""

import io
import json
import pathlib
import pickle
import zipfile

import keras
import networks
import numpy as np
import pytest
from archives import change_of, rewritten
from keras import layers

from pytest_cnnaudit import Engine, ModelError, load_model


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


@pytest.mark.one_backend
def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere\.keras' does not exist \(looked in "):
        Engine(tmp_path / "nowhere.keras")


@pytest.mark.one_backend
def test_other_suffix(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"1")
    with pytest.raises(ModelError, match=r"must end in \.keras or \.h5, not '\.pt'"):
        Engine(path)


# Folders


@pytest.mark.one_backend
def test_folder(tmp_path):
    with pytest.raises(ModelError, match=r"is a folder; give a \.keras or \.h5 file"):
        Engine(tmp_path)


@pytest.mark.one_backend
def test_saved_model(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"1")
    with pytest.raises(ModelError, match="folder with a TensorFlow SavedModel, which Keras 3 can't load"):
        Engine(tmp_path)


@pytest.mark.one_backend
def test_unpacked_model(saved, tmp_path):
    zipfile.ZipFile(saved[".keras"]).extractall(tmp_path)
    with pytest.raises(ModelError, match="folder with an unpacked model: pack it with zip"):
        Engine(tmp_path)


# Files that are none or broken


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


@pytest.mark.one_backend
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kind", KINDS)
def test_foreign_file(tmp_path, suffix, kind):
    content, words = KINDS[kind]
    marker, path = tmp_path / "executed", tmp_path / f"model{suffix}"
    path.write_bytes(content(marker))
    with pytest.raises(ModelError, match=rf"model{suffix}' \(\d+ bytes\) is not an? .*: {words}"):
        Engine(path)
    assert not marker.exists()


@pytest.mark.one_backend
@pytest.mark.parametrize(("suffix", "other", "kind"), [(".keras", ".h5", "HDF5 file"), (".h5", ".keras", "archive")])
def test_renamed_file(saved, tmp_path, suffix, other, kind):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(saved[other].read_bytes())
    with pytest.raises(ModelError, match=rf"is not an? .*: it is an? .*{kind}"):
        Engine(path)


@pytest.mark.one_backend
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_file_cut_short(saved, tmp_path, suffix, share):
    content, path = saved[suffix].read_bytes(), tmp_path / f"model{suffix}"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match=rf"model{suffix}'.* is cut short or damaged"):
        Engine(path)


@pytest.mark.one_backend
def test_archive_with_a_hole(saved, tmp_path):
    """As a broken download leaves it: the directory at the end is there, the middle is not."""
    content, path = saved[".keras"].read_bytes(), tmp_path / "model.keras"
    path.write_bytes(content[: len(content) // 2] + content[len(content) // 2 + 700 :])
    with pytest.raises(ModelError, match="damaged"):
        Engine(path)


@pytest.mark.one_backend
def test_archive_with_changed_bytes(saved, tmp_path):
    content, path = bytearray(saved[".keras"].read_bytes()), tmp_path / "model.keras"
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"is damaged: the checksum of model\.weights\.h5 in it is wrong"):
        Engine(path)


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
