"""Images read once for all rooms: from a file, Pillow or an array to an upright image of 8 bits a channel.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from pytest_cnnaudit.cases.errors import CaseError
from pytest_cnnaudit.cases.fields import is_of, shortened

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL import Image

Picture: TypeAlias = "str | os.PathLike[str] | Image.Image | npt.NDArray[np.uint8]"


SIZE_IN_HEADER = ("BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "WEBP")
"""Formats of which the size is known before a pixel is decoded."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
"""Exif's tag, and its values for a picture that lies on its side."""


@runtime_checkable
class HoldsImage(Protocol):
    """Anything with an image and what error messages call it, such as a `Case`."""

    @property
    def image(self) -> Picture:
        """The image as it was handed over."""

    @property
    def where(self) -> str:
        """What an error message about it begins with."""


def open_picture(image: HoldsImage | Picture) -> Image.Image:
    """The picture upright, 8 bits a channel, in mode L, RGB or RGBA.

    RGBA is kept for whatever has transparency (LA, palette and `tRNS` transparency included). CMYK, YCbCr and
    the like become RGB, 1-bit becomes L. 16-bit grey (0 to 65,535) is divided by 257, so that full white
    stays white; nothing is stretched. The first of several frames is taken. Raises `CaseError` for a missing
    or broken file, more pixels than `PIL.Image.MAX_IMAGE_PIXELS`, and pictures of floats, whose range can't
    be known.
    """
    where = image.where if isinstance(image, HoldsImage) else _where(image)
    picture = read_picture(image.image if isinstance(image, HoldsImage) else image, where)
    if picture.mode == "F":
        raise CaseError(f"{where}: has floats for pixels, whose range can't be known (save it with 8 or 16 bits)")
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return _from_16_bit(picture, where)
    if picture.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        return _converted(picture, "RGBA", where)
    if picture.mode in ("1", "L"):
        return _converted(picture, "L", where)
    return _converted(picture, "RGB", where)


def upright_size(image: HoldsImage | Picture) -> tuple[int, int]:
    """Width and height of the upright picture, of a file by its header where that tells; raises as `open_picture`."""
    path = image.image if isinstance(image, HoldsImage) else image
    if isinstance(path, str | os.PathLike):
        where = image.where if isinstance(image, HoldsImage) else _where(image)
        with _opened(Path(path), where) as opened:
            if opened.format in SIZE_IN_HEADER and (opened.format != "PNG" or _says_all_in_front(Path(path))):
                from PIL import Image

                _check_size(opened)
                # Not PNG's own `getexif`, which decodes the pixels to look behind them.
                turned = Image.Image.getexif(opened).get(ORIENTATION) in TURNED
                return (opened.height, opened.width) if turned else opened.size
    return open_picture(image).size


def on_white(picture: Image.Image) -> Image.Image:
    """A picture with transparency on white, in RGB; any other as it is."""
    if picture.mode != "RGBA":
        return picture
    from PIL import Image

    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def read_picture(image: Picture, where: str) -> Image.Image:
    """The loaded picture, upright by its EXIF orientation, in its own mode; the first of several frames.

    Raises `CaseError` beginning with `where` for what is missing, broken, no picture, or larger than Pillow's
    `MAX_IMAGE_PIXELS`, which is refused before its pixels are decoded.
    """
    check_picture(image, where)
    from PIL import Image

    if isinstance(image, str | os.PathLike):
        with _opened(Path(image), where) as opened:
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
    if is_of(image, "PIL.Image", "Image"):
        return
    if not is_of(image, "numpy", "ndarray"):
        raise CaseError(f"{where} is {shortened(image)} (must be a path, a PIL.Image or a uint8 NumPy array)")
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


@contextmanager
def _opened(path: Path, where: str) -> Iterator[Image.Image]:
    """A file's picture, of which only the header is read; what is wrong with it is a `CaseError`."""
    from PIL import Image

    if not path.is_file():
        here = "" if path.is_absolute() else f" (in {Path.cwd()})"
        raise CaseError(f"{where}: {'is a folder' if path.is_dir() else 'no such file'}: {path}{here}")
    with _errors_as_case_errors(where, path), Image.open(path) as opened:
        # Pillow hands EPS to Ghostscript: reading one would run a program out of a data file.
        if opened.format == "EPS":
            raise CaseError(f"{where}: is an EPS file (convert it to PNG or JPEG): {path}")
        yield opened


def _says_all_in_front(path: Path) -> bool:
    """Whether no chunk of a PNG file comes after its pixels, such as one with the orientation."""
    with path.open("rb") as file:
        file.seek(len(PNG_SIGNATURE))
        pixels = False
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if pixels and kind != b"IDAT":
                return bool(kind == b"IEND")
            pixels = kind == b"IDAT"
            file.seek(length + 4, os.SEEK_CUR)
    return False


def _upright(picture: Image.Image) -> Image.Image:
    from PIL import ImageOps

    _check_size(picture)
    picture.load()
    return ImageOps.exif_transpose(picture)


def _check_size(picture: Image.Image) -> None:
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and picture.width * picture.height > limit:
        raise Image.DecompressionBombError(f"{picture.width} × {picture.height}")


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


def _converted(picture: Image.Image, mode: str, where: str) -> Image.Image:
    try:
        return picture.convert(mode)
    except ValueError as error:
        raise CaseError(f"{where}: pictures of mode {picture.mode} can't be read (convert it to RGB)") from error


def _from_16_bit(picture: Image.Image, where: str) -> Image.Image:
    import numpy as np
    from PIL import Image

    values = np.asarray(picture).astype(np.int64)
    lowest, highest = values.min(), values.max()
    if lowest < 0 or highest > 65535:
        raise CaseError(
            f"{where}: has pixels from {lowest} to {highest} "
            "(16-bit grey goes from 0 to 65535; save it with 8 or 16 bits)"
        )
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _where(image: object) -> str:
    return f"picture '{os.fspath(image)}'" if isinstance(image, str | os.PathLike) else "picture"
