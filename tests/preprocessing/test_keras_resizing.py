"""Resizing as Keras does it: the part of the picture in whole pixels, and the weights, worked out by hand."""

import numpy as np
import pytest

from pytest_cnnaudit import Box, KerasResizing, Preprocessing
from pytest_cnnaudit.preprocessing.keras_resizing import frame


def resized(values, size, resize="stretch", **options):
    pixels = np.asarray(values, np.uint8)[..., None]
    found, part = KerasResizing(**options).resized(pixels, size, resize)
    return found[..., 0].tolist(), part


@pytest.mark.parametrize(
    ("source", "size", "resize", "part"),
    [
        ((101, 64), (64, 64), "stretch", (0, 0, 101, 64)),
        # Half of the 37 pixels too many is 18.5: Keras begins at 18.
        ((101, 64), (64, 64), "crop", (18, 0, 64, 64)),
        ((64, 101), (64, 64), "crop", (0, 18, 64, 64)),
        # 100 · 33 / 70 = 47.1: 47 of the 60 rows stay.
        ((100, 60), (33, 70), "crop", (0, 6, 100, 47)),
        ((1, 500), (4, 1), "crop", (0, 248, 1, 4)),
        # The same on both sides, so 36 pixels for the 37 that are missing.
        ((101, 64), (64, 64), "pad", (0, -18, 101, 100)),
        ((64, 101), (64, 64), "pad", (-18, 0, 100, 101)),
    ],
)
def test_the_part_of_the_picture_is_in_whole_pixels(source, size, resize, part):
    assert frame(*source, size, resize) == part


def test_a_picture_of_the_right_size_is_left_exactly_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    for interpolation in ("nearest", "bilinear", "bicubic"):
        found, _ = KerasResizing(interpolation).resized(pixels, (5, 7), "crop")
        np.testing.assert_array_equal(found, pixels)


def test_bilinear_takes_the_two_nearest_pixels_however_small_the_result():
    # The centres of two pixels of four are at 1 and 3: half of each neighbour.
    assert resized([[0, 10, 100, 200]], (1, 2)) == ([[5.0, 150.0]], (0, 0, 4, 1))
    # Of eight: at 2 and 6, and the four pixels at the sides count for nothing.
    assert resized([[99, 0, 10, 99, 99, 20, 40, 99]], (1, 2))[0] == [[5.0, 30.0]]


def test_antialiasing_takes_all_pixels_in_reach():
    # Triangles of half width 2 around 1 and 3: weights 3, 3, 1 of 7, the fourth pixel is out of reach.
    assert resized([[0, 7, 70, 70]], (1, 2), antialias=True)[0] == [
        [pytest.approx((3 * 0 + 3 * 7 + 70) / 7), pytest.approx((7 + 3 * 70 + 3 * 70) / 7)]
    ]


def test_enlarging_repeats_the_border():
    assert resized([[0, 40]], (1, 4))[0] == [[0.0, 10.0, 30.0, 40.0]]


def test_nearest_takes_the_pixel_at_the_centre():
    assert resized([[1, 2, 3]], (1, 2), interpolation="nearest")[0] == [[1.0, 3.0]]


def test_padding_is_black():
    assert resized([[100, 100]], (2, 2), "pad") == ([[100.0, 100.0], [100.0, 100.0]], (0, 0, 2, 1))
    assert resized([[100] * 4] * 2, (4, 4), "pad") == ([[0] * 4, [100] * 4, [100] * 4, [0] * 4], (0, -1, 4, 4))


def test_values_are_not_rounded():
    assert resized([[0, 1]], (1, 1))[0] == [[0.5]]


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(40, 40), (31, 57)])
def test_boxes_go_where_the_pixels_go(resize, size):
    pixels = np.zeros((70, 101), np.uint8)
    pixels[20:50, 30:60] = 255
    preprocessing = Preprocessing(size, resize=resize, color="grayscale", resizing=KerasResizing())
    inputs, geometry = preprocessing(pixels)
    coverage = geometry.coverage(Box(30, 20, 60, 50), size)
    # Interpolation blurs the box's border; the pixels wholly in it and wholly out of it are where the box says.
    inside, outside = coverage == 1, coverage == 0
    assert inside.sum() > 50
    assert (np.abs(inputs[..., 0] / 255 - coverage) <= 0.5 + 1e-6).all()
    assert inputs[..., 0][inside].min() > 100
    assert inputs[..., 0][outside].max() < 155
    assert abs(inputs.mean() / 255 - coverage.mean()) < 0.01


def test_it_is_refused_by_name():
    with pytest.raises(ValueError, match=r"interpolation is 'area' .*must be one of nearest, bilinear"):
        KerasResizing("area")
    with pytest.raises(TypeError, match=r"resizing is 'keras' .*must be a KerasResizing"):
        Preprocessing(resizing="keras")
