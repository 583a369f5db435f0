"""Which model and which environment a record speaks of.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import platform
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from pytest_cnnaudit.cases import file_digest


def model(audited: Any, path: Path | None) -> dict[str, Any]:
    """Digests of the file, the weights and the architecture: a `.keras` file holds its save date as well."""
    weights = hashlib.sha256()
    with warnings.catch_warnings():
        # Keras' own conversion of a TensorFlow tensor uses what NumPy 2 deprecates.
        warnings.simplefilter("ignore", DeprecationWarning)
        arrays = [np.ascontiguousarray(array) for array in audited.get_weights()]
    for array in arrays:
        weights.update(f"{array.shape}{array.dtype}".encode())
        weights.update(array.tobytes())
    return {
        "file": None if path is None else path.name,
        "file_sha256": None if path is None else file_digest(path),
        "weights_sha256": weights.hexdigest(),
        "architecture_sha256": _architecture(audited),
        "parameters": int(audited.count_params()),
    }


def _architecture(audited: Any) -> str | None:
    """None for a subclassed model that says nothing of its layers."""
    try:
        return hashlib.sha256(audited.to_json(sort_keys=True).encode()).hexdigest()
    except (NotImplementedError, TypeError, ValueError):
        return None


def environment() -> dict[str, Any]:
    """Versions, and the backend and its device where Keras is in use."""
    versions = {name: metadata.version(name) for name in ("pytest", "keras", "numpy", "scipy", "pytest-cnnaudit")}
    return {"python": platform.python_version(), **versions, **_backend(), "platform": platform.platform()}


def _backend() -> dict[str, str | None]:
    keras = sys.modules.get("keras")
    if keras is None:
        return {"backend": None, "backend_version": None, "device": None}
    from pytest_cnnaudit.engine.models.keras import backends

    name = keras.config.backend()
    # TensorFlow is also distributed under other names, which a look-up by name would miss.
    version = str(sys.modules[name].__version__)
    return {"backend": name, "backend_version": version, "device": backends.current().device()}
