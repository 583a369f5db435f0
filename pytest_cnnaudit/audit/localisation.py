"""Assertions on where the model looks.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.base import Base, Region, Target, audited
from pytest_cnnaudit.audit.judging import MOST_LINES, Judged, Score, as_limits
from pytest_cnnaudit.cases import Box, Case, Mask
from pytest_cnnaudit.engine import Heatmaps
from pytest_cnnaudit.engine.heatmaps import Method
from pytest_cnnaudit.record import Finding

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
        method: str | Method = "grad-cam",
        layer: str | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
    ) -> Finding:
        """The share of the heatmap's mass inside the region is at least `at_least`, and clearly above chance.

        The energy-based pointing game (Wang 2020, arXiv:1910.01279 §4.3). `excess_at_least` demands
        (m − a) / (1 − a) for a region of area share a, which a large region can't give away; None drops a
        limit. `region` stands for the cases' own. A case whose heatmap is empty, or whose region was lost
        in preprocessing, is unscorable and counts as not passed.
        """
        population = self._population(cases)
        limits = as_limits(
            ("mass inside", at_least, "at_least", "at_least"),
            ("excess", excess_at_least, "at_least", "excess_at_least"),
        )
        maps, aim = self._explain(population, target, method, layer)
        given = _given_regions(region)
        scores = []
        for index, case in enumerate(population):
            inside = case.regions if given is None else given
            if not inside:
                raise ValueError(f"{case.where} has no region: give the Case one, or hand one over as region=")
            score = _mass(maps, index, inside)
            scores.append(_too_easy(score, maps, index, inside, at_least, single=isinstance(cases, Case)))

        def passes(score: Score) -> bool:
            mass, chance = score.value or 0.0, score.chance or 0.0
            enough = at_least is None or mass >= at_least
            return enough and (excess_at_least is None or float(metrics.excess(mass, chance)) >= excess_at_least)

        judged = Judged("mass_inside", population, scores, passes, limits, isinstance(cases, Case), "mass inside")
        finding = judged.finding(mostly, confidence, min_n, self._page)
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
        method: str | Method = "grad-cam",
        layer: str | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
    ) -> Finding:
        """The share of the heatmap's mass in the forbidden region is at most `at_most`.

        `region` stands for the cases' own forbidden regions. A case whose heatmap is empty is unscorable and
        counts as not passed: a map that shows nothing avoids nothing.
        """
        population = self._population(cases)
        limits = as_limits(("mass in the forbidden region", at_most, "at_most", "at_most"))
        maps, aim = self._explain(population, target, method, layer)
        given = _given_regions(region)
        scores = []
        for index, case in enumerate(population):
            forbidden = case.forbidden_regions if given is None else given
            if not forbidden:
                raise ValueError(
                    f"{case.where} has no forbidden region: give the Case one as forbidden=, "
                    "or hand one over as region="
                )
            scores.append(_mass(maps, index, forbidden))

        def passes(score: Score) -> bool:
            return score.value is not None and score.value <= at_most

        name = "mass in the forbidden region"
        judged = Judged("avoids", population, scores, passes, limits, isinstance(cases, Case), name)
        finding = judged.finding(mostly, confidence, min_n, self._page)
        return self._with_cases(finding, judged, maps, given, "forbidden", aim)


def _given_regions(region: Region | Sequence[Region] | None) -> tuple[Region, ...] | None:
    if region is None:
        return None
    given = (region,) if isinstance(region, (Box, Mask)) else tuple(region)
    if not given or not all(isinstance(one, (Box, Mask)) for one in given):
        raise TypeError(f"region must be a Box, a Mask or a sequence of these, not {region!r}")
    return given


def _mass(maps: Heatmaps, index: int, regions: Sequence[Region]) -> Score:
    """Mass of one map in the union of regions, with its chance level."""
    coverage = _coverage(maps, index, regions)
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
    return Score(float(metrics.mass_inside(maps.maps[index], coverage)), chance)


def _too_easy(
    score: Score,
    maps: Heatmaps,
    index: int,
    regions: Sequence[Region],
    at_least: float | None,
    *,
    single: bool,
) -> Score:
    """A case that can't fail or can't pass is no test: an error for a single case, else unscorable."""
    if score.chance is None:
        return score
    ceiling = float(metrics.ceiling(_coverage(maps, index, regions)))
    problem = ""
    if score.chance > LARGEST_ALLOWED_REGION:
        problem = f"the region covers {score.chance:.0%} of the picture, more than {LARGEST_ALLOWED_REGION:.0%}"
    elif at_least is not None and at_least > ceiling + 1e-9:
        problem = f"at_least is {at_least:g}, but no map on this grid can reach more than {ceiling:.3f} for this region"
    if problem and single:
        raise ValueError(problem[0].upper() + problem[1:])
    if problem:
        return replace(score, value=None, unscorable=problem)
    return (
        replace(score, note=f"the region fills no grid cell: no map can reach more than {ceiling:.3f}")
        if ceiling < 1 - 1e-9
        else score
    )


def _coverage(maps: Heatmaps, index: int, regions: Sequence[Region]) -> Any:
    return maps.geometries[index].coverage(regions, (maps.signed.shape[1], maps.signed.shape[2]))


def _with_null(finding: Finding, maps: Heatmaps, cases: Sequence[Case], given: Sequence[Region] | None) -> Finding:
    """Adds the controls of a population: heatmap i in region j, and a map that is a blob in the middle."""
    usable = [index for index in range(len(cases)) if finding.cases[index].value is not None]
    if len(usable) < 2 or finding.outcome == "passed":
        return finding
    coverages = np.stack([_coverage(maps, index, given or cases[index].regions) for index in usable])
    shuffled = metrics.box_shuffle_null(maps.maps[usable], coverages)
    centre = metrics.centre_prior((maps.signed.shape[1], maps.signed.shape[2]))
    prior = float(np.mean(metrics.mass_inside(np.broadcast_to(centre, coverages.shape), coverages)))
    line = f"controls: other cases' regions {shuffled:.3f}, a blob in the middle {prior:.3f}"
    head, *rest = finding.message.split("\n  ")
    return replace(finding, message="\n  ".join([head, *rest[:1], line, *rest[1:]][:MOST_LINES]))
