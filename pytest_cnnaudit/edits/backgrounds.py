"""The object of an image on another background.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageOps

from pytest_cnnaudit.edits.edited_images import Edit, Subject
from pytest_cnnaudit.edits.pixels import Coverage, Pixels, as_picture, as_pixels, blended, mode_of_both


def on_background(pixels: Pixels, coverage: Coverage, background: Image.Image) -> Pixels:
    """What is covered on another background: its largest centred part of the same proportions, resized."""
    height, width = coverage.shape
    picture, ground = as_picture(pixels), ImageOps.fit(background, (width, height), Image.Resampling.BILINEAR)
    mode = mode_of_both(picture, ground)
    return blended(as_pixels(ground.convert(mode)), as_pixels(picture.convert(mode)), coverage)


@dataclass(frozen=True, eq=False)
class OnBackground:
    """The image's regions on a background; what the page calls it has its `number`."""

    background: Image.Image
    number: int

    @property
    def title(self) -> str:
        """What the page calls it."""
        return f"background {self.number}"

    def __call__(self, subject: Subject) -> Pixels:
        """The edited pixels."""
        return on_background(subject.pixels, subject.coverage, self.background)


def on_backgrounds(backgrounds: Sequence[Image.Image]) -> list[Edit]:
    """The regions on each of the backgrounds."""
    return [OnBackground(one, number) for number, one in enumerate(backgrounds, 1)]
