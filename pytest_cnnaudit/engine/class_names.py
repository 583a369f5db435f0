"""The classes' names in the order of the model's outputs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path


def read_class_names(source: str | PathLike[str] | Sequence[str]) -> tuple[str, ...]:
    """Class names from a text file, one a line in the order of the outputs, or as given."""
    if isinstance(source, (str, PathLike)):
        try:
            text = Path(source).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"The class names {str(source)!r} can't be read: {error}") from error
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
    else:
        names = tuple(source)
    if not names:
        raise ValueError(f"The class names {str(source)!r} are empty; one name a line is expected")
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise TypeError(f"A class name must be a str, not {wrong[0]!r}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"The class name {twice!r} stands twice in the class names")
    return names
