"""Which model, which pictures and which environment a record speaks of.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import os
import platform
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pytest_cnnaudit.cases import Box, Case
from pytest_cnnaudit.engine import backends
from pytest_cnnaudit.record import digest, file_digest
from pytest_cnnaudit.results import picture_key


def model(audited: keras.Model, path: Path | None) -> dict[str, Any]:
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


def _architecture(audited: keras.Model) -> str | None:
    """None for a subclassed model that says nothing of its layers."""
    try:
        return hashlib.sha256(audited.to_json(sort_keys=True).encode()).hexdigest()
    except (NotImplementedError, TypeError, ValueError):
        return None


def environment() -> dict[str, Any]:
    """Versions and the device."""
    backend = keras.config.backend()
    versions = {name: metadata.version(name) for name in ("pytest", "keras", "numpy", "scipy", "pytest-cnnaudit")}
    return {
        "python": platform.python_version(),
        **versions,
        "backend": backend,
        "backend_version": metadata.version(backend),
        "device": backends.current().device(),
        "platform": platform.platform(),
    }


def case_digest(case: Case) -> str:
    """Digest of a case's picture (its bytes), label and regions."""
    image = case.image
    picture = file_digest(Path(image)) if isinstance(image, (str, os.PathLike)) else picture_key(case)
    regions = [
        [
            [region.left, region.top, region.right, region.bottom] if isinstance(region, Box) else _mask_digest(region)
            for region in some
        ]
        for some in (case.regions, case.forbidden_regions)
    ]
    return digest([picture, list(case.labels), *regions])


def _mask_digest(region: Any) -> str:
    return hashlib.sha256(f"{region.array.shape}".encode() + np.packbits(region.array).tobytes()).hexdigest()
