"""Filters that carry nothing: those that repeat another one, and those that never fire.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_cnnaudit.checks import check_number

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]

ROWS = 256
"""How many rows are held against the others at once: memory grows with the rows, not with their square."""
ROUNDING = 1e-9
"""A cosine above the limit by less is at it: 3·0.2 + 4·0.8 over 5 is a little more or less than what it should be."""


@dataclass(frozen=True)
class Duplicates:
    """Which of F filters repeat an earlier one.

    `original` `(F,)` is the filter that a redundant one repeats, −1 for a filter that is kept. `similarity` `(F,)` is
    the largest cosine with a filter kept earlier, −1 (the least there is) where there is none.
    """

    original: IndexArray
    similarity: FloatArray

    @property
    def redundant(self) -> NDArray[np.bool_]:
        """Whether the filter repeats another one, `(F,)`."""
        return self.original >= 0

    @property
    def fraction(self) -> float:
        """Share of redundant filters, in [0, 1)."""
        return float(self.redundant.mean())


def duplicate_filters(kernels: ArrayLike, similarity_at_most: float = 0.99) -> Duplicates:
    """The filters that could be left out, since one that is kept has nearly the same direction.

    `kernels` `(F, n)` has a filter's weights, its bias among them, in each row. In their order, a filter is redundant
    where its cosine similarity ⟨a, b⟩ / (‖a‖ ‖b‖) with a filter kept earlier is above `similarity_at_most`, else it
    is kept: of k equal filters k − 1 are redundant. Signed: under a ReLU w and −w see different things. Zero kernels
    have no direction: they are duplicates of each other (1) and of nothing else (0).
    Raises `ValueError` for no filter, NaN, infinity, or a limit outside [−1, 1].
    """
    check_number(similarity_at_most, "similarity_at_most")
    if not -1 <= similarity_at_most <= 1:
        raise ValueError(f"similarity_at_most is {similarity_at_most!r}; a cosine is a number from -1 to 1")
    directions = _directions(kernels, "kernels")
    original = np.full(len(directions), -1, np.intp)
    similarity = np.full(len(directions), -1.0)
    for first in range(0, len(directions), ROWS):
        for row, cosines in enumerate(_cosines(directions, first), start=first):
            kept = np.flatnonzero(original[:row] < 0)
            if kept.size:
                nearest = kept[np.argmax(cosines[kept])]
                similarity[row] = cosines[nearest]
                if similarity[row] > similarity_at_most + ROUNDING:
                    original[row] = nearest
    return Duplicates(original, similarity)


@dataclass(frozen=True)
class Nearest:
    """Of each of N vectors the most similar other one: `index` `(N,)` and the cosine with it, `similarity` `(N,)`."""

    index: IndexArray
    similarity: FloatArray


def nearest_others(vectors: ArrayLike) -> Nearest:
    """Each row's largest cosine similarity with another row of `vectors` `(N, n)`, and which row that is.

    Rows of zeros have no direction: 1 among themselves, 0 with any other. Raises `ValueError` for fewer than two
    rows, NaN or infinity.
    """
    directions = _directions(vectors, "vectors")
    if len(directions) < 2:
        raise ValueError("vectors has one row; two at least are compared")
    index = np.empty(len(directions), np.intp)
    similarity = np.empty(len(directions))
    for first in range(0, len(directions), ROWS):
        cosines = _cosines(directions, first)
        rows = np.arange(len(cosines))
        cosines[rows, first + rows] = -np.inf
        index[first + rows] = np.argmax(cosines, axis=1)
        similarity[first + rows] = cosines[rows, index[first + rows]]
    return Nearest(index, similarity)


def dead_filters(activations: ArrayLike, *, relu_like: bool = True) -> NDArray[np.bool_]:
    """Which channels of `activations` `(N, …, K)` never fire, `(K,)`.

    The maximum over all images and positions is ≤ 0 (`relu_like`), or the channel has more than one value and all
    are the same. Raises `ValueError` for NaN, infinity, or fewer than two axes.
    """
    given = np.asarray(activations)
    if given.ndim < 2 or given.size == 0:
        raise ValueError(f"activations have shape {given.shape}; give (N, …, channels) with at least one of each")
    if not np.isfinite(given).all():
        raise ValueError("activations have NaN or infinity")
    values = given.reshape(-1, given.shape[-1])
    largest = values.max(axis=0)
    constant = (values.min(axis=0) == largest) & (len(values) > 1)
    return np.asarray(constant | (largest <= 0) if relu_like else constant)


def missed_rate(n: int, confidence: float = 0.95) -> float:
    """The rate below which an event may have been missed: 1 − (1 − c)^(1/n).

    A filter that fires in this share of pictures stays silent in all n with probability 1 − c.
    """
    check_number(n, "n")
    check_number(confidence, "confidence")
    if n < 1 or not 0 < confidence < 1:
        raise ValueError(f"n is {n!r} and confidence {confidence!r}; at least 1, and a number between 0 and 1")
    return float(1 - (1 - confidence) ** (1 / n))


def _directions(vectors: ArrayLike, name: str) -> FloatArray:
    """The rows divided by their lengths; one entry more is 1 for a row of zeros, so that those point the same way."""
    rows = np.asarray(vectors, np.float64)
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(f"{name} has shape {rows.shape}; give (rows, entries), at least one of each")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} has NaN or infinity")
    largest = np.abs(rows).max(axis=1, keepdims=True)
    is_zero = largest == 0
    directions = np.hstack([rows / np.where(is_zero, 1.0, largest), is_zero])  # squares could overflow or vanish
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(directions)


def _cosines(directions: FloatArray, first: int) -> FloatArray:
    """Of `ROWS` rows from `first` on with all rows."""
    return np.asarray(np.clip(directions[first : first + ROWS] @ directions.T, -1.0, 1.0))
