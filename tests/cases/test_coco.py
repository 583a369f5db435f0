"""Cases of COCO JSON files, and what is wrong in them with file, field and value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import draw

from pytest_cnnaudit.cases import Box, Case, CaseError, CaseWarning, Mask, check_regions, load_cases, open_picture


def _coco() -> dict[str, Any]:
    return {
        "images": [
            {"id": 1, "file_name": "images/a.png", "width": 8, "height": 6},
            {"id": 7, "file_name": "images/b.png"},
            {"id": 3, "file_name": "images/c.png", "group": "patient 3"},
        ],
        "categories": [{"id": 5, "name": "cat"}, {"id": 6, "name": "stamp"}, {"id": 9, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 5, "bbox": [1, 2, 3.5, 4]},
            {"id": 2, "image_id": 1, "category_id": 6, "bbox": [0, 0, 2, 1], "forbidden": True},
            {"id": 3, "image_id": 7, "category_id": 9, "bbox": [0, 0, 2, 2]},
            {"id": 4, "image_id": 7, "category_id": 5, "bbox": [4, 4, 1, 1], "forbidden": False},
            {"id": 5, "image_id": 7, "category_id": 9, "bbox": [6, 6, 1, 1]},
        ],
    }


def _write(tmp_path: Path, data: object) -> Path:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_coco_boxes(tmp_path: Path) -> None:
    path = _write(tmp_path, _coco())
    cases = load_cases(path)

    assert [case.id for case in cases] == ["images/a.png", "images/b.png", "images/c.png"]
    assert cases[0] == Case(
        tmp_path / "images/a.png",
        label="cat",
        region=Box(1, 2, 4.5, 6),
        forbidden=Box(0, 0, 2, 1),
        id="images/a.png",
    )
    assert cases[0].annotated_size == (8, 6)
    assert cases[0].source == f"{path}: image 'images/a.png'"


def test_coco_several_categories_are_a_tuple_and_a_union(tmp_path: Path) -> None:
    case = load_cases(_write(tmp_path, _coco()))[1]
    assert case.label == ("dog", "cat")
    assert case.region == (Box(0, 0, 2, 2), Box(4, 4, 5, 5), Box(6, 6, 7, 7))
    assert case.forbidden is None


def test_coco_image_without_annotations(tmp_path: Path) -> None:
    case = load_cases(_write(tmp_path, _coco()))[2]
    assert (case.label, case.region, case.forbidden, case.group) == (None, None, None, "patient 3")


def test_coco_only_forbidden_gives_no_label(tmp_path: Path) -> None:
    data = _coco()
    data["annotations"] = data["annotations"][1:2]
    case = load_cases(_write(tmp_path, data))[0]
    assert (case.label, case.region, case.forbidden) == (None, None, Box(0, 0, 2, 1))


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    (tmp_path / "cases.json").write_text(json.dumps(_coco()), encoding="utf-8-sig")
    assert len(load_cases(tmp_path / "cases.json")) == 3


def test_images_may_lie_outside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    Image.new("L", (2, 2), 9).save(tmp_path / "a.png")
    data = {"images": [{"id": 1, "file_name": "../a.png"}], "annotations": [], "categories": []}
    case = load_cases(_write(tmp_path / "annotations", data))[0]
    assert np.asarray(open_picture(case)).tolist() == [[9, 9], [9, 9]]


def _segmented(tmp_path: Path, segmentation: object, **more: Any) -> Case:
    data = _coco()
    data["annotations"] = [{"image_id": 1, "category_id": 5, "segmentation": segmentation, **more}]
    return load_cases(_write(tmp_path, data))[0]


def _mask(case: Case) -> list[list[int]]:
    (region,) = case.regions
    assert isinstance(region, Mask)
    return region.array.astype(int).tolist()


def test_coco_run_lengths_go_down_the_columns(tmp_path: Path) -> None:
    case = _segmented(tmp_path, {"size": [6, 8], "counts": [6, 2, 5, 1, 34]}, bbox=[0, 0, 1, 1])
    expected = np.zeros((6, 8), int)
    expected[0:2, 1] = 1
    expected[1, 2] = 1
    assert _mask(case) == expected.tolist()


def test_coco_polygon_with_edges_on_pixels_is_exact(tmp_path: Path) -> None:
    expected = np.zeros((6, 8), int)
    expected[1:4, 2:7] = 1
    assert _mask(_segmented(tmp_path, [[2, 1, 7, 1, 7, 4, 2, 4]])) == expected.tolist()


def test_coco_polygons_of_one_annotation_are_a_union(tmp_path: Path) -> None:
    expected = np.zeros((6, 8), int)
    expected[0:2, 0:2] = expected[1:3, 1:3] = 1
    parts = [[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 3, 1, 3, 3, 1, 3]]
    assert _mask(_segmented(tmp_path, parts)) == expected.tolist()


def test_coco_polygon_takes_pixels_by_their_centres(tmp_path: Path) -> None:
    # A triangle whose slanted side, x = y, runs through centres: those are on the left side, which is inside.
    expected = np.triu(np.ones((6, 8), int))
    expected[:, 6:] = 0
    assert _mask(_segmented(tmp_path, [[0, 0, 6, 0, 6, 6]])) == expected.tolist()


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 6])
def test_polygons_agree_with_a_point_by_point_test(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    points = random.uniform([-2, -2], [10, 8], (7, 2))
    array = np.array(_mask(_segmented(tmp_path, [points.ravel().tolist()])))
    for row in range(6):
        for column in range(8):
            assert array[row, column] == _point_in_polygon(column + 0.5, row + 0.5, points.tolist())


@pytest.mark.parametrize("seed", range(5))
def test_polygons_agree_with_scikit_image(tmp_path: Path, seed: int) -> None:
    points = np.random.default_rng(seed).uniform([-2, -2], [10, 8], (9, 2))
    # There a pixel's centre has whole coordinates, rows first.
    expected = draw.polygon2mask((6, 8), points[:, ::-1] - 0.5)
    assert _mask(_segmented(tmp_path, [points.ravel().tolist()])) == expected.tolist()


def _point_in_polygon(x: float, y: float, points: list[list[float]]) -> bool:
    inside = False
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            inside = not inside
    return inside


def test_a_polygon_beyond_the_picture_is_clipped_with_a_warning(tmp_path: Path) -> None:
    case = _segmented(tmp_path, [[6, 1, 11, 1, 11, 4, 6, 4]])
    with pytest.warns(CaseWarning, match=r"image 'images/a\.png': region: .*reaches beyond the picture \(8 × 6"):
        check_regions(case, 8, 6)
    assert np.array(_mask(case)).sum() == 6


def test_a_polygon_outside_the_picture_is_refused(tmp_path: Path) -> None:
    case = _segmented(tmp_path, [[9, 1, 11, 1, 11, 4, 9, 4]])
    with pytest.raises(CaseError, match=r"annotations\[0\]\.segmentation: no pixel of the picture is inside"):
        check_regions(case, 8, 6)


def test_the_box_of_a_segmentation_is_checked_but_not_needed(tmp_path: Path) -> None:
    polygon = [[2, 1, 7, 1, 7, 4, 2, 4]]
    assert isinstance(_segmented(tmp_path, polygon, bbox=None).region, Mask)
    assert _segmented(tmp_path, [], bbox=[0, 0, 1, 1]).region == Box(0, 0, 1, 1)
    with pytest.raises(CaseError, match=r"annotations\[0\]\.bbox: width is 0"):
        _segmented(tmp_path, polygon, bbox=[0, 0, 0, 1])


def test_segmentations_are_equal_by_value(tmp_path: Path) -> None:
    polygon = [[2, 1, 7, 1, 7, 4, 2, 4]]
    assert _segmented(tmp_path, polygon) == _segmented(tmp_path, polygon)
    assert hash(_segmented(tmp_path, polygon)) == hash(_segmented(tmp_path, polygon))
    assert _segmented(tmp_path, polygon) != _segmented(tmp_path, [[2, 1, 7, 1, 7, 4, 2, 5]])


def test_a_picture_of_another_size_than_annotated_is_told(tmp_path: Path) -> None:
    case = load_cases(_write(tmp_path, _coco()))[0]
    with pytest.warns(CaseWarning, match=r"annotated for 8 × 6 pixels, the upright picture has 6 × 8"):
        check_regions(case, 6, 8)


Edit = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: d.pop("images"), "cases.json: 'images' is missing"),
        (lambda d: d.pop("annotations"), "cases.json: 'annotations' is missing"),
        (lambda d: d.pop("categories"), "cases.json: 'categories' is missing"),
        (lambda d: d.update(images={}), "cases.json.images: is {} (must be list)"),
        (lambda d: d.update(images=[], annotations=[]), "cases.json: holds no case"),
        (lambda d: d["images"].append(3), "cases.json: images[3]: is 3 (must be an object)"),
        (lambda d: d["images"][1].pop("id"), "cases.json: images[1]: 'id' is missing"),
        (lambda d: d["images"][1].update(id=1), "cases.json: images[1].id: 1 is there already"),
        (lambda d: d["images"][1].update(id=1.5), "cases.json: images[1].id: is 1.5 (must be int or str)"),
        (lambda d: d["images"][1].update(id=True), "cases.json: images[1].id: is True (must be int or str)"),
        (lambda d: d["images"][1].pop("file_name"), "cases.json: images[1]: 'file_name' is missing"),
        (lambda d: d["images"][1].update(file_name=""), "cases.json: images[1].file_name: is empty"),
        (lambda d: d["images"][1].update(file_name=4), "cases.json: images[1].file_name: is 4 (must be str)"),
        (
            lambda d: d["images"][1].update(file_name="images/a.png"),
            "image 'images/a.png': id 'images/a.png' is there already",
        ),
        (lambda d: d["images"][0].update(width=0), "cases.json: images[0].width: is 0 (must be > 0)"),
        (lambda d: d["images"][0].pop("width"), "cases.json: images[0]: 'width' is missing"),
        (lambda d: d["images"][0].update(group=2.5), "image 'images/a.png': group is 2.5 (must be a text"),
        (
            lambda d: d["categories"][0].update(name=None),
            "cases.json: categories[0].name: is None (must be str)",
        ),
        (lambda d: d["categories"][1].update(id=5), "cases.json: categories[1].id: 5 is there already"),
        (
            lambda d: d["categories"][1].update(name="cat"),
            "cases.json: categories[1].name: 'cat' is there already",
        ),
        (lambda d: d["annotations"].append([]), "cases.json: annotations[5]: is [] (must be an object)"),
        (
            lambda d: d["annotations"][3].update(image_id=99),
            "cases.json: annotations[3].image_id: 99 is the id of no image",
        ),
        (
            lambda d: d["annotations"][3].update(category_id=99),
            "cases.json: annotations[3].category_id: 99 is the id of no category",
        ),
        (lambda d: d["annotations"][3].pop("image_id"), "cases.json: annotations[3]: 'image_id' is missing"),
        (
            lambda d: d["annotations"][3].pop("category_id"),
            "cases.json: annotations[3]: 'category_id' is missing",
        ),
        (lambda d: d["annotations"][3].pop("bbox"), "cases.json: annotations[3]: 'bbox' is missing"),
        (
            lambda d: d["annotations"][3].update(bbox="1 2 3 4"),
            "annotations[3].bbox: is '1 2 3 4' (must be list)",
        ),
        (
            lambda d: d["annotations"][3].update(bbox=[1, 2, 3]),
            "annotations[3].bbox: has 3 numbers (must be 4: x, y, width, height)",
        ),
        (
            lambda d: d["annotations"][3].update(bbox=[1, 2, -4, 3]),
            "cases.json: annotations[3].bbox: width is -4 (must be > 0)",
        ),
        (
            lambda d: d["annotations"][3].update(bbox=[1, 2, 4, 0]),
            "cases.json: annotations[3].bbox: height is 0 (must be > 0)",
        ),
        (
            lambda d: d["annotations"][3].update(bbox=[1, "2", 4, 1]),
            "cases.json: annotations[3].bbox: y is '2' (must be a number)",
        ),
        (
            lambda d: d["annotations"][3].update(bbox=[1, None, 4, 1]),
            "cases.json: annotations[3].bbox: y is None (must be a number)",
        ),
        (
            lambda d: d["annotations"][3].update(bbox=[10**400, 0, 4, 1]),
            "cases.json: annotations[3].bbox: x is inf (must be finite)",
        ),
        (
            lambda d: d["annotations"][3].update(forbidden="yes"),
            "cases.json: annotations[3].forbidden: is 'yes' (must be true or false)",
        ),
        (
            lambda d: d["annotations"][3].update(forbidden=[]),
            "cases.json: annotations[3].forbidden: is [] (must be true or false)",
        ),
        (
            lambda d: d["annotations"][3].update(segmentation=[[1, 2, 3, 4, 5, 6]]),
            "cases.json: images[1]: width and height are missing (cases.json: annotations[3].seg",
        ),
    ],
)
def test_coco_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: Edit, message: str) -> None:
    data = _coco()
    edit(data)
    _write(tmp_path, data)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CaseError, match=re.escape(message)) as caught:
        load_cases("cases.json")
    assert str(caught.value).startswith("cases.json")


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [6, 8], "counts": "PPYo0"}, ".counts: is a compressed run-length text"),
        ({"size": [8, 6], "counts": [48]}, ".size: is [8, 6] (must be the image's [height, width], [6, 8])"),
        ({"size": [6, 8], "counts": [47]}, ".counts: add up to 47 (must be 48, all pixels)"),
        ({"size": [6, 8], "counts": [49, -1]}, ".counts[1]: is -1 (must be an int ≥ 0)"),
        ({"size": [6, 8], "counts": [47.5, 0.5]}, ".counts[0]: is 47.5 (must be an int ≥ 0)"),
        ({"size": [6, 8]}, ": 'counts' is missing"),
        ("outline", ": is 'outline' (must be an object)"),
        ([[1, 2, 3, 4]], "[0]: is [1, 2, 3, 4] (must be a list of x, y, x, y, … of at least 3 points)"),
        ([[1, 2, 3, 4, 5, 6, 7]], "[0]: is [1, 2, 3, 4, 5, 6, 7] (must be a list of x, y"),
        ([[1, 2, 3, 4, 5, "6"]], "[0][5]: is '6' (must be a number)"),
    ],
)
def test_segmentation_errors(tmp_path: Path, segmentation: object, message: str) -> None:
    with pytest.raises(CaseError, match=re.escape(f"cases.json: annotations[0].segmentation{message}")):
        _segmented(tmp_path, segmentation)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [\n', "cases.json: line 2: is not JSON (Expecting value)"),
        ("", "cases.json: line 1: is not JSON"),
        ('{"images": [NaN]}', "cases.json: holds NaN (numbers must be finite)"),
        ('{"images": [-Infinity]}', "cases.json: holds -Infinity"),
        ("[]", "cases.json: is [] (must be an object)"),
        ("[" * 100_000, "cases.json: is nested too deeply"),
        (b"\xff\xfe\0", "cases.json: is not UTF-8 text (invalid start byte at byte 0)"),
    ],
)
def test_not_json(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "cases.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CaseError, match=re.escape(message)):
        load_cases(path)


def test_pictures_are_opened_only_when_used(tmp_path: Path) -> None:
    cases = load_cases(_write(tmp_path, _coco()))
    with pytest.raises(CaseError, match=r"cases\.json: image 'images/a\.png': no such file: .*a\.png"):
        open_picture(cases[0])


def test_cases_are_a_sequence(tmp_path: Path) -> None:
    path = _write(tmp_path, _coco())
    cases = load_cases(str(path))
    assert (len(cases), cases.path, cases[-1].id) == (3, path, "images/c.png")
    assert [case.id for case in cases[:2]] == ["images/a.png", "images/b.png"]
    assert cases[:2].path == path
    assert list(cases) == list(cases)
    assert repr(cases) == f"<Cases: 3 of '{path}'>"
