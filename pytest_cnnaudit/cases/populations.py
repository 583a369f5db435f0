"""The cases of a file or folder, whichever format it has.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import overload

from pytest_cnnaudit.cases.case import Case
from pytest_cnnaudit.cases.errors import CaseError


class Cases(Sequence[Case]):
    """The cases of one file or folder, in its order. Pictures and masks are read only when they are used."""

    def __init__(self, path: str | os.PathLike[str], cases: Iterable[Case]) -> None:
        self.path = Path(path)
        self._cases = tuple(cases)

    @overload
    def __getitem__(self, index: int) -> Case: ...
    @overload
    def __getitem__(self, index: slice) -> Cases: ...
    def __getitem__(self, index: int | slice) -> Case | Cases:
        if isinstance(index, slice):
            return Cases(self.path, self._cases[index])
        return self._cases[index]

    def __len__(self) -> int:
        return len(self._cases)

    def __repr__(self) -> str:
        return f"<Cases: {len(self)} of '{self.path}'>"


def load_cases(path: str | os.PathLike[str]) -> Cases:
    """Read cases from a COCO JSON, a CSV, a Pascal VOC folder, or a folder of class folders.

    Annotations are read and checked at once, pictures and masks only when used. Paths of pictures are
    relative to the annotations' file. Raises `CaseError` naming file, field and value for anything wrong in
    them, for ids that are not unique, and where there is no case at all. `read_coco`,
    `read_csv`, `read_voc` and `read_class_folders` say what each format means.
    """
    return Cases(path, read_cases(Path(path)))


def read_cases(path: Path) -> list[Case]:
    """The cases of a file or folder, in its order; see the readers for what each format means."""
    cases = _reader(path)(path)
    if not cases:
        raise CaseError(f"{path}: holds no case (an audit of nothing would pass)")
    first: dict[str, Case] = {}
    for case in cases:
        if case.name in first:
            raise CaseError(f"{case.where}: id {case.name!r} is there already ({first[case.name].where})")
        first[case.name] = case
    return cases


def _reader(path: Path) -> Callable[[Path], list[Case]]:
    # Imported when there is something to read: parsers of XML, JSON and CSV take longer than all else here.
    if path.is_dir():
        from pytest_cnnaudit.cases.folders import read_class_folders
        from pytest_cnnaudit.cases.voc import read_voc

        return read_voc if (path / "Annotations").is_dir() else read_class_folders
    if not path.exists():
        raise CaseError(f"{path}: no such file or folder")
    if path.suffix.lower() not in (".json", ".csv"):
        raise CaseError(f"{path}: not a known kind of cases (must be .json (COCO), .csv, or a folder)")
    from pytest_cnnaudit.cases.coco import read_coco
    from pytest_cnnaudit.cases.tables import read_csv

    return read_coco if path.suffix.lower() == ".json" else read_csv
