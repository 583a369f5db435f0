"""Comparisons of heatmaps, case by case: what can be compared, how alike two are, and what the page shows of it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit import case_evidence
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.judged_cases import Score, no_evidence
from pytest_cnnaudit.audit.limits import holds
from pytest_cnnaudit.cases import Sample
from pytest_cnnaudit.edits import TransformedImage
from pytest_cnnaudit.findings import Threshold, View

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps

Floats: TypeAlias = npt.NDArray[np.floating[Any]]

CORRELATION = "rank correlation"


def unranked(maps: Heatmaps, index: int) -> str:
    """Why nothing can be compared with a case's heatmap; empty where it can."""
    if maps.empty[index]:
        return no_evidence(maps.negative_share[index])
    if metrics.is_constant(maps.maps[index]):
        return "the heatmap is the same in all cells: there is nothing to compare"
    return ""


def correlation(maps: Heatmaps, index: int, second: Floats, chance: float | None, whose: str) -> Score:
    """Of a case's heatmap with a second one, unless one of them says nothing of places."""
    problem = unranked(maps, index)
    if not problem and metrics.is_constant(second):
        problem = f"{'the same evidence everywhere' if second.any() else 'no positive evidence'} {whose}"
    return Score(None, chance, problem) if problem else Score(ranked(maps.maps[index], second), chance)


def ranked(first: Floats, second: Floats) -> float:
    """The rank correlation of two maps, 0 where one of them is the same in all cells."""
    return float(metrics.rank_correlation(first, second, constant=0.0))


def noted(value: float, note: str, limit: Threshold, single: bool, chance: float = 0.0) -> Score:
    """A score with its details where these are looked at."""
    return Score(value, chance, note=note if single or not holds(value, limit) else "")


def map_view(
    context: Context,
    title: str,
    case: Sample | TransformedImage,
    maps: Heatmaps,
    index: int,
    score: Score | None = None,
) -> View:
    """A case's picture with a second heatmap over it."""
    value = "" if score is None or score.value is None else f"{CORRELATION} with the first {score.value:.2f}"
    note = "no positive evidence" if maps.empty[index] else value
    image = case_evidence.further_case(case, embed=context.embeds)
    return View(title, picture=image, heatmap=case_evidence.heatmap(maps, index), note=note)
