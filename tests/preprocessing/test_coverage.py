"""What regions cover of the cells of a grid: exact numbers, and properties."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from strategies import HEIGHT, WIDTH, boxes, geometries, grids, mirrored_region, regions, relaxed

from pytest_cnnaudit.cases import Box, CaseError, Mask
from pytest_cnnaudit.preprocessing import Geometry, Preprocessing


def test_a_box_on_half_a_cell() -> None:
    shares = Geometry.identity(4, 2).coverage(Box(1, 0, 3, 1), (1, 2))
    assert shares.dtype == np.float64
    assert shares.tolist() == [[0.25, 0.25]]


def test_fractions_of_pixels_count() -> None:
    shares = Geometry.identity(4, 4).coverage(Box(0.5, 1.25, 3.0, 2.0), (4, 4))
    assert shares.tolist() == [[0, 0, 0, 0], [0.375, 0.75, 0.75, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_overlapping_regions_count_once() -> None:
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = mask[3, 3] = True
    shares = Geometry.identity(4, 4).coverage([Box(0, 0, 2, 2), Box(1, 1, 3, 2.5), Mask(mask)], (2, 2))
    assert shares.tolist() == [[1.0, 0.25], [0.125, 0.375]]


def test_a_grid_that_does_not_divide_the_picture() -> None:
    shares = Geometry.identity(5, 3).coverage(Box(0, 0, 2, 3), (1, 2))
    np.testing.assert_allclose(shares, [[0.8, 0.0]], rtol=0, atol=1e-15)


def test_a_region_partly_outside_is_clipped() -> None:
    shares = Geometry.identity(4, 4).coverage(Box(-10, 2, 2, 99), (2, 2))
    assert shares.tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("box", [Box(-2, 0, 0, 4), Box(4, 0, 9, 4), Box(0, -2, 4, 0), Box(0, 4, 4, 5)])
def test_a_region_wholly_outside_is_refused(box: Box) -> None:
    with pytest.raises(CaseError, match="lies outside the picture, which is 4 × 4 pixels"):
        Geometry.identity(4, 4).coverage(box, (2, 2))


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(CaseError, match=r"is 3 × 2 pixels .*upright picture, 2 × 3"):
        Geometry.identity(2, 3).coverage(Mask(np.ones((2, 3), bool)), (2, 2))


def test_a_grid_without_cells_is_refused() -> None:
    with pytest.raises(ValueError, match=r"grid is \(0, 2\)"):
        Geometry.identity(2, 3).coverage(Box(0, 0, 1, 1), (0, 2))


def test_a_crop_can_remove_a_region() -> None:
    _, geometry = Preprocessing(10, resize="crop", color="rgb")(Image.new("RGB", (40, 20)))
    assert geometry.coverage(Box(0, 0, 10, 20), (5, 5)).tolist() == np.zeros((5, 5)).tolist()
    assert geometry.coverage(Box(0, 0, 20, 20), (2, 2)).tolist() == [[1, 0], [1, 0]]


def test_padding_is_covered_by_nothing() -> None:
    _, geometry = Preprocessing(8, resize="pad", color="rgb")(Image.new("RGB", (40, 20)))
    assert geometry.coverage(Box(0, 0, 40, 20), (4, 1)).tolist() == [[0], [1], [1], [0]]


def test_a_large_mask_is_fast() -> None:
    mask = np.zeros((3000, 4000), bool)
    mask[500:2500:2, 500:3500] = True
    geometry = Geometry(299 / 4000, 299 / 3000, 0, 0, 299, 299, 4000, 3000)
    region = Mask(mask)
    start = time.perf_counter()
    shares = geometry.coverage(region, (10, 10))
    assert time.perf_counter() - start < 2
    assert shares.mean() == pytest.approx(mask.mean(), abs=1e-12)


@relaxed
@given(regions, grids, geometries)
def test_coverage_is_a_share(given_regions: list[Box | Mask], grid: tuple[int, int], geometry: Geometry) -> None:
    shares = geometry.coverage(given_regions, grid)
    assert shares.shape == grid
    assert (shares >= 0).all()
    assert (shares <= 1).all()


@relaxed
@given(regions, grids, grids, geometries)
def test_the_area_does_not_depend_on_the_grid(
    given_regions: list[Box | Mask], grid: tuple[int, int], other: tuple[int, int], geometry: Geometry
) -> None:
    area = geometry.coverage(given_regions, grid).mean()
    assert area == pytest.approx(geometry.coverage(given_regions, other).mean(), abs=1e-12)


@relaxed
@given(boxes(), grids)
def test_the_area_of_a_stretched_box_is_its_area(box: Box, grid: tuple[int, int]) -> None:
    shares = Geometry(21 / WIDTH, 3 / HEIGHT, 0, 0, 21, 3, WIDTH, HEIGHT).coverage(box, grid)
    expected = (box.right - box.left) * (box.bottom - box.top) / (WIDTH * HEIGHT)
    assert shares.mean() == pytest.approx(expected, abs=1e-12)


@relaxed
@given(regions, grids)
def test_themirrored_region_covers_themirrored_grid(given_regions: list[Box | Mask], grid: tuple[int, int]) -> None:
    geometry = Geometry(12 / WIDTH, 9 / HEIGHT, 0, 0, 12, 9, WIDTH, HEIGHT)
    mirrored = geometry.coverage([mirrored_region(region) for region in given_regions], grid)
    np.testing.assert_allclose(geometry.coverage(given_regions, grid)[:, ::-1], mirrored, atol=1e-12)


@relaxed
@given(regions, grids, geometries)
def test_a_union_lies_between_its_largest_part_and_their_sum(
    given_regions: list[Box | Mask], grid: tuple[int, int], geometry: Geometry
) -> None:
    union = geometry.coverage(given_regions, grid)
    parts = np.stack([geometry.coverage(region, grid) for region in given_regions])
    assert (union >= parts.max(axis=0) - 1e-12).all()
    assert (union <= parts.sum(axis=0) + 1e-12).all()


# Whole samples: edges are multiples of 1/64 pixel, so painting them at 64 times the size is exact.
FINE = 64
windows = st.builds(
    lambda scale, x, y, width, height: Geometry(scale, scale, x, y, width, height, WIDTH, HEIGHT),
    st.sampled_from([0.5, 1, 2]),
    st.integers(-6, 4),
    st.integers(-4, 3),
    st.integers(1, 12),
    st.integers(1, 9),
)


def _painted(region: Box | Mask) -> np.ndarray:
    if isinstance(region, Mask):
        return np.kron(region.array, np.ones((FINE, FINE), bool))
    canvas = np.zeros((HEIGHT * FINE, WIDTH * FINE), bool)
    left, top, right, bottom = (int(e * FINE) for e in (region.left, region.top, region.right, region.bottom))
    canvas[top:bottom, left:right] = True
    return canvas


@relaxed
@given(regions, windows)
def test_coverage_agrees_with_counting_samples(given_regions: list[Box | Mask], geometry: Geometry) -> None:
    margin = 30
    canvas = np.pad(np.any([_painted(region) for region in given_regions], axis=0), margin * FINE)
    cell = round(FINE / geometry.scale_x)
    left = round((margin + geometry.frame.left) * FINE)
    top = round((margin + geometry.frame.top) * FINE)
    seen = canvas[top : top + geometry.height * cell, left : left + geometry.width * cell]
    counted = seen.reshape(geometry.height, cell, geometry.width, cell).mean(axis=(1, 3))

    grid = (geometry.height, geometry.width)
    np.testing.assert_allclose(geometry.coverage(given_regions, grid), counted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(geometry.coverage(given_regions, (1, 1)), counted.mean(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_coverage_of_a_mask_agrees_with_pillows_box_filter(seed: int) -> None:
    mask = np.random.default_rng(seed).random((12, 30)) < 0.3
    shares = Geometry.identity(30, 12).coverage(Mask(mask), (4, 5))
    reduced = Image.fromarray(mask.astype(np.float32)).resize((5, 4), Image.Resampling.BOX)
    np.testing.assert_allclose(shares, np.asarray(reduced), atol=1e-6)
