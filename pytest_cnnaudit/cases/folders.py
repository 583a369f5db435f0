"""Cases of a folder of class folders.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from pathlib import Path

from pytest_cnnaudit.cases.case import Case
from pytest_cnnaudit.cases.errors import CaseError

PICTURE_SUFFIXES = frozenset(
    (
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)
# What operating systems leave in folders unasked.
SYSTEM_FILES = frozenset(("desktop.ini", "thumbs.db", "__macosx"))


def read_class_folders(path: Path) -> list[Case]:
    """One case a picture; the label is the name of the folder in `path` it lies in, however deep.

    Hidden files and folders are passed over; any other file that is no picture is refused, so that none is
    left out unnoticed.
    """
    cases = []
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        if file.is_dir() or any(part.startswith(".") or part.lower() in SYSTEM_FILES for part in parts):
            continue
        if file.suffix.lower() not in PICTURE_SUFFIXES:
            raise CaseError(f"{file}: is not a picture of a known kind (move it, or convert it to PNG or JPEG)")
        if len(parts) == 1:
            raise CaseError(f"{file}: lies in no class folder (must be in a folder with the class's name)")
        name = "/".join(parts)
        cases.append(Case(file, label=parts[0], id=name, source=f"{path}: image '{name}'"))
    return cases
