"""Model and pictures in, arrays out; knows nothing of pytest.

PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.engine.engine import Engine
from pytest_cnnaudit.engine.heatmaps import Heatmaps
from pytest_cnnaudit.engine.models.keras.kernels import Kernels
from pytest_cnnaudit.engine.models.keras.loading import ModelError, load_model, read_class_names
from pytest_cnnaudit.engine.models.keras.tracing import Layer
from pytest_cnnaudit.engine.outputs import Predictions
from pytest_cnnaudit.engine.patterns import FilterPatterns
from pytest_cnnaudit.engine.statistics import LayerStats

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
