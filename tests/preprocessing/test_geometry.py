"""Where pixels land, and how far the centres of cells are from a region."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image
from scipy import ndimage
from strategies import HEIGHT, WIDTH, geometries, grids, mirrored_region, regions, relaxed

from pytest_cnnaudit.cases import Box, Case, Mask
from pytest_cnnaudit.preprocessing import Geometry, Preprocessing

RED, GREEN, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (255, 255, 255), (0, 0, 0)


def test_distances_are_those_of_the_centres_in_original_pixels() -> None:
    # 4 × 2 pixels in 2 × 1 of the model's, on a grid of 2 × 1: centres at (1, 1) and (3, 1).
    geometry = Geometry(0.5, 0.5, 0, 0, 2, 1, 4, 2)
    assert geometry.centre_distances(Box(0, 0, 1.5, 2), (1, 2)).tolist() == [[0, 1.5]]
    assert geometry.centre_distances(Box(2, 1.5, 3, 2), (1, 2)).tolist() == [[np.hypot(1, 0.5), 0.5]]


def test_a_centre_on_the_edge_is_at_distance_0_but_inside_only_where_the_box_begins() -> None:
    geometry = Geometry.identity(2, 1)
    box = Box(0.5, 0, 1.5, 1)
    assert geometry.centre_distances(box, (1, 2)).tolist() == [[0, 0]]
    assert geometry.centres_inside(box, (1, 2)).tolist() == [[True, False]]
    assert geometry.centres_inside(box, (1, 2), tolerance=0.01).tolist() == [[True, True]]


def test_the_nearest_of_several_regions_counts() -> None:
    geometry = Geometry.identity(5, 1)
    distances = geometry.centre_distances([Box(0, 0, 1, 1), Box(4, 0, 5, 1)], (1, 5))
    assert distances.tolist() == [[0, 0.5, 1.5, 0.5, 0]]


def test_cells_of_the_padding_have_distances_too() -> None:
    _, geometry = Preprocessing(4, resize="pad", color="rgb")(Image.new("RGB", (40, 20)))
    assert geometry.centre_distances(Box(0, 0, 40, 20), (4, 1)).tolist() == [[5], [0], [0], [5]]


@pytest.mark.parametrize("seed", range(3))
def test_distances_to_a_mask_agree_with_scipys_distance_transform(seed: int) -> None:
    mask = np.random.default_rng(seed).random((9, 11)) < 0.06
    mask[4, 5] = True
    fine = 20  # samples a pixel; the transform measures between centres of samples
    painted = np.kron(mask, np.ones((fine, fine), bool))
    transform = ndimage.distance_transform_edt(~painted) / fine
    centres = transform[fine // 2 :: fine, fine // 2 :: fine]
    distances = Geometry.identity(11, 9).centre_distances(Mask(mask), (9, 11))
    np.testing.assert_allclose(distances, centres, atol=1.5 / fine)


@relaxed
@given(regions, grids, st.floats(0, 3))
def test_the_tolerance_mirrors_with_the_region(
    given_regions: list[Box | Mask], grid: tuple[int, int], tolerance: float
) -> None:
    geometry = Geometry(12 / WIDTH, 9 / HEIGHT, 0, 0, 12, 9, WIDTH, HEIGHT)
    mirrored = geometry.centre_distances([mirrored_region(region) for region in given_regions], grid)
    np.testing.assert_allclose(geometry.centre_distances(given_regions, grid)[:, ::-1], mirrored, atol=1e-12)


@relaxed
@given(regions, grids, geometries, st.floats(0, 2), st.floats(0, 2))
def test_more_tolerance_takes_more_cells_in(
    given_regions: list[Box | Mask], grid: tuple[int, int], geometry: Geometry, less: float, more: float
) -> None:
    less, more = sorted((less, more))
    within = geometry.centres_inside(given_regions, grid, less)
    assert (within <= geometry.centres_inside(given_regions, grid, more)).all()


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(60, 60), (40, 90), (90, 40), (97, 31), (480, 640), (37, 61)])
@pytest.mark.parametrize("source", [(120, 80), (80, 120), (100, 100), (33, 71)])
def test_the_mapped_box_is_where_the_pixels_are(resize: str, size: tuple[int, int], source: tuple[int, int]) -> None:
    width, height = source
    box = Box(round(width * 0.4), round(height * 0.35), round(width * 0.6), round(height * 0.7))
    picture = Image.new("RGB", source)
    picture.paste(RED, (int(box.left), int(box.top), int(box.right), int(box.bottom)))

    pixels, geometry = Preprocessing(size, resize=resize, color="rgb")(picture)  # type: ignore[arg-type]

    assert pixels.shape == (*size, 3)
    red = pixels[..., 0] / 255
    area = geometry.coverage(box, size)
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    # The filter blurs edges, but leaves area and centre as they are, up to its rounding of weights.
    assert red.sum() == pytest.approx(area.sum(), rel=0.02)
    for places in (rows, columns):
        centre = (area * places).sum() / area.sum()
        assert (red * places).sum() / red.sum() == pytest.approx(centre, abs=0.1)
    mapped = geometry.to_model(box)
    reach = max(1.0, geometry.scale_x, geometry.scale_y) + 1e-6
    far = (columns < mapped.left - reach) | (columns > mapped.right + reach)
    far |= (rows < mapped.top - reach) | (rows > mapped.bottom + reach)
    assert not red[far].any()


def test_a_whole_number_of_times_smaller_is_exact() -> None:
    picture = Image.new("RGB", (8, 8))
    picture.paste(WHITE, (2, 4, 6, 8))
    pixels, geometry = Preprocessing(4, color="rgb")(picture)
    assert geometry == Geometry(0.5, 0.5, 0, 0, 4, 4, 8, 8)
    assert geometry.to_model(Box(2, 4, 6, 8)) == Box(1, 2, 3, 4)
    assert (pixels[..., 0] > 127).astype(int).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
    ]


def test_the_same_size_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    for resize in ("stretch", "crop", "pad"):
        output, geometry = Preprocessing((5, 7), resize=resize, color="rgb")(pixels)  # type: ignore[arg-type]
        np.testing.assert_array_equal(output, pixels)
        assert geometry == Geometry.identity(7, 5)


def test_crop_takes_the_centre_to_fractions_of_a_pixel() -> None:
    _, geometry = Preprocessing((10, 10), resize="crop", color="rgb")(Image.new("RGB", (25, 20)))
    assert geometry == Geometry(0.5, 0.5, -1.25, 0, 10, 10, 25, 20)
    assert geometry.frame == Box(2.5, 0, 22.5, 20)


def test_pad_places_the_picture_on_whole_pixels() -> None:
    pixels, geometry = Preprocessing((10, 10), resize="pad", color="rgb")(Image.new("RGB", (30, 20), "white"))
    # 20 × 10/30 is 6.67: 7 rows, after 1 of the 3 that are left over.
    assert geometry == Geometry(10 / 30, 7 / 20, 0, 1, 10, 10, 30, 20)
    assert (pixels[..., 0] == 255).all(axis=1).tolist() == [False] + [True] * 7 + [False] * 2
    assert (pixels[[0, 8, 9]] == 0).all()
    frame = geometry.frame
    assert (frame.left, frame.top, frame.right, frame.bottom) == pytest.approx((0, -1 / 0.35, 30, 9 / 0.35))


def test_pad_keeps_a_line_of_an_extreme_picture() -> None:
    pixels, geometry = Preprocessing((10, 10), resize="pad", color="rgb")(Image.new("RGB", (1000, 3), "white"))
    assert (pixels[..., 0] == 255).all(axis=1).tolist() == [False] * 4 + [True] + [False] * 5
    assert geometry.coverage(Box(0, 0, 1000, 3), (10, 10)).sum() == pytest.approx(10)


@relaxed
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 600), st.integers(1, 600))
def test_crop_and_pad_show_the_centre_undistorted(width: int, height: int, rows: int, columns: int) -> None:
    for resize in ("crop", "pad"):
        geometry = Preprocessing((rows, columns), resize=resize).geometry(width, height)  # type: ignore[arg-type]
        frame = geometry.frame
        half = 0.5 if resize == "pad" else 1e-6
        assert abs((frame.left + frame.right) / 2 - width / 2) * geometry.scale_x <= half + 1e-6
        assert abs((frame.top + frame.bottom) / 2 - height / 2) * geometry.scale_y <= half + 1e-6
        if resize == "crop":
            assert frame.left >= -1e-6 * width
            assert frame.right <= width * (1 + 1e-6)


def test_frame_and_to_model_are_inverse() -> None:
    geometry = Geometry(0.3, 0.7, -4.5, 2, 20, 30, 90, 50)
    frame = geometry.to_model(geometry.frame)
    assert (frame.left, frame.top, frame.right, frame.bottom) == pytest.approx((0, 0, 20, 30))


def test_an_exif_rotated_photo_takes_upright_boxes(tmp_path: Path) -> None:
    upright = Image.new("RGB", (40, 20))
    upright.paste(WHITE, (30, 0, 40, 10))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)

    pixels, geometry = Preprocessing((20, 40), color="rgb")(Case(tmp_path / "a.png", region=Box(30, 0, 40, 10)))

    np.testing.assert_array_equal(pixels[..., 0] == 255, geometry.coverage(Box(30, 0, 40, 10), (20, 40)) == 1)
