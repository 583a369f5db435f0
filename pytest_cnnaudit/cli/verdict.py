"""`cnnaudit verdict`: the verdict of a report, as text and as exit code.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

HELP = "print a report's verdict"
DESCRIPTION = "Prints the verdict of a report; exits with 0 passed, 1 failed, 2 inconclusive, 3 error."
EXIT_CODES = {"passed": 0, "failed": 1, "inconclusive": 2, "error": 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("report", type=Path, help="the report's folder, or its record.json")


def run(given: argparse.Namespace) -> int:
    """Prints the verdict of a report and gives its exit code."""
    return print_verdict(given.report)


def print_verdict(report: Path) -> int:
    """Prints the verdict of a report and gives its exit code; an unreadable record is an error, never a pass."""
    path = report / "record.json" if report.is_dir() else report
    try:
        record = read_record(path)
    except (OSError, ValueError) as error:
        print(f"error: {path}: {error}", file=sys.stderr)
        return EXIT_CODES["error"]
    counts = Counter("waived" if finding.get("waived") else finding["outcome"] for finding in record["findings"])
    print(f"{record['verdict']} ({', '.join(f'{count} {outcome}' for outcome, count in sorted(counts.items()))})")
    if not record["complete"]:
        print("not complete: audits were deselected, skipped or cut short", file=sys.stderr)
    return EXIT_CODES[record["verdict"]]


def read_record(path: Path) -> dict[str, Any]:
    """A record from its file; `ValueError` for anything that is not one."""
    record = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(record, dict) or record.get("schema") != 1:
        raise ValueError("not a record of schema 1")
    findings = record.get("findings")
    if record.get("verdict") not in EXIT_CODES or not isinstance(findings, list) or "complete" not in record:
        raise ValueError("the record has no verdict, no findings or no word on whether it is complete")
    if not all(isinstance(finding, dict) and finding.get("outcome") in EXIT_CODES for finding in findings):
        raise ValueError("a finding of the record has no outcome")
    return record
