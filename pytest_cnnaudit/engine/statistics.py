"""Activation statistics of a layer, merged batch by batch so that memory does not grow with the pictures.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.engine.passes import REDUCTIONS

SQUARED = (1e-15, 1e15)
"""Largest magnitudes with which squares in float32, and sums of 10⁸ of them, neither overflow nor vanish."""
_KEPT_PICTURES = 64
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LayerStats:
    """Statistics of a layer with K channels over N pictures; arrays of shape `(K,)` unless said otherwise.

    `count` is the number of values a channel was seen with (N·H·W), `zero_fraction` the share of exact
    zeros, `std` the population standard deviation (from squares in float32: trust it where it is above a
    thousandth of the mean, and the channel's largest magnitude from 1e-15 to 1e15), `dead` whether the channel
    never fired: its maximum is ≤ 0 after a ReLU, or it is constant. `sparsity_per_image` `(N,)` is the zero
    fraction of each picture, `largest_per_image` `(N,)` its largest magnitude, `hoyer_per_image` `(N,)` its
    Hoyer sparsity (Hoyer 2004, JMLR 5; 1 for a picture without any activation; NaN where the largest magnitude
    is below 1e-15 or above 1e15, since squares under- or overflow there). `a + b` merges the statistics of two
    sets of pictures.
    """

    count: npt.NDArray[np.int64]
    zeros: npt.NDArray[np.int64]
    mean: Floats
    squares: Floats = field(repr=False)
    """Sum of squared deviations from the mean; infinite or 0 where squares in float32 over- or underflow."""
    min: Floats
    max: Floats
    sparsity_per_image: Floats
    largest_per_image: Floats
    hoyer_per_image: Floats
    is_relu_like: bool = False

    @property
    def zero_fraction(self) -> Floats:
        """Share of exact zeros."""
        return self.zeros / self.count

    @property
    def std(self) -> Floats:
        """Population standard deviation."""
        return np.asarray(np.sqrt(self.squares / self.count))

    @property
    def dead(self) -> npt.NDArray[np.bool_]:
        """Which channels never fired."""
        constant = (self.min == self.max) & (self.count > 1)
        return np.asarray(constant | (self.max <= 0) if self.is_relu_like else constant)

    @property
    def sparsity(self) -> float:
        """Mean of `sparsity_per_image`: the layer's share of exact zeros."""
        return float(self.sparsity_per_image.mean())

    @property
    def dead_fraction(self) -> float:
        """Share of dead channels."""
        return float(self.dead.mean())

    def __add__(self, other: LayerStats) -> LayerStats:
        if self.mean.shape != other.mean.shape or self.is_relu_like != other.is_relu_like:
            raise ValueError(
                f"Statistics of different layers can't be merged: {self.mean.size} and {other.mean.size} channels"
            )
        # Chan, Golub & LeVeque 1983: stable where sums of squares would cancel.
        count = self.count + other.count
        delta = other.mean - self.mean
        return LayerStats(
            count=count,
            zeros=self.zeros + other.zeros,
            mean=self.mean + delta * other.count / count,
            squares=self.squares + other.squares + delta**2 * self.count * other.count / count,
            min=np.minimum(self.min, other.min),
            max=np.maximum(self.max, other.max),
            sparsity_per_image=np.concatenate([self.sparsity_per_image, other.sparsity_per_image]),
            largest_per_image=np.concatenate([self.largest_per_image, other.largest_per_image]),
            hoyer_per_image=np.concatenate([self.hoyer_per_image, other.hoyer_per_image]),
            is_relu_like=self.is_relu_like,
        )


class Collected:
    """A layer's statistics over the batches of a call.

    Some batches are kept to be merged at once: each merge costs as much however few pictures it is of.
    """

    def __init__(self, *, is_relu_like: bool) -> None:
        self._is_relu_like = is_relu_like
        self._merged: LayerStats | None = None
        self._kept: list[npt.NDArray[Any]] = []
        self._positions = 0

    def add(self, reduced: npt.NDArray[Any], positions: int) -> None:
        """Adds a batch's `REDUCTIONS` over `positions`, `(6, n, K)`; these are the same in each batch."""
        if sum(one.shape[1] for one in self._kept) >= _KEPT_PICTURES:
            self._merged = self.stats()
            self._kept.clear()
        self._kept.append(reduced)
        self._positions = positions

    def merge(self, other: Collected) -> None:
        """Adds the batches of another, which come after these."""
        self._merged = self.stats() + other.stats()
        self._kept.clear()

    def stats(self) -> LayerStats:
        """Of all batches so far, one at least."""
        if self._merged is not None and not self._kept:
            return self._merged
        kept = np.concatenate(self._kept, axis=1)
        stats = from_reductions(kept, self._positions, is_relu_like=self._is_relu_like)
        return stats if self._merged is None else self._merged + stats


@np.errstate(invalid="ignore")  # NaN and infinity in an activation shall come out as NaN, without noise
def from_reductions(reduced: npt.NDArray[Any], positions: int, *, is_relu_like: bool) -> LayerStats:
    """Statistics of n pictures from `REDUCTIONS` over `positions`, `(6, n, K)`."""
    r = dict(zip(REDUCTIONS, reduced.astype(np.float64), strict=True))
    images, channels = r["sum"].shape
    mean = r["sum"] / positions
    within = np.where(r["min"] == r["max"], 0.0, np.maximum(r["norm"] ** 2 - r["sum"] * mean, 0.0))
    overall = mean.mean(axis=0)
    # What a channel with NaN or infinity has in zeros means nothing: its picture's sparsity is NaN, not a number.
    known = np.isfinite(r["sum"])
    zeros = np.where(known, r["zeros"], np.nan)
    largest = np.maximum(np.abs(r["min"]), np.abs(r["max"])).max(axis=1)
    hoyer = _hoyer(r["absolute"].sum(axis=1), np.sqrt((r["norm"] ** 2).sum(axis=1)), positions * channels)
    return LayerStats(
        count=np.full(channels, images * positions, np.int64),
        zeros=np.rint(np.nansum(zeros, axis=0)).astype(np.int64),
        mean=overall,
        squares=within.sum(axis=0) + positions * ((mean - overall) ** 2).sum(axis=0),
        min=r["min"].min(axis=0),
        max=r["max"].max(axis=0),
        sparsity_per_image=zeros.sum(axis=1) / (positions * channels),
        largest_per_image=largest,
        hoyer_per_image=np.where((largest == 0) | ((largest >= SQUARED[0]) & (largest <= SQUARED[1])), hoyer, np.nan),
        is_relu_like=is_relu_like,
    )


def _hoyer(absolute: Floats, norm: Floats, size: int) -> Floats:
    """(√n − ‖a‖₁/‖a‖₂) / (√n − 1)."""
    root = np.sqrt(size)
    ratio = np.divide(absolute, norm, out=np.ones_like(norm), where=norm != 0)
    sparsity = (root - ratio) / (root - 1) if size > 1 else (norm == 0).astype(np.float64)
    return np.where(norm == 0, 1.0, np.clip(sparsity, 0.0, 1.0))
