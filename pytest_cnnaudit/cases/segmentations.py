"""COCO's segmentations as masks: polygons and run lengths, drawn each time they are needed.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from pytest_cnnaudit.cases.errors import CaseError
from pytest_cnnaudit.cases.fields import finite_number, shortened
from pytest_cnnaudit.cases.json_fields import get
from pytest_cnnaudit.cases.regions import Mask
from pytest_cnnaudit.checks import is_integer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def segmented(segmentation: object, width: int, height: int, where: str) -> Mask:
    """The mask of polygons or run lengths in an image of this size; `CaseError` beginning with `where`."""
    if isinstance(segmentation, list):
        return _PolygonMask(_polygons(segmentation, where), width, height, where)
    size = get(segmentation, "size", list, where)
    counts = get(segmentation, "counts", (list, str), where)
    if isinstance(counts, str):
        raise CaseError(
            f"{where}.counts: is a compressed run-length text "
            "(must be a list of run lengths, or polygons; pycocotools can convert it)"
        )
    if size != [height, width]:
        raise CaseError(f"{where}.size: is {size} (must be the image's [height, width], {[height, width]})")
    for index, count in enumerate(counts):
        if not is_integer(count) or count < 0:
            raise CaseError(f"{where}.counts[{index}]: is {count!r} (must be an int ≥ 0)")
    if sum(counts) != width * height:
        raise CaseError(f"{where}.counts: add up to {sum(counts)} (must be {width * height}, all pixels)")
    return _RunLengthMask(tuple(counts), width, height, where)


def _polygons(parts: list[Any], where: str) -> tuple[tuple[float, ...], ...]:
    polygons = []
    for index, part in enumerate(parts):
        at = f"{where}[{index}]"
        if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
            raise CaseError(f"{at}: is {shortened(part, 60)} (must be a list of x, y, x, y, … of at least 3 points)")
        polygons.append(tuple(finite_number(value, f"{at}[{place}]:") for place, value in enumerate(part)))
    return tuple(polygons)


class _DrawnMask(Mask):
    """A mask kept as the numbers that describe it, and drawn each time it is needed."""

    def __init__(self, numbers: tuple[Any, ...], width: int, height: int, where: str) -> None:
        self._numbers, self._width, self._height, self._where = numbers, width, height, where

    @property
    def identity(self) -> Hashable:
        """The numbers and the size."""
        return (self._numbers, self._width, self._height)

    @property
    def array(self) -> npt.NDArray[np.bool_]:
        """Boolean (H, W), drawn anew; `CaseError` where nothing of it is in the image."""
        array = self._draw()
        if not array.any():
            raise CaseError(f"{self._where}: no pixel of the picture is inside")
        array.flags.writeable = False
        return array

    def _draw(self) -> npt.NDArray[np.bool_]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"Mask(<{self._where}>)"


class _RunLengthMask(_DrawnMask):
    """COCO's run lengths: column by column, alternately outside and inside, beginning outside."""

    def _draw(self) -> npt.NDArray[np.bool_]:
        import numpy as np

        runs = np.arange(len(self._numbers)) % 2 == 1
        array: npt.NDArray[np.bool_] = np.repeat(runs, self._numbers).reshape(self._width, self._height).T
        return array.copy()


class _PolygonMask(_DrawnMask):
    """The union of polygons; a pixel is inside where its centre is (even-odd rule)."""

    @property
    def overhangs(self) -> bool:
        """Whether a corner lies outside the picture."""
        xs = [x for part in self._numbers for x in part[0::2]]
        ys = [y for part in self._numbers for y in part[1::2]]
        return bool(min(xs) < 0 or min(ys) < 0 or max(xs) > self._width or max(ys) > self._height)

    def _draw(self) -> npt.NDArray[np.bool_]:
        import numpy as np

        inside = np.zeros((self._height, self._width), dtype=bool)
        for part in self._numbers:
            points = np.reshape(np.asarray(part, dtype=np.float64), (-1, 2))
            inside |= self._draw_part(points)
        return inside

    def _draw_part(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Each edge flips all pixels to its right; what is flipped an odd number of times is inside."""
        import numpy as np

        flips = np.zeros((self._height, self._width + 1), dtype=bool)
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            first, last = np.clip(np.ceil(np.sort([y0, y1]) - 0.5), 0, self._height).astype(int)
            rows = np.arange(first, last)
            if len(rows):
                crossings = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
                flips[rows, np.clip(np.ceil(crossings - 0.5), 0, self._width).astype(int)] ^= True
        inside: npt.NDArray[np.bool_] = np.logical_xor.accumulate(flips, axis=1)[:, :-1]
        return inside
