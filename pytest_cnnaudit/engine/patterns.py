"""Filter patterns: images that excite one filter of a layer the most, found by gradient ascent.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.checks import choice, integer, is_integer, number
from pytest_cnnaudit.engine.ascent import (
    Ascent,
    Normalization,
    Parametrization,
    ascend,
    cell_weights,
    noise,
)
from pytest_cnnaudit.engine.errors import NonFiniteError
from pytest_cnnaudit.engine.layers import find_layer
from pytest_cnnaudit.engine.models import Climbs, Model
from pytest_cnnaudit.engine.ranges import Expectation

Floats: TypeAlias = npt.NDArray[np.float32]

_ROUNDING = 1e-5
"""A loss that rises by less, relative to itself, does not rise."""


@dataclass(frozen=True)
class FilterPatterns:
    """Patterns of F filters of a layer.

    `images` `(F, H, W, C)` float32 are the pictures as the model takes them, channels last, `losses`
    `(F, steps + 1)` the filter's mean activation before each step and after the last, `filters` `(F,)` their
    indices.
    """

    images: Floats
    losses: Floats
    filters: npt.NDArray[np.intp]
    layer: str

    def __len__(self) -> int:
        return len(self.images)

    @property
    def nbytes(self) -> int:
        """What the arrays take."""
        return self.images.nbytes + self.losses.nbytes + self.filters.nbytes

    @property
    def responds(self) -> npt.NDArray[np.bool_]:
        """Whether the ascent raised the filter's activation at all, `(F,)`.

        Where it did not (no gradient, or no way up) the picture is the noise it started from, no pattern.
        """
        first, last = self.losses[:, 0], self.losses[:, -1]
        return np.asarray(last - first > _ROUNDING * np.maximum(np.abs(first), np.abs(last)))

    def pictures(self, crop: int = 25) -> npt.NDArray[np.uint8]:
        """The patterns to look at, `(F, H - 2·crop, W - 2·crop, C)` uint8.

        Each picture (x − mean)/std·64 + 128, clipped to 0…255 and then cropped on each side, since borders
        show the padding; a constant picture is 128 everywhere. Raises `ValueError` where a crop leaves nothing.
        """
        height, width = self.images.shape[1:3]
        if not is_integer(crop) or not 0 <= 2 * crop < min(height, width):
            raise ValueError(
                f"crop is {crop!r}; an integer from 0 to {(min(height, width) - 1) // 2} is expected, so that "
                f"something is left of pictures of {height} × {width} pixels"
            )
        images = self.images.astype(np.float64)
        centred = images - images.mean(axis=(1, 2, 3), keepdims=True)
        deviation = images.std(axis=(1, 2, 3), keepdims=True)
        # A constant picture's mean is off by rounding, which a division would blow up.
        varies = deviation > _ROUNDING * np.abs(images).max(axis=(1, 2, 3), keepdims=True)
        standard = np.divide(centred, deviation, out=np.zeros_like(images), where=varies)
        pixels = np.clip(standard * 64 + 128, 0, 255).astype(np.uint8)
        return np.asarray(pixels[:, crop : height - crop, crop : width - crop])

    def grid(self, columns: int = 8, margin: int = 5, crop: int = 25) -> npt.NDArray[np.uint8]:
        """All pictures in rows of `columns`, with black margins; a filter that does not respond is left black.

        64 filters of 200 × 200 pixels give the book's 1235 × 1235.
        """
        columns, margin = integer(columns, "columns", 1), integer(margin, "margin", 0)
        pictures = self.pictures(crop)
        pictures[~self.responds] = 0
        count, height, width, channels = pictures.shape
        columns = min(columns, count)
        rows = -(-count // columns)
        canvas = np.zeros((rows * (height + margin) - margin, columns * (width + margin) - margin, channels), np.uint8)
        for index, picture in enumerate(pictures):
            top, left = index // columns * (height + margin), index % columns * (width + margin)
            canvas[top : top + height, left : left + width] = picture
        return canvas


def filter_patterns(
    model: Model,
    layer: str,
    filters: int | Sequence[int] | None = None,
    *,
    size: tuple[int, int] = (200, 200),
    input_range: tuple[float, float] | None = None,
    init: npt.ArrayLike | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    **rules: Any,
) -> FilterPatterns:
    """See `Engine.filter_patterns`; `rules` are the others of `Ascent`."""
    path, seed = find_layer(model.layers, layer).path, integer(seed, "seed", 0)
    bounds = _range(input_range, model.expects)
    ascent = _checked(Ascent(layer=path, shape=_shape(size, model), input_range=bounds, **rules))
    climber = _climbing(model).climber(ascent)
    wanted = _filters(filters, path, climber.channels)
    starts = None if init is None else _given(init, len(wanted), ascent)
    images, losses = ascend(climber, ascent, wanted, starts, seed=seed, batch_size=batch_size)
    _check_finite(images, losses, wanted, path)
    return FilterPatterns(images=images, losses=losses, filters=wanted, layer=path)


def pattern_start(model: Model, size: Any, input_range: Any, seed: int) -> Floats:
    """See `Engine.pattern_start`."""
    low, high = _range(input_range, model.expects)
    return np.asarray(low + (high - low) * noise(_shape(size, model), integer(seed, "seed", 0), 0), np.float32)


def filter_activations(model: Model, layer: str, index: int, images: npt.ArrayLike) -> Floats:
    """See `Engine.filter_activations`."""
    path, batch = find_layer(model.layers, layer).path, np.asarray(images, np.float32)
    if batch.ndim != 4:
        raise ValueError(f"pictures have the shape {batch.shape}; (N, H, W, C) is expected")
    climbs = _climbing(model)
    _filters(index, path, climbs.filter_count(path))
    found = climbs.filter_outputs(batch, path, index)
    if not np.isfinite(found).all():
        raise NonFiniteError(f"The filter {index} of the layer {path!r} gives NaN or infinity")
    weights = cell_weights(found.shape[1:])[0]
    return np.asarray(found.reshape(len(batch), -1)[:, weights > 0])


# Checks of what was given


def _climbing(model: Model) -> Climbs:
    if not isinstance(model, Climbs):
        raise ValueError(f"The model {model.name!r} has no filters that can be looked at by gradient ascent")
    return model


def _checked(ascent: Ascent) -> Ascent:
    integer(ascent.steps, "steps", 1)
    integer(ascent.jitter, "jitter", 0)
    for name in ("step_size", "total_variation", "l2"):
        given = getattr(ascent, name)
        try:
            value = number(given, name)
        except TypeError as error:
            raise ValueError(str(error)) from None
        if value < 0 or (name == "step_size" and value == 0):
            raise ValueError(f"{name} is {given!r}; it must be {'positive' if name == 'step_size' else 'at least 0'}")
    choice(ascent.normalize, "normalize", get_args(Normalization))
    choice(ascent.parametrization, "parametrization", get_args(Parametrization))
    if 2 * ascent.jitter >= min(ascent.shape[:2]):
        raise ValueError(f"jitter is {ascent.jitter}; less than half of the size {ascent.shape[:2]} is expected")
    return ascent


def _shape(size: Any, model: Model) -> tuple[int, int, int]:
    sides = tuple(size) if isinstance(size, (tuple, list)) else ()
    if len(sides) != 2 or not all(is_integer(side) and side >= 1 for side in sides):
        raise ValueError(f"size is {size!r}; two positive integers (height, width) are expected")
    return int(sides[0]), int(sides[1]), model.inputs.explained.shape[2] or 3


def _range(input_range: Any, expects: Expectation) -> tuple[float, float]:
    """The given range, or (0, 255) for a model that starts by making such values small itself, else (0, 1)."""
    if input_range is None:
        return (0.0, 255.0) if expects.rescales and expects.values == "0 to 255" else (0.0, 1.0)
    bounds = tuple(input_range) if isinstance(input_range, (tuple, list)) else ()
    try:
        low, high = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"input_range is {input_range!r}; two finite numbers (low, high), low < high, are expected")
    return low, high


def _filters(filters: Any, path: str, count: int) -> npt.NDArray[np.intp]:
    if filters is None:
        return np.arange(count, dtype=np.intp)
    if not isinstance(filters, (int, np.integer, Iterable)):
        raise TypeError(f"filters is {filters!r}; an index or a sequence of indices is expected")
    wanted = [filters] if isinstance(filters, (int, np.integer)) else list(filters)
    if not wanted:
        raise ValueError("No filter is chosen: name at least one by its index, or leave filters out for all")
    for index in wanted:
        if not is_integer(index):
            raise TypeError(f"A filter is named by its index, an int, not {index!r}")
        if not 0 <= index < count:
            raise ValueError(f"The filter {index} is out of range: the layer {path!r} has {count} filters")
    return np.asarray(wanted, np.intp)


def _given(init: Any, count: int, ascent: Ascent) -> Floats:
    """The pictures to start from, `(F, H, W, C)`, in the units of the model's input."""
    try:
        array = np.asarray(init, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"init is no array of numbers: {error}") from None
    if array.shape not in (ascent.shape, (count, *ascent.shape)):
        raise ValueError(
            f"init has the shape {array.shape}; {ascent.shape} (one start for all) or {(count, *ascent.shape)} "
            "(one for each filter) is expected: say size=(height, width) for another size"
        )
    if not np.isfinite(array).all():
        raise ValueError("init holds NaN or infinity")
    return np.broadcast_to(array, (count, *ascent.shape))


def _check_finite(images: Floats, losses: Floats, filters: npt.NDArray[np.intp], path: str) -> None:
    bad = ~(np.isfinite(losses).all(axis=1) & np.isfinite(images).all(axis=(1, 2, 3)))
    if bad.any():
        row = int(np.argmax(bad))
        lost = np.flatnonzero(~np.isfinite(losses[row]))
        raise NonFiniteError(
            f"The ascent of filter {filters[row]} of the layer {path!r} ran into NaN or infinity"
            + (f" before step {lost[0]}" if lost.size else "")
            + ": look for them in the weights, or for an overflow in half precision (a smaller step_size helps)"
        )
