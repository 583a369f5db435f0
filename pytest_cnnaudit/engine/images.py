"""Whatever the user hands over as images, in batches of model input that keep their geometry.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_cnnaudit.cases import Case, InputRow, Sample
from pytest_cnnaudit.engine.inputs import ModelInput, Others
from pytest_cnnaudit.preprocessing import Geometry, Preprocessing, Readable, ReadPicture

_PIXELS_PER_BATCH = 8 * 299 * 299


@dataclass(frozen=True)
class Batch:
    """`inputs` `(size, H, W, C)` float32, of which the first `count` are pictures and the rest padding.

    `others` are the rows of the model's other inputs, `preprocessing` what made the pictures model input. `targets`
    are the pictures' target classes where a call has some, `PREDICTED` for the predicted class.
    """

    inputs: npt.NDArray[np.float32]
    geometries: tuple[Geometry, ...]
    cases: tuple[Sample | None, ...]
    start: int
    others: tuple[npt.NDArray[Any], ...] = ()
    preprocessing: Preprocessing | None = None
    targets: tuple[int, ...] = ()

    @property
    def black(self) -> npt.NDArray[np.float32]:
        """What a black picture becomes, `(H, W, C)`; zeros where the pictures were model input already."""
        return np.zeros_like(self.inputs[0]) if self.preprocessing is None else self.preprocessing.black()

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """All that the model is called with, the picture first."""
        return (self.inputs, *self.others)

    @property
    def count(self) -> int:
        """Number of pictures, padding not counted."""
        return len(self.geometries)

    def name(self, row: int) -> str:
        """What an error message calls a picture."""
        case = self.cases[row]
        return f"image {self.start + row}" if case is None or case.where == "case" else case.where


class ModelInputs(dict[str, npt.NDArray[Any]]):
    """What pictures became, the explained one first: arrays `(N, …)` by the names of the model's inputs.

    Taken as images it is used as it is, but for what a black picture becomes, `preprocessing` is asked still.
    """

    preprocessing: Preprocessing | None = None


def batches(
    images: Any,
    preprocessing: Preprocessing,
    input_shape: Sequence[int | None],
    batch_size: int | None,
    others: Others | None = None,
    made_by: Preprocessing | None = None,
) -> Iterator[Batch]:
    """Model input in batches of one shape, so that no call needs another compilation.

    All batches of a call have `batch_size` rows; the last is padded by repeating its last picture. A call
    with fewer pictures than that is padded to the next power of two only. `made_by` is what made the pictures
    model input, where they are that already.
    """
    start = 0
    size = batch_size
    items = _items(images, preprocessing, input_shape, made_by)
    for first in items:
        if size is None:
            size = rows_that_fit(first[0].shape)
        group = [first, *itertools.islice(items, size - 1)]
        arrays = [item[0] for item in group]
        if len({array.shape for array in arrays}) > 1:
            raise ValueError(f"The images of one call differ in size: {sorted({a.shape for a in arrays})}")
        rows = size if start else min(size, 1 << (len(group) - 1).bit_length())
        geometries, cases = tuple(item[1] for item in group), tuple(item[2] for item in group)
        values = [] if others is None else [others.row(start + index, case) for index, case in enumerate(cases)]
        columns = (_padded(column, rows) for column in zip(*values, strict=True))
        batch = Batch(_padded(arrays, rows), geometries, cases, start, tuple(columns), first[3])
        _check_finite(batch)
        yield batch
        start += len(group)
    if others is not None:
        others.check_length(start)
    if not start:
        raise ValueError("There are no images: an empty batch, sequence or iterator was handed over")


def as_model_input(values: Any, one: ModelInput, preprocessing: Preprocessing) -> npt.NDArray[Any]:
    """What was handed over for another input of the model, `(N, …)`; pictures are preprocessed to its size."""
    if not one.is_picture or _is_model_input(values):
        return np.asarray(values)
    bound = preprocessing.bound(one.shape)
    return np.stack([bound(picture)[0] for picture in _pictures(values)])


def _padded(values: Sequence[npt.NDArray[Any]], rows: int) -> npt.NDArray[Any]:
    return np.stack([*values, *[values[-1]] * (rows - len(values))])


def rows_that_fit(shape: Sequence[int]) -> int:
    """How many pictures of this shape (H, W, C) are computed at once."""
    fitting = max(1, _PIXELS_PER_BATCH // max(1, shape[0] * shape[1]))
    return int(min(32, 1 << (fitting.bit_length() - 1)))


def _check_finite(batch: Batch) -> None:
    if not np.isfinite(batch.inputs).all():
        row = int(np.argmax(~np.isfinite(batch.inputs).all(axis=(1, 2, 3))))
        raise ValueError(f"The input of {batch.name(row)} holds NaN, infinity, or a value too large for float32")


def _items(
    images: Any, preprocessing: Preprocessing, input_shape: Sequence[int | None], made_by: Preprocessing | None
) -> Iterator[tuple[npt.NDArray[np.float32], Geometry, Sample | None, Preprocessing | None]]:
    """Each picture's model input, its geometry, its case, and what made it model input."""
    if _is_model_input(images):
        for row, geometry in _rows(np.asarray(images), input_shape):
            yield row, geometry, None, made_by
        return
    bound = None
    for picture in _pictures(images):
        if isinstance(picture, InputRow):
            [(row, geometry)] = _rows(picture.inputs[None], input_shape)
            yield row, geometry, picture, made_by
            continue
        if isinstance(picture, Readable) and isinstance(picture.case, InputRow):
            read = picture.read(preprocessing)
            [(row, geometry)] = _rows(read.inputs[None], input_shape)
            yield row, geometry, read.case, made_by
            continue
        bound = preprocessing.bound(input_shape) if bound is None else bound
        if isinstance(picture, (ReadPicture, Readable)):
            read = picture if isinstance(picture, ReadPicture) else picture.read(bound)
            yield read.inputs, read.geometry, read.case, bound
            continue
        inputs, geometry = bound(picture)
        yield inputs, geometry, picture if isinstance(picture, Case) else None, bound


def _rows(
    array: npt.NDArray[Any], input_shape: Sequence[int | None]
) -> Iterator[tuple[npt.NDArray[np.float32], Geometry]]:
    """What is used as it is, row by row."""
    _check_array(array, input_shape)
    geometry = Geometry.identity(width=array.shape[2], height=array.shape[1])
    for row in array:
        yield row.astype(np.float32, copy=False), geometry


def _is_model_input(images: Any) -> bool:
    pictures = isinstance(images, (list, tuple, str, PathLike, Case, InputRow, Image.Image))
    return not pictures and getattr(images, "ndim", 0) == 4


def _pictures(images: Any) -> Iterable[Any]:
    if isinstance(images, (str, PathLike, Case, InputRow, Image.Image)):
        return (images,)
    if isinstance(images, np.ndarray):
        if images.ndim in {2, 3}:
            return (images,)
        raise ValueError(f"An image array has 3 dimensions, or 4 as model input; this one has {images.shape}")
    if isinstance(images, Iterable):
        return images
    raise TypeError(
        "images must be an array (N, H, W, C), or one or several of Case, path, PIL.Image or uint8 array, "
        f"not {type(images).__name__}"
    )


def _check_array(array: npt.NDArray[Any], input_shape: Sequence[int | None]) -> None:
    if array.dtype.kind == "b":
        raise ValueError(
            "The images have the dtype bool, as masks have; for pictures of 0 and 1 use .astype('float32')"
        )
    if array.dtype.kind not in "fiu":
        raise ValueError(f"The images have the dtype {array.dtype}; numbers are expected")
    expected = tuple(input_shape)
    fits = all(want is None or want == got for want, got in zip(expected, array.shape[1:], strict=True))
    if not fits:
        raise ValueError(
            f"The images have the shape {array.shape}; the model takes (N, "
            + ", ".join("any" if size is None else str(size) for size in expected)
            + "). An array of four dimensions is model input and is never resized: hand over pictures "
            "(paths, PIL images, uint8 arrays of three dimensions) to have them preprocessed."
        )
