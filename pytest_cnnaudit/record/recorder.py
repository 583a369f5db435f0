"""Findings on disk while the tests run.

Each test's findings are one JSON file (a part), written at once while the test runs, so that a crash, a lost
worker, `-x` or Ctrl-C loses nothing. At the end of the run the parts become the record.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_cnnaudit.cases import Sample
from pytest_cnnaudit.findings import Finding, to_json
from pytest_cnnaudit.record.endings import crashed, own_assertion_failed, own_assertions_hold
from pytest_cnnaudit.record.files import write_json
from pytest_cnnaudit.record.page_names import page_name
from pytest_cnnaudit.record.parts import PARTS, about_path, journal_path, part_path


@dataclass(frozen=True)
class Failure:
    """One failure of a test: `crashed` otherwise than by an assertion, `recorded` by an audit already."""

    text: str
    crashed: bool = False
    recorded: bool = False


@dataclass
class Course:
    """How a test went, as pytest reports it phase by phase."""

    failed: bool = False
    skipped: bool = False
    failures: list[Failure] = field(default_factory=list)
    """The test's own, its teardown's, and those of its subtests."""
    waived: str | None = None
    """The reason of an `xfail`."""
    seconds: float = 0.0

    @property
    def outcome(self) -> str:
        """The test's outcome in one word."""
        if self.failed:
            return "failed"
        return "waived" if self.waived is not None else "skipped" if self.skipped else "passed"


class Recorder:
    """Keeps one process' findings on disk, a file for each test, in a folder of the run's own."""

    def __init__(self, report: Path, run: str) -> None:
        self.report = report
        self.folder = report / PARTS / run
        self._cases: dict[Sample, str] = {}
        self._described: dict[str, Any] = {}
        self._parts: dict[str, dict[str, Any]] = {}

    def page(self, test: str) -> Path:
        """Where the test's page will be."""
        return self.report / "tests" / f"{page_name(test)}.html"

    def start(self, test: str) -> None:
        """A test that audits begins; what it found in an earlier attempt (a rerun) no longer counts."""
        self._parts[test] = {
            "test": test,
            "state": "running",
            "seconds": 0.0,
            "findings": [],
            "failure": None,
        }
        self._journal(test).unlink(missing_ok=True)
        self._write(test, self._parts[test])

    def add(self, finding: Finding) -> None:
        """Keeps a finding of a running test: a line more in its journal, should the test never end."""
        self._parts[finding.test]["findings"].append(finding)
        with self._journal(finding.test).open("a", encoding="utf-8", errors="backslashreplace") as journal:
            journal.write(json.dumps(to_json(finding), allow_nan=False) + "\n")

    def finish(self, test: str, course: Course) -> None:
        """A test ends; a failure of its own becomes a finding too."""
        part = self._parts.pop(test)
        findings: list[Finding] = part["findings"]
        # The error of a session's fixture reaches every test, but only one of them recorded it.
        recorded = any(finding.outcome != "passed" for finding in findings)
        for failure in course.failures:
            # unittest raises an expected failure anew, as an exception of its own.
            known = recorded and (failure.recorded or course.waived is not None)
            if not known:
                ended = crashed if failure.crashed else own_assertion_failed
                findings.append(ended(test, failure.text))
        if not findings and course.outcome == "passed":
            findings.append(own_assertions_hold(test))
        if course.waived is not None:
            findings[:] = [replace(finding, waived=course.waived) for finding in findings]
        part.update(
            state="finished",
            outcome=course.outcome,
            failure="\n".join(failure.text for failure in course.failures) or None,
            seconds=course.seconds,
            waived=course.waived,
        )
        self._write(test, part)
        self._journal(test).unlink(missing_ok=True)

    def saw(self, cases: Iterable[Sample], digest_of: Callable[[Sample], str]) -> None:
        """Notes the cases that were judged, for the record's digest of the data."""
        for case in cases:
            if case not in self._cases:
                self._cases[case] = digest_of(case)

    def describe(self, process: str, about: Mapping[str, Any]) -> None:
        """Keeps what the process knows of the run: model, data, environment, collected tests."""
        cases = sorted([case.name, digest] for case, digest in self._cases.items())
        described = {**about, "cases": cases}
        if described != self._described:
            self._described = described
            write_json(about_path(self.folder, process), described)

    def _journal(self, test: str) -> Path:
        return journal_path(self.folder, test)

    def _write(self, test: str, part: Mapping[str, Any]) -> None:
        write_json(part_path(self.folder, test), part)
