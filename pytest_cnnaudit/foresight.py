"""Which assertions the collected tests will make, guessed from their code: a hint that saves time, and decides nothing.

Only looks: no attribute of an object of the tests' is asked for that could run code of theirs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeGuard

import pytest

if TYPE_CHECKING:
    from pytest_cnnaudit.engine.passes import Wanted


_WANTED = {
    "class_evidence": {
        *("predict", "assert_predicts", "assert_mass_inside", "assert_avoids", "assert_points_at", "assert_iou"),
        *("assert_object_matters", "assert_object_suffices", "assert_ignores_patch", "assert_ignores_background"),
    },
    "sparsity": {"assert_sparsity_rises", "assert_no_dead_filters"},
    "finiteness": {"assert_finite"},
}
"""What of the model is wanted, by the names that say so."""


def wanted(names: Collection[str]) -> list[Wanted]:
    """What is wanted of a model by what has these names."""
    from pytest_cnnaudit.engine import passes

    return [getattr(passes, what) for what, known in _WANTED.items() if not known.isdisjoint(names)]


def foreseen(items: Iterable[pytest.Item], rootpath: Path) -> set[str]:
    """The names and strings in the tests' functions, in their parameters, and in what these functions call."""
    names: set[str] = set()
    seen: set[tuple[CodeType, type | None]] = set()
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
        names.update(value for value in parameters if type(value) is str)
        owner = getattr(item, "cls", None)
        waiting = [item.function] if isinstance(item, pytest.Function) and _is(item.function, FunctionType) else []
        while waiting:
            function = waiting.pop()
            if (function.__code__, owner) in seen:
                continue
            seen.add((function.__code__, owner))
            found = set(_words(function.__code__))
            names |= found
            waiting.extend(one for one in _called(found, function, owner) if _is_theirs(one, rootpath))
    return names


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
