"""Which model, which pictures and which environment a record speaks of.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Hashable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from pytest_cnnaudit.cases import Box, Case, InputCase
from pytest_cnnaudit.findings import digest
from pytest_cnnaudit.preprocessing import open_picture
from pytest_cnnaudit.record.files import file_digest


def model(identity: Mapping[str, Any], path: Path | None) -> dict[str, Any]:
    """Digests of the model's file, and of its weights and architecture: what `Engine.identity` gives."""
    file = (
        {"file": None, "file_sha256": None} if path is None else {"file": path.name, "file_sha256": file_digest(path)}
    )
    return {**file, **identity}


def environment() -> dict[str, Any]:
    """Versions, and the backend and its device where Keras is in use."""
    versions = {name: metadata.version(name) for name in ("pytest", "keras", "numpy", "scipy", "pytest-cnnaudit")}
    return {"python": platform.python_version(), **versions, **_backend(), "platform": platform.platform()}


def _backend() -> dict[str, str | None]:
    if "keras" not in sys.modules:
        return {"backend": None, "backend_version": None, "device": None}
    from pytest_cnnaudit.engine.models.keras.backends import described

    return described()


def picture_key(case: Case) -> Hashable:
    """What tells one picture from another: a file by path, time and size, what is in memory by content."""
    if isinstance(case, InputCase):
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


def picture_digest(case: Case) -> str:
    """Digest of what the picture holds: a file's bytes wherever it lies, what is in memory by content."""
    image = case.image
    return file_digest(Path(image)) if isinstance(image, (str, os.PathLike)) else str(picture_key(case))


def case_digest(case: Case) -> str:
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
