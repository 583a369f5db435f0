"""Images are told apart by file or by content, cases by image, label and regions."""

import numpy as np
from PIL import Image

from pytest_cnnaudit.cases import Box, Case, Mask, case_digest, picture_key


def test_a_file_is_told_by_path_time_and_size(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(path)
    first = picture_key(Case(path))
    assert picture_key(Case(str(path))) == first
    Image.new("RGB", (40, 4), "red").save(path)
    assert picture_key(Case(path)) != first


def test_the_palette_and_the_orientation_are_part_of_a_picture():
    indices = Image.new("P", (2, 2), 1)
    pictures = []
    for colour in ((0, 0, 0, 255, 0, 0), (0, 0, 0, 0, 255, 0)):
        picture = indices.copy()
        picture.putpalette(colour)
        pictures.append(picture)
    turned = Image.new("RGB", (4, 2), "blue")
    turned.getexif()[0x0112] = 6
    pictures += [turned, Image.new("RGB", (4, 2), "blue"), Image.new("L", (2, 2), 1)]
    assert len({picture_key(Case(picture)) for picture in pictures}) == 5


def test_an_array_is_the_picture_it_holds():
    array = np.full((2, 3, 3), 7, np.uint8)
    assert picture_key(Case(array)) == picture_key(Case(Image.fromarray(array)))


def test_a_digest_covers_pixels_labels_and_regions_but_not_names(tmp_path):
    path, copy = tmp_path / "a.png", tmp_path / "b.png"
    Image.new("RGB", (4, 4)).save(path)
    copy.write_bytes(path.read_bytes())
    same = {case_digest(Case(path)), case_digest(Case(copy, id="other"))}
    assert len(same) == 1
    box, mask = Box(0, 0, 2, 2), Mask(np.eye(4, dtype=bool))
    different = [
        Case(path, 1),
        Case(path, "1"),
        Case(path, region=box),
        Case(path, forbidden=box),
        Case(path, region=mask),
    ]
    assert len(same | {case_digest(case) for case in different}) == 6
