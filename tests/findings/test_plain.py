"""Plain JSON values, and digests of them."""

import math

import numpy as np
import pytest

from pytest_cnnaudit.findings import digest, to_json


def test_numpy_becomes_plain():
    value = {"a": np.float64(0.5), "b": np.int64(3), "c": np.bool_(True), 4: np.array([[1, 2]]), "e": (1, "x")}
    plain = to_json(value)
    assert plain == {"a": 0.5, "b": 3, "c": True, "4": [[1, 2]], "e": [1, "x"]}
    assert [type(plain[name]) for name in "abc"] == [float, int, bool]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), np.array(math.inf)])
def test_what_is_no_number_becomes_null(value):
    assert to_json([value]) == [None]


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
