"""A case's image with its regions and heatmap: what lies where, in pixels of the upright original.

PYTEST_DONT_REWRITE
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_cnnaudit.report.number_text import number

IMAGE_TYPES = ("data:image/jpeg;", "data:image/png;", "data:image/webp;")


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
    width, height = (number(picture.get(key)) for key in ("width", "height"))
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
