"""What every room's tests share."""

import os
import tempfile

import pytest

# Without oneDNN TensorFlow has no channels-first convolutions on the CPU; by default that depends on the processor.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# A keras.json in somebody's home must not change what is tested: not the precision, the data format, the backend.
if "KERAS_HOME" not in os.environ:
    _keras_home = tempfile.TemporaryDirectory(prefix="cnnaudit-keras-")
    os.environ["KERAS_HOME"] = _keras_home.name

pytest_plugins = ("pytester",)


@pytest.fixture(scope="session")
def backend() -> str:
    """The backend Keras runs on in this process, which must be the one that was asked for."""
    import keras

    running = keras.backend.backend()
    requested = os.environ.get("KERAS_BACKEND", running)
    assert running == requested, f"KERAS_BACKEND asks for {requested!r}, but Keras runs on {running!r}"
    return running
