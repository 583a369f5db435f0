"""Cases of CSV tables, and what is wrong in them with file, line, column and value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_cnnaudit.cases import Box, Case, CaseError, load_cases

HEADER = "image,label,left,top,right,bottom"


def _csv(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "cases.csv"
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def test_csv(tmp_path: Path) -> None:
    path = _csv(tmp_path, "a.png,cat,1,2,3.5,4", "", '"b,c.png",tabby cat,,,,', "d.png,,,,,", "e.png,12,,,,")
    cases = load_cases(path)
    assert list(cases) == [
        Case(tmp_path / "a.png", label="cat", region=Box(1, 2, 3.5, 4), id="a.png"),
        Case(tmp_path / "b,c.png", label="tabby cat", id="b,c.png"),
        Case(tmp_path / "d.png", id="d.png"),
        Case(tmp_path / "e.png", label=12, id="e.png"),
    ]
    assert cases[1].source == f"{path}: line 4: image 'b,c.png'"


def test_csv_rows_of_one_image_are_a_union(tmp_path: Path) -> None:
    (case,) = load_cases(_csv(tmp_path, "a.png,cat,0,0,1,1", "a.png,cat,2,2,3,3", "a.png,,4,4,5,5"))
    assert case.label == "cat"
    assert case.region == (Box(0, 0, 1, 1), Box(2, 2, 3, 3), Box(4, 4, 5, 5))


def test_csv_optional_columns_in_any_order(tmp_path: Path) -> None:
    path = _csv(
        tmp_path,
        "true,one,p1,a.png,,0,0,1,1",
        "false,one,p1,a.png,cat,2,2,3,3",
        ",two,,a.png,dog,4,4,5,5",
        header=f"forbidden,id,group,{HEADER}",
    )
    one, two = load_cases(path)
    assert (one.id, one.group, one.label) == ("one", "p1", "cat")
    assert (one.region, one.forbidden) == (Box(2, 2, 3, 3), Box(0, 0, 1, 1))
    assert (two.id, two.group, two.label, two.region) == ("two", None, "dog", Box(4, 4, 5, 5))


def test_csv_from_a_spreadsheet(tmp_path: Path) -> None:
    text = f"{HEADER}\r\na.png , cat, 1, 2, 3, 4\r\n"
    (tmp_path / "cases.csv").write_bytes(text.encode("utf-8-sig"))
    (case,) = load_cases(tmp_path / "cases.csv")
    assert (case.id, case.label, case.region) == ("a.png", "cat", Box(1, 2, 3, 4))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.png,cat,1,2,3"], "cases.csv: line 2: has 5 cells (must be 6"),
        (["a.png,cat,1,2,3,4,5"], "cases.csv: line 2: has 7 cells (must be 6"),
        (["a.png,cat,,,,", "b.png,cat,1,x,3,4"], "cases.csv: line 3: top is 'x' (must be a number)"),
        (["a.png,cat,1,,3,4"], "cases.csv: line 2: top is '' (must be a number)"),
        (["a.png,cat,1,2,inf,4"], "cases.csv: line 2: right is inf (must be finite)"),
        (["a.png,cat,3,2,1,4"], "cases.csv: line 2: right is 1 (must be > left, which is 3)"),
        ([",cat,1,2,3,4"], "cases.csv: line 2: image is empty"),
        (
            ["a.png,cat,1,2,3,4", "a.png,dog,1,2,3,4"],
            "cases.csv: line 3: label is 'dog', but 'a.png' has 'cat' above (a case has one label; an id",
        ),
        (
            ["a.png,cat,,,,", "a.png,cat,,,,"],
            "cases.csv: line 2: left, top, right and bottom are empty ('a.png' has",
        ),
        (['a.png,"cat,1,2,3,4'], "cases.csv: line 2: is not CSV (unexpected end of data)"),
        ([], "cases.csv: holds no case"),
    ],
)
def test_csv_errors(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(CaseError, match=re.escape(message)):
        load_cases(_csv(tmp_path, *rows))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            "image,label,left,top,right",
            "cases.csv: line 1: column 'bottom' is missing (columns: image, label",
        ),
        ("image;label;left;top;right;bottom", "cases.csv: line 1: column 'image' is missing"),
        (
            f"{HEADER},forbiden",
            "line 1: column 'forbiden' is unknown (did you mean 'forbidden'?) (known: image",
        ),
        (f"{HEADER},label", "line 1: column 'label' is there twice"),
    ],
)
def test_csv_header_errors(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(CaseError, match=re.escape(message)):
        load_cases(_csv(tmp_path, header=header))


def test_csv_optional_column_errors(tmp_path: Path) -> None:
    header = f"{HEADER},forbidden,id"
    with pytest.raises(CaseError, match=r"line 2: forbidden is 'maybe' \(must be true or false\)"):
        load_cases(_csv(tmp_path, "a.png,cat,1,2,3,4,maybe,", header=header))
    with pytest.raises(CaseError, match=r"line 2: left, top, right and bottom are empty \(a forbidden row needs a box"):
        load_cases(_csv(tmp_path, "a.png,cat,,,,,true,", header=header))
    with pytest.raises(CaseError, match=r"line 3: image is 'b\.png', but id 'x' is 'a\.png' above"):
        load_cases(_csv(tmp_path, "a.png,cat,1,2,3,4,,x", "b.png,cat,1,2,3,4,,x", header=header))
