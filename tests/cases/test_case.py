"""A case refuses what can't be, and says what it was."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pytest_cnnaudit.cases import (
    Box,
    Case,
    CaseError,
    Mask,
)

SHAPE = np.array([[0, 1, 1], [0, 0, 1]], bool)


def test_importing_cases_loads_nothing_heavy() -> None:
    code = (
        "import sys, pytest_cnnaudit.cases as c\n"
        "from pytest_cnnaudit.cases import coco, folders, tables, voc\n"
        "c.Case('a.png', label='cat', region=c.Box(0, 0, 1, 1)); c.Mask('a.png')\n"
        "print(sorted({'numpy', 'PIL', 'keras', 'scipy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


PICTURE = np.zeros((4, 6, 3), np.uint8)


def test_regions_are_a_tuple() -> None:
    one, two = Box(0, 0, 1, 1), Mask(SHAPE)
    assert Case("a.png").regions == Case("a.png").forbidden_regions == ()
    assert Case("a.png", region=one).regions == (one,)
    case = Case("a.png", region=[one, two], forbidden=two)
    assert (case.region, case.regions, case.forbidden_regions) == ((one, two), (one, two), (two,))


def test_labels_are_builtins() -> None:
    assert Case("a.png").labels == ()
    assert Case("a.png", label=np.int64(3)).labels == (3,)  # type: ignore[arg-type]
    assert type(Case("a.png", label=np.int64(3)).label) is int  # type: ignore[arg-type]
    assert type(Case("a.png", label=np.str_("cat")).label) is str
    assert Case("a.png", label=["cat", 2]).label == ("cat", 2)  # type: ignore[arg-type]


def test_names() -> None:
    assert Case("images/a.png").name == "images/a.png"
    assert Case(Path("images/a.png")).name == str(Path("images/a.png"))
    assert Case("images/a.png", id="one").name == "one"
    assert Case(PICTURE).name == "case"


def test_where_an_error_is() -> None:
    assert Case("images/a.png").where == "case 'images/a.png'"
    assert Case(PICTURE).where == "case"
    assert Case(PICTURE, id="one").where == "case 'one'"
    assert Case("a.png", source="cases.json: image 'a.png'").where == "cases.json: image 'a.png'"


def test_cases_are_frozen_hashable_and_equal_by_value() -> None:
    case = Case("a.png", label="cat", region=[Box(0, 0, 1, 1), Mask(SHAPE)], source="here")
    same = Case(Path("a.png"), label="cat", region=(Box(0, 0, 1, 1), Mask(SHAPE)), source="there")
    assert case == same
    assert hash(case) == hash(same)
    for other in (Case("a.png"), Case("b.png", label="cat", region=case.region), "a.png"):
        assert case != other
    with pytest.raises(FrozenInstanceError):
        case.label = "dog"  # type: ignore[misc]


def test_pictures_in_memory_are_equal_by_identity() -> None:
    for picture in (PICTURE, Image.fromarray(PICTURE)):
        assert Case(picture) == Case(picture)
        assert hash(Case(picture)) == hash(Case(picture))
        assert Case(picture) != Case(picture.copy())


def test_cases_survive_pickling() -> None:
    case = Case("a.png", label="cat", region=[Box(0, 0, 1, 1), Mask(SHAPE)], group="p1")
    assert pickle.loads(pickle.dumps(case)) == case


def test_case_repr() -> None:
    case = Case("a.png", label="cat", region=Box(0, 0, 1, 1), id="one")
    assert repr(case) == "Case('a.png', label='cat', region=Box(0, 0, 1, 1), id='one')"
    assert repr(Case(PICTURE)) == "Case(<uint8 array (4, 6, 3)>)"
    assert repr(Case(Image.fromarray(PICTURE))) == "Case(<PIL RGB picture 6 × 4>)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image": 5}, "case: image is 5 (must be a path, a PIL.Image or a uint8 NumPy array)"),
        ({"image": None}, "case: image is None"),
        ({"image": ""}, "image is an empty path"),
        ({"image": b"a.png"}, "case: image is b'a.png'"),
        (
            {"image": PICTURE[None]},
            "case: image is a uint8 array of shape (1, 4, 6, 3) (must be uint8, (H, W)",
        ),
        (
            {"image": PICTURE.astype(float)},
            "case: image is a float64 array of shape (4, 6, 3): whether it goes from",
        ),
        (
            {"label": 0.5},
            "case 'a.png': label is 0.5 (must be a class name, a class index, or a tuple of these)",
        ),
        ({"label": True}, "case 'a.png': label is True (must be"),
        ({"label": np.True_}, "label is np.True_ (must be"),
        ({"label": -1}, "case 'a.png': label is -1 (a class index must be ≥ 0)"),
        ({"label": ""}, "case 'a.png': label is an empty text (must be a class name)"),
        ({"label": ()}, "case 'a.png': label is an empty tuple (leave it out where there is none)"),
        ({"label": ("cat", 1.5)}, "case 'a.png': label[1] is 1.5 (must be"),
        ({"label": ("cat", "cat")}, "case 'a.png': label is ('cat', 'cat') (each label once)"),
        ({"label": {"cat"}}, "case 'a.png': label is {'cat'} (must be"),
        ({"region": "mask.png"}, "region is 'mask.png' (must be a Box, a Mask, or a sequence of these)"),
        ({"region": (0, 0, 1, 1)}, "region[0] is 0 (must be a Box or a Mask)"),
        ({"region": SHAPE}, "region is <bool array (2, 3)> (must be a Box, a Mask"),
        ({"region": []}, "case 'a.png': region is empty (leave it out where there is none)"),
        (
            {"forbidden": [Box(0, 0, 1, 1), None]},
            "case 'a.png': forbidden[1] is None (must be a Box or a Mask)",
        ),
        ({"id": 5}, "id is 5 (must be a text that is not empty)"),
        ({"id": ""}, "id is '' (must be a text that is not empty)"),
        ({"group": 2.5}, "case 'a.png': group is 2.5 (must be a text or an int)"),
        ({"group": True}, "case 'a.png': group is True (must be a text or an int)"),
    ],
)
def test_case_errors(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(CaseError, match=re.escape(message)):
        Case(**{"image": "a.png", **arguments})  # type: ignore[arg-type]
