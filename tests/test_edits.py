"""Edits of pictures: what is hidden, with what, where the controls lie, patches and backgrounds, and every edge."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from skimage.segmentation import random_walker

from pytest_cnnaudit import Box, Mask, edits
from pytest_cnnaudit.edits import FILLS
from pytest_cnnaudit.preprocessing import Geometry

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (24, 32, 3), np.uint8)


def random(seed=0):
    return np.random.default_rng(seed)


def covered(height, width, *boxes):
    return edits.coverage_of([Box(*box) for box in boxes], width, height)


def hidden(pixels, coverage, fill, seed=0):
    return edits.blended(pixels, edits.filling(pixels, fill, random(seed))(coverage), coverage)


# --- Coverage --------------------------------------------------------------------------------------------


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


# --- Fills -----------------------------------------------------------------------------------------------


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


# --- Controls --------------------------------------------------------------------------------------------


def test_controls_hide_the_same_shape_off_the_region():
    coverage = covered(24, 32, (4.5, 6, 10, 18))
    controls = edits.controls(coverage, random())
    assert len(controls) == 3
    for control in controls:
        assert not (control * coverage).any()
        rows, columns = np.nonzero(control)
        top, left = rows.min(), columns.min()
        np.testing.assert_array_equal(control[top : top + 12, left : left + 6], coverage[6:18, 4:10])
        assert control.sum() == pytest.approx(coverage.sum())
    assert len({control.tobytes() for control in controls}) == 3


def test_controls_are_those_of_the_seed():
    coverage = covered(24, 32, (4, 6, 10, 18))
    one, again, other = (edits.controls(coverage, random(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (np.array(one) != np.array(other)).any()


def test_a_control_of_a_region_at_the_border_fits_where_it_just_does():
    # 2 × 4 in a 4 × 4 picture leaves one place, which all three take.
    controls = edits.controls(covered(4, 4, (0, 0, 2, 4)), random())
    np.testing.assert_array_equal(controls, [covered(4, 4, (2, 0, 4, 4))] * 3)


def test_a_shape_may_fit_beside_itself_within_its_own_bounds():
    # A staircase of three steps in five rows and columns of blocks: moved aside by one block it fits.
    stairs = np.pad(np.kron(np.eye(3, dtype=np.float32), np.ones((2, 2), np.float32)), ((0, 0), (0, 2)))
    assert edits._places(stairs).tolist() == [[0, 2]]


def test_without_room_for_the_shape_as_many_pixels_outside_are_taken_in_blocks():
    coverage = covered(64, 64, (0, 0, 64, 36))  # 36 of 64 rows: the shape fits nowhere else
    for control in edits.controls(coverage, random()):
        assert not (control * coverage).any()
        assert set(np.unique(control)) == {0, 1}
        # 28 rows are left, fewer than were hidden: all of them.
        assert control.sum() == 28 * 64


def test_blocks_are_whole_and_differ_between_controls():
    coverage = np.zeros((64, 64), np.float32)
    coverage[28:32, :] = coverage[:, 28:32] = 1  # a cross of 31 blocks of 4 × 4 pixels, which fits nowhere else
    controls = edits.controls(coverage, random())
    assert len({control.tobytes() for control in controls}) == 3
    for control in controls:
        assert not (control * coverage).any()
        blocks = control.reshape(16, 4, 16, 4).sum(axis=(1, 3))
        assert sorted(np.unique(blocks, return_counts=True)[1]) == [31, 225]


def test_a_region_that_fills_the_picture_leaves_nothing_to_hide():
    for control in edits.controls(np.ones((5, 7), np.float32), random()):
        assert not control.any()


def test_a_region_of_a_fraction_of_a_pixel_has_controls_of_as_little():
    coverage = covered(5, 5, (0.25, 0.25, 0.5, 0.5))
    for control in edits.controls(coverage, random()):
        assert control.max() == pytest.approx(0.0625)
        assert not (control * coverage).any()


def test_large_pictures_are_searched_in_steps():
    coverage = covered(600, 1000, (100, 100, 500, 500))
    for control in edits.controls(coverage, random()):
        assert control.sum() == coverage.sum()
        assert not (control * coverage).any()


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 20), st.integers(3, 20), st.data(), st.integers(0, 2**32 - 1))
def test_a_control_never_touches_the_region_and_never_hides_more(height, width, data, seed):
    cells = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width).filter(any))
    coverage = np.array(cells, np.float32).reshape(height, width)
    assert places(coverage) == brute_force(coverage)
    for control in edits.controls(coverage, random(seed)):
        assert not (control * coverage).any()
        assert control.sum() == min(coverage.sum(), (coverage == 0).sum())


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 20), st.integers(3, 20), st.data())
def test_a_rectangle_finds_every_place_beside_itself(height, width, data):
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    coverage = covered(height, width, (left, top, right, bottom))
    assert places(coverage) == brute_force(coverage)


def test_a_small_shape_that_is_no_rectangle_finds_every_place_of_a_large_picture():
    # Most moves are farther than the shape is large, up as well as down.
    coverage = covered(15, 19, (8, 6, 11, 7), (8, 7, 9, 9))
    assert places(coverage) == brute_force(coverage)


def places(coverage):
    return sorted(map(tuple, edits._places(coverage).tolist()))


def brute_force(coverage):
    height, width = coverage.shape
    moves = ((down, across) for down in range(-height, height + 1) for across in range(-width, width + 1))
    fitting = [move for move in moves if _fits(coverage, coverage, *move)]
    around = ndimage.binary_dilation(coverage, np.ones((3, 3)))
    return [move for move in fitting if _fits(coverage, around, *move)] or fitting


def _fits(coverage, taken, down, across):
    rows, columns = np.nonzero(coverage)
    inside = (rows + down >= 0) & (rows + down < len(coverage))
    inside &= (columns + across >= 0) & (columns + across < coverage.shape[1])
    return inside.all() and not taken[rows + down, columns + across].any()


# --- Patches and backgrounds -----------------------------------------------------------------------------


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
