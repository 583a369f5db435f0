"""Edits of cases, rendered only when their batch is read.

An edit is data: a picklable object with a title, called with the case that it changes. A population's edits are a
plain list of `EditedImage`s; each is the same whatever was read before it, in any order and in any process. What the
edits of one case share, such as its pixels and what they are covered with, is made once for all of them, and let go
when the next case's turn comes.
PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.cases import InputRow, Region, Sample, on_white, open_picture
from pytest_cnnaudit.edits.pixels import Coverage, as_pixels, coverage_of
from pytest_cnnaudit.preprocessing import ROUNDING, Geometry, Preprocessing, ReadPicture

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Original:
    """A case that is edited: what messages call it, its regions, and where its pixels lie in the model's input."""

    case: Sample
    name: str
    regions: tuple[Region, ...]
    geometry: Geometry
    seed: int

    @property
    def window(self) -> tuple[int, int, int, int]:
        """What the model sees of the image, left, top, right and bottom: a crop leaves a rim out."""
        frame, width, height = self.geometry.frame, self.geometry.source_width, self.geometry.source_height
        left, top = math.floor(frame.left + ROUNDING), math.floor(frame.top + ROUNDING)
        right, bottom = math.ceil(frame.right - ROUNDING), math.ceil(frame.bottom - ROUNDING)
        return max(0, left), max(0, top), min(width, right), min(height, bottom)

    def coverage(self) -> Coverage:
        """How much of each pixel the regions cover, `(H, W)`."""
        return coverage_of(self.regions, self.geometry.source_width, self.geometry.source_height)

    def share(self, regions: Region | Sequence[Region]) -> float:
        """The share of what the model sees of the image that regions cover, 0 where a crop has removed them."""
        return self.geometry.share(regions)


@dataclass(frozen=True, eq=False)
class Subject:
    """An original with its upright pixels `(H, W, C)`; of a row of model input these are its numbers."""

    original: Original
    pixels: npt.NDArray[Any]
    _shared: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def coverage(self) -> Coverage:
        """How much of each pixel the regions cover, `(H, W)`."""
        return self.original.coverage()

    @property
    def seen(self) -> tuple[slice, slice]:
        """The rows and columns that the model sees."""
        left, top, right, bottom = self.original.window
        return slice(top, bottom), slice(left, right)

    def random(self, purpose: str) -> np.random.Generator:
        """Random numbers that depend on the image and the seed only, whichever cases are around."""
        content = hashlib.sha256(f"{self.original.seed} {purpose} {self.pixels.shape}".encode())
        content.update(np.ascontiguousarray(self.pixels).data)
        return np.random.default_rng(list(content.digest()))

    def shared(self, key: Hashable, make: Callable[[], T]) -> T:
        """What several edits of this case need, made by the first of them."""
        if key not in self._shared:
            self._shared[key] = make()
        found: T = self._shared[key]
        return found

    def differs_from(self, pixels: npt.NDArray[Any]) -> bool:
        """Whether an edit changed a pixel that the model sees; of a grey image it may have made one of colors."""
        return bool((self.pixels[self.seen] != pixels[self.seen]).any())


class Edit(Protocol):
    """What an edit makes of a case; an object that can be pickled."""

    @property
    def title(self) -> str:
        """What the page calls it."""

    def __call__(self, subject: Subject) -> npt.NDArray[Any]:
        """The edited pixels `(H, W, C)`, uint8, or of a row of model input its numbers; the subject is not changed."""


class LastOpened:
    """The case that was opened last, so that each is opened once for all of its edits; never pickled with them."""

    def __init__(self) -> None:
        self._subject: Subject | None = None
        self._on_white = False

    def subject(self, original: Original, preprocessing: Preprocessing) -> Subject:
        """The case with its pixels as the preprocessing shows them: transparency on white unless it takes it."""
        white, last = preprocessing.color != "rgba", self._subject
        if last is None or last.original is not original or self._on_white != white:
            self._subject = None  # first let go what is not needed any more
            last = Subject(original, _pixels(original.case, on_white_ground=white))
            self._subject, self._on_white = last, white
        return last

    def __reduce__(self) -> tuple[type[LastOpened], tuple[()]]:
        return LastOpened, ()


@dataclass(frozen=True, eq=False)
class EditedImage:
    """A case with an edit, which is a `Readable`: the engine reads it as it reads a case."""

    original: Original
    edit: Edit
    opened: LastOpened = field(default_factory=LastOpened, repr=False)

    @property
    def case(self) -> Sample:
        """The case that is edited: the model's other inputs and error messages are its."""
        return self.original.case

    def subject(self, preprocessing: Preprocessing) -> Subject:
        """The opened case; the preprocessing, which knows size and color, says how its image is seen."""
        return self.opened.subject(self.original, preprocessing)

    def pixels(self, preprocessing: Preprocessing) -> npt.NDArray[Any]:
        """The edited pixels."""
        return self.edit(self.subject(preprocessing))

    def read(self, preprocessing: Preprocessing) -> ReadPicture:
        """The edited image as model input."""
        pixels = self.pixels(preprocessing)
        if isinstance(self.case, InputRow):
            return ReadPicture(self.case, pixels, self.original.geometry)
        return ReadPicture(self.case, *preprocessing(pixels))

    def changes(self, preprocessing: Preprocessing) -> bool:
        """Whether it differs from the untouched case where the model sees it."""
        subject = self.subject(preprocessing)
        return subject.differs_from(self.edit(subject))


def edited(pairs: Iterable[tuple[Original, Sequence[Edit]]]) -> list[list[EditedImage]]:
    """The edited images of each original, in order; all of them open their cases in one place."""
    opened = LastOpened()
    return [[EditedImage(original, edit, opened) for edit in edits] for original, edits in pairs]


def _pixels(case: Sample, *, on_white_ground: bool) -> npt.NDArray[Any]:
    if isinstance(case, InputRow):
        return case.inputs
    picture = open_picture(case)
    # As the preprocessing does it, so that it is edited as it is seen.
    return as_pixels(on_white(picture) if on_white_ground else picture)
