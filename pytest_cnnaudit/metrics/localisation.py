"""Where a heatmap looks: its mass and its maxima against a region, on the heatmap's own grid.

`heatmap` is one non-negative map `(h, w)` or a batch `(N, h, w)`, on any scale. `coverage` has the same shape
and says for each grid cell which share of it the region covers, in [0, 1]. One map gives a `float`, a batch
an array `(N,)` of float64. Nothing is resized, rescaled by min-max or changed in place.

Raised by every measure of a heatmap: `EmptyHeatmapError` for a map without any mass, `RegionLostError` for a
region that covers no cell, `ValueError` for negative or non-finite maps, coverage outside [0, 1], and shapes
that differ.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from pytest_cnnaudit.checks import check_number, is_integer
from pytest_cnnaudit.metrics.batches import FloatArray, Values, batched, indices, listed, refuse, unbatched

# Cells closer than this share of the map's maximum are tied: float32 sums differ by less than that between
# backends, and no verdict may hang on it.
TIE_DECIMALS = 6
TIE_TOLERANCE = 10.0**-TIE_DECIMALS
# The box-shuffle null of any measure but the mass takes this many cells at most, some seconds.
SHUFFLED_CELLS = 20_000_000
MOST_SHUFFLES = 50


class EmptyHeatmapError(ValueError):
    """A heatmap is zero everywhere: it looks nowhere, so no measure of where it looks exists.

    `indices` are the positions of the empty maps in the batch, `(0,)` for a single map.
    """

    def __init__(self, indices: tuple[int, ...]) -> None:
        self.indices = indices
        super().__init__(
            f"heatmap {listed(indices)} is zero everywhere: no positive evidence for the target at this "
            "layer, which is a result of its own; take empty maps out of the batch first"
        )


class RegionLostError(ValueError):
    """A region covers no cell of the grid: it lies outside the picture or was cropped away.

    `indices` are the positions of the lost regions in the batch, `(0,)` for a single region.
    """

    def __init__(self, indices: tuple[int, ...]) -> None:
        self.indices = indices
        super().__init__(
            f"region lost: coverage {listed(indices)} is zero everywhere; the region lies outside the "
            "model's input, or (pointing game) no cell centre lies in it"
        )


def mass_inside(heatmap: ArrayLike, coverage: ArrayLike) -> Values:
    """Share of the heatmap's mass in the region: Σ coverage · L / Σ L, in [0, 1].

    The energy-based pointing game (Wang 2020, arXiv:1910.01279 §4.3), also called relevance mass accuracy
    (Arras 2022, arXiv:2003.07258). A uniform map scores `chance(coverage)`; no map exceeds
    `ceiling(coverage)`.
    """
    relative, regions, single = _validated(heatmap, coverage)
    mass = (relative * regions).sum(axis=(1, 2)) / relative.sum(axis=(1, 2))
    return unbatched(mass, single)


def chance(coverage: ArrayLike) -> Values:
    """Mass inside of a uniform map: the mean coverage, that is the region's share of the model's input."""
    regions, single = _regions(coverage)
    return unbatched(regions.mean(axis=(1, 2)), single)


def ceiling(coverage: ArrayLike) -> Values:
    """Largest mass inside that any map on this grid reaches: the coverage of the best covered cell."""
    regions, single = _regions(coverage)
    return unbatched(regions.max(axis=(1, 2)), single)


def excess(mass: ArrayLike, chance: ArrayLike) -> Values:
    """Mass above chance, (m − a) / (1 − a): 0 at chance, 1 with all mass inside, negative below chance.

    Takes numbers or arrays `(N,)`. Raises `ValueError` for values outside [0, 1] and for a chance of 1, a
    region that fills the picture, where no map can do better than chance.
    """
    masses, chances = _fractions(mass, "mass"), _fractions(chance, "chance")
    if (chances == 1).any():
        raise ValueError(
            "chance is 1: the region fills the picture, so nothing can be above chance; use a smaller region"
        )
    if masses.ndim and chances.ndim and masses.shape != chances.shape:
        raise ValueError(f"mass has shape {masses.shape} and chance {chances.shape}; give one chance for each mass")
    above = (masses - chances) / (1 - chances)
    return float(above) if above.ndim == 0 else np.asarray(above)


def pointing_hit(heatmap: ArrayLike, inside: ArrayLike) -> Values:
    """Pointing game: 1 where the map's maximum lies inside, 0 where not; a hit is a value above 0.5.

    `inside`, shape of the heatmap, boolean or in [0, 1], says which cells count: those whose centre lies
    within the tolerance of the region. The caller decides that in pixels, since a grid doesn't know its
    pixels. Of several tied maxima (equal to 1e-6 of the maximum) the share inside counts, so a uniform map
    scores `chance(inside)`. Zhang 2016, arXiv:1608.00507.

    Raises `RegionLostError` as well where no cell centre is inside: no map could hit; allow more tolerance.
    """
    relative, regions, single = _validated(heatmap, inside)
    maxima = relative >= 1 - TIE_TOLERANCE
    hits = (maxima * regions).sum(axis=(1, 2)) / maxima.sum(axis=(1, 2))
    return unbatched(hits, single)


def rank_accuracy(heatmap: ArrayLike, coverage: ArrayLike) -> Values:
    """Share of the top K cells that lies in the region, K = area of the region in cells (Arras 2022).

    A fractional K takes the last cell in part. Cells tied with each other (equal to six decimals of the map's
    maximum) enter with their mean coverage, so a uniform map scores `chance(coverage)`.
    """
    relative, regions, single = _validated(heatmap, coverage)
    scores = np.array([_rank_accuracy(*pair) for pair in zip(relative, regions, strict=True)], dtype=np.float64)
    return unbatched(scores, single)


def _rank_accuracy(relative: FloatArray, region: FloatArray) -> float:
    _, level = np.unique(-np.round(relative, TIE_DECIMALS).ravel(), return_inverse=True)
    cells = np.bincount(level)
    covered = np.bincount(level, weights=region.ravel())
    area = region.sum()
    taken = np.clip(area - (np.cumsum(cells) - cells), 0, cells)
    return float((taken * covered / cells).sum() / area)


def iou(heatmap: ArrayLike, coverage: ArrayLike, threshold: float = 0.15) -> Values:
    """Intersection over union of the cells with L ≥ threshold · max L and the region, in [0, 1].

    Intersection: Σ coverage of the selected cells. Union: the number of selected cells + Σ coverage of the
    others. 15 % of the maximum is Grad-CAM's choice (Selvaraju 2017, arXiv:1610.02391 §4).
    Raises `ValueError` for a threshold outside (0, 1]: at 0 every cell is selected whatever the map.
    """
    check_threshold(threshold)
    relative, regions, single = _validated(heatmap, coverage)
    selected = relative >= threshold * (1 - TIE_TOLERANCE)
    intersection = (regions * selected).sum(axis=(1, 2))
    union = np.where(selected, 1.0, regions).sum(axis=(1, 2))
    return unbatched(intersection / union, single)


def check_threshold(threshold: float) -> None:
    """`ValueError` unless a share of the map's maximum above 0 and up to 1, `TypeError` for what is no number."""
    check_number(threshold, "threshold")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold!r}; give a share of the map's maximum above 0 and up to 1")


def iou_ceiling(coverage: ArrayLike) -> Values:
    """Largest IoU that any map on this grid reaches: that of the best number of best covered cells."""
    regions, single = _regions(coverage)
    best_first = -np.sort(-regions.reshape(len(regions), -1), axis=1)
    covered = np.cumsum(best_first, axis=1)
    cells = np.arange(1, best_first.shape[1] + 1)
    return unbatched((covered / (cells + covered[:, -1:] - covered)).max(axis=1), single)


def grid_pointing(heatmap: ArrayLike, cell: ArrayLike, grid: int = 2) -> Values:
    """Share of the heatmap's mass in the right cell of a mosaic of `grid` × `grid` pictures, in [0, 1].

    `cell` counts the mosaic's cells row by row from 0: a number, or `(N,)` for a batch. A cell of the map that
    lies in two of the mosaic's counts in each by its area. Chance is 1 / grid². Rao 2022, arXiv:2205.10435.

    For even grids: all cells of the mosaic have the same size. Where its pixels don't divide by `grid` some are a pixel
    larger, and `mass_inside` with the coverage of a cell as it was pasted measures that one, as the assertion does.
    """
    maps, single = batched(heatmap, "heatmap")
    cells = np.asarray(cell)
    if cells.dtype.kind not in "iu" or cells.shape not in ((), (len(maps),)):
        raise ValueError(f"cell is {cell!r}; give the number of a cell, or one for each of {len(maps)} maps")
    coverages = [cell_coverage(maps.shape[1:], int(one), grid) for one in np.broadcast_to(cells, len(maps))]
    shares = mass_inside(maps, np.stack(coverages)) if coverages else np.zeros(0)
    return float(np.asarray(shares)[0]) if single else shares


def cell_coverage(shape: tuple[int, ...], cell: int, grid: int = 2) -> FloatArray:
    """The share of each cell of a map `(h, w)` that one cell of a mosaic of `grid` × `grid` covers."""
    if not is_integer(grid) or grid < 2:
        raise ValueError(f"grid is {grid!r}; give the number of cells along each side, 2 or more")
    if not is_integer(cell) or not 0 <= cell < grid**2:
        raise ValueError(f"cell is {cell!r}; a mosaic of {grid} × {grid} has the cells 0 to {grid**2 - 1}")
    borders = [np.arange(side + 1) * grid / side for side in shape]
    row, column = (
        np.clip(np.diff(np.clip(border - at, 0, 1)) * side / grid, 0, 1)
        for border, at, side in zip(borders, divmod(cell, grid), shape, strict=True)
    )
    return np.asarray(row[:, None] * column[None, :])


def gini(heatmap: ArrayLike) -> Values:
    """Sparseness of a map of n cells: Σ (2i − n − 1) x_(i) / (n Σ x), x_(i) sorted upwards; in [0, 1 − 1/n].

    0 for a constant map and 1 − 1/n for a single cell; random maps have about 0.3, so it has no chance level. It
    says how concentrated a map is, not whether it is on the right thing. Chalasani 2020, arXiv:1810.06583.
    """
    relative, single = _maps(heatmap)
    ascending = np.sort(relative.reshape(len(relative), -1), axis=1)
    n = ascending.shape[1]
    weights = 2 * np.arange(1, n + 1) - n - 1
    # Rounding gives a constant map something like −1e-17.
    return unbatched(np.maximum((ascending * weights).sum(axis=1) / (n * ascending.sum(axis=1)), 0), single)


def box_shuffle_null(
    heatmaps: ArrayLike, coverages: ArrayLike, measure: Callable[[ArrayLike, ArrayLike], Values] = mass_inside
) -> float:
    """Mean of a measure of heatmap i with region j over the pairs i ≠ j of a population, `(N, h, w)` each, N ≥ 2.

    What the maps would score if they knew where objects usually are, but not where this one is. A value well
    above it is due to the picture, not to the data set's habit of centring its objects. The mass inside is
    taken over all pairs; another `measure(heatmaps, coverages)` with 50 other regions for each map, fewer where
    that would be more than 20 million cells.
    """
    relative, regions, _ = _validated(heatmaps, coverages)
    count = len(relative)
    if count < 2:
        raise ValueError("the box-shuffle null needs at least 2 heatmaps with their regions, in a batch (N, h, w)")
    if measure is not mass_inside:
        most = int(np.clip(SHUFFLED_CELLS // relative.size, 1, MOST_SHUFFLES))
        shifts = np.unique(np.linspace(1, count - 1, min(most, count - 1)).astype(int))
        return float(np.mean([measure(relative, np.roll(regions, shift, axis=0)) for shift in shifts]))
    shares = relative / relative.sum(axis=(1, 2), keepdims=True)
    every_pair = (shares.sum(axis=0) * regions.sum(axis=0)).sum()
    own = (shares * regions).sum()
    pairs = count * (count - 1)
    return float(np.clip((every_pair - own) / pairs, 0.0, 1.0))


def centre_prior(shape: tuple[int, int], sigma: float = 0.25) -> FloatArray:
    """Control map `(h, w)` that ignores the picture: a Gaussian in its middle, σ = `sigma` of each side.

    A model's maps should beat it, since pictures are taken with the object in the middle. Largest value ≤ 1.
    """
    sides = np.asarray(shape)
    if sides.shape != (2,) or sides.dtype.kind not in "iu" or sides.min() < 1:
        raise ValueError(f"shape is {shape!r}; give the numbers of rows and columns, both at least 1")
    check_number(sigma, "sigma")
    if not 0 < sigma < np.inf:
        raise ValueError(f"sigma is {sigma!r}; give a share of the sides above 0")
    rows, columns = (((np.arange(side) + 0.5) / side - 0.5) / sigma for side in sides)
    return np.asarray(np.exp(-0.5 * (rows[:, None] ** 2 + columns[None, :] ** 2)))


def _validated(heatmap: ArrayLike, coverage: ArrayLike) -> tuple[FloatArray, FloatArray, bool]:
    """Heatmaps divided by their maxima, regions (both `(N, h, w)`), and whether it was a single map."""
    if np.shape(heatmap) != np.shape(coverage):
        raise ValueError(
            f"heatmap has shape {np.shape(heatmap)} and coverage {np.shape(coverage)}; "
            "give each map the coverage of its region on the map's own grid"
        )
    relative, single = _maps(heatmap)
    regions, _ = _regions(coverage)
    return relative, regions, single


def _maps(heatmap: ArrayLike) -> tuple[FloatArray, bool]:
    maps, single = batched(heatmap, "heatmap")
    refuse(~np.isfinite(maps), "heatmap", "NaN or infinity", "look for it in the activations or gradients")
    refuse(maps < 0, "heatmap", "negative values", "use the map after ReLU")
    maxima = maps.max(axis=(1, 2), keepdims=True)
    if (maxima == 0).any():
        raise EmptyHeatmapError(indices(maxima[:, 0, 0] == 0))
    return maps / maxima, single


def _regions(coverage: ArrayLike) -> tuple[FloatArray, bool]:
    regions, single = batched(coverage, "coverage")
    in_range = (regions >= 0) & (regions <= 1)
    refuse(~in_range, "coverage", "values outside [0, 1]", "give the share of each cell that the region covers")
    lost = ~regions.any(axis=(1, 2))
    if lost.any():
        raise RegionLostError(indices(lost))
    return regions, single


def _fractions(values: ArrayLike, name: str) -> FloatArray:
    given = np.asarray(values)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"{name} is {values!r}; numbers are expected")
    fractions = given.astype(np.float64)
    if not ((fractions >= 0) & (fractions <= 1)).all():
        raise ValueError(f"{name} is {values!r}; give values in [0, 1]")
    return fractions
