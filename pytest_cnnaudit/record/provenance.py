"""Which model, which pictures and which environment a record speaks of.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import warnings
from collections.abc import Hashable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_cnnaudit.cases import Box, InputRow, Sample
from pytest_cnnaudit.findings import digest
from pytest_cnnaudit.preprocessing import open_picture
from pytest_cnnaudit.record.files import file_digest

if TYPE_CHECKING:
    import keras


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
    """Versions, and the backend and its device where Keras is in use."""
    versions = {name: metadata.version(name) for name in ("pytest", "keras", "numpy", "scipy", "pytest-cnnaudit")}
    return {"python": platform.python_version(), **versions, **_backend(), "platform": platform.platform()}


def _backend() -> dict[str, str | None]:
    if "keras" not in sys.modules:
        return {"backend": None, "backend_version": None, "device": None}
    import keras

    from pytest_cnnaudit.engine.models.keras import backends

    name = keras.config.backend()
    # TensorFlow is also distributed under other names, which a look-up by name would miss.
    version = str(sys.modules[name].__version__)
    return {"backend": name, "backend_version": version, "device": backends.current().device()}


def picture_key(case: Sample) -> Hashable:
    """What tells one picture from another: a file by path, time and size, what is in memory by content."""
    if isinstance(case, InputRow):
        return case.digest
    image = case.image
    if isinstance(image, (str, os.PathLike)):
        # Asked for every case of every assertion, so without pathlib.
        path = os.fspath(image)
        path = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)  # noqa: PTH117, PTH118, PTH109
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return path
        return (path, status.st_mtime_ns, status.st_size)
    # As the model will see it: the same numbers mean another picture with another palette or orientation.
    picture = open_picture(case)
    return hashlib.sha256(f"{picture.mode}{picture.size}".encode() + picture.tobytes()).hexdigest()


def picture_digest(case: Sample) -> str:
    """Digest of what the picture holds: a file's bytes wherever it lies, what is in memory by content."""
    if isinstance(case, InputRow):
        return case.digest
    image = case.image
    return file_digest(Path(image)) if isinstance(image, (str, os.PathLike)) else str(picture_key(case))


def case_digest(case: Sample) -> str:
    """Digest of a case's picture (its bytes), label and regions."""
    regions = [
        [
            [region.left, region.top, region.right, region.bottom] if isinstance(region, Box) else _mask_digest(region)
            for region in some
        ]
        for some in (case.regions, case.forbidden_regions)
    ]
    return digest([picture_digest(case), list(case.labels), *regions])


def _mask_digest(region: Any) -> str:
    return hashlib.sha256(f"{region.array.shape}".encode() + np.packbits(region.array).tobytes()).hexdigest()
