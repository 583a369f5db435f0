"""What hides a part of an image: a color, a blur, noise, or what is around continued.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy.sparse import coo_array, csgraph
from scipy.sparse.linalg import splu

from pytest_cnnaudit.checks import choice
from pytest_cnnaudit.edits.pixels import Coverage, Pixels, as_picture, as_pixels, block_sums, covered_part

Fill: TypeAlias = Literal["mean", "blur", "noise", "inpaint"]
Filling: TypeAlias = Callable[[Coverage], Pixels]

FILLS = get_args(Fill)
BLUR = 0.05  # standard deviation, as a share of the longer side
SMOOTH = 128  # cells that an equation for smooth colours is solved on, along the longer side


def check_fill(fill: object) -> None:
    """`ValueError` with the known ones for anything but a fill's name."""
    choice(fill, "fill", FILLS)


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


def mean_colour(pixels: Pixels) -> Pixels:
    """The mean of each channel `(C,)`, rounded."""
    # Axis by axis and in whole numbers: exact, and many times quicker than `mean` over both.
    sums = pixels.sum(axis=0, dtype=np.uint32).sum(axis=0, dtype=np.uint64)
    return np.asarray(np.rint(sums / (pixels.shape[0] * pixels.shape[1])), np.uint8)


def inpainted(pixels: Pixels, coverage: Coverage) -> Pixels:
    """The picture with what is covered continued smoothly from what isn't."""
    filled = pixels.copy()
    if not coverage.any():
        return filled
    rows, columns = covered_part(coverage)
    step = -(-max(rows.stop - rows.start, columns.stop - columns.start) // SMOOTH)
    # A rim of known cells determines all within; what is farther away does not matter.
    part = (
        slice(max(0, rows.start - step), rows.stop + step),
        slice(max(0, columns.start - step), columns.stop + step),
    )
    seen, near = (coverage[part] == 0).astype(np.float32), pixels[part]
    known = block_sums(seen, step)
    if known.any():
        sums = [block_sums(near[..., channel] * seen, step) for channel in range(pixels.shape[-1])]
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
