"""Gain of patterns over noise, and drift, in closed form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pytest_cnnaudit import metrics

activations = arrays.arrays(np.float64, (2, 5), elements=st.integers(-4, 4).map(float))


def test_gain_is_the_rise_in_standard_deviations_of_noise():
    # noise: mean 2, deviation 1; pattern: mean 5
    assert metrics.pattern_gain([[4, 6]], [[1, 3, 1, 3]]).tolist() == [3]


def test_gain_where_noise_is_below_zero():
    assert metrics.pattern_gain([[1.0]], [[-3, -1]]).tolist() == [3]


def test_a_pattern_below_noise_has_a_negative_gain():
    assert metrics.pattern_gain([[0.0]], [[1, 3]]).tolist() == [-2]


def test_a_dead_filter_has_no_gain():
    assert metrics.pattern_gain([[0, 0], [7, 7]], [[0, 0, 0], [7, 7, 7]]).tolist() == [0, 0]


def test_rounding_is_no_gain():
    seven = np.float32(7) * (1 + np.float32(1e-6))
    assert metrics.pattern_gain([[seven]], [[7, 7]]).tolist() == [0]


def test_where_noise_leaves_a_filter_silent_the_gain_is_the_greatest():
    assert metrics.pattern_gain([[0.5], [-0.5]], [[0, 0], [0, 0]]).tolist() == [1000, -1000]
    assert metrics.pattern_gain([[1e6]], [[0, 1]]).tolist() == [1000]


@given(activations, activations, st.floats(0.1, 10), st.floats(-3, 3))
def test_gain_ignores_what_a_normalisation_adds_and_multiplies(pattern, noise, factor, shift):
    before = metrics.pattern_gain(pattern, noise)
    np.testing.assert_allclose(
        metrics.pattern_gain(factor * pattern + shift, factor * noise + shift), before, atol=1e-7
    )


@pytest.mark.parametrize(
    ("pattern", "noise", "message"),
    [
        ([1.0], [[1.0]], "shapes"),
        ([[1.0]], [[1.0], [2.0]], "shapes"),
        (np.ones((1, 0)), [[1.0]], "shapes"),
        ([[np.nan]], [[1.0]], "NaN or infinity"),
        ([[1.0]], [[np.inf]], "NaN or infinity"),
    ],
)
def test_bad_activations_are_errors(pattern, noise, message):
    with pytest.raises(ValueError, match=message):
        metrics.pattern_gain(pattern, noise)


def test_drift_is_the_root_mean_square_in_the_baselines_deviations():
    # (3 − 1)/2 = 1 and (5 − 12)/1 = −7
    assert metrics.drift([3, 5], [1, 12], [2, 1]) == pytest.approx(5)


def test_the_same_means_have_no_drift():
    assert metrics.drift([1, 2], [1, 2], [0, 0]) == 0


def test_retrained_channels_are_compared_in_the_order_of_their_means():
    # Baseline in order: 1 (deviation 2), 10 (deviation 5); candidate: 3, 20. So 2/2 and 10/5.
    assert metrics.drift([3, 20], [10, 1], [5, 2], retrained=True) == pytest.approx(np.sqrt((1 + 4) / 2))
    assert metrics.drift([2, 1], [1, 2], [1, 1], retrained=True) == 0
    assert metrics.drift([2, 1], [1, 2], [1, 1]) == 1


def test_a_dead_channel_that_comes_alive_is_measured_in_a_thousandth_of_the_layers_deviation():
    # √((0² + 2²)/2)/1000 is the unit of the first channel.
    unit = np.sqrt(2) / 1000
    assert metrics.drift([1, 5], [0, 5], [0, 2]) == pytest.approx(1 / unit / np.sqrt(2))


def test_a_baseline_without_any_deviation_has_no_unit():
    with pytest.raises(ValueError, match="no channel of the baseline varies"):
        metrics.drift([1.0], [0.0], [0.0])


@given(
    arrays.arrays(np.float64, 4, elements=st.floats(-10, 10)),
    arrays.arrays(np.float64, 4, elements=st.floats(-10, 10)),
    arrays.arrays(np.float64, 4, elements=st.floats(0.5, 2)),
)
def test_drift_ignores_the_channels_order_and_sorting_makes_it_no_larger_for_equal_units(now, before, deviation):
    value = metrics.drift(now, before, deviation)
    assert value >= 0
    assert metrics.drift(now[::-1], before[::-1], deviation[::-1]) == pytest.approx(value)
    equal = np.ones(4)
    assert metrics.drift(now, before, equal, retrained=True) <= metrics.drift(now, before, equal) + 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [1], [1]), "shapes"),
        (([], [], []), "shapes"),
        (([[1]], [[1]], [[1]]), "shapes"),
        (([np.nan], [1], [1]), "finite"),
        (([1], [1], [-1]), "finite"),
    ],
)
def test_bad_means_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.drift(*arguments)
