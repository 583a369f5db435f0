"""As much hidden elsewhere: the same shape at other places of the image.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from pytest_cnnaudit.edits.pixels import Coverage, block_sums, covered_part

Moves: TypeAlias = npt.NDArray[np.intp]

PLACES = 128  # cells that a place is searched for on, along the longer side
BLOCKS = 16  # along the longer side


def controls(coverage: Coverage, rng: np.random.Generator, count: int = 3) -> list[Coverage]:
    """Coverages that hide as much elsewhere: the same shape at random places that don't touch it.

    Where there is no such place, one beside it without a pixel in common; where it fits nowhere, as many pixels
    drawn from outside it in blocks; where fewer are left, all of them. Places repeat where there are fewer than
    `count`. Above 128 pixels a side the places are steps of several pixels, so a place is missed where there is less
    room to spare than that.
    """
    moves = places(coverage)
    if not len(moves):
        return [_scattered(coverage, rng) for _ in range(count)]
    drawn = rng.choice(len(moves), count, replace=len(moves) < count)
    rows, columns = covered_part(coverage)
    found = []
    for down, across in moves[drawn].tolist():
        moved = np.zeros_like(coverage)
        there = (slice(rows.start + down, rows.stop + down), slice(columns.start + across, columns.stop + across))
        moved[there] = coverage[rows, columns]
        found.append(moved)
    return found


def places(coverage: Coverage) -> Moves:
    """Moves `(N, 2)`, down and to the right, that keep the shape in the picture and bring it off itself."""
    if not coverage.any():
        return np.empty((0, 2), np.intp)
    step = -(-max(coverage.shape) // PLACES)
    touched = block_sums((coverage > 0).astype(np.float32), step) > 0
    down, across = (
        np.arange(-(part.start // step), (side - part.stop) // step + 1)
        for part, side in zip(covered_part(coverage), coverage.shape, strict=True)
    )
    shape = touched[covered_part(touched)]
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


def _scattered(coverage: Coverage, rng: np.random.Generator) -> Coverage:
    """As many whole pixels outside as are covered, block by block in random order; all where there are fewer."""
    outside = coverage == 0
    wanted = min(max(1, round(float(coverage.sum()))), int(np.count_nonzero(outside)))
    height, width = coverage.shape
    side = max(1, max(height, width) // BLOCKS)
    down, across = -(-height // side), -(-width // side)
    ranks = rng.permutation(down * across).reshape(down, across)
    held = np.empty(ranks.size, np.intp)
    held[ranks] = block_sums(outside.astype(np.intp), side)
    # Blocks are taken whole as long as they are needed whole, and of the next one the first pixels.
    whole = int(np.searchsorted(np.cumsum(held), wanted, "right"))
    rank = ranks.repeat(side, axis=0)[:height].repeat(side, axis=1)[:, :width]
    chosen = outside & (rank < whole)
    rest = np.flatnonzero(outside & (rank == whole))
    chosen.ravel()[rest[: wanted - int(held[:whole].sum())]] = True
    return np.asarray(chosen, np.float32)
