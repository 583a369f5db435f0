"""Keras' backend: chosen while it is not too late, and what is said where it can't start.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import sys

import pytest


def choose_backend(name: str) -> None:
    """Tells Keras which backend to use; refuses one that is not known, and any when Keras was imported with another."""
    known = ("tensorflow", "torch", "jax")
    if name not in known:
        raise pytest.UsageError(f"--cnnaudit-backend: {name!r} is not one of {', '.join(known)}")
    if "keras" in sys.modules:
        current = sys.modules["keras"].config.backend()
        if current != name:
            raise pytest.UsageError(
                f"--cnnaudit-backend {name}: too late, Keras was already imported with the backend {current!r} "
                f"(by a conftest.py or another plugin); set KERAS_BACKEND={name} in the environment instead"
            )
    os.environ["KERAS_BACKEND"] = name


def check_keras_starts() -> None:
    """Imports Keras; where its backend is missing, says what to install."""
    try:
        import pytest_cnnaudit.engine.models.keras.backends  # noqa: F401
    except (ImportError, ValueError) as error:
        name = os.environ.get("KERAS_BACKEND", "of ~/.keras/keras.json")
        raise pytest.UsageError(
            f"Keras can't start with the backend {name}: {error}. Install it, as with "
            "pip install 'pytest-cnnaudit[jax]', or choose another one with --cnnaudit-backend"
        ) from error
