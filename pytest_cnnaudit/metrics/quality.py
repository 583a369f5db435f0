"""Whether a heatmap deserves trust: how it compares with a second map, and with what the prediction does.

A heatmap is one map `(h, w)` or a batch `(N, h, w)` on its own grid, on any scale. Nothing is resized or changed
in place. One map gives a `float`, a batch an array `(N,)` of float64. NaN and infinity are a `ValueError`.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate, stats

from pytest_cnnaudit.checks import check_number, choice
from pytest_cnnaudit.metrics.batches import FloatArray, Values, batched, indices, listed, refuse, unbatched
from pytest_cnnaudit.metrics.localisation import TIE_DECIMALS, EmptyHeatmapError


class ConstantHeatmapError(ValueError):
    """A heatmap is the same in all cells, so no cell comes before another and no rank correlation exists.

    `indices` are the positions of these maps in the batch, `(0,)` for a single map.
    """

    def __init__(self, indices: tuple[int, ...]) -> None:
        self.indices = indices
        super().__init__(
            f"heatmap {listed(indices)} is the same in all cells, so it has no order to compare: take it out of the "
            "batch first, or say with constant= what it counts as"
        )


def is_constant(heatmap: ArrayLike) -> bool | NDArray[np.bool_]:
    """Whether a map is the same in all cells, to six decimals of its largest magnitude; an empty one is."""
    levels, single = _levels(heatmap, "heatmap")
    flat = np.ptp(levels, axis=(1, 2)) == 0
    return bool(flat[0]) if single else np.asarray(flat)


def rank_correlation(first: ArrayLike, second: ArrayLike, *, constant: float | None = None) -> Values:
    """Spearman's correlation of two maps over their cells, in [−1, 1]; 0 for maps that have nothing in common.

    Cells equal to six decimals of a map's largest magnitude are tied and get their mean rank. A map that is the
    same in all cells (such as an empty one) has no ranks: `ConstantHeatmapError`, unless `constant` says what a
    pair with one counts as.
    """
    if constant is not None:
        check_number(constant, "constant")
    if np.shape(first) != np.shape(second):
        raise ValueError(f"first has shape {np.shape(first)} and second {np.shape(second)}; compare maps of one grid")
    pairs = [_levels(maps, name) for maps, name in ((first, "first"), (second, "second"))]
    (levels, single), (others, _) = pairs
    flat = (np.ptp(levels, axis=(1, 2)) == 0) | (np.ptp(others, axis=(1, 2)) == 0)
    if flat.any() and constant is None:
        raise ConstantHeatmapError(indices(flat))
    found = [
        constant if skip else stats.spearmanr(one.ravel(), other.ravel()).statistic
        for one, other, skip in zip(levels, others, flat, strict=True)
    ]
    return unbatched(np.asarray(found, np.float64), single)


def randomisation_correlation(before: ArrayLike, after: ArrayLike) -> float:
    """How much of a map survives without the weights: 0 where nothing does, 1 where all of it does.

    `before` is one signed map `(h, w)`, `after` those of R re-initialised networks `(R, h, w)`. What is for a class
    and what is against it are a matter of luck in a random network, so the positive part of `before` is correlated
    by rank with both parts of each of `after`, and the smaller magnitude counts: that of the only one where the
    other is empty, 0 where both are. The value is the mean over R, but no less than the least magnitude over R of
    the correlation of the signed maps: luck does not make every network's map the same, or its negative.
    `ConstantHeatmapError` where the positive part of `before` is constant. The model-parameter randomisation test
    (Adebayo 2018, arXiv:1810.03292). Unrelated maps of n independent cells reach less than √(2 / (π(n − 1))), smooth
    ones more.
    """
    signed, single = _finite(after, "after")
    if single:
        raise ValueError(f"after has shape {np.shape(after)}; give the maps of all re-initialised networks, (R, h, w)")
    whole = np.broadcast_to(np.asarray(before, np.float64), signed.shape)
    evidence = np.maximum(np.asarray(before, np.float64), 0)
    if is_constant(evidence):
        raise ConstantHeatmapError((0,))
    parts = np.stack([np.maximum(signed, 0), np.maximum(-signed, 0)])
    smallest = np.full(len(signed), np.inf)
    for part in parts:
        telling = ~np.asarray(is_constant(part))
        if telling.any():
            found = np.abs(rank_correlation(np.broadcast_to(evidence, part[telling].shape), part[telling]))
            smallest[telling] = np.minimum(smallest[telling], found)
    unchanged = np.abs(rank_correlation(whole, signed, constant=0.0)).min()
    return float(max(np.mean(np.where(np.isinf(smallest), 0.0, smallest)), unchanged))


def relevance_order(heatmap: ArrayLike) -> NDArray[np.intp]:
    """Flat positions of the map's `(h, w)` cells, the most relevant first; tied cells in reading order."""
    levels, single = _levels(heatmap, "heatmap")
    if not single:
        raise ValueError(f"heatmap has shape {np.shape(heatmap)}; give one map (h, w)")
    return np.argsort(-levels.ravel(), kind="stable")


def curve_area(fractions: ArrayLike, values: ArrayLike) -> float:
    """Area under a curve from fraction 0 to 1 by the trapezoidal rule: its mean height.

    With P(target) over the fraction of pixels inserted or deleted, the insertion and deletion metrics (Petsiuk
    2018, arXiv:1806.07421). `fractions` rise from 0 to 1 in steps of any width.
    """
    x, y = np.asarray(fractions, np.float64), np.asarray(values, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(f"fractions have shape {x.shape} and values {y.shape}; give two or more of both, (n,)")
    if x[0] != 0 or x[-1] != 1 or not (np.diff(x) >= 0).all():
        raise ValueError(f"fractions are {fractions!r}; they must rise from 0 to 1")
    if not np.isfinite(y).all():
        raise ValueError("values hold NaN or infinity")
    return float(integrate.trapezoid(y, x))


def max_sensitivity(heatmap: ArrayLike, perturbed: ArrayLike) -> float:
    """max over S of ‖L(x + δ) − L(x)‖ / ‖L(x)‖, Euclidean: 0 is perfectly stable (Yeh 2019, arXiv:1901.09392).

    `heatmap` is the picture's map L(x), `(h, w)`, `perturbed` those of S slightly changed copies, `(S, h, w)`.
    Raises `EmptyHeatmapError` where L(x) is zero everywhere.
    """
    (one,), single = _finite(heatmap, "heatmap")
    others, _ = _finite(perturbed, "perturbed")
    if not single or one.shape != others.shape[1:] or not len(others):
        raise ValueError(
            f"heatmap has shape {np.shape(heatmap)} and perturbed {np.shape(perturbed)}; give (h, w) and (S, h, w)"
        )
    if not one.any():
        raise EmptyHeatmapError((0,))
    return float(np.linalg.norm(others - one, axis=(1, 2)).max() / np.linalg.norm(one))


MOVES = {
    "mirror": (lambda maps: maps[..., ::-1], lambda maps: maps[..., ::-1]),
    "flip": (lambda maps: maps[..., ::-1, :], lambda maps: maps[..., ::-1, :]),
    "rotate90": (lambda maps: np.rot90(maps, 1, (-2, -1)), lambda maps: np.rot90(maps, -1, (-2, -1))),
}
"""How a map moves with a picture that is mirrored (left and right), flipped (up and down) or turned by a quarter
counterclockwise, and back."""


def moved(heatmap: ArrayLike, transform: str, *, back: bool = False) -> FloatArray:
    """The map as the `transform` of its picture (a name in `MOVES`) moves it, or as undoing it does; a copy."""
    maps, single = batched(heatmap, "heatmap")
    choice(transform, "transform", MOVES)
    found = np.array(MOVES[transform][back](maps))
    return found[0] if single else found


def _levels(heatmap: ArrayLike, name: str) -> tuple[FloatArray, bool]:
    """Maps divided by their largest magnitude and rounded, so that what differs by rounding is tied."""
    maps, single = _finite(heatmap, name)
    largest = np.abs(maps).max(axis=(1, 2), keepdims=True)
    relative = np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)
    return np.round(relative, TIE_DECIMALS), single


def _finite(heatmap: ArrayLike, name: str) -> tuple[FloatArray, bool]:
    maps, single = batched(heatmap, name)
    refuse(~np.isfinite(maps), name, "NaN or infinity", "look for it in the activations or gradients")
    return maps, single
