import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cnnaudit.record.page_names import page_name


def test_slug_is_readable_and_the_hash_is_that_of_the_node_id():
    # printf 'tests/test_x.py::test_looks' | sha256sum
    assert page_name("tests/test_x.py::test_looks") == "tests-test-x-py-test-looks-7ef30d6a"


@given(st.text())
def test_any_id_gives_a_name_that_every_file_system_takes(test):
    name = page_name(test)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{8}", name)
    assert len(name.encode()) <= 80


@pytest.mark.parametrize(("one", "other"), [("a/b", "a_b"), ("A", "a"), ("猫", "犬"), ("", "::")])
def test_ids_with_the_same_slug_get_different_names(one, other):
    assert page_name(one) != page_name(other)


def test_a_long_id_keeps_its_end():
    assert "-test-the-interesting-end-" in page_name("folder/" * 60 + "test_x.py::test_the_interesting_end")


def test_a_lone_surrogate_is_no_obstacle():
    assert page_name("test[\ud800]").startswith("test-")
