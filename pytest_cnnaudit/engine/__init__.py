"""Model and pictures in, arrays out; knows nothing of pytest.

Importing it imports no framework: `load_model` is fetched at its first use.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_cnnaudit.engine.class_names import read_class_names
from pytest_cnnaudit.engine.engine import Engine
from pytest_cnnaudit.engine.errors import ModelError
from pytest_cnnaudit.engine.heatmaps import Heatmaps
from pytest_cnnaudit.engine.kernels import Kernels
from pytest_cnnaudit.engine.layers import Layer
from pytest_cnnaudit.engine.outputs import Predictions
from pytest_cnnaudit.engine.patterns import FilterPatterns
from pytest_cnnaudit.engine.statistics import LayerStats

if TYPE_CHECKING:
    from pytest_cnnaudit.engine.models.keras.loading import load_model

__all__ = [
    "Engine",
    "FilterPatterns",
    "Heatmaps",
    "Kernels",
    "Layer",
    "LayerStats",
    "ModelError",
    "Predictions",
    "load_model",
    "read_class_names",
]


def __getattr__(name: str) -> Any:
    if name != "load_model":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pytest_cnnaudit.engine.models.keras.loading import load_model

    return load_model
