"""What may be handed over as images, and the batches it becomes."""

from pathlib import Path

import networks
import numpy as np
import pytest
from PIL import Image

from pytest_cnnaudit import Case, CaseError, Engine, Preprocessing
from pytest_cnnaudit.cases import InputRow
from pytest_cnnaudit.engine.images import batches


def collected(images, batch_size=None, input_shape=(8, 8, 3)):
    return list(batches(images, Preprocessing(), input_shape, batch_size))


def colours(count):
    return [np.full((8, 8, 3), 10 * index, np.uint8) for index in range(count)]


@pytest.mark.parametrize(
    ("count", "batch_size", "rows", "counts"),
    [
        (8, 8, [8], [8]),
        (5, 8, [8], [5]),
        (13, 8, [8, 8], [8, 5]),
        (3, 8, [4], [3]),
        (1, 8, [1], [1]),
        (6, 5, [5, 5], [5, 1]),
        (33, None, [32, 32], [32, 1]),
    ],
)
def test_batches_have_few_shapes(count, batch_size, rows, counts):
    found = collected(networks.pictures(count), batch_size)
    assert [len(batch.inputs) for batch in found] == rows
    assert [batch.count for batch in found] == counts
    assert [batch.start for batch in found] == [sum(counts[:index]) for index in range(len(counts))]


def test_padding_repeats_the_last_picture():
    images = networks.pictures(3)
    (batch,) = collected(images, 8)
    np.testing.assert_array_equal(batch.inputs, images[[0, 1, 2, 2]])


@pytest.mark.parametrize(("side", "size"), [(8, 32), (224, 8), (299, 8), (2000, 1)])
def test_batch_size_follows_the_size_of_the_input(side, size):
    (first, *_) = batches(np.zeros((40, side, side, 1), np.uint8), Preprocessing(), (side, side, 1), None)
    assert len(first.inputs) == size


def test_an_array_of_four_dimensions_is_used_as_is():
    images = networks.pictures(2)
    (batch,) = collected(images)
    np.testing.assert_array_equal(batch.inputs, images)
    assert batch.inputs.dtype == np.float32
    assert batch.cases == (None, None)
    assert collected(images.astype(np.float64))[0].inputs.dtype == np.float32
    assert collected((images > 0).astype(np.uint8))[0].inputs.max() == 1


def test_a_case_of_model_input_is_used_as_a_row_of_the_array():
    images = networks.pictures(2)
    (rows,) = batches(iter([InputRow(one) for one in images]), Preprocessing(3, scale=np.sqrt), (8, 8, 3), None)
    (batch,) = collected(images)
    np.testing.assert_array_equal(rows.inputs, batch.inputs)
    assert rows.geometries == batch.geometries
    assert (rows.preprocessing, batch.preprocessing) == (None, None)
    with pytest.raises(ValueError, match="the model takes"):
        collected([InputRow(images[0, :3])])


@pytest.mark.parametrize(
    "images",
    [
        colours(2),
        tuple(colours(2)),
        iter(colours(2)),
        [Image.fromarray(picture) for picture in colours(2)],
        [Case(picture) for picture in colours(2)],
        np.stack(colours(2)),
    ],
    ids=["list", "tuple", "iterator", "PIL", "cases", "array"],
)
def test_pictures_in_every_form(images):
    (batch,) = collected(images)
    np.testing.assert_array_equal(batch.inputs[:, 0, 0, 0], [0, 10])
    assert batch.inputs.shape == (2, 8, 8, 3)


def test_one_picture_alone(tmp_path):
    picture = colours(2)[1]
    path = tmp_path / "picture.png"
    Image.fromarray(picture).save(path)
    for one in (picture, Image.fromarray(picture), Case(picture), path, str(path)):
        (batch,) = collected(one)
        np.testing.assert_array_equal(batch.inputs, picture[None])


def test_pictures_are_preprocessed_and_arrays_are_not():
    engine = Engine(networks.build("functional"), preprocessing=Preprocessing(scale=lambda x: x / 127.5 - 1))
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    scaled = picture[None].astype(np.float32) / 127.5 - 1
    np.testing.assert_allclose(engine.predict([picture]).logits, engine.predict(scaled).logits, atol=1e-5)
    assert np.abs(engine.predict(picture[None]).logits - engine.predict(scaled).logits).max() > 1


@pytest.mark.parametrize("images", [np.zeros((0, 8, 8, 3)), [], iter(())], ids=["array", "list", "iterator"])
@pytest.mark.parametrize("call", ["predict", "activations", "activation_stats", "heatmaps"])
def test_no_images(call, images):
    with pytest.raises(ValueError, match="There are no images"):
        getattr(networks.engine("functional"), call)(images)


@pytest.mark.parametrize("shape", [(2, 9, 8, 3), (2, 8, 8, 1)])
def test_array_of_the_wrong_size_is_never_resized(shape):
    with pytest.raises(ValueError, match=r"the model takes \(N, 8, 8, 3\).* never resized"):
        networks.engine("functional").predict(np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_in_the_input_names_its_picture(value):
    images = networks.pictures(12)
    images[9, 3, 3, 1] = value
    with pytest.raises(ValueError, match="image 9 holds NaN, infinity, or a value too large for float32"):
        networks.engine("functional", batch_size=4).heatmaps(images)


def test_float64_beyond_float32_names_its_picture():
    images = networks.pictures(3).astype(np.float64)
    images[2] = 1e300
    with pytest.raises(ValueError, match="image 2 holds NaN, infinity, or a value too large for float32"):
        networks.engine("functional").predict(images)


def test_masks_are_no_pictures():
    with pytest.raises(ValueError, match=r"dtype bool, as masks have; for pictures of 0 and 1 use \.astype"):
        networks.engine("functional").predict(networks.pictures(2) > 0)


@pytest.mark.parametrize("dtype", [object, "U1", "S1", complex, "M8[s]", [("red", "f4")]], ids=str)
def test_array_that_holds_no_numbers(dtype):
    with pytest.raises(ValueError, match="numbers are expected"):
        networks.engine("functional").predict(np.zeros((1, 8, 8, 3), dtype))


def test_float_picture_has_no_known_range():
    with pytest.raises(CaseError, match="uint8"):
        networks.engine("functional").predict(networks.pictures(1)[0])


def test_array_of_five_dimensions():
    with pytest.raises(ValueError, match=r"this one has \(1, 1, 8, 8, 3\)"):
        networks.engine("functional").predict(np.zeros((1, 1, 8, 8, 3)))


def test_not_images():
    with pytest.raises(TypeError, match="not int"):
        networks.engine("functional").predict(3)


def test_missing_file():
    with pytest.raises(CaseError, match=r"missing\.png"):
        networks.engine("functional").predict(Path("missing.png"))


def test_images_are_not_changed():
    images = networks.pictures(5)
    before = images.copy()
    engine = networks.engine("functional")
    engine.heatmaps(images)
    engine.activation_stats(images)
    np.testing.assert_array_equal(images, before)
