"""Assertions on where the model looks.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

import numpy as np

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_findings import case_finding
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.judged_cases import Judged, Score, no_evidence
from pytest_cnnaudit.audit.limits import EXCESS, LARGEST_ALLOWED_REGION, ROUNDING, as_limits, excess_limit
from pytest_cnnaudit.audit.populations import Region, as_population, check_have_regions, given_regions, where
from pytest_cnnaudit.audit.rule import Rule, RuleArguments
from pytest_cnnaudit.audit.targets import Target, explain
from pytest_cnnaudit.cases import Box, Case, check_region
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.engine.passes import class_evidence
from pytest_cnnaudit.findings import Finding, Threshold
from pytest_cnnaudit.metrics.localisation import TIE_TOLERANCE, check_threshold

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps
    from pytest_cnnaudit.engine.methods import MethodFunction

OTHERS = "other cases' regions"
BLOB = "a blob in the middle"


@assertion(
    title="Looks at the object",
    quantity="share of the heatmap inside the marked region",
    measured=(
        "The heatmap shows which places of the picture raised the score of the class. This audit adds up the heatmap "
        "inside the marked region and divides by the whole: 1 means that all of it lies inside. Chance is the "
        "region's share of the picture's area, what a heatmap spread evenly would reach."
    ),
    reading=(
        "A low value means that the model decides by something beside the object. Look at what lies under the "
        "brightest cells."
    ),
    about="where it looks",
    needs=(class_evidence,),
)
def assert_mass_inside(
    context: Context,
    cases: Case | Sequence[Case],
    *,
    at_least: float | None = 0.5,
    excess_at_least: float | None = 0.2,
    region: Region | Sequence[Region] | None = None,
    target: Target = None,
    method: str | MethodFunction = "grad-cam",
    layer: str | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """The share of the heatmap's mass inside the region is at least `at_least`, and clearly above chance.

    The energy-based pointing game (Wang 2020, arXiv:1910.01279 §4.3). `excess_at_least` demands
    (m − a) / (1 − a) for a region of area share a, which a large region can't give away; None drops a
    limit. `region` stands for the cases' own. A case whose heatmap is empty, or whose region was lost
    in preprocessing, is unscorable and counts as not passed.
    """
    limits = as_limits(
        ("mass inside", at_least, "at_least", "at_least"),
        (EXCESS, excess_at_least, "at_least", "excess_at_least"),
    )
    return _inside(context, _MASS, cases, limits, Rule(**rule), region, target, method, layer)


@assertion(
    title="Points at the object",
    quantity="share of pictures whose heatmap has its maximum in the marked region",
    measured=(
        "The heatmap's strongest cell must have its centre in the marked region, or as near to it as the tolerance "
        "allows. Chance is the share of cells that count: how often a cell picked at random would hit."
    ),
    reading=(
        "A miss means that the strongest evidence lies beside the object. This looks at one cell only: see the whole "
        "heatmap for how much else there is."
    ),
    about="where it looks",
    needs=(class_evidence,),
    yes_no=True,
)
def assert_points_at(
    context: Context,
    cases: Case | Sequence[Case],
    *,
    tolerance: float = 0,
    excess_at_least: float | None = None,
    region: Region | Sequence[Region] | None = None,
    target: Target = None,
    method: str | MethodFunction = "grad-cam",
    layer: str | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """The heatmap's maximum lies in the region, or within `tolerance` pixels of the original picture of it.

    The pointing game (Zhang 2016, arXiv:1608.00507). A cell counts by its centre; of tied maxima more than
    half must lie inside. A case's value is 1 or 0; its chance is the share of cells that count, which grows
    with the tolerance. A single hit says nothing on chance, so `excess_at_least` is held against the share
    of hits in a population: it must be at least a + e · (1 − a), a the mean chance, where `mostly` demands
    less. None leaves it to `mostly`.
    """
    tolerance = number(tolerance, "tolerance", 0)
    share_limit = None if excess_at_least is None else excess_limit(excess_at_least)
    near = f" or within {tolerance:g} pixels of it" if tolerance else ""
    limits = (Threshold(f"maximum in the region{near}", 1.0, "at_least"),)
    pointing = _pointing(tolerance)
    return _inside(context, pointing, cases, limits, Rule(**rule), region, target, method, layer, share_limit)


@assertion(
    title="Covers the object",
    quantity="overlap of the heatmap's strong cells with the marked region",
    measured=(
        "The cells above a share of the heatmap's maximum are held against the marked region: the area that both have "
        "in common, divided by the area that either has. 1 means that they are the same. Chance is what a heatmap "
        "spread evenly would reach, which selects every cell."
    ),
    reading=(
        "A low value means that the heatmap marks another place, or only a part of the object, or much more than it: "
        "networks often need only a part, such as a face."
    ),
    about="where it looks",
    settings=("threshold",),
    needs=(class_evidence,),
)
def assert_iou(
    context: Context,
    cases: Case | Sequence[Case],
    *,
    at_least: float | None = 0.5,
    excess_at_least: float | None = None,
    threshold: float = 0.15,
    region: Region | Sequence[Region] | None = None,
    target: Target = None,
    method: str | MethodFunction = "grad-cam",
    layer: str | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """The cells at or above `threshold` of the heatmap's maximum overlap with the region by `at_least`.

    Intersection over union (Selvaraju 2017, arXiv:1610.02391 §4), with the exact share of each cell that
    the region covers. The chance level is the region's share of the picture: what a uniform map scores,
    which selects every cell; `excess_at_least` demands (IoU − a) / (1 − a) above it. None drops a limit.
    """
    limits = as_limits(
        ("IoU", at_least, "at_least", "at_least"), (EXCESS, excess_at_least, "at_least", "excess_at_least")
    )
    check_threshold(number(threshold, "threshold"))
    overlap = _overlap(float(threshold))
    return _inside(context, overlap, cases, limits, Rule(**rule), region, target, method, layer)


def _inside(
    context: Context,
    measure: _Measure,
    cases: Case | Sequence[Case],
    limits: tuple[Threshold, ...],
    rule: Rule,
    region: Region | Sequence[Region] | None,
    target: Target,
    method: str | MethodFunction,
    layer: str | None,
    share_limit: Threshold | None = None,
) -> Finding:
    """What the measures of a heatmap in the region where it should be have in common."""
    population = as_population(cases)
    given = given_regions(region)
    check_have_regions(population, given)
    maps, aim = explain(context, population, target, method, layer)
    _check_given(given, maps, population)
    regions = [given or case.regions for case in population]
    covers = [measure.cover(maps, index, one) for index, one in enumerate(regions)]
    lost = _lost(maps, covers, regions)
    scores = _scores(measure, maps, covers, lost)
    for index, (case, cover) in enumerate(zip(population, covers, strict=True)):
        chance = scores[index].chance or 0.0
        area = maps.geometries[index].share(regions[index]) if measure.by_centres else chance
        problem = "" if lost[index] else _unfair(measure, cover, chance, area, limits)
        if problem and isinstance(cases, Case):
            raise ValueError(f"{where(case, index)}: {problem}")
        if problem:
            scores[index] = Score(None, scores[index].chance, problem)
        elif scores[index].value is not None:
            note = scores[index].note or measure.note(maps, index, regions[index], cover)
            scores[index] = replace(scores[index], note=note)
    judged = Judged(population, scores, limits, isinstance(cases, Case), measure.quantity, share_limit)
    controls = _controls(measure, maps, covers, scores, one_for_all=given is not None)
    return case_finding(context, judged, rule, target=aim, maps=maps, given=given, controls=controls)


@assertion(
    title="Keeps off the forbidden region",
    quantity="share of the heatmap on the forbidden region",
    measured=(
        "The forbidden region is a place that must not matter, such as a watermark or a ruler. This audit adds up the "
        "heatmap on it and divides by the whole: 0 is best. Chance is the region's share of the picture's area."
    ),
    reading=(
        "A value far above chance means that the model reads the class from this region: a shortcut that will be "
        "missing, or misleading, in other pictures."
    ),
    about="where it looks",
    needs=(class_evidence,),
)
def assert_avoids(
    context: Context,
    cases: Case | Sequence[Case],
    *,
    at_most: float = 0.1,
    region: Region | Sequence[Region] | None = None,
    target: Target = None,
    method: str | MethodFunction = "grad-cam",
    layer: str | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """The share of the heatmap's mass in the forbidden region is at most `at_most`.

    `region` stands for the cases' own forbidden regions. A case whose heatmap is empty is unscorable and
    counts as not passed: a map that shows nothing avoids nothing.
    """
    population = as_population(cases)
    limits = as_limits(("mass in the forbidden region", at_most, "at_most", "at_most"))
    given = given_regions(region)
    for index, case in enumerate(population):
        if not (case.forbidden_regions if given is None else given):
            raise ValueError(
                f"{where(case, index)} has no forbidden region: give the Case one as forbidden=, "
                "or hand one over as region="
            )
    maps, aim = explain(context, population, target, method, layer)
    _check_given(given, maps, population)
    regions = [given or case.forbidden_regions for case in population]
    covers = [_coverage(maps, index, one) for index, one in enumerate(regions)]
    scores = [
        replace(score, note=f"{score.note}, so this can't fail")
        if score.note and _MASS.ceiling(cover) <= at_most
        else score
        for score, cover in zip(_scores(_MASS, maps, covers, _lost(maps, covers, regions)), covers, strict=True)
    ]
    judged = Judged(population, scores, limits, isinstance(cases, Case), "mass in the forbidden region")
    controls = _controls(_MASS, maps, covers, scores, one_for_all=given is not None)
    return case_finding(
        context, judged, Rule(**rule), target=aim, maps=maps, given=given, role="forbidden", controls=controls
    )


def _check_given(given: Sequence[Region] | None, maps: Heatmaps, cases: Sequence[Case]) -> None:
    """The cases' own regions were checked when their pictures were read; these stand for them in every picture."""
    for index, (case, geometry) in enumerate(zip(cases, maps.geometries, strict=True)):
        for one in given or ():
            check_region(one, geometry.source_width, geometry.source_height, f"{where(case, index)}: region")


Cover: TypeAlias = Any
"""What a region covers of the cells of a grid, (h, w): shares, or which cells count."""


@dataclass(frozen=True)
class _Measure:
    """A measure of a heatmap in a region: `cover` is what it takes of the region, `ceiling` the most it can give."""

    quantity: str
    of: Callable[[Any, Cover], Any]
    cover: Callable[[Heatmaps, int, Sequence[Region]], Cover]
    ceiling: Callable[[Cover], float]
    note: Callable[[Heatmaps, int, Sequence[Region], Cover], str] = lambda *_: ""
    covers: str = "the region covers"
    by_centres: bool = False


def _coverage(maps: Heatmaps, index: int, regions: Sequence[Region]) -> Cover:
    return maps.geometries[index].coverage(regions, _grid(maps))


def _grid(maps: Heatmaps) -> tuple[int, int]:
    return (maps.signed.shape[1], maps.signed.shape[2])


def _mass_ceiling(cover: Cover) -> float:
    return float(metrics.ceiling(cover))


_MASS = _Measure("mass inside", metrics.mass_inside, _coverage, _mass_ceiling)


def _overlap(threshold: float) -> _Measure:
    """Intersection over union, where a cell counts from this share of the maximum."""

    def iou(heatmaps: Any, cover: Cover) -> Any:
        return metrics.iou(heatmaps, cover, threshold)

    return _Measure("IoU", iou, _coverage, lambda cover: float(metrics.iou_ceiling(cover)))


def _pointing(tolerance: float) -> _Measure:
    """Whether the maximum lies within the tolerance of the region: 1 or 0."""

    def cover(maps: Heatmaps, index: int, regions: Sequence[Region]) -> Cover:
        return maps.geometries[index].centres_inside(regions, _grid(maps), tolerance)

    def hit(heatmaps: Any, inside: Cover) -> Any:
        return (np.asarray(metrics.pointing_hit(heatmaps, inside)) > 0.5).astype(float)

    def note(maps: Heatmaps, index: int, regions: Sequence[Region], inside: Cover) -> str:
        heatmap = np.maximum(maps.signed[index], 0)
        maxima = heatmap >= heatmap.max() * (1 - TIE_TOLERANCE)
        share = float(inside[maxima].mean())
        if share == 1:
            return ""
        if share > 0:
            return f"several cells are the maximum, {share:.0%} of them in the region: a hit is more than half"
        # The nearest of several maxima.
        distance = maps.geometries[index].centre_distances(regions, _grid(maps))[maxima].min()
        return f"the maximum is {distance:.3g} pixels off"

    covers = "the region and its tolerance cover" if tolerance else "the region covers"
    return _Measure("pointing hit", hit, cover, lambda inside: float(inside.any()), note, covers, True)


def _lost(maps: Heatmaps, covers: Sequence[Cover], regions: Sequence[Sequence[Region]]) -> list[bool]:
    """Which regions lie outside the model's input; a small one can lie between the centres of cells."""
    return [not cover.any() and not _coverage(maps, index, regions[index]).any() for index, cover in enumerate(covers)]


def _scores(measure: _Measure, maps: Heatmaps, covers: Sequence[Cover], lost: Sequence[bool]) -> list[Score]:
    """The measure of each map in its region, with its chance level, and a note where the grid is too coarse for it."""
    empty, negative = maps.empty, maps.negative_share
    usable = [index for index, cover in enumerate(covers) if cover.any() and not empty[index]]
    values = np.zeros(len(covers))
    if usable:
        values[usable] = measure.of(maps.maps[usable], np.stack([covers[index] for index in usable]))
    scores = []
    for index, cover in enumerate(covers):
        chance = _chance(measure, maps, index, cover)
        if lost[index]:
            scores.append(Score(None, None, "the region was lost in preprocessing"))
        elif empty[index]:
            scores.append(Score(None, chance, no_evidence(float(negative[index]))))
        else:
            note = ""
            if 0 < np.max(cover) < 1 - ROUNDING:
                note = f"the region fills no grid cell: no map can reach more than {measure.ceiling(cover):.3f}"
            scores.append(Score(float(values[index]), chance, note=note))
    return scores


def _chance(measure: _Measure, maps: Heatmaps, index: int, cover: Cover) -> float:
    """The share of the picture's cells that count: a map of the picture is not expected to look at the padding."""
    geometry, counted = maps.geometries[index], float(np.mean(cover))
    if geometry.seen == 1 or not counted:
        return counted
    picture = Box(0, 0, geometry.source_width, geometry.source_height)
    return counted / float(np.mean(measure.cover(maps, index, [picture])))


def _unfair(measure: _Measure, cover: Cover, chance: float, area: float, limits: Sequence[Threshold]) -> str:
    """Why a case that can't fail or can't pass is no test; `area` is the region's share of the picture that is seen."""
    height, width = cover.shape
    for what, share in (("the region covers", area), (measure.covers, chance)):
        if share > LARGEST_ALLOWED_REGION * (1 + ROUNDING):
            return (
                f"{what} {share:.0%} of the picture, more than {LARGEST_ALLOWED_REGION:.0%}: "
                "almost any map would pass, so give a smaller region"
            )
    if not cover.any():
        return (
            f"no cell of this {height} × {width} grid has its centre in the region, so no map can point at it: "
            "allow a tolerance, or explain a layer with a finer grid"
        )
    ceiling = measure.ceiling(cover)
    for limit in limits:
        if limit.demanded(chance) > ceiling * (1 + ROUNDING):
            argument = "excess_at_least" if limit.is_excess else "at_least"
            return (
                f"{argument} is {limit.value:g}, but no map on this {height} × {width} grid can reach more than "
                f"{ceiling:.3f} for this region: demand less, or explain a layer with a finer grid"
            )
    return ""


def _controls(
    measure: _Measure, maps: Heatmaps, covers: Sequence[Cover], scores: Sequence[Score], one_for_all: bool
) -> dict[str, float]:
    """The controls of a population: heatmap i in region j, and a map that is a blob in the middle."""
    usable = [index for index, score in enumerate(scores) if score.value is not None]
    if len(usable) < 2:
        return {}
    regions = np.stack([covers[index] for index in usable])
    # One region for all leaves none to shuffle.
    shuffled = {} if one_for_all else {OTHERS: float(metrics.box_shuffle_null(maps.maps[usable], regions, measure.of))}
    blob = np.broadcast_to(metrics.centre_prior(_grid(maps)), regions.shape)
    return {**shuffled, BLOB: float(np.mean(measure.of(blob, regions)))}
