"""`@pytest.mark.cnnaudit`: options for one test.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_cnnaudit.checks import is_integer
from pytest_cnnaudit.plugin import options

if TYPE_CHECKING:
    from pytest_cnnaudit.audit import Settings

MARKER = "cnnaudit"
MARKER_OPTIONS = ("artifacts", "inconclusive", "seed")


def marked(item: pytest.Item) -> dict[str, Any]:
    """The options a test's markers give, the closest marker first; `pytest.UsageError` for a wrong one."""
    given: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers(MARKER))):
        wrong = [name for name in marker.kwargs if name not in MARKER_OPTIONS]
        if marker.args or wrong:
            raise pytest.UsageError(
                f"{item.nodeid}: @pytest.mark.cnnaudit takes {', '.join(MARKER_OPTIONS)} by name, not "
                + (repr(marker.args[0]) if marker.args else repr(wrong[0]))
            )
        for name, value in marker.kwargs.items():
            choices = options.BY_NAME[name].choices
            if choices and value not in choices:
                raise pytest.UsageError(f"{item.nodeid}: {name}={value!r} is not one of {', '.join(choices)}")
            if name == "seed" and not (is_integer(value) and value >= 0):
                raise pytest.UsageError(f"{item.nodeid}: seed={value!r} is not a whole number")
        given.update(marker.kwargs)
    return given


def settings(item: pytest.Item) -> Settings:
    """What options and markers say of a test."""
    from pytest_cnnaudit.audit import Settings

    names = ("artifacts", "inconclusive", "seed", "pictures")
    return Settings(**{**{name: options.value(item.config, name) for name in names}, **marked(item)})
