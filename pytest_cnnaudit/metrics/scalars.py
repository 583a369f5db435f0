"""Arguments of measures that are single numbers.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from numbers import Real


def check_number(value: object, name: str) -> None:
    """`TypeError` naming the argument for anything but a real number; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}; a number is expected")
