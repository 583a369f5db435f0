"""What the processes of a run left on disk: a part for each test, and what each process knows of the run.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from pytest_cnnaudit.findings import to_json
from pytest_cnnaudit.record.endings import lost
from pytest_cnnaudit.record.page_names import page_name

PARTS = ".parts"
"""The folder in the report's in which each run has one of its own."""
JOURNAL = ".journal"
ABOUT = "about-"
A_DAY = 24 * 60 * 60


def part_path(folder: Path, test: str) -> Path:
    """The file of a test's part."""
    return folder / f"{page_name(test)}.json"


def journal_path(folder: Path, test: str) -> Path:
    """The file with a finding on each line, while the test runs."""
    return folder / f"{page_name(test)}{JOURNAL}"


def about_path(folder: Path, process: str) -> Path:
    """The file in which a process says what it knows of the run."""
    return folder / f"{ABOUT}{process}.json"


def read_parts(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The tests' parts, in a stable order, and what the processes said about the run."""
    parts: list[dict[str, Any]] = []
    about: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        (about if path.name.startswith(ABOUT) else parts).append(content)
    for part in parts:
        if part["state"] == "running":
            part["findings"] = _read_journal(journal_path(folder, part["test"]))
            part["findings"].append(to_json(lost(part["test"])))
    return sorted(parts, key=lambda part: str(part["test"])), about


def _read_journal(path: Path) -> list[dict[str, Any]]:
    """The findings of a test that never ended; its last line may have been cut short."""
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else [""]
    return [json.loads(line) for line in lines[:-1]]


def drop_parts(folder: Path) -> None:
    """Removes the parts of a run, and those of runs beside it that were killed more than a day ago."""
    shutil.rmtree(folder, ignore_errors=True)
    for other in list(folder.parent.iterdir()):
        # A younger one may be a run that still writes into the same report.
        if time.time() - other.stat().st_mtime > A_DAY:
            shutil.rmtree(other, ignore_errors=True)
    if not any(folder.parent.iterdir()):
        folder.parent.rmdir()
