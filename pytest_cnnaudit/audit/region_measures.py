"""Measures of a heatmap in a region: the mass inside, pointing, overlap, with their chance levels and controls.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.judged_cases import Score, no_evidence
from pytest_cnnaudit.audit.limits import LARGEST_ALLOWED_REGION, ROUNDING
from pytest_cnnaudit.cases import Box, Region
from pytest_cnnaudit.findings import Threshold
from pytest_cnnaudit.metrics.localisation import TIE_TOLERANCE

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps

OTHERS = "other cases' regions"
BLOB = "a blob in the middle"

Cover: TypeAlias = Any
"""What a region covers of the cells of a grid, (h, w): shares, or which cells count."""


@dataclass(frozen=True)
class RegionMeasure:
    """A measure of a heatmap in a region: `cover` is what it takes of the region, `ceiling` the most it can give."""

    quantity: str
    of: Callable[[Any, Cover], Any]
    cover: Callable[[Heatmaps, int, Sequence[Region]], Cover]
    ceiling: Callable[[Cover], float]
    note: Callable[[Heatmaps, int, Sequence[Region], Cover], str] = lambda *_: ""
    covers: str = "the region covers"
    by_centres: bool = False


def coverage_of(maps: Heatmaps, index: int, regions: Sequence[Region]) -> Cover:
    """The share of each cell that the regions cover."""
    return maps.geometries[index].coverage(regions, _grid(maps))


def _grid(maps: Heatmaps) -> tuple[int, int]:
    return (maps.signed.shape[1], maps.signed.shape[2])


def _mass_ceiling(cover: Cover) -> float:
    return float(metrics.ceiling(cover))


MASS = RegionMeasure("mass inside", metrics.mass_inside, coverage_of, _mass_ceiling)


def overlap(threshold: float) -> RegionMeasure:
    """Intersection over union, where a cell counts from this share of the maximum."""

    def iou(heatmaps: Any, cover: Cover) -> Any:
        return metrics.iou(heatmaps, cover, threshold)

    return RegionMeasure("IoU", iou, coverage_of, lambda cover: float(metrics.iou_ceiling(cover)))


def pointing(tolerance: float) -> RegionMeasure:
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
    return RegionMeasure("pointing hit", hit, cover, lambda inside: float(inside.any()), note, covers, True)


def lost_regions(maps: Heatmaps, covers: Sequence[Cover], regions: Sequence[Sequence[Region]]) -> list[bool]:
    """Which regions lie outside the model's input; a small one can lie between the centres of cells."""
    return [
        not cover.any() and not coverage_of(maps, index, regions[index]).any() for index, cover in enumerate(covers)
    ]


def scores_in_regions(
    measure: RegionMeasure, maps: Heatmaps, covers: Sequence[Cover], lost: Sequence[bool]
) -> list[Score]:
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


def _chance(measure: RegionMeasure, maps: Heatmaps, index: int, cover: Cover) -> float:
    """The share of the picture's cells that count: a map of the picture is not expected to look at the padding."""
    geometry, counted = maps.geometries[index], float(np.mean(cover))
    if geometry.seen == 1 or not counted:
        return counted
    picture = Box(0, 0, geometry.source_width, geometry.source_height)
    return counted / float(np.mean(measure.cover(maps, index, [picture])))


def unfair(measure: RegionMeasure, cover: Cover, chance: float, area: float, limits: Sequence[Threshold]) -> str:
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


def controls_of(
    measure: RegionMeasure, maps: Heatmaps, covers: Sequence[Cover], scores: Sequence[Score], one_for_all: bool
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
