"""Pictures read right, and regions that lie where the pixels lie."""

from __future__ import annotations

import contextlib
import io
import struct
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin
from scipy import ndimage

from pytest_cnnaudit.cases import Box, Case, CaseError, CaseWarning, Mask
from pytest_cnnaudit.preprocessing import Geometry, Preprocessing, open_picture

RED, GREEN, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (255, 255, 255), (0, 0, 0)
relaxed = settings(deadline=None, max_examples=60)


# --- open_picture ----------------------------------------------------------------------------------------

# What a camera stores for each orientation, as the transposition that turns the upright picture into it.
STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def _upright() -> Image.Image:
    pixels = np.arange(3 * 2 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
    return Image.fromarray(pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp"])
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int, suffix: str) -> None:
    operation = STORED_AS[orientation]
    stored = _upright() if operation is None else _upright().transpose(operation)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(tmp_path / f"a.{suffix}", exif=exif, **({"lossless": True} if suffix == "webp" else {}))

    picture = open_picture(tmp_path / f"a.{suffix}")

    assert picture.size == (3, 2)
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(_upright()))


def test_a_picture_in_memory_is_turned_upright_and_left_as_it_was() -> None:
    stored = _upright().transpose(Image.Transpose.ROTATE_90)
    stored.getexif()[ExifTags.Base.Orientation] = 6

    picture = open_picture(stored)

    assert picture.size == (3, 2)
    assert stored.size == (2, 3)
    assert stored.getexif()[ExifTags.Base.Orientation] == 6


def _first_pixel(picture: Image.Image) -> tuple[str, object]:
    return picture.mode, picture.getpixel((0, 0))


def test_grey_stays_grey(tmp_path: Path) -> None:
    Image.new("L", (2, 2), 77).save(tmp_path / "a.png")
    assert _first_pixel(open_picture(tmp_path / "a.png")) == ("L", 77)


def test_one_bit_becomes_grey(tmp_path: Path) -> None:
    Image.new("1", (2, 2), 1).save(tmp_path / "a.png")
    assert _first_pixel(open_picture(tmp_path / "a.png")) == ("L", 255)


def test_grey_with_alpha_becomes_rgba(tmp_path: Path) -> None:
    Image.new("LA", (2, 2), (77, 51)).save(tmp_path / "a.png")
    assert _first_pixel(open_picture(tmp_path / "a.png")) == ("RGBA", (77, 77, 77, 51))


def test_palette_becomes_rgb(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), (10, 200, 30)).quantize(4).save(tmp_path / "a.png")
    assert _first_pixel(open_picture(tmp_path / "a.png")) == ("RGB", (10, 200, 30))


def test_palette_with_transparency_becomes_rgba(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 2), 1)
    picture.putpalette([0, 0, 0, 10, 200, 30])
    picture.save(tmp_path / "a.png", transparency=1)
    assert _first_pixel(open_picture(tmp_path / "a.png")) == ("RGBA", (10, 200, 30, 0))


@pytest.mark.parametrize(("mode", "color"), [("L", 77), ("RGB", (10, 200, 30))])
def test_a_transparent_colour_becomes_rgba(tmp_path: Path, mode: str, color: object) -> None:
    Image.new(mode, (2, 2), color).save(tmp_path / "a.png", transparency=color)  # type: ignore[arg-type]
    mode, pixel = _first_pixel(open_picture(tmp_path / "a.png"))
    assert (mode, pixel[3]) == ("RGBA", 0)  # type: ignore[index]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (2, 2), (0, 255, 255, 0)).save(tmp_path / "a.tiff")
    assert _first_pixel(open_picture(tmp_path / "a.tiff")) == ("RGB", (255, 0, 0))


def test_cmyk_jpeg_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    mode, pixel = _first_pixel(open_picture(tmp_path / "a.jpg"))
    assert mode == "RGB"
    np.testing.assert_allclose(pixel, RED, atol=3)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_grey_keeps_black_middle_and_white(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    picture = open_picture(tmp_path / f"a.{suffix}")
    assert picture.mode == "L"
    assert np.asarray(picture).tolist() == [[0, 0, 1, 128, 255]]


def test_sixteen_bit_big_endian(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n" + struct.pack(">HH", 257, 65535))
    assert np.asarray(open_picture(tmp_path / "a.pgm")).tolist() == [[1, 255]]
    picture = Image.frombytes("I;16B", (2, 1), struct.pack(">HH", 514, 65535))
    assert np.asarray(open_picture(picture)).tolist() == [[2, 255]]


def test_integers_beyond_sixteen_bits_are_refused() -> None:
    picture = Image.fromarray(np.array([[0, 70000]], dtype=np.int32))
    with pytest.raises(CaseError, match=r"^picture: has pixels from 0 to 70000 \(16-bit grey goes from 0 to 65535"):
        open_picture(picture)


def test_floats_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(CaseError, match=r"a\.tiff': has floats for pixels"):
        open_picture(tmp_path / "a.tiff")


def test_a_mode_without_conversion_is_refused() -> None:
    with pytest.raises(CaseError, match="pictures of mode La can't be read"):
        open_picture(Image.new("La", (2, 2)))


@pytest.mark.parametrize("suffix", ["gif", "tiff"])
def test_the_first_of_several_frames(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, GREEN)]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    assert _first_pixel(open_picture(tmp_path / f"a.{suffix}")) == ("RGB", RED)


@pytest.mark.parametrize(("shape", "mode"), [((2, 3), "L"), ((2, 3, 1), "L"), ((2, 3, 3), "RGB"), ((2, 3, 4), "RGBA")])
def test_uint8_arrays(shape: tuple[int, ...], mode: str) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    picture = open_picture(pixels)
    assert (picture.mode, picture.size) == (mode, (3, 2))
    np.testing.assert_array_equal(np.asarray(picture).reshape(shape), pixels)


def test_an_array_that_is_not_contiguous() -> None:
    pixels = np.arange(36, dtype=np.uint8).reshape(4, 3, 3)[::2, ::-1]
    np.testing.assert_array_equal(np.asarray(open_picture(pixels)), pixels)


def test_a_float_array_is_refused_and_told_why() -> None:
    with pytest.raises(CaseError, match=r"float32 array of shape \(4, 4, 3\): whether it goes from 0 to 1, .* uint8"):
        open_picture(np.zeros((4, 4, 3), np.float32))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4), np.int64), np.zeros((0, 4), np.uint8)]
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(CaseError, match=r"array of shape .* \(must be uint8, \(H, W\)"):
        open_picture(array)


# --- what can't be read ----------------------------------------------------------------------------------


def _png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*item) for item in chunks)


def _expect_refusal(path: Path, message: str) -> None:
    with pytest.raises(CaseError, match=message) as caught:
        open_picture(path)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    _expect_refusal(tmp_path / "no.png", "no such file")


def test_a_folder(tmp_path: Path) -> None:
    _expect_refusal(tmp_path, "is a folder")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    _expect_refusal(tmp_path / "a.png", "is an empty file")


def test_text_named_jpg(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("hello")
    _expect_refusal(tmp_path / "a.jpg", "can't be read as a picture")


def test_a_path_with_a_null() -> None:
    with pytest.raises(CaseError, match="no such file"):
        open_picture("a\0b.png")


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "tiff", "webp"])
def test_truncated_files(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    _expect_refusal(file, "can't be read as a picture")


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "tiff", "webp"])
def test_damaged_files_give_a_picture_or_a_case_error(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)).save(file)
    whole = file.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in random.integers(0, min(len(whole), 200), 4):
            damaged[place] = random.integers(0, 256)
        file.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(CaseError):
                open_picture(file)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(_png([(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]))
    _expect_refusal(tmp_path / "bomb.png", "more than 89,478,485 pixels and was not loaded")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_just_over_the_limit_is_refused_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (11, 10)).save(tmp_path / "over.png")
    Image.new("L", (10, 10)).save(tmp_path / "at.png")
    picture = Image.new("L", (11, 10))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)

    assert open_picture(tmp_path / "at.png").size == (10, 10)
    _expect_refusal(tmp_path / "over.png", "more than 100 pixels and was not loaded")
    with pytest.raises(CaseError, match="more than 100 pixels"):
        open_picture(picture)


def test_no_limit_where_the_user_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (11, 10)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert open_picture(tmp_path / "a.png").size == (11, 10)


def test_a_text_bomb_in_a_png(tmp_path: Path) -> None:
    text = zlib.compress(b"x" * (PngImagePlugin.MAX_TEXT_CHUNK + 1))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"zTXt", b"a\0\0" + text),
        (b"IDAT", zlib.compress(b"\0\0")),
        (b"IEND", b""),
    ]
    (tmp_path / "a.png").write_bytes(_png(chunks))
    _expect_refusal(tmp_path / "a.png", "Decompressed data too large")


def test_eps_is_never_run(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    _expect_refusal(tmp_path / "a.jpg", "is an EPS file")


def test_the_case_is_named(tmp_path: Path) -> None:
    case = Case(tmp_path / "no.png", source="cases.json: image 'no.png'")
    with pytest.raises(CaseError, match=r"^cases\.json: image 'no\.png': no such file: "):
        open_picture(case)


# --- coverage: exact numbers -----------------------------------------------------------------------------


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


# --- coverage: properties --------------------------------------------------------------------------------

WIDTH, HEIGHT = 7, 5


def _interval(length: int) -> st.SearchStrategy[list[float]]:
    # Multiples of 1/64 have exact mirror images.
    edges = st.integers(0, 64 * length).map(lambda edge: edge / 64)
    return st.lists(edges, min_size=2, max_size=2, unique=True).map(sorted)


def boxes() -> st.SearchStrategy[Box]:
    intervals = st.tuples(_interval(WIDTH), _interval(HEIGHT))
    return intervals.map(lambda pair: Box(pair[0][0], pair[1][0], pair[0][1], pair[1][1]))


masks = (
    st.lists(st.booleans(), min_size=WIDTH * HEIGHT, max_size=WIDTH * HEIGHT)
    .filter(any)
    .map(lambda flags: Mask(np.reshape(flags, (HEIGHT, WIDTH))))
)
regions = st.lists(boxes() | masks, min_size=1, max_size=4)
grids = st.tuples(st.integers(1, 6), st.integers(1, 6))
geometries = st.builds(
    lambda size, resize: Preprocessing(size, resize=resize, color="rgb")(Image.new("RGB", (WIDTH, HEIGHT)))[1],
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.sampled_from(["stretch", "crop", "pad"]),
)


def _mirrored(region: Box | Mask) -> Box | Mask:
    if isinstance(region, Mask):
        return Mask(region.array[:, ::-1])
    return Box(WIDTH - region.right, region.top, WIDTH - region.left, region.bottom)


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
def test_the_mirrored_region_covers_the_mirrored_grid(given_regions: list[Box | Mask], grid: tuple[int, int]) -> None:
    geometry = Geometry(12 / WIDTH, 9 / HEIGHT, 0, 0, 12, 9, WIDTH, HEIGHT)
    mirrored = geometry.coverage([_mirrored(region) for region in given_regions], grid)
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


# --- distances of cell centres -----------------------------------------------------------------------------


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
    mirrored = geometry.centre_distances([_mirrored(region) for region in given_regions], grid)
    np.testing.assert_allclose(geometry.centre_distances(given_regions, grid)[:, ::-1], mirrored, atol=1e-12)


@relaxed
@given(regions, grids, geometries, st.floats(0, 2), st.floats(0, 2))
def test_more_tolerance_takes_more_cells_in(
    given_regions: list[Box | Mask], grid: tuple[int, int], geometry: Geometry, less: float, more: float
) -> None:
    less, more = sorted((less, more))
    within = geometry.centres_inside(given_regions, grid, less)
    assert (within <= geometry.centres_inside(given_regions, grid, more)).all()


# --- geometry: where the pixels land ---------------------------------------------------------------------


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


# --- Preprocessing ---------------------------------------------------------------------------------------


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
