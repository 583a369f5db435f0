"""Files that are whole or not there, of text and of strict JSON.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pytest_cnnaudit.findings import to_json


def write_text(path: Path, text: str) -> Path:
    """Writes the whole file in one step or nothing: a reader never sees half of it. Gives the path.

    Folders are made where they are missing. A lone surrogate, which a node id may hold and UTF-8 can't write, is
    escaped.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(text.encode("utf-8", "backslashreplace"))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Strict JSON in one step: NaN and infinity become null."""
    return write_text(path, json.dumps(to_json(value), allow_nan=False, ensure_ascii=False, indent=1))
