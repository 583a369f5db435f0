"""Measures of what a prediction depends on: closed forms, properties, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_cnnaudit import metrics

SHARES = st.floats(0, 1)


def test_the_drop_is_what_hiding_the_object_costs_more_than_hiding_as_much_elsewhere():
    # 0.9 − 0.2, and the controls cost (0.1 + 0.2 + 0.0) / 3.
    drop = metrics.probability_drop(0.9, 0.2, [0.8, 0.7, 0.9])
    assert isinstance(drop, float)
    assert drop == pytest.approx(0.7 - 0.1)


def test_a_batch_of_drops_is_each_one():
    drops = metrics.probability_drop([0.9, 0.5], [0.2, 0.5], [[0.8, 0.7, 0.9], [0.5, 0.5, 0.5]])
    np.testing.assert_allclose(drops, [0.6, 0.0], atol=1e-12)


@given(SHARES, SHARES)
def test_damage_of_the_edit_itself_cancels(untouched, edited):
    assert metrics.probability_drop(untouched, edited, [edited] * 3) == pytest.approx(0, abs=1e-12)


@given(SHARES, SHARES, st.lists(SHARES, min_size=1, max_size=5))
def test_the_drop_lies_between_minus_one_and_one_and_grows_with_the_objects_loss(untouched, hidden, controls):
    drop = metrics.probability_drop(untouched, hidden, controls)
    assert -1 - 1e-12 <= drop <= 1 + 1e-12
    assert metrics.probability_drop(untouched, hidden / 2, controls) >= drop - 1e-12


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1.2, 0.1, [0.1]), "untouched holds values from 1.2 to 1.2; probabilities"),
        ((0.5, -0.1, [0.1]), "hidden holds values from -0.1"),
        ((0.5, 0.1, [np.nan]), "controls holds NaN or infinity"),
        ((0.5, 0.1, []), "controls is empty"),
        ((0.5, 0.1, 0.1), r"\(N,\), \(N,\) and \(N, K\) are expected"),
        (([0.5], [0.1, 0.2], [[0.1]]), r"untouched has the shape \(1,\), hidden \(2,\)"),
        (([0.5], [0.1], [0.1, 0.2, 0.3]), r"controls \(3,\)"),
    ],
)
def test_the_drop_refuses_what_is_no_probability_and_shapes_that_differ(arguments, text):
    with pytest.raises(ValueError, match=text):
        metrics.probability_drop(*arguments)


def test_the_share_of_edits_that_keep_the_top_class():
    before, after = [1.0, 5.0, 2.0], [[0, 9, 1], [3, 2, 1], [0, 1, 0], [0, 1, 2]]
    assert metrics.top_class_kept(before, after) == 0.5
    np.testing.assert_array_equal(metrics.top_class_kept([before, [1, 0, 0]], [after, after]), [0.5, 0.25])


def test_of_equal_scores_the_first_class_counts():
    assert metrics.top_class_kept([1, 1, 0], [[2, 2, 0], [0, 1, 1]]) == 0.5


@given(st.lists(st.lists(st.integers(-20, 20), min_size=3, max_size=3), min_size=2, max_size=6))
def test_logits_and_probabilities_keep_the_same_share(rows):
    logits = np.array(rows, float)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    # Where two logits are far below a third their probabilities may round to the same: only the top one counts.
    expected = np.mean([int(np.argmax(row)) == int(np.argmax(logits[0])) for row in logits[1:]])
    assert metrics.top_class_kept(logits[0], logits[1:]) == expected
    assert metrics.top_class_kept(probabilities[0], probabilities[1:]) == expected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (([1, 2], [1, 2]), r"\(C,\) and \(K, C\)"),
        (([1, 2], [[1, 2, 3]]), r"edited \(1, 3\)"),
        (([[1, 2]], [[1, 2]]), r"untouched has the shape \(1, 2\)"),
        (([1, 2], np.empty((0, 2))), "there is no edit"),
        (([1, np.inf], [[1, 2]]), "untouched holds NaN or infinity"),
    ],
)
def test_the_share_refuses_shapes_that_do_not_belong_together(arguments, text):
    with pytest.raises(ValueError, match=text):
        metrics.top_class_kept(*arguments)
