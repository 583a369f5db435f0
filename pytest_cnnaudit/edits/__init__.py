"""Changed images of cases, made of the upright images before preprocessing: hidden parts, patches, backgrounds, moves.

Pixels are a uint8 array `(H, W, C)` of 1, 3 or 4 channels. Coverage is `(H, W)`: the share of each pixel that is
meant, from 0 to 1. Nothing that is handed over is changed.
PYTEST_DONT_REWRITE
"""

from pytest_cnnaudit.edits.backgrounds import OnBackground, on_background, on_backgrounds
from pytest_cnnaudit.edits.controls import controls
from pytest_cnnaudit.edits.curves import Curves, Order, RandomOrder, Step, cells_after, curves_of, steps_of
from pytest_cnnaudit.edits.edited_images import Edit, EditedImage, LastOpened, Original, Subject, edited
from pytest_cnnaudit.edits.fills import BLUR, FILLS, Fill, check_fill, filling
from pytest_cnnaudit.edits.hiding import Alone, Hidden, hidden_and_controls
from pytest_cnnaudit.edits.patches import (
    CORNERS,
    AtSpot,
    Corner,
    InBox,
    Patch,
    Place,
    pasted,
    pasted_into,
    patched,
)
from pytest_cnnaudit.edits.pixels import Coverage, Pixels, as_picture, as_pixels, blended, coverage_of
from pytest_cnnaudit.edits.transforms import PICTURE_MOVES, PictureMove, Transform, TransformedImage

__all__ = [
    "BLUR",
    "CORNERS",
    "FILLS",
    "PICTURE_MOVES",
    "Alone",
    "AtSpot",
    "Corner",
    "Coverage",
    "Curves",
    "Edit",
    "EditedImage",
    "Fill",
    "Hidden",
    "InBox",
    "LastOpened",
    "OnBackground",
    "Order",
    "Original",
    "Patch",
    "PictureMove",
    "Pixels",
    "Place",
    "RandomOrder",
    "Step",
    "Subject",
    "Transform",
    "TransformedImage",
    "as_picture",
    "as_pixels",
    "blended",
    "cells_after",
    "check_fill",
    "controls",
    "coverage_of",
    "curves_of",
    "edited",
    "filling",
    "hidden_and_controls",
    "on_background",
    "on_backgrounds",
    "pasted",
    "pasted_into",
    "patched",
    "steps_of",
]
