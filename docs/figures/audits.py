"""Findings of assertions outside of pytest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_cnnaudit import AuditFailure, Engine
from pytest_cnnaudit.audit import Audit, Settings
from pytest_cnnaudit.engine.cache import Cache
from pytest_cnnaudit.findings import Finding
from pytest_cnnaudit.record import Recorder


@contextmanager
def auditing(engine: Engine) -> Iterator[Callable[..., Finding]]:
    """Give a function of an assertion's name and its arguments: what it finds on the model, passed or not."""
    cache = Cache(engine)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder), "docs")
        recorder.start("docs")
        audit = Audit("docs", recorder, lambda: cache, Settings(artifacts="off"))

        def found(assertion: str, *arguments: Any, **options: Any) -> Finding:
            try:
                finding: Finding = getattr(audit, assertion)(*arguments, **options)
            except AuditFailure as failure:
                return failure.finding
            return finding

        yield found
