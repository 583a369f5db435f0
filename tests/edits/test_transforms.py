"""Images moved as a whole are read when their batch is."""

import pickle

import numpy as np
import pytest
from photos import PHOTO

from pytest_cnnaudit import Case, Preprocessing
from pytest_cnnaudit.cases import InputRow
from pytest_cnnaudit.edits import PICTURE_MOVES, Transform, TransformedImage
from pytest_cnnaudit.preprocessing import Readable

AS_IT_IS = Preprocessing((24, 32), color="rgb")
NUMBERS = np.random.default_rng(1).normal(size=(4, 6, 5)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mirror", PHOTO[:, ::-1]), ("flip", PHOTO[::-1]), ("rotate90", np.rot90(PHOTO))],
)
def test_a_move_is_that_of_the_pixels(name, expected):
    image = TransformedImage(Case(PHOTO), Transform(name, PICTURE_MOVES[name]))
    np.testing.assert_array_equal(np.asarray(image.picture()), expected)


def test_a_transformed_image_is_read_as_its_case():
    image = TransformedImage(Case(PHOTO), Transform("mirror", PICTURE_MOVES["mirror"]))
    read = pickle.loads(pickle.dumps(image)).read(AS_IT_IS)
    assert isinstance(image, Readable)
    np.testing.assert_array_equal(read.inputs, PHOTO[:, ::-1])
    assert image.read(AS_IT_IS).case is image.case


def test_model_input_is_moved_as_numbers():
    image = TransformedImage(InputRow(NUMBERS), Transform("mirror", PICTURE_MOVES["mirror"], np.fliplr))
    np.testing.assert_array_equal(image.read(Preprocessing()).inputs, NUMBERS[:, ::-1])
    with pytest.raises(TypeError, match="'own' takes images, not model input"):
        TransformedImage(InputRow(NUMBERS), Transform("own", PICTURE_MOVES["mirror"])).inputs()
    with pytest.raises(TypeError, match="'own' takes images, and case 3 is model input"):
        TransformedImage(InputRow(NUMBERS, "case 3"), Transform("own", PICTURE_MOVES["mirror"])).picture()


def test_a_transform_must_give_an_image():
    with pytest.raises(TypeError, match=r"'asarray' gave a ndarray, not a PIL\.Image"):
        TransformedImage(Case(PHOTO), Transform("asarray", np.asarray)).read(AS_IT_IS)
