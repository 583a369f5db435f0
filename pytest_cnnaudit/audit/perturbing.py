"""Pictures changed for a test of heatmaps: moved as a whole, or filled in cell by cell of a heatmap's grid.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from scipy import ndimage

from pytest_cnnaudit import edits
from pytest_cnnaudit.cases import InputRow, Sample
from pytest_cnnaudit.checks import called, check_call
from pytest_cnnaudit.metrics import moved
from pytest_cnnaudit.metrics.quality import MOVES
from pytest_cnnaudit.preprocessing import Geometry, open_picture

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
PictureMove: TypeAlias = Callable[[Image.Image], Image.Image]
MapMove: TypeAlias = Callable[[Floats], Floats]

_PICTURES: dict[str, PictureMove] = {
    "mirror": ImageOps.mirror,
    "flip": ImageOps.flip,
    "rotate90": lambda picture: picture.transpose(Image.Transpose.ROTATE_90),
}


def with_picture(case: Sample, picture: Any) -> Sample:
    """The case with another picture, to which its regions don't belong; label, id and group are as they were.

    Another array of model input for a case that is that.
    """
    if isinstance(case, InputRow):
        return InputRow(picture, case.source, edited_from=case)
    return replace(case, image=picture, region=None, forbidden=None, annotated_size=None, edited_from=case)


@dataclass(frozen=True)
class Move:
    """A transform of pictures, and what takes the transformed picture's map back; `inputs` is of model input."""

    name: str
    picture: PictureMove
    back: MapMove
    inputs: MapMove | None = None

    def case(self, case: Sample) -> Sample:
        """The case with its picture transformed."""
        if isinstance(case, InputRow):
            if self.inputs is None:
                raise TypeError(f"The transform {self.name!r} takes a PIL.Image, and {case.where} is model input")
            return with_picture(case, self.inputs(case.inputs))
        picture = self.picture(open_picture(case))
        if not isinstance(picture, Image.Image):
            raise TypeError(f"The transform {self.name!r} gave a {type(picture).__name__}, not a PIL.Image")
        return with_picture(case, picture)

    def check_cases(self, cases: Sequence[Sample]) -> None:
        """`TypeError` where the cases are model input and the transform is of pictures only."""
        if self.inputs is None and any(isinstance(case, InputRow) for case in cases):
            raise TypeError(
                "transform is a pair of functions of which the first takes a PIL.Image, but cases is an array of model "
                f"input, which is none: name one of {', '.join(MOVES)}, or hand over pictures"
            )

    def check_grid(self, height: int, width: int) -> None:
        """`ValueError` where a map that is taken back has another grid."""
        found = np.shape(self.back(np.zeros((height, width))))
        if found != (height, width):
            raise ValueError(
                f"The transform {self.name!r} takes maps of {height} × {width} cells back to {found}: it can't be "
                "used with this grid" + (", which is not square" if height != width else "")
            )


def as_move(transform: str | tuple[PictureMove, MapMove]) -> Move:
    """The transform of this name, or the one of a pair (picture → picture, map `(h, w)` → map back)."""
    if isinstance(transform, str) and transform in MOVES:
        name = transform
        return Move(
            name,
            _PICTURES[name],
            lambda heatmap: moved(heatmap, name, back=True),
            lambda inputs: np.moveaxis(MOVES[name][0](np.moveaxis(inputs, -1, 0)), 0, -1),
        )
    if isinstance(transform, str):
        raise ValueError(f"transform is {transform!r}; known: {', '.join(MOVES)}, or a pair of functions")
    if not isinstance(transform, tuple) or len(transform) != 2 or not all(map(callable, transform)):
        raise TypeError(
            f"transform is {transform!r}; a name, or a pair of functions is expected: one that transforms a "
            "PIL.Image, and one that takes a map (h, w) of the transformed picture back"
        )
    picture, back = transform
    check_call(picture, "transform[0]", ("picture",), "a function that takes a PIL.Image and gives another")
    check_call(back, "transform[1]", ("heatmap",), "a function that takes a map (h, w) of the transformed picture back")
    return Move(called(picture), picture, back)


def as_heatmap(values: Any, like: Floats) -> Floats:
    """What a user's function gave as a map, if it is one."""
    found = np.asarray(values, np.float32)
    if found.shape != like.shape or not np.isfinite(found).all():
        raise ValueError(f"A map {like.shape} was taken back to {found.shape}, or to NaN or infinity")
    return found


class Curves:
    """The pictures of the insertion and the deletion curve of one case, in some order of the grid's cells.

    `pixels` `(H, W, C)` are those of a picture (uint8), or model input (float32), which is edited as it is.
    A pixel belongs to the cell in which its centre lies; those that the preprocessing cuts off belong to none and
    don't count. After each step `fractions` `(steps + 1,)` of all other pixels have been inserted or deleted: whole
    cells, so that on a grid of fewer cells there are fewer steps.
    """

    def __init__(self, pixels: npt.NDArray[Any], geometry: Geometry, grid: tuple[int, int]) -> None:
        self.pixels = pixels
        self.blurred, self.filled = _blurred_and_filled(pixels)
        self._cells = _cell_of_pixels(geometry, grid)
        self._pixels = np.bincount(self._cells[self._cells >= 0], minlength=grid[0] * grid[1])

    def steps(self, order: npt.NDArray[np.intp], steps: int) -> tuple[npt.NDArray[np.intp], Floats]:
        """How many cells have been taken after each of the steps, and which share of the pixels these hold."""
        counts = np.unique(np.rint(np.linspace(0, len(order), steps + 1)).astype(np.intp))
        taken = np.concatenate([[0], np.cumsum(self._pixels[order])])
        return counts, taken[counts] / taken[-1]

    def pictures(self, order: npt.NDArray[np.intp], counts: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[Any]]:
        """For each count the picture of which so many cells are inserted, and that of which they are deleted."""
        rank = np.empty(len(order), np.intp)
        rank[order] = np.arange(len(order))
        ranks = np.where(self._cells >= 0, rank[self._cells], len(order))
        for count in counts:
            taken = (ranks < count)[..., None]
            yield np.where(taken, self.pixels, self.blurred)
            yield np.where(taken, self.filled, self.pixels)


def _blurred_and_filled(pixels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Under a Gaussian whose standard deviation is 5 % of the longer side, and the mean colour."""
    if pixels.dtype == np.uint8:
        everywhere, unused = np.ones(pixels.shape[:2], np.float32), np.random.default_rng()
        blur, mean = (edits.filling(pixels, fill, unused)(everywhere) for fill in ("blur", "mean"))
        return blur, mean
    deviation = edits.BLUR * max(pixels.shape[:2])
    blur = ndimage.gaussian_filter(pixels, (deviation, deviation, 0), mode="nearest")
    return blur, np.broadcast_to(pixels.mean(axis=(0, 1)), pixels.shape)


def _cell_of_pixels(geometry: Geometry, grid: tuple[int, int]) -> npt.NDArray[np.intp]:
    """The flat position of the cell that each pixel's centre lies in, `(H, W)`; −1 where it lies in none."""
    rows = ((np.arange(geometry.source_height) + 0.5) * geometry.scale_y + geometry.offset_y) / geometry.height
    columns = ((np.arange(geometry.source_width) + 0.5) * geometry.scale_x + geometry.offset_x) / geometry.width
    row, column = (np.floor(share * cells).astype(np.intp) for share, cells in zip((rows, columns), grid, strict=True))
    inside = ((row >= 0) & (row < grid[0]))[:, None] & ((column >= 0) & (column < grid[1]))
    return np.where(inside, row[:, None] * grid[1] + column, -1)
