"""Where numbers lie in a drawing, and the marks with their labels.

Horizontal positions are per cent of the drawing's width, so that it fits any screen while its text keeps
its size.

PYTEST_DONT_REWRITE
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_cnnaudit.report.number_text import number, percent, show

INSET = 1.0  # per cent left free at both ends, so that marks at 0 and 1 are not cut


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
class Scale:
    """A linear scale from numbers to per cent."""

    low: float
    high: float

    @classmethod
    def around(cls, numbers: Iterable[object]) -> "Scale":
        """Give 0 to 1 or −1 to 1 where the numbers fit, else a range with a margin."""
        finite = [figure for item in numbers if (figure := number(item)) is not None]
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
            Mark(self.at(tick), percent(tick) if share else f"{tick:.6g}".replace("-", "−")) for tick in self.ticks
        )
        return tuple(mark for mark in marks if all(abs(mark.x - x) > 11 for x in taken))

    def chance_mark(self, chance: float | None, *, share: bool = False) -> Mark | None:
        """Give the labelled chance level."""
        return None if chance is None else Mark(self.at(chance), f"chance {show(chance, share=share)}")
