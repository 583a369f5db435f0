"""Edits of upright pictures before preprocessing: parts hidden, patches pasted, backgrounds exchanged.

Pixels are a uint8 array `(H, W, C)` of 1, 3 or 4 channels. Coverage is `(H, W)`: the share of each pixel that is
meant, from 0 to 1. Nothing that is handed over is changed.
PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps
from scipy import ndimage, signal
from scipy.sparse import coo_array, csgraph
from scipy.sparse.linalg import splu

from pytest_cnnaudit.cases import Box, Mask, Region
from pytest_cnnaudit.preprocessing import Geometry

Pixels: TypeAlias = npt.NDArray[np.uint8]
Coverage: TypeAlias = npt.NDArray[np.float32]
Fill: TypeAlias = Literal["mean", "blur", "noise", "inpaint"]
Filling: TypeAlias = Callable[[Coverage], Pixels]
Moves: TypeAlias = npt.NDArray[np.intp]

FILLS = get_args(Fill)
BLUR = 0.05  # standard deviation, as a share of the longer side
# Cells that a search for a place and an equation for smooth colours are solved on, along the longer side.
PLACES, SMOOTH = 128, 128
BLOCKS = 16  # along the longer side


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


# --- What is hidden, and with what -----------------------------------------------------------------------


def check_fill(fill: object) -> None:
    """`ValueError` with the known ones for anything but a fill's name."""
    if not isinstance(fill, str) or fill not in FILLS:
        raise ValueError(f"fill is {fill!r}; known: {', '.join(repr(name) for name in FILLS)}")


def filling(pixels: Pixels, fill: Fill, rng: np.random.Generator) -> Filling:
    """A function from a coverage to pixels `(H, W, C)` to hide it with.

    `"mean"` is the picture's own mean colour, `"blur"` the picture under a Gaussian whose standard deviation is 5 %
    of the longer side, `"noise"` uniform random numbers, `"inpaint"` the smoothest continuation of what is around
    (Laplace's equation, solved on at most 130 × 130 cells; the mean colour where nothing is around). But for
    `"inpaint"` the same for every coverage.
    """
    check_fill(fill)
    if fill == "inpaint":
        return lambda coverage: inpainted(pixels, coverage)
    if fill == "mean":
        field = np.broadcast_to(mean_colour(pixels), pixels.shape)
    elif fill == "blur":
        blur = ImageFilter.GaussianBlur(BLUR * max(pixels.shape[:2]))
        field = as_pixels(as_picture(pixels).filter(blur))
    else:
        field = rng.integers(0, 256, pixels.shape, np.uint8)
    return lambda _: field


def blended(pixels: Pixels, over: Pixels, coverage: Coverage) -> Pixels:
    """`over` where the coverage is 1, `pixels` where it is 0, mixed between."""
    mixed = pixels.copy()
    if coverage.any():
        part = _part(coverage)
        share, below, above = coverage[part], mixed[part], over[part]
        np.copyto(_whole(below), _whole(above), where=share == 1)
        edge = (share > 0) & (share < 1)
        weight = share[edge][:, None]
        below[edge] = np.rint((1 - weight) * below[edge] + weight * above[edge]).astype(np.uint8)
    return mixed


def mean_colour(pixels: Pixels) -> Pixels:
    """The mean of each channel `(C,)`, rounded."""
    # Axis by axis and in whole numbers: exact, and many times quicker than `mean` over both.
    sums = pixels.sum(axis=0, dtype=np.uint32).sum(axis=0, dtype=np.uint64)
    return np.asarray(np.rint(sums / (pixels.shape[0] * pixels.shape[1])), np.uint8)


def _whole(pixels: Pixels) -> npt.NDArray[np.void]:
    """The same pixels `(H, W)`, all channels of one as a single item: NumPy copies these many times as quickly."""
    items: npt.NDArray[np.void] = pixels.view(np.dtype((np.void, pixels.shape[-1])))[..., 0]
    return items


def inpainted(pixels: Pixels, coverage: Coverage) -> Pixels:
    """The picture with what is covered continued smoothly from what isn't."""
    filled = pixels.copy()
    if not coverage.any():
        return filled
    rows, columns = _part(coverage)
    step = -(-max(rows.stop - rows.start, columns.stop - columns.start) // SMOOTH)
    # A rim of known cells determines all within; what is farther away does not matter.
    part = (
        slice(max(0, rows.start - step), rows.stop + step),
        slice(max(0, columns.start - step), columns.stop + step),
    )
    seen, near = (coverage[part] == 0).astype(np.float32), pixels[part]
    known = _block_sums(seen, step)
    if known.any():
        sums = [_block_sums(near[..., channel] * seen, step) for channel in range(pixels.shape[-1])]
        cells = _continued(np.stack(sums, axis=-1) / np.maximum(known, 1)[..., None], known > 0)
        filled[part] = np.rint(np.clip(_enlarged(cells, step, seen.shape), 0, 255)).astype(np.uint8)
    else:
        filled[part] = mean_colour(pixels)
    return filled


def _enlarged(cells: npt.NDArray[np.float64], step: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Cells of `step` × `step` pixels as pixels, bilinear; exact for single pixels."""
    if step == 1:
        return cells
    (height, width), bilinear = shape, Image.Resampling.BILINEAR
    layers = [Image.fromarray(np.ascontiguousarray(layer, np.float32)) for layer in np.moveaxis(cells, -1, 0)]
    frame = (0, 0, width / step, height / step)
    return np.stack([np.asarray(layer.resize((width, height), bilinear, box=frame)) for layer in layers], axis=-1)


def _continued(values: npt.NDArray[Any], known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Values `(h, w, C)` with the unknown ones such that each is the mean of its neighbours."""
    if known.all():
        return np.asarray(values, np.float64)
    places = np.arange(known.size).reshape(known.shape)
    one = np.concatenate([places[:, :-1].ravel(), places[:-1].ravel()])
    other = np.concatenate([places[:, 1:].ravel(), places[1:].ravel()])
    pairs = coo_array((np.ones(len(one)), (one, other)), shape=(known.size, known.size))
    laplacian = csgraph.laplacian(pairs + pairs.T).tocsr()
    inside, flat = ~known.ravel(), values.reshape(known.size, -1).astype(np.float64)
    around = laplacian[inside][:, ~inside] @ flat[~inside]
    flat[inside] = splu(laplacian[inside][:, inside].tocsc()).solve(-around)
    return flat.reshape(values.shape)


def _block_sums(values: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    """Sums of blocks of `step` × `step` pixels; those at the right and at the bottom may be smaller."""
    rows, columns = (np.arange(0, side, step) for side in values.shape)
    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)


# --- The same done elsewhere -----------------------------------------------------------------------------


def controls(coverage: Coverage, rng: np.random.Generator, count: int = 3) -> list[Coverage]:
    """Coverages that hide as much elsewhere: the same shape at random places that don't touch it.

    Where there is no such place, one beside it without a pixel in common; where it fits nowhere, as many pixels
    drawn from outside it in blocks; where fewer are left, all of them. Places repeat where there are fewer than
    `count`. Above 128 pixels a side the places are steps of several pixels, so a place is missed where there is less
    room to spare than that.
    """
    places = _places(coverage)
    if not len(places):
        return [_scattered(coverage, rng) for _ in range(count)]
    drawn = rng.choice(len(places), count, replace=len(places) < count)
    rows, columns = _part(coverage)
    found = []
    for down, across in places[drawn].tolist():
        moved = np.zeros_like(coverage)
        there = (slice(rows.start + down, rows.stop + down), slice(columns.start + across, columns.stop + across))
        moved[there] = coverage[rows, columns]
        found.append(moved)
    return found


def _places(coverage: Coverage) -> Moves:
    """Moves `(N, 2)`, down and to the right, that keep the shape in the picture and bring it off itself."""
    if not coverage.any():
        return np.empty((0, 2), np.intp)
    step = -(-max(coverage.shape) // PLACES)
    touched = _block_sums((coverage > 0).astype(np.float32), step) > 0
    down, across = (
        np.arange(-(part.start // step), (side - part.stop) // step + 1)
        for part, side in zip(_part(coverage), coverage.shape, strict=True)
    )
    shape = touched[_part(touched)]
    free = _free(shape, down, across, gap=1)
    row, column = np.nonzero(free if free.any() else _free(shape, down, across, gap=0))
    return np.asarray(np.stack([down[row], across[column]], axis=1) * step, np.intp)


def _free(shape: npt.NDArray[np.bool_], down: Moves, across: Moves, gap: int) -> npt.NDArray[np.bool_]:
    """Whether a shape moved so many blocks down and across is `gap` blocks off itself, in all directions."""
    height, width = shape.shape
    if shape.all():  # a rectangle, as nearly always
        return np.asarray((np.abs(down) >= height + gap)[:, None] | (np.abs(across) >= width + gap))
    around = ndimage.binary_dilation(np.pad(shape, gap), np.ones((3, 3)), gap) if gap else shape
    shared = signal.correlate(around.astype(np.float64), shape.astype(np.float64), mode="full", method="fft")
    # One more on each side: moves beyond the shape's own size bring it off itself, however far.
    rows = np.clip(down + height + gap, 0, 2 * (height + gap))
    columns = np.clip(across + width + gap, 0, 2 * (width + gap))
    return np.asarray(np.pad(shared, 1)[np.ix_(rows, columns)] < 0.5)


def _part(coverage: npt.NDArray[Any]) -> tuple[slice, slice]:
    """The rows and columns between the first and the last that are covered."""
    rows, columns = (np.flatnonzero(coverage.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _scattered(coverage: Coverage, rng: np.random.Generator) -> Coverage:
    """As many whole pixels outside as are covered, block by block in random order; all where there are fewer."""
    outside = coverage == 0
    wanted = min(max(1, round(float(coverage.sum()))), int(np.count_nonzero(outside)))
    height, width = coverage.shape
    side = max(1, max(height, width) // BLOCKS)
    down, across = -(-height // side), -(-width // side)
    ranks = rng.permutation(down * across).reshape(down, across)
    held = np.empty(ranks.size, np.intp)
    held[ranks] = _block_sums(outside.astype(np.intp), side)
    # Blocks are taken whole as long as they are needed whole, and of the next one the first pixels.
    whole = int(np.searchsorted(np.cumsum(held), wanted, "right"))
    rank = ranks.repeat(side, axis=0)[:height].repeat(side, axis=1)[:, :width]
    chosen = outside & (rank < whole)
    rest = np.flatnonzero(outside & (rank == whole))
    chosen.ravel()[rest[: wanted - int(held[:whole].sum())]] = True
    return np.asarray(chosen, np.float32)


# --- Patches and backgrounds -----------------------------------------------------------------------------


def pasted(pixels: Pixels, patch: Image.Image, left: int, top: int) -> Pixels:
    """The patch, in any mode, at (left, top), by its own transparency; what would be beyond the picture is cut off."""
    picture = as_picture(pixels)
    layer = Image.new("RGBA", picture.size)
    layer.paste(patch.convert("RGBA"), (left, top))
    return as_pixels(Image.alpha_composite(picture.convert("RGBA"), layer).convert(_mode(picture, patch)))


def pasted_into(pixels: Pixels, patch: Image.Image, box: Box) -> Pixels:
    """The patch resized to all pixels that the box touches; what would be beyond the picture is cut off."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = math.floor(box.left), math.floor(box.top), math.ceil(box.right), math.ceil(box.bottom)
    seen_left, seen_top, seen_right, seen_bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    # Only what is seen of the patch is resized: a box may be many times as large as the picture.
    part = (
        (seen_left - left) * patch.width / (right - left),
        (seen_top - top) * patch.height / (bottom - top),
        (seen_right - left) * patch.width / (right - left),
        (seen_bottom - top) * patch.height / (bottom - top),
    )
    size = (seen_right - seen_left, seen_bottom - seen_top)
    return pasted(pixels, patch.resize(size, Image.Resampling.LANCZOS, box=part), seen_left, seen_top)


def on_background(pixels: Pixels, coverage: Coverage, background: Image.Image) -> Pixels:
    """What is covered on another background: its largest centred part of the same proportions, resized."""
    height, width = coverage.shape
    picture, ground = as_picture(pixels), ImageOps.fit(background, (width, height), Image.Resampling.BILINEAR)
    mode = _mode(picture, ground)
    return blended(as_pixels(ground.convert(mode)), as_pixels(picture.convert(mode)), coverage)


def _mode(picture: Image.Image, other: Image.Image) -> str:
    """The picture's mode, but colours for a grey one that gets some."""
    return "RGB" if picture.mode == "L" and other.mode != "L" else picture.mode


def as_picture(pixels: Pixels) -> Image.Image:
    """The picture of pixels `(H, W, C)`, in mode L, RGB or RGBA."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def as_pixels(picture: Image.Image) -> Pixels:
    """The pixels `(H, W, C)` of a picture in mode L, RGB or RGBA."""
    pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels
