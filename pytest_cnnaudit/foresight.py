"""Which assertions the collected tests will make, guessed from their code: a hint that saves time, and decides nothing.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest


def foreseen(items: Iterable[pytest.Item], rootpath: Path) -> set[str]:
    """The names and strings in the tests' functions, in their parameters, and in what these functions call."""
    names: set[str] = set()
    seen: set[CodeType] = set()
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
        names.update(value for value in parameters if isinstance(value, str))
        waiting = [inspect.unwrap(item.function)] if isinstance(item, pytest.Function) else []
        while waiting:
            function = waiting.pop()
            if not isinstance(function, FunctionType) or function.__code__ in seen:
                continue
            seen.add(function.__code__)
            found = set(_words(function.__code__))
            names |= found
            called = _called(found, function, getattr(item, "cls", None))
            waiting.extend(one for one in called if _is_theirs(one, rootpath))
    return names


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
    """The functions that these words name: of the function's module, of modules in it, and of the test's class."""
    known = function.__globals__
    places = [known, *(vars(known[word]) for word in words if isinstance(known.get(word), ModuleType))]
    places += [vars(one) for one in (owner.__mro__ if owner is not None else ())]
    for word in words:
        yield from (place[word] for place in places if isinstance(place.get(word), FunctionType))
