"""Findings, where they came from, and the JSON they are kept in.

Each test's findings are one JSON file (a part), written at once while the test runs, so that a crash, a lost
worker, `-x` or Ctrl-C loses nothing. At the end of the run the parts become the record.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from pytest_cnnaudit.cases import Case
from pytest_cnnaudit.findings import Finding, Outcome, digest, to_json
from pytest_cnnaudit.gate import worst
from pytest_cnnaudit.record.page_names import page_name

SCHEMA = 1
JOURNAL = ".journal"
PARTS = ".parts"
A_DAY = 24 * 60 * 60
ONLY_ON_PAGES = ("evidence", "kind", "texts", "settings")
THRESHOLD = ("name", "value", "direction")
"""What schema 1 holds of a threshold."""

SETTINGS = (
    "threshold",
    "grid",
    "patch",
    "where",
    "size",
    "backgrounds",
    "other",
    "steps",
    "noise",
    "samples",
    "transform",
)
"""Arguments that belong to the measure; thresholds and the rule for populations are told apart from them."""


def settings_of(demands: Mapping[str, Any]) -> str:
    """The arguments that say what was measured, where neither the measure's name nor a threshold does."""
    given = ((name, demands.get(name)) for name in SETTINGS)
    return ", ".join(f"{name} {_short(value)}" for name, value in given if value is not None)


def _short(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    more = f" and {len(value) - 3} more" if len(value) > 3 else ""
    return ", ".join(map(str, value[:3])) + more


def write_text(path: Path, text: str) -> Path:
    """Writes the whole file in one step or nothing: a reader never sees half of it. Gives the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # A node id may hold lone surrogates, which UTF-8 cannot write.
        unfinished.write_bytes(text.encode("utf-8", "backslashreplace"))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def write_json(path: Path, value: Any) -> None:
    """Strict JSON: NaN and infinity become null."""
    write_text(path, json.dumps(to_json(value), allow_nan=False, ensure_ascii=False, indent=1))


def now() -> str:
    """The time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


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
        self._cases: dict[Case, str] = {}
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
                name, kind = ("error", "error") if failure.crashed else ("assertion", "failed")
                findings.append(Finding(test, name, cast(Outcome, kind), message=failure.text))
        if not findings and course.outcome == "passed":
            findings.append(Finding(test, "assertion", "passed", message="The test's own assertions hold."))
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

    def saw(self, cases: Iterable[Case], digest_of: Callable[[Case], str]) -> None:
        """Notes the cases that were judged, for the record's digest of the data."""
        for case in cases:
            if case not in self._cases:
                self._cases[case] = digest_of(case)

    def describe(self, worker: str, about: Mapping[str, Any]) -> None:
        """Keeps what the process knows of the run: model, data, environment, collected tests."""
        cases = sorted([case.name, digest] for case, digest in self._cases.items())
        described = {**about, "cases": cases}
        if described != self._described:
            self._described = described
            write_json(self.folder / f"about-{worker}.json", described)

    def _journal(self, test: str) -> Path:
        return self.folder / f"{page_name(test)}{JOURNAL}"

    def _write(self, test: str, part: Mapping[str, Any]) -> None:
        findings = [asdict(finding) for finding in part["findings"]]
        write_json(self.folder / f"{page_name(test)}.json", {**part, "findings": findings})


def read_parts(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The tests' parts, in a stable order, and what the processes said about the run."""
    parts: list[dict[str, Any]] = []
    about: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        (about if path.name.startswith("about-") else parts).append(content)
    for part in parts:
        if part["state"] == "running":
            part["findings"] = _read_journal(folder / f"{page_name(part['test'])}{JOURNAL}")
            lost = Finding(
                part["test"],
                "error",
                "error",
                message="The test did not finish: it was interrupted, or the worker that ran it was lost.",
            )
            part["findings"].append(to_json(asdict(lost)))
    return sorted(parts, key=lambda part: str(part["test"])), about


def _read_journal(path: Path) -> list[dict[str, Any]]:
    """The findings of a test that never ended; its last line may have been cut short."""
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else [""]
    return [json.loads(line) for line in lines[:-1]]


def make_record(
    parts: Sequence[Mapping[str, Any]],
    about: Sequence[Mapping[str, Any]],
    *,
    complete: bool,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of a run: `record.json`, without the evidence."""
    findings = [_recorded(finding) for part in parts for finding in part["findings"]]
    cases = {(name, digest) for one in about for name, digest in one.get("cases", ())}
    judged = [finding["outcome"] for finding in findings if not finding["waived"]]
    first: dict[str, Any] = next((dict(one) for one in about if one.get("model")), dict(about[0]) if about else {})
    return {
        "schema": SCHEMA,
        "verdict": worst(judged) if judged else "error",
        "complete": complete and all(part["state"] == "finished" for part in parts),
        "started": min((one["started"] for one in about if one.get("started")), default=None),
        "finished": now(),
        "model": first.get("model"),
        "data": {"cases": len(cases), "sha256": digest(sorted(case for _, case in cases))} if cases else None,
        "environment": first.get("environment"),
        "seed": options.get("seed"),
        "baseline": None,
        "policy_sha256": digest([policy(findings), dict(options)]),
        "findings": findings,
    }


def _recorded(finding: Mapping[str, Any]) -> dict[str, Any]:
    """A finding as it stands in the record: without the evidence and what else only the pages need."""
    kept = {key: value for key, value in finding.items() if key not in ONLY_ON_PAGES}
    return {**kept, "thresholds": [{key: one[key] for key in THRESHOLD} for one in finding["thresholds"]]}


def policy(findings: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What was demanded, apart from what came out."""
    rows = [[finding["test"], finding["name"], finding["demands"]] for finding in findings]
    return sorted(rows, key=json.dumps)


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_report(report: Path) -> None:
    """Removes what an earlier run wrote into the folder, and nothing else."""
    for name in _files(report):
        path = report / name
        if path.is_file() and report.resolve() in path.resolve().parents:
            path.unlink()


def foreign_files(report: Path) -> list[str]:
    """Files in the report's folder that we would overwrite but did not write."""
    ours = set(_files(report))
    return [
        name for name in ("index.html", "record.json", "summary.md") if (report / name).exists() and name not in ours
    ]


def _files(report: Path) -> list[str]:
    """What the record in the folder says was written with it; nothing where there is no record of ours."""
    try:
        record = json.loads((report / "record.json").read_text(encoding="utf-8"))
        files = record["files"] if record["policy_sha256"] else []
        return [name for name in files if isinstance(name, str)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def drop_parts(folder: Path) -> None:
    """Removes the parts of a run, and those of runs beside it that were killed more than a day ago."""
    shutil.rmtree(folder, ignore_errors=True)
    for other in list(folder.parent.iterdir()):
        # A younger one may be a run that still writes into the same report.
        if time.time() - other.stat().st_mtime > A_DAY:
            shutil.rmtree(other, ignore_errors=True)
    if not any(folder.parent.iterdir()):
        folder.parent.rmdir()
