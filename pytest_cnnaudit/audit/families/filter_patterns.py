"""Assertions on filter patterns: the picture that excites a filter the most, found by gradient ascent.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_evidence import data_url
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.limits import compared, holds, listed
from pytest_cnnaudit.audit.one_value import value_finding
from pytest_cnnaudit.cases import nearest
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.findings import Finding, ImageEvidence, ShownImage, Threshold

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Engine, FilterPatterns

CONTROLS = 15
"""Pictures of noise that a pattern is held against; with it they are one batch of 16."""
FREE_SIDE = 128
"""A side of a pattern where the model takes any size."""
SHOWN = 24
COLUMNS = 8
TILE = 64
"""Smaller pictures are enlarged to about so many pixels, to be seen."""


@assertion(
    title="Filters respond to their patterns",
    quantity="gain of the filter that responds the least",
    measured=(
        "A filter's pattern is the picture that excites it the most, found step by step from noise. This audit "
        "compares the filter's activation on it with that on noise which is equally far from the start: the gain is "
        "the rise in standard deviations of what noise gives. 0 means that the pattern is no better than noise."
    ),
    reading=(
        "A gain near 0 means a filter without a preference: dead, never trained, or silent at the start, as many are "
        "behind a ReLU. Filter patterns illustrate; they are no proof of what a filter does on photographs."
    ),
    about="filter patterns",
    settings=("size", "steps"),
    unit="filters",
)
def assert_filters_respond(
    context: Context,
    /,
    layer: str,
    filters: int | Sequence[int] | None = None,
    *,
    gain_at_least: float = 2.0,
    steps: int = 30,
    step_size: float = 10.0,
    size: tuple[int, int] | None = None,
    seed: int | None = None,
    **options: Any,
) -> Finding:
    """Each filter's pattern excites it more than noise does; the value is the smallest gain of all `filters`.

    gain = (mean activation on the pattern − mean on noise) / standard deviation on noise, over all places
    without a border of 2 cells. The noise is the ascent's start, moved as far as the ascent moved it, but in 15
    random directions: a picture that far from grey excites any filter, the pattern has to do it by its structure.
    A dead filter has the gain 0, and so has one that is silent at the start and so gives the ascent no way up:
    judge a layer before its ReLU. `filters` are indices, by default all.

    All filters start from the same noise of the test's seed. `size` is by default the model's input, 128 on a
    side that is free; `steps`, `step_size`, `seed` and other `options` are those of `Engine.filter_patterns`.
    Judges one value of the layer.
    """
    limit = Threshold("gain", number(gain_at_least, "gain_at_least"), "at_least")
    climb = {"steps": steps, "step_size": step_size, **options}
    patterns, start = _patterns(context, layer, filters, size, seed, climb)
    gains = pattern_gains(context.engine, patterns, start, context.seed if seed is None else seed)
    order = np.argsort(gains, kind="stable")
    value, failed = float(gains[order[0]]), [row for row in order if not holds(float(gains[row]), limit)]
    named = [f"{patterns.filters[row]} ({gains[row]:.3g})" for row in order]
    silent = [str(index) for index in patterns.filters[~patterns.responds]]
    lines = [
        f"layer {patterns.layer!r}, filter {patterns.filters[order[0]]}: gain {compared(value, limit)}, chance 0",
        f"{len(failed)} of {len(gains)} filters miss the limit: {listed(named[: len(failed)])}" if failed else "",
        f"without any way up from the start: {listed(silent)}" + _advice(context, patterns.layer) if silent else "",
        f"median gain {np.median(gains):.3g}; noise: {CONTROLS} pictures as far from the start as the pattern",
    ]
    return _about_patterns(
        limit,
        value,
        patterns,
        len(gains) - len(failed),
        lines,
        _exhibit(context, patterns, order, [f"{gain:.3g}" for gain in gains], "gain", "init" in options),
    )


@assertion(
    title="Filters have patterns of their own",
    quantity="similarity of the two patterns that are most alike",
    measured=(
        "All patterns are grown from the same noise, so that only the filter makes them differ. This audit compares "
        "what was added to the noise for each pair of filters: 1 means the same picture, 0 pictures that have nothing "
        "in common."
    ),
    reading=(
        "Two filters with the same pattern look for the same thing: one of them carries nothing of its own. In the "
        "last layers of a model with few classes patterns are alike by nature."
    ),
    about="filter patterns",
    settings=("size", "steps"),
    unit="filters",
)
def assert_filters_distinct(
    context: Context,
    /,
    layer: str,
    filters: int | Sequence[int] | None = None,
    *,
    similarity_at_most: float = 0.95,
    steps: int = 30,
    step_size: float = 10.0,
    size: tuple[int, int] | None = None,
    seed: int | None = None,
    **options: Any,
) -> Finding:
    """The patterns of any two filters differ; the value is the largest similarity of a pair.

    All filters start from the same noise, and the similarity is the cosine between what two ascents added to it:
    1 where they went the same way, 0 where they have nothing in common. Filters that do not respond added
    nothing, and are taken for the same. `filters` are indices, by default all, two at least.

    `size`, `steps`, `step_size`, `seed` and `options` are those of `assert_filters_respond`, which shares the
    patterns where they are the same. Judges one value of the layer.
    """
    limit = Threshold("similarity", number(similarity_at_most, "similarity_at_most", -1, 1), "at_most")
    if filters is not None:
        filters = list(filters) if isinstance(filters, Iterable) else [filters]
        _check_several(filters)
    climb = {"steps": steps, "step_size": step_size, **options}
    patterns, start = _patterns(context, layer, filters, size, seed, climb)
    names = patterns.filters
    _check_several(names)
    nearest = likenesses(patterns, start)
    order = np.argsort(-nearest.similarity, kind="stable")
    value = float(nearest.similarity[order[0]])
    pairs = _pairs(nearest, names, order)
    above = [row for row in order if not holds(float(nearest.similarity[row]), limit)]
    pairs_above = _pairs(nearest, names, above)
    silent = [str(index) for index in names[~patterns.responds]]
    nearest_two = pairs[0].partition(" (")[0]
    lines = [
        f"layer {patterns.layer!r}, filters {nearest_two}: similarity {compared(value, limit)}, chance 0",
        f"{len(above)} of {len(names)} filters are too similar to another: {listed(pairs_above)}" if above else "",
        f"taken for the same, since they do not respond: {listed(silent)}" + _advice(context, patterns.layer)
        if len(silent) > 1
        else "",
        f"median over {len(names)} filters of the similarity with the nearest {np.median(nearest.similarity):.3f}",
    ]
    values = [f"{one:.2f} with {names[other]}" for one, other in zip(nearest.similarity, nearest.index, strict=True)]
    return _about_patterns(
        limit,
        value,
        patterns,
        len(names) - len(above),
        lines,
        _exhibit(context, patterns, order, values, "similarity", "init" in options),
    )


def _patterns(
    context: Context, layer: Any, filters: Any, size: Any, seed: Any, options: dict[str, Any]
) -> tuple[FilterPatterns, npt.NDArray[np.float32]]:
    """The patterns and the start that all of them have in common."""
    if not isinstance(layer, str):
        raise TypeError(f"layer must be the name of a layer, not {type(layer).__name__}")
    engine, path = context.engine, context.engine.layer(layer).path
    known = signature(type(engine).filter_patterns).parameters
    unknown = next((name for name in options if name not in known), None)
    if unknown is not None:
        hint = nearest(unknown, known)
        raise TypeError(f"{unknown!r} is no option of filter patterns{hint}: see Engine.filter_patterns")
    seed = context.seed if seed is None else seed
    if size is None:
        height, width, _ = engine.input_shape
        size = (height or FREE_SIDE, width or FREE_SIDE)
    init = options.pop("init", None)
    if init is None:
        init = engine.pattern_start(size, input_range=options.get("input_range"), seed=seed)
    try:
        start = np.asarray(init, np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"init is no array of numbers: {error}") from None
    return context.cache.patterns(path, filters, init=start, size=size, seed=seed, **options), start


def _about_patterns(
    limit: Threshold,
    value: float,
    patterns: FilterPatterns,
    passed: int,
    lines: Sequence[str],
    evidence: ImageEvidence,
) -> Finding:
    return value_finding(
        value,
        limit,
        n=len(patterns),
        passed=passed,
        lines=lines,
        evidence=[evidence],
        chance=0.0,
        layer=patterns.layer,
    )


def _advice(context: Context, path: str) -> str:
    advice = " (a silent ReLU has no gradient: judge the layer before it, or try another seed)"
    return advice if context.engine.layer(path).is_relu_like else ""


def _exhibit(
    context: Context,
    patterns: FilterPatterns,
    order: npt.NDArray[np.intp],
    values: Sequence[str],
    what: str,
    own_start: bool,
) -> ImageEvidence:
    """The patterns as a grid, worst first; grown from a picture of the user's own only where such may be kept."""
    rows = order[:SHOWN]
    shown = replace(
        patterns, images=patterns.images[rows], losses=patterns.losses[rows], filters=patterns.filters[rows]
    )
    picture = _numbered_grid(shown)
    embed = context.embeds or not own_start
    names = ", ".join(f"{patterns.filters[row]} ({values[row]})" for row in rows)
    more = f"; {len(order) - len(rows)} more are not shown" if len(order) > len(rows) else ""
    black = "; black: no response" if not shown.responds.all() else ""
    title = f"Patterns of {patterns.layer}, row by row, by filter with its {what}: {names}{more}{black}"
    return ImageEvidence(title, ShownImage(data_url(picture) if embed else None, picture.width, picture.height))


def pattern_gains(
    engine: Engine, patterns: FilterPatterns, start: npt.NDArray[np.float32], seed: int
) -> npt.NDArray[np.float64]:
    """Each filter's gain, `(F,)`: its activations on its pattern against those on noise as far from the start."""
    gains = np.empty(len(patterns))
    starts = np.broadcast_to(start, patterns.images.shape)
    for row, index in enumerate(patterns.filters):
        generator = np.random.default_rng([seed, 2, int(index)])
        directions = generator.standard_normal((CONTROLS, *patterns.images.shape[1:]), np.float32)
        moved = np.linalg.norm(patterns.images[row] - starts[row])
        directions *= moved / np.linalg.norm(directions.reshape(CONTROLS, -1), axis=1)[:, None, None, None]
        batch = np.concatenate([patterns.images[row : row + 1], starts[row] + directions])
        found = engine.filter_activations(patterns.layer, int(index), batch)
        gains[row] = metrics.pattern_gain(found[:1], found[1:].reshape(1, -1))[0]
    return np.where(patterns.responds, gains, 0.0)


def likenesses(patterns: FilterPatterns, start: npt.NDArray[np.float32]) -> metrics.Nearest:
    """Each filter's most similar other one, by what the ascents added to the start; nothing without a response."""
    added = (patterns.images - start).reshape(len(patterns), -1)
    added[~patterns.responds] = 0
    return metrics.nearest_others(added)


def _numbered_grid(patterns: FilterPatterns) -> Image.Image:
    """The patterns in rows of `COLUMNS`, each with its filter's number in the corner."""
    height, width = patterns.images.shape[1:3]
    crop, margin = min(height, width) // 8, max(1, min(height, width) // 32)
    grid = patterns.grid(columns=COLUMNS, margin=margin, crop=crop)
    pixels = grid if grid.shape[-1] == 3 else np.repeat(grid.mean(axis=-1, keepdims=True).astype(np.uint8), 3, axis=-1)
    factor = max(1, TILE // min(height, width))
    picture = Image.fromarray(pixels)
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(max(11, picture.width // 45))
    for position, index in enumerate(patterns.filters):
        row, column = divmod(position, COLUMNS)
        place = (column * (width - 2 * crop + margin) * factor + 2, row * (height - 2 * crop + margin) * factor + 1)
        pen.text(place, str(index), "white", font, stroke_width=1, stroke_fill="black")
    return picture


def _pairs(nearest: metrics.Nearest, names: npt.NDArray[np.intp], order: Iterable[int]) -> list[str]:
    """Pairs of filters with their similarity, the most similar first, each pair once."""
    pairs: dict[tuple[int, int], str] = {}
    for row in order:
        first, second = sorted((int(names[row]), int(names[nearest.index[row]])))
        pairs.setdefault((first, second), f"{first} and {second} ({nearest.similarity[row]:.3f})")
    return list(pairs.values())


def _check_several(filters: Sequence[Any] | npt.NDArray[np.intp]) -> None:
    if len(filters) < 2 or len(set(map(str, filters))) < len(filters):
        problem = "is a single one" if len(filters) < 2 else "has one twice"
        raise ValueError(f"filters {problem}: two at least, each once, are compared")
