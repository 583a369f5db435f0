"""Where a model should look or not look: boxes and masks in pixels of the upright original.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_cnnaudit.cases.errors import CaseError, CaseWarning
from pytest_cnnaudit.cases.fields import finite_number, is_of, shortened
from pytest_cnnaudit.cases.images import read_picture

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, repr=False)
class Box:
    """A rectangle in pixels of the upright original picture, half-open: `right` and `bottom` are outside it.

    Fractions of a pixel count. Raises `CaseError` for anything but finite numbers with
    `left < right` and `top < bottom`.
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        for name in ("left", "top", "right", "bottom"):
            object.__setattr__(self, name, finite_number(getattr(self, name), name))
        for low, high in (("left", "right"), ("top", "bottom")):
            low_value, high_value = getattr(self, low), getattr(self, high)
            if high_value <= low_value:
                raise CaseError(
                    f"{high} is {high_value:.12g} (must be > {low}, which is {low_value:.12g}); "
                    "a box is (left, top, right, bottom), for x, y, width, height there is Box.from_xywh"
                )

    @classmethod
    def from_xywh(cls, x: float, y: float, width: float, height: float) -> Box:
        """The box with its upper left corner at (x, y), as COCO writes boxes."""
        x, y = finite_number(x, "x"), finite_number(y, "y")
        width, height = finite_number(width, "width"), finite_number(height, "height")
        for name, value in (("width", width), ("height", height)):
            if value <= 0:
                raise CaseError(f"{name} is {value:.12g} (must be > 0)")
        return cls(x, y, x + width, y + height)

    def __repr__(self) -> str:
        edges = (self.left, self.top, self.right, self.bottom)
        return f"Box({', '.join(str(int(edge)) if edge.is_integer() else repr(edge) for edge in edges)})"


class Mask:
    """A region of any shape: a boolean picture of the size of the upright original.

    `array_or_path` is a boolean or integer array (H, W), or the path of a picture, which is read each time it
    is needed, so that a population of masks takes no memory. 0 is outside; inside is one other value,
    whichever it is. More than two values (a mask saved as JPEG, a map of instance numbers), transparency, and
    a mask with nothing inside are refused with `CaseError`. Masks are equal when their contents, or their
    paths, are equal.
    """

    def __init__(self, array_or_path: npt.NDArray[Any] | str | os.PathLike[str]) -> None:
        self._identity: Hashable
        if isinstance(array_or_path, str | os.PathLike):
            self._path: Path | None = Path(array_or_path)
            self._identity = str(self._path)
            return
        if not is_of(array_or_path, "numpy", "ndarray"):
            raise CaseError(f"mask is a {type(array_or_path).__name__} (must be a NumPy array or a path)")
        import numpy as np

        self._path = None
        self._array = _not_empty(_two_valued(array_or_path, "mask"), "mask")
        self._array.flags.writeable = False
        self._identity = (self._array.shape, hashlib.sha256(np.packbits(self._array).tobytes()).hexdigest())

    @property
    def array(self) -> npt.NDArray[np.bool_]:
        """Boolean (H, W), true inside, read-only; `CaseError` where a file can't be read as a mask."""
        return self._array if self._path is None else _read_mask(self._path)

    @property
    def overhangs(self) -> bool:
        """Whether part of the region, as it was annotated, lies outside the picture."""
        return False

    @property
    def identity(self) -> Hashable:
        """What equal masks have in common: the path, or what tells the contents apart."""
        return self._identity

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and type(self) is type(other) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def __repr__(self) -> str:
        if self._path is not None:
            return f"Mask({str(self._path)!r})"
        height, width = self._array.shape
        return f"Mask(<{int(self._array.sum())} of {width} × {height} pixels>)"


Region: TypeAlias = Box | Mask


def as_regions(value: Region | Sequence[Region], name: str = "region") -> tuple[Region, ...]:
    """One region or a sequence of them as a tuple; `CaseError` naming `name` for anything else."""
    if isinstance(value, Box | Mask):
        return (value,)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise CaseError(f"{name} is {shortened(value)} (must be a Box, a Mask, or a sequence of these)")
    if not value:
        raise CaseError(f"{name} is empty (leave it out where there is none)")
    for index, region in enumerate(value):
        if not isinstance(region, Box | Mask):
            raise CaseError(f"{name}[{index}] is {shortened(region)} (must be a Box or a Mask)")
    return tuple(value)


def given_regions(region: Region | Sequence[Region] | None) -> tuple[Region, ...] | None:
    """The regions that stand for the cases' own, if there are any; `TypeError` for what is not a region."""
    try:
        return None if region is None else as_regions(region)
    except CaseError as error:
        raise TypeError(str(error)) from None


def check_region(region: Region, width: int, height: int, where: str) -> None:
    """Raise `CaseError` for a region that doesn't belong in a picture of this size; warn of a clipped one."""
    if isinstance(region, Mask):
        try:
            array = region.array
        except CaseError as error:
            raise CaseError(f"{where}: {error}") from error
        check_mask_size(array, width, height, f"{where}: {region!r}")
        overhangs = region.overhangs
    else:
        check_box_inside(region, width, height, where)
        overhangs = region.left < 0 or region.top < 0 or region.right > width or region.bottom > height
    if overhangs:
        message = f"{where}: {region!r} reaches beyond the picture ({width} × {height} pixels), and is clipped"
        warnings.warn(message, CaseWarning, stacklevel=3)


def check_given_regions(given: Sequence[Region] | None, width: int, height: int, where: str) -> None:
    """Check regions that stand for a case's own against its upright picture's size, as `check_region` does."""
    for one in given or ():
        check_region(one, width, height, f"{where}: region")


def check_box_inside(box: Box, width: int, height: int, where: str) -> None:
    """Raise `CaseError` for a box wholly outside a picture of this size."""
    if box.right <= 0 or box.bottom <= 0 or box.left >= width or box.top >= height:
        raise CaseError(
            f"{where}: {box!r} lies outside the picture, which is {width} × {height} pixels "
            "(boxes are in pixels of the upright original)"
        )


def check_mask_size(array: npt.NDArray[np.bool_], width: int, height: int, where: str) -> None:
    """Raise `CaseError` for a mask of another size than the upright picture."""
    mask_height, mask_width = array.shape
    if (mask_width, mask_height) != (width, height):
        raise CaseError(
            f"{where} is {mask_width} × {mask_height} pixels "
            f"(must be as large as the upright picture, {width} × {height})"
        )


def _read_mask(path: Path) -> npt.NDArray[np.bool_]:
    import numpy as np

    where = f"mask '{path}'"
    picture = read_picture(path, where)
    values = np.asarray(picture)
    if picture.mode in ("LA", "RGBA", "PA"):
        if values[..., -1].min() < 255:
            raise CaseError(f"{where}: has transparency (must be opaque, such as black and white)")
        values = values[..., :-1]
    if values.ndim == 3:
        values = values.max(axis=-1)
    array = _not_empty(_two_valued(values, where), where)
    array.flags.writeable = False
    return array


def _two_valued(values: npt.NDArray[Any], where: str) -> npt.NDArray[np.bool_]:
    import numpy as np

    if values.ndim != 2 or values.dtype.kind not in "bui":
        raise CaseError(
            f"{where} is a {values.dtype} array of shape {values.shape} "
            "(must be bool or integer, (H, W); compare floats with a threshold first)"
        )
    inside: npt.NDArray[np.bool_] = values != 0
    inner = values[inside]
    if inner.size and (inner != inner.flat[0]).any():
        raise CaseError(
            f"{where}: has {len(np.unique(values))} different values (a mask has two, 0 outside and another "
            "inside; JPEG blurs masks, and instance numbers must be compared first)"
        )
    return inside


def _not_empty(inside: npt.NDArray[np.bool_], where: str) -> npt.NDArray[np.bool_]:
    if not inside.any():
        raise CaseError(f"{where}: no pixel is inside (leave the region out where there is none)")
    return inside
