"""The end of a run: from the tests' parts to the record and the pages.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_cnnaudit import record as records
from pytest_cnnaudit import report as reports
from pytest_cnnaudit.record import page_name

OURS = ("index.html", "record.json", "summary.md")


@dataclass(frozen=True)
class Published:
    """How many audits there were, and what to say of them."""

    audits: int
    written: bool
    lines: tuple[str, ...]


def publish(report: Path, folder: Path, *, options: Mapping[str, Any]) -> Published:
    """Writes `record.json`, the pages and the summary; the parts are dropped when all of that is on disk."""
    parts, about = records.read_parts(folder)
    judged = [part for part in parts if part["findings"]]
    if not judged:
        records.drop_parts(folder)
        _remove_if_empty(report)
        return Published(0, False, ())
    foreign = records.foreign_files(report, OURS)
    if foreign:
        return Published(
            len(judged),
            False,
            (
                f"the report was not written: {report / foreign[0]} exists and is not from cnnaudit",
                f"give another folder with --cnnaudit-report; the findings are kept in {folder}",
            ),
        )
    record = records.make_record(judged, about, complete=records.is_complete(parts, about), options=options)
    pages = [f"tests/{page_name(part['test'])}.html" for part in judged]
    record["files"] = [*OURS, *pages]
    records.remove_report(report)
    records.write_json(report / "record.json", record)
    reports.render(record, judged, report)
    records.drop_parts(folder)
    return Published(len(judged), True, tuple(_lines(record, report)))


def _lines(record: Mapping[str, Any], report: Path) -> list[str]:
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
