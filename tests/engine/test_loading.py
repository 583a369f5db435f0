"""Model files and class names: read right, or an error that says what is wrong with them."""

import keras
import networks
import numpy as np
import pytest
from keras import layers

from pytest_cnnaudit import Engine, ModelError, load_model
from pytest_cnnaudit.engine import read_class_names


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


def test_folder(tmp_path):
    with pytest.raises(ModelError, match="is a folder"):
        Engine(tmp_path)


def test_other_suffix(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"1")
    with pytest.raises(ModelError, match=r"must end in \.keras or \.h5, not '\.pt'"):
        Engine(path)


def test_truncated_file(tmp_path):
    path = tmp_path / "model.keras"
    networks.build("functional").save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ModelError, match=r"model\.keras' \(2000 bytes\) is not a Keras 3 archive, or it is cut short"):
        Engine(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_foreign_file(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_text("not a model")
    with pytest.raises(ModelError, match=f"model{suffix}'"):
        Engine(path)


def test_archive_that_holds_something_else(tmp_path):
    import zipfile

    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "not a model")
    with pytest.raises(ModelError, match=r"model\.keras' can't be loaded"):
        Engine(path)


_leaving_a_trace = lambda x: (  # noqa: E731 - goes into the file as byte code, so it imports what it needs
    __import__("pathlib").Path(__import__("os").environ["CNNAUDIT_TEST_MARKER"]).touch(),
    x,
)[1]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_lambda_is_refused_and_not_executed(tmp_path, suffix, monkeypatch):
    marker = tmp_path / "executed"
    monkeypatch.setenv("CNNAUDIT_TEST_MARKER", str(marker))
    picture = keras.Input((8, 8, 3))
    x = layers.Lambda(_leaving_a_trace, output_shape=(8, 8, 3))(picture)
    model = keras.Model(picture, layers.Dense(2)(layers.Flatten()(x)))
    path = tmp_path / f"model{suffix}"
    model.save(path)
    model(np.zeros((1, 8, 8, 3), np.float32))
    assert marker.exists()
    marker.unlink()
    with pytest.raises(ModelError, match="never executed here"):
        Engine(path)
    assert not marker.exists()


class Unregistered(layers.Layer):
    """A custom layer that the file knows by name only."""

    def call(self, x):
        return x * 2


def test_custom_layer(tmp_path):
    picture = keras.Input((8, 8, 3))
    x = layers.GlobalAveragePooling2D()(Unregistered(name="custom")(layers.Conv2D(2, 3, name="conv")(picture)))
    path = tmp_path / "model.keras"
    keras.Model(picture, layers.Dense(2)(x)).save(path)
    assert Engine(load_model(path, {"Unregistered": Unregistered})).default_layer == "custom"
    registered = Unregistered.__name__
    text = "uses a class that is not known here. .*--cnnaudit-import.*cnnaudit_custom_objects"
    broken = path.with_name("broken.keras")
    rewrite_config(path, broken, registered, "Elsewhere")
    with pytest.raises(ModelError, match=text):
        Engine(broken)


def rewrite_config(source, target, old, new):
    """The file as somebody else's: their class does not exist here."""
    import zipfile

    with zipfile.ZipFile(source) as given, zipfile.ZipFile(target, "w") as made:
        for name in given.namelist():
            content = given.read(name)
            made.writestr(name, content.replace(old.encode(), new.encode()) if name == "config.json" else content)


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
