"""Filter patterns to look at: standardized, cropped, side by side."""

import numpy as np
import pytest

from pytest_cnnaudit import FilterPatterns

pytestmark = pytest.mark.one_backend


def found(images, losses=None, layer="conv"):
    images = np.asarray(images, np.float32)
    losses = np.tile(np.arange(2), (len(images), 1)) if losses is None else losses
    return FilterPatterns(images, np.asarray(losses, np.float32), np.arange(len(images)), layer)


def test_deprocessing_by_hand():
    """Mean 3, standard deviation 2, two of eight pixels beyond 2 deviations after the second picture's scaling."""
    image = np.array([[1, 5], [1, 5]], np.float32)[..., None]
    assert found([image]).pictures(crop=0)[0, ..., 0].tolist() == [[64, 192], [64, 192]]
    outlier = np.zeros((1, 10, 1), np.float32)
    outlier[0, 0] = 10  # mean 1, deviation 3
    assert found([outlier]).pictures(crop=0)[0, 0, :, 0].tolist() == [255] + [106] * 9


def test_the_whole_picture_is_standardised_before_it_is_cropped():
    image = np.zeros((6, 6, 1), np.float32)
    image[1:-1, 1:-1] = 1  # mean 16/36, deviation √(20 · 16)/36
    pictures = found([image]).pictures(crop=1)
    assert pictures.shape == (1, 4, 4, 1)
    assert pictures.dtype == np.uint8
    assert set(pictures.ravel()) == {int(128 + 64 * 20 / np.sqrt(320))}


@pytest.mark.parametrize("value", [0.0, 0.1, 255.0])
def test_a_constant_picture_is_grey(value):
    assert set(found(np.full((1, 9, 9, 3), value)).pictures(crop=2).ravel()) == {128}


@pytest.mark.parametrize("crop", [5, 100, -1, 1.5, True])
def test_a_crop_that_leaves_nothing_is_an_error(crop):
    with pytest.raises(ValueError, match=r"crop is .* from 0 to 4 .* 10 × 12 pixels"):
        found(np.zeros((1, 10, 12, 3))).pictures(crop=crop)


def test_the_chapters_grid():
    images = np.random.default_rng(0).uniform(0, 1, (64, 200, 200, 3))
    grid = found(images).grid()
    assert grid.shape == (1235, 1235, 3)
    pictures = found(images).pictures()
    np.testing.assert_array_equal(grid[155:305, 310:460], pictures[10])
    assert not grid[150:155].any()


def test_a_grid_with_an_unfinished_row():
    images = np.random.default_rng(0).uniform(0, 1, (5, 10, 12, 3))
    grid = found(images).grid(columns=3, margin=2, crop=1)
    assert grid.shape == (2 * 8 + 2, 3 * 10 + 4, 3)
    assert not grid[10:, 24:].any()
    with pytest.raises(ValueError, match="columns is 0"):
        found(images).grid(columns=0)
