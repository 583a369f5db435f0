"""Gradient ascent on images, as data: where it starts, what a model is asked for, and how many climb together.

The start and the random numbers come from NumPy, so all models and backends climb from the same place.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.engine import fourier

Floats: TypeAlias = npt.NDArray[np.float32]
Integers: TypeAlias = npt.NDArray[np.int32]
Indices: TypeAlias = npt.NDArray[np.intp]
Normalization: TypeAlias = Literal["global", "pixel"]
Parametrization: TypeAlias = Literal["pixels", "fourier"]

BORDER = 2
"""Cells left out on each side of the layer's grid: there the padding is what a filter sees."""

_FIRST_CHUNK, _LARGEST_CHUNK = 4, 64
_ACTIVATION_BYTES = 2**30
"""What the activations of a chunk may take, kept as they are for the backward pass."""
_WORTH_MEASURING = 0.1
"""Another chunk size is tried where that costs at most this share of the work it may speed up."""
_FASTER = 0.97
"""A chunk size that takes more than this share of another's time is not called faster."""


@dataclass(frozen=True)
class Ascent:
    """One ascent's rules, the same for every filter of the layer: what a model compiles.

    A step adds `step_size` times the normalized gradient of the filter's mean activation (weighted by `cell_weights`)
    less the penalties to what climbs: an image `(H, W, C)` of `shape` in units of the `input_range`, or its
    coefficients in the `basis`. Before it the image is shifted by up to `jitter` pixels.
    """

    layer: str
    """Its path."""
    shape: tuple[int, int, int]
    input_range: tuple[float, float]
    steps: int = 30
    step_size: float = 10.0
    normalize: Normalization = "global"
    jitter: int = 0
    total_variation: float = 0.0
    l2: float = 0.0
    parametrization: Parametrization = "pixels"

    def basis(self) -> fourier.Basis | None:
        """What the parameters are coefficients in; None for pixels.

        Such that a step changes waves in inverse proportion to their frequency, as strong as they are in natural
        images.
        """
        if self.parametrization == "pixels":
            return None
        # The gradient of a coefficient has the gain as a factor already, which only "pixel" divides out again.
        return fourier.basis(self.shape, 0.5 if self.normalize == "global" else 1.0)


class Climb(Protocol):
    """So many steps for F filters."""

    def __call__(
        self, steps: np.int32, start: Floats, losses: Floats, shifts: Integers, filters: Integers, /
    ) -> tuple[Floats, Floats]:
        """Images `(F, H, W, C)` in the input range, and the losses `(F, ascent.steps + 1)`.

        `start` are parameters `(F, H, W, C)`; `losses` zeros, to be filled with each filter's mean activation before
        each step and after the last; `shifts` `(F, ascent.steps, 2)` how far (down, right) each step's image is
        moved, the same for all; `filters` `(F,)` the channels. Each filter climbs without the others.
        """


@dataclass(frozen=True)
class Climber:
    """A model that is ready for one `Ascent`."""

    climb: Climb
    channels: int
    """Of the layer."""
    bytes: int
    """What the activations up to the layer take, of one image."""
    fastest: dict[int, int] = field(default_factory=dict)
    """The fastest number of filters to climb together, by the largest that is allowed; filled as it is measured."""


def cell_weights(grid: tuple[int, ...]) -> Floats:
    """What each of the P cells counts in a filter's mean activation, `(1, P)`: without the border of a grid.

    A grid with fewer than 5 cells on a side keeps its middle one or two there.
    """
    weights = np.ones(grid)
    if len(grid) == 2:
        for axis, side in enumerate(grid):
            border = min(BORDER, (side - 1) // 2)
            outside = np.r_[:border, side - border : side]
            weights[(slice(None), outside) if axis else (outside,)] = 0
    return np.asarray((weights / weights.sum()).reshape(1, -1), np.float32)


# Where it starts


def noise(shape: tuple[int, int, int], seed: int, index: int) -> npt.NDArray[np.float64]:
    """The start of a filter in units of the input range."""
    return np.random.default_rng([seed, 0, index]).uniform(0.4, 0.6, shape)


def _random(filters: Indices, ascent: Ascent, seed: int) -> Floats:
    """Where each filter starts: its own random numbers, whichever others are asked for and in what chunks."""
    starts = np.empty((len(filters), *ascent.shape), np.float32)
    for row, index in enumerate(filters):
        if ascent.parametrization == "pixels":
            starts[row] = noise(ascent.shape, seed, int(index))
        else:
            starts[row] = 0.01 * np.random.default_rng([seed, 0, int(index)]).standard_normal(ascent.shape)
    return starts


def _parameters(images: Floats, ascent: Ascent) -> Floats:
    """What gives these images `(F, H, W, C)` of model input."""
    low, high = ascent.input_range
    unit = (images.astype(np.float64) - low) / (high - low)
    basis = ascent.basis()
    return (unit if basis is None else fourier.coefficients(unit, basis)).astype(np.float32)


# Chunk by chunk

_Run: TypeAlias = Callable[[Indices, int], tuple[Floats, Floats]]


def ascend(
    climber: Climber, ascent: Ascent, filters: Indices, starts: Floats | None, *, seed: int, batch_size: int | None
) -> tuple[Floats, Floats]:
    """Images and losses of all filters, chunk by chunk; the last chunk is filled up with its last filter.

    `starts` `(F, H, W, C)` are images, by default noise; `batch_size` says how many climb together, by default the
    fastest that was measured.
    """
    shifts = np.random.default_rng([seed, 1]).integers(-ascent.jitter, ascent.jitter + 1, (ascent.steps, 2), np.int32)

    def run(rows: Indices, steps: int) -> tuple[Floats, Floats]:
        start = _random(filters[rows], ascent, seed) if starts is None else _parameters(starts[rows], ascent)
        losses = np.zeros((len(rows), ascent.steps + 1), np.float32)
        moves = np.broadcast_to(shifts, (len(rows), *shifts.shape))
        return climber.climb(np.int32(steps), start, losses, moves, filters[rows].astype(np.int32))

    size = _chunk_size(climber, len(filters), ascent.steps, run, batch_size)
    images = np.empty((len(filters), *ascent.shape), np.float32)
    losses = np.empty((len(filters), ascent.steps + 1), np.float32)
    for first in range(0, len(filters), size):
        rows = np.arange(first, min(first + size, len(filters)))
        padded = np.pad(rows, (0, size - len(rows)), mode="edge")
        images[rows], losses[rows] = (array[: len(rows)] for array in run(padded, ascent.steps))
    return images, losses


def _chunk_size(climber: Climber, count: int, steps: int, run: _Run, batch_size: int | None) -> int:
    """The number of filters that climb together: the fastest measured, kept for the next call.

    Jobs too small to make up for the measuring are not measured.
    """
    enough = 1 << (count - 1).bit_length()
    if batch_size is not None:
        return min(batch_size, enough)
    fitting = max(1, _ACTIVATION_BYTES // max(1, climber.bytes))
    largest = min(enough, _LARGEST_CHUNK, 1 << (fitting.bit_length() - 1))
    if largest not in climber.fastest:
        size = min(_FIRST_CHUNK, largest)
        climber.fastest[largest] = size if count <= size else fastest_chunk(size, largest, count, steps, run)
    return climber.fastest[largest]


def fastest_chunk(size: int, largest: int, count: int, steps: int, run: _Run) -> int:
    """Halves and doubles a chunk's size while that makes `count` filters faster, and the measuring is worth it."""

    def seconds(size: int) -> float:
        """Of one step of all filters."""
        rows = np.minimum(np.arange(size), count - 1)
        run(rows, 1)  # compiles
        return shortest_seconds(lambda: run(rows, 1)) * -(-count // size)

    start = time.perf_counter()
    best = seconds(size)
    for factor in (0.5, 2.0):
        before = size
        while 1 <= size * factor <= largest and time.perf_counter() - start < _WORTH_MEASURING * best * steps:
            other = seconds(int(size * factor))
            if other > _FASTER * best:
                break
            size, best = int(size * factor), other
        if size != before:
            break
    return size


def shortest_seconds(run: Callable[[], Any]) -> float:
    """What the faster of two runs takes."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
