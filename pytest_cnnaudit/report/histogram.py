"""A histogram: how the values of a population's cases spread.

PYTEST_DONT_REWRITE
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_cnnaudit.report.limits import case_limits
from pytest_cnnaudit.report.number_text import number
from pytest_cnnaudit.report.recorded import Finding
from pytest_cnnaudit.report.scale import INSET, Mark, Scale

BINS = 20


@dataclass(frozen=True)
class Column:
    """One bin of a histogram: heights in per cent of the fullest bin, failed cases below passed ones."""

    x: float
    width: float
    failed: float
    passed: float


@dataclass(frozen=True)
class Histogram:
    """How the cases' values spread around the threshold."""

    columns: tuple[Column, ...]
    limits: tuple[Mark, ...]
    chance: Mark | None
    ticks: tuple[Mark, ...]
    tallest: int


def histogram(finding: Finding) -> Histogram | None:
    """Lay out the case values; None for fewer than five, or where they only say yes or no."""
    scored = [
        (value, case.get("outcome") == "passed")
        for case in finding.get("cases") or ()
        if (value := number(case.get("value"))) is not None
    ]
    if len(scored) < 5 or {value for value, _ in scored} <= {0.0, 1.0}:
        return None
    chance = number(finding.get("chance"))
    limits = case_limits(finding, None)
    scale = Scale.around([*(value for value, _ in scored), *(limit.value for limit in limits)])
    columns, tallest = _columns(scored, scale)
    asked = tuple(Mark(scale.at(limit.value), limit.text()) for limit in limits)
    guess = scale.chance_mark(chance)
    return Histogram(columns, asked, guess, scale.tick_marks((*asked, guess)), tallest)


def _columns(scored: Sequence[tuple[float, bool]], scale: Scale) -> tuple[tuple[Column, ...], int]:
    counts = [[0, 0] for _ in range(BINS)]
    for value, passed in scored:
        share = (value - scale.low) / (scale.high - scale.low)
        counts[min(int(share * BINS), BINS - 1)][passed] += 1
    tallest = max(sum(pair) for pair in counts)
    step = (100 - 2 * INSET) / BINS
    columns = tuple(
        Column(
            x=round(INSET + i * step, 3),
            width=round(0.9 * step, 3),
            failed=round(100 * failed / tallest, 3),
            passed=round(100 * passed / tallest, 3),
        )
        for i, (failed, passed) in enumerate(counts)
    )
    return columns, tallest
