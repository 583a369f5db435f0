"""The steps of an insertion and a deletion curve: which pixels, in which order, from the blurred to the whole image."""

import hashlib
import pickle
from functools import partial

import numpy as np
import pytest

from pytest_cnnaudit import Case, Preprocessing
from pytest_cnnaudit.cases import InputRow, open_picture
from pytest_cnnaudit.edits import Curves, Original, RandomOrder, as_pixels, cells_after, edited, steps_of
from pytest_cnnaudit.preprocessing import Geometry

NOISE = np.random.default_rng(0).integers(0, 12, (4, 4, 3), np.uint8)
AS_IT_IS = Preprocessing((4, 4), color="rgb")


def pixels(one):
    return as_pixels(open_picture(one))


def backwards(subject):
    return np.arange(4)[::-1]


def original(case):
    return Original(case, "case 0", (), Geometry.identity(4, 4), 0)


def test_fractions_are_of_the_pixels_not_of_the_cells():
    # 3 columns of 5 pixels: their centres are in cells of 2, 1 and 2 columns.
    one = Case(np.zeros((3, 5, 3), np.uint8))
    curves = Curves(pixels(one), Geometry.identity(5, 3), (1, 3))
    counts, shares = curves.steps(np.array([1, 0, 2]), 3)
    assert counts.tolist() == [0, 1, 2, 3]
    assert shares.tolist() == pytest.approx([0, 0.2, 0.6, 1])


def test_pixels_that_are_cropped_away_don_t_count():
    one = Case(np.zeros((4, 8, 3), np.uint8))
    _, geometry = Preprocessing(4, resize="crop", color="rgb")(one)
    curves = Curves(pixels(one), geometry, (2, 2))
    assert curves.steps(np.arange(4), 4)[1].tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_cells_of_the_padding_hold_no_pixels():
    one = Case(np.zeros((4, 8, 3), np.uint8))
    _, geometry = Preprocessing(8, resize="pad", color="rgb")(one)
    curves = Curves(pixels(one), geometry, (4, 1))  # the picture is in the two in the middle
    assert curves.steps(np.arange(4), 4)[1].tolist() == [0, 0, 0.5, 1, 1]


def test_the_ends_are_the_blurred_the_filled_and_the_untouched_picture():
    one = Case(NOISE)
    curves = Curves(pixels(one), Geometry.identity(4, 4), (2, 2))
    nothing, start, everything, covered = map(np.asarray, curves.pictures(np.arange(4), np.array([0, 4])))
    np.testing.assert_array_equal(nothing, np.asarray(curves.blurred))
    np.testing.assert_array_equal(start, one.image)
    np.testing.assert_array_equal(everything, one.image)
    assert (covered == np.rint(one.image.reshape(-1, 3).mean(axis=0))).all()


@pytest.mark.parametrize("shape", [(6, 6, 1), (6, 6, 4)])
def test_grey_pictures_and_transparent_ones(shape):
    one = Case(np.random.default_rng(1).integers(0, 256, shape, np.uint8))
    made = list(Curves(pixels(one), Geometry.identity(6, 6), (2, 2)).pictures(np.arange(4), np.array([2])))
    assert [np.asarray(image).shape for image in made] == [shape, shape]


def test_whole_cells_are_taken_so_that_a_small_grid_has_fewer_steps():
    assert cells_after(16, 4).tolist() == [0, 4, 8, 12, 16]
    assert cells_after(3, 20).tolist() == [0, 1, 2, 3]


def test_steps_are_the_pictures_of_the_curves():
    counts = cells_after(4, 4)
    [images] = edited([(original(Case(NOISE)), steps_of(backwards, (2, 2), counts))])
    made = Curves(NOISE, Geometry.identity(4, 4), (2, 2)).pictures(backwards(None), counts)
    for image, expected in zip(images, made, strict=True):
        np.testing.assert_array_equal(image.pixels(AS_IT_IS), expected)
    assert [image.edit.title for image in images[:4]] == ["inserted", "deleted"] * 2


def test_the_random_order_is_by_the_seed_and_the_image():
    [[image]] = edited([(original(Case(NOISE)), steps_of(RandomOrder(16), (4, 4), [1])[:1])])
    content = hashlib.sha256(f"0 order {NOISE.shape}".encode() + NOISE.tobytes())
    expected = np.random.default_rng(list(content.digest())).permutation(16)
    np.testing.assert_array_equal(RandomOrder(16)(image.subject(AS_IT_IS)), expected)


def test_the_order_is_asked_for_once_for_all_steps_of_a_case():
    asked = []

    def order(subject):
        asked.append(subject.original.name)
        return np.arange(4)

    [images] = edited([(original(Case(NOISE)), steps_of(order, (2, 2), range(5)))])
    assert asked == []
    for image in images:
        image.read(AS_IT_IS)
    assert asked == ["case 0"]


def test_steps_of_model_input_are_its_numbers():
    numbers = np.random.default_rng(1).normal(size=(4, 4, 5)).astype(np.float32)
    counts = [0, 4]
    [images] = edited([(original(InputRow(numbers)), steps_of(partial(backwards), (2, 2), counts))])
    blurred, start, whole, covered = (image.read(Preprocessing()).inputs for image in images)
    assert not np.array_equal(blurred, numbers)
    np.testing.assert_array_equal(start, numbers)
    np.testing.assert_array_equal(whole, numbers)
    np.testing.assert_allclose(covered, np.broadcast_to(numbers.mean(axis=(0, 1)), numbers.shape))


def test_steps_are_pickled_as_data():
    [images] = edited([(original(Case(NOISE)), steps_of(RandomOrder(4), (2, 2), [1, 2]))])
    images[0].read(AS_IT_IS)
    for image, again in zip(images, pickle.loads(pickle.dumps(images)), strict=True):
        np.testing.assert_array_equal(image.read(AS_IT_IS).inputs, again.read(AS_IT_IS).inputs)
