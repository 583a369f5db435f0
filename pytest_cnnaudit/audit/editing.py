"""A case's edited pictures: its object hidden or alone, on another background, with a patch.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

from pytest_cnnaudit import edits
from pytest_cnnaudit.audit.limits import ROUNDING
from pytest_cnnaudit.audit.populations import Region
from pytest_cnnaudit.cases import Box
from pytest_cnnaudit.edits import Coverage, Fill, Pixels
from pytest_cnnaudit.preprocessing import Geometry

Corner: TypeAlias = Literal["top-left", "top-right", "bottom-left", "bottom-right"]
Place: TypeAlias = Corner | Literal["corners", "center", "random"] | Box

CORNERS: tuple[Corner, ...] = get_args(Corner)


@dataclass(frozen=True)
class Edit:
    """An edited picture, and what the page calls it."""

    title: str
    pixels: Pixels


@dataclass(frozen=True)
class Subject:
    """A case's upright picture `(H, W, C)`, its regions, and where its pixels lie in the model's input."""

    name: str
    pixels: Pixels
    regions: tuple[Region, ...]
    geometry: Geometry
    seed: int

    @property
    def window(self) -> tuple[int, int, int, int]:
        """What the model sees of the picture, left, top, right and bottom: a crop leaves a rim out."""
        frame, (height, width) = self.geometry.frame, self.pixels.shape[:2]
        left, top = math.floor(frame.left + ROUNDING), math.floor(frame.top + ROUNDING)
        right, bottom = math.ceil(frame.right - ROUNDING), math.ceil(frame.bottom - ROUNDING)
        return max(0, left), max(0, top), min(width, right), min(height, bottom)

    @property
    def coverage(self) -> Coverage:
        """How much of each pixel the regions cover, `(H, W)`."""
        return edits.coverage_of(self.regions, self.geometry.source_width, self.geometry.source_height)

    def random(self, purpose: str) -> np.random.Generator:
        """Random numbers that depend on the picture and the seed only, whichever cases are around."""
        content = hashlib.sha256(f"{self.seed} {purpose} {self.pixels.shape}".encode())
        content.update(np.ascontiguousarray(self.pixels).data)
        return np.random.default_rng(list(content.digest()))

    def differs_from(self, pixels: Pixels) -> bool:
        """Whether an edit changed a pixel that the model sees; of a grey picture it may have made one of colours."""
        left, top, right, bottom = self.window
        seen = (slice(top, bottom), slice(left, right))
        return bool((self.pixels[seen] != pixels[seen]).any())

    def share(self, regions: Region | Sequence[Region]) -> float:
        """The share of what the model sees of the picture that regions cover, 0 where a crop has removed them."""
        return self.geometry.share(regions)


def hidden_and_controls(subject: Subject, *, fill: Fill) -> Iterator[Edit]:
    """The picture with its regions hidden, then with as much hidden elsewhere, where the model sees it."""
    coverage, random = subject.coverage, subject.random("hidden")
    filling = edits.filling(subject.pixels, fill, random)
    yield Edit(f"object hidden ({fill})", edits.blended(subject.pixels, filling(coverage), coverage))
    left, top, right, bottom = subject.window
    seen = (slice(top, bottom), slice(left, right))
    for position, found in enumerate(edits.controls(coverage[seen], random), 1):
        control = np.zeros_like(coverage)
        control[seen] = found
        yield Edit(f"control {position} ({fill})", edits.blended(subject.pixels, filling(control), control))


def object_alone(subject: Subject, *, fill: Fill) -> Iterator[Edit]:
    """The picture with everything but its regions hidden."""
    rest = 1 - subject.coverage
    filling = edits.filling(subject.pixels, fill, subject.random("alone"))
    yield Edit(f"only the object ({fill})", edits.blended(subject.pixels, filling(rest), rest))


def on_backgrounds(subject: Subject, *, grounds: Sequence[Image.Image]) -> Iterator[Edit]:
    """The picture's regions on each of the backgrounds."""
    coverage = subject.coverage
    for position, ground in enumerate(grounds, 1):
        yield Edit(f"background {position}", edits.on_background(subject.pixels, coverage, ground))


def patched(subject: Subject, *, patch: Image.Image, place: Place, size: float | None) -> Iterator[Edit]:
    """The picture with a patch at each of the places."""
    if isinstance(place, Box):
        yield Edit("with the patch", edits.pasted_into(subject.pixels, patch, place))
        return
    if size is not None:
        scale = size * min(subject.pixels.shape[:2]) / max(patch.size)
        patch = _resized(patch, *(side * scale for side in patch.size))
    for name, left, top in _corners_of(subject, place, *patch.size):
        yield Edit(f"patch {name}", edits.pasted(subject.pixels, patch, left, top))


def _corners_of(subject: Subject, place: str, width: int, height: int) -> Iterator[tuple[str, int, int]]:
    """Name, left and top of the places for a patch of this size."""
    left, top, right, bottom = subject.window
    if width > right - left or height > bottom - top:
        raise ValueError(
            f"{subject.name}: patch is {width} × {height} pixels, larger than the {right - left} × {bottom - top} "
            "that the model sees of the picture: give size=, its longer side as a share of the picture's shorter one"
        )
    spare_x, spare_y = right - left - width, bottom - top - height
    if place == "center":
        yield place, left + spare_x // 2, top + spare_y // 2
    elif place == "random":
        random = subject.random("patch")
        yield place, left + int(random.integers(spare_x + 1)), top + int(random.integers(spare_y + 1))
    for corner in CORNERS:
        if place in (corner, "corners"):
            yield corner, left + spare_x * corner.endswith("right"), top + spare_y * corner.startswith("bottom")


def _resized(patch: Image.Image, width: float, height: float) -> Image.Image:
    return patch.resize((max(1, round(width)), max(1, round(height))), Image.Resampling.LANCZOS)
