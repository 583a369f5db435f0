"""Digests that tell images and cases apart: by file, by content, with labels and regions.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Hashable
from pathlib import Path

from pytest_cnnaudit.cases.images import open_picture
from pytest_cnnaudit.cases.regions import Box, Mask
from pytest_cnnaudit.cases.samples import InputRow, Sample


def picture_key(case: Sample) -> Hashable:
    """What tells one picture from another: a file by path, time and size, what is in memory by content."""
    if isinstance(case, InputRow):
        return case.digest
    image = case.image
    if isinstance(image, (str, os.PathLike)):
        # Asked for every case of every assertion, so without pathlib.
        path = os.fspath(image)
        path = path if os.path.isabs(path) else os.path.join(os.getcwd(), path)  # noqa: PTH117, PTH118, PTH109
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return path
        return (path, status.st_mtime_ns, status.st_size)
    # As the model will see it: the same numbers mean another picture with another palette or orientation.
    picture = open_picture(case)
    return hashlib.sha256(f"{picture.mode}{picture.size}".encode() + picture.tobytes()).hexdigest()


def picture_digest(case: Sample) -> str:
    """Digest of what the picture holds: a file's bytes wherever it lies, what is in memory by content."""
    if isinstance(case, InputRow):
        return case.digest
    image = case.image
    return file_digest(Path(image)) if isinstance(image, (str, os.PathLike)) else str(picture_key(case))


def case_digest(case: Sample) -> str:
    """Digest of a case's picture (its bytes), label and regions."""
    regions = [
        [
            [region.left, region.top, region.right, region.bottom] if isinstance(region, Box) else _mask_digest(region)
            for region in some
        ]
        for some in (case.regions, case.forbidden_regions)
    ]
    return hashlib.sha256(json.dumps([picture_digest(case), list(case.labels), *regions]).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _mask_digest(region: Mask) -> str:
    import numpy as np

    array = region.array
    return hashlib.sha256(f"{array.shape}".encode() + np.packbits(array).tobytes()).hexdigest()
