"""Which of an assertion's arguments say what was measured.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETTINGS = (
    "threshold",
    "grid",
    "patch",
    "where",
    "size",
    "backgrounds",
    "other",
    "steps",
    "noise",
    "samples",
    "transform",
)
"""Arguments that belong to the measure; thresholds and the rule for populations are told apart from them."""


def settings_of(demands: Mapping[str, Any]) -> str:
    """The arguments that say what was measured, where neither the measure's name nor a threshold does."""
    given = ((name, demands.get(name)) for name in SETTINGS)
    return ", ".join(f"{name} {_short(value)}" for name, value in given if value is not None)


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    more = f" and {len(value) - 3} more" if len(value) > 3 else ""
    return ", ".join(map(str, value[:3])) + more
