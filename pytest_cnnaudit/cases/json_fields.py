"""Values of a JSON file by their keys, checked for their types.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from pytest_cnnaudit.cases.annotations import read_text
from pytest_cnnaudit.cases.errors import CaseError
from pytest_cnnaudit.cases.fields import shortened


def parse_json(path: Path) -> object:
    """What a file of strict JSON holds; `CaseError` naming file and line for any other."""

    def refuse(constant: str) -> NoReturn:
        raise CaseError(f"{path}: holds {constant} (numbers must be finite)")

    try:
        return json.loads(read_text(path), parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise CaseError(f"{path}: line {error.lineno}: is not JSON ({error.msg})") from error
    except RecursionError as error:
        raise CaseError(f"{path}: is nested too deeply") from error


def get(entry: object, key: str, kinds: type | tuple[type, ...], where: str) -> Any:
    """The value of a key that must be there and of one of these JSON types."""
    if not isinstance(entry, dict):
        raise CaseError(f"{where}: is {shortened(entry, 60)} (must be an object)")
    if key not in entry:
        raise CaseError(f"{where}: '{key}' is missing")
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, kinds):
        expected = kinds if isinstance(kinds, tuple) else (kinds,)
        raise CaseError(
            f"{where}.{key}: is {shortened(value, 60)} (must be {' or '.join(kind.__name__ for kind in expected)})"
        )
    return value


def get_text(entry: object, key: str, where: str) -> str:
    """The non-empty text of a key that must be there."""
    text: str = get(entry, key, str, where)
    if not text:
        raise CaseError(f"{where}.{key}: is empty")
    return text
