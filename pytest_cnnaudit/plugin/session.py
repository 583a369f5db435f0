"""A run that audits: what this process knows of it, from the first audit to the record and the pages.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_cnnaudit.plugin import options
from pytest_cnnaudit.plugin.markers import marked

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Engine
    from pytest_cnnaudit.engine.cache import Cache
    from pytest_cnnaudit.record import Course, Failure, Recorder

ALWAYS = ("index.html", "record.json", "summary.md")
"""What every report has, beside the tests' pages."""


@dataclass
class Run:
    """What this process knows of the run."""

    config: pytest.Config
    uncollected: list[str] = field(default_factory=list)
    """The files whose tests nobody knows."""
    collected: set[str] = field(default_factory=set)
    deselected: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    courses: dict[str, Course] = field(default_factory=dict)
    """The tests that audit and have not ended."""
    engine_from: dict[str, Any] = field(default_factory=dict)
    """The fixtures that the session's engine was made from, and what each gave."""
    about: dict[str, Any] = field(default_factory=dict)
    results: Cache | None = None
    summary: list[str] = field(default_factory=list)

    @cached_property
    def id(self) -> str:
        """The same in all workers of pytest-xdist."""
        return str(self._worker.get("cnnaudit_run") or uuid.uuid4().hex)

    @property
    def is_controller(self) -> bool:
        """True also where pytest-xdist is not in use."""
        return not hasattr(self.config, "workerinput")

    @property
    def _worker(self) -> Mapping[str, Any]:
        return getattr(self.config, "workerinput", {})

    @cached_property
    def report(self) -> Path:
        """The report's folder."""
        return Path(options.value(self.config, "report"))

    @cached_property
    def recorder(self) -> Recorder:
        """Made when the first test audits."""
        from pytest_cnnaudit.record import Recorder, now, provenance

        # From here on an earlier run's report would stand for this one, should this one be killed.
        self.remove_report()
        recorder = Recorder(self.report, self.id)
        self.about = {"started": now(), "environment": provenance.environment(), **self.about}
        return recorder

    def remove_report(self) -> None:
        """Removes the report of an earlier run."""
        if (self.report / "record.json").is_file():
            from pytest_cnnaudit import record

            record.remove_report(self.report)

    def collect(self, audits: Iterable[pytest.Item]) -> None:
        """These tests are going to audit; refuses wrong markers."""
        for item in audits:
            self.collected.add(item.nodeid)
            # A worker could not tell why it stops; there the fixture refuses the marker, test by test.
            if self.is_controller:
                marked(item)

    def is_running(self, test: str) -> bool:
        """Whether it is a test that audits and has not ended."""
        return test in self.courses

    def start(self, test: str) -> None:
        """A test that audits begins, or begins anew."""
        from pytest_cnnaudit.record import Course

        self.courses[test] = Course()
        self.skipped.discard(test)
        self.recorder.start(test)
        self.describe()

    def note(self, test: str, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        """A phase of a test that audits is over; with the last one the test's record is complete."""
        course = self.courses[test]
        course.seconds += report.duration
        expected = hasattr(report, "wasxfail") and report.skipped
        course.skipped |= report.skipped and not expected
        if expected:
            course.waived = report.wasxfail or "xfail without a reason"
        if report.failed or expected:
            failure = _failure(call, report)
            # A test whose subtests failed fails once more, with nothing of its own to tell.
            if call.excinfo is not None or not course.failures:
                course.failures.append(failure)
        course.failed |= report.failed
        if report.when == "teardown":
            if course.skipped and not course.failed:
                self.skipped.add(test)
            self.recorder.finish(test, self.courses.pop(test))
            self.describe()

    def describe_model(self, engine: Engine, path: Path | None) -> None:
        """The session's engine was made, from the model in this file."""
        from pytest_cnnaudit.record import provenance

        self.about["model"] = provenance.model(engine.identity(), path)
        self.describe(environment=provenance.environment())

    def describe(self, **about: Any) -> None:
        """Writes down what the record will say about the run."""
        recorder = self.recorder
        self.about.update(about)
        tests = {
            "collected": sorted(self.collected),
            "deselected": sorted(self.deselected),
            "skipped": sorted(self.skipped),
            "partial": bool(self.uncollected) or self._is_selection,
        }
        recorder.describe(self._worker.get("workerid", "main"), {**self.about, **tests})

    @cached_property
    def _is_selection(self) -> bool:
        """Whether only some tests of a file were asked for, in a way that pytest doesn't count as deselected."""
        if any("::" in argument for argument in self.config.args):
            return True
        # `--lf` doesn't even open the files in which nothing failed.
        cache = self.config.cache if self.config.getoption("lf", False) else None
        return bool(cache and cache.get("cache/lastfailed", {}))

    def results_of(self, engine: Engine, session: pytest.Session) -> Cache:
        """What the session's tests share of what is computed; of the first engine, whatever is asked for later."""
        if self.results is None:
            from pytest_cnnaudit.audit import needed_by
            from pytest_cnnaudit.engine.cache import Cache
            from pytest_cnnaudit.plugin.named_assertions import named

            self.results = Cache(engine, foreseen=needed_by(named(session.items, self.config.rootpath)))
        return self.results

    def finish(self, session: pytest.Session) -> None:
        """The end of the run: writes the report, and fails a run without the audit that was required."""
        if not self.is_controller:
            return
        required = options.is_required(self.config)
        published = self._publish()
        if published is None and (required or self.collected or self.deselected):
            # What an earlier run found says nothing about this one.
            self.remove_report()
        if published is None and required:
            self.summary.append("an audit was required, but none was executed (--cnnaudit-require)")
        fails = required if published is None else not published.written
        if fails and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _publish(self) -> Published | None:
        """Writes the report; None where no audit was executed."""
        folder = self.report / ".parts" / self.id
        if not folder.is_dir():
            return None
        published = publish(self.report, folder, policy=options.policy(self.config))
        self.summary.extend(published.lines)
        return published if published.audits else None


def _failure(call: pytest.CallInfo[None], report: pytest.TestReport) -> Failure:
    from pytest_cnnaudit.record import Failure

    if call.excinfo is None:
        crash = getattr(report.longrepr, "reprcrash", None)
        return Failure(str(crash.message if crash is not None else report.longrepr))
    error = call.excinfo.value
    return Failure(
        str(error) or type(error).__name__,
        crashed=not isinstance(error, (AssertionError, pytest.fail.Exception)),
        recorded=getattr(error, "recorded_by_cnnaudit", False),
    )


@dataclass(frozen=True)
class Published:
    """How many audits there were, and what to say of them."""

    audits: int
    written: bool
    lines: tuple[str, ...]


def publish(report: Path, folder: Path, *, policy: Mapping[str, Any]) -> Published:
    """Writes `record.json`, the pages and the summary; the parts are dropped when all of that is on disk."""
    from pytest_cnnaudit import record as records
    from pytest_cnnaudit import report as reports

    parts, about = records.read_parts(folder)
    judged = [part for part in parts if part["findings"]]
    if not judged:
        records.drop_parts(folder)
        _remove_if_empty(report)
        return Published(0, False, ())
    foreign = records.foreign_files(report, ALWAYS)
    if foreign:
        return Published(
            len(judged),
            False,
            (
                f"the report was not written: {report / foreign[0]} exists and is not from cnnaudit",
                f"give another folder with --cnnaudit-report; the findings are kept in {folder}",
            ),
        )
    record = records.make_record(judged, about, complete=records.is_complete(parts, about), options=policy)
    pages = [f"tests/{records.page_name(part['test'])}.html" for part in judged]
    record["files"] = [*ALWAYS, *pages]
    records.remove_report(report)
    records.write_json(report / "record.json", record)
    reports.render(record, judged, report)
    records.drop_parts(folder)
    return Published(len(judged), True, tuple(_lines(record, report)))


def _lines(record: Mapping[str, Any], report: Path) -> list[str]:
    """The verdict in a few lines."""
    counts = Counter(finding["outcome"] for finding in record["findings"] if not finding["waived"])
    waived = sum(bool(finding["waived"]) for finding in record["findings"])
    told = [f"{count} {outcome}" for outcome, count in sorted(counts.items())] + (
        [f"{waived} waived"] if waived else []
    )
    lines = [f"verdict: {record['verdict']} ({', '.join(told)})"]
    if not record["complete"]:
        lines.append("not complete: audits were deselected, skipped or cut short")
    return [*lines, f"report: {report / 'index.html'}"]


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(itertools.islice(folder.iterdir(), 1)):
        folder.rmdir()
