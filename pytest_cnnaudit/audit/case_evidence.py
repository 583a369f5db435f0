"""What a page shows of a case: the image, the regions, the heatmap over it, the most probable classes.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pytest_cnnaudit.cases import Box, Case, InputRow, Mask, Sample, open_picture
from pytest_cnnaudit.edits import EditedImage, TransformedImage, as_picture
from pytest_cnnaudit.findings import (
    ClassProbability,
    ImageEvidence,
    Role,
    ShownHeatmap,
    ShownImage,
    ShownRegion,
    TextEvidence,
)
from pytest_cnnaudit.preprocessing import Preprocessing

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps, Predictions

LONGEST_SIDE = 512
LONGEST_SIDE_OF_FURTHER = 256


def case_image(case: Sample, *, embed: bool, longest_side: int = LONGEST_SIDE) -> ShownImage:
    """The upright image, at most 512 pixels on its longest side, with its size in original pixels.

    Model input has no colors of its own: it is stretched, and says so.
    """
    if isinstance(case, InputRow):
        return _inputs(case.inputs, case, embed, longest_side)
    return shown(open_picture(case), embed=embed, longest_side=longest_side)


def _inputs(inputs: npt.NDArray[np.float32], untouched: InputRow, embed: bool, longest_side: int) -> ShownImage:
    """Model input, stretched as the untouched row is."""
    low, high = float(untouched.inputs.min()), float(untouched.inputs.max())
    image = shown(_stretched(inputs, low, high), embed=embed, longest_side=longest_side)
    channels = inputs.shape[-1]
    of = "" if channels in (1, 3) else f", mean of its {channels} channels"
    caption = f"Model input{of}, stretched from its minimum {low:.4g} to its maximum {high:.4g}"
    return replace(image, caption=caption)


def _stretched(inputs: npt.NDArray[np.float32], low: float, high: float) -> Image.Image:
    """Gray for 1 channel, colors for 3; else gray, the mean of the channels."""
    shares = (inputs - low) / (high - low) if high > low else np.zeros_like(inputs)
    pixels = np.rint(255 * np.clip(shares, 0, 1))
    return Image.fromarray((pixels if pixels.shape[-1] == 3 else pixels.mean(axis=-1)).astype(np.uint8))


def further_case(case: Sample | TransformedImage, *, embed: bool) -> ShownImage:
    """The image of a case for another's further views, of which there are many: at most 256 pixels."""
    if not isinstance(case, TransformedImage):
        return case_image(case, embed=embed, longest_side=LONGEST_SIDE_OF_FURTHER)
    if isinstance(case.case, InputRow):
        return _inputs(case.inputs(), case.case, embed, LONGEST_SIDE_OF_FURTHER)
    return shown(open_picture(case.picture()), embed=embed, longest_side=LONGEST_SIDE_OF_FURTHER)


def edited_image(image: EditedImage, preprocessing: Preprocessing, *, embed: bool) -> ShownImage:
    """An edit of a case, rendered again, for the case's further views."""
    pixels = image.pixels(preprocessing)
    if isinstance(image.case, InputRow):
        return _inputs(pixels, image.case, embed, LONGEST_SIDE_OF_FURTHER)
    return shown(as_picture(pixels), embed=embed, longest_side=LONGEST_SIDE_OF_FURTHER)


def shown(image: Image.Image, *, embed: bool, longest_side: int = LONGEST_SIDE) -> ShownImage:
    """An image, unless it is to be kept out of the page, with its size in original pixels."""
    width, height = image.size
    return ShownImage(data_url(image, longest_side) if embed else None, width, height)


def data_url(image: Image.Image, longest_side: int = LONGEST_SIDE) -> str:
    """An image as JPEG; a tiny one, of which each pixel is seen, as PNG."""
    small = max(image.size) <= 64
    image = image.convert("RGB")
    image.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, **({"format": "PNG"} if small else {"format": "JPEG", "quality": 88}))
    return f"data:image/{'png' if small else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def regions(case: Sample, given: Sequence[Box | Mask] | None, role: Role, *, embed: bool) -> tuple[ShownRegion, ...]:
    """The case's regions, or those that stand for them; without `embed` a mask is its box."""
    if given is not None:
        return tuple(_region(one, role, embed) for one in given)
    inside = [_region(one, "inside", embed) for one in case.regions]
    return (*inside, *(_region(one, "forbidden", embed) for one in case.forbidden_regions))


def _region(region: Box | Mask, role: Role, embed: bool) -> ShownRegion:
    if isinstance(region, Box):
        return ShownRegion(role, box=(region.left, region.top, region.right, region.bottom))
    if not embed:
        rows, columns = np.nonzero(region.array)
        edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        left, top, right, bottom = (float(edge) for edge in edges)
        return ShownRegion(role, box=(left, top, right, bottom))
    mask = Image.fromarray(np.where(region.array, 255, 0).astype(np.uint8))
    mask.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    mask.convert("1").save(buffer, format="PNG")
    return ShownRegion(role, mask=f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}")


def heatmap(maps: Heatmaps, index: int) -> ShownHeatmap | None:
    """The map on its own grid, divided by its maximum, 8 bits a cell; None for an empty one."""
    if maps.empty[index]:
        return None
    raw = maps.maps[index]
    cells = np.rint(raw / raw.max() * 255).astype(np.uint8)
    height, width = cells.shape
    frame = maps.geometries[index].frame
    values = base64.b64encode(cells.tobytes()).decode()
    return ShownHeatmap(height, width, values, (frame.left, frame.top, frame.right, frame.bottom))


def predictions(predicted: Predictions, index: int, k: int = 5) -> tuple[ClassProbability, ...]:
    """The most probable classes."""
    return tuple(ClassProbability(name, probability) for name, probability in predicted.top(k)[index])


def user_evidence(item: Any, *, embed: bool) -> ImageEvidence | TextEvidence:
    """What a user hands to `check`: a text, a `Case`, an image or a path of one."""
    if isinstance(item, str):
        return TextEvidence("Evidence", item)
    case = item if isinstance(item, Case) else Case(item)
    return ImageEvidence(case.name, case_image(case, embed=embed))
