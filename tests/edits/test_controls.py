"""Where the controls lie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos import covered, random
from scipy import ndimage

from pytest_cnnaudit import edits
from pytest_cnnaudit.edits.controls import places


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
    assert places(stairs).tolist() == [[0, 2]]


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
    assert found_places(coverage) == brute_force(coverage)
    for control in edits.controls(coverage, random(seed)):
        assert not (control * coverage).any()
        assert control.sum() == min(coverage.sum(), (coverage == 0).sum())


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 20), st.integers(3, 20), st.data())
def test_a_rectangle_finds_every_place_beside_itself(height, width, data):
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    coverage = covered(height, width, (left, top, right, bottom))
    assert found_places(coverage) == brute_force(coverage)


def test_a_small_shape_that_is_no_rectangle_finds_every_place_of_a_large_picture():
    # Most moves are farther than the shape is large, up as well as down.
    coverage = covered(15, 19, (8, 6, 11, 7), (8, 7, 9, 9))
    assert found_places(coverage) == brute_force(coverage)


def found_places(coverage):
    return sorted(map(tuple, places(coverage).tolist()))


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
