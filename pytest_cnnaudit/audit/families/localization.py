"""Assertions on where the model looks.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_findings import case_finding
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.judged_cases import Judged, Score
from pytest_cnnaudit.audit.limits import EXCESS, as_limits, excess_limit
from pytest_cnnaudit.audit.populations import as_population, check_have_regions, where
from pytest_cnnaudit.audit.region_measures import (
    MASS,
    RegionMeasure,
    controls_of,
    coverage_of,
    lost_regions,
    overlap,
    pointing,
    scores_in_regions,
    unfair,
)
from pytest_cnnaudit.audit.rule import Rule, RuleArguments
from pytest_cnnaudit.audit.targets import Target, explain
from pytest_cnnaudit.cases import Case, Region, check_given_regions, given_regions
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.engine.passes import class_evidence
from pytest_cnnaudit.findings import Finding, Threshold
from pytest_cnnaudit.metrics.localisation import check_threshold

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps
    from pytest_cnnaudit.engine.methods import MethodFunction


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
    return _inside(context, MASS, cases, limits, Rule(**rule), region, target, method, layer)


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
    measure = pointing(tolerance)
    return _inside(context, measure, cases, limits, Rule(**rule), region, target, method, layer, share_limit)


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
    measure = overlap(float(threshold))
    return _inside(context, measure, cases, limits, Rule(**rule), region, target, method, layer)


def _inside(
    context: Context,
    measure: RegionMeasure,
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
    lost = lost_regions(maps, covers, regions)
    scores = scores_in_regions(measure, maps, covers, lost)
    for index, (case, cover) in enumerate(zip(population, covers, strict=True)):
        chance = scores[index].chance or 0.0
        area = maps.geometries[index].share(regions[index]) if measure.by_centres else chance
        problem = "" if lost[index] else unfair(measure, cover, chance, area, limits)
        if problem and isinstance(cases, Case):
            raise ValueError(f"{where(case, index)}: {problem}")
        if problem:
            scores[index] = Score(None, scores[index].chance, problem)
        elif scores[index].value is not None:
            note = scores[index].note or measure.note(maps, index, regions[index], cover)
            scores[index] = replace(scores[index], note=note)
    judged = Judged(population, scores, limits, isinstance(cases, Case), measure.quantity, share_limit)
    controls = controls_of(measure, maps, covers, scores, one_for_all=given is not None)
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
    covers = [coverage_of(maps, index, one) for index, one in enumerate(regions)]
    scores = [
        replace(score, note=f"{score.note}, so this can't fail")
        if score.note and MASS.ceiling(cover) <= at_most
        else score
        for score, cover in zip(
            scores_in_regions(MASS, maps, covers, lost_regions(maps, covers, regions)), covers, strict=True
        )
    ]
    judged = Judged(population, scores, limits, isinstance(cases, Case), "mass in the forbidden region")
    controls = controls_of(MASS, maps, covers, scores, one_for_all=given is not None)
    return case_finding(
        context, judged, Rule(**rule), target=aim, maps=maps, given=given, role="forbidden", controls=controls
    )


def _check_given(given: Sequence[Region] | None, maps: Heatmaps, cases: Sequence[Case]) -> None:
    """The cases' own regions were checked when their pictures were read; these stand for them in every picture."""
    for index, (case, geometry) in enumerate(zip(cases, maps.geometries, strict=True)):
        check_given_regions(given, geometry.source_width, geometry.source_height, where(case, index))
