"""Plain JSON values of what a finding holds, and digests of them.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def to_json(value: Any) -> Any:
    """Plain JSON values: NumPy numbers and arrays converted, NaN and infinity as null, never invalid JSON.

    A dataclass is the mapping of its fields, without those that are optional and None.
    """
    # What there is most of comes first: a finding has a result of each of its cases.
    kind = type(value)
    if value is None or kind is str or kind is bool or kind is int:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return str(value)
    if is_dataclass(value):
        pairs = ((one, getattr(value, one.name)) for one in fields(value))
        return {one.name: to_json(item) for one, item in pairs if item is not None or "optional" not in one.metadata}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return to_json(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int) else str(value)


def digest(value: Any) -> str:
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(to_json(value), sort_keys=True).encode()).hexdigest()
