"""Where an image's pixels lie in a model's input: what carries boxes and masks along.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pytest_cnnaudit.cases import Box, Mask, Region, as_regions, check_box_inside, check_mask_size

if TYPE_CHECKING:
    import numpy.typing as npt

Float64: TypeAlias = "npt.NDArray[np.float64]"

ROUNDING = 1e-9


@dataclass(frozen=True)
class Geometry:
    """How a picture's pixels lie in the model's input: `model_x = x * scale_x + offset_x`, and so for y.

    x is in pixels of the upright original (`source_width` × `source_height`), model_x in pixels of the
    model's input (`width` × `height`); both count from the upper left edge, so the centre of the first pixel
    is at 0.5.
    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
    width: int
    height: int
    source_width: int
    source_height: int

    @classmethod
    def identity(cls, width: int, height: int) -> Geometry:
        """The geometry of a picture used as it is."""
        return cls(1.0, 1.0, 0.0, 0.0, width, height, width, height)

    @property
    def frame(self) -> Box:
        """The model's input frame in original pixels: smaller than the picture for crop, larger for pad."""
        return Box(
            (0.0 - self.offset_x) / self.scale_x,
            (0.0 - self.offset_y) / self.scale_y,
            (self.width - self.offset_x) / self.scale_x,
            (self.height - self.offset_y) / self.scale_y,
        )

    def to_model(self, box: Box) -> Box:
        """The box in pixels of the model's input, not clipped to it."""
        return Box(
            box.left * self.scale_x + self.offset_x,
            box.top * self.scale_y + self.offset_y,
            box.right * self.scale_x + self.offset_x,
            box.bottom * self.scale_y + self.offset_y,
        )

    def coverage(self, regions: Region | Sequence[Region], grid: tuple[int, int]) -> Float64:
        """The exact share of each cell of a grid over the model's input that the union of regions covers.

        `grid` is (h, w), the result float64 (h, w) in [0, 1], all zero where a crop has removed the regions.
        Regions are clipped to the picture. Raises `CaseError` for a region wholly outside the picture and for
        a mask of another size.

        All edges of boxes and of mask pixels cut the picture into rectangles that are wholly in or wholly out
        of the union; the overlaps of rectangles with cells are products of the overlaps along x and along y.
        """
        rows, columns = grid
        if rows < 1 or columns < 1:
            raise ValueError(f"grid is {grid} (must be at least one cell high and wide)")
        x_edges, y_edges, occupied = self._occupancy(as_regions(regions))
        x_overlaps = _overlaps(x_edges * self.scale_x + self.offset_x, self.width, columns)
        y_overlaps = _overlaps(y_edges * self.scale_y + self.offset_y, self.height, rows)
        cell_area = (self.width / columns) * (self.height / rows)
        shares: Float64 = y_overlaps @ occupied @ x_overlaps.T / cell_area
        return np.clip(shares, 0.0, 1.0)

    @property
    def seen(self) -> float:
        """The share of the model's input that shows the picture: 1 but for padding."""
        right, bottom = (
            self.offset_x + self.scale_x * self.source_width,
            self.offset_y + self.scale_y * self.source_height,
        )
        across = min(right, self.width) - max(self.offset_x, 0.0)
        down = min(bottom, self.height) - max(self.offset_y, 0.0)
        share = across / self.width * down / self.height
        return 1.0 if share > 1 - ROUNDING else share

    def share(self, regions: Region | Sequence[Region]) -> float:
        """The share of what the model sees of the picture that the union of regions covers.

        What a crop cuts off and what padding adds does not count: all of a padded picture is 1.
        """
        return float(self.coverage(regions, (1, 1))[0, 0]) / self.seen

    def centres_inside(
        self, regions: Region | Sequence[Region], grid: tuple[int, int], tolerance: float = 0.0
    ) -> npt.NDArray[np.bool_]:
        """Whether the centre of each cell of a grid over the model's input lies in the union of regions, (h, w).

        `tolerance`, in pixels of the original picture: how far from the region a centre may be.
        """
        if tolerance > 0:
            return self.centre_distances(regions, grid) <= tolerance * (1 + ROUNDING)
        x_edges, y_edges, occupied = self._occupancy(as_regions(regions))
        xs, ys = self._centres(grid)
        # Regions are half-open, so a centre on an edge belongs to the interval that starts there.
        framed = np.pad(occupied, 1)
        return framed[np.ix_(np.searchsorted(y_edges, ys, "right"), np.searchsorted(x_edges, xs, "right"))]

    def centre_distances(self, regions: Region | Sequence[Region], grid: tuple[int, int]) -> Float64:
        """How far each cell's centre is from the union of regions, in pixels of the original picture, (h, w).

        0 within and on the edge. Exact: the nearest point of a column's rectangles is found along y, then that
        of all columns along x.
        """
        x_edges, y_edges, occupied = self._occupancy(as_regions(regions))
        xs, ys = self._centres(grid)
        along_x, along_y = _gaps(xs, x_edges) ** 2, _gaps(ys, y_edges) ** 2
        squares = np.empty(grid)
        for row, gaps in enumerate(along_y):
            nearest = np.where(occupied, gaps[:, None], np.inf).min(axis=0)
            squares[row] = (along_x + nearest).min(axis=1)
        return np.sqrt(squares)

    def _centres(self, grid: tuple[int, int]) -> tuple[Float64, Float64]:
        """The centres of a grid's cells along x and y, in original pixels."""
        rows, columns = grid
        xs = ((np.arange(columns) + 0.5) * self.width / columns - self.offset_x) / self.scale_x
        ys = ((np.arange(rows) + 0.5) * self.height / rows - self.offset_y) / self.scale_y
        return xs, ys

    def _occupancy(self, regions: tuple[Region, ...]) -> tuple[Float64, Float64, npt.NDArray[np.bool_]]:
        """Sorted edges along x (n + 1) and y (m + 1) in original pixels; which (m, n) rectangles are in."""
        width, height = self.source_width, self.source_height
        if len(regions) == 1 and isinstance(regions[0], Box):  # as nearly always, and many times quicker
            check_box_inside(regions[0], width, height, "region")
            only = regions[0]
            clipped = np.clip([[only.left, only.right], [only.top, only.bottom]], 0, [[width], [height]])
            return clipped[0], clipped[1], np.ones((1, 1), dtype=bool)
        boxes, masks = [], []
        x_edges, y_edges = [np.empty(0)], [np.empty(0)]
        for region in regions:
            if isinstance(region, Mask):
                mask = region.array
                check_mask_size(mask, width, height, repr(region))
                masks.append(mask)
                x_edges.append(_pixel_edges(np.any(mask, axis=0)))
                y_edges.append(_pixel_edges(np.any(mask, axis=1)))
            else:
                check_box_inside(region, width, height, "region")
                boxes.append(region)
                x_edges.append(np.clip([region.left, region.right], 0, width))
                y_edges.append(np.clip([region.top, region.bottom], 0, height))
        xs, ys = np.unique(np.concatenate(x_edges)), np.unique(np.concatenate(y_edges))
        occupied = np.zeros((len(ys) - 1, len(xs) - 1), dtype=bool)
        for mask in masks:
            occupied |= mask[np.ix_(ys[:-1].astype(int), xs[:-1].astype(int))]
        for box in boxes:
            left, right = np.searchsorted(xs, np.clip([box.left, box.right], 0, width))
            top, bottom = np.searchsorted(ys, np.clip([box.top, box.bottom], 0, height))
            occupied[top:bottom, left:right] = True
        return xs, ys, occupied


def _overlaps(edges: Float64, length: int, cells: int) -> Float64:
    """(cells, n): how much of each of n intervals between edges lies in each cell of [0, length]."""
    borders = _borders(length, cells)
    ends = np.minimum(edges[None, 1:], borders[1:, None])
    starts = np.maximum(edges[None, :-1], borders[:-1, None])
    overlaps: Float64 = np.maximum(ends - starts, 0.0)
    return overlaps


def _gaps(points: Float64, edges: Float64) -> Float64:
    """(points, n): how far each point is from each of n intervals between edges."""
    return np.maximum(np.maximum(edges[None, :-1] - points[:, None], points[:, None] - edges[None, 1:]), 0.0)


@lru_cache
def _borders(length: int, cells: int) -> Float64:
    """Where the cells of [0, length] begin and end: the same for all pictures of a model."""
    borders: Float64 = np.linspace(0.0, length, cells + 1)
    borders.flags.writeable = False
    return borders


def _pixel_edges(inside: npt.NDArray[np.bool_]) -> Float64:
    """All pixel edges from the first to the last row (or column) that has a pixel of the mask."""
    positions = np.flatnonzero(inside)
    edges: Float64 = np.arange(positions[0], positions[-1] + 2, dtype=np.float64)
    return edges
