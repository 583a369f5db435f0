"""Where the lines of a chart go: shares of 0 to 1 across and up, drawn at any width.

Across is per cent of the drawing's width, down is pixels, as in the other drawings: text and marks keep their size.

PYTEST_DONT_REWRITE
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pytest_cnnaudit.report.number_text import number, percent
from pytest_cnnaudit.report.scale import Mark

LEFT, RIGHT = 9.0, 2.0  # per cent left free: for the labels of the vertical axis, and so that marks are not cut
TOP, HEIGHT = 10.0, 170.0  # pixels
STYLES = 4  # lines that the style sheet tells apart, by dashes and marks as well as by colour
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
TABLED = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One line: its points in the drawing, and its values at the shares of the chart's table."""

    name: str
    note: str
    points: tuple[Point, ...]
    values: tuple[str, ...]

    @property
    def path(self) -> str:
        """SVG `points`."""
        return " ".join(f"{x:g},{y:g}" for x, y in self.points)

    @property
    def description(self) -> str:
        """In a sentence, for those who don't see it."""
        told = ", ".join(f"{value} at {percent(share)}" for share, value in zip(TABLED, self.values, strict=True))
        return f"{self.name}: {told}"


@dataclass(frozen=True)
class Chart:
    """Lines on common axes; `across` and `up` say what of."""

    across: str
    up: str
    lines: tuple[Line, ...]

    @property
    def columns(self) -> tuple[Mark, ...]:
        """The ticks of the horizontal axis."""
        return tuple(Mark(_across(tick), percent(tick)) for tick in TICKS)

    @property
    def rows(self) -> tuple[Mark, ...]:
        """The ticks of the vertical axis, `x` in pixels from the top."""
        return tuple(Mark(_down(tick), f"{tick:g}") for tick in (0.0, 0.5, 1.0))

    @property
    def table(self) -> list[tuple[str, list[str]]]:
        """A share across with each line's value there."""
        return [(percent(share), [line.values[at] for line in self.lines]) for at, share in enumerate(TABLED)]

    @property
    def description(self) -> str:
        """All of it in"""
        return f"{self.up} over the {self.across}. " + "; ".join(line.description for line in self.lines)


def chart(given: Mapping[str, Any] | None) -> Chart | None:
    """Lay out a chart of up to four lines; None where there is none to draw."""
    lines = tuple(filter(None, map(_line, (given or {}).get("lines") or ())))[:STYLES]
    if not given or not lines:
        return None
    return Chart(str(given.get("across") or ""), str(given.get("up") or ""), lines)


def _line(given: Mapping[str, Any]) -> Line | None:
    pairs = [(number(x), number(y)) for x, y in given.get("points") or ()]
    found = [(x, y) for x, y in pairs if x is not None and y is not None]
    if not found:
        return None
    points = tuple((_across(x), _down(y)) for x, y in found)
    values = tuple(f"{_between(found, share):.3f}" for share in TABLED)
    return Line(str(given.get("name") or ""), str(given.get("note") or ""), points, values)


def _between(points: Sequence[Point], x: float) -> float:
    """On the straight line between the two points around x."""
    for (left, low), (right, high) in pairwise(points):
        if left <= x <= right:
            return high if right == left else low + (high - low) * (x - left) / (right - left)
    return points[0][1] if x < points[0][0] else points[-1][1]


def _across(share: float) -> float:
    return round(LEFT + (100 - LEFT - RIGHT) * min(max(share, 0.0), 1.0), 3)


def _down(share: float) -> float:
    return round(TOP + HEIGHT * (1 - min(max(share, 0.0), 1.0)), 3)
