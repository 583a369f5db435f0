"""What the record says of the model and of the environment."""

import keras
import pytest

from pytest_cnnaudit import Engine
from pytest_cnnaudit.record import provenance

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def model(backend):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name="head"),
        ]
    )


def identity(model):
    return Engine(model).identity()


@pytest.mark.every_backend
def test_a_model_saved_again_is_another_file_with_the_same_weights(model, tmp_path):
    first, second = tmp_path / "first.keras", tmp_path / "second.keras"
    model.save(first)
    keras.saving.load_model(first).save(second)
    second_loaded = keras.saving.load_model(second)
    one, two = provenance.model(identity(model), first), provenance.model(identity(second_loaded), second)
    assert one["file_sha256"] != two["file_sha256"]
    for name in ("weights_sha256", "architecture_sha256", "parameters"):
        assert one[name] == two[name], name
    weights = second_loaded.get_weights()
    weights[0][0, 0, 0, 0] += 1
    second_loaded.set_weights(weights)
    changed = provenance.model(identity(second_loaded), None)
    assert changed["weights_sha256"] != one["weights_sha256"]
    assert changed["file_sha256"] is None


@pytest.mark.every_backend
def test_the_environment_names_the_backend_that_runs(backend):
    environment = provenance.environment()
    assert environment["backend"] == backend
    assert environment["keras"] == keras.__version__
    assert environment["backend_version"][0].isdigit()
    assert environment["device"]
