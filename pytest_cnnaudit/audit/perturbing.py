"""Pictures changed for a test of heatmaps: moved as a whole, or filled in cell by cell of a heatmap's grid.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pytest_cnnaudit import edits
from pytest_cnnaudit.cases import Case
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


def with_picture(case: Case, picture: Image.Image) -> Case:
    """The case with another picture, to which its regions don't belong; label, id and group are as they were."""
    return replace(case, image=picture, region=None, forbidden=None, annotated_size=None, edited_from=case)


@dataclass(frozen=True)
class Move:
    """A transform of pictures, and what takes the transformed picture's map back."""

    name: str
    picture: PictureMove
    back: MapMove

    def case(self, case: Case) -> Case:
        """The case with its picture transformed."""
        picture = self.picture(open_picture(case))
        if not isinstance(picture, Image.Image):
            raise TypeError(f"The transform {self.name!r} gave a {type(picture).__name__}, not a PIL.Image")
        return with_picture(case, picture)

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
        return Move(name, _PICTURES[name], lambda heatmap: moved(heatmap, name, back=True))
    if isinstance(transform, str):
        raise ValueError(f"transform is {transform!r}; known: {', '.join(MOVES)}, or a pair of functions")
    if not isinstance(transform, tuple) or len(transform) != 2 or not all(map(callable, transform)):
        raise TypeError(
            f"transform is {transform!r}; a name, or a pair of functions is expected: one that transforms a "
            "PIL.Image, and one that takes a map (h, w) of the transformed picture back"
        )
    return Move(getattr(transform[0], "__name__", "transform"), *transform)


def as_heatmap(values: Any, like: Floats) -> Floats:
    """What a user's function gave as a map, if it is one."""
    found = np.asarray(values, np.float32)
    if found.shape != like.shape or not np.isfinite(found).all():
        raise ValueError(f"A map {like.shape} was taken back to {found.shape}, or to NaN or infinity")
    return found


class Curves:
    """The pictures of the insertion and the deletion curve of one case, in some order of the grid's cells.

    A pixel belongs to the cell in which its centre lies; those that the preprocessing cuts off belong to none and
    don't count. After each step `fractions` `(steps + 1,)` of all other pixels have been inserted or deleted: whole
    cells, so that on a grid of fewer cells there are fewer steps.
    """

    def __init__(self, picture: Image.Image, geometry: Geometry, grid: tuple[int, int]) -> None:
        pixels, unused = edits.as_pixels(picture), np.random.default_rng()
        everywhere = np.ones(pixels.shape[:2], np.float32)
        self.picture = picture
        self.blurred = edits.as_picture(edits.filling(pixels, "blur", unused)(everywhere))
        self.filled = edits.as_picture(edits.filling(pixels, "mean", unused)(everywhere))
        self._cells = _cell_of_pixels(geometry, grid)
        self._pixels = np.bincount(self._cells[self._cells >= 0], minlength=grid[0] * grid[1])

    def steps(self, order: npt.NDArray[np.intp], steps: int) -> tuple[npt.NDArray[np.intp], Floats]:
        """How many cells have been taken after each of the steps, and which share of the pixels these hold."""
        counts = np.unique(np.rint(np.linspace(0, len(order), steps + 1)).astype(np.intp))
        taken = np.concatenate([[0], np.cumsum(self._pixels[order])])
        return counts, taken[counts] / taken[-1]

    def pictures(self, order: npt.NDArray[np.intp], counts: npt.NDArray[np.intp]) -> Iterator[Image.Image]:
        """For each count the picture of which so many cells are inserted, and that of which they are deleted."""
        rank = np.empty(len(order), np.intp)
        rank[order] = np.arange(len(order))
        ranks = np.where(self._cells >= 0, rank[self._cells], len(order))
        for count in counts:
            taken = Image.fromarray(np.where(ranks < count, 255, 0).astype(np.uint8))
            yield Image.composite(self.picture, self.blurred, taken)
            yield Image.composite(self.filled, self.picture, taken)


def _cell_of_pixels(geometry: Geometry, grid: tuple[int, int]) -> npt.NDArray[np.intp]:
    """The flat position of the cell that each pixel's centre lies in, `(H, W)`; −1 where it lies in none."""
    rows = ((np.arange(geometry.source_height) + 0.5) * geometry.scale_y + geometry.offset_y) / geometry.height
    columns = ((np.arange(geometry.source_width) + 0.5) * geometry.scale_x + geometry.offset_x) / geometry.width
    row, column = (np.floor(share * cells).astype(np.intp) for share, cells in zip((rows, columns), grid, strict=True))
    inside = ((row >= 0) & (row < grid[0]))[:, None] & ((column >= 0) & (column < grid[1]))
    return np.where(inside, row[:, None] * grid[1] + column, -1)
