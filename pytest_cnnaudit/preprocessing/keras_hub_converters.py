"""What a keras_hub `ImageConverter` does to images, without keras_hub.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pytest_cnnaudit.preprocessing.keras_resizing import KerasResizing

if TYPE_CHECKING:
    import numpy.typing as npt

Float32: TypeAlias = "npt.NDArray[np.float32]"


def converter_settings(converter: Any) -> dict[str, Any]:
    """The arguments of the `Preprocessing` that does the same; `ValueError` where the converter has its own way."""
    own = next((name for name in ("call", "_call_python") if _is_overridden(converter, name)), None)
    if own is not None:
        raise ValueError(
            f"{type(converter).__name__} converts pictures in a way of its own ({own}), which can't be "
            "followed here: say as a Preprocessing how pictures become model input"
        )
    crops, pads = bool(converter.crop_to_aspect_ratio), bool(converter.pad_to_aspect_ratio)
    scales = converter.scale is not None or converter.offset is not None
    return {
        "size": converter.image_size,
        "resize": "crop" if crops else "pad" if pads else "stretch",
        "scale": ScaleAndOffset(converter.scale, converter.offset) if scales else None,
        "resizing": KerasResizing(converter.interpolation, bool(converter.antialias)),
    }


@dataclass(frozen=True)
class ScaleAndOffset:
    """pixels · scale + offset, each one number, one a channel, or None."""

    scale: Any
    offset: Any

    def __call__(self, pixels: Float32) -> Float32:
        """Scaled and moved, float32."""
        scaled = pixels if self.scale is None else pixels * np.asarray(self.scale, np.float32)
        return scaled if self.offset is None else scaled + np.asarray(self.offset, np.float32)


def _is_overridden(converter: Any, name: str) -> bool:
    """Whether one of keras_hub's own converters, or somebody's, replaces what `ImageConverter` does."""
    owner = next((kind for kind in type(converter).__mro__ if name in vars(kind)), None)
    return owner is not None and owner.__name__ != "ImageConverter" and "ImageConverter" in map(_name, owner.__mro__)


def _name(kind: type) -> str:
    return kind.__name__
