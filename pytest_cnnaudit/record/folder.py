"""The folder that the record lies in: what an earlier run wrote into it, and what is somebody else's.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path


def remove_report(report: Path) -> None:
    """Removes what an earlier run wrote into the folder, and nothing else."""
    for name in _files(report):
        path = report / name
        if path.is_file() and report.resolve() in path.resolve().parents:
            path.unlink()


def foreign_files(report: Path, names: Iterable[str]) -> list[str]:
    """Which of these files in the report's folder are there and were not written by us."""
    ours = set(_files(report))
    return [name for name in names if (report / name).exists() and name not in ours]


def _files(report: Path) -> list[str]:
    """What the record in the folder says was written with it; nothing where there is no record of ours."""
    try:
        record = json.loads((report / "record.json").read_text(encoding="utf-8"))
        files = record["files"] if record["policy_sha256"] else []
        return [name for name in files if isinstance(name, str)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
