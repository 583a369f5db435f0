"""Duplicate and dead filters against cosines by hand, SciPy's, and a loop that follows the definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import cdist

from pytest_cnnaudit import metrics
from pytest_cnnaudit.metrics import redundancy

vectors = arrays.arrays(
    np.float64,
    st.tuples(st.integers(2, 8), st.integers(1, 4)),
    elements=st.integers(-3, 3).map(float),
)


def cosine(a, b):
    """As the docstring has it, zero rows apart."""
    if not a.any() or not b.any():
        return float(not a.any() and not b.any())
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def transcribed(kernels, limit):
    kept, original = [], []
    for index, kernel in enumerate(kernels):
        nearest = max(kept, key=lambda other: cosine(kernels[other], kernel), default=None)
        repeats = nearest is not None and cosine(kernels[nearest], kernel) > limit + 1e-9
        original.append(nearest if repeats else -1)
        if not repeats:
            kept.append(index)
    return original


def test_equal_directions_are_redundant_but_for_the_first():
    found = metrics.duplicate_filters([[1, 2], [2, 4], [0, 1], [0.5, 1]])
    assert found.original.tolist() == [-1, 0, -1, 0]
    assert found.redundant.tolist() == [False, True, False, True]
    assert found.fraction == 0.5


def test_similarity_is_the_cosine():
    found = metrics.duplicate_filters([[1, 0], [3, 4], [0, 1]])
    # 3/5 with the first; then 0 with the first and 4/5 with the second
    np.testing.assert_allclose(found.similarity, [-1, 0.6, 0.8], rtol=1e-12)


def test_a_similarity_at_the_limit_is_kept():
    kernels = [[1, 0], [3, 4]]
    assert not metrics.duplicate_filters(kernels, 0.6).redundant.any()
    assert metrics.duplicate_filters(kernels, 0.59).original.tolist() == [-1, 0]


def test_nothing_is_more_similar_than_1():
    assert not metrics.duplicate_filters(np.full((3, 7), 0.1), 1.0).redundant.any()


def test_opposite_kernels_are_not_redundant():
    found = metrics.duplicate_filters([[1, 2], [-1, -2]])
    assert not found.redundant.any()
    assert found.similarity[1] == pytest.approx(-1)


def test_a_filter_is_compared_with_those_that_are_kept_alone():
    # Each is 20 degrees from the next: the second repeats the first, the third is 40 degrees from it.
    angles = np.radians([0, 20, 40, 60])
    found = metrics.duplicate_filters(np.stack([np.cos(angles), np.sin(angles)], axis=1), np.cos(np.radians(30)))
    assert found.original.tolist() == [-1, 0, -1, 2]


def test_zero_kernels_repeat_each_other_and_nothing_else():
    found = metrics.duplicate_filters([[0, 0], [1, 0], [0, 0], [0, 0]])
    assert found.original.tolist() == [-1, -1, 0, 0]
    assert found.similarity.tolist() == [-1, 0, 1, 1]


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scale_says_nothing(scale):
    assert metrics.duplicate_filters(np.array([[3.0, 4.0], [3.0, 4.0]]) * [[1], [scale]]).original.tolist() == [-1, 0]


def test_one_filter_alone_repeats_nothing():
    assert metrics.duplicate_filters([[1.0]]).fraction == 0


@given(vectors, st.floats(-1, 1))
def test_duplicates_follow_the_definition(kernels, limit):
    found = metrics.duplicate_filters(kernels, limit)
    expected = transcribed(kernels, limit)
    assert found.redundant.tolist() == [one >= 0 for one in expected]
    for index, original in enumerate(found.original):
        if original >= 0:
            assert cosine(kernels[index], kernels[original]) == pytest.approx(found.similarity[index], abs=1e-12)


def test_chunks_give_what_the_whole_gives(monkeypatch):
    kernels = np.random.default_rng(0).integers(-2, 3, (61, 3)).astype(float)
    whole, nearest = metrics.duplicate_filters(kernels), metrics.nearest_others(kernels)
    monkeypatch.setattr(redundancy, "ROWS", 7)
    np.testing.assert_array_equal(metrics.duplicate_filters(kernels).original, whole.original)
    np.testing.assert_allclose(metrics.nearest_others(kernels).similarity, nearest.similarity, rtol=1e-12)


def test_a_wide_layer_is_no_trouble():
    kernels = np.random.default_rng(0).standard_normal((2048, 2048), np.float32)
    kernels[2000] = 3 * kernels[10]
    found = metrics.duplicate_filters(kernels)
    assert np.flatnonzero(found.redundant).tolist() == [2000]
    assert found.original[2000] == 10


@given(vectors)
def test_nearest_others_agree_with_scipy(rows):
    rows = rows + 0.25  # no row of zeros, of which SciPy knows no cosine
    expected = 1 - cdist(rows, rows, "cosine")
    np.fill_diagonal(expected, -np.inf)
    found = metrics.nearest_others(rows)
    np.testing.assert_allclose(found.similarity, expected.max(axis=1), atol=1e-12)
    np.testing.assert_allclose(expected[np.arange(len(rows)), found.index], found.similarity, atol=1e-12)


def test_nearest_others_of_rows_without_direction():
    found = metrics.nearest_others([[0, 0], [1, 0], [0, 0]])
    assert found.index.tolist() == [2, 0, 0]
    assert found.similarity.tolist() == [1, 0, 1]


def test_one_row_has_no_other():
    with pytest.raises(ValueError, match="one row"):
        metrics.nearest_others([[1.0, 2.0]])


@pytest.mark.parametrize("measure", [metrics.duplicate_filters, metrics.nearest_others])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.ones(3), r"shape \(3,\)"),
        (np.ones((0, 3)), r"shape \(0, 3\)"),
        (np.ones((3, 0)), r"shape \(3, 0\)"),
        ([[1.0, np.nan], [1, 1]], "NaN or infinity"),
        ([[1.0, -np.inf], [1, 1]], "NaN or infinity"),
    ],
)
def test_bad_vectors_are_errors(measure, wrong, message):
    with pytest.raises(ValueError, match=message):
        measure(wrong)


@pytest.mark.parametrize("limit", [1.01, -1.01, np.nan])
def test_a_limit_that_is_no_cosine_is_an_error(limit):
    with pytest.raises(ValueError, match="similarity_at_most"):
        metrics.duplicate_filters([[1.0]], limit)


def test_kernels_stay_as_they_were():
    kernels = np.array([[3.0, 4.0], [3.0, 4.0]])
    kernels.flags.writeable = False
    metrics.duplicate_filters(kernels)
    assert kernels.tolist() == [[3, 4], [3, 4]]


# Channels: fires once; never; always the same; below zero in one place only.
CHANNELS = np.array([[[0, 0, 5, -1], [0, -1, 5, 1]], [[2, 0, 5, 1], [0, 0, 5, 1]]], float)


def test_dead_behind_a_relu_is_what_is_never_above_zero_or_constant():
    assert metrics.dead_filters(CHANNELS).tolist() == [False, True, True, False]


def test_dead_elsewhere_is_what_is_constant():
    assert metrics.dead_filters(CHANNELS, relu_like=False).tolist() == [False, False, True, False]


def test_one_value_is_not_called_constant():
    assert metrics.dead_filters([[1.0, 0.0]]).tolist() == [False, True]
    assert metrics.dead_filters([[1.0, 0.0]], relu_like=False).tolist() == [False, False]


@pytest.mark.parametrize("wrong", [np.ones(3), np.ones((0, 2)), [[np.nan, 1.0]]])
def test_bad_activations_are_errors(wrong):
    with pytest.raises(ValueError, match="activations have"):
        metrics.dead_filters(wrong)


@given(st.integers(1, 10_000), st.floats(0.01, 0.99))
def test_missed_rate_is_silent_in_all_pictures_with_the_rest_of_the_confidence(n, confidence):
    assert (1 - metrics.missed_rate(n, confidence)) ** n == pytest.approx(1 - confidence, rel=1e-6)


def test_missed_rate_is_about_3_in_n():
    assert metrics.missed_rate(300) == pytest.approx(0.00994, abs=1e-5)  # the rule of three


@pytest.mark.parametrize("wrong", [(0, 0.95), (5, 0.0), (5, 1.0)])
def test_no_pictures_or_no_confidence_is_an_error(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        metrics.missed_rate(*wrong)
