"""What a prediction depends on: what becomes of it when the picture is edited.

One picture gives a `float`, a batch of N an array `(N,)` of float64. `ValueError` for probabilities outside [0, 1],
for NaN and infinity, for no edit at all, and for shapes that don't belong together; `TypeError` for what is no number.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Values = float | FloatArray


def probability_drop(untouched: ArrayLike, hidden: ArrayLike, controls: ArrayLike) -> Values:
    """P(x) − P(hidden) − mean over the controls of (P(x) − P(control)), in [−1, 1].

    `untouched` and `hidden` are the probabilities of one class `()` or `(N,)`, before and after the object is hidden
    (Zeiler & Fergus 2014, arXiv:1311.2901 §4.2); `controls` `(K,)` or `(N, K)` those after as much was hidden
    elsewhere. What the edit itself does to any picture, wherever it is made, cancels: 0 is chance.
    """
    before, after = _probabilities(untouched, "untouched"), _probabilities(hidden, "hidden")
    elsewhere = _probabilities(controls, "controls")
    if before.ndim > 1 or after.shape != before.shape or elsewhere.shape[:-1] != before.shape or not elsewhere.ndim:
        raise ValueError(
            f"untouched has the shape {before.shape}, hidden {after.shape} and controls {elsewhere.shape}; "
            "(N,), (N,) and (N, K) are expected, or (), () and (K,)"
        )
    if not elsewhere.shape[-1]:
        raise ValueError("controls is empty: without one nothing tells the object's loss from the edit's own damage")
    drop = before - after - np.mean(before[..., None] - elsewhere, axis=-1)
    return drop if drop.ndim else float(drop)


def top_class_kept(untouched: ArrayLike, edited: ArrayLike) -> Values:
    """Share of the edits under which the class with the highest score stays the same, in [0, 1].

    `untouched` are scores of classes `(C,)` or `(N, C)`, `edited` those of each picture's K edits, `(K, C)` or
    `(N, K, C)`. Logits and probabilities give the same; of equal scores the first class counts.
    """
    before, after = _finite(untouched, "untouched"), _finite(edited, "edited")
    shape = before.shape
    if before.ndim not in (1, 2) or after.ndim != before.ndim + 1 or (*after.shape[:-2], after.shape[-1]) != shape:
        raise ValueError(
            f"untouched has the shape {before.shape} and edited {after.shape}; "
            "(N, C) and (N, K, C) are expected, or (C,) and (K, C)"
        )
    if 0 in after.shape[-2:]:
        raise ValueError(f"edited has the shape {after.shape}: there is no edit, or no class")
    kept = np.mean(np.argmax(after, axis=-1) == np.argmax(before, axis=-1)[..., None], axis=-1)
    return np.asarray(kept, np.float64) if np.ndim(kept) else float(kept)


def _probabilities(values: ArrayLike, name: str) -> FloatArray:
    array = _finite(values, name)
    if array.size and not (array.min() >= 0 and array.max() <= 1):
        raise ValueError(f"{name} holds values from {array.min():g} to {array.max():g}; probabilities are expected")
    return array


def _finite(values: ArrayLike, name: str) -> FloatArray:
    given = np.asarray(values)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"{name} is {values!r}; numbers are expected")
    array = given.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return array
