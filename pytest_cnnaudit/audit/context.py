"""What every assertion is made with: the test, the engine with its cache, the recorder, the settings.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_cnnaudit.cases import Sample
from pytest_cnnaudit.findings import Finding

if TYPE_CHECKING:  # `check` needs neither a model nor a backend, so nothing here imports the engine
    from pytest_cnnaudit.engine import Engine
    from pytest_cnnaudit.engine.cache import Cache

_PACKAGE = __name__.partition(".")[0]


class Recorder(Protocol):
    """What keeps the findings."""

    def add(self, finding: Finding) -> None:
        """Keep a finding of a running test."""

    def saw(self, cases: Iterable[Sample], digest_of: Callable[[Sample], str]) -> None:
        """Note the cases that were judged, for the record's digest of the data."""

    def page(self, test: str) -> Path:
        """Give the path at which the test's page will be."""


@dataclass(frozen=True)
class Settings:
    """What of the options concerns a single test."""

    artifacts: str = "failed"
    inconclusive: str = "fail"
    seed: int = 0
    pictures: str = "embed"


class Context:
    """One test's recorder, settings, and engine with its cache, which are asked for when they are first needed."""

    def __init__(
        self, test: str, recorder: Recorder, cache: Callable[[], Cache], settings: Settings | None = None
    ) -> None:
        self.test = test
        self.recorder = recorder
        self.settings = Settings() if settings is None else settings
        self._get_cache = cache

    @property
    def cache(self) -> Cache:
        """What the session has computed."""
        return self._get_cache()

    @property
    def engine(self) -> Engine:
        """The session's engine."""
        return self.cache.engine

    @property
    def seed(self) -> int:
        """The session's seed."""
        return self.settings.seed

    @property
    def embeds(self) -> bool:
        """Whether images may be embedded in pages."""
        return self.settings.pictures == "embed"

    @property
    def page(self) -> str:
        """Where the test's page will be; empty where there is to be none."""
        return "" if self.settings.artifacts == "off" else str(self.recorder.page(self.test))

    def keeps_evidence(self, finding: Finding) -> bool:
        """Whether the finding's evidence is to be shown."""
        kept = self.settings.artifacts
        return kept == "all" or (kept == "failed" and finding.outcome != "passed")

    def warn(self, message: str, category: type[Warning]) -> None:
        """A warning at the line of the test that asked, however deep it arises."""
        level, frame = 1, inspect.currentframe()
        while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE:
            level, frame = level + 1, frame.f_back
        warnings.warn(message, category, stacklevel=level)


class InconclusiveWarning(UserWarning):
    """An audit that neither passed nor failed, under `--cnnaudit-inconclusive warn`."""

    recorded_by_cnnaudit = True
