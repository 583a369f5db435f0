"""Assertions on where the model looks.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.base import Base, Region, Target, audited
from pytest_cnnaudit.audit.judging import (
    EXCESS,
    MOST_LINES,
    ROUNDING,
    Judged,
    Rule,
    Score,
    as_limits,
    as_population,
    demanded,
    where,
)
from pytest_cnnaudit.cases import Box, Case, Mask, check_region
from pytest_cnnaudit.record import Finding, Threshold

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps
    from pytest_cnnaudit.engine.methods import MethodFunction

LARGEST_ALLOWED_REGION = 0.8


class Localisation(Base):
    """Where it looks."""

    @audited
    def assert_mass_inside(
        self,
        cases: Case | Sequence[Case],
        *,
        at_least: float | None = 0.5,
        excess_at_least: float | None = 0.2,
        region: Region | Sequence[Region] | None = None,
        target: Target = None,
        method: str | MethodFunction = "grad-cam",
        layer: str | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
        by: Literal["label", "group"] | None = None,
    ) -> Finding:
        """The share of the heatmap's mass inside the region is at least `at_least`, and clearly above chance.

        The energy-based pointing game (Wang 2020, arXiv:1910.01279 §4.3). `excess_at_least` demands
        (m − a) / (1 − a) for a region of area share a, which a large region can't give away; None drops a
        limit. `region` stands for the cases' own. A case whose heatmap is empty, or whose region was lost
        in preprocessing, is unscorable and counts as not passed.
        """
        population = as_population(cases)
        limits = as_limits(
            ("mass inside", at_least, "at_least", "at_least"),
            (EXCESS, excess_at_least, "at_least", "excess_at_least"),
        )
        given = _given_regions(region)
        for index, case in enumerate(population):
            if not (case.regions if given is None else given):
                raise ValueError(
                    f"{where(case, index)} has no region: give the Case one as region=, or hand one over as region="
                )
        maps, aim = self._explain(population, target, method, layer)
        _check_given(given, maps, population)
        scores = []
        for index, case in enumerate(population):
            coverage = _coverage(maps, index, given or case.regions)
            score = _mass(maps, index, coverage)
            problem = _unfair(score.chance, coverage, limits)
            if problem and isinstance(cases, Case):
                raise ValueError(f"{where(case, index)}: {problem}")
            scores.append(replace(score, value=None, unscorable=problem) if problem else score)
        judged = Judged("mass_inside", population, scores, limits, isinstance(cases, Case), "mass inside")
        finding = judged.finding(Rule(mostly, confidence, min_n, by), self._page)
        finding = _with_null(finding, maps, population, given)
        return self._with_cases(finding, judged, maps, given, "inside", aim)

    @audited
    def assert_avoids(
        self,
        cases: Case | Sequence[Case],
        *,
        at_most: float = 0.1,
        region: Region | Sequence[Region] | None = None,
        target: Target = None,
        method: str | MethodFunction = "grad-cam",
        layer: str | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
        by: Literal["label", "group"] | None = None,
    ) -> Finding:
        """The share of the heatmap's mass in the forbidden region is at most `at_most`.

        `region` stands for the cases' own forbidden regions. A case whose heatmap is empty is unscorable and
        counts as not passed: a map that shows nothing avoids nothing.
        """
        population = as_population(cases)
        limits = as_limits(("mass in the forbidden region", at_most, "at_most", "at_most"))
        given = _given_regions(region)
        for index, case in enumerate(population):
            if not (case.forbidden_regions if given is None else given):
                raise ValueError(
                    f"{where(case, index)} has no forbidden region: give the Case one as forbidden=, "
                    "or hand one over as region="
                )
        maps, aim = self._explain(population, target, method, layer)
        _check_given(given, maps, population)
        scores = [
            _mass(maps, index, _coverage(maps, index, given or case.forbidden_regions), at_most)
            for index, case in enumerate(population)
        ]
        name = "mass in the forbidden region"
        judged = Judged("avoids", population, scores, limits, isinstance(cases, Case), name)
        finding = judged.finding(Rule(mostly, confidence, min_n, by), self._page)
        return self._with_cases(finding, judged, maps, given, "forbidden", aim)


def _given_regions(region: Region | Sequence[Region] | None) -> tuple[Region, ...] | None:
    if region is None:
        return None
    given = (region,) if isinstance(region, (Box, Mask)) else tuple(region) if isinstance(region, Sequence) else ()
    if not given or not all(isinstance(one, (Box, Mask)) for one in given):
        raise TypeError(f"region must be a Box, a Mask or a sequence of these, not {region!r}")
    return given


def _check_given(given: Sequence[Region] | None, maps: Heatmaps, cases: Sequence[Case]) -> None:
    """The cases' own regions were checked when their pictures were read; these stand for them in every picture."""
    for index, (case, geometry) in enumerate(zip(cases, maps.geometries, strict=True)):
        for one in given or ():
            check_region(one, geometry.source_width, geometry.source_height, f"{where(case, index)}: region")


def _mass(maps: Heatmaps, index: int, coverage: Any, at_most: float | None = None) -> Score:
    """Mass of one map in a region, with its chance level, and a note where the grid is too coarse for the region."""
    if not coverage.any():
        return Score(None, None, "the region was lost in preprocessing")
    chance = float(metrics.chance(coverage))
    if maps.empty[index]:
        negative = maps.negative_share[index]
        return Score(
            None,
            chance,
            "no positive evidence for this class at this layer (empty heatmap, "
            f"{negative:.0%} of the evidence is negative)",
        )
    ceiling, note = float(metrics.ceiling(coverage)), ""
    if ceiling < 1 - ROUNDING:
        note = f"the region fills no grid cell: no map can reach more than {ceiling:.3f}"
        note += ", so this can't fail" if at_most is not None and ceiling <= at_most else ""
    return Score(float(metrics.mass_inside(maps.maps[index], coverage)), chance, note=note)


def _unfair(chance: float | None, coverage: Any, limits: Sequence[Threshold]) -> str:
    """Why a case that can't fail or can't pass is no test; empty where it is one."""
    if chance is None:
        return ""
    if chance > LARGEST_ALLOWED_REGION * (1 + ROUNDING):
        return (
            f"the region covers {chance:.0%} of the picture, more than {LARGEST_ALLOWED_REGION:.0%}: "
            "almost any map would pass, so give a smaller region"
        )
    ceiling, (height, width) = float(metrics.ceiling(coverage)), coverage.shape
    for limit in limits:
        if demanded(limit, chance) > ceiling * (1 + ROUNDING):
            argument = "excess_at_least" if limit.name == EXCESS else "at_least"
            return (
                f"{argument} is {limit.value:g}, but no map on this {height} × {width} grid can reach more than "
                f"{ceiling:.3f} for this region: demand less, or explain a layer with a finer grid"
            )
    return ""


def _coverage(maps: Heatmaps, index: int, regions: Sequence[Region]) -> Any:
    return maps.geometries[index].coverage(regions, (maps.signed.shape[1], maps.signed.shape[2]))


def _with_null(finding: Finding, maps: Heatmaps, cases: Sequence[Case], given: Sequence[Region] | None) -> Finding:
    """Adds the controls of a population: heatmap i in region j, and a map that is a blob in the middle."""
    usable = [index for index in range(len(cases)) if finding.cases[index].value is not None]
    if len(usable) < 2 or finding.outcome == "passed":
        return finding
    coverages = np.stack([_coverage(maps, index, given or cases[index].regions) for index in usable])
    centre = metrics.centre_prior((maps.signed.shape[1], maps.signed.shape[2]))
    prior = float(np.mean(metrics.mass_inside(np.broadcast_to(centre, coverages.shape), coverages)))
    # One region for all leaves none to shuffle.
    shuffled = None if given else metrics.box_shuffle_null(maps.maps[usable], coverages)
    line = "controls: " + ("" if shuffled is None else f"other cases' regions {shuffled:.3f}, ")
    line += f"a blob in the middle {prior:.3f}"
    head, *rest = finding.message.split("\n  ")
    return replace(finding, message="\n  ".join([head, *rest[:1], line, *rest[1:]][:MOST_LINES]))
