"""What a page shows of a case: the picture, the regions, the heatmap over it, the top predictions.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_cnnaudit.cases import Box, Case, InputRow, Mask, Sample
from pytest_cnnaudit.preprocessing import open_picture

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps, Predictions

_LONGEST_SIDE = 512


def case_picture(case: Sample, *, embed: bool, longest_side: int = _LONGEST_SIDE) -> dict[str, Any]:
    """The upright picture, at most 512 pixels on its longest side, with its size in original pixels.

    Model input has no colours of its own: it is stretched, an edit of it as what it was made from, and says so.
    """
    if not isinstance(case, InputRow):
        return shown(open_picture(case), embed=embed, longest_side=longest_side)
    untouched = (case.edited_from or case).inputs
    low, high = float(untouched.min()), float(untouched.max())
    picture = shown(_stretched(case.inputs, low, high), embed=embed, longest_side=longest_side)
    channels = case.inputs.shape[-1]
    of = "" if channels in (1, 3) else f", mean of its {channels} channels"
    return {**picture, "caption": f"Model input{of}, stretched from its minimum {low:.4g} to its maximum {high:.4g}"}


def _stretched(inputs: npt.NDArray[np.float32], low: float, high: float) -> Image.Image:
    """Grey for 1 channel, colours for 3; else grey, the mean of the channels."""
    shares = (inputs - low) / (high - low) if high > low else np.zeros_like(inputs)
    pixels = np.rint(255 * np.clip(shares, 0, 1))
    return Image.fromarray((pixels if pixels.shape[-1] == 3 else pixels.mean(axis=-1)).astype(np.uint8))


def further_case(case: Sample, *, embed: bool) -> dict[str, Any]:
    """The picture of a case for another's further views, of which there are many: at most 256 pixels."""
    return case_picture(case, embed=embed, longest_side=_LONGEST_SIDE // 2)


def further_picture(picture: Image.Image, *, embed: bool) -> dict[str, Any]:
    """An edited picture for a case's further views."""
    return shown(picture, embed=embed, longest_side=_LONGEST_SIDE // 2)


def shown(picture: Image.Image, *, embed: bool, longest_side: int = _LONGEST_SIDE) -> dict[str, Any]:
    """A picture, unless it is to be kept out of the page, with its size in original pixels."""
    width, height = picture.size
    return {"src": data_url(picture, longest_side) if embed else None, "width": width, "height": height}


def data_url(picture: Image.Image, longest_side: int = _LONGEST_SIDE) -> str:
    """A picture as JPEG; a tiny one, of which each pixel is seen, as PNG."""
    small = max(picture.size) <= 64
    picture = picture.convert("RGB")
    picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, **({"format": "PNG"} if small else {"format": "JPEG", "quality": 88}))
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def regions(case: Sample, given: Sequence[Box | Mask] | None, role: str, *, embed: bool) -> list[dict[str, Any]]:
    """The case's regions, or those handed to the assertion instead of them; without `embed` a mask is its box."""
    if given is not None:
        return [_region(one, role, embed) for one in given]
    inside = [_region(one, "inside", embed) for one in case.regions]
    return inside + [_region(one, "forbidden", embed) for one in case.forbidden_regions]


def _region(region: Box | Mask, role: str, embed: bool) -> dict[str, Any]:
    if isinstance(region, Box):
        return {"role": role, "box": [region.left, region.top, region.right, region.bottom]}
    if not embed:
        rows, columns = np.nonzero(region.array)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        return {"role": role, "box": [float(edge) for edge in box]}
    mask = Image.fromarray(np.where(region.array, 255, 0).astype(np.uint8))
    mask.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    mask.convert("1").save(buffer, format="PNG")
    return {"role": role, "mask": f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"}


def heatmap(maps: Heatmaps, index: int) -> dict[str, Any] | None:
    """The map on its own grid, divided by its maximum, 8 bits a cell; None for an empty one."""
    if maps.empty[index]:
        return None
    raw = maps.maps[index]
    cells = np.rint(raw / raw.max() * 255).astype(np.uint8)
    frame = maps.geometries[index].frame
    return {
        "height": cells.shape[0],
        "width": cells.shape[1],
        "values": base64.b64encode(cells.tobytes()).decode(),
        "frame": [frame.left, frame.top, frame.right, frame.bottom],
    }


def predictions(predicted: Predictions, index: int, k: int = 5) -> list[Mapping[str, Any]]:
    """The most probable classes."""
    return [{"name": name, "probability": probability} for name, probability in predicted.top(k)[index]]


def user_evidence(item: Any, *, embed: bool) -> dict[str, Any]:
    """What a user hands to `check`: a text, a `Case`, a picture or a path of one."""
    if isinstance(item, str):
        return {"kind": "text", "title": "Evidence", "text": item}
    case = item if isinstance(item, Case) else Case(item)
    return {"kind": "picture", "title": case.name, "picture": case_picture(case, embed=embed)}
