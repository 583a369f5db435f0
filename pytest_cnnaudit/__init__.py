"""Interpretability tests and release gates for image classifiers, on Keras 3 with TensorFlow, PyTorch and JAX.

Importing this package imports nothing heavy: each public name is fetched at its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_cnnaudit.audit import Audit
    from pytest_cnnaudit.cases import Box, Case, CaseError, Mask, load_cases
    from pytest_cnnaudit.engine import (
        Engine,
        FilterPatterns,
        Heatmaps,
        Layer,
        LayerStats,
        ModelError,
        Predictions,
        load_model,
    )
    from pytest_cnnaudit.findings import AuditFailure, Finding
    from pytest_cnnaudit.metrics import EmptyHeatmapError
    from pytest_cnnaudit.preprocessing import KerasResizing, Preprocessing, PreprocessingWarning

__version__ = "0.1.0"

_ROOMS = {
    "audit": ("Audit",),
    "cases": ("Box", "Case", "CaseError", "Mask", "load_cases"),
    "engine": (
        "Engine",
        "FilterPatterns",
        "Heatmaps",
        "Layer",
        "LayerStats",
        "ModelError",
        "Predictions",
        "load_model",
    ),
    "metrics": ("EmptyHeatmapError",),
    "preprocessing": ("KerasResizing", "Preprocessing", "PreprocessingWarning"),
    "findings": ("AuditFailure", "Finding"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Audit",
    "AuditFailure",
    "Box",
    "Case",
    "CaseError",
    "EmptyHeatmapError",
    "Engine",
    "FilterPatterns",
    "Finding",
    "Heatmaps",
    "KerasResizing",
    "Layer",
    "LayerStats",
    "Mask",
    "ModelError",
    "Predictions",
    "Preprocessing",
    "PreprocessingWarning",
    "load_cases",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
