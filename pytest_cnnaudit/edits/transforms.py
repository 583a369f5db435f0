"""Images moved as a whole: mirrored, turned, or as somebody's function moves them.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from pytest_cnnaudit.cases import InputRow, Sample, open_picture
from pytest_cnnaudit.preprocessing import Geometry, Preprocessing, ReadPicture

PictureMove: TypeAlias = Callable[[Image.Image], Image.Image]
InputsMove: TypeAlias = Callable[[npt.NDArray[np.floating[Any]]], npt.NDArray[np.floating[Any]]]


def rotated90(picture: Image.Image) -> Image.Image:
    """The picture turned by a quarter counterclockwise."""
    return picture.transpose(Image.Transpose.ROTATE_90)


PICTURE_MOVES: dict[str, PictureMove] = {"mirror": ImageOps.mirror, "flip": ImageOps.flip, "rotate90": rotated90}


@dataclass(frozen=True)
class Transform:
    """A transform of images; `inputs` is of model input `(H, W, C)`, None where the transform is of images only."""

    name: str
    picture: PictureMove
    inputs: InputsMove | None = None


@dataclass(frozen=True, eq=False)
class TransformedImage:
    """A case with its image transformed, which is a `Readable`: the engine reads it as it reads a case."""

    case: Sample
    transform: Transform

    def picture(self) -> Image.Image:
        """The transformed upright image; `TypeError` where the transform gives none, or where the case has none."""
        transform = self.transform
        if isinstance(self.case, InputRow):
            raise TypeError(f"The transform {transform.name!r} takes images, and {self.case.where} is model input")
        picture = transform.picture(open_picture(self.case))
        if not isinstance(picture, Image.Image):
            raise TypeError(f"The transform {transform.name!r} gave a {type(picture).__name__}, not a PIL.Image")
        return picture

    def inputs(self) -> npt.NDArray[np.float32]:
        """The transformed numbers of a row of model input."""
        if not isinstance(self.case, InputRow) or self.transform.inputs is None:
            raise TypeError(f"The transform {self.transform.name!r} takes images, not model input")
        return np.asarray(self.transform.inputs(self.case.inputs), np.float32)

    def read(self, preprocessing: Preprocessing) -> ReadPicture:
        """The transformed image as model input."""
        if isinstance(self.case, InputRow):
            inputs = self.inputs()
            return ReadPicture(self.case, inputs, Geometry.identity(width=inputs.shape[1], height=inputs.shape[0]))
        return ReadPicture(self.case, *preprocessing(self.picture()))
