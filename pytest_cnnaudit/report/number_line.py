"""A number line: a value between its limits, with chance and interval.

PYTEST_DONT_REWRITE
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_cnnaudit.report.limits import Limit, case_limits, limits, nearest
from pytest_cnnaudit.report.number_text import number, show
from pytest_cnnaudit.report.recorded import Finding, is_share, texts
from pytest_cnnaudit.report.scale import Mark, Scale, Span


@dataclass(frozen=True)
class NumberLine:
    """A value between its limits, chance level and interval; `zone` is where it would pass."""

    value: Mark
    limits: tuple[Mark, ...]
    chance: Mark | None
    interval: Span | None
    zone: Span | None
    ticks: tuple[Mark, ...]
    passes: bool
    description: str


def number_line(
    value: object,
    required: Sequence[Limit] = (),
    *,
    chance: object = None,
    interval: Sequence[object] | None = None,
    passes: bool = False,
    share: bool = False,
) -> NumberLine | None:
    """Lay out a value with what it is judged by, a `share` in per cent; None where there is no value."""
    figure, luck = number(value), number(chance)
    if figure is None:
        return None
    low, high = map(number, interval or (None, None))
    scale = Scale.around([figure, luck, low, high, *(limit.value for limit in required)])
    measured = Mark(scale.at(figure), show(figure, nearest(required, figure), share=share))
    compared = tuple(Mark(scale.at(limit.value), limit.text(figure, share=share)) for limit in required)
    guess = scale.chance_mark(luck, share=share)
    said = [f"measured {measured.text}", *(mark.text for mark in (*compared, guess) if mark)]
    return NumberLine(
        value=measured,
        limits=compared,
        chance=guess,
        interval=None if low is None or high is None else scale.span(low, high),
        zone=_zone(scale, required),
        ticks=scale.tick_marks((*compared, guess), share=share),
        passes=passes,
        description=", ".join(said),
    )


def _zone(scale: Scale, required: Sequence[Limit]) -> Span | None:
    """Give where a value keeps to all limits; None where there are none or nothing could."""
    low = max((limit.value for limit in required if limit.direction != "at_most"), default=scale.low)
    high = min((limit.value for limit in required if limit.direction == "at_most"), default=scale.high)
    return scale.span(low, high) if required and low <= high else None


def finding_line(finding: Finding) -> NumberLine | None:
    """Lay out a finding's value; chance is left out where it is that of single pictures, not of their share."""
    share = is_share(finding)
    own_chance = not share or texts(finding).yes_no
    return number_line(
        finding.get("value"),
        limits(finding),
        chance=finding.get("chance") if own_chance else None,
        interval=finding.get("interval"),
        passes=finding.get("outcome") == "passed",
        share=share,
    )


def case_line(finding: Finding, case: Mapping[str, Any]) -> NumberLine | None:
    """Lay out one picture's value; None where it only says yes or no."""
    if texts(finding).yes_no:
        return None
    return number_line(
        case.get("value"),
        case_limits(finding, case.get("chance")),
        chance=case.get("chance"),
        passes=case.get("outcome") == "passed",
    )
