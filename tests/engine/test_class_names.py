"""Class names: read right, or an error that says what is wrong with them."""

import networks
import pytest

from pytest_cnnaudit import Engine
from pytest_cnnaudit.engine import read_class_names

pytestmark = pytest.mark.one_backend


def test_class_names_from_a_file(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("cat\n\n  dog \nMöwe\n", encoding="utf-8")
    assert read_class_names(path) == read_class_names(str(path)) == ("cat", "dog", "Möwe")
    assert Engine(networks.build("functional"), class_names=path).class_names == ("cat", "dog", "Möwe")


@pytest.mark.parametrize(
    ("names", "error", "words"),
    [
        ([], ValueError, "are empty"),
        (["cat", "cat"], ValueError, "'cat' stands twice"),
        (["cat", 3], TypeError, "must be a str, not 3"),
        ("missing.txt", ValueError, r"missing\.txt' can't be read"),
    ],
)
def test_class_names_errors(names, error, words):
    with pytest.raises(error, match=words):
        read_class_names(names)


def test_class_names_that_are_not_text(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"names\.txt' can't be read"):
        read_class_names(path)
