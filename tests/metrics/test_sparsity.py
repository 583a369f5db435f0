"""Sparsity and its trend over depth: closed forms, SciPy's own statistics, and each edge."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from pytest_cnnaudit import metrics

BOTH = [metrics.zero_fraction, metrics.hoyer_sparsity]
activations = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(2, 6)), elements=st.integers(-5, 5).map(float)
)
profiles = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(3, 8)),
    elements=st.integers(0, 5).map(lambda x: x / 5),
)


def test_zero_fraction_counts_exact_zeros():
    maps = np.array([[[0.0, -0.0], [1e-38, 2.0]], [[0.0, 0.0], [0.0, 0.0]]], dtype=np.float32)
    assert metrics.zero_fraction(maps).tolist() == [0.5, 1.0]


def test_zero_fraction_is_the_same_number_whatever_the_layers_size():
    small, large = np.array([[0, 1, 1]]), np.array([[0, 0, 1, 1, 1, 1]])
    assert metrics.zero_fraction(small)[0] == metrics.zero_fraction(large)[0] == 1 / 3


def test_hoyer_by_hand():
    # ‖(3, 4, 0, 0)‖₁ = 7, ‖·‖₂ = 5, √n = 2
    assert metrics.hoyer_sparsity([[3, -4, 0, 0]])[0] == pytest.approx((2 - 7 / 5) / (2 - 1), rel=1e-14)


@pytest.mark.parametrize(
    ("units", "sparsity"), [([0, 0, 0], 1.0), ([0, -7, 0], 1.0), ([2, -2, 2], 0.0), ([1e-300, 0, 0], 1.0)]
)
def test_hoyer_of_the_extremes(units, sparsity):
    assert metrics.hoyer_sparsity([units])[0] == pytest.approx(sparsity, abs=1e-15)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_hoyer_neither_overflows_nor_vanishes(scale):
    assert metrics.hoyer_sparsity(np.array([[3.0, 4.0, 0.0, 0.0]]) * scale)[0] == pytest.approx(0.6, rel=1e-12)


def test_hoyer_of_small_number_types():
    expected = pytest.approx(0.6, rel=1e-12)
    assert metrics.hoyer_sparsity(np.array([[30000, 40000, 0, 0]], dtype=np.float16))[0] == expected
    assert metrics.hoyer_sparsity(np.array([[-96, -128, 0, 0]], dtype=np.int8))[0] == expected
    assert metrics.hoyer_sparsity(np.array([[True, False]]))[0] == 1.0


def test_hoyer_of_a_single_unit_is_undefined():
    with pytest.raises(ValueError, match="at least 2 units"):
        metrics.hoyer_sparsity(np.ones((3, 1)))


@given(activations, st.floats(0.01, 100))
def test_sparsity_lies_in_0_to_1_and_ignores_scale_sign_and_order(units, scale):
    for measure in BOTH:
        values = measure(units)
        assert values.dtype == np.float64
        assert values.shape == (len(units),)
        assert ((values >= 0) & (values <= 1)).all()
        np.testing.assert_allclose(measure(-scale * units[:, ::-1]), values, atol=1e-12)


@given(activations)
def test_a_unit_that_goes_silent_makes_it_no_denser(units):
    silenced = units.copy()
    silenced[np.arange(len(units)), np.abs(units).argmin(axis=1)] = 0
    for measure in BOTH:
        assert (measure(silenced) >= measure(units) - 1e-12).all()


@pytest.mark.parametrize("measure", BOTH)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.ones(3), r"shape \(3,\)"),
        (np.ones((0, 3)), r"shape \(0, 3\)"),
        (np.ones((3, 0)), r"shape \(3, 0\)"),
        (np.array([[1.0, np.nan]]), "NaN or infinity"),
        (np.array([[1.0, np.inf]]), "NaN or infinity"),
        (np.array([["a", "b"]]), "dtype <U1"),
    ],
)
def test_bad_activations_are_errors(measure, wrong, message):
    with pytest.raises(ValueError, match=message):
        measure(wrong)


@pytest.mark.parametrize("measure", BOTH)
def test_activations_stay_as_they_were(measure):
    units = np.array([[3.0, -4.0, 0.0]])
    units.flags.writeable = False
    measure(units)
    assert units.tolist() == [[3.0, -4.0, 0.0]]


def test_trend_by_hand():
    trend = metrics.trend_per_image([[0.1, 0.2, 0.3, 0.4], [4, 3, 2, 1], [1, 3, 2, 4], [0, 0, 0, 1]])
    # (5 − 1) / 6 with one pair falling; 3 / √(6 · 3) with three pairs tied
    np.testing.assert_allclose(trend.taus, [1, -1, 4 / 6, 3 / np.sqrt(18)], rtol=1e-15)
    assert not trend.unscorable.any()


def test_a_constant_profile_is_flagged_and_stays_in_the_mean_as_no_trend():
    trend = metrics.trend_per_image([[0.5, 0.5, 0.5], [0.1, 0.2, 0.3]])
    assert trend.unscorable.tolist() == [True, False]
    assert trend.taus.tolist() == [0.0, 1.0]


def test_differences_within_the_tolerance_are_ties():
    values = [[0.5, 0.5 + 1e-7, 0.5 - 1e-7], [0.5, 0.5 + 1e-7, 0.75]]
    exact, tolerant = metrics.trend_per_image(values), metrics.trend_per_image(values, tolerance=1e-6)
    # −1/3: one pair rises, two fall; with ties: none; 2 / √(3 · 2) with one pair tied
    np.testing.assert_allclose(exact.taus, [-1 / 3, 1])
    np.testing.assert_allclose(tolerant.taus, [0, 2 / np.sqrt(6)])
    assert exact.unscorable.tolist() == [False, False]
    assert tolerant.unscorable.tolist() == [True, False]


def test_a_difference_of_the_tolerance_is_a_tie_and_one_above_is_not():
    # The first and the last differ by two tolerances, though each is tied with the middle: 1 / √(3 · 1).
    values = [[0.0, 0.25, 0.5], [0.0, 0.25, 0.25]]
    assert metrics.trend_per_image(values, tolerance=0.25).taus == pytest.approx([1 / np.sqrt(3), 0])
    assert metrics.trend_per_image(values, tolerance=0.249).taus == pytest.approx([1, 2 / np.sqrt(6)])


@given(profiles, st.floats(0, 1))
def test_trend_with_a_tolerance_is_a_correlation_that_turns_round_with_the_layers(values, tolerance):
    trend = metrics.trend_per_image(values, tolerance=tolerance)
    assert (np.abs(trend.taus) <= 1).all()
    np.testing.assert_allclose(metrics.trend_per_image(values[:, ::-1], tolerance=tolerance).taus, -trend.taus)


@given(profiles, st.floats(1e-9, 0.04))
def test_a_tolerance_below_every_difference_changes_nothing(values, tolerance):
    within = np.random.default_rng(0).uniform(-0.49, 0.49, values.shape) * tolerance
    trend = metrics.trend_per_image(values + within, tolerance=tolerance)
    np.testing.assert_array_equal(trend.taus, metrics.trend_per_image(values).taus)


@given(profiles)
def test_trend_is_kendalls_tau_b(values):
    trend = metrics.trend_per_image(values)
    for profile, tau, unscorable in zip(values, trend.taus, trend.unscorable, strict=True):
        expected = stats.kendalltau(np.arange(len(profile)), profile, variant="b").statistic
        assert unscorable == np.isnan(expected)
        assert tau == pytest.approx(0.0 if unscorable else expected, abs=1e-12)


@given(profiles)
def test_trend_turns_round_with_the_layers_and_ignores_monotone_scales(values):
    trend = metrics.trend_per_image(values)
    np.testing.assert_allclose(metrics.trend_per_image(values[:, ::-1]).taus, -trend.taus, atol=1e-15)
    np.testing.assert_array_equal(metrics.trend_per_image(np.exp(values)).taus, trend.taus)


@pytest.mark.parametrize("measure", [metrics.trend_per_image, metrics.page_trend])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((4, 2)), "at least 3 layers; got 2"),
        (np.ones((0, 3)), r"shape \(0, 3\)"),
        (np.ones(3), r"shape \(3,\)"),
        ([[1, 2, np.nan]], "NaN or infinity"),
    ],
)
def test_bad_profiles_are_errors(measure, values, message):
    with pytest.raises(ValueError, match=message):
        measure(values)


@pytest.mark.parametrize("measure", [metrics.trend_per_image, metrics.page_trend])
@pytest.mark.parametrize("wrong", [-1e-9, np.nan, np.inf])
def test_a_tolerance_that_is_none_is_an_error(measure, wrong):
    with pytest.raises(ValueError, match=f"tolerance is {wrong!r}; give a finite number of at least 0"):
        measure([[1, 2, 3], [1, 2, 3]], tolerance=wrong)


@given(profiles.filter(lambda values: len(values) > 1))
def test_page_trend_is_scipys_with_ties_as_mean_ranks(values):
    expected = stats.page_trend_test(values).pvalue
    assert metrics.page_trend(values) == pytest.approx(expected, rel=1e-12)
    noise = np.random.default_rng(0).uniform(-1e-6, 1e-6, values.shape)
    assert metrics.page_trend(values + noise, tolerance=1e-5) == pytest.approx(expected, rel=1e-12)


def test_page_trend_of_nothing_but_ties_is_that_of_mean_ranks():
    flat = [[0.5, 0.5 + 1e-7, 0.5 + 2e-7]] * 4
    assert metrics.page_trend(flat) == pytest.approx((1 / 6) ** 4, rel=1e-9)
    assert metrics.page_trend(flat, tolerance=1e-5) == pytest.approx(stats.page_trend_test(np.ones((4, 3))).pvalue)


def test_page_trend_is_one_sided():
    rising = np.array([[0.1, 0.2, 0.3, 0.4]] * 4)
    # All 4 images in the one order of 24 that rises throughout.
    assert metrics.page_trend(rising) == pytest.approx((1 / 24) ** 4, rel=1e-9)
    assert metrics.page_trend(rising[:, ::-1]) == pytest.approx(1, rel=1e-12)


def test_page_trend_needs_two_images():
    assert metrics.page_trend([[1, 2, 3]]) is None


def test_mean_interval_of_equal_values_has_no_width():
    assert metrics.mean_interval([0.1, 0.1, 0.1]) == (0.1, 0.1)


def test_mean_interval_of_one_value_is_unknown():
    assert metrics.mean_interval([0.7]) is None


def test_mean_interval_is_repeatable_and_follows_its_seed():
    sample = np.random.default_rng(0).random(40)
    low, high = metrics.mean_interval(sample)
    assert low < sample.mean() < high
    assert metrics.mean_interval(sample) == (low, high)
    assert metrics.mean_interval(sample, seed=1) != (low, high)


def test_mean_interval_is_the_bca_bootstrap():
    sample = np.random.default_rng(0).exponential(size=15)
    # By hand: percentiles corrected for bias and for the skewness that the jackknife sees (Efron 1987).
    means = np.random.default_rng(5).choice(sample, (200_000, 15)).mean(axis=1)
    bias = stats.norm.ppf((means < sample.mean()).mean())
    pulls = sample - sample.mean()
    skewness = (pulls**3).sum() / (6 * (pulls**2).sum() ** 1.5)
    tails = bias + stats.norm.ppf([0.025, 0.975])
    shares = stats.norm.cdf(bias + tails / (1 - skewness * tails))
    np.testing.assert_allclose(metrics.mean_interval(sample), np.quantile(means, shares), atol=0.05)
    assert np.abs(np.quantile(means, shares) - np.quantile(means, [0.025, 0.975])).min() > 0.1


def test_a_higher_confidence_gives_a_wider_interval():
    sample = np.random.default_rng(0).random(40)
    wide, narrow = (
        metrics.mean_interval(sample, confidence=0.99),
        metrics.mean_interval(sample, confidence=0.8),
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@given(arrays.arrays(np.float64, st.integers(2, 6), elements=st.integers(-2, 2).map(float)))
def test_mean_interval_is_always_a_pair_of_numbers(sample):
    low, high = metrics.mean_interval(sample)
    assert -2 <= low <= high <= 2


def test_mean_interval_of_many_values_is_students():
    sample = np.random.default_rng(0).normal(size=1001)
    expected = stats.ttest_1samp(sample, 0).confidence_interval(0.9)
    np.testing.assert_allclose(metrics.mean_interval(sample, confidence=0.9), (expected.low, expected.high))


@pytest.mark.parametrize(
    ("values", "confidence", "message"),
    [
        ([], 0.95, r"shape \(0,\)"),
        ([[1.0, 2.0]], 0.95, r"shape \(1, 2\)"),
        ([1.0, np.nan], 0.95, "finite"),
        ([1.0, 2.0], 1, "confidence is 1"),
        ([1.0, 2.0], 95, "confidence is 95"),
    ],
)
def test_bad_samples_are_errors(values, confidence, message):
    with pytest.raises(ValueError, match=message):
        metrics.mean_interval(values, confidence)
