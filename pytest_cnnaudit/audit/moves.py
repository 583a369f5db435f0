"""Transforms of images with what takes the heatmaps of transformed images back.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit.cases import InputRow, Sample
from pytest_cnnaudit.checks import called, check_call
from pytest_cnnaudit.edits import PICTURE_MOVES, PictureMove, Transform
from pytest_cnnaudit.metrics import moved
from pytest_cnnaudit.metrics.quality import MOVES

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
MapMove: TypeAlias = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Move:
    """A transform of images, and what takes the transformed image's map back."""

    transform: Transform
    back: MapMove

    @property
    def name(self) -> str:
        """What messages and pages call it."""
        return self.transform.name

    def check_cases(self, cases: Sequence[Sample]) -> None:
        """`TypeError` where the cases are model input and the transform is of pictures only."""
        if self.transform.inputs is None and any(isinstance(case, InputRow) for case in cases):
            raise TypeError(
                "transform is a pair of functions of which the first takes a PIL.Image, but cases is an array of model "
                f"input, which is none: name one of {', '.join(MOVES)}, or hand over pictures"
            )

    def check_grid(self, height: int, width: int) -> None:
        """`ValueError` where a map that is taken back has another grid."""
        found = np.shape(self.back(np.zeros((height, width))))
        if found != (height, width):
            raise ValueError(
                f"The transform {self.name!r} takes maps of {height} × {width} cells back to {found}: it can't be "
                "used with this grid" + (", which is not square" if height != width else "")
            )


def as_move(transform: str | tuple[PictureMove, MapMove]) -> Move:
    """The transform of this name, or the one of a pair (picture → picture, map `(h, w)` → map back)."""
    if isinstance(transform, str) and transform in MOVES:
        named = Transform(transform, PICTURE_MOVES[transform], functools.partial(_moved_inputs, transform))
        return Move(named, functools.partial(moved, transform=transform, back=True))
    if isinstance(transform, str):
        raise ValueError(f"transform is {transform!r}; known: {', '.join(MOVES)}, or a pair of functions")
    if not isinstance(transform, tuple) or len(transform) != 2 or not all(map(callable, transform)):
        raise TypeError(
            f"transform is {transform!r}; a name, or a pair of functions is expected: one that transforms a "
            "PIL.Image, and one that takes a map (h, w) of the transformed picture back"
        )
    picture, back = transform
    check_call(picture, "transform[0]", ("picture",), "a function that takes a PIL.Image and gives another")
    check_call(back, "transform[1]", ("heatmap",), "a function that takes a map (h, w) of the transformed picture back")
    return Move(Transform(called(picture), picture), back)


def _moved_inputs(name: str, inputs: Floats) -> Floats:
    """Model input `(H, W, C)`, moved as a map is."""
    found: Floats = np.moveaxis(MOVES[name][0](np.moveaxis(inputs, -1, 0)), 0, -1)
    return found


def as_heatmap(values: Any, like: Floats) -> Floats:
    """What a user's function gave as a map, if it is one."""
    found = np.asarray(values, np.float32)
    if found.shape != like.shape or not np.isfinite(found).all():
        raise ValueError(f"A map {like.shape} was taken back to {found.shape}, or to NaN or infinity")
    return found
