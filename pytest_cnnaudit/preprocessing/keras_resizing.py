"""Pictures resized as Keras does it: cut or padded at whole pixels, in floats, by default without antialiasing.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

Interpolation: TypeAlias = Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]
Resize: TypeAlias = Literal["stretch", "crop", "pad"]
Float32: TypeAlias = "npt.NDArray[np.float32]"
Frame: TypeAlias = tuple[int, int, int, int]
"""Left, top, width and height in whole pixels of the original; it may reach beyond the picture."""


@dataclass(frozen=True)
class KerasResizing:
    """Resizing as `keras.layers.Resizing`, `image_dataset_from_directory` and keras_hub's `ImageConverter` do it.

    The arithmetic is that of `tf.image.resize` and `jax.image.resize`; PyTorch's bicubic without antialiasing
    is another one. Values stay floats, where Pillow rounds them to whole numbers.
    """

    interpolation: Interpolation = "bilinear"
    antialias: bool = False

    def __post_init__(self) -> None:
        known = get_args(Interpolation)
        if self.interpolation not in known:
            raise ValueError(f"interpolation is {self.interpolation!r} (must be one of {', '.join(known)})")

    def resized(self, pixels: Any, size: tuple[int, int], resize: Resize) -> tuple[Float32, Frame]:
        """Pixels (H, W, C) in the size (height, width), and which part of the original they show."""
        left, top, width, height = part = frame(pixels.shape[1], pixels.shape[0], size, resize)
        rows, above = _used(self._along(height, size[0]), top, pixels.shape[0])
        columns, beside = _used(self._along(width, size[1]), left, pixels.shape[1])
        # Only what is used is made floats: without antialiasing that is little of a large photo.
        taken = pixels[above][:, beside].astype(np.float32)
        shrunk = np.tensordot(rows, taken, axes=(1, 0))
        return np.ascontiguousarray(np.einsum("xw,hwc->hxc", columns, shrunk, optimize=True), np.float32), part

    def _along(self, source: int, target: int) -> Float32:
        """(target, source): how much of each pixel of an axis is in each pixel of the resized one."""
        centres = (np.arange(target) + 0.5) * source / target
        if self.interpolation == "nearest":
            weights = np.zeros((target, source), np.float32)
            weights[np.arange(target), np.floor(centres).astype(int)] = 1
            return weights
        width = max(1.0, source / target) if self.antialias else 1.0
        distances = np.abs(centres[:, None] - (np.arange(source) + 0.5)) / width
        shares = _KERNELS[self.interpolation](distances)
        return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


def _used(weights: Float32, start: int, length: int) -> tuple[Float32, npt.NDArray[np.intp]]:
    """The weights of pixels that count, and their positions in an axis of this length; what is beyond it is black."""
    positions = np.flatnonzero(weights.any(axis=0))
    positions = positions[(positions + start >= 0) & (positions + start < length)]
    return weights[:, positions], positions + start


def frame(width: int, height: int, size: tuple[int, int], resize: Resize) -> Frame:
    """The part of a picture that becomes the resized one, rounded to whole pixels as Keras rounds."""
    if resize == "stretch":
        return 0, 0, width, height
    fitting_height, fitting_width = width * size[0] // size[1], height * size[1] // size[0]
    if resize == "crop":
        inner_height, inner_width = max(1, min(height, fitting_height)), max(1, min(width, fitting_width))
        return (width - inner_width) // 2, (height - inner_height) // 2, inner_width, inner_height
    beside, above = (max(width, fitting_width) - width) // 2, (max(height, fitting_height) - height) // 2
    # The same on both sides, so an odd remainder is stretched over.
    return -beside, -above, width + 2 * beside, height + 2 * above


def _triangle(x: Any) -> Any:
    return np.maximum(0, 1 - x)


def _cubic(x: Any) -> Any:
    """Keys' kernel with a = −1/2."""
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(radius: int) -> Callable[[Any], Any]:
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)


_KERNELS: dict[str, Callable[[Any], Any]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
