"""A row of model input is judged as a case is, and is none."""

import pickle

import numpy as np
import pytest

from pytest_cnnaudit.cases import Case, InputRow, Sample, case_digest, check_labels, picture_digest, picture_key

NUMBERS = np.random.default_rng(0).normal(size=(4, 6, 5))


def test_a_row_has_numbers_and_none_of_what_a_case_may_have():
    row = InputRow(NUMBERS, "case 3")
    assert not isinstance(row, Case)
    assert isinstance(row, Sample)
    assert isinstance(Case("a.png"), Sample)
    assert (row.label, row.labels, row.regions, row.forbidden_regions) == (None, (), (), ())
    assert (row.group, row.id, row.name, row.where) == (None, None, "case", "case 3")
    assert InputRow(NUMBERS).where == "case"
    check_labels([row], None)


def test_its_numbers_are_float32():
    row = InputRow(NUMBERS)
    assert row.inputs.dtype == np.float32
    np.testing.assert_array_equal(row.inputs, NUMBERS.astype(np.float32))
    as_given = NUMBERS.astype(np.float32)
    assert InputRow(as_given).inputs is as_given
    assert InputRow(np.full((1, 1, 1), 1e300)).inputs.tolist() == [[[np.inf]]]
    assert InputRow(np.array([[["a"]]])).inputs.dtype.kind == "U"  # for the engine to refuse


def test_rows_are_equal_by_their_numbers():
    row, same = InputRow(NUMBERS, "case 0"), InputRow(NUMBERS.astype(np.float32), "case 1")
    assert row == same
    assert hash(row) == hash(same)
    assert pickle.loads(pickle.dumps(row)) == row
    for other in (InputRow(NUMBERS + 1), InputRow(NUMBERS.reshape(6, 4, 5)), NUMBERS.tolist(), Case("a.png")):
        assert row != other
    assert repr(row) == "InputRow(<float64 array (4, 6, 5)>)"


def test_digests_are_of_the_numbers_and_of_no_picture():
    row = InputRow(np.zeros((4, 6, 3), np.uint8))
    assert picture_key(row) == picture_digest(row) == row.digest
    assert picture_key(row) != picture_key(Case(np.zeros((4, 6, 3), np.uint8)))
    assert case_digest(row) != row.digest


def test_a_row_can_not_be_changed():
    with pytest.raises(AttributeError):
        InputRow(NUMBERS).values = NUMBERS  # type: ignore[misc]
