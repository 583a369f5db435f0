"""Whether the values a model is handed can be those it was trained on: mistakes in preprocessing, noticed.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from pytest_cnnaudit.engine.images import Batch
from pytest_cnnaudit.preprocessing import Preprocessing, PreprocessingWarning

Range: TypeAlias = Literal["0 to 255", "around 1", "unknown"]

LARGEST_ORDINARY = 30.0
"""After its own rescaling no value that a model was made for is larger; raw pixels without one are."""
_LARGEST_SCALED = 3.0
"""Pixels scaled to 0 to 1, to −1 to 1, or by ImageNet's mean and deviation (−2.2 to 2.7)."""
_LOOKED_AT = 8
"""Pictures of the first batch: what a look costs does not grow with the batch."""
_NO_PIXEL = 13.0
"""How far beyond 0 to 255 a sharp interpolation may go."""


@dataclass(frozen=True)
class Expectation:
    """The values a model is made for, as far as its first layers tell."""

    values: Range
    rescales: bool = False
    """Whether a layer of its own brings them to about 1."""
    layer: str = ""
    """The layer that tells."""


@dataclass
class RangeWatch:
    """Looks at the first batch of every call, and warns once of each kind of mistake."""

    model: str
    expected: Callable[[], Expectation]
    warned: set[str] = field(default_factory=set)

    def watched(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches as they are."""
        for index, batch in enumerate(batches):
            if index == 0 and isinstance(batch.inputs, np.ndarray):
                looked_at = batch.inputs[: min(batch.count, _LOOKED_AT)]
                found = mistakes(looked_at, self.expected(), batch.preprocessing)
                if found is not None and found[0] not in self.warned:
                    warnings.warn(f"The model {self.model!r} {found[1]}", PreprocessingWarning, stacklevel=2)
                    # Not before: where warnings are errors, every call raises.
                    self.warned.add(found[0])
            yield batch


def mistakes(inputs: Any, expected: Expectation, preprocessing: Preprocessing | None) -> tuple[str, str] | None:
    """(kind, what is wrong and what to do) of model input `(N, H, W, C)`, by its values; None where nothing is.

    A preprocessing that has a `scale` says that its values are meant, even those from 0 to 255. Pictures of one
    colour are no mistake in model input that is used as it is: a baseline is such a one.
    """
    low, high = float(inputs.min()), float(inputs.max())
    seen = f"values from {low:.4g} to {high:.4g}"
    corner = inputs[:, :1, :1]
    if (inputs[:, :1] == corner).all() and (inputs == corner).all():
        return None if preprocessing is None else ("constant", f"is handed pictures of one colour only, {seen}")
    if expected.rescales:
        return _for_own_rescaling(low, high, seen, expected)
    if high > 255 + _NO_PIXEL or low < -255 - _NO_PIXEL:
        return "outside", f"is handed {seen}, but 8-bit pixels end at 255: divide 16-bit ones by 257"
    is_meant = preprocessing is not None and preprocessing.scale is not None
    if expected.values == "around 1" and low >= 0 and high > LARGEST_ORDINARY and not is_meant:
        return "raw", (
            f"is handed {seen}, but has no layer that rescales them before its first one ({expected.layer!r}), whose "
            "weights are made for values around 1: give the scaling of its training, such as Preprocessing("
            "scale=lambda pixels: pixels / 255) or a preprocess_input of keras.applications. If it was trained on 0 "
            "to 255, say so with Preprocessing(scale=lambda pixels: pixels)"
        )
    return None


def _for_own_rescaling(low: float, high: float, seen: str, expected: Expectation) -> tuple[str, str] | None:
    text = f"is handed {seen}, but rescales them by itself ({expected.layer!r}) and expects {expected.values}: "
    if expected.values == "0 to 255":
        if max(-low, high) <= _LARGEST_SCALED:
            return "scaled twice", text + "leave the scaling out of the preprocessing"
        if low < -_NO_PIXEL or high > 255 + _NO_PIXEL:
            return "outside", text + "leave the scaling out of the preprocessing, and divide 16-bit pixels by 257"
    if expected.values == "around 1" and high > LARGEST_ORDINARY:
        return "raw", text + "scale them, as with Preprocessing(scale=lambda pixels: pixels / 255)"
    return None
