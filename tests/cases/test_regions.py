"""Boxes and masks refuse what can't be and say what it was; regions belong in their picture."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from pytest_cnnaudit.cases import (
    Box,
    Case,
    CaseError,
    CaseWarning,
    Mask,
    check_regions,
)


def test_box_edges_are_floats() -> None:
    box = Box(60, np.int64(20), np.float32(390.5), Fraction(581, 2))  # type: ignore[arg-type]
    assert (box.left, box.top, box.right, box.bottom) == (60.0, 20.0, 390.5, 290.5)
    assert {type(edge) for edge in (box.left, box.top, box.right, box.bottom)} == {float}
    assert repr(box) == "Box(60, 20, 390.5, 290.5)"


def test_box_is_frozen_and_hashable() -> None:
    assert {Box(0, 0, 1, 1), Box(0.0, 0, 1, 1)} == {Box(0, 0, 1, 1)}
    with pytest.raises(FrozenInstanceError):
        Box(0, 0, 1, 1).left = 3  # type: ignore[misc]


def test_from_xywh() -> None:
    assert Box.from_xywh(10, 20, 3.5, 4) == Box(10, 20, 13.5, 24)


edges = st.floats(-1e6, 1e6)


@given(edges, edges, edges, edges)
def test_repr_gives_the_same_box_again(left: float, top: float, right: float, bottom: float) -> None:
    if left < right and top < bottom:
        box = Box(left, top, right, bottom)
        assert eval(repr(box)) == box


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (
            (5, 0, 3, 1),
            "right is 3 (must be > left, which is 5); a box is (left, top, right, bottom), for x, y",
        ),
        ((0, 4, 3, 4), "bottom is 4 (must be > top, which is 4)"),
        ((0, float("nan"), 3, 4), "top is nan (must be finite)"),
        ((0, 0, float("inf"), 4), "right is inf (must be finite)"),
        ((0, 0, 10**400, 4), "right is inf (must be finite)"),
        ((0, 0, "3", 4), "right is '3' (must be a number)"),
        ((None, 0, 3, 4), "left is None (must be a number)"),
        ((0, 0, True, 4), "right is True (must be a number)"),
        ((0, 0, 3j, 4), "right is 3j (must be a number)"),
    ],
)
def test_box_errors(edges: tuple[float, float, float, float], message: str) -> None:
    with pytest.raises(CaseError, match=re.escape(message)):
        Box(*edges)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 0, -4, 1), "width is -4 (must be > 0)"),
        ((0, 0, 4, 0), "height is 0 (must be > 0)"),
        ((0, 0, 4, "1"), "height is '1' (must be a number)"),
        ((float("nan"), 0, 4, 1), "x is nan (must be finite)"),
    ],
)
def test_from_xywh_errors(values: tuple[float, float, float, float], message: str) -> None:
    with pytest.raises(CaseError, match=f"^{re.escape(message)}"):
        Box.from_xywh(*values)


SHAPE = np.array([[0, 1, 1], [0, 0, 1]], bool)


@pytest.mark.parametrize(
    "array", [SHAPE, SHAPE.astype(np.uint8) * 255, SHAPE.astype(np.int64) * 7, SHAPE.astype(np.uint8)]
)
def test_mask_of_an_array(array: np.ndarray) -> None:
    mask = Mask(array)
    assert mask.array.dtype == bool
    np.testing.assert_array_equal(mask.array, SHAPE)


def test_mask_keeps_its_own_copy() -> None:
    array = SHAPE.copy()
    mask = Mask(array)
    array[:] = False
    np.testing.assert_array_equal(mask.array, SHAPE)
    with pytest.raises(ValueError, match="read-only"):
        mask.array[0, 0] = True


def test_masks_are_equal_by_content() -> None:
    assert Mask(SHAPE) == Mask(SHAPE.astype(np.uint8) * 9)
    assert hash(Mask(SHAPE)) == hash(Mask(SHAPE.astype(np.uint8) * 9))
    assert Mask(SHAPE) != Mask(SHAPE.T)
    assert Mask(SHAPE) != Mask(np.pad(SHAPE, 1))
    assert Mask("a.png") == Mask(Path("a.png")) != Mask("b.png")
    assert repr(Mask(SHAPE)) == "Mask(<3 of 3 × 2 pixels>)"
    assert repr(Mask("a.png")) == "Mask('a.png')"


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(SHAPE),
        Image.fromarray(SHAPE.astype(np.uint8)),
        Image.fromarray(SHAPE.astype(np.uint16) * 65535),
        Image.fromarray(SHAPE.astype(np.uint8) * 255).convert("RGB"),
        Image.fromarray(SHAPE.astype(np.uint8) * 255).convert("RGBA"),
        Image.fromarray(SHAPE.astype(np.uint8) * 255).convert("LA"),
        Image.fromarray(SHAPE.astype(np.uint8) * 255).convert("P"),
    ],
    ids=["1", "L", "I;16", "RGB", "RGBA", "LA", "P"],
)
def test_mask_of_a_file(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(Mask(tmp_path / "mask.png").array, SHAPE)


def test_mask_files_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(SHAPE).transpose(Image.Transpose.ROTATE_90).save(tmp_path / "mask.png", exif=exif)
    np.testing.assert_array_equal(Mask(tmp_path / "mask.png").array, SHAPE)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2), bool), "mask: no pixel is inside"),
        (np.zeros((0, 2), bool), "mask: no pixel is inside"),
        (
            np.array([[0, 1], [2, 3]]),
            "mask: has 4 different values (a mask has two, 0 outside and another inside",
        ),
        (np.ones((2, 2)), "mask is a float64 array of shape (2, 2) (must be bool or integer, (H, W)"),
        (np.ones((2, 2, 1), bool), "mask is a bool array of shape (2, 2, 1)"),
        ([[0, 1]], "mask is a list (must be a NumPy array or a path)"),
    ],
)
def test_mask_errors(array: np.ndarray, message: str) -> None:
    with pytest.raises(CaseError, match=re.escape(message)):
        Mask(array)


def test_mask_file_errors(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"^mask '.*no\.png': no such file"):
        _ = Mask(tmp_path / "no.png").array
    Image.new("L", (3, 2)).save(tmp_path / "empty.png")
    with pytest.raises(CaseError, match=r"empty\.png': no pixel is inside"):
        _ = Mask(tmp_path / "empty.png").array
    noise = np.random.default_rng(0).integers(0, 256, (9, 9), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.jpg")
    with pytest.raises(CaseError, match=r"noise\.jpg': has \d+ different values .* JPEG blurs masks"):
        _ = Mask(tmp_path / "noise.jpg").array
    Image.new("LA", (3, 2), (255, 0)).save(tmp_path / "clear.png")
    with pytest.raises(CaseError, match=r"clear\.png': has transparency"):
        _ = Mask(tmp_path / "clear.png").array


def test_regions_inside_the_picture_pass_in_silence(recwarn: pytest.WarningsRecorder) -> None:
    check_regions(Case("a.png", region=[Box(0, 0, 3, 2), Mask(SHAPE)], forbidden=Box(2.5, 1, 3, 2)), 3, 2)
    assert not recwarn.list


@pytest.mark.parametrize("box", [Box(-1, 0, 1, 1), Box(0, -0.5, 1, 1), Box(0, 0, 3.01, 1), Box(0, 0, 1, 9)])
def test_a_region_partly_outside_is_told(box: Box) -> None:
    with pytest.warns(CaseWarning) as caught:
        check_regions(Case("a.png", region=[Box(0, 0, 1, 1), box]), 3, 2)
    (warning,) = caught
    assert str(warning.message) == (
        f"case 'a.png': region[1]: {box!r} reaches beyond the picture (3 × 2 pixels), and is clipped"
    )


@pytest.mark.parametrize("box", [Box(-1, 0, 0, 1), Box(3, 0, 4, 1), Box(0, -3, 1, 0), Box(0, 2, 1, 3)])
def test_a_region_wholly_outside_is_refused(box: Box) -> None:
    message = f"case 'a.png': forbidden: {box!r} lies outside the picture, which is 3 × 2 pixels"
    with pytest.raises(CaseError, match=f"^{re.escape(message)}"):
        check_regions(Case("a.png", forbidden=box), 3, 2)


def test_a_mask_must_be_as_large_as_the_picture(tmp_path: Path) -> None:
    message = "case 'a.png': region: Mask(<3 of 3 × 2 pixels>) is 3 × 2 pixels (must be as large as the upright"
    with pytest.raises(CaseError, match=f"^{re.escape(message)}"):
        check_regions(Case("a.png", region=Mask(SHAPE)), 2, 3)
    with pytest.raises(CaseError, match=r"^case 'a\.png': region: mask 'no\.png': no such file"):
        check_regions(Case("a.png", region=Mask("no.png")), 2, 3)
