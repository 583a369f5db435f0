"""Patches and backgrounds."""

import numpy as np
import pytest
from photos import PHOTO, covered
from PIL import Image

from pytest_cnnaudit import Box, edits


def test_a_patch_lies_where_it_is_put():
    patch = Image.new("RGB", (3, 2), (1, 2, 3))
    edited = edits.pasted(PHOTO, patch, 5, 7).copy()
    assert (edited[7:9, 5:8] == (1, 2, 3)).all()
    edited[7:9, 5:8] = PHOTO[7:9, 5:8]
    np.testing.assert_array_equal(edited, PHOTO)


def test_a_patch_beyond_the_border_is_cut_off():
    edited = edits.pasted(PHOTO, Image.new("L", (4, 4), 9), -2, 22)
    assert (edited[22:, :2] == 9).all()
    np.testing.assert_array_equal(edited[:22], PHOTO[:22])


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        (Box(5, 7, 8, 9), (7, 9), (5, 8)),
        (Box(5.6, 7.5, 7.2, 8.5), (7, 9), (5, 8)),
        (Box(31.6, 23.6, 32, 24), (23, 24), (31, 32)),
        (Box(-3, -3, 0.4, 0.4), (0, 1), (0, 1)),
        (Box(-1e9, 23.9, 1e9, 1e9), (23, 24), (0, 32)),
    ],
)
def test_a_patch_covers_all_pixels_that_a_box_touches(box, rows, columns):
    edited = edits.pasted_into(PHOTO, Image.new("RGB", (3, 2), (1, 2, 3)), box).copy()
    part = (slice(*rows), slice(*columns))
    assert (edited[part] == (1, 2, 3)).all()
    edited[part] = PHOTO[part]
    np.testing.assert_array_equal(edited, PHOTO)


def test_a_patch_keeps_its_size_where_its_box_reaches_beyond_the_picture():
    ground, patch = np.full((6, 6, 1), 7, np.uint8), Image.fromarray(PHOTO[:9, :5])
    whole = edits.pasted(ground, patch.resize((4, 4), Image.Resampling.LANCZOS), -2, 1)
    edited = edits.pasted_into(ground, patch, Box(-2, 1, 2, 5))
    np.testing.assert_allclose(edited.astype(int), whole.astype(int), atol=6)  # as near as Pillow resizes a part


def test_a_patchs_transparency_is_honoured():
    patch = np.zeros((1, 3, 4), np.uint8)
    patch[0, :, 0], patch[0, :, 3] = 200, (0, 51, 255)
    ground = np.full((1, 3, 3), 100, np.uint8)
    edited = edits.pasted(ground, Image.fromarray(patch), 0, 0)
    # 0.2 · 200 + 0.8 · 100 and 0.2 · 0 + 0.8 · 100.
    np.testing.assert_array_equal(edited[0], [(100, 100, 100), (120, 80, 80), (200, 0, 0)])


@pytest.mark.parametrize(
    ("channels", "mode", "expected"), [(1, "L", 1), (1, "RGB", 3), (3, "L", 3), (4, "RGBA", 4), (4, "RGB", 4)]
)
def test_a_grey_picture_gets_colours_only_from_a_coloured_one(channels, mode, expected):
    pixels = np.full((4, 4, channels), 255, np.uint8)
    assert edits.pasted(pixels, Image.new(mode, (2, 2)), 0, 0).shape == (4, 4, expected)
    assert edits.on_background(pixels, covered(4, 4, (0, 0, 2, 2)), Image.new(mode, (9, 5))).shape == (4, 4, expected)


def test_an_opaque_picture_stays_opaque_under_a_half_transparent_patch():
    pixels = np.full((2, 2, 4), 255, np.uint8)
    edited = edits.pasted(pixels, Image.new("RGBA", (2, 2), (0, 0, 0, 128)), 0, 0)
    assert (edited[..., 3] == 255).all()


def test_a_background_stands_for_everything_outside():
    ground = Image.new("RGB", (64, 48), (9, 8, 7))
    coverage = covered(24, 32, (4, 6, 20, 18))
    edited = edits.on_background(PHOTO, coverage, ground)
    np.testing.assert_array_equal(edited[6:18, 4:20], PHOTO[6:18, 4:20])
    assert (edited[coverage == 0] == (9, 8, 7)).all()


def test_of_a_background_the_middle_of_the_right_proportions_is_taken():
    ground = np.zeros((10, 40), np.uint8)
    ground[:, 15:25] = 200  # the square in the middle
    edited = edits.on_background(
        np.zeros((20, 20, 1), np.uint8), np.zeros((20, 20), np.float32), Image.fromarray(ground)
    )
    assert (edited[:, 1:-1] == 200).all()  # the outermost columns are mixed with what was cut off
