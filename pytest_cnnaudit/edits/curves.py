"""Images filled in cell by cell of a heatmap's grid: the insertion and the deletion curve.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pytest_cnnaudit.edits.edited_images import Edit, Subject
from pytest_cnnaudit.edits.fills import BLUR, Fill, filling
from pytest_cnnaudit.preprocessing import Geometry

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Order: TypeAlias = Callable[[Subject], npt.NDArray[np.intp]]
"""Gives the flat positions of a grid's cells in the order in which they are taken; can be pickled, and hashed."""

TITLES: tuple[Literal["inserted"], Literal["deleted"]] = ("inserted", "deleted")


class Curves:
    """The pictures of the insertion and the deletion curve of one case, in some order of the grid's cells.

    `pixels` `(H, W, C)` are those of a picture (uint8), or model input (float32), which is edited as it is.
    A pixel belongs to the cell in which its centre lies; those that the preprocessing cuts off belong to none and
    don't count. After each step `fractions` `(steps + 1,)` of all other pixels have been inserted or deleted: whole
    cells, so that on a grid of fewer cells there are fewer steps.
    """

    def __init__(self, pixels: npt.NDArray[Any], geometry: Geometry, grid: tuple[int, int]) -> None:
        self.pixels = pixels
        self._cells = _cell_of_pixels(geometry, grid)
        self._pixels = np.bincount(self._cells[self._cells >= 0], minlength=grid[0] * grid[1])

    @cached_property
    def blurred(self) -> npt.NDArray[Any]:
        """Under a Gaussian whose standard deviation is 5 % of the longer side."""
        if self.pixels.dtype == np.uint8:
            return _filled(self.pixels, "blur")
        deviation = BLUR * max(self.pixels.shape[:2])
        return np.asarray(ndimage.gaussian_filter(self.pixels, (deviation, deviation, 0), mode="nearest"))

    @cached_property
    def filled(self) -> npt.NDArray[Any]:
        """All of the mean color."""
        if self.pixels.dtype == np.uint8:
            return _filled(self.pixels, "mean")
        return np.broadcast_to(self.pixels.mean(axis=(0, 1)), self.pixels.shape)

    def steps(self, order: npt.NDArray[np.intp], steps: int) -> tuple[npt.NDArray[np.intp], Floats]:
        """How many cells have been taken after each of the steps, and which share of the pixels these hold."""
        counts = cells_after(len(order), steps)
        return counts, self.shares(order, counts)

    def shares(self, order: npt.NDArray[np.intp], counts: npt.NDArray[np.intp]) -> Floats:
        """Which share of the pixels so many cells hold."""
        taken = np.concatenate([[0], np.cumsum(self._pixels[order])])
        return np.asarray(taken[counts] / taken[-1])

    def pictures(self, order: npt.NDArray[np.intp], counts: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[Any]]:
        """For each count the picture of which so many cells are inserted, and that of which they are deleted."""
        ranks = self.ranks(order)
        for count in counts:
            yield self.inserted(ranks, count)
            yield self.deleted(ranks, count)

    def ranks(self, order: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """How many cells are taken before that of each pixel, `(H, W)`."""
        rank = np.empty(len(order), np.intp)
        rank[order] = np.arange(len(order))
        return np.where(self._cells >= 0, rank[self._cells], len(order))

    def inserted(self, ranks: npt.NDArray[np.intp], count: int) -> npt.NDArray[Any]:
        """The first cells over the blurred image."""
        return np.where((ranks < count)[..., None], self.pixels, self.blurred)

    def deleted(self, ranks: npt.NDArray[np.intp], count: int) -> npt.NDArray[Any]:
        """The image without the first cells."""
        return np.where((ranks < count)[..., None], self.filled, self.pixels)


def cells_after(cells: int, steps: int) -> npt.NDArray[np.intp]:
    """How many of the cells are taken after each of the steps, from none to all."""
    return np.unique(np.rint(np.linspace(0, cells, steps + 1)).astype(np.intp))


def curves_of(subject: Subject, grid: tuple[int, int]) -> Curves:
    """The curves of a case, made once for all of its steps."""
    return subject.shared((Curves, grid), lambda: Curves(subject.pixels, subject.original.geometry, grid))


@dataclass(frozen=True, eq=False)
class Step:
    """So many cells of a grid inserted, or deleted, in an order that is asked for when the first step is rendered."""

    order: Order
    grid: tuple[int, int]
    count: int
    title: Literal["inserted", "deleted"]

    def __call__(self, subject: Subject) -> npt.NDArray[Any]:
        """The edited pixels, or the numbers of a row of model input."""
        curves = curves_of(subject, self.grid)
        ranks = subject.shared((Step, self.order, self.grid), lambda: curves.ranks(self.order(subject)))
        return curves.inserted(ranks, self.count) if self.title == "inserted" else curves.deleted(ranks, self.count)


@dataclass(frozen=True)
class RandomOrder:
    """Cells in random order, by the seed and the image: one for all images would have its luck in every value."""

    cells: int

    def __call__(self, subject: Subject) -> npt.NDArray[np.intp]:
        """The flat positions of the cells."""
        return subject.random("order").permutation(self.cells)


def steps_of(order: Order, grid: tuple[int, int], counts: Iterable[int]) -> list[Edit]:
    """For each count the image of which so many cells are inserted, and that of which they are deleted."""
    return [Step(order, grid, int(count), title) for count in counts for title in TITLES]


def _filled(pixels: npt.NDArray[np.uint8], fill: Fill) -> npt.NDArray[np.uint8]:
    return filling(pixels, fill, np.random.default_rng())(np.ones(pixels.shape[:2], np.float32))


def _cell_of_pixels(geometry: Geometry, grid: tuple[int, int]) -> npt.NDArray[np.intp]:
    """The flat position of the cell that each pixel's centre lies in, `(H, W)`; −1 where it lies in none."""
    rows = ((np.arange(geometry.source_height) + 0.5) * geometry.scale_y + geometry.offset_y) / geometry.height
    columns = ((np.arange(geometry.source_width) + 0.5) * geometry.scale_x + geometry.offset_x) / geometry.width
    row, column = (np.floor(share * cells).astype(np.intp) for share, cells in zip((rows, columns), grid, strict=True))
    inside = ((row >= 0) & (row < grid[0]))[:, None] & ((column >= 0) & (column < grid[1]))
    return np.where(inside, row[:, None] * grid[1] + column, -1)
