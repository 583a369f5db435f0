"""Cases of a Pascal VOC folder.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from pytest_cnnaudit.cases.annotations import as_bool, as_number, one_or_more, prefixed
from pytest_cnnaudit.cases.case import Case
from pytest_cnnaudit.cases.errors import CaseError
from pytest_cnnaudit.cases.regions import Box


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
        if as_bool(item.findtext("forbidden", ""), f"{where}.forbidden"):
            forbidden.append(box)
        else:
            labels.append(name)
            regions.append(box)
    return Case(
        path / "JPEGImages" / file_name,
        label=one_or_more(labels),
        region=one_or_more(regions),
        forbidden=one_or_more(forbidden),
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
    left, top, right, bottom = (as_number(_voc_text(bounds, name, at), f"{at}.{name}:") for name in names)
    return prefixed(at, lambda: Box(left - 1, top - 1, right, bottom))


def _voc_size(root: ElementTree.Element, where: str) -> tuple[int, int] | None:
    if root.find("size") is None:
        return None
    width, height = (
        int(as_number(root.findtext(f"size/{name}", "0"), f"{where}: size.{name}:")) for name in ("width", "height")
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
