"""The one place with framework code: three modules with the same small interface.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib
import sys
from typing import cast

import keras

from pytest_cnnaudit.engine.models.keras.backends.interface import Backend


def current() -> Backend:
    """The backend Keras runs on in this process."""
    name = keras.backend.backend()
    known = {"tensorflow", "torch", "jax"}
    if name not in known:
        raise RuntimeError(
            f"Keras runs on the backend {name!r}; pytest-cnnaudit needs one of {sorted(known)}. "
            "Set KERAS_BACKEND or --cnnaudit-backend before Keras is imported."
        )
    return cast(Backend, importlib.import_module(f"{__name__}.{name}"))


def described() -> dict[str, str | None]:
    """The backend Keras runs on, its version and its device, for the record."""
    name = str(keras.config.backend())
    # TensorFlow is also distributed under other names, which a look-up by name would miss.
    version = str(sys.modules[name].__version__)
    return {"backend": name, "backend_version": version, "device": current().device()}
