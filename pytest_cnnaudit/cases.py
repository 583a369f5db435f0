"""What an audit is about: a picture, its label, and where a model should look or not look.

Nothing heavy is imported here: NumPy and Pillow are loaded when a mask or a picture is read.
Coordinates are pixels of the upright original picture (after EXIF orientation), x to the right, y downwards.
PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import difflib
import hashlib
import math
import numbers
import operator
import os
import sys
import warnings
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, overload

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

Picture: TypeAlias = "str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]"
Label: TypeAlias = str | int


class CaseError(ValueError):
    """Bad input: the message names the file, the field and the value, and says what to do."""


class CaseWarning(UserWarning):
    """Input that is used, but not as it was written, such as a box clipped to its picture."""


# --- Regions ---------------------------------------------------------------------------------------------


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
        self._key: Hashable
        if isinstance(array_or_path, str | os.PathLike):
            self._path: Path | None = Path(array_or_path)
            self._key = str(self._path)
            return
        if not _is(array_or_path, "numpy", "ndarray"):
            raise CaseError(f"mask is a {type(array_or_path).__name__} (must be a NumPy array or a path)")
        import numpy as np

        self._path = None
        self._array = _not_empty(_two_valued(array_or_path, "mask"), "mask")
        self._array.flags.writeable = False
        self._key = (self._array.shape, hashlib.sha256(np.packbits(self._array).tobytes()).hexdigest())

    @property
    def array(self) -> npt.NDArray[np.bool_]:
        """Boolean (H, W), true inside, read-only; `CaseError` where a file can't be read as a mask."""
        return self._read()

    @property
    def overhangs(self) -> bool:
        """Whether part of the region, as it was annotated, lies outside the picture."""
        return False

    def _read(self) -> npt.NDArray[np.bool_]:
        if self._path is None:
            return self._array
        import numpy as np

        where = f"mask '{self._path}'"
        picture = read_picture(self._path, where)
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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and type(self) is type(other) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

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
        raise CaseError(f"{name} is {_short(value)} (must be a Box, a Mask, or a sequence of these)")
    if not value:
        raise CaseError(f"{name} is empty (leave it out where there is none)")
    for index, region in enumerate(value):
        if not isinstance(region, Box | Mask):
            raise CaseError(f"{name}[{index}] is {_short(region)} (must be a Box or a Mask)")
    return tuple(value)


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


# --- Case ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False, eq=False)
class Case:
    """One picture and what is known of it. Bad arguments raise `CaseError` naming the argument.

    image: path, `PIL.Image`, or `uint8` array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
    label: class name, class index, or for multi-label a tuple of these.
    region: where the evidence for the label is; forbidden: where none may be. A sequence of regions is their
    union.
    id: what reports call the case, unique in a population (default: the path as given).
    group: what belongs together, such as the pictures of one patient.
    source: the file and entry the case was read from, named first in error messages.
    annotated_size: (width, height) of the picture according to that file.

    edited_from: the case this one is an edit of; a model's other inputs and error messages take that one.

    `load_cases` sets `source` and `annotated_size`, an audit that edits pictures `edited_from`; none of these
    counts when cases are compared. Paths, labels and regions are compared by value, pictures in memory by
    identity.
    """

    image: Picture
    label: Label | tuple[Label, ...] | None = None
    region: Region | Sequence[Region] | None = None
    forbidden: Region | Sequence[Region] | None = None
    id: str | None = None
    group: str | int | None = None
    source: str | None = field(default=None, kw_only=True)
    annotated_size: tuple[int, int] | None = field(default=None, kw_only=True)
    edited_from: Case | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.id is not None and (not isinstance(self.id, str) or not self.id):
            raise CaseError(f"{self.where}: id is {_short(self.id)} (must be a text that is not empty)")
        check_picture(self.image, f"{self.where}: image")
        if self.group is not None and (isinstance(self.group, bool) or not isinstance(self.group, str | int)):
            raise CaseError(f"{self.where}: group is {_short(self.group)} (must be a text or an int)")
        if self.label is not None:
            object.__setattr__(self, "label", _as_labels(self.label, f"{self.where}: label"))
        for name in ("region", "forbidden"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, Box | Mask):
                object.__setattr__(self, name, as_regions(value, f"{self.where}: {name}"))

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions whose union is where to look; empty where there is none."""
        return () if self.region is None else as_regions(self.region)

    @property
    def forbidden_regions(self) -> tuple[Region, ...]:
        """The regions whose union is where not to look; empty where there is none."""
        return () if self.forbidden is None else as_regions(self.forbidden)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels as a tuple; empty where there is none."""
        if self.label is None:
            return ()
        return self.label if isinstance(self.label, tuple) else (self.label,)

    @property
    def name(self) -> str:
        """The id, else the path as given, else "case"."""
        if self.id is not None:
            return self.id
        return os.fspath(self.image) if isinstance(self.image, str | os.PathLike) else "case"

    @property
    def where(self) -> str:
        """What an error message about this case begins with."""
        if self.source is not None:
            return self.source
        named = self.id is not None or isinstance(self.image, str | os.PathLike)
        return f"case '{self.name}'" if named else "case"

    def _key(self) -> tuple[Hashable, ...]:
        in_file = isinstance(self.image, str | os.PathLike)
        image = os.fspath(self.image) if isinstance(self.image, str | os.PathLike) else id(self.image)
        return (in_file, image, self.label, self.regions, self.forbidden_regions, self.id, self.group)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Case) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        named = ("label", "region", "forbidden", "id", "group")
        values = [(name, getattr(self, name)) for name in named]
        arguments = [f"{name}={value!r}" for name, value in values if value is not None]
        return f"Case({', '.join([_short(self.image), *arguments])})"


@dataclass(frozen=True, repr=False, eq=False)
class InputRow:
    """One row of an array (N, H, W, C): model input already, which no preprocessing touches.

    Assertions make these of such an array, so that a population of them is judged as one of images is. The
    engine checks the numbers, as it does an array's. Two are equal when their numbers are: each assertion makes
    them anew.

    values: the numbers, as they were handed over.
    source: what error messages call the row, such as "case 3".
    edited_from: the row this one is an edit of; error messages take that one.
    """

    values: npt.NDArray[Any]
    source: str | None = None
    edited_from: InputRow | None = field(default=None, kw_only=True)

    # What a case may have and a row of numbers never does.
    label: ClassVar[None] = None
    labels: ClassVar[tuple[Label, ...]] = ()
    regions: ClassVar[tuple[Region, ...]] = ()
    forbidden_regions: ClassVar[tuple[Region, ...]] = ()
    group: ClassVar[None] = None
    id: ClassVar[None] = None
    name: ClassVar[str] = "case"

    @property
    def where(self) -> str:
        """What an error message about this row begins with."""
        return "case" if self.source is None else self.source

    @property
    def inputs(self) -> npt.NDArray[np.float32]:
        """The numbers, float32 (H, W, C) of any number of channels; the engine refuses what holds none."""
        import numpy as np

        with np.errstate(over="ignore"):  # as infinity it is refused
            return self.values.astype(np.float32, copy=False) if self.values.dtype.kind in "fiu" else self.values

    @cached_property
    def digest(self) -> str:
        """Of the numbers and their shape; none that a picture has."""
        values = self.inputs
        content = hashlib.sha256(f"model input {values.dtype}{values.shape}".encode())
        content.update(values.tobytes())
        return content.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InputRow) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"InputRow({_short(self.values)})"


Sample: TypeAlias = Case | InputRow
"""What assertions judge one by one."""


def check_regions(case: Case, width: int, height: int) -> None:
    """Check a case's regions against its upright picture's size.

    Raises `CaseError` for a box wholly outside and for a mask of another size. Warns (`CaseWarning`) of a
    region that is clipped, and where the annotations' file names another size than the picture has.
    """
    if case.annotated_size is not None and case.annotated_size != (width, height):
        annotated_width, annotated_height = case.annotated_size
        warnings.warn(
            f"{case.where}: annotated for {annotated_width} × {annotated_height} pixels, the upright picture "
            f"has {width} × {height}; its regions are taken as pixels of the upright picture",
            CaseWarning,
            stacklevel=2,
        )
    for field_name, regions in (("region", case.regions), ("forbidden", case.forbidden_regions)):
        for index, region in enumerate(regions):
            suffix = f"[{index}]" if len(regions) > 1 else ""
            check_region(region, width, height, f"{case.where}: {field_name}{suffix}")


def check_labels(cases: Iterable[Sample], class_names: Sequence[str] | None, classes: int | None = None) -> None:
    """Raise `CaseError` for the first label that is no class; a text label needs class names.

    `classes` is how many there are, where no names say so.
    """
    known = None if class_names is None else {name: index for index, name in enumerate(class_names)}
    for case in cases:
        for label in case.labels:
            _check_label(label, known, case, classes if known is None else len(known))


def _check_label(label: Label, known: dict[str, int] | None, case: Sample, classes: int | None) -> None:
    where = f"{case.where}: label is {label!r}"
    if isinstance(label, str):
        if known is None:
            raise CaseError(f"{where}, a name, but there are no class names (give them, or use class indices)")
        if label not in known:
            raise CaseError(f"{where}, which is none of the {len(known)} class names{nearest(label, known)}")
    elif classes is not None and label >= classes:
        raise CaseError(f"{where}, but there are {classes} classes (0 to {classes - 1})")
    elif known is not None and case.source is not None and known.get(str(label), label) != label:
        # In a text file a class called "1" and the class with index 1 look the same; taking the wrong one
        # would judge the model on another class.
        raise CaseError(f"{where}: is it class {label}, or class {known[str(label)]}, which is called '{label}'?")


def nearest(value: str, known: Iterable[str]) -> str:
    """A hint for an error message: " (did you mean 'cat'?)", or nothing where no known name is near."""
    matches = difflib.get_close_matches(value, list(known), n=1)
    return f" (did you mean '{matches[0]}'?)" if matches else ""


# --- Populations -----------------------------------------------------------------------------------------


class Cases(Sequence[Case]):
    """The cases of one file or folder, in its order. Pictures and masks are read only when they are used."""

    def __init__(self, path: str | os.PathLike[str], cases: Iterable[Case]) -> None:
        self.path = Path(path)
        self._cases = tuple(cases)

    @overload
    def __getitem__(self, index: int) -> Case: ...
    @overload
    def __getitem__(self, index: slice) -> Cases: ...
    def __getitem__(self, index: int | slice) -> Case | Cases:
        if isinstance(index, slice):
            return Cases(self.path, self._cases[index])
        return self._cases[index]

    def __len__(self) -> int:
        return len(self._cases)

    def __repr__(self) -> str:
        return f"<Cases: {len(self)} of '{self.path}'>"


def load_cases(path: str | os.PathLike[str]) -> Cases:
    """Read cases from a COCO JSON, a CSV, a Pascal VOC folder, or a folder of class folders.

    Annotations are read and checked at once, pictures and masks only when used. Paths of pictures are
    relative to the annotations' file. Raises `CaseError` naming file, field and value for anything wrong in
    them, for ids that are not unique, and where there is no case at all. `pytest_cnnaudit.loaders` says what
    each format means.
    """
    # Here and not above: the readers are built from the classes of this module.
    from pytest_cnnaudit.loaders import read_cases

    return Cases(path, read_cases(Path(path)))


# --- Pictures and values ---------------------------------------------------------------------------------


def read_picture(image: Picture, where: str) -> Image.Image:
    """The loaded picture, upright by its EXIF orientation, in its own mode; the first of several frames.

    Raises `CaseError` beginning with `where` for what is missing, broken, no picture, or larger than Pillow's
    `MAX_IMAGE_PIXELS`, which is refused before its pixels are decoded.
    """
    check_picture(image, where)
    from PIL import Image

    if isinstance(image, str | os.PathLike):
        path = Path(image)
        if not path.is_file():
            here = "" if path.is_absolute() else f" (in {Path.cwd()})"
            raise CaseError(f"{where}: {'is a folder' if path.is_dir() else 'no such file'}: {path}{here}")
        with _errors_as_case_errors(where, path), Image.open(path) as opened:
            # Pillow hands EPS to Ghostscript: reading one would run a program out of a data file.
            if opened.format == "EPS":
                raise CaseError(f"{where}: is an EPS file (convert it to PNG or JPEG): {path}")
            return _upright(opened)
    with _errors_as_case_errors(where, None):
        if isinstance(image, Image.Image):
            return _upright(image)
        return Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image)


def check_picture(image: object, where: str) -> None:
    """Raise `CaseError` where this can't be a picture: a wrong type, or an array of other than uint8."""
    if isinstance(image, str | os.PathLike):
        if not os.fspath(image):
            raise CaseError(f"{where} is an empty path")
        return
    if _is(image, "PIL.Image", "Image"):
        return
    if not _is(image, "numpy", "ndarray"):
        raise CaseError(f"{where} is {_short(image)} (must be a path, a PIL.Image or a uint8 NumPy array)")
    dtype, shape = image.dtype, image.shape  # type: ignore[attr-defined]
    if dtype.kind == "f" and len(shape) in (2, 3):
        raise CaseError(
            f"{where} is a {dtype} array of shape {shape}: whether it goes from 0 to 1, to 255, or is "
            "preprocessed already can't be known (give a picture as uint8, or model input as (N, H, W, C))"
        )
    fits = len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    if dtype != "uint8" or not fits or 0 in shape:
        raise CaseError(
            f"{where} is a {dtype} array of shape {shape} (must be uint8, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4))"
        )


def finite_number(value: object, name: str) -> float:
    """The value as a float; `CaseError` naming it where it is no number (a bool is none), NaN or infinite."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise CaseError(f"{name} is {_short(value)} (must be a number)")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise CaseError(f"{name} is {number} (must be finite)")
    return number


def _upright(picture: Image.Image) -> Image.Image:
    from PIL import Image, ImageOps

    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and picture.width * picture.height > limit:
        raise Image.DecompressionBombError(f"{picture.width} × {picture.height}")
    picture.load()
    return ImageOps.exif_transpose(picture)


@contextmanager
def _errors_as_case_errors(where: str, path: Path | None) -> Iterator[None]:
    """Turn whatever Pillow raises while it reads a picture into a `CaseError`."""
    from PIL import Image

    at = "" if path is None else f": {path}"
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        yield
    except CaseError:
        raise
    except bombs as error:
        raise CaseError(
            f"{where}: has more than {Image.MAX_IMAGE_PIXELS:,} pixels and was not loaded "
            f"(shrink it, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it){at}"
        ) from error
    except Exception as error:
        # Pillow's readers let anything out for a broken file: struct.error, SyntaxError, zlib.error, …
        if path is not None and path.is_file() and path.stat().st_size == 0:
            raise CaseError(f"{where}: is an empty file{at}") from error
        raise CaseError(f"{where}: can't be read as a picture ({type(error).__name__}: {error}){at}") from error


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


def _as_labels(value: object, where: str) -> Label | tuple[Label, ...]:
    if not isinstance(value, tuple | list):
        return _as_label(value, where)
    if not value:
        raise CaseError(f"{where} is an empty tuple (leave it out where there is none)")
    labels = tuple(_as_label(item, f"{where}[{index}]") for index, item in enumerate(value))
    if len(set(labels)) < len(labels):
        raise CaseError(f"{where} is {labels!r} (each label once)")
    return labels


def _as_label(value: object, where: str) -> Label:
    if isinstance(value, str):
        if not value:
            raise CaseError(f"{where} is an empty text (must be a class name)")
        return str(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise CaseError(f"{where} is {_short(value)} (must be a class name, a class index, or a tuple of these)")
    index = operator.index(value)
    if index < 0:
        raise CaseError(f"{where} is {index} (a class index must be ≥ 0)")
    return index


def _is(value: object, module: str, name: str) -> bool:
    """Whether the value is of a class of a module that need not be loaded: if it isn't, nothing is."""
    return isinstance(value, getattr(sys.modules.get(module), name, ()))


def _short(value: object) -> str:
    if _is(value, "numpy", "ndarray"):
        return f"<{value.dtype} array {value.shape}>"  # type: ignore[attr-defined]
    if _is(value, "PIL.Image", "Image"):
        return f"<PIL {value.mode} picture {value.width} × {value.height}>"  # type: ignore[attr-defined]
    text = repr(str(value)) if isinstance(value, os.PathLike) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
