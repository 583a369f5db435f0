"""Filter patterns: pictures that excite one filter of a layer the most, found by gradient ascent.

The ascent of a chunk of filters is one compiled loop over the network up to the layer, and only up to its input
where the layer is affine: a filter's mean activation then is a product with weights found once, before the loop.
Start and random numbers come from NumPy, so all backends climb from the same place.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import keras
import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.engine.errors import NonFiniteError
from pytest_cnnaudit.engine.models.keras import tracing
from pytest_cnnaudit.engine.models.keras.backends import State, Tensor, Watch
from pytest_cnnaudit.engine.models.keras.network import channels_last
from pytest_cnnaudit.engine.models.keras.tracing import TracedLayer as Layer
from pytest_cnnaudit.engine.ranges import Expectation

if TYPE_CHECKING:
    from pytest_cnnaudit.engine.engine import Engine

Floats: TypeAlias = npt.NDArray[np.float32]
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
_MOST_PACES = 16
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
        if isinstance(crop, bool) or int(crop) != crop or not 0 <= 2 * crop < min(height, width):
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
        return np.asarray(pixels[:, int(crop) : height - int(crop), int(crop) : width - int(crop)])

    def grid(self, columns: int = 8, margin: int = 5, crop: int = 25) -> npt.NDArray[np.uint8]:
        """All pictures in rows of `columns`, with black margins; a filter that does not respond is left black.

        64 filters of 200 × 200 pixels give the book's 1235 × 1235.
        """
        for name, value, least in (("columns", columns, 1), ("margin", margin, 0)):
            if isinstance(value, bool) or int(value) != value or value < least:
                raise ValueError(f"{name} is {value!r}; an integer of at least {least} is expected")
        pictures = self.pictures(crop)
        pictures[~self.responds] = 0
        count, height, width, channels = pictures.shape
        columns = min(int(columns), count)
        rows = -(-count // columns)
        canvas = np.zeros((rows * (height + margin) - margin, columns * (width + margin) - margin, channels), np.uint8)
        for index, picture in enumerate(pictures):
            top, left = index // columns * (height + margin), index % columns * (width + margin)
            canvas[top : top + height, left : left + width] = picture
        return canvas


@dataclass(frozen=True)
class Ascent:
    """What is compiled: one ascent's layer, shape and rules, the same for every filter."""

    layer: Layer
    shape: tuple[int, int, int]
    steps: int
    step_size: float
    normalize: Normalization
    input_range: tuple[float, float]
    jitter: int
    total_variation: float
    l2: float
    parametrization: Parametrization


@dataclass
class Pace:
    """What is known of an ascent: the compiled loop, its layer's channels, and which chunk size was fastest.

    `bytes` of all activations up to the layer, of one picture.
    """

    climb: Callable[..., Any]
    channels: int
    bytes: int
    fastest: dict[int, int] = field(default_factory=dict)


def filter_patterns(engine: Engine, name: str, filters: int | Sequence[int] | None, **options: Any) -> FilterPatterns:
    """See `Engine.filter_patterns`."""
    layer = engine.layer(name)
    init, seed = options.pop("init"), _seed(options.pop("seed"), engine.seed)
    shape = (*_size(options.pop("size")), engine.input_shape[2] or 3)
    input_range = _range(options.pop("input_range"), engine)
    ascent = _checked(Ascent(layer=layer, shape=shape, input_range=input_range, **options))
    if ascent not in engine._paces:
        engine._network.check_float_picture()
        while len(engine._paces) >= _MOST_PACES:
            del engine._paces[next(iter(engine._paces))]
        engine._paces[ascent] = _probe(engine, ascent)
    pace = engine._paces[ascent]
    wanted = _filters(filters, layer.path, pace.channels)
    starts = None if init is None else _given(init, len(wanted), ascent)
    images, losses = _ascend(engine, ascent, pace, wanted, starts, seed)
    _check_finite(images, losses, wanted, layer.path)
    return FilterPatterns(images=images, losses=losses, filters=wanted, layer=layer.path)


def pattern_start(engine: Engine, size: Any, input_range: Any, seed: Any) -> Floats:
    """See `Engine.pattern_start`."""
    low, high = _range(input_range, engine)
    noise = _noise((*_size(size), engine.input_shape[2] or 3), _seed(seed, engine.seed), 0)
    return np.asarray(low + (high - low) * noise, np.float32)


def filter_activations(engine: Engine, name: str, index: int, pictures: npt.ArrayLike) -> Floats:
    """See `Engine.filter_activations`."""
    layer, batch = engine.layer(name), np.asarray(pictures, np.float32)
    if batch.ndim != 4:
        raise ValueError(f"pictures have the shape {batch.shape}; (N, H, W, C) is expected")
    channels_first = layer.is_spatial and keras.config.image_data_format() == "channels_first"
    _filters(index, layer.path, int(layer.output_shape[1 if channels_first else -1] or 0))
    found = engine._network.filter_outputs(batch, layer, index)
    if not np.isfinite(found).all():
        raise NonFiniteError(f"The filter {index} of the layer {layer.path!r} gives NaN or infinity")
    weights = _cell_weights(found.shape[1:])[0]
    return np.asarray(found.reshape(len(batch), -1)[:, weights > 0])


# What was asked for


def _checked(ascent: Ascent) -> Ascent:
    for name, least in (("steps", 1), ("jitter", 0)):
        value = getattr(ascent, name)
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name} is {value!r}; an integer of at least {least} is expected")
    for name in ("step_size", "total_variation", "l2"):
        value = getattr(ascent, name)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}; a finite number is expected")
        if value < 0 or (name == "step_size" and value == 0):
            raise ValueError(f"{name} is {value!r}; it must be {'positive' if name == 'step_size' else 'at least 0'}")
    for name, known in (("normalize", get_args(Normalization)), ("parametrization", get_args(Parametrization))):
        if getattr(ascent, name) not in known:
            raise ValueError(f"{name} is {getattr(ascent, name)!r}; known: {', '.join(map(repr, known))}")
    if 2 * ascent.jitter >= min(ascent.shape[:2]):
        raise ValueError(f"jitter is {ascent.jitter}; less than half of the size {ascent.shape[:2]} is expected")
    return ascent


def _seed(seed: Any, default: int) -> int:
    chosen = default if seed is None else seed
    if isinstance(chosen, bool) or not isinstance(chosen, (int, np.integer)) or chosen < 0:
        raise ValueError(f"seed is {chosen!r}; an integer of at least 0 is expected")
    return int(chosen)


def _size(size: Any) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, (tuple, list)) else ()
    if len(sides) != 2 or any(
        isinstance(side, bool) or not isinstance(side, (int, np.integer)) or side < 1 for side in sides
    ):
        raise ValueError(f"size is {size!r}; two positive integers (height, width) are expected")
    return int(sides[0]), int(sides[1])


def _range(input_range: Any, engine: Engine) -> tuple[float, float]:
    if input_range is None:
        return _derived_range(engine._network.structure.expects)
    bounds = tuple(input_range) if isinstance(input_range, (tuple, list)) else ()
    try:
        low, high = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"input_range is {input_range!r}; two finite numbers (low, high), low < high, are expected")
    return low, high


def _derived_range(expects: Expectation) -> tuple[float, float]:
    """(0, 255) for a model that starts by making such values small itself, else (0, 1)."""
    return (0.0, 255.0) if expects.rescales and expects.values == "0 to 255" else (0.0, 1.0)


def _filters(filters: Any, path: str, count: int) -> npt.NDArray[np.intp]:
    if filters is None:
        return np.arange(count, dtype=np.intp)
    if not isinstance(filters, (int, np.integer, Iterable)):
        raise TypeError(f"filters is {filters!r}; an index or a sequence of indices is expected")
    wanted = [filters] if isinstance(filters, (int, np.integer)) else list(filters)
    if not wanted:
        raise ValueError("No filter is chosen: name at least one by its index, or leave filters out for all")
    for index in wanted:
        if isinstance(index, (bool, np.bool_)) or not isinstance(index, (int, np.integer)):
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


# The network up to the layer


def _probe(engine: Engine, ascent: Ascent) -> Pace:
    """Calls the network once for shapes; says where it does not take pictures of this size."""
    found: list[Tensor] = []
    calls: list[tracing.Call] = []

    def run(pictures: Tensor) -> None:
        calls.extend(
            tracing.record_calls(engine.model, lambda: found.append(engine._network.output_of(ascent.layer, pictures)))
        )

    where = f"The layer {ascent.layer.path!r} can't be computed for pictures of size {ascent.shape[:2]}"
    try:
        engine._network.abstract(run, [((1, *ascent.shape), "float32")])
    except Exception as error:
        raise ValueError(
            f"{where}: {_in_short(error)}. The model takes {engine.input_shape[:2]} by itself; say size=(height, width)"
        ) from error
    shape = tuple(int(side) for side in found[0].shape)
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"{where}: its output would have the shape {shape}; say a larger size=(height, width)")
    size = sum(4 * math.prod(int(side) for side in call.output.shape) for call in calls)
    network, taken = engine._network, tuple(int(side) for side in calls[-1].inputs[0].shape)
    climb = _Climb(engine, ascent, taken, _loss_scale(found[0]))
    return Pace(network.one_at_a_time(network.backend.looped(climb, engine.model)), shape[-1], size)


def _in_short(error: Exception) -> str:
    """What an error says, on one line, without what Keras adds: colours, and the arguments of the call."""
    said = str(error).partition("\n\nArguments received by")[0]
    return " ".join(re.sub(r"\x1b\[\d*m", "", said).split()).rstrip(".")


def _mean_activations(activation: Tensor, filters: Tensor) -> Tensor:
    """Mean of one filter's activation for each row, `(F,)`, without the border of a grid.

    A grid with fewer than 5 cells on a side keeps its middle one or two there.
    """
    ops = keras.ops
    _, *grid, channels = activation.shape
    # A product with what picks the filter, then one with the cells' weights: backwards, a slice and a mean would
    # be several passes over the whole output, of which nearly all is 0.
    picked = ops.one_hot(filters, channels, dtype="float32")[:, :, None]
    values = ops.matmul(ops.reshape(ops.cast(activation, "float32"), (-1, math.prod(grid), channels)), picked)[:, :, 0]
    return ops.sum(values * ops.convert_to_tensor(_cell_weights(tuple(grid))), axis=1)


def _cell_weights(grid: tuple[int, ...]) -> Floats:
    """What each cell counts in the mean, `(1, P)`."""
    weights = np.ones(grid)
    if len(grid) == 2:
        for axis, side in enumerate(grid):
            border = min(BORDER, (side - 1) // 2)
            outside = np.r_[:border, side - border : side]
            weights[(slice(None), outside) if axis else (outside,)] = 0
    return np.asarray((weights / weights.sum()).reshape(1, -1), np.float32)


def _loss_scale(activation: Tensor) -> float:
    """What keeps a gradient in half precision from vanishing: the mean divides it by the number of cells."""
    if keras.backend.standardize_dtype(activation.dtype) != "float16":
        return 1.0
    return float(2 ** (math.prod(int(side) for side in activation.shape[1:-1]) - 1).bit_length())


# The ascent


def _ascend(
    engine: Engine, ascent: Ascent, pace: Pace, filters: npt.NDArray[np.intp], starts: Floats | None, seed: int
) -> tuple[Floats, Floats]:
    """Pictures and losses of all filters, chunk by chunk; the last chunk is filled up with its last filter."""
    shifts = np.random.default_rng([seed, 1]).integers(-ascent.jitter, ascent.jitter + 1, (ascent.steps, 2), np.int32)

    def run(rows: npt.NDArray[np.intp], steps: int) -> Sequence[Floats]:
        start = _random(filters[rows], ascent, seed) if starts is None else _parameters(starts[rows], ascent)
        losses = np.zeros((len(rows), ascent.steps + 1), np.float32)
        moves = np.broadcast_to(shifts, (len(rows), *shifts.shape))
        results: Sequence[Floats] = pace.climb(np.int32(steps), start, losses, moves, filters[rows].astype(np.int32))
        return results

    size = _chunk_size(engine, ascent, pace, len(filters), run)
    images = np.empty((len(filters), *ascent.shape), np.float32)
    losses = np.empty((len(filters), ascent.steps + 1), np.float32)
    for first in range(0, len(filters), size):
        rows = np.arange(first, min(first + size, len(filters)))
        padded = np.pad(rows, (0, size - len(rows)), mode="edge")
        images[rows], losses[rows] = (array[: len(rows)] for array in run(padded, ascent.steps))
    return images, losses


def _chunk_size(
    engine: Engine,
    ascent: Ascent,
    pace: Pace,
    count: int,
    run: Callable[[npt.NDArray[np.intp], int], Sequence[Floats]],
) -> int:
    """The number of filters that climb together: the fastest measured, kept for the next call.

    Halves and doubles while that makes it faster. Jobs too small to make up for the measuring are not measured.
    """
    enough = 1 << (count - 1).bit_length()
    if engine.batch_size is not None:
        return min(engine.batch_size, enough)
    fitting = max(1, _ACTIVATION_BYTES // max(1, pace.bytes))
    largest = min(enough, _LARGEST_CHUNK, 1 << (fitting.bit_length() - 1))
    if largest not in pace.fastest:
        size = min(_FIRST_CHUNK, largest)
        pace.fastest[largest] = size if count <= size else _measured(size, largest, count, ascent.steps, run)
    return pace.fastest[largest]


def _measured(
    size: int, largest: int, count: int, steps: int, run: Callable[[npt.NDArray[np.intp], int], Sequence[Floats]]
) -> int:
    def seconds(size: int) -> float:
        """Of one step of all filters."""
        rows = np.minimum(np.arange(size), count - 1)
        run(rows, 1)  # compiles
        return _seconds(lambda: run(rows, 1)) * -(-count // size)

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


def _seconds(run: Callable[[], Any]) -> float:
    times = []
    for _ in range(2):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


@dataclass(frozen=True)
class _Climb:
    """The loop (steps, start, losses, shifts, filters) → (pictures, losses)."""

    engine: Engine
    ascent: Ascent
    input_shape: tuple[int, ...]
    loss_scale: float

    def prepare(self, start: Tensor, losses: Tensor, shifts: Tensor, filters: Tensor) -> tuple[State, State]:
        chosen = self._weights(filters) if tracing.is_affine(self.ascent.layer) else (filters,)
        return (start, losses), (shifts, *chosen)

    def step(self, index: Tensor, state: State, fixed: State) -> State:
        """`parameters += step_size · normalised gradient`, and the losses before it."""
        ops, ascent = keras.ops, self.ascent
        (parameters, losses), (shifts, *chosen) = state, fixed

        def objective(watch: Watch) -> tuple[Tensor, Tensor]:
            pictures = _pictures(watch(parameters), ascent)
            seen = _shifted(pictures, ops.take(shifts[0], index, axis=0)) if ascent.jitter else pictures
            loss = self._loss(seen, chosen)
            return ops.sum(loss - _penalties(pictures, ascent)) * self.loss_scale, ops.stop_gradient(loss)

        loss, _, (gradient,) = self.engine._network.backend.gradients(objective)
        gradient = ops.zeros_like(parameters) if gradient is None else ops.cast(gradient, "float32") / self.loss_scale
        direction = _normalized(gradient, ascent.normalize)
        return parameters + ascent.step_size * direction, _recorded(losses, index, loss)

    def finish(self, count: Tensor, state: State, fixed: State) -> State:
        """The pictures, and the losses with the last one."""
        (parameters, losses), (_, *chosen) = state, fixed
        pictures = _pictures(parameters, self.ascent)
        return pictures, _recorded(losses, count, self._loss(pictures, chosen))

    def _loss(self, pictures: Tensor, chosen: Sequence[Tensor]) -> Tensor:
        """Mean activation of each picture's filter, `(F,)`; `chosen`: the filters, or an affine layer's `_weights`."""
        network, layer = self.engine._network, self.ascent.layer
        if len(chosen) == 1:
            return _mean_activations(network.output_of(layer, pictures), chosen[0])
        at_zero, slopes = chosen
        return at_zero + keras.ops.sum(slopes * network.input_of(layer, pictures), axis=(1, 2, 3)[: slopes.ndim - 1])

    def _weights(self, filters: Tensor) -> State:
        """Mean activations of an affine layer for an input of zeros, `(F,)`, and their gradients `(F, h, w, K)`."""
        ops = keras.ops

        def objective(watch: Watch) -> tuple[Tensor, Tensor]:
            taken = watch(ops.zeros((ops.shape(filters)[0], *self.input_shape[1:]), "float32"))
            means = _mean_activations(channels_last(self.ascent.layer.operation(taken)), filters)
            return ops.sum(means), means

        at_zero, _, (slopes,) = self.engine._network.backend.gradients(objective)
        return at_zero, slopes


def _recorded(losses: Tensor, at: Tensor, values: Tensor) -> Tensor:
    ops = keras.ops
    return ops.where(ops.arange(losses.shape[1], dtype="int32") == at, values[:, None], losses)


def _normalized(gradient: Tensor, how: Normalization) -> Tensor:
    """`"global"`: each picture's gradient over its L2 norm; `"pixel"`: each pixel's colours over theirs."""
    ops = keras.ops
    if how == "pixel":
        return ops.normalize(gradient, axis=-1)
    for size in (ops.max(ops.abs(gradient), axis=(1, 2, 3), keepdims=True), None):
        # First the largest becomes 1: the squares of a tiny gradient would vanish.
        norm = ops.sqrt(ops.sum(ops.square(gradient), axis=(1, 2, 3), keepdims=True)) if size is None else size
        gradient = gradient / ops.where(norm > 0, norm, 1.0)
    return gradient


def _shifted(pictures: Tensor, shift: Tensor) -> Tensor:
    """The pictures moved by `shift` (down, right), what leaves at one side coming back at the other."""
    ops = keras.ops
    for axis in (1, 2):
        side = pictures.shape[axis]
        positions = ops.arange(side, dtype="int32") - shift[axis - 1] + side
        pictures = ops.take(pictures, ops.mod(positions, side), axis=axis)
    return pictures


def _penalties(pictures: Tensor, ascent: Ascent) -> Tensor:
    """total_variation · mean |difference of neighbours| + l2 · mean (distance from the middle)², `(F,)`.

    In units of the input range, so that weights mean the same for 0…1 and 0…255.
    """
    ops = keras.ops
    low, high = ascent.input_range
    unit = (pictures - low) / (high - low)
    penalty = ops.zeros((), "float32")
    if ascent.total_variation:
        for step in (unit[:, 1:] - unit[:, :-1], unit[:, :, 1:] - unit[:, :, :-1]):
            # Not abs: where neighbours are equal its gradient is 1 in JAX and 0 elsewhere.
            size = step * ops.stop_gradient(ops.sign(step))
            penalty = penalty + ascent.total_variation * ops.mean(size, axis=(1, 2, 3))
    if ascent.l2:
        penalty = penalty + ascent.l2 * ops.mean(ops.square(unit - 0.5), axis=(1, 2, 3))
    return penalty


# What climbs: pixels, or coefficients of waves and decorrelated colours

# Square root of the covariance of ImageNet's colours, as published with Olah et al. 2017 (the library Lucid,
# Apache 2.0, `color_correlation_svd_sqrt`): rows are red, green, blue, columns the decorrelated colours.
_MIDDLE = 0.5
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])


def _pictures(parameters: Tensor, ascent: Ascent) -> Tensor:
    """The parameters `(F, H, W, C)` as pictures in the input range."""
    low, high = ascent.input_range
    unit = parameters if ascent.parametrization == "pixels" else _from_waves(parameters, ascent)
    return low + (high - low) * unit


def _parameters(pictures: Floats, ascent: Ascent) -> Floats:
    """The inverse of `_pictures`."""
    low, high = ascent.input_range
    unit = (pictures.astype(np.float64) - low) / (high - low)
    if ascent.parametrization == "fourier":
        unit = _to_waves(unit, ascent)
    return unit.astype(np.float32)


def _random(filters: npt.NDArray[np.intp], ascent: Ascent, seed: int) -> Floats:
    """Where each filter starts: its own random numbers, whichever others are asked for and in what chunks."""
    starts = np.empty((len(filters), *ascent.shape), np.float32)
    for row, index in enumerate(filters):
        if ascent.parametrization == "pixels":
            starts[row] = _noise(ascent.shape, seed, int(index))
        else:
            starts[row] = 0.01 * np.random.default_rng([seed, 0, int(index)]).standard_normal(ascent.shape)
    return starts


def _noise(shape: tuple[int, int, int], seed: int, index: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng([seed, 0, index]).uniform(0.4, 0.6, shape)


def _from_waves(coefficients: Tensor, ascent: Ascent) -> Tensor:
    ops = keras.ops
    height, width = (ops.convert_to_tensor(_waves(side).astype(np.float32)) for side in ascent.shape[:2])
    spectrum, colours = (ops.convert_to_tensor(part.astype(np.float32)) for part in _gains(ascent))
    planes = ops.transpose(coefficients * spectrum[..., None], (0, 3, 1, 2))
    planes = ops.matmul(ops.matmul(height, planes), ops.transpose(width))
    return _MIDDLE + ops.matmul(ops.transpose(planes, (0, 2, 3, 1)), ops.transpose(colours))


def _to_waves(unit: npt.NDArray[np.float64], ascent: Ascent) -> npt.NDArray[np.float64]:
    height, width = (_waves(side) for side in ascent.shape[:2])
    spectrum, colours = _gains(ascent)
    planes = (unit - _MIDDLE) @ np.linalg.inv(colours).T
    return np.asarray(np.einsum("hk,nhwc,wl->nklc", height, planes, width, optimize=True) / spectrum[..., None])


def _waves(side: int) -> npt.NDArray[np.float64]:
    """The real Fourier basis of `side` points, orthonormal, one wave a column, by rising frequency."""
    frequency = _frequencies(side)
    is_sine = np.arange(side) % 2 == 0
    angle = 2 * np.pi * frequency * np.arange(side)[:, None]
    waves = np.where(is_sine & (frequency > 0), np.sin(angle), np.cos(angle))
    return np.asarray(waves / np.linalg.norm(waves, axis=0))


def _frequencies(side: int) -> npt.NDArray[np.float64]:
    """0, 1, 1, 2, 2, … in cycles a pixel: a cosine and a sine of each."""
    return np.asarray((np.arange(side) + 1) // 2 / side)


def _gains(ascent: Ascent) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How much of each wave `(H, W)` and colour `(C, C)` a coefficient of 1 gives.

    Such that a step changes waves in inverse proportion to their frequency, as strong as they are in natural
    pictures. The mean square of both is 1: a step is about as long as one of pixels.
    """
    height, width, channels = ascent.shape
    frequency = np.hypot(_frequencies(height)[:, None], _frequencies(width))
    # The gradient of a coefficient has the gain as a factor already, which only "pixel" divides out again.
    power = 0.5 if ascent.normalize == "global" else 1.0
    spectrum = np.maximum(frequency, 1 / max(height, width)) ** -power
    colours = _COLOURS if channels == 3 else np.eye(channels)
    return spectrum / np.sqrt(np.mean(spectrum**2)), colours / np.sqrt(np.mean((colours**2).sum(axis=1)))
