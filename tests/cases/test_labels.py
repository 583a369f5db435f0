"""Labels are classes, or are named."""

from __future__ import annotations

import pytest

from pytest_cnnaudit.cases import (
    Case,
    CaseError,
    check_labels,
)

NAMES = ["cat", "coffee cup", "rocket"]


def test_known_labels_pass() -> None:
    check_labels([Case("a"), Case("a", label="rocket"), Case("a", label=2), Case("a", label=("cat", 1))], NAMES)
    check_labels([Case("a", label=99), Case("a")], None)
    check_labels([Case("a", label=(0, 2))], None, 3)


@pytest.mark.parametrize(
    ("case", "names", "message"),
    [
        (
            Case("a.png", label="cofee cup", source="cases.json: image 'a.png'"),
            NAMES,
            (
                "cases.json: image 'a.png': label is 'cofee cup', which is none of the 3 class names "
                "(did you mean 'coffee cup'?)"
            ),
        ),
        (Case("a.png", label="x"), NAMES, "case 'a.png': label is 'x', which is none of the 3 class names"),
        (
            Case("a.png", label=("cat", 3)),
            NAMES,
            "case 'a.png': label is 3, but there are 3 classes (0 to 2)",
        ),
        (
            Case("a.png", label="cat"),
            None,
            "case 'a.png': label is 'cat', a name, but there are no class names (give them, or",
        ),
        (
            Case("a.png", label=1, source="cases.csv: line 2"),
            ["1", "2"],
            "cases.csv: line 2: label is 1: is it class 1, or class 0, which is called '1'?",
        ),
    ],
)
def test_unknown_labels(case: Case, names: list[str] | None, message: str) -> None:
    with pytest.raises(CaseError) as caught:
        check_labels([Case("ok.png", label=0), case], names)
    assert str(caught.value).startswith(message)


def test_an_index_is_no_class_without_names_either() -> None:
    with pytest.raises(CaseError, match=r"case 'a.png': label is 3, but there are 3 classes \(0 to 2\)"):
        check_labels([Case("a.png", label=3)], None, 3)


def test_an_index_in_python_is_an_index() -> None:
    check_labels([Case("a.png", label=1), Case("a.png", label=0, source="cases.csv: line 2")], ["0", "1"])
    check_labels([Case("a.png", label=1)], ["1", "2"])
