"""Single numbers that measures take: one of a wrong type is a `TypeError` that names the argument."""

import numpy as np
import pytest

from pytest_cnnaudit import metrics

MAP = np.arange(1.0, 5.0).reshape(2, 2)
INSIDE = np.eye(2)


@pytest.mark.parametrize("value", ["a", None, True, [0.5], 1j])
@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("threshold", lambda value: metrics.iou(MAP, INSIDE, threshold=value)),
        ("sigma", lambda value: metrics.centre_prior((2, 2), sigma=value)),
        ("similarity_at_most", lambda value: metrics.duplicate_filters(MAP, similarity_at_most=value)),
        ("n", lambda value: metrics.missed_rate(value)),
        ("confidence", lambda value: metrics.missed_rate(9, confidence=value)),
        ("confidence", lambda value: metrics.mean_interval([1, 2, 3], confidence=value)),
    ],
)
def test_what_is_no_number_is_named(name, measure, value):
    with pytest.raises(TypeError) as caught:
        measure(value)
    assert str(caught.value) == f"{name} is {value!r}; a number is expected"


@pytest.mark.parametrize("value", ["a", "0.5", None, ["a"], 1j])
@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("mass", lambda value: metrics.excess(value, 0.5)),
        ("chance", lambda value: metrics.excess(0.5, value)),
        ("untouched", lambda value: metrics.probability_drop(value, 0.5, [0.5])),
        ("hidden", lambda value: metrics.probability_drop(0.5, value, [0.5])),
        ("edited", lambda value: metrics.top_class_kept([0.5, 0.2], value)),
    ],
)
def test_what_are_no_numbers_is_named(name, measure, value):
    with pytest.raises(TypeError) as caught:
        measure(value)
    assert str(caught.value) == f"{name} is {value!r}; numbers are expected"


def test_what_constant_maps_count_as_is_a_number():
    with pytest.raises(TypeError, match="constant is 'a'; a number is expected"):
        metrics.rank_correlation(MAP, np.ones((2, 2)), constant="a")


@pytest.mark.parametrize("value", ["a", None, True, 0.5, -1])
def test_counts_and_seeds_are_integers(value):
    with pytest.raises(ValueError, match=f"cell is {value!r}; a mosaic of 2 × 2 has the cells 0 to 3"):
        metrics.cell_coverage((4, 4), value)
    with pytest.raises(ValueError, match=f"seed is {value!r}; an integer of at least 0 is expected"):
        metrics.mean_interval([1, 2, 3], seed=value)


@pytest.mark.parametrize("shape", ["ab", 3, (2, 2, 2), (2.0, 2.0), ("a", 2)])
def test_a_shape_is_two_whole_numbers(shape):
    with pytest.raises(ValueError, match="give the numbers of rows and columns"):
        metrics.centre_prior(shape)


@pytest.mark.parametrize("transform", [["mirror"], None, 2])
def test_a_move_is_a_name(transform):
    with pytest.raises(ValueError, match=r"transform is .*; known: 'mirror', 'flip', 'rotate90'"):
        metrics.moved(MAP, transform)


@pytest.mark.parametrize("kind", [np.float32, np.float64, float])
def test_numpys_numbers_are_numbers(kind):
    assert metrics.iou(MAP, INSIDE, threshold=kind(0.5)) == metrics.iou(MAP, INSIDE, threshold=0.5)
    assert metrics.missed_rate(np.int64(9)) == metrics.missed_rate(9)
