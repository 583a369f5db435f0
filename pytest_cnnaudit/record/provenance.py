"""Which model and which environment a record speaks of.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pytest_cnnaudit.cases import file_digest
from pytest_cnnaudit.engine.models import backend_in_use


def model(identity: Mapping[str, Any], path: Path | None) -> dict[str, Any]:
    """Digests of the model's file, and of its weights and architecture: what `Engine.identity` gives."""
    file = (
        {"file": None, "file_sha256": None} if path is None else {"file": path.name, "file_sha256": file_digest(path)}
    )
    return {**file, **identity}


def environment() -> dict[str, Any]:
    """Versions, and the backend and its device where Keras is in use."""
    versions = {name: metadata.version(name) for name in ("pytest", "keras", "numpy", "scipy", "pytest-cnnaudit")}
    return {"python": platform.python_version(), **versions, **backend_in_use(), "platform": platform.platform()}
