"""A patch pasted over an image: at a named place, or into a box.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from PIL import Image

from pytest_cnnaudit.cases import Box
from pytest_cnnaudit.edits.edited_images import Edit, Original, Subject
from pytest_cnnaudit.edits.pixels import Pixels, as_picture, as_pixels, mode_of_both

Corner: TypeAlias = Literal["top-left", "top-right", "bottom-left", "bottom-right"]
Spot: TypeAlias = Corner | Literal["center", "random"]
Place: TypeAlias = Spot | Literal["corners"] | Box

CORNERS: tuple[Corner, ...] = get_args(Corner)


def pasted(pixels: Pixels, patch: Image.Image, left: int, top: int) -> Pixels:
    """The patch, in any mode, at (left, top), by its own transparency; what would be beyond the picture is cut off."""
    picture = as_picture(pixels)
    layer = Image.new("RGBA", picture.size)
    layer.paste(patch.convert("RGBA"), (left, top))
    return as_pixels(Image.alpha_composite(picture.convert("RGBA"), layer).convert(mode_of_both(picture, patch)))


def pasted_into(pixels: Pixels, patch: Image.Image, box: Box) -> Pixels:
    """The patch resized to all pixels that the box touches; what would be beyond the picture is cut off."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = math.floor(box.left), math.floor(box.top), math.ceil(box.right), math.ceil(box.bottom)
    seen_left, seen_top, seen_right, seen_bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    # Only what is seen of the patch is resized: a box may be many times as large as the picture.
    part = (
        (seen_left - left) * patch.width / (right - left),
        (seen_top - top) * patch.height / (bottom - top),
        (seen_right - left) * patch.width / (right - left),
        (seen_bottom - top) * patch.height / (bottom - top),
    )
    size = (seen_right - seen_left, seen_bottom - seen_top)
    return pasted(pixels, patch.resize(size, Image.Resampling.LANCZOS, box=part), seen_left, seen_top)


@dataclass(frozen=True, eq=False)
class InBox:
    """The patch resized to all pixels that a box touches."""

    patch: Image.Image
    box: Box
    title: str = "with the patch"

    def __call__(self, subject: Subject) -> Pixels:
        """The edited pixels."""
        return pasted_into(subject.pixels, self.patch, self.box)


@dataclass(frozen=True, eq=False)
class Patch:
    """An image to paste, pixel for pixel, or with its longer side `share` times the shorter one of what is under it."""

    image: Image.Image
    share: float | None = None

    def size(self, original: Original) -> tuple[int, int]:
        """Width and height on an image."""
        if self.share is None:
            return self.image.size
        geometry = original.geometry
        scale = self.share * min(geometry.source_height, geometry.source_width) / max(self.image.size)
        width, height = (max(1, round(side * scale)) for side in self.image.size)
        return width, height

    def resized(self, subject: Subject) -> Image.Image:
        """As it is pasted on an image."""
        if self.share is None:
            return self.image
        size = self.size(subject.original)
        return subject.shared(self, lambda: self.image.resize(size, Image.Resampling.LANCZOS))

    def check(self, original: Original) -> None:
        """`ValueError` where it is larger than what is seen of the image."""
        (width, height), (left, top, right, bottom) = self.size(original), original.window
        if width > right - left or height > bottom - top:
            raise ValueError(
                f"{original.name}: patch is {width} × {height} pixels, larger than the {right - left} × {bottom - top} "
                "that the model sees of the picture: give size=, its longer side as a share of the picture's shorter "
                "one"
            )


@dataclass(frozen=True, eq=False)
class AtSpot:
    """The patch at a named spot of what the model sees of the image."""

    patch: Patch
    spot: Spot

    @property
    def title(self) -> str:
        """What the page calls it."""
        return f"patch {self.spot}"

    def __call__(self, subject: Subject) -> Pixels:
        """The edited pixels."""
        return pasted(subject.pixels, self.patch.resized(subject), *self._corner(subject))

    def _corner(self, subject: Subject) -> tuple[int, int]:
        """Left and top."""
        (width, height), (left, top, right, bottom) = self.patch.size(subject.original), subject.original.window
        spare_x, spare_y = right - left - width, bottom - top - height
        if self.spot == "center":
            return left + spare_x // 2, top + spare_y // 2
        if self.spot == "random":
            random = subject.random("patch")
            return left + int(random.integers(spare_x + 1)), top + int(random.integers(spare_y + 1))
        return left + spare_x * self.spot.endswith("right"), top + spare_y * self.spot.startswith("bottom")


def patched(patch: Patch, place: Place) -> list[Edit]:
    """The patch at each of the places."""
    if isinstance(place, Box):
        return [InBox(patch.image, place)]
    spots: tuple[Spot, ...] = CORNERS if place == "corners" else (place,)
    return [AtSpot(patch, spot) for spot in spots]
