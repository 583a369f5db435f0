"""Pictures are read right, or are refused with what is wrong."""

from __future__ import annotations

import contextlib
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from pytest_cnnaudit.cases import Case, CaseError, open_picture, upright_size

RED, GREEN = (255, 0, 0), (0, 255, 0)
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


# --- upright_size ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
def test_the_size_is_that_of_the_upright_picture(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new("RGB", (6, 4)).save(tmp_path / f"a.{suffix}", exif=exif)
    expected = (6, 4) if orientation < 5 else (4, 6)
    assert upright_size(tmp_path / f"a.{suffix}") == open_picture(tmp_path / f"a.{suffix}").size == expected


def test_the_size_needs_no_pixel_where_the_header_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    assert upright_size(Case(tmp_path / "a.png")) == (6, 4)


def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    plain = (tmp_path / "a.png").read_bytes()
    behind = _png([(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))])[8:]
    (tmp_path / "a.png").write_bytes(plain[:-12] + behind + plain[-12:])
    assert upright_size(tmp_path / "a.png") == open_picture(tmp_path / "a.png").size == (4, 6)


def test_the_size_of_what_is_in_memory_or_tells_it_only_when_decoded(tmp_path: Path) -> None:
    assert upright_size(np.zeros((4, 6, 3), np.uint8)) == (6, 4)
    assert upright_size(Case(Image.new("L", (6, 4)))) == (6, 4)
    Image.new("RGB", (16, 16)).save(tmp_path / "a.ico")
    assert upright_size(tmp_path / "a.ico") == (16, 16)


def test_what_can_not_be_read_has_no_size_either(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match=r"^case .*no\.png': no such file"):
        upright_size(Case(tmp_path / "no.png"))
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(CaseError, match="can't be read as a picture"):
        upright_size(tmp_path / "b.png")
    (tmp_path / "huge.png").write_bytes(
        _png([(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)), (b"IEND", b"")])
    )
    with pytest.raises(CaseError, match="pixels and was not loaded"):
        upright_size(tmp_path / "huge.png")
