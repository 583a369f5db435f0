"""Pixels and coverages of images, and what both are made of: blends, parts, blocks.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_cnnaudit.cases import Box, Mask, Region
from pytest_cnnaudit.preprocessing import Geometry

Pixels: TypeAlias = npt.NDArray[np.uint8]
Coverage: TypeAlias = npt.NDArray[np.float32]


def as_picture(pixels: Pixels) -> Image.Image:
    """The picture of pixels `(H, W, C)`, in mode L, RGB or RGBA."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def as_pixels(picture: Image.Image) -> Pixels:
    """The pixels `(H, W, C)` of a picture in mode L, RGB or RGBA."""
    pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def coverage_of(regions: Sequence[Region], width: int, height: int) -> Coverage:
    """How much of each pixel lies in the union of regions, exactly; beyond the picture they are clipped."""
    covered = np.zeros((height, width), np.float32)
    boxes = [region for region in regions if isinstance(region, Box)]
    if boxes:
        left, top = (max(0, math.floor(min(getattr(box, edge) for box in boxes))) for edge in ("left", "top"))
        right = min(width, math.ceil(max(box.right for box in boxes)))
        bottom = min(height, math.ceil(max(box.bottom for box in boxes)))
        moved = [Box(box.left - left, box.top - top, box.right - left, box.bottom - top) for box in boxes]
        size = (bottom - top, right - left)
        covered[top:bottom, left:right] = Geometry.identity(size[1], size[0]).coverage(moved, size)
    for region in regions:
        if isinstance(region, Mask):
            covered[region.array] = 1  # masks hold whole pixels, so the union with boxes stays exact
    return covered


def blended(pixels: Pixels, over: Pixels, coverage: Coverage) -> Pixels:
    """`over` where the coverage is 1, `pixels` where it is 0, mixed between."""
    mixed = pixels.copy()
    if coverage.any():
        part = covered_part(coverage)
        share, below, above = coverage[part], mixed[part], over[part]
        np.copyto(_whole(below), _whole(above), where=share == 1)
        edge = (share > 0) & (share < 1)
        weight = share[edge][:, None]
        below[edge] = np.rint((1 - weight) * below[edge] + weight * above[edge]).astype(np.uint8)
    return mixed


def _whole(pixels: Pixels) -> npt.NDArray[np.void]:
    """The same pixels `(H, W)`, all channels of one as a single item: NumPy copies these many times as quickly."""
    items: npt.NDArray[np.void] = pixels.view(np.dtype((np.void, pixels.shape[-1])))[..., 0]
    return items


def covered_part(coverage: npt.NDArray[Any]) -> tuple[slice, slice]:
    """The rows and columns between the first and the last that are covered."""
    rows, columns = (np.flatnonzero(coverage.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def block_sums(values: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    """Sums of blocks of `step` × `step` pixels; those at the right and at the bottom may be smaller."""
    rows, columns = (np.arange(0, side, step) for side in values.shape)
    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)


def mode_of_both(picture: Image.Image, other: Image.Image) -> str:
    """The picture's mode, but colours for a grey one that gets some."""
    return "RGB" if picture.mode == "L" and other.mode != "L" else picture.mode
