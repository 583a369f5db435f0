"""From a picture to model input, and the geometry that carries boxes and masks along with the pixels.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import lru_cache
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

from pytest_cnnaudit.cases import (
    Box,
    Case,
    CaseError,
    Mask,
    Picture,
    Region,
    as_regions,
    check_box_inside,
    check_mask_size,
    check_regions,
    read_picture,
)
from pytest_cnnaudit.keras_resizing import KerasResizing, Resize, frame

if TYPE_CHECKING:
    import numpy.typing as npt

Color: TypeAlias = Literal["rgb", "grayscale", "bgr", "rgba"]
Float32: TypeAlias = "npt.NDArray[np.float32]"
Float64: TypeAlias = "npt.NDArray[np.float64]"

CHANNELS: dict[Color, int] = {"rgb": 3, "grayscale": 1, "bgr": 3, "rgba": 4}
ROUNDING = 1e-9
DEFAULT_COLORS: dict[int, Color] = {3: "rgb", 1: "grayscale", 4: "rgba"}


class PreprocessingWarning(UserWarning):
    """A model is handed values that it can hardly have been trained on, or it is right no more often than by chance."""


def open_picture(image: Case | Picture) -> Image.Image:
    """The picture upright, 8 bits a channel, in mode L, RGB or RGBA.

    RGBA is kept for whatever has transparency (LA, palette and `tRNS` transparency included). CMYK, YCbCr and
    the like become RGB, 1-bit becomes L. 16-bit grey (0 to 65,535) is divided by 257, so that full white
    stays white; nothing is stretched. The first of several frames is taken. Raises `CaseError` for a missing
    or broken file, more pixels than `PIL.Image.MAX_IMAGE_PIXELS`, and pictures of floats, whose range can't
    be known.
    """
    where = _where(image)
    picture = read_picture(image.image if isinstance(image, Case) else image, where)
    if picture.mode == "F":
        raise CaseError(f"{where}: has floats for pixels, whose range can't be known (save it with 8 or 16 bits)")
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return _from_16_bit(picture, where)
    if picture.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        return _converted(picture, "RGBA", where)
    if picture.mode in ("1", "L"):
        return _converted(picture, "L", where)
    return _converted(picture, "RGB", where)


@dataclass(frozen=True)
class Geometry:
    """How a picture's pixels lie in the model's input: `model_x = x * scale_x + offset_x`, and so for y.

    x is in pixels of the upright original (`source_width` × `source_height`), model_x in pixels of the
    model's input (`width` × `height`); both count from the upper left edge, so the centre of the first pixel
    is at 0.5.
    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float
    width: int
    height: int
    source_width: int
    source_height: int

    @classmethod
    def identity(cls, width: int, height: int) -> Geometry:
        """The geometry of a picture used as it is."""
        return cls(1.0, 1.0, 0.0, 0.0, width, height, width, height)

    @property
    def frame(self) -> Box:
        """The model's input frame in original pixels: smaller than the picture for crop, larger for pad."""
        return Box(
            (0.0 - self.offset_x) / self.scale_x,
            (0.0 - self.offset_y) / self.scale_y,
            (self.width - self.offset_x) / self.scale_x,
            (self.height - self.offset_y) / self.scale_y,
        )

    def to_model(self, box: Box) -> Box:
        """The box in pixels of the model's input, not clipped to it."""
        return Box(
            box.left * self.scale_x + self.offset_x,
            box.top * self.scale_y + self.offset_y,
            box.right * self.scale_x + self.offset_x,
            box.bottom * self.scale_y + self.offset_y,
        )

    def coverage(self, regions: Region | Sequence[Region], grid: tuple[int, int]) -> Float64:
        """The exact share of each cell of a grid over the model's input that the union of regions covers.

        `grid` is (h, w), the result float64 (h, w) in [0, 1], all zero where a crop has removed the regions.
        Regions are clipped to the picture. Raises `CaseError` for a region wholly outside the picture and for
        a mask of another size.

        All edges of boxes and of mask pixels cut the picture into rectangles that are wholly in or wholly out
        of the union; the overlaps of rectangles with cells are products of the overlaps along x and along y.
        """
        rows, columns = grid
        if rows < 1 or columns < 1:
            raise ValueError(f"grid is {grid} (must be at least one cell high and wide)")
        x_edges, y_edges, occupied = self._occupancy(as_regions(regions))
        x_overlaps = _overlaps(x_edges * self.scale_x + self.offset_x, self.width, columns)
        y_overlaps = _overlaps(y_edges * self.scale_y + self.offset_y, self.height, rows)
        cell_area = (self.width / columns) * (self.height / rows)
        shares: Float64 = y_overlaps @ occupied @ x_overlaps.T / cell_area
        return np.clip(shares, 0.0, 1.0)

    @property
    def seen(self) -> float:
        """The share of the model's input that shows the picture: 1 but for padding."""
        right, bottom = (
            self.offset_x + self.scale_x * self.source_width,
            self.offset_y + self.scale_y * self.source_height,
        )
        across = min(right, self.width) - max(self.offset_x, 0.0)
        down = min(bottom, self.height) - max(self.offset_y, 0.0)
        share = across / self.width * down / self.height
        return 1.0 if share > 1 - ROUNDING else share

    def share(self, regions: Region | Sequence[Region]) -> float:
        """The share of what the model sees of the picture that the union of regions covers.

        What a crop cuts off and what padding adds does not count: all of a padded picture is 1.
        """
        return float(self.coverage(regions, (1, 1))[0, 0]) / self.seen

    def centres_inside(
        self, regions: Region | Sequence[Region], grid: tuple[int, int], tolerance: float = 0.0
    ) -> npt.NDArray[np.bool_]:
        """Whether the centre of each cell of a grid over the model's input lies in the union of regions, (h, w).

        `tolerance`, in pixels of the original picture: how far from the region a centre may be.
        """
        if tolerance > 0:
            return self.centre_distances(regions, grid) <= tolerance * (1 + ROUNDING)
        x_edges, y_edges, occupied = self._occupancy(as_regions(regions))
        xs, ys = self._centres(grid)
        # Regions are half-open, so a centre on an edge belongs to the interval that starts there.
        framed = np.pad(occupied, 1)
        return framed[np.ix_(np.searchsorted(y_edges, ys, "right"), np.searchsorted(x_edges, xs, "right"))]

    def centre_distances(self, regions: Region | Sequence[Region], grid: tuple[int, int]) -> Float64:
        """How far each cell's centre is from the union of regions, in pixels of the original picture, (h, w).

        0 within and on the edge. Exact: the nearest point of a column's rectangles is found along y, then that
        of all columns along x.
        """
        x_edges, y_edges, occupied = self._occupancy(as_regions(regions))
        xs, ys = self._centres(grid)
        along_x, along_y = _gaps(xs, x_edges) ** 2, _gaps(ys, y_edges) ** 2
        squares = np.empty(grid)
        for row, gaps in enumerate(along_y):
            nearest = np.where(occupied, gaps[:, None], np.inf).min(axis=0)
            squares[row] = (along_x + nearest).min(axis=1)
        return np.sqrt(squares)

    def _centres(self, grid: tuple[int, int]) -> tuple[Float64, Float64]:
        """The centres of a grid's cells along x and y, in original pixels."""
        rows, columns = grid
        xs = ((np.arange(columns) + 0.5) * self.width / columns - self.offset_x) / self.scale_x
        ys = ((np.arange(rows) + 0.5) * self.height / rows - self.offset_y) / self.scale_y
        return xs, ys

    def _occupancy(self, regions: tuple[Region, ...]) -> tuple[Float64, Float64, npt.NDArray[np.bool_]]:
        """Sorted edges along x (n + 1) and y (m + 1) in original pixels; which (m, n) rectangles are in."""
        width, height = self.source_width, self.source_height
        if len(regions) == 1 and isinstance(regions[0], Box):  # as nearly always, and many times quicker
            check_box_inside(regions[0], width, height, "region")
            only = regions[0]
            clipped = np.clip([[only.left, only.right], [only.top, only.bottom]], 0, [[width], [height]])
            return clipped[0], clipped[1], np.ones((1, 1), dtype=bool)
        boxes, masks = [], []
        x_edges, y_edges = [np.empty(0)], [np.empty(0)]
        for region in regions:
            if isinstance(region, Mask):
                mask = region.array
                check_mask_size(mask, width, height, repr(region))
                masks.append(mask)
                x_edges.append(_pixel_edges(np.any(mask, axis=0)))
                y_edges.append(_pixel_edges(np.any(mask, axis=1)))
            else:
                check_box_inside(region, width, height, "region")
                boxes.append(region)
                x_edges.append(np.clip([region.left, region.right], 0, width))
                y_edges.append(np.clip([region.top, region.bottom], 0, height))
        xs, ys = np.unique(np.concatenate(x_edges)), np.unique(np.concatenate(y_edges))
        occupied = np.zeros((len(ys) - 1, len(xs) - 1), dtype=bool)
        for mask in masks:
            occupied |= mask[np.ix_(ys[:-1].astype(int), xs[:-1].astype(int))]
        for box in boxes:
            left, right = np.searchsorted(xs, np.clip([box.left, box.right], 0, width))
            top, bottom = np.searchsorted(ys, np.clip([box.top, box.bottom], 0, height))
            occupied[top:bottom, left:right] = True
        return xs, ys, occupied


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
        own = next((name for name in ("call", "_call_python") if _is_overridden(converter, name)), None)
        if own is not None:
            raise ValueError(
                f"{type(converter).__name__} converts pictures in a way of its own ({own}), which can't be "
                "followed here: say as a Preprocessing how pictures become model input"
            )
        crops, pads = bool(converter.crop_to_aspect_ratio), bool(converter.pad_to_aspect_ratio)
        scales = converter.scale is not None or converter.offset is not None
        return cls(
            converter.image_size,
            resize="crop" if crops else "pad" if pads else "stretch",
            scale=ScaleAndOffset(converter.scale, converter.offset) if scales else None,
            resizing=KerasResizing(converter.interpolation, bool(converter.antialias)),
        )

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


@dataclass(frozen=True)
class ScaleAndOffset:
    """pixels · scale + offset, each one number, one a channel, or None."""

    scale: Any
    offset: Any

    def __call__(self, pixels: Float32) -> Float32:
        """Scaled and moved, float32."""
        scaled = pixels if self.scale is None else pixels * np.asarray(self.scale, np.float32)
        return scaled if self.offset is None else scaled + np.asarray(self.offset, np.float32)


def preprocessing_of(model: Any) -> Preprocessing:
    """The one a keras_hub model brings along; for any other model the default."""
    converter = getattr(getattr(model, "preprocessor", None), "image_converter", None)
    if not hasattr(converter, "crop_to_aspect_ratio"):
        return Preprocessing()
    return Preprocessing.from_keras_hub(converter)


def _is_overridden(converter: Any, name: str) -> bool:
    """Whether one of keras_hub's own converters, or somebody's, replaces what `ImageConverter` does."""
    owner = next((kind for kind in type(converter).__mro__ if name in vars(kind)), None)
    return owner is not None and owner.__name__ != "ImageConverter" and "ImageConverter" in map(_name, owner.__mro__)


def _name(kind: type) -> str:
    return kind.__name__


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


def on_white(picture: Image.Image) -> Image.Image:
    """A picture with transparency on white, in RGB; any other as it is."""
    if picture.mode != "RGBA":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def _colored(picture: Image.Image, color: Color) -> Image.Image:
    if color == "rgba":
        return picture.convert("RGBA")
    return on_white(picture).convert("L" if color == "grayscale" else "RGB")


def _converted(picture: Image.Image, mode: str, where: str) -> Image.Image:
    try:
        return picture.convert(mode)
    except ValueError as error:
        raise CaseError(f"{where}: pictures of mode {picture.mode} can't be read (convert it to RGB)") from error


def _from_16_bit(picture: Image.Image, where: str) -> Image.Image:
    values = np.asarray(picture).astype(np.int64)
    lowest, highest = values.min(), values.max()
    if lowest < 0 or highest > 65535:
        raise CaseError(
            f"{where}: has pixels from {lowest} to {highest} "
            "(16-bit grey goes from 0 to 65535; save it with 8 or 16 bits)"
        )
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _overlaps(edges: Float64, length: int, cells: int) -> Float64:
    """(cells, n): how much of each of n intervals between edges lies in each cell of [0, length]."""
    borders = _borders(length, cells)
    ends = np.minimum(edges[None, 1:], borders[1:, None])
    starts = np.maximum(edges[None, :-1], borders[:-1, None])
    overlaps: Float64 = np.maximum(ends - starts, 0.0)
    return overlaps


def _gaps(points: Float64, edges: Float64) -> Float64:
    """(points, n): how far each point is from each of n intervals between edges."""
    return np.maximum(np.maximum(edges[None, :-1] - points[:, None], points[:, None] - edges[None, 1:]), 0.0)


@lru_cache
def _borders(length: int, cells: int) -> Float64:
    """Where the cells of [0, length] begin and end: the same for all pictures of a model."""
    borders: Float64 = np.linspace(0.0, length, cells + 1)
    borders.flags.writeable = False
    return borders


def _pixel_edges(inside: npt.NDArray[np.bool_]) -> Float64:
    """All pixel edges from the first to the last row (or column) that has a pixel of the mask."""
    positions = np.flatnonzero(inside)
    edges: Float64 = np.arange(positions[0], positions[-1] + 2, dtype=np.float64)
    return edges


def _as_size(size: object) -> tuple[int, int]:
    sides = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(sides) != 2 or any(isinstance(side, bool) or not isinstance(side, Integral) for side in sides):
        raise TypeError(f"size is {size!r} (must be (height, width), or one int for a square)")
    height, width = (int(side) for side in sides)
    if height < 1 or width < 1:
        raise ValueError(f"size is {size!r} (must be at least one pixel high and wide)")
    return height, width


def _where(image: object) -> str:
    if isinstance(image, Case):
        return image.where
    return f"picture '{os.fspath(image)}'" if isinstance(image, str | os.PathLike) else "picture"
