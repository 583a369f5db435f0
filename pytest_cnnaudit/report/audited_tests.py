"""The tests with their findings: what the record says, completed by the tests' part files.

PYTEST_DONT_REWRITE
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_cnnaudit.record.page_names import page_name
from pytest_cnnaudit.report.recorded import SEVERITY, Finding, outcome
from pytest_cnnaudit.report.rows import Row

# What a part knows of its findings beyond the record.
IN_PARTS_ALONE = ("evidence", "kind", "texts", "settings", "thresholds")


@dataclass(frozen=True)
class Test:
    """One test with its findings."""

    __test__ = False  # pytest would otherwise take the class for a test

    test: str
    page: str
    rows: tuple[Row, ...]
    failure: str

    @property
    def outcome(self) -> str:
        """The worst outcome of the findings."""
        return min((row.outcome for row in self.rows), key=SEVERITY.index)


def gather(record: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> list[Test]:
    """Join the record's findings with what the parts alone know of them, test by test, in the record's order.

    The record says what was found; a part completes the finding of the same name and position.
    A test without a finding in the record shows its part's; a row made from how the test ended is added where
    none of its findings says why it failed.
    """
    by_test = {str(part.get("test")): part for part in parts}
    found: dict[str, list[Finding]] = {}
    for finding in record.get("findings") or ():
        found.setdefault(str(finding.get("test")), []).append(finding)
    tests = dict.fromkeys([*found, *by_test])
    return [_test(test, found.get(test, []), by_test.get(test, {})) for test in tests]


def _test(test: str, recorded: Sequence[Finding], part: Mapping[str, Any]) -> Test:
    own: list[Finding] = list(part.get("findings") or ())
    findings = [_completed(finding, own, i) for i, finding in enumerate(recorded)] or own
    if part.get("waived"):
        findings = [{**finding, "waived": finding.get("waived") or part["waived"]} for finding in findings]
    ended_badly = part and (part.get("failure") or part.get("state") != "finished")
    if not findings or (ended_badly and all(outcome(finding) == "passed" for finding in findings)):
        findings.append(_plain(test, part))
    page = page_name(test)
    rows = (Row(finding, test, page, f"finding-{i}") for i, finding in enumerate(findings, 1))
    return Test(test, page, tuple(rows), str(part.get("failure") or ""))


def _completed(finding: Finding, own: Sequence[Finding], position: int) -> Finding:
    if position < len(own) and own[position].get("name") == finding.get("name"):
        return {**finding, **{key: own[position][key] for key in IN_PARTS_ALONE if key in own[position]}}
    return finding


def _plain(test: str, part: Mapping[str, Any]) -> Finding:
    """Stand in for a test that recorded nothing: a plain assert, or one that was cut off."""
    finished = part.get("state") == "finished"
    failure = part.get("failure")
    return {
        "name": test.rpartition("::")[2] or test,
        "outcome": "error" if not finished else "failed" if failure else "passed",
        "message": failure or ("" if finished else "The test did not finish."),
        "waived": part.get("waived"),
    }
