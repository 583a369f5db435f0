"""The values of a case: labels, numbers, and what an error message shows of a wrong one.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import difflib
import math
import numbers
import operator
import os
import sys
from collections.abc import Iterable
from typing import TypeAlias

from pytest_cnnaudit.cases.errors import CaseError
from pytest_cnnaudit.checks import is_integer

Label: TypeAlias = str | int


def finite_number(value: object, name: str) -> float:
    """The value as a float; `CaseError` naming it where it is no number (a bool is none), NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise CaseError(f"{name} is {shortened(value)} (must be a number)")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise CaseError(f"{name} is {number} (must be finite)")
    return number


def as_labels(value: object, where: str) -> Label | tuple[Label, ...]:
    """A label, or a tuple of several, as builtins; `CaseError` beginning with `where` for anything else."""
    if not isinstance(value, tuple | list):
        return _as_label(value, where)
    if not value:
        raise CaseError(f"{where} is an empty tuple (leave it out where there is none)")
    labels = tuple(_as_label(item, f"{where}[{index}]") for index, item in enumerate(value))
    if len(set(labels)) < len(labels):
        raise CaseError(f"{where} is {labels!r} (each label once)")
    return labels


def _as_label(value: object, where: str) -> Label:
    if isinstance(value, str):
        if not value:
            raise CaseError(f"{where} is an empty text (must be a class name)")
        return str(value)
    if not is_integer(value):
        raise CaseError(f"{where} is {shortened(value)} (must be a class name, a class index, or a tuple of these)")
    index = operator.index(value)
    if index < 0:
        raise CaseError(f"{where} is {index} (a class index must be ≥ 0)")
    return index


def nearest(value: str, known: Iterable[str]) -> str:
    """A hint for an error message: " (did you mean 'cat'?)", or nothing where no known name is near."""
    matches = difflib.get_close_matches(value, list(known), n=1)
    return f" (did you mean '{matches[0]}'?)" if matches else ""


def is_of(value: object, module: str, name: str) -> bool:
    """Whether the value is of a class of a module that need not be loaded: if it isn't, nothing is."""
    return isinstance(value, getattr(sys.modules.get(module), name, ()))


def shortened(value: object, most: int = 80) -> str:
    """What an error message shows of a value, at most so many characters."""
    if is_of(value, "numpy", "ndarray"):
        return f"<{value.dtype} array {value.shape}>"  # type: ignore[attr-defined]
    if is_of(value, "PIL.Image", "Image"):
        return f"<PIL {value.mode} picture {value.width} × {value.height}>"  # type: ignore[attr-defined]
    text = repr(str(value)) if isinstance(value, os.PathLike) else repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
