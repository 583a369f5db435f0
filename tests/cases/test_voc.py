"""Cases of Pascal VOC folders, and what is wrong in them with file, field and value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_cnnaudit.cases import Box, Case, CaseError, load_cases

BOUNDS = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
OBJECT = f"<object><name>{{}}</name>{BOUNDS}{{}}</object>"


def _voc(tmp_path: Path, *objects: str, before: str = "", size: str = "", name: str = "one") -> Path:
    for folder in ("Annotations", "JPEGImages"):
        (tmp_path / folder).mkdir(exist_ok=True)
    text = f"{before}<annotation><filename>{name}.jpg</filename>{size}{''.join(objects)}</annotation>"
    (tmp_path / f"Annotations/{name}.xml").write_text(text, encoding="utf-8")
    return tmp_path


def test_voc_counts_pixels_from_one_and_includes_the_last(tmp_path: Path) -> None:
    size = "<size><width>353</width><height>500</height><depth>3</depth></size>"
    path = _voc(tmp_path, OBJECT.format("dog", 48, 240, 195, 371, ""), size=size)
    (case,) = load_cases(path)
    assert case == Case(tmp_path / "JPEGImages/one.jpg", label="dog", region=Box(47, 239, 195, 371), id="one")
    assert case.annotated_size == (353, 500)


def test_voc_one_pixel(tmp_path: Path) -> None:
    (case,) = load_cases(_voc(tmp_path, OBJECT.format("dog", 1, 1, 1, 1, "")))
    assert case.region == Box(0, 0, 1, 1)


def test_voc_several_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    path = _voc(
        tmp_path,
        OBJECT.format("dog", 1, 1, 2, 2, part),
        OBJECT.format("person", 3.5, 3, 4, 4, "<difficult>1</difficult>"),
        OBJECT.format("stamp", 7, 7, 8, 8, "<forbidden>1</forbidden>"),
        size="<size><width>0</width><height>0</height></size>",
    )
    (case,) = load_cases(path)
    assert case.label == ("dog", "person")
    assert case.region == (Box(0, 0, 2, 2), Box(2.5, 2, 4, 4))
    assert case.forbidden == Box(6, 6, 8, 8)
    assert case.annotated_size is None


def test_voc_is_sorted_by_name_and_may_be_without_objects(tmp_path: Path) -> None:
    _voc(tmp_path, name="b")
    cases = load_cases(_voc(tmp_path, name="a"))
    assert [(case.id, case.label, case.region) for case in cases] == [("a", None, None), ("b", None, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            OBJECT.format("dog", 5, 1, 4, 9, ""),
            "one.xml: object[0].bndbox: right is 4 (must be > left, which is 4)",
        ),
        (OBJECT.format("dog", "x", 1, 4, 9, ""), "one.xml: object[0].bndbox.xmin: is 'x' (must be a number)"),
        (OBJECT.format("dog", "nan", 1, 4, 9, ""), "one.xml: object[0].bndbox.xmin: is nan (must be finite)"),
        (OBJECT.format("dog", "", 1, 4, 9, ""), "one.xml: object[0].bndbox: 'xmin' is missing"),
        (OBJECT.format("", 1, 1, 4, 9, ""), "one.xml: object[0]: 'name' is missing"),
        ("<object><name>dog</name></object>", "one.xml: object[0]: 'bndbox' is missing"),
        (
            OBJECT.format("dog", 1, 1, 4, 9, "<forbidden>maybe</forbidden>"),
            "one.xml: object[0].forbidden is 'maybe' (must be true or false)",
        ),
        ("<size><width>wide</width></size>", "one.xml: size.width: is 'wide' (must be a number)"),
        ("</annotation>", "one.xml: is not XML"),
    ],
)
def test_voc_errors(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CaseError, match=re.escape(message)):
        load_cases(_voc(tmp_path, text))


BOMB = '<!DOCTYPE bomb [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_voc_with_a_doctype_is_refused(tmp_path: Path, encoding: str) -> None:
    path = _voc(tmp_path)
    text = f'<?xml version="1.0" encoding="{encoding}"?>{BOMB}<annotation><filename>&b;</filename></annotation>'
    (path / "Annotations/one.xml").write_bytes(text.encode(encoding))
    with pytest.raises(CaseError, match=r"one\.xml: has a DOCTYPE 'bomb'"):
        load_cases(path)


def test_voc_of_something_else(tmp_path: Path) -> None:
    path = _voc(tmp_path)
    (path / "Annotations/one.xml").write_text("<html/>")
    with pytest.raises(CaseError, match=r"one\.xml: begins with <html> \(must be <annotation>\)"):
        load_cases(path)
    (path / "Annotations/one.xml").write_text("<annotation/>")
    with pytest.raises(CaseError, match=r"one\.xml: 'filename' is missing"):
        load_cases(path)


def test_voc_without_pictures_or_annotations(tmp_path: Path) -> None:
    (tmp_path / "Annotations").mkdir()
    with pytest.raises(CaseError, match="has Annotations, but no folder JPEGImages"):
        load_cases(tmp_path)
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(CaseError, match="holds no case"):
        load_cases(tmp_path)
