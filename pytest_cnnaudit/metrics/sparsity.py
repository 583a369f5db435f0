"""Sparsity of activations and its trend over depth.

Activations are a batch `(N, …)`: the first axis is the image, everything else its units.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pytest_cnnaudit.checks import check_number, integer

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# From here on the bootstrap costs gigabytes and agrees with Student's interval.
BOOTSTRAP_LIMIT = 1000


def zero_fraction(activations: ArrayLike) -> FloatArray:
    """Share of exact zeros in each image's activations, `(N,)`, in [0, 1].

    Says something about ReLU-like activations only; others never reach 0, and `hoyer_sparsity` measures them.
    Raises `ValueError` for NaN, infinity, or fewer than two axes.
    """
    units = _units_per_image(activations)
    count = units.shape[1]
    return np.asarray((count - np.count_nonzero(units, axis=1)) / count)


def hoyer_sparsity(activations: ArrayLike) -> FloatArray:
    """Hoyer's sparsity of each image's n activations, `(N,)`: (√n − ‖a‖₁ / ‖a‖₂) / (√n − 1), in [0, 1].

    0 where all have the same magnitude, 1 where a single one is not zero; undefined for an all-zero image,
    which counts as 1. Hoyer 2004, JMLR 5:1457. Raises `ValueError` for NaN, infinity, fewer than two axes, or
    a single unit, which is neither sparse nor dense.
    """
    units = np.abs(_units_per_image(activations).astype(np.float64))
    count = units.shape[1]
    if count < 2:
        raise ValueError("Hoyer sparsity needs at least 2 units in an image; this layer has 1")
    largest = units.max(axis=1, keepdims=True)
    units /= np.where(largest > 0, largest, 1)  # squares of raw activations could overflow or vanish
    euclidean = np.sqrt((units * units).sum(axis=1))
    ratio = np.divide(units.sum(axis=1), euclidean, out=np.ones(len(units)), where=euclidean > 0)
    return np.asarray(np.clip((np.sqrt(count) - ratio) / (np.sqrt(count) - 1), 0.0, 1.0))


@dataclass(frozen=True)
class Trend:
    """Kendall's τ-b between depth and a value, image by image.

    `taus` `(N,)` in [-1, 1]. `unscorable` `(N,)` marks the images whose value is the same in every layer: τ-b
    is undefined there, and `taus` holds 0, no trend, so that they stay in the denominator of a mean.
    """

    taus: FloatArray
    unscorable: BoolArray


def trend_per_image(values: ArrayLike, *, tolerance: float = 0.0) -> Trend:
    """Kendall's τ-b between depth and `values` `(N, layers)`, columns in order of depth, for each image.

    τ-b = (rising − falling) / √(pairs · untied pairs) over all pairs of layers; 1 rises at every step.
    Kendall 1945, Biometrika 33:239. A pair whose values differ by at most `tolerance` is tied: values that were
    rounded, as sums in float32 are, would otherwise have a trend in their last digits. Raises `ValueError` for
    fewer than 3 layers, no image, NaN or infinity, and for a tolerance that is negative or not finite.
    """
    profiles = _profiles(values, tolerance)
    images, layers = profiles.shape
    rising, untied = np.zeros((2, images), np.int64)
    for layer, signs in enumerate(_signs(profiles, tolerance)):
        rising += signs[:, layer + 1 :].sum(axis=1)
        untied += np.count_nonzero(signs[:, layer + 1 :], axis=1)
    unscorable = untied == 0
    taus = rising / np.sqrt(layers * (layers - 1) / 2 * np.where(unscorable, 1, untied))
    return Trend(taus=taus, unscorable=unscorable)


def page_trend(values: ArrayLike, *, tolerance: float = 0.0) -> float | None:
    """One-sided p-value of Page's test that `values` `(N, layers)` rise with depth, images as the subjects.

    Page 1963, JASA 58:216. Values that differ by at most `tolerance` are tied and share the mean of their ranks.
    None for a single image: the test is about agreement between images.
    Report it, don't gate on it: with many images any trend is significant, however small.
    Raises `ValueError` as `trend_per_image` does.
    """
    profiles = _profiles(values, tolerance)
    images, layers = profiles.shape
    if images < 2:
        return None
    above = np.zeros((images, layers), np.int64)
    for signs in _signs(profiles, tolerance):
        above += signs
    ranks = (layers + 1 + above) / 2  # 1 + those below + half of those tied
    return float(stats.page_trend_test(ranks, ranked=True).pvalue)


def mean_interval(values: ArrayLike, confidence: float = 0.95, seed: int = 0) -> tuple[float, float] | None:
    """Two-sided bootstrap interval (BCa, 9,999 resamples) of the mean of `values` `(N,)`.

    Equal values give an interval of width 0, one value gives None: nothing is known about its spread. More
    than 1,000 values give Student's interval. The same seed gives the same interval. Efron 1987, JASA 82:171.
    Raises `ValueError` for no value, NaN, infinity, or a confidence outside (0, 1).
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError(f"values have shape {sample.shape}; give (N,) finite numbers, at least one")
    check_number(confidence, "confidence")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence!r}; give a value between 0 and 1, such as 0.95")
    integer(seed, "seed", least=0)
    if sample.size == 1:
        return None
    if (sample == sample[0]).all():
        return float(sample[0]), float(sample[0])
    if sample.size > BOOTSTRAP_LIMIT:
        low, high = stats.t.interval(confidence, sample.size - 1, sample.mean(), stats.sem(sample))
    else:
        low, high = _bootstrap(sample, confidence, seed)
    return float(low), float(high)


def _bootstrap(sample: FloatArray, confidence: float, seed: int) -> tuple[float, float]:
    interval = stats.bootstrap(
        (sample,),
        np.mean,
        confidence_level=confidence,
        method="BCa",
        batch=BOOTSTRAP_LIMIT,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return interval.low, interval.high


def _units_per_image(activations: ArrayLike) -> NDArray[np.generic]:
    given = np.asarray(activations)
    if given.dtype.kind not in "biuf":
        raise ValueError(f"activations have dtype {given.dtype}; give real numbers")
    if given.ndim < 2 or given.size == 0:
        raise ValueError(f"activations have shape {given.shape}; give a batch (N, …) with at least one unit an image")
    if not np.isfinite(given).all():
        raise ValueError("activations have NaN or infinity")
    return given.reshape(len(given), -1)


def _profiles(values: ArrayLike, tolerance: float) -> FloatArray:
    profiles = np.asarray(values, dtype=np.float64)
    if profiles.ndim != 2 or len(profiles) == 0:
        raise ValueError(f"values have shape {profiles.shape}; give (images, layers), at least one image")
    if profiles.shape[1] < 3:
        raise ValueError(f"a trend over depth needs at least 3 layers; got {profiles.shape[1]}")
    if not np.isfinite(profiles).all():
        raise ValueError("values have NaN or infinity; a trend needs finite numbers")
    if not 0 <= tolerance < np.inf:
        raise ValueError(f"tolerance is {tolerance!r}; give a finite number of at least 0")
    return profiles


def _signs(profiles: FloatArray, tolerance: float) -> Iterator[NDArray[np.int8]]:
    """For each layer `(N, layers)`: 1 where a layer's value is above that one's, −1 below, 0 where they are tied."""
    for layer in range(profiles.shape[1]):
        steps = profiles - profiles[:, layer : layer + 1]
        yield (steps > tolerance).astype(np.int8) - (steps < -tolerance)
