"""Where marks go in the report's drawings: number lines, bars and pictures with regions.

Horizontal positions are per cent of the drawing's width, so that it fits any screen while its text keeps
its size.

PYTEST_DONT_REWRITE
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_cnnaudit.report import words

INSET = 1.0  # per cent left free at both ends, so that marks at 0 and 1 are not cut
BINS = 20
IMAGE_TYPES = ("data:image/jpeg;", "data:image/png;", "data:image/webp;")


@dataclass(frozen=True)
class Mark:
    """A labelled position; `anchor` keeps the label inside the drawing."""

    x: float
    text: str

    @property
    def anchor(self) -> str:
        """SVG `text-anchor`."""
        return "start" if self.x < 20 else "end" if self.x > 80 else "middle"

    @property
    def edge(self) -> str:
        """SVG `text-anchor` of a short label, which only the very ends could cut."""
        return "start" if self.x < 4 else "end" if self.x > 96 else "middle"


@dataclass(frozen=True)
class Span:
    """A stretch of the line."""

    x: float
    width: float


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


@dataclass(frozen=True)
class Scale:
    """A linear scale from numbers to per cent."""

    low: float
    high: float

    @classmethod
    def around(cls, numbers: Iterable[object]) -> "Scale":
        """Give 0 to 1 or −1 to 1 where the numbers fit, else a range with a margin."""
        finite = [figure for item in numbers if (figure := words.number(item)) is not None]
        for low, high in ((0.0, 1.0), (-1.0, 1.0)):
            if all(low <= figure <= high for figure in finite):
                return cls(low, high)
        low, high = min(0.0, *finite), max(0.0, *finite)
        margin = 0.08 * (high - low)
        return cls(low - margin if low < 0 else low, high + margin if high > 0 else high)

    def at(self, value: float) -> float:
        """Give the position of a number in per cent."""
        share = (value - self.low) / (self.high - self.low)
        return round(INSET + (100 - 2 * INSET) * min(max(share, 0.0), 1.0), 3)

    def span(self, low: float, high: float) -> Span:
        """Give the stretch between two numbers."""
        return Span(self.at(low), round(self.at(high) - self.at(low), 3))

    @property
    def ticks(self) -> list[float]:
        """Give about four round numbers."""
        raw = (self.high - self.low) / 4
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [step * i for i in range(first, last + 1)]

    def tick_marks(self, others: Iterable[Mark | None], *, share: bool = False) -> tuple[Mark, ...]:
        """Give the ticks with their labels, those left out that other marks would strike through."""
        taken = [mark.x for mark in others if mark is not None]
        marks = (
            Mark(self.at(tick), words.percent(tick) if share else f"{tick:.6g}".replace("-", "−"))
            for tick in self.ticks
        )
        return tuple(mark for mark in marks if all(abs(mark.x - x) > 11 for x in taken))

    def chance_mark(self, chance: float | None, *, share: bool = False) -> Mark | None:
        """Give the labelled chance level."""
        return None if chance is None else Mark(self.at(chance), f"chance {words.show(chance, share=share)}")


def number_line(
    value: object,
    limits: Sequence[words.Limit] = (),
    *,
    chance: object = None,
    interval: Sequence[object] | None = None,
    passes: bool = False,
    share: bool = False,
) -> NumberLine | None:
    """Lay out a value with what it is judged by, a `share` in per cent; None where there is no value."""
    figure, luck = words.number(value), words.number(chance)
    if figure is None:
        return None
    low, high = map(words.number, interval or (None, None))
    scale = Scale.around([figure, luck, low, high, *(limit.value for limit in limits)])
    measured = Mark(scale.at(figure), words.show(figure, words.nearest(limits, figure), share=share))
    asked = tuple(Mark(scale.at(limit.value), limit.text(figure, share=share)) for limit in limits)
    guess = scale.chance_mark(luck, share=share)
    texts = [f"measured {measured.text}", *(mark.text for mark in (*asked, guess) if mark)]
    return NumberLine(
        value=measured,
        limits=asked,
        chance=guess,
        interval=None if low is None or high is None else scale.span(low, high),
        zone=_zone(scale, limits),
        ticks=scale.tick_marks((*asked, guess), share=share),
        passes=passes,
        description=", ".join(texts),
    )


def _zone(scale: Scale, limits: Sequence[words.Limit]) -> Span | None:
    """Give where a value keeps to all limits; None where there are none or nothing could."""
    low = max((limit.value for limit in limits if limit.direction != "at_most"), default=scale.low)
    high = min((limit.value for limit in limits if limit.direction == "at_most"), default=scale.high)
    return scale.span(low, high) if limits and low <= high else None


def finding_line(finding: Mapping[str, Any]) -> NumberLine | None:
    """Lay out a finding's value; chance is left out where it is that of single pictures, not of their share."""
    share = words.judges_cases(finding)
    own_chance = not share or words.explanation(finding).yes_no
    return number_line(
        finding.get("value"),
        words.limits(finding),
        chance=finding.get("chance") if own_chance else None,
        interval=finding.get("interval"),
        passes=finding.get("outcome") == "passed",
        share=share,
    )


def case_line(finding: Mapping[str, Any], case: Mapping[str, Any]) -> NumberLine | None:
    """Lay out one picture's value; None where it only says yes or no."""
    if words.explanation(finding).yes_no:
        return None
    return number_line(
        case.get("value"),
        words.case_limits(finding, case.get("chance")),
        chance=case.get("chance"),
        passes=case.get("outcome") == "passed",
    )


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


def histogram(finding: Mapping[str, Any]) -> Histogram | None:
    """Lay out the case values; None for fewer than five, or where they only say yes or no."""
    scored = [
        (value, case.get("outcome") == "passed")
        for case in finding.get("cases") or ()
        if (value := words.number(case.get("value"))) is not None
    ]
    if len(scored) < 5 or {value for value, _ in scored} <= {0.0, 1.0}:
        return None
    chance = words.number(finding.get("chance"))
    limits = words.case_limits(finding, None)
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


@dataclass(frozen=True)
class Bar:
    """One row of a bar chart; `x` and `width` in per cent."""

    name: str
    value: str
    note: str
    x: float
    width: float


def bars(rows: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """Lay out named values as bars from zero on one common scale."""
    values = [words.number(row.get("value")) for row in rows]
    scale = Scale.around([0.0, *values])
    drawn = []
    for row, value in zip(rows, values, strict=True):
        low, high = sorted((0.0, value or 0.0))
        span = scale.span(low, high)
        name = str(row.get("layer") or row.get("name") or "")
        drawn.append(Bar(name, words.show(value), str(row.get("note") or ""), span.x, span.width))
    return drawn


@dataclass(frozen=True)
class Region:
    """A region to outline, as box or mask, in pixels of the original picture."""

    role: str
    box: tuple[float, float, float, float] | None
    mask: str | None
    label_x: float
    label_y: float
    label_anchor: str = "start"

    @property
    def label(self) -> str:
        """The words written beside the outline."""
        return "forbidden" if self.role == "forbidden" else "allowed"


@dataclass(frozen=True)
class Stage:
    """A picture with its regions and heatmap, in pixels of the upright original.

    `view` is what is shown (left, top, width, height): the picture and the frame the model saw, which padding
    makes larger and cropping makes smaller than the picture.
    """

    src: str | None
    width: float
    height: float
    view: tuple[float, float, float, float]
    frame: tuple[float, float, float, float]
    regions: tuple[Region, ...]
    heatmap: Mapping[str, Any] | None

    @property
    def letter(self) -> float:
        """Font size for labels, in picture pixels."""
        return round(0.05 * max(self.view[2], self.view[3]), 3)

    @property
    def cropped(self) -> bool:
        """Whether the model did not see all of the picture."""
        left, top, right, bottom = self.frame
        return left > 0.5 or top > 0.5 or right < self.width - 0.5 or bottom < self.height - 0.5

    @property
    def canvas(self) -> list[float]:
        """The heatmap's place in the view: left, top, width, height as shares of the view."""
        (x, y, width, height), (left, top, right, bottom) = self.view, self.frame
        return [(left - x) / width, (top - y) / height, (right - left) / width, (bottom - top) / height]


def data_image(src: object) -> str | None:
    """Give an embedded picture's address, None for anything that is not one."""
    return src if isinstance(src, str) and src.startswith(IMAGE_TYPES) else None


def stage(case: Mapping[str, Any]) -> Stage | None:
    """Lay out a case's picture; None where there is neither a picture's size nor a heatmap."""
    picture, heatmap = case.get("picture") or {}, case.get("heatmap")
    width, height = (words.number(picture.get(key)) for key in ("width", "height"))
    if not width or not height:
        return None
    whole = (0.0, 0.0, width, height)
    frame = tuple(float(edge) for edge in heatmap["frame"]) if heatmap else whole
    left, top = min(0.0, frame[0]), min(0.0, frame[1])
    view = (left, top, max(width, frame[2]) - left, max(height, frame[3]) - top)
    return Stage(
        src=data_image(picture.get("src")),
        width=width,
        height=height,
        view=view,
        frame=(frame[0], frame[1], frame[2], frame[3]),
        regions=tuple(_region(item, view) for item in case.get("regions") or ()),
        heatmap=heatmap,
    )


def _region(item: Mapping[str, Any], view: tuple[float, float, float, float]) -> Region:
    role, letter = str(item.get("role") or "inside"), 0.05 * max(view[2], view[3])
    if item.get("box") is None:
        return Region(role, None, data_image(item.get("mask")), 0.0, 0.0)
    left, top, right, bottom = (float(edge) for edge in item["box"])
    above, below, within = top - 0.4 * letter, bottom + 1.15 * letter, top + 1.15 * letter
    label_y = above if above - 0.8 * letter > view[1] else below if below < view[1] + view[3] else within
    box, edge = (left, top, right, bottom), view[0] + view[2]
    if max(left, view[0]) + 6 * letter > edge:  # about the width of the longer label
        return Region(role, box, None, min(right, edge) - 0.2 * letter, label_y, "end")
    return Region(role, box, None, max(left, view[0]) + 0.2 * letter, label_y)
