"""Checks of arguments, before anything is computed: numbers, integers, choices, functions.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Iterable
from functools import partial
from numbers import Integral, Real
from typing import Any, TypeGuard


def number(value: Any, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number within bounds, as a `float`; else an error that names the argument."""
    check_number(value, name)
    try:
        is_finite = math.isfinite(value)
    except OverflowError:  # an int beyond all floats
        is_finite = False
    if not is_finite:
        raise ValueError(f"{name} is {value!r}; a finite number is expected")
    if not low <= float(value) <= high:
        raise ValueError(f"{name} is {value!r}; a number from {low:g} to {high:g} is expected")
    return float(value)


def check_number(value: Any, name: str) -> None:
    """`TypeError` naming the argument for anything but a real number; a boolean is not one."""
    if is_boolean(value) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}; a number is expected")


def integer(value: Any, name: str, least: int) -> int:
    """An integer of at least `least`; else a `ValueError` that names the argument."""
    if not is_integer(value) or value < least:
        raise ValueError(f"{name} is {value!r}; an integer of at least {least} is expected")
    return operator.index(value)


def choice(value: Any, name: str, known: Iterable[str]) -> str:
    """One of the known words; else a `ValueError` that names the argument and lists them."""
    words = tuple(known)
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{name} is {value!r}; known: {', '.join(map(repr, words))}")
    return value


def is_integer(value: object) -> TypeGuard[int]:
    """Whether it is an integer, Python's or NumPy's, and no boolean."""
    return isinstance(value, Integral) and not is_boolean(value)


def is_boolean(value: Any) -> bool:
    """Whether it is a boolean, Python's or NumPy's."""
    return type(value).__name__ in ("bool", "bool_")


def check_call(function: Callable[..., Any], argument: str, takes: tuple[str, ...], expected: str) -> None:
    """`TypeError` naming the `argument` that the function came as, unless it can be called with so many values.

    What it is called with is named in `takes`, and what would be right is `expected`. A builtin that does not say
    what it takes is let through.
    """
    try:
        _bind(function, takes)
    except TypeError as error:
        raise TypeError(
            f"{argument} is {called(function)!r}, which can't be called as it will be, with ({', '.join(takes)}): "
            f"{error}; {expected} is expected"
        ) from None


def called(function: Callable[..., Any]) -> str:
    """What a message calls a function."""
    plain = function.func if isinstance(function, partial) else function
    return getattr(plain, "__name__", type(plain).__name__)


def defined_at(function: Callable[..., Any]) -> tuple[str, str]:
    """The file and the qualified name of a function: the same for one that was imported twice, and for no other."""
    plain = inspect.unwrap(function.func if isinstance(function, partial) else function)
    code = getattr(plain, "__code__", None)
    file = getattr(plain, "__module__", "") if code is None else code.co_filename
    return str(file), getattr(plain, "__qualname__", type(plain).__qualname__)


def _bind(function: Callable[..., Any], takes: tuple[str, ...]) -> None:
    signature = _signature(function)
    if signature is not None:
        signature.bind(*takes)
    elif isinstance(function, partial) and (whole := _signature(function.func)) is not None:
        whole.bind_partial(*function.args, **function.keywords)


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    """None for a builtin that has none, and for a partial with arguments that its function does not take."""
    try:
        # Of a decorated function that of the decorator, which is what will be called.
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None
