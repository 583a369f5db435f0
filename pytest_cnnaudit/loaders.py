"""Readers of annotations: COCO JSON, Pascal VOC, CSV and class folders become cases.

Everything in the annotations is checked when they are read. Pictures and masks are not opened here.
PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pytest_cnnaudit.cases import Box, Case, CaseError, Mask, Region, finite_number, nearest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

T = TypeVar("T")

PICTURE_SUFFIXES = frozenset(
    (
        ".avif",
        ".bmp",
        ".gif",
        ".jfif",
        ".jp2",
        ".jpeg",
        ".jpg",
        ".pgm",
        ".png",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)
# What operating systems leave in folders unasked.
SYSTEM_FILES = frozenset(("desktop.ini", "thumbs.db", "__macosx"))


def read_cases(path: Path) -> list[Case]:
    """The cases of a file or folder, in its order; see the readers below for what each format means."""
    cases = _reader(path)(path)
    if not cases:
        raise CaseError(f"{path}: holds no case (an audit of nothing would pass)")
    first: dict[str, Case] = {}
    for case in cases:
        if case.name in first:
            raise CaseError(f"{case.where}: id {case.name!r} is there already ({first[case.name].where})")
        first[case.name] = case
    return cases


def _reader(path: Path) -> Callable[[Path], list[Case]]:
    if path.is_dir():
        return read_voc if (path / "Annotations").is_dir() else read_class_folders
    if not path.exists():
        raise CaseError(f"{path}: no such file or folder")
    readers = {".json": read_coco, ".csv": read_csv}
    if path.suffix.lower() not in readers:
        raise CaseError(f"{path}: not a known kind of cases (must be .json (COCO), .csv, or a folder)")
    return readers[path.suffix.lower()]


# --- COCO ------------------------------------------------------------------------------------------------


def read_coco(path: Path) -> list[Case]:
    """One case an image of a COCO detection or segmentation file, its `file_name` as id.

    The regions are the segmentations of the image's annotations (polygons, or uncompressed run lengths), or
    their boxes where they have none; the label is their category, or a tuple of them in the order of the
    file. An annotation with `"forbidden": true` is a forbidden region, and its category is no label. An image
    without annotations has neither label nor region. An image may have a `"group"`.
    """
    data = _parse_json(path)
    categories = _coco_categories(data, path)
    annotations: dict[int | str, list[_Annotation]] = {}
    images: dict[int | str, tuple[str, dict[str, Any]]] = {}
    for index, image in enumerate(_get(data, "images", list, str(path))):
        where = f"{path}: images[{index}]"
        image_id = _get(image, "id", (int, str), where)
        if image_id in images:
            raise CaseError(f"{where}.id: {image_id!r} is there already ({images[image_id][0]})")
        images[image_id] = (where, image)
        annotations[image_id] = []
    for index, entry in enumerate(_get(data, "annotations", list, str(path))):
        where = f"{path}: annotations[{index}]"
        image_id = _get(entry, "image_id", (int, str), where)
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
    for index, category in enumerate(_get(data, "categories", list, str(path))):
        where = f"{path}: categories[{index}]"
        category_id, name = _get(category, "id", (int, str), where), _get_text(category, "name", where)
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
    category_id = _get(entry, "category_id", (int, str), where)
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
        box = _coco_box(_get(entry, "bbox", list, where), f"{where}.bbox")
        if not segmentation:
            return box
    size = _coco_size(image, image_where)
    if size is None:
        raise CaseError(f"{image_where}: width and height are missing ({where}.segmentation needs them)")
    return _coco_mask(segmentation, *size, f"{where}.segmentation")


def _coco_box(values: list[Any], where: str) -> Box:
    if len(values) != 4:
        raise CaseError(f"{where}: has {len(values)} numbers (must be 4: x, y, width, height)")
    return _prefixed(where, lambda: Box.from_xywh(*values))


def _coco_mask(segmentation: object, width: int, height: int, where: str) -> Mask:
    if isinstance(segmentation, list):
        return _PolygonMask(_polygons(segmentation, where), width, height, where)
    size = _get(segmentation, "size", list, where)
    counts = _get(segmentation, "counts", (list, str), where)
    if isinstance(counts, str):
        raise CaseError(
            f"{where}.counts: is a compressed run-length text "
            "(must be a list of run lengths, or polygons; pycocotools can convert it)"
        )
    if size != [height, width]:
        raise CaseError(f"{where}.size: is {size} (must be the image's [height, width], {[height, width]})")
    for index, count in enumerate(counts):
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise CaseError(f"{where}.counts[{index}]: is {count!r} (must be an int ≥ 0)")
    if sum(counts) != width * height:
        raise CaseError(f"{where}.counts: add up to {sum(counts)} (must be {width * height}, all pixels)")
    return _RunLengthMask(tuple(counts), width, height, where)


def _polygons(parts: list[Any], where: str) -> tuple[tuple[float, ...], ...]:
    polygons = []
    for index, part in enumerate(parts):
        at = f"{where}[{index}]"
        if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
            raise CaseError(f"{at}: is {_short(part)} (must be a list of x, y, x, y, … of at least 3 points)")
        polygons.append(tuple(finite_number(value, f"{at}[{place}]:") for place, value in enumerate(part)))
    return tuple(polygons)


def _coco_size(image: dict[str, Any], where: str) -> tuple[int, int] | None:
    if image.get("width") is None and image.get("height") is None:
        return None
    width, height = _get(image, "width", int, where), _get(image, "height", int, where)
    for name, value in (("width", width), ("height", height)):
        if value < 1:
            raise CaseError(f"{where}.{name}: is {value} (must be > 0)")
    return width, height


def _coco_case(path: Path, where: str, image: dict[str, Any], annotations: list[_Annotation]) -> Case:
    file_name = _get_text(image, "file_name", where)
    wanted = [annotation for annotation in annotations if not annotation.forbidden]
    return Case(
        path.parent / file_name,
        label=_one_or_more([annotation.label for annotation in wanted]),
        region=_one_or_more([annotation.region for annotation in wanted]),
        forbidden=_one_or_more([annotation.region for annotation in annotations if annotation.forbidden]),
        id=file_name,
        group=image.get("group"),
        source=f"{path}: image '{file_name}'",
        annotated_size=_coco_size(image, where),
    )


class _DrawnMask(Mask):
    """A mask kept as the numbers that describe it, and drawn each time it is needed."""

    def __init__(self, key: tuple[Any, ...], width: int, height: int, where: str) -> None:
        self._path = None
        self._key = (key, width, height)
        self._numbers, self._width, self._height, self._where = key, width, height, where

    def _read(self) -> npt.NDArray[np.bool_]:
        array = self._draw()
        if not array.any():
            raise CaseError(f"{self._where}: no pixel of the picture is inside")
        array.flags.writeable = False
        return array

    def _draw(self) -> npt.NDArray[np.bool_]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"Mask(<{self._where}>)"


class _RunLengthMask(_DrawnMask):
    """COCO's run lengths: column by column, alternately outside and inside, beginning outside."""

    def _draw(self) -> npt.NDArray[np.bool_]:
        import numpy as np

        runs = np.arange(len(self._numbers)) % 2 == 1
        array: npt.NDArray[np.bool_] = np.repeat(runs, self._numbers).reshape(self._width, self._height).T
        return array.copy()


class _PolygonMask(_DrawnMask):
    """The union of polygons; a pixel is inside where its centre is (even-odd rule)."""

    @property
    def overhangs(self) -> bool:
        """Whether a corner lies outside the picture."""
        xs = [x for part in self._numbers for x in part[0::2]]
        ys = [y for part in self._numbers for y in part[1::2]]
        return bool(min(xs) < 0 or min(ys) < 0 or max(xs) > self._width or max(ys) > self._height)

    def _draw(self) -> npt.NDArray[np.bool_]:
        import numpy as np

        inside = np.zeros((self._height, self._width), dtype=bool)
        for part in self._numbers:
            points = np.reshape(np.asarray(part, dtype=np.float64), (-1, 2))
            inside |= self._draw_part(points)
        return inside

    def _draw_part(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Each edge flips all pixels to its right; what is flipped an odd number of times is inside."""
        import numpy as np

        flips = np.zeros((self._height, self._width + 1), dtype=bool)
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            first, last = np.clip(np.ceil(np.sort([y0, y1]) - 0.5), 0, self._height).astype(int)
            rows = np.arange(first, last)
            if len(rows):
                crossings = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
                flips[rows, np.clip(np.ceil(crossings - 0.5), 0, self._width).astype(int)] ^= True
        inside: npt.NDArray[np.bool_] = np.logical_xor.accumulate(flips, axis=1)[:, :-1]
        return inside


def _parse_json(path: Path) -> object:
    def refuse(constant: str) -> NoReturn:
        raise CaseError(f"{path}: holds {constant} (numbers must be finite)")

    try:
        return json.loads(_read_text(path), parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise CaseError(f"{path}: line {error.lineno}: is not JSON ({error.msg})") from error
    except RecursionError as error:
        raise CaseError(f"{path}: is nested too deeply") from error


def _get(entry: object, key: str, kinds: type | tuple[type, ...], where: str) -> Any:
    """The value of a key that must be there and of one of these JSON types."""
    if not isinstance(entry, dict):
        raise CaseError(f"{where}: is {_short(entry)} (must be an object)")
    if key not in entry:
        raise CaseError(f"{where}: '{key}' is missing")
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, kinds):
        expected = kinds if isinstance(kinds, tuple) else (kinds,)
        raise CaseError(
            f"{where}.{key}: is {_short(value)} (must be {' or '.join(kind.__name__ for kind in expected)})"
        )
    return value


def _get_text(entry: object, key: str, where: str) -> str:
    text: str = _get(entry, key, str, where)
    if not text:
        raise CaseError(f"{where}.{key}: is empty")
    return text


# --- Pascal VOC ------------------------------------------------------------------------------------------


def read_voc(path: Path) -> list[Case]:
    """One case a file of `Annotations/`, whose `filename` lies in `JPEGImages/`; the annotation's name is the
    id.

    VOC counts pixels from 1 and includes both edges: `xmin, ymin, xmax, ymax` is `Box(xmin - 1, ymin - 1,
    xmax, ymax)`. The label is the objects' name, or a tuple of them. An object with
    `<forbidden>1</forbidden>` (not part of VOC) is a forbidden region. A file with a DOCTYPE is refused:
    entities can blow up memory.
    """
    if not (path / "JPEGImages").is_dir():
        raise CaseError(f"{path}: has Annotations, but no folder JPEGImages")
    files = sorted(file for file in (path / "Annotations").iterdir() if file.suffix.lower() == ".xml")
    return [_voc_case(path, file) for file in files]


def _voc_case(path: Path, file: Path) -> Case:
    root = _parse_xml(file)
    file_name = _voc_text(root, "filename", str(file))
    labels, regions, forbidden = [], [], []
    for index, item in enumerate(root.findall("object")):
        where = f"{file}: object[{index}]"
        name, box = _voc_text(item, "name", where), _voc_box(item, where)
        if _as_bool(item.findtext("forbidden", ""), f"{where}.forbidden"):
            forbidden.append(box)
        else:
            labels.append(name)
            regions.append(box)
    return Case(
        path / "JPEGImages" / file_name,
        label=_one_or_more(labels),
        region=_one_or_more(regions),
        forbidden=_one_or_more(forbidden),
        id=file.stem,
        source=f"{file}: image '{file_name}'",
        annotated_size=_voc_size(root, str(file)),
    )


def _voc_box(item: ElementTree.Element, where: str) -> Box:
    bounds = item.find("bndbox")
    if bounds is None:
        raise CaseError(f"{where}: 'bndbox' is missing")
    at = f"{where}.bndbox"
    names = ("xmin", "ymin", "xmax", "ymax")
    left, top, right, bottom = (_as_number(_voc_text(bounds, name, at), f"{at}.{name}:") for name in names)
    return _prefixed(at, lambda: Box(left - 1, top - 1, right, bottom))


def _voc_size(root: ElementTree.Element, where: str) -> tuple[int, int] | None:
    if root.find("size") is None:
        return None
    width, height = (
        int(_as_number(root.findtext(f"size/{name}", "0"), f"{where}: size.{name}:")) for name in ("width", "height")
    )
    # Several annotation tools write 0 where they don't know the size.
    return (width, height) if width > 0 and height > 0 else None


def _voc_text(parent: ElementTree.Element, name: str, where: str) -> str:
    text = (parent.findtext(name) or "").strip()
    if not text:
        raise CaseError(f"{where}: '{name}' is missing")
    return text


class _WithoutDoctype(ElementTree.TreeBuilder):
    def doctype(self, name: str, _public_id: str | None, _system_id: str | None) -> None:
        raise CaseError(f"has a DOCTYPE {name!r} (remove it: entities in it can blow up memory)")


def _parse_xml(file: Path) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_WithoutDoctype())
    try:
        root: ElementTree.Element = ElementTree.parse(file, parser).getroot()
    except CaseError as error:
        raise CaseError(f"{file}: {error}") from None
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise CaseError(f"{file}: is not XML ({error})") from error
    except OSError as error:
        raise CaseError(f"{file}: can't be read ({error.strerror})") from error
    if root.tag != "annotation":
        raise CaseError(f"{file}: begins with <{root.tag}> (must be <annotation>)")
    return root


# --- CSV -------------------------------------------------------------------------------------------------

CSV_COLUMNS = ("image", "label", "left", "top", "right", "bottom")
CSV_OPTIONAL_COLUMNS = ("forbidden", "id", "group")


def read_csv(path: Path) -> list[Case]:
    """One case an image of a CSV with the columns image, label, left, top, right, bottom.

    The four edges may be empty: a case without a region; an empty label is no label. A label of digits is a
    class index. Several rows of one image are one case, whose region is the union of their boxes; a label is
    of the whole case, so the rows must agree in it where they give one. Optional columns: `forbidden` (true:
    the box is a forbidden region), `id` (rows with the same id are one case; default: the image) and `group`.
    """
    rows: dict[str, list[_Row]] = {}
    for row in _csv_rows(path):
        rows.setdefault(row.cells.get("id") or row.cells["image"], []).append(row)
    return [_csv_case(path, case_id, case_rows) for case_id, case_rows in rows.items()]


@dataclass(frozen=True)
class _Row:
    where: str
    cells: dict[str, str]

    @property
    def box(self) -> Box | None:
        edges = [self.cells[name] for name in CSV_COLUMNS[2:]]
        if not any(edges):
            return None
        numbers = [_as_number(text, f"{self.where}: {name}") for name, text in zip(CSV_COLUMNS[2:], edges, strict=True)]
        return _prefixed(self.where, lambda: Box(*numbers))


def _csv_rows(path: Path) -> Iterator[_Row]:
    reader = csv.reader(_read_text(path).splitlines(keepends=True), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        _check_header(header, f"{path}: line 1")
        for cells in reader:
            where = f"{path}: line {reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(header):
                raise CaseError(
                    f"{where}: has {len(cells)} cells (must be {len(header)}, as many as there are columns)"
                )
            row = _Row(where, dict(zip(header, (cell.strip() for cell in cells), strict=True)))
            if not row.cells["image"]:
                raise CaseError(f"{where}: image is empty")
            yield row
    except csv.Error as error:
        raise CaseError(f"{path}: line {reader.line_num}: is not CSV ({error})") from error


def _check_header(header: list[str], where: str) -> None:
    for name in CSV_COLUMNS:
        if name not in header:
            raise CaseError(f"{where}: column '{name}' is missing (columns: {', '.join(header) or 'none'})")
    known = CSV_COLUMNS + CSV_OPTIONAL_COLUMNS
    for name in header:
        # A misspelt "forbidden" that is passed over would turn what is forbidden into what is asked for.
        if name not in known:
            raise CaseError(f"{where}: column '{name}' is unknown{nearest(name, known)} (known: {', '.join(known)})")
        if header.count(name) > 1:
            raise CaseError(f"{where}: column '{name}' is there twice")


def _csv_case(path: Path, case_id: str, rows: list[_Row]) -> Case:
    first = rows[0]
    for row in rows[1:]:
        if row.cells["image"] != first.cells["image"]:
            raise CaseError(
                f"{row.where}: image is {row.cells['image']!r}, but id {case_id!r} is {first.cells['image']!r} above"
            )
    regions: list[Box] = []
    forbidden: list[Box] = []
    for row in rows:
        box = row.box
        is_forbidden = _as_bool(row.cells.get("forbidden", ""), f"{row.where}: forbidden")
        if box is None and (is_forbidden or len(rows) > 1):
            reason = (
                "a forbidden row needs a box" if is_forbidden else f"{case_id!r} has several rows, each needs a box"
            )
            raise CaseError(f"{row.where}: left, top, right and bottom are empty ({reason})")
        if box is not None:
            (forbidden if is_forbidden else regions).append(box)
    label = _agreed(rows, "label", case_id)
    return Case(
        path.parent / first.cells["image"],
        label=int(label) if label is not None and label.isdecimal() else label,
        region=_one_or_more(regions),
        forbidden=_one_or_more(forbidden),
        id=case_id,
        group=_agreed(rows, "group", case_id),
        source=f"{first.where}: image '{first.cells['image']}'",
    )


def _agreed(rows: list[_Row], column: str, case_id: str) -> str | None:
    """The one value that the rows of a case give; rows may leave it empty."""
    agreed: str | None = None
    for row in rows:
        value = row.cells.get(column)
        if value and agreed is not None and value != agreed:
            raise CaseError(
                f"{row.where}: {column} is {value!r}, but {case_id!r} has {agreed!r} above "
                f"(a case has one {column}; an id column makes two cases of one image)"
            )
        agreed = value or agreed
    return agreed


# --- Class folders ---------------------------------------------------------------------------------------


def read_class_folders(path: Path) -> list[Case]:
    """One case a picture; the label is the name of the folder in `path` it lies in, however deep.

    Hidden files and folders are passed over; any other file that is no picture is refused, so that none is
    left out unnoticed.
    """
    cases = []
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        if file.is_dir() or any(part.startswith(".") or part.lower() in SYSTEM_FILES for part in parts):
            continue
        if file.suffix.lower() not in PICTURE_SUFFIXES:
            raise CaseError(f"{file}: is not a picture of a known kind (move it, or convert it to PNG or JPEG)")
        if len(parts) == 1:
            raise CaseError(f"{file}: lies in no class folder (must be in a folder with the class's name)")
        name = "/".join(parts)
        cases.append(Case(file, label=parts[0], id=name, source=f"{path}: image '{name}'"))
    return cases


# --- Values ----------------------------------------------------------------------------------------------


def _one_or_more(values: Sequence[T]) -> T | tuple[T, ...] | None:
    """Each value once, in order: None for none, the value itself for one, else a tuple."""
    unique = tuple(dict.fromkeys(values))
    return unique if len(unique) > 1 else next(iter(unique), None)


def _prefixed(where: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except CaseError as error:
        raise CaseError(f"{where}: {error}") from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CaseError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise CaseError(f"{path}: can't be read ({error.strerror})") from error


def _as_number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise CaseError(f"{name} is {text!r} (must be a number)") from None
    return finite_number(number, name)


def _as_bool(text: str, name: str) -> bool:
    values = {"": False, "false": False, "0": False, "true": True, "1": True}
    if text.strip().lower() not in values:
        raise CaseError(f"{name} is {text!r} (must be true or false)")
    return values[text.strip().lower()]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
