"""Tracebacks that end where the user's own code does: an error of ours says what to mend.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def hide_our_frames(excinfo: pytest.ExceptionInfo[BaseException], is_ours: Callable[[Any], bool]) -> str | None:
    """Ends an error's traceback at the user's own line; where there is none, gives what to show instead of it.

    An error of ours that doesn't tell the user what to mend keeps its traceback.
    """
    if not isinstance(excinfo.value, (ValueError, TypeError, AssertionError, pytest.UsageError, Warning)):
        return None
    return None if _cut_at_user_line(excinfo, is_ours) else f"{excinfo.typename}: {excinfo.value}"


def _cut_at_user_line(excinfo: pytest.ExceptionInfo[BaseException], is_ours: Callable[[Any], bool]) -> bool:
    """Ends the traceback at the user's own line; False where there is none, as in one of our fixtures."""
    entries = list(itertools.takewhile(lambda entry: not is_ours(entry), excinfo.traceback))
    if all({"_pytest", "pluggy"} & set(Path(entry.path).parts) for entry in entries):
        return False
    # pytest follows the chain of raw entries, so what is only left out of the list would come back.
    last = excinfo.tb
    for _ in entries[1:]:
        last = last.tb_next or last
    last.tb_next = None
    excinfo.traceback = type(excinfo.traceback)(entries)
    excinfo.value.__cause__ = None
    excinfo.value.__suppress_context__ = True
    return True
