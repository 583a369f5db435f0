"""From an image to model input: colors, size, scale.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

from pytest_cnnaudit.cases import Case, Picture, check_regions, on_white, open_picture
from pytest_cnnaudit.preprocessing.geometry import Geometry
from pytest_cnnaudit.preprocessing.keras_hub_converters import converter_settings
from pytest_cnnaudit.preprocessing.keras_resizing import KerasResizing, Resize, frame

if TYPE_CHECKING:
    import numpy.typing as npt

Color: TypeAlias = Literal["rgb", "grayscale", "bgr", "rgba"]
Float32: TypeAlias = "npt.NDArray[np.float32]"

CHANNELS: dict[Color, int] = {"rgb": 3, "grayscale": 1, "bgr": 3, "rgba": 4}
DEFAULT_COLORS: dict[int, Color] = {3: "rgb", 1: "grayscale", 4: "rgba"}


class PreprocessingWarning(UserWarning):
    """A model is handed values that it can hardly have been trained on, or it is right no more often than by chance."""


@dataclass(frozen=True)
class Preprocessing:
    """How pictures become model input; `size` and `color` default to what the model takes.

    size: (height, width) as in Keras, or one int for a square.
    resize: "stretch" to the size whatever the proportions; "crop" the largest centred part of the right
    proportions; "pad" the whole picture, centred, with black at two sides.
    scale: callable that gets a float32 array (H, W, C) of values from 0 to 255, its own to change, and
    returns one of the same shape, such as `keras.applications.xception.preprocess_input`. None leaves 0 to
    255.
    color: "rgb", "grayscale", "bgr" or "rgba"; a `scale` that turns RGB into BGR itself (as VGG's and
    ResNet's does) wants "rgb".
    resizing: None is Pillow's bilinear filter with antialiasing, on 8-bit values, and a crop that is exact to
    fractions of a pixel; `KerasResizing()` is what a model got in training whose pictures Keras resized.

    Transparent pixels are shown on white, except with "rgba".
    """

    size: int | tuple[int, int] | None = None
    _: KW_ONLY
    resize: Resize = "stretch"
    scale: Callable[[Any], Any] | None = None
    color: Color | None = None
    resizing: KerasResizing | None = None

    @classmethod
    def from_keras_hub(cls, converter: Any) -> Preprocessing:
        """What a keras_hub `ImageConverter` does: its size, crop or padding, interpolation, scale and offset.

        `Engine` uses it for a model that has a `preprocessor.image_converter`, unless it is given another one.
        Raises `ValueError` for a converter that works in a way of its own.
        """
        return cls(**converter_settings(converter))

    def __post_init__(self) -> None:
        if self.size is not None:
            object.__setattr__(self, "size", _as_size(self.size))
        if self.resize not in get_args(Resize):
            raise ValueError(f"resize is {self.resize!r} (must be one of {', '.join(get_args(Resize))})")
        if self.color is not None and self.color not in CHANNELS:
            raise ValueError(f"color is {self.color!r} (must be one of {', '.join(CHANNELS)})")
        if self.scale is not None and not callable(self.scale):
            raise TypeError(f"scale is {self.scale!r} (must be callable, such as `lambda pixels: pixels / 255`)")
        if self.resizing is not None and not isinstance(self.resizing, KerasResizing):
            raise TypeError(f"resizing is {self.resizing!r} (must be a KerasResizing, or None for Pillow's)")

    def bound(self, input_shape: Sequence[int | None]) -> Preprocessing:
        """This with size and color filled in from a model's input shape (H, W, C).

        Raises `ValueError` where the model leaves one open that isn't given here, or takes another.
        """
        if len(input_shape) != 3:
            raise ValueError(f"input shape is {tuple(input_shape)} (must be (H, W, C), without the batch)")
        height, width, channels = input_shape
        size = self.size
        if size is None:
            if height is None or width is None:
                raise ValueError(
                    f"the model takes pictures of any size {tuple(input_shape)}: say Preprocessing(size=…)"
                )
            size = (height, width)
        for given, wanted in zip(_as_size(size), (height, width), strict=True):
            if wanted not in (None, given):
                raise ValueError(f"size is {size}, but the model takes {(height, width)} (height, width)")
        color = self.color
        if color is None:
            color = DEFAULT_COLORS.get(channels or 0)
            if color is None:
                raise ValueError(
                    f"no colours are known for a model with {channels} channels: say Preprocessing(color=…)"
                )
        if channels not in (None, CHANNELS[color]):
            raise ValueError(f"color {color!r} has {CHANNELS[color]} channels, but the model takes {channels}")
        return replace(self, size=size, color=color)

    def __call__(self, image: Case | Picture) -> tuple[Float32, Geometry]:
        """Model input, float32 (H, W, C), of one picture, and where its pixels went.

        A case's regions are checked against the picture on the way (see `check_regions`).
        """
        if self.size is None or self.color is None:
            raise ValueError("size and color are not known yet: give both, or use `.bound(model.input_shape[1:])`")
        picture = open_picture(image)
        if isinstance(image, Case):
            check_regions(image, picture.width, picture.height)
        height, width = _as_size(self.size)
        colored = _colored(picture, self.color)
        if self.resizing is None:
            pixels = _channels(_placed(colored, width, height, self.resize)).astype(np.float32)
        else:
            pixels, _ = self.resizing.resized(_channels(colored), (height, width), self.resize)
        if self.color == "bgr":
            pixels = pixels[..., ::-1]
        return self._scaled(np.array(pixels, order="C")), self.geometry(*colored.size)

    def geometry(self, width: int, height: int) -> Geometry:
        """Where the pixels of a picture of this size go; the size of the model's input must be known."""
        if self.size is None:
            raise ValueError("size is not known yet: give it, or use `.bound(model.input_shape[1:])`")
        rows, columns = _as_size(self.size)
        if self.resizing is None:
            return _layout((width, height), columns, rows, self.resize).geometry
        left, top, part_width, part_height = frame(width, height, (rows, columns), self.resize)
        scale_x, scale_y = columns / part_width, rows / part_height
        return Geometry(scale_x, scale_y, -left * scale_x, -top * scale_y, columns, rows, width, height)

    def black(self) -> Float32:
        """What a black picture becomes, float32 (H, W, C); size and color must be known."""
        if self.size is None or self.color is None:
            raise ValueError("size and color are not known yet: give both, or use `.bound(model.input_shape[1:])`")
        pixels = np.zeros((*_as_size(self.size), CHANNELS[self.color]), np.float32)
        pixels[..., 3:] = 255  # opaque
        return self._scaled(pixels)

    def _scaled(self, pixels: Float32) -> Float32:
        if self.scale is None:
            return pixels
        shape = pixels.shape
        scaled = np.asarray(self.scale(pixels), dtype=np.float32)
        if scaled.shape != shape:
            raise ValueError(f"scale returned shape {scaled.shape} for a picture of shape {shape} (must be the same)")
        if not np.isfinite(scaled).all():
            raise ValueError("scale returned NaN or infinity")
        return scaled


def preprocessing_of(model: Any) -> Preprocessing:
    """The one a keras_hub model brings along; for any other model the default."""
    converter = getattr(getattr(model, "preprocessor", None), "image_converter", None)
    if not hasattr(converter, "crop_to_aspect_ratio"):
        return Preprocessing()
    return Preprocessing.from_keras_hub(converter)


def _channels(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """(H, W, C), with a channel axis for grey too."""
    pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels


@dataclass(frozen=True)
class _Layout:
    """Which `part` of the original (left, top, right, bottom) fills which `size` of the model's frame from `at` on."""

    part: tuple[float, float, float, float]
    size: tuple[int, int]
    at: tuple[int, int]
    geometry: Geometry


def _layout(source: tuple[int, int], width: int, height: int, resize: Resize) -> _Layout:
    scale_x, scale_y = width / source[0], height / source[1]
    if resize == "pad":
        scale = min(scale_x, scale_y)
        size = min(width, max(1, round(source[0] * scale))), min(height, max(1, round(source[1] * scale)))
        at = (width - size[0]) // 2, (height - size[1]) // 2
        geometry = Geometry(size[0] / source[0], size[1] / source[1], *at, width, height, *source)
        return _Layout((0, 0, *source), size, at, geometry)
    left = top = 0.0
    if resize == "crop":
        scale_x = scale_y = max(scale_x, scale_y)
        left = max(0.0, (source[0] - width / scale_x) / 2)
        top = max(0.0, (source[1] - height / scale_y) / 2)
    geometry = Geometry(scale_x, scale_y, 0.0 - left * scale_x, 0.0 - top * scale_y, width, height, *source)
    return _Layout((left, top, source[0] - left, source[1] - top), (width, height), (0, 0), geometry)


def _placed(picture: Image.Image, width: int, height: int, resize: Resize) -> Image.Image:
    """The picture resized into a frame of this size, the rest black."""
    layout = _layout(picture.size, width, height, resize)
    resized = picture.resize(layout.size, Image.Resampling.BILINEAR, box=layout.part)
    if layout.size == (width, height):
        return resized
    black = Image.new(picture.mode, (width, height), (0, 0, 0, 255) if picture.mode == "RGBA" else 0)
    black.paste(resized, layout.at)
    return black


def _colored(picture: Image.Image, color: Color) -> Image.Image:
    if color == "rgba":
        return picture.convert("RGBA")
    return on_white(picture).convert("L" if color == "grayscale" else "RGB")


def _as_size(size: object) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(sides) != 2 or any(isinstance(side, bool) or not isinstance(side, Integral) for side in sides):
        raise TypeError(f"size is {size!r} (must be (height, width), or one int for a square)")
    height, width = (int(side) for side in sides)
    if height < 1 or width < 1:
        raise ValueError(f"size is {size!r} (must be at least one pixel high and wide)")
    return height, width
