"""What regions cover of the pixels, and what it is hidden with."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import PHOTO, RNG, covered, hidden, random
from scipy import ndimage
from skimage.segmentation import random_walker

from pytest_cnnaudit import Box, Mask, edits
from pytest_cnnaudit.edits import FILLS
from pytest_cnnaudit.preprocessing import Geometry


def test_coverage_of_a_box_counts_fractions_of_pixels():
    np.testing.assert_array_equal(
        covered(3, 4, (0.5, 0, 2.25, 2)), [[0.5, 1, 0.25, 0], [0.5, 1, 0.25, 0], [0, 0, 0, 0]]
    )


def test_coverage_is_clipped_to_the_picture():
    np.testing.assert_array_equal(covered(2, 2, (-5, -5, 1, 9)), [[1, 0], [1, 0]])


def test_coverage_of_a_mask_is_the_mask():
    mask = np.eye(3, dtype=bool)
    np.testing.assert_array_equal(edits.coverage_of([Mask(mask)], 3, 3), mask)


def test_coverage_of_a_union_counts_nothing_twice():
    mask = np.zeros((2, 4), bool)
    mask[0, :2] = True
    union = edits.coverage_of([Box(0.5, 0, 2.5, 2), Box(1, 0, 2, 2), Mask(mask)], 4, 2)
    np.testing.assert_array_equal(union, [[1, 1, 0.5, 0], [0.5, 1, 0.5, 0]])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-3, 9)] * 2, *[st.floats(0.5, 9)] * 2), min_size=1, max_size=4))
def test_coverage_of_boxes_is_that_of_the_geometry_on_the_whole_picture(drawn):
    boxes = [
        Box.from_xywh(left, top, max(width, 0.5 - left), max(height, 0.5 - top)) for left, top, width, height in drawn
    ]
    expected = Geometry.identity(12, 10).coverage(boxes, (10, 12))
    np.testing.assert_allclose(edits.coverage_of(boxes, 12, 10), expected, atol=1e-6)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_hiding_changes_what_is_covered_and_nothing_else(fill, channels):
    pixels = RNG.integers(0, 256, (24, 32, channels), np.uint8)
    before, coverage = pixels.copy(), covered(24, 32, (4, 6, 20, 18))
    edited = hidden(pixels, coverage, fill)
    assert (edited.shape, edited.dtype) == (pixels.shape, np.uint8)
    np.testing.assert_array_equal(edited[coverage == 0], pixels[coverage == 0])
    assert (edited[coverage == 1] != pixels[coverage == 1]).mean() > 0.9
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize("fill", FILLS)
def test_nothing_and_everything_can_be_hidden(fill):
    nothing, everything = np.zeros((24, 32), np.float32), np.ones((24, 32), np.float32)
    np.testing.assert_array_equal(hidden(PHOTO, nothing, fill), PHOTO)
    assert hidden(PHOTO, everything, fill).std() < 90


def test_a_half_covered_pixel_is_half_filled():
    pixels = np.full((2, 4, 1), 100, np.uint8)
    pixels[:, 2:] = 20  # mean 60
    edited = hidden(pixels, covered(2, 4, (0.5, 0, 2, 2)), "mean")
    np.testing.assert_array_equal(edited[..., 0], [[80, 60, 20, 20]] * 2)


def test_mean_is_the_pictures_own_mean_colour():
    everything = np.ones((24, 32), np.float32)
    expected = np.rint(PHOTO.reshape(-1, 3).mean(axis=0))
    np.testing.assert_array_equal(np.unique(hidden(PHOTO, everything, "mean").reshape(-1, 3), axis=0), [expected])


def test_blur_is_a_gaussian_of_5_percent_of_the_longer_side():
    smooth = ndimage.gaussian_filter(RNG.uniform(0, 255, (120, 160)), 6)
    pixels = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)[..., None]
    blurred = hidden(pixels, np.ones((120, 160), np.float32), "blur")[..., 0].astype(float)
    expected = ndimage.gaussian_filter(pixels[..., 0].astype(float), 0.05 * 160, mode="nearest")
    # Pillow's is three box filters, on 8-bit values, and continues the picture's border otherwise.
    assert np.abs(blurred - expected)[24:-24, 24:-24].max() < 2
    other = ndimage.gaussian_filter(pixels[..., 0].astype(float), 0.05 * 120, mode="nearest")
    assert np.abs(blurred - expected).mean() < 0.5 * np.abs(blurred - other).mean()


def test_noise_is_the_same_for_the_same_seed_only():
    coverage = covered(24, 32, (4, 6, 20, 18))
    np.testing.assert_array_equal(hidden(PHOTO, coverage, "noise", 1), hidden(PHOTO, coverage, "noise", 1))
    assert (hidden(PHOTO, coverage, "noise", 1) != hidden(PHOTO, coverage, "noise", 2)).any()


def test_inpaint_continues_a_linear_ramp_exactly():
    # A linear ramp solves Laplace's equation.
    ramp = np.add.outer(3 * np.arange(24), 4 * np.arange(32)).astype(np.uint8)[..., None]
    coverage = covered(24, 32, (4, 6, 20, 18))
    broken = ramp.copy()
    broken[6:18, 4:20] = 255 - broken[6:18, 4:20]
    np.testing.assert_array_equal(hidden(broken, coverage, "inpaint"), ramp)


def test_inpaint_takes_the_mean_of_the_neighbours_of_one_pixel():
    pixels = np.array([[0, 10, 0], [40, 255, 60], [0, 90, 0]], np.uint8)[..., None]
    assert hidden(pixels, covered(3, 3, (1, 1, 2, 2)), "inpaint")[1, 1, 0] == 50


def test_inpaint_at_the_border_continues_what_is_there():
    pixels = np.full((6, 8, 1), 70, np.uint8)
    pixels[:, :4] = 200
    assert set(hidden(pixels, covered(6, 8, (0, 0, 4, 6)), "inpaint").ravel()) == {70}


def test_inpaint_stays_between_the_values_around_and_takes_none_of_the_object():
    coverage = covered(24, 32, (4, 6, 20, 18))
    pixels = np.where(coverage[..., None] > 0, 255, PHOTO // 2).astype(np.uint8)
    filled = hidden(pixels, coverage, "inpaint")[coverage > 0]
    assert filled.max() <= pixels[coverage == 0].max() < 255


@pytest.mark.parametrize("seed", range(3))
def test_inpaint_is_how_likely_a_random_walk_meets_white_before_black(seed):
    # The probability solves the same equation with the same values around (Grady 2006); rounding leaves a half.
    pixels = 255 * random(seed).integers(0, 2, (24, 32), np.uint8)
    coverage = covered(24, 32, (4, 6, 20, 18), (12, 2, 32, 9))  # an L that reaches the border
    labels = np.where(coverage > 0, 0, 1 + (pixels > 0))
    _, white = random_walker(pixels / 255, labels, beta=0, mode="bf", return_full_prob=True)
    filled = hidden(pixels[..., None], coverage, "inpaint")[..., 0]
    np.testing.assert_allclose(filled[coverage > 0], 255 * white[coverage > 0], rtol=0, atol=0.501)


def test_inpaint_of_everything_is_the_mean_colour():
    everything = np.ones((24, 32), np.float32)
    np.testing.assert_array_equal(hidden(PHOTO, everything, "inpaint"), hidden(PHOTO, everything, "mean"))


def test_inpaint_of_a_large_picture_is_that_of_its_cells():
    # 3 × 3 pixels a cell, and a rest at the right and at the bottom.
    ramp = np.broadcast_to(np.linspace(20, 220, 383), (257, 383))
    pixels = np.rint(ramp).astype(np.uint8)[..., None].copy()
    coverage = covered(257, 383, (100, 60, 300, 200))
    pixels[coverage > 0] = 0
    assert np.abs(hidden(pixels, coverage, "inpaint")[..., 0] - ramp).max() < 3


def test_an_unknown_fill_is_named_with_the_known():
    with pytest.raises(ValueError, match="fill is 'black'; known: 'mean', 'blur', 'noise', 'inpaint'"):
        edits.filling(PHOTO, "black", random())
