"""Cases of a COCO JSON file.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_cnnaudit.cases.annotations import one_or_more, prefixed
from pytest_cnnaudit.cases.case import Case
from pytest_cnnaudit.cases.errors import CaseError
from pytest_cnnaudit.cases.json_fields import get, get_text, parse_json
from pytest_cnnaudit.cases.regions import Box, Region
from pytest_cnnaudit.cases.segmentations import segmented


def read_coco(path: Path) -> list[Case]:
    """One case an image of a COCO detection or segmentation file, its `file_name` as id.

    The regions are the segmentations of the image's annotations (polygons, or uncompressed run lengths), or
    their boxes where they have none; the label is their category, or a tuple of them in the order of the
    file. An annotation with `"forbidden": true` is a forbidden region, and its category is no label. An image
    without annotations has neither label nor region. An image may have a `"group"`.
    """
    data = parse_json(path)
    categories = _coco_categories(data, path)
    annotations: dict[int | str, list[_Annotation]] = {}
    images: dict[int | str, tuple[str, dict[str, Any]]] = {}
    for index, image in enumerate(get(data, "images", list, str(path))):
        where = f"{path}: images[{index}]"
        image_id = get(image, "id", (int, str), where)
        if image_id in images:
            raise CaseError(f"{where}.id: {image_id!r} is there already ({images[image_id][0]})")
        images[image_id] = (where, image)
        annotations[image_id] = []
    for index, entry in enumerate(get(data, "annotations", list, str(path))):
        where = f"{path}: annotations[{index}]"
        image_id = get(entry, "image_id", (int, str), where)
        if image_id not in images:
            raise CaseError(f"{where}.image_id: {image_id!r} is the id of no image")
        annotations[image_id].append(_coco_annotation(entry, where, categories, *images[image_id]))
    return [_coco_case(path, where, image, annotations[image_id]) for image_id, (where, image) in images.items()]


@dataclass(frozen=True)
class _Annotation:
    label: str
    region: Region
    forbidden: bool


def _coco_categories(data: object, path: Path) -> dict[int | str, str]:
    names: dict[int | str, str] = {}
    for index, category in enumerate(get(data, "categories", list, str(path))):
        where = f"{path}: categories[{index}]"
        category_id, name = get(category, "id", (int, str), where), get_text(category, "name", where)
        if category_id in names:
            raise CaseError(f"{where}.id: {category_id!r} is there already")
        if name in names.values():
            raise CaseError(f"{where}.name: {name!r} is there already")
        names[category_id] = name
    return names


def _coco_annotation(
    entry: dict[str, Any],
    where: str,
    categories: dict[int | str, str],
    image_where: str,
    image: dict[str, Any],
) -> _Annotation:
    category_id = get(entry, "category_id", (int, str), where)
    if category_id not in categories:
        raise CaseError(f"{where}.category_id: {category_id!r} is the id of no category")
    forbidden = entry.get("forbidden", False)
    if forbidden not in (True, False):
        raise CaseError(f"{where}.forbidden: is {forbidden!r} (must be true or false)")
    region = _coco_region(entry, where, image_where, image)
    return _Annotation(categories[category_id], region, bool(forbidden))


def _coco_region(entry: dict[str, Any], where: str, image_where: str, image: dict[str, Any]) -> Region:
    segmentation = entry.get("segmentation")
    if not segmentation or entry.get("bbox") is not None:
        # The box is checked also where the segmentation, which says more, is used.
        box = _coco_box(get(entry, "bbox", list, where), f"{where}.bbox")
        if not segmentation:
            return box
    size = _coco_size(image, image_where)
    if size is None:
        raise CaseError(f"{image_where}: width and height are missing ({where}.segmentation needs them)")
    return segmented(segmentation, *size, f"{where}.segmentation")


def _coco_box(values: list[Any], where: str) -> Box:
    if len(values) != 4:
        raise CaseError(f"{where}: has {len(values)} numbers (must be 4: x, y, width, height)")
    return prefixed(where, lambda: Box.from_xywh(*values))


def _coco_size(image: dict[str, Any], where: str) -> tuple[int, int] | None:
    if image.get("width") is None and image.get("height") is None:
        return None
    width, height = get(image, "width", int, where), get(image, "height", int, where)
    for name, value in (("width", width), ("height", height)):
        if value < 1:
            raise CaseError(f"{where}.{name}: is {value} (must be > 0)")
    return width, height


def _coco_case(path: Path, where: str, image: dict[str, Any], annotations: list[_Annotation]) -> Case:
    file_name = get_text(image, "file_name", where)
    wanted = [annotation for annotation in annotations if not annotation.forbidden]
    return Case(
        path.parent / file_name,
        label=one_or_more([annotation.label for annotation in wanted]),
        region=one_or_more([annotation.region for annotation in wanted]),
        forbidden=one_or_more([annotation.region for annotation in annotations if annotation.forbidden]),
        id=file_name,
        group=image.get("group"),
        source=f"{path}: image '{file_name}'",
        annotated_size=_coco_size(image, where),
    )
