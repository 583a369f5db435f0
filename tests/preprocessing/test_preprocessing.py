"""From a picture to model input."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_cnnaudit.cases import Box, Case, CaseError, CaseWarning
from pytest_cnnaudit.preprocessing import Preprocessing

RED, GREEN, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (255, 255, 255), (0, 0, 0)


def test_pixels_are_float32_from_0_to_255() -> None:
    pixels, _ = Preprocessing(2, color="rgb")(Image.new("RGB", (4, 4), (255, 128, 0)))
    assert pixels.dtype == np.float32
    assert pixels.tolist() == [[[255, 128, 0]] * 2] * 2


@pytest.mark.parametrize(
    ("color", "expected"),
    [("rgb", [10, 100, 200]), ("bgr", [200, 100, 10]), ("grayscale", [84]), ("rgba", [10, 100, 200, 255])],
)
def test_colors(color: str, expected: list[int]) -> None:
    pixels, _ = Preprocessing(1, color=color)(Image.new("RGB", (3, 3), (10, 100, 200)))  # type: ignore[arg-type]
    assert pixels.shape == (1, 1, len(expected))
    assert pixels[0, 0].tolist() == expected


def test_grey_pictures_for_a_colour_model() -> None:
    pixels, _ = Preprocessing(1, color="rgb")(np.full((2, 2), 9, np.uint8))
    assert pixels.tolist() == [[[9, 9, 9]]]


@pytest.mark.parametrize(("color", "expected"), [("rgb", [204, 204, 255]), ("grayscale", [210])])
def test_transparency_is_shown_on_white(color: str, expected: list[int]) -> None:
    picture = Image.new("RGBA", (2, 2), (0, 0, 255, 51))
    pixels, _ = Preprocessing(2, color=color)(picture)  # type: ignore[arg-type]
    assert pixels[0, 0].tolist() == expected


def test_transparency_is_kept_for_rgba() -> None:
    pixels, _ = Preprocessing(2, color="rgba")(Image.new("RGBA", (2, 2), (0, 0, 255, 51)))
    assert pixels[0, 0].tolist() == [0, 0, 255, 51]


def test_rgba_padding_is_opaque_black() -> None:
    pixels, _ = Preprocessing(2, resize="pad", color="rgba")(Image.new("RGBA", (2, 1), (9, 9, 9, 9)))
    assert pixels[:, 0].tolist() == [[9, 9, 9, 9], [0, 0, 0, 255]]


def test_scale_gets_pixels_of_its_own() -> None:
    def in_place(pixels: np.ndarray) -> np.ndarray:
        pixels /= 127.5
        pixels -= 1
        return pixels

    source = np.full((2, 2, 3), 255, np.uint8)
    pixels, _ = Preprocessing(2, scale=in_place, color="rgb")(source)
    assert (pixels == 1).all()
    assert (source == 255).all()


def test_scale_comes_after_padding() -> None:
    pixels, _ = Preprocessing(2, resize="pad", scale=lambda x: x - 100, color="grayscale")(Image.new("L", (2, 1), 7))
    assert pixels[..., 0].tolist() == [[-93, -93], [-100, -100]]


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (lambda x: x[None], r"scale returned shape \(1, 2, 2, 3\) for a picture of shape \(2, 2, 3\)"),
        (lambda x: x * np.nan, "scale returned NaN or infinity"),
    ],
)
def test_a_scale_that_can_not_be(scale: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocessing(2, scale=scale, color="rgb")(np.ones((2, 2, 3), np.uint8))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"size": 0}, ValueError, r"size is 0 \(must be at least one pixel"),
        ({"size": (3, -1)}, ValueError, r"size is \(3, -1\)"),
        ({"size": 2.5}, TypeError, r"size is 2.5 \(must be \(height, width\), or one int"),
        ({"size": True}, TypeError, "size is True"),
        ({"size": (1, 2, 3)}, TypeError, r"size is \(1, 2, 3\)"),
        ({"resize": "squash"}, ValueError, r"resize is 'squash' \(must be one of stretch, crop, pad\)"),
        ({"color": "hsv"}, ValueError, r"color is 'hsv' \(must be one of rgb, grayscale, bgr, rgba\)"),
        ({"scale": 1 / 255}, TypeError, "must be callable, such as `lambda pixels: pixels / 255`"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Preprocessing(**arguments)  # type: ignore[arg-type]


def test_size_is_height_and_width() -> None:
    pixels, geometry = Preprocessing((3, 5), color="rgb")(Image.new("RGB", (8, 8)))
    assert pixels.shape == (3, 5, 3)
    assert (geometry.width, geometry.height) == (5, 3)
    assert Preprocessing(4).size == (4, 4)


@pytest.mark.parametrize(("channels", "color"), [(3, "rgb"), (1, "grayscale"), (4, "rgba")])
def test_bound_fills_in_what_the_model_takes(channels: int, color: str) -> None:
    bound = Preprocessing(resize="pad").bound((20, 30, channels))
    assert (bound.size, bound.color, bound.resize) == ((20, 30), color, "pad")


def test_bound_keeps_what_was_given() -> None:
    bound = Preprocessing(20, color="bgr").bound((None, None, 3))
    assert (bound.size, bound.color) == ((20, 20), "bgr")


@pytest.mark.parametrize(
    ("preprocessing", "shape", "message"),
    [
        (
            Preprocessing(),
            (None, None, 3),
            r"the model takes pictures of any size .*say Preprocessing\(size=",
        ),
        (Preprocessing(), (20, None, 3), "the model takes pictures of any size"),
        (Preprocessing((20, 30)), (30, 20, 3), r"size is \(20, 30\), but the model takes \(30, 20\)"),
        (Preprocessing(), (20, 20, 7), "no colours are known for a model with 7 channels"),
        (Preprocessing(color="rgb"), (20, 20, 1), "color 'rgb' has 3 channels, but the model takes 1"),
        (Preprocessing(), (None, 20, 20, 3), r"input shape is \(None, 20, 20, 3\) \(must be \(H, W, C\)"),
    ],
)
def test_bound_refuses_what_does_not_fit(preprocessing: Preprocessing, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preprocessing.bound(shape)


def test_unbound_preprocessing_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="size and color are not known yet"):
        Preprocessing(4)(Image.new("RGB", (2, 2)))


def test_regions_are_checked_on_the_way() -> None:
    preprocessing = Preprocessing(4, color="rgb")
    picture = Image.new("RGB", (8, 6))
    with pytest.raises(CaseError, match=r"^case 'a': region: Box\(8, 0, 9, 6\) lies outside the picture"):
        preprocessing(Case(picture, region=Box(8, 0, 9, 6), id="a"))
    with pytest.warns(CaseWarning, match=r"^case 'a': forbidden: Box\(0, 0, 9, 6\) reaches beyond the picture"):
        preprocessing(Case(picture, forbidden=Box(0, 0, 9, 6), id="a"))


def test_the_same_picture_from_everywhere(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    buffer = io.BytesIO((tmp_path / "a.png").read_bytes())
    preprocessing = Preprocessing(5, color="rgb")
    sources = [str(tmp_path / "a.png"), tmp_path / "a.png", pixels, Image.open(buffer), Case(pixels)]
    outputs = [preprocessing(source)[0] for source in sources]
    for output in outputs[1:]:
        np.testing.assert_array_equal(output, outputs[0])
