"""Whether heatmaps are robust to noise, and move with the image.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

import numpy as np

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_findings import case_finding
from pytest_cnnaudit.audit.compared_maps import CORRELATION, Floats, correlation, map_view, ranked, unranked
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.judged_cases import Judged, Score, no_evidence
from pytest_cnnaudit.audit.limits import EXCESS, as_limits, holds
from pytest_cnnaudit.audit.moves import MapMove, as_heatmap, as_move
from pytest_cnnaudit.audit.populations import Images, as_population
from pytest_cnnaudit.audit.rule import Rule, RuleArguments
from pytest_cnnaudit.audit.targets import Target, explain
from pytest_cnnaudit.cases import Case, Sample
from pytest_cnnaudit.checks import integer, number
from pytest_cnnaudit.edits import PictureMove, TransformedImage
from pytest_cnnaudit.findings import Finding, Threshold, View

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps
    from pytest_cnnaudit.engine.methods import MethodFunction

CASES_AT_ONCE = 16
"""The noisy copies of so many cases are held in memory at once."""
# A heatmap that correlates with its own transform by all but so much is symmetric.
_ALIKE = 0.01


@assertion(
    title="Heatmaps bear noise",
    quantity="largest change of the heatmap under small noise",
    measured=(
        "Noise that nobody would see is added to the model's input, several times. The number is how far the heatmap "
        "moved at most, as a share of its own size: 0 means not at all."
    ),
    reading=(
        "A heatmap that changes with invisible noise would have been another one a moment later: whatever it shows "
        "here is a coincidence."
    ),
    about="whether explanations can be trusted",
    settings=("noise", "samples"),
)
def assert_stable(
    context: Context,
    cases: Images,
    *,
    change_at_most: float = 0.2,
    noise: float = 0.02,
    samples: int = 10,
    target: Target = None,
    method: str | MethodFunction = "grad-cam",
    layer: str | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """Noise that nobody sees hardly changes the heatmap: max-sensitivity is at most `change_at_most`.

    The largest ‖L(x + δ) − L(x)‖ / ‖L(x)‖ over `samples` copies (Yeh 2019, arXiv:1901.09392). δ is added to
    the model's input, uniform within ± `noise` · (max x − min x), the same for every case, by the seed. All
    maps are of the class of the untouched picture. A case whose heatmap is empty, or whose picture has one
    colour only, is unscorable and counts as not passed.
    """
    population = as_population(cases, inputs=True)
    limit = Threshold("change", number(change_at_most, "change_at_most", 0), "at_most")
    noise = number(noise, "noise", 0, 1)
    if not noise:
        raise ValueError("noise is 0: without noise every map is stable")
    samples = integer(samples, "samples", 1)
    maps, aim = explain(context, population, target, method, layer)
    noisy = _noisy_maps(context, population, maps, noise, samples, method, layer)
    scores = [_sensitivity(maps, index, signed) for index, signed in enumerate(noisy)]

    def views(index: int) -> list[View]:
        if scores[index].value is None:
            return []
        distances = np.linalg.norm(np.maximum(noisy[index], 0) - maps.maps[index], axis=(1, 2))
        changed = _with_map(maps, index, noisy[index][int(np.argmax(distances))])
        return [map_view(context, "with the noise that changed it most", population[index], changed, index)]

    judged = Judged(population, scores, (limit,), isinstance(cases, Case), "change")
    return case_finding(context, judged, Rule(**rule), target=aim, maps=maps, views=views)


@assertion(
    title="Heatmaps move with the picture",
    quantity="rank correlation with the transformed picture's heatmap, taken back",
    measured=(
        "The picture is transformed, by default mirrored, and its heatmap is taken back: it should be the first one "
        "again, a correlation of 1. Chance is what a heatmap would reach that stays in its place whatever the "
        "picture."
    ),
    reading=(
        "A low value means that the heatmap depends on where things are, not only on what they are. If chance is as "
        "high as the value, the picture is too symmetric to tell."
    ),
    about="whether explanations can be trusted",
    settings=("transform",),
)
def assert_follows(
    context: Context,
    cases: Images,
    transform: str | tuple[PictureMove, MapMove] = "mirror",
    *,
    correlation_at_least: float | None = 0.8,
    excess_at_least: float | None = None,
    target: Target = None,
    method: str | MethodFunction = "grad-cam",
    layer: str | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """The heatmap moves with the picture: that of the transformed picture, taken back, correlates with the first.

    `transform` is `"mirror"` (left and right), `"flip"` (up and down), `"rotate90"`, or a pair of functions:
    one from a `PIL.Image` to another, one that takes a map `(h, w)` of the transformed picture back; for model
    input only the names. Both maps are of the class of the untouched picture. Chance a is what a heatmap that
    stays in its place, whatever the picture, would reach: 1 for one that is symmetric. `excess_at_least` demands
    (r − a) / (1 − a) above it, a negative a counting as 0; None drops a limit. A case whose chance passes and
    whose value is not clearly above (less than half of the way to 1) proves nothing: it is unscorable and counts
    as not passed, as is one of which either heatmap is empty, or the same in all cells.
    """
    population = as_population(cases, inputs=True)
    limits = as_limits(
        (CORRELATION, correlation_at_least, "at_least", "correlation_at_least"),
        (EXCESS, excess_at_least, "at_least", "excess_at_least"),
        low=-1,
    )
    move = as_move(transform)
    move.check_cases(population)
    maps, aim = explain(context, population, target, method, layer)
    move.check_grid(*maps.signed.shape[1:])
    transformed = [TransformedImage(case, move.transform) for case in population]
    moved = context.engine.heatmaps(
        transformed,
        target=maps.targets.tolist(),
        method=method,
        layer=layer,
        seed=context.seed,
    )
    scores = []
    for index, heatmap in enumerate(maps.maps):
        returned = as_heatmap(move.back(moved.maps[index]), heatmap)
        stayed = as_heatmap(move.back(heatmap), heatmap)
        chance = None if unranked(maps, index) else ranked(heatmap, stayed)
        score = correlation(maps, index, returned, chance, "in the transformed picture")
        if score.value is not None and stays(score, limits[0]):
            why = f"a heatmap that stays in its place would reach {chance:.2f} too: try another transform"
            score = Score(None, chance, why)
        scores.append(score)

    def views(index: int) -> list[View]:
        return [map_view(context, move.name, transformed[index], moved, index, scores[index])]

    judged = Judged(population, scores, limits, isinstance(cases, Case), CORRELATION)
    return case_finding(context, judged, Rule(**rule), target=aim, maps=maps, views=views)


def _noisy_maps(
    context: Context,
    cases: Sequence[Sample],
    maps: Heatmaps,
    noise: float,
    samples: int,
    method: str | MethodFunction,
    layer: str | None,
) -> list[Floats]:
    """Signed maps `(samples, h, w)` of each case with noise; none where the picture has one colour only."""
    found: list[Floats] = []
    for start in range(0, len(cases), CASES_AT_ONCE):
        part = slice(start, start + CASES_AT_ONCE)
        inputs = context.engine.inputs(cases[part])
        picture = next(iter(inputs))
        spans = np.ptp(inputs[picture], axis=(1, 2, 3))
        shape = (samples, *inputs[picture].shape[1:])
        drawn = np.random.default_rng(context.seed).uniform(-noise, noise, shape).astype(np.float32)
        for name, array in inputs.items():
            inputs[name] = np.repeat(array, samples, axis=0)
        inputs[picture] = inputs[picture] + np.concatenate([span * drawn for span in spans])
        signed = context.engine.heatmaps(
            inputs,
            target=np.repeat(maps.targets[part], samples).tolist(),
            method=method,
            layer=layer,
            seed=context.seed,
        ).signed.reshape(-1, samples, *maps.signed.shape[1:])
        found.extend(one if span else one[:0] for one, span in zip(signed, spans, strict=True))
    return found


def stays(score: Score, limit: Threshold) -> bool:
    """Whether a value says no more than that the heatmap looks much the same transformed."""
    value, chance = score.value or 0.0, score.chance or 0.0
    if 1 - chance < _ALIKE:
        return True
    if limit.is_excess:  # no correlation is demanded, so only what equals chance is none
        return chance > 0 and abs(value - chance) <= _ALIKE * (1 - chance)
    return holds(chance, limit) and value - chance <= (1 - chance) / 2


def _sensitivity(maps: Heatmaps, index: int, noisy: Floats) -> Score:
    if maps.empty[index]:
        return Score(None, None, no_evidence(maps.negative_share[index]))
    if not len(noisy):
        return Score(None, None, "the picture has one colour only: noise in proportion to its range is none")
    return Score(metrics.max_sensitivity(maps.maps[index], np.maximum(noisy, 0)))


def _with_map(maps: Heatmaps, index: int, signed: Floats) -> Heatmaps:
    """The heatmaps with another one in a case's place."""
    changed = maps.signed.copy()
    changed[index] = signed
    return replace(maps, signed=changed)
