"""What the figures are made of: captioned tiles, heatmaps over images, regions, colors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from pytest_cnnaudit import Box, Case

Pixels: TypeAlias = npt.NDArray[np.uint8]

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures"
IMAGES = ROOT / "docs" / "images"
SIDE, GAP, CAPTION = 192, 8, 30
COLUMNS = 5
INK, PAPER = "#1a1a1a", "#ffffff"
# Stops of the colour maps from no evidence to the strongest, those of the report's pages.
JET = ("00007f", "0000ff", "007fff", "00ffff", "7fff7f", "ffff00", "ff7f00", "ff0000", "7f0000")
VIRIDIS = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")


def photograph(case: Case) -> Image.Image:
    """The picture of a case."""
    return Image.open(Path(str(case.image))).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def framed(photo: Image.Image, case: Case) -> Image.Image:
    """The picture with its region outlined in green, and in red where no evidence may be."""
    drawn = photo.copy()
    pen = ImageDraw.Draw(drawn)
    for regions, colour in ((case.regions, "#00c853"), (case.forbidden_regions, "#ff1744")):
        for box in regions:
            assert isinstance(box, Box)  # the fixtures have no masks
            pen.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), outline=colour, width=2)
    return drawn


def overlaid(photo: Image.Image, heatmap: npt.NDArray[np.float32]) -> Image.Image:
    """The heatmap, divided by its maximum, in jet over the picture: 0.4 of it and 0.6 of the picture.

    The picture is grey, so that all colour is the map's.
    """
    peak = heatmap.max()
    levels = heatmap / peak if peak > 0 else heatmap
    return Image.blend(photo.convert("L").convert("RGB"), Image.fromarray(coloured(levels, JET)), 0.4)


def enlarged(cells: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The cells of a map as they are measured, without smoothing."""
    rows, columns = (-(-SIDE // side) for side in cells.shape)
    return np.kron(cells, np.ones((rows, columns), np.float32))[:SIDE, :SIDE].astype(np.float32)


def coloured(levels: npt.NDArray[np.floating[Any]], stops: Sequence[str]) -> Pixels:
    """Levels from 0 to 1 as RGB."""
    colours = np.array([[int(stop[at : at + 2], 16) for at in (0, 2, 4)] for stop in stops])
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(levels, places, colours[:, channel]) for channel in range(3)]
    return np.asarray(np.rint(np.stack(channels, axis=-1)), np.uint8)


def sheet(tiles: Sequence[tuple[Image.Image, str]]) -> Image.Image:
    """Captioned tiles in rows."""
    rows = -(-len(tiles) // COLUMNS)
    step, line = SIDE + GAP, SIDE + CAPTION + GAP
    drawn = Image.new("RGB", (COLUMNS * step + GAP, rows * line), PAPER)
    for index, (tile, name) in enumerate(tiles):
        row, column = divmod(index, COLUMNS)
        left, top = GAP + column * step, GAP + row * line
        drawn.paste(tile, (left, top))
        caption(drawn, name, left + SIDE // 2, top + SIDE)
    return drawn


def caption(drawn: Image.Image, text: str, middle: int, top: int) -> None:
    """Write a text centred below a tile."""
    ImageDraw.Draw(drawn).text((middle, top + CAPTION / 2), text, INK, ImageFont.load_default(17), anchor="mm")


def save(picture: Image.Image, name: str) -> None:
    """Write one picture."""
    path = IMAGES / f"{name}.webp"
    picture.save(path, quality=85, method=6)
    print(f"{path.relative_to(ROOT)}: {picture.width} × {picture.height}, {path.stat().st_size / 1000:.0f} kB")
