"""Horizontal bars of named values, such as one a layer.

PYTEST_DONT_REWRITE
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_cnnaudit.report.number_text import number, show
from pytest_cnnaudit.report.scale import Scale


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
    values = [number(row.get("value")) for row in rows]
    scale = Scale.around([0.0, *values])
    drawn = []
    for row, value in zip(rows, values, strict=True):
        low, high = sorted((0.0, value or 0.0))
        span = scale.span(low, high)
        name = str(row.get("layer") or row.get("name") or "")
        drawn.append(Bar(name, show(value), str(row.get("note") or ""), span.x, span.width))
    return drawn
