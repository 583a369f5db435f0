"""Cases of class folders; and of no file that is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pytest_cnnaudit.cases import CaseError, load_cases


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (2, 2)).save(path)


def test_class_folders(tmp_path: Path) -> None:
    for name in ("dog/b.png", "cat/2.JPG", "cat/day 1/1.png", ".cache/x.png", "cat/.hidden.png"):
        _picture(tmp_path / name)
    (tmp_path / "cat/Thumbs.db").touch()
    cases = load_cases(tmp_path)
    assert [(case.id, case.label) for case in cases] == [
        ("cat/2.JPG", "cat"),
        ("cat/day 1/1.png", "cat"),
        ("dog/b.png", "dog"),
    ]
    assert cases[0].image == tmp_path / "cat/2.JPG"


def test_class_folders_named_by_digits_are_names(tmp_path: Path) -> None:
    _picture(tmp_path / "10/a.png")
    assert load_cases(tmp_path)[0].label == "10"


def test_class_folder_errors(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="holds no case"):
        load_cases(tmp_path)
    _picture(tmp_path / "loose.png")
    with pytest.raises(CaseError, match=r"loose\.png: lies in no class folder"):
        load_cases(tmp_path)
    (tmp_path / "loose.png").unlink()
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/a.heic").touch()
    with pytest.raises(CaseError, match=r"a\.heic: is not a picture of a known kind"):
        load_cases(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("no.json", "no such file or folder"), ("cases.txt", r"not a known kind of cases \(must be \.json")],
)
def test_no_known_file(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "cases.txt").touch()
    with pytest.raises(CaseError, match=message):
        load_cases(tmp_path / name)
