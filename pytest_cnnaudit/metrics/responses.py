"""What activations of two kinds of pictures, or of two models, have to do with each other.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

GREATEST_GAIN = 1000.0
"""Where noise leaves a filter silent its response has no unit, and any gain is larger than this."""
ROUNDING = 1e-5
"""A difference that is smaller, relative to what it is a difference of, is rounding in float32."""
LEAST_DEVIATION = 1e-3
"""A channel that varies less, relative to the layer, is measured in this share of the layer's deviation."""


def pattern_gain(pattern: ArrayLike, noise: ArrayLike) -> FloatArray:
    """How far a pattern lifts its filter above what noise does, in standard deviations of the latter, `(F,)`.

    gain = (mean of `pattern` − mean of `noise`) / standard deviation of `noise`, where `pattern` `(F, P)` holds a
    filter's activations in P places of its pattern, and `noise` `(F, M)` those in M places of noise. A ratio of the
    means would say nothing before a ReLU, where noise gives 0 or less on average; this gain is the same whatever
    constant is added to a filter or (positive) factor it is multiplied with. 0 where the means agree but for
    rounding; at most 1,000 in size, which is also the gain where noise gives one and the same value everywhere.
    Raises `ValueError` for NaN, infinity, or shapes that don't fit.
    """
    lifted, usual = np.asarray(pattern, np.float64), np.asarray(noise, np.float64)
    if lifted.ndim != 2 or usual.ndim != 2 or len(lifted) != len(usual) or 0 in (lifted.size, usual.size):
        raise ValueError(f"pattern and noise have shapes {lifted.shape} and {usual.shape}; give (F, P) and (F, M)")
    if not (np.isfinite(lifted).all() and np.isfinite(usual).all()):
        raise ValueError("pattern or noise has NaN or infinity")
    mean, usual_mean, deviation = lifted.mean(axis=1), usual.mean(axis=1), usual.std(axis=1)
    tolerance = ROUNDING * np.maximum(np.abs(mean), np.abs(usual_mean))
    rise = np.where(np.abs(mean - usual_mean) > tolerance, mean - usual_mean, 0.0)
    silent = deviation <= tolerance
    gain = np.divide(rise, deviation, out=np.sign(rise) * GREATEST_GAIN, where=~silent)
    return np.asarray(np.clip(gain, -GREATEST_GAIN, GREATEST_GAIN))


def drift(mean: ArrayLike, baseline_mean: ArrayLike, baseline_std: ArrayLike, *, retrained: bool = False) -> float:
    """How far a layer's channels moved: √(mean over channels of ((μ − μ′) / σ′)²), ≥ 0.

    μ are the candidate's channel means `(K,)`, μ′ and σ′ the baseline's means and standard deviations on the same
    images. For conversions and fine-tunes of the same weights. Training anew permutes the channels; with `retrained`
    both are sorted by their means first, each σ′ staying with its μ′. A channel whose σ′ is below a thousandth of
    the layer's (the root mean square of all σ′), such as a dead one, is measured in that thousandth.
    Raises `ValueError` for NaN, infinity, a negative σ′, shapes that differ, and for a baseline in which no channel
    varies although the means differ: there is no unit to measure in.
    """
    now, before, deviation = (np.asarray(array, np.float64) for array in (mean, baseline_mean, baseline_std))
    if now.ndim != 1 or now.size == 0 or not now.shape == before.shape == deviation.shape:
        shapes = f"{now.shape}, {before.shape} and {deviation.shape}"
        raise ValueError(f"the means and deviations have shapes {shapes}; give (K,) three times, K at least 1")
    if not all(np.isfinite(array).all() for array in (now, before, deviation)) or (deviation < 0).any():
        raise ValueError("means and deviations must be finite, deviations at least 0")
    if retrained:
        order = np.argsort(before, kind="stable")
        now, before, deviation = np.sort(now), before[order], deviation[order]
    if np.array_equal(now, before):
        return 0.0
    unit = np.maximum(deviation, LEAST_DEVIATION * np.sqrt(np.mean(deviation**2)))
    if not unit.all():
        raise ValueError("no channel of the baseline varies: there is no unit to measure a drift in")
    return float(np.sqrt(np.mean(((now - before) / unit) ** 2)))
