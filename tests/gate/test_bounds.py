"""Bounds against an independent transcription: binomial tails in fractions, and SciPy's own intervals."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_cnnaudit.gate import clopper_pearson, is_near_chance, smallest_n, smallest_passing
from pytest_cnnaudit.gate.bounds import MOST_CASES, needed_at_rate


def at_least(passed: int, n: int, rate: Fraction) -> Fraction:
    """P(X ≥ passed) for X ~ Binomial(n, rate)."""
    return sum((math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(passed, n + 1)), start=Fraction(0))


def fewest_by_fractions(n: int, rate: str, confidence: str) -> int | None:
    alpha = 1 - Fraction(confidence)
    return next((k for k in range(n + 1) if at_least(k, n, Fraction(rate)) <= alpha), None)


@pytest.mark.parametrize(("n", "fewest"), [(28, None), (29, 29), (46, 45), (50, 49), (200, 188)])
def test_fewest_cases_that_prove_90_percent_at_95_percent(n, fewest):
    assert smallest_passing(n, 0.9, 0.95) == fewest


@pytest.mark.parametrize(
    ("rate", "confidence"),
    [
        ("0.9", "0.95"),
        ("0.5", "0.875"),  # 3 of 3: the bound is exactly 1/2
        ("0.5", "0.75"),
        ("0.5", "0.5"),
        ("0.1", "0.9"),  # 1 of 1: the bound is exactly 1/10
        ("0.05", "0.95"),
        ("0.25", "0.9375"),  # 2 of 2: the bound is exactly 1/4
        ("0.999", "0.5"),
    ],
)
def test_fewest_agrees_with_exact_fractions_for_every_n(rate, confidence):
    for n in range(1, 41):
        expected = fewest_by_fractions(n, rate, confidence)
        assert smallest_passing(n, float(rate), float(confidence)) == expected, n


@pytest.mark.parametrize(
    ("n", "mostly", "fewest"),
    [
        (10, 0.9, 9),
        (10, 0.7, 7),
        (100, 0.29, 29),
        (100, 0.07, 7),
        (50, 0.9, 45),
        (1000, 0.001, 1),
        (3, 1.0, 3),
    ],
)
def test_fewest_by_the_point_rule_reads_decimals(n, mostly, fewest):
    assert smallest_passing(n, mostly) == fewest


def test_float32_rates_are_read_as_written():
    assert smallest_passing(10, np.float32(0.9)) == 9


@pytest.mark.parametrize(("failing", "n"), [(0, 29), (1, 46), (2, 61), (3, 76)])
def test_smallest_n_by_failing_cases(failing, n):
    assert smallest_n(0.9, 0.95, failing) == n
    assert at_least(n - failing, n, Fraction(9, 10)) <= Fraction(1, 20)
    assert at_least(n - 1 - failing, n - 1, Fraction(9, 10)) > Fraction(1, 20)


def test_smallest_n_can_be_one_and_can_be_near_the_limit():
    assert smallest_n(0.05, 0.95) == 1
    assert smallest_n(0.999997, 0.95) == math.ceil(math.log(0.05) / math.log1p(-3e-6)) == 998576


def test_smallest_n_gives_up_above_a_million():
    with pytest.raises(ValueError, match="more than 1,000,000 cases"):
        smallest_n(0.9999999, 0.95)


@given(st.integers(1, 300), st.data(), st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]))
def test_bounds_are_scipys_one_sided_exact_intervals(n, data, confidence):
    passed = data.draw(st.integers(0, n))
    lower, upper = clopper_pearson(passed, n, confidence)
    greater = stats.binomtest(passed, n, alternative="greater").proportion_ci(confidence, method="exact")
    less = stats.binomtest(passed, n, alternative="less").proportion_ci(confidence, method="exact")
    assert lower == pytest.approx(greater.low, abs=1e-9)
    assert upper == pytest.approx(less.high, abs=1e-9)
    assert 0 <= lower <= passed / n <= upper <= 1


def test_bounds_in_closed_form():
    lower, upper = clopper_pearson(29, 29, 0.95)
    assert lower == pytest.approx(0.05 ** (1 / 29), rel=1e-12)
    assert upper == 1
    lower, upper = clopper_pearson(0, 29, 0.95)
    assert lower == 0
    assert upper == pytest.approx(1 - 0.05 ** (1 / 29), rel=1e-12)


@given(st.integers(1, 120), st.data())
def test_one_more_passing_case_raises_both_bounds(n, data):
    passed = data.draw(st.integers(0, n - 1))
    fewer, more = clopper_pearson(passed, n, 0.95), clopper_pearson(passed + 1, n, 0.95)
    assert fewer[0] < more[0]
    assert fewer[1] < more[1]


@given(st.integers(1, 60), st.data(), st.sampled_from(["0.5", "0.75", "0.9"]), st.sampled_from(["0.8", "0.95"]))
def test_needed_is_the_first_n_at_which_the_rate_passes(n, data, rate, confidence):
    passed = data.draw(st.integers(0, n))
    needed = needed_at_rate(passed, n, Fraction(rate), Fraction(confidence), at_least=n + 1)
    if passed <= Fraction(rate) * n:
        assert needed is None
        return
    cases = np.arange(n + 1, 20_000)
    passing = (2 * passed * cases + n - 1) // (2 * n)  # to the nearest, halves down
    bounds = stats.beta.ppf(1 - float(confidence), passing, cases - passing + 1)
    assert needed == cases[bounds >= float(rate)][0]


def test_needed_starts_where_it_is_told():
    assert needed_at_rate(50, 50, Fraction(9, 10), Fraction(19, 20), at_least=1) == 29
    assert needed_at_rate(50, 50, Fraction(9, 10), Fraction(19, 20), at_least=70) == 70


def test_needed_gives_up_above_a_million_cases():
    rate, level = Fraction(9, 10), Fraction(19, 20)
    assert needed_at_rate(9010, 10_000, rate, level, at_least=1) < MOST_CASES
    assert needed_at_rate(9001, 10_000, rate, level, at_least=1) is None


@pytest.mark.parametrize("mostly", [0, -0.1, 1.1, math.nan, math.inf, True, "0.9", None])
def test_bad_mostly_is_named(mostly):
    with pytest.raises(ValueError, match=r"^mostly is"):
        smallest_passing(10, mostly)


@pytest.mark.parametrize("confidence", [0.05, 0, 1, 1.0, 95, math.nan, True, "0.95"])
def test_bad_confidence_is_named(confidence):
    with pytest.raises(ValueError, match=r"^confidence is"):
        clopper_pearson(3, 5, confidence)


@pytest.mark.parametrize("n", [0, -1, 5.0, True, "5", math.nan])
def test_bad_n_is_named(n):
    with pytest.raises(ValueError, match=r"^n is"):
        smallest_passing(n, 0.9)


def test_confidence_for_every_case_is_refused():
    with pytest.raises(ValueError, match="no number of cases proves 100 %"):
        smallest_n(1.0, 0.95)


@pytest.mark.parametrize(
    ("right", "n", "chance", "near"),
    [
        # P(X ≥ 6 | 12, 1/3) = 0.178: guessing gives it, but the upper bound of 0.755 is not below 2/3.
        (6, 12, 1 / 3, False),
        (4, 12, 1 / 3, True),
        (0, 12, 1 / 3, True),
        # P(X ≥ 15 | 20, 1/2) = 0.021: not by guessing.
        (15, 20, 0.5, False),
        # The upper bound of 10 in 20 is 0.698, below 3/4; that of 5 in 10 is 0.778.
        (10, 20, 0.5, True),
        (5, 10, 0.5, False),
        (0, 1, 0.001, False),
        (3, 1000, 0.001, True),
    ],
)
def test_near_chance(right, n, chance, near):
    assert is_near_chance(right, n, chance) is near
