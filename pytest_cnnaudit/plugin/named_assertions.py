"""Which assertions the collected tests name in their code: a hint that saves time, and decides nothing.

Only looks: no attribute of an object of the tests' is asked for that could run code of theirs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeGuard

import pytest


def named(items: Iterable[pytest.Item], rootpath: Path) -> set[str]:
    """The names and strings in the tests' functions, in their parameters, and in what these functions call."""
    found: set[str] = set()
    seen: set[tuple[CodeType, type | None]] = set()
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
        found.update(value for value in parameters if type(value) is str)
        owner = getattr(item, "cls", None)
        waiting = [item.function] if isinstance(item, pytest.Function) and _is(item.function, FunctionType) else []
        while waiting:
            function = waiting.pop()
            if (function.__code__, owner) in seen:
                continue
            seen.add((function.__code__, owner))
            words = set(_words(function.__code__))
            found |= words
            waiting.extend(one for one in _called(words, function, owner) if _is_theirs(one, rootpath))
    return found


def _is(value: object, kind: type) -> bool:
    """`isinstance`, but of the object itself: a lazy one may say that it is of another class, or do work to say it."""
    return issubclass(type(value), kind)


def _is_theirs(function: FunctionType, rootpath: Path) -> bool:
    """Whether it is of the project that is tested, not of a library."""
    path = Path(function.__code__.co_filename)
    return path.is_relative_to(rootpath) and "site-packages" not in path.parts


def _words(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _words(constant)
        elif isinstance(constant, str):
            yield constant


def _called(words: Iterable[str], function: FunctionType, owner: type | None) -> Iterator[FunctionType]:
    """The functions that these words name, and what they wrap.

    Of the function's module, of modules in it, and of the test's class.
    """
    known = function.__globals__
    places: list[Mapping[str, Any]] = [known]
    places += [vars(known[word]) for word in words if _is(known.get(word), ModuleType)]
    places += [vars(one) for one in (owner.__mro__ if owner is not None else ())]
    yield from _functions([vars(function).get("__wrapped__")])
    for word in words:
        yield from _functions(place.get(word) for place in places)


def _functions(values: Iterable[object]) -> Iterator[FunctionType]:
    return filter(_is_function, values)


def _is_function(value: object) -> TypeGuard[FunctionType]:
    return _is(value, FunctionType)
