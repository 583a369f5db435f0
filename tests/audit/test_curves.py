"""The images of the insertion and the deletion curve."""

import numpy as np
import pytest
from explained import CASES
from pytest_cnnaudit.audit.perturbing import Curves

from pytest_cnnaudit import Case, Preprocessing
from pytest_cnnaudit.edits import as_pixels
from pytest_cnnaudit.preprocessing import Geometry, open_picture


def pixels(one):
    return as_pixels(open_picture(one))


def grid_of(one):
    return pixels(one), Geometry.identity(4, 4), (4, 4)


class TestCurves:
    def test_fractions_are_of_the_pixels_not_of_the_cells(self):
        # 3 columns of 5 pixels: their centres are in cells of 2, 1 and 2 columns.
        one = Case(np.zeros((3, 5, 3), np.uint8))
        curves = Curves(pixels(one), Geometry.identity(5, 3), (1, 3))
        counts, shares = curves.steps(np.array([1, 0, 2]), 3)
        assert counts.tolist() == [0, 1, 2, 3]
        assert shares.tolist() == pytest.approx([0, 0.2, 0.6, 1])

    def test_pixels_that_are_cropped_away_don_t_count(self):
        one = Case(np.zeros((4, 8, 3), np.uint8))
        _, geometry = Preprocessing(4, resize="crop", color="rgb")(one)
        curves = Curves(pixels(one), geometry, (2, 2))
        assert curves.steps(np.arange(4), 4)[1].tolist() == [0, 0.25, 0.5, 0.75, 1]

    def test_cells_of_the_padding_hold_no_pixels(self):
        one = Case(np.zeros((4, 8, 3), np.uint8))
        _, geometry = Preprocessing(8, resize="pad", color="rgb")(one)
        curves = Curves(pixels(one), geometry, (4, 1))  # the picture is in the two in the middle
        assert curves.steps(np.arange(4), 4)[1].tolist() == [0, 0, 0.5, 1, 1]

    def test_the_ends_are_the_blurred_the_filled_and_the_untouched_picture(self):
        one = CASES[0]
        curves = Curves(pixels(one), Geometry.identity(4, 4), (2, 2))
        nothing, start, everything, covered = map(np.asarray, curves.pictures(np.arange(4), np.array([0, 4])))
        np.testing.assert_array_equal(nothing, np.asarray(curves.blurred))
        np.testing.assert_array_equal(start, one.image)
        np.testing.assert_array_equal(everything, one.image)
        assert (covered == np.rint(one.image.reshape(-1, 3).mean(axis=0))).all()

    @pytest.mark.parametrize("shape", [(6, 6, 1), (6, 6, 4)])
    def test_grey_pictures_and_transparent_ones(self, shape):
        one = Case(np.random.default_rng(1).integers(0, 256, shape, np.uint8))
        made = list(Curves(pixels(one), Geometry.identity(6, 6), (2, 2)).pictures(np.arange(4), np.array([2])))
        assert [np.asarray(image).shape for image in made] == [shape, shape]
