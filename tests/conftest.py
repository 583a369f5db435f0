"""What every room's tests share."""

import os
import tempfile
from pathlib import Path

import pytest

# Without oneDNN TensorFlow has no channels-first convolutions on the CPU; by default that depends on the processor.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# A keras.json in somebody's home must not change what is tested: not the precision, the data format, the backend.
if "KERAS_HOME" not in os.environ:
    _keras_home = tempfile.TemporaryDirectory(prefix="cnnaudit-keras-")
    os.environ["KERAS_HOME"] = _keras_home.name

pytest_plugins = ("pytester",)

CACHE = "JAX_COMPILATION_CACHE_DIR"
if CACHE in os.environ and "PYTEST_XDIST_WORKER" in os.environ:
    # JAX writes a file of its cache while another process may be reading it, so each worker has a cache of its own.
    os.environ[CACHE] += f"-{os.environ['PYTEST_XDIST_WORKER']}"

ENGINE = Path(__file__).resolve().parent / "engine"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What computes with a backend runs on each of them, what receives arrays from the engine on one.

    So the engine's tests are marked `every_backend` but for those marked `one_backend`, and of the other rooms' tests
    those alone that say it themselves. tox has the rest run on PyTorch, which starts quickest.
    """
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}.intersection({"every_backend", "one_backend"})
        if len(marks) > 1:
            raise pytest.UsageError(f"{item.nodeid} is marked every_backend and one_backend; it can't be both")
        if not marks and ENGINE in item.path.parents:
            item.add_marker("every_backend")


@pytest.fixture(scope="session")
def backend() -> str:
    """The backend Keras runs on in this process, which must be the one that was asked for."""
    import keras

    running = keras.backend.backend()
    requested = os.environ.get("KERAS_BACKEND", running)
    assert running == requested, f"KERAS_BACKEND asks for {requested!r}, but Keras runs on {running!r}"
    return running
