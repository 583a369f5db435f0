"""The run's verdict in one line.

PYTEST_DONT_REWRITE
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_cnnaudit.report.recorded import LISTED, Finding, outcome


@dataclass(frozen=True)
class Verdict:
    """The banner: `tone` is one of SEVERITY and picks color and icon."""

    tone: str
    headline: str
    detail: str
    complete: bool


def verdict(record: Mapping[str, Any], findings: Sequence[Finding]) -> Verdict:
    """Put the record's verdict in plain words; anything but a recorded pass blocks."""
    outcomes = Counter(outcome(finding) for finding in findings)
    recorded = str(record.get("verdict") or "error")
    complete = record.get("complete") is True
    tone = recorded if recorded in ("failed", "inconclusive", "passed") else "error"
    if tone == "passed" and (outcomes["failed"] or outcomes["error"]):
        tone = "error"  # never a green banner above red rows
    return Verdict(tone, _headline(tone, outcomes, complete), _detail(tone, outcomes), complete)


def _headline(tone: str, outcomes: Counter[str], complete: bool) -> str:
    total = outcomes.total()
    audits = f"{total} audit{'' if total == 1 else 's'}"
    if tone == "passed":
        passed = outcomes["passed"]
        count = f"all {audits}" if passed == total else f"{passed} of {audits}"
        return f"{'Released' if complete else 'Not released'}: {count} passed"
    if tone == "inconclusive":
        return f"Not released: {outcomes['inconclusive']} of {audits} inconclusive"
    counts = [
        f"{outcomes[name]}{of} {said}"
        for name, said, of in (
            ("failed", "failed", f" of {audits}"),
            ("error", "could not be carried out", "" if outcomes["failed"] else f" of {audits}"),
        )
        if outcomes[name]
    ]
    return f"Blocked: {', '.join(counts) or 'the run ended in an error'}"


def _detail(tone: str, outcomes: Counter[str]) -> str:
    said = {
        "failed": "failed",
        "error": "could not be carried out",
        "inconclusive": "inconclusive",
        "waived": "waived",
        "passed": "passed",
    }
    listed = ", ".join(f"{outcomes[name]} {said[name]}" for name in LISTED if outcomes[name])
    if tone == "inconclusive":
        return f"{listed}. There are too few cases to decide; more cases can."
    return f"{listed}." if listed else ""
