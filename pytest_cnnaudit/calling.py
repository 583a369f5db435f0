"""Whether a function that a user hands over can be called as it will be, asked before anything is computed.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any


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
