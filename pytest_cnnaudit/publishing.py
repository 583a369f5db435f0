"""The end of a run: from the tests' parts to the record and the pages.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_cnnaudit import record as records
from pytest_cnnaudit import report as reports
from pytest_cnnaudit.record.page_names import page_name


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
    foreign = records.foreign_files(report)
    if foreign:
        return Published(
            len(judged),
            False,
            (
                f"the report was not written: {report / foreign[0]} exists and is not from cnnaudit",
                f"give another folder with --cnnaudit-report; the findings are kept in {folder}",
            ),
        )
    record = records.make_record(judged, about, complete=is_complete(parts, about), options=options)
    pages = [f"tests/{page_name(part['test'])}.html" for part in judged]
    record["files"] = ["index.html", "record.json", "summary.md", *pages]
    records.remove_report(report)
    records.write_json(report / "record.json", record)
    reports.render(record, judged, report)
    records.drop_parts(folder)
    return Published(len(judged), True, tuple(_lines(record, report)))


def is_complete(parts: Sequence[Mapping[str, Any]], about: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every audit of the suite ran to its end: none deselected, skipped, or cut short."""
    tests = {
        name: {test for one in about for test in one.get(name, ())} for name in ("collected", "deselected", "skipped")
    }
    finished = {part["test"] for part in parts if part["state"] == "finished"}
    whole = not any(one.get("partial") for one in about)
    return whole and not tests["deselected"] and not tests["skipped"] and tests["collected"] <= finished


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
