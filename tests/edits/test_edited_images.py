"""Edits are data: rendered when they are read, the same in any order, in shards and in another process."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from photos import PHOTO, random
from PIL import Image

from pytest_cnnaudit import Box, Case, Preprocessing, edits
from pytest_cnnaudit.cases import InputRow
from pytest_cnnaudit.edits import (
    Alone,
    EditedImage,
    Hidden,
    LastOpened,
    Original,
    Patch,
    edited,
    hidden_and_controls,
    on_backgrounds,
    patched,
)
from pytest_cnnaudit.preprocessing import Geometry, Readable

AS_IT_IS = Preprocessing((24, 32), color="rgb")
REGION = Box(6, 5, 14.5, 12)
PHOTOS = [np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8) for seed in range(3)]
PATCH = Image.new("RGB", (4, 3), (1, 2, 3))
GROUND = Image.fromarray(np.random.default_rng(9).integers(0, 256, (20, 20, 3), np.uint8))


def original(pixels=PHOTO, seed=0, preprocessing=AS_IT_IS, regions=(REGION,)):
    height, width = pixels.shape[:2]
    return Original(Case(pixels, id="photo"), "case 'photo'", regions, preprocessing.geometry(width, height), seed)


def one_each():
    """All kinds of edits of three photos."""
    kinds = [
        *(edit for fill in edits.FILLS for edit in (*hidden_and_controls(fill), Alone(fill))),
        *on_backgrounds([GROUND]),
        *patched(Patch(PATCH, 0.3), "corners"),
        *patched(Patch(PATCH), "random"),
        *patched(Patch(PATCH), Box(2, 2, 9, 9)),
    ]
    return [image for of_case in edited((original(one), kinds) for one in PHOTOS) for image in of_case]


def inputs(images):
    return [image.read(AS_IT_IS).inputs for image in images]


def rendered(edit, subject_of=PHOTO, **options):
    return EditedImage(original(subject_of, **options), edit).pixels(AS_IT_IS)


def test_edits_are_the_same_in_any_order():
    images = one_each()
    expected = inputs(images)
    for order in (range(len(images))[::-1], random(1).permutation(len(images)), random(2).permutation(len(images))):
        again = one_each()
        for index in order:
            np.testing.assert_array_equal(again[index].read(AS_IT_IS).inputs, expected[index])


@pytest.mark.parametrize("shards", [2, 7])
def test_edits_are_the_same_in_shards_of_their_own_pickled(shards):
    images = one_each()
    expected = inputs(images)
    images[3].read(AS_IT_IS)  # what is opened here must not travel
    for shard in range(shards):
        part = pickle.loads(pickle.dumps(images[shard::shards]))
        for image, wanted in zip(part, expected[shard::shards], strict=True):
            np.testing.assert_array_equal(image.read(AS_IT_IS).inputs, wanted)


def test_edits_are_the_same_in_another_process(tmp_path):
    PICKLED = pickle.dumps(one_each()[:8])
    (tmp_path / "images").write_bytes(PICKLED)
    code = (
        "import pickle, pathlib, sys, numpy as np; from pytest_cnnaudit import Preprocessing\n"
        "images = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "made = [one.read(Preprocessing((24, 32), color='rgb')).inputs for one in images[::-1]]\n"
        "np.save(sys.argv[2], np.stack(made[::-1]))"
    )
    arguments = [str(tmp_path / "images"), str(tmp_path / "made.npy")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "made.npy"), np.stack(inputs(one_each()[:8])))


def test_what_is_opened_is_not_pickled():
    image = EditedImage(original(), Hidden("mean"))
    before = len(pickle.dumps(image))
    image.read(AS_IT_IS)
    assert len(pickle.dumps(image)) == before


def test_a_case_is_opened_once_for_all_of_its_edits_and_let_go_for_the_next(tmp_path, monkeypatch):
    cases = []
    for index, pixels in enumerate(PHOTOS):
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        cases.append(Case(tmp_path / f"{index}.png", region=REGION))
    opened, load = [], edits.edited_images.open_picture
    monkeypatch.setattr(edits.edited_images, "open_picture", lambda case: opened.append(case.name) or load(case))
    geometry = Geometry.identity(32, 24)
    pairs = [(Original(case, case.name, case.regions, geometry, 0), hidden_and_controls("blur")) for case in cases]
    images = edited(pairs)
    assert opened == []
    for of_case in images:
        for image in of_case:
            image.read(AS_IT_IS)
    assert opened == [case.name for case in cases]
    images[0][0].read(AS_IT_IS)
    assert opened[3:] == [cases[0].name]


def test_only_the_last_opened_case_is_held():
    opened = LastOpened()
    first = opened.subject(one := original(), AS_IT_IS)
    assert opened.subject(one, AS_IT_IS) is first
    opened.subject(original(), AS_IT_IS)
    assert opened.subject(one, AS_IT_IS) is not first


def test_transparency_is_on_white_unless_the_model_takes_it():
    clear = np.dstack([PHOTO, np.zeros((24, 32), np.uint8)])
    image = EditedImage(original(clear), Hidden("mean"))
    assert image.pixels(AS_IT_IS).shape == (24, 32, 3)
    assert (image.pixels(AS_IT_IS) == 255).all()
    assert image.pixels(Preprocessing((24, 32), color="rgba")).shape == (24, 32, 4)


def test_an_edited_image_is_readable_and_of_its_case():
    image = EditedImage(original(), Hidden("mean"))
    read = image.read(AS_IT_IS)
    assert isinstance(image, Readable)
    assert read.case is image.case is image.original.case
    assert read.geometry == Geometry.identity(32, 24)
    np.testing.assert_array_equal(read.inputs, image.pixels(AS_IT_IS))


def test_controls_and_fills_are_by_the_seed_and_the_image_alone():
    for edit in (Hidden("noise"), Hidden("noise", 2), Alone("noise")):
        np.testing.assert_array_equal(rendered(edit), rendered(edit))
        assert (rendered(edit) != rendered(edit, seed=1)).any()
        assert (rendered(edit) != rendered(edit, PHOTOS[1])).any()


def test_hiding_hides_the_object_and_controls_as_much_elsewhere():
    hidden, *controls = (rendered(edit) for edit in hidden_and_controls("mean"))
    changed = [(one != PHOTO).any(axis=-1) for one in (hidden, *controls)]
    whole = edits.coverage_of([REGION], 32, 24) > 0
    assert (changed[0] <= whole).all()
    assert changed[0].sum() > 0.9 * whole.sum()
    assert not any((one & whole).any() for one in changed[1:])
    assert len({one.tobytes() for one in changed}) == 4
    outside = (rendered(Alone("mean")) != PHOTO).any(axis=-1)
    assert not outside[edits.coverage_of([REGION], 32, 24) == 1].any()


def test_titles():
    kinds = [*hidden_and_controls("blur")[:2], Alone("mean"), *on_backgrounds([GROUND, GROUND])[1:]]
    assert [edit.title for edit in kinds] == [
        "object hidden (blur)",
        "control 1 (blur)",
        "only the object (mean)",
        "background 2",
    ]
    assert [edit.title for edit in patched(Patch(PATCH), "corners")][:2] == ["patch top-left", "patch top-right"]
    assert [edit.title for edit in patched(Patch(PATCH), Box(0, 0, 1, 1))] == ["with the patch"]


@pytest.mark.parametrize(
    ("spot", "left", "top"),
    [
        ("top-left", 0, 0),
        ("top-right", 28, 0),
        ("bottom-left", 0, 21),
        ("bottom-right", 28, 21),
        ("center", 14, 10),
    ],
)
def test_a_patch_lies_at_its_spot(spot, left, top):
    [edit] = patched(Patch(PATCH), spot)
    np.testing.assert_array_equal(rendered(edit), edits.pasted(PHOTO, PATCH, left, top))


def test_a_patch_stays_in_what_a_crop_leaves():
    crop = Preprocessing((24, 24), resize="crop", color="rgb")
    [edit] = patched(Patch(PATCH), "bottom-right")
    made = EditedImage(original(preprocessing=crop), edit).pixels(crop)
    np.testing.assert_array_equal(made, edits.pasted(PHOTO, PATCH, 28 - 4, 21))


def test_a_share_is_of_the_shorter_side():
    assert Patch(PATCH, 0.5).size(original()) == (12, 9)
    assert Patch(PATCH).size(original()) == (4, 3)


def test_a_patch_larger_than_what_is_seen_is_named_before_anything_is_opened():
    case = Original(Case("no.png"), "case 'no.png'", (), Geometry.identity(32, 24), 0)
    Patch(PATCH).check(case)
    with pytest.raises(ValueError, match=r"case 'no\.png': patch is 40 × 3 pixels, larger than the 32 × 24"):
        Patch(Image.new("RGB", (40, 3))).check(case)


def test_whether_an_edit_changes_what_is_seen():
    crop = Preprocessing((24, 24), resize="crop", color="rgb")
    beside, inside = Box(0, 0, 3, 24), Box(0, 0, 5, 24)  # the crop leaves 4 columns out at each side
    for box, expected in ((beside, False), (inside, True)):
        [edit] = patched(Patch(PATCH), box)
        assert EditedImage(original(preprocessing=crop), edit).changes(crop) == expected
    assert not EditedImage(original(), OnItself()).changes(AS_IT_IS)


class OnItself:
    title = "as it is"

    def __call__(self, subject):
        return subject.pixels.copy()


def test_a_row_of_model_input_is_read_as_its_numbers_whatever_the_preprocessing():
    numbers = np.random.default_rng(1).normal(size=(4, 4, 5)).astype(np.float32)
    row = InputRow(numbers, "case 0")
    image = EditedImage(Original(row, "case 0", (), Geometry.identity(4, 4), 0), OnItself())
    read = image.read(Preprocessing())
    np.testing.assert_array_equal(read.inputs, numbers)
    assert read.case is row
