"""What all readers of annotations do: texts of files, numbers and truth values in them, one value or several.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pytest_cnnaudit.cases.errors import CaseError
from pytest_cnnaudit.cases.fields import finite_number

T = TypeVar("T")


def one_or_more(values: Sequence[T]) -> T | tuple[T, ...] | None:
    """Each value once, in order: None for none, the value itself for one, else a tuple."""
    unique = tuple(dict.fromkeys(values))
    return unique if len(unique) > 1 else next(iter(unique), None)


def prefixed(where: str, make: Callable[[], T]) -> T:
    """What is made, with `where` before what is wrong with it."""
    try:
        return make()
    except CaseError as error:
        raise CaseError(f"{where}: {error}") from None


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, without a byte order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CaseError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise CaseError(f"{path}: can't be read ({error.strerror})") from error


def as_number(text: str, name: str) -> float:
    """The finite number that a text is."""
    try:
        number = float(text)
    except ValueError:
        raise CaseError(f"{name} is {text!r} (must be a number)") from None
    return finite_number(number, name)


def as_bool(text: str, name: str) -> bool:
    """The truth value that a text is; an empty one is false."""
    values = {"": False, "false": False, "0": False, "true": True, "1": True}
    if text.strip().lower() not in values:
        raise CaseError(f"{name} is {text!r} (must be true or false)")
    return values[text.strip().lower()]
