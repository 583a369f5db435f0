"""What a page shows for a finding: cases with their images and heatmaps, bars, images, texts.

What is optional is left out of the JSON where it is None.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["inside", "forbidden"]

_OPTIONAL = {"optional": True}


@dataclass(frozen=True)
class ShownImage:
    """An image as a data URL, None where it is kept out of the page; its size in pixels of the original."""

    src: str | None
    width: int
    height: int
    caption: str | None = field(default=None, metadata=_OPTIONAL)


@dataclass(frozen=True)
class ShownRegion:
    """A region in pixels of the original: a box (left, top, right, bottom), or a mask as a data URL."""

    role: Role
    box: tuple[float, float, float, float] | None = field(default=None, metadata=_OPTIONAL)
    mask: str | None = field(default=None, metadata=_OPTIONAL)


@dataclass(frozen=True)
class ShownHeatmap:
    """A heatmap on its own grid, 8 bits a cell in base64, and where the grid lies in pixels of the original."""

    height: int
    width: int
    values: str
    frame: tuple[float, float, float, float]


@dataclass(frozen=True)
class ClassProbability:
    """One of the most probable classes."""

    name: str
    probability: float


@dataclass(frozen=True)
class Curve:
    """A line of a chart: points (across, up)."""

    name: str
    note: str
    points: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Curves:
    """A chart of lines, and what its axes show."""

    across: str
    up: str
    lines: tuple[Curve, ...]


@dataclass(frozen=True)
class View:
    """A further view of a case: an edited image, another heatmap, or a chart."""

    title: str
    picture: ShownImage | None = field(default=None, metadata=_OPTIONAL)
    heatmap: ShownHeatmap | None = field(default=None, metadata=_OPTIONAL)
    predictions: tuple[ClassProbability, ...] | None = field(default=None, metadata=_OPTIONAL)
    note: str | None = field(default=None, metadata=_OPTIONAL)
    chart: Curves | None = field(default=None, metadata=_OPTIONAL)


@dataclass(frozen=True)
class CaseEvidence:
    """A case: its image, regions, heatmap (None: none, or an empty one), most probable classes, further views."""

    kind: Literal["case"] = field(default="case", init=False)
    id: str
    value: float | None
    outcome: str
    note: str
    label: str | None
    target: str | None
    chance: float | None
    picture: ShownImage
    regions: tuple[ShownRegion, ...]
    heatmap: ShownHeatmap | None
    predictions: tuple[ClassProbability, ...]
    views: tuple[View, ...]


@dataclass(frozen=True)
class LayerBar:
    """A layer's value in a bar chart."""

    layer: str
    value: float
    note: str = ""


@dataclass(frozen=True)
class PartBar:
    """The value of a class or group in a bar chart."""

    name: str
    value: float
    note: str = ""


@dataclass(frozen=True)
class BarChart:
    """Values of layers, classes or groups as bars; `unit` says what they are."""

    kind: Literal["layers"] = field(default="layers", init=False)
    title: str
    unit: str
    rows: tuple[LayerBar, ...] | tuple[PartBar, ...]


@dataclass(frozen=True)
class ImageEvidence:
    """An image on its own."""

    kind: Literal["picture"] = field(default="picture", init=False)
    title: str
    picture: ShownImage


@dataclass(frozen=True)
class TextEvidence:
    """A text on its own."""

    kind: Literal["text"] = field(default="text", init=False)
    title: str
    text: str


Evidence: TypeAlias = CaseEvidence | BarChart | ImageEvidence | TextEvidence
