"""Verdicts: each rule against exact fractions for every count, and each edge."""

import json
import math
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_cnnaudit.gate import judge, worst

POINT = {"mostly": 0.9}
EXACT = {"mostly": 0.9, "confidence": 0.95}


def binomial(n: int, rate: Fraction) -> list[Fraction]:
    return [math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)]


@pytest.mark.parametrize(("mostly", "confidence"), [("0.9", "0.95"), ("0.5", "0.875"), ("0.5", "0.5"), ("0.3", "0.9")])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 10, 29, 46, 60])
def test_bounds_rule_agrees_with_exact_fractions_for_every_count(mostly, confidence, n):
    weights, alpha = binomial(n, Fraction(mostly)), 1 - Fraction(confidence)
    for passed in range(n + 1):
        expected = "inconclusive"
        if sum(weights[passed:]) <= alpha:
            expected = "passed"
        elif sum(weights[: passed + 1]) < alpha:
            expected = "failed"
        assert judge(passed, n, mostly=float(mostly), confidence=float(confidence)).outcome == expected, passed


def test_a_bound_that_is_exactly_the_threshold_passes_and_is_not_below_it():
    assert judge(3, 3, mostly=0.5, confidence=0.875).outcome == "passed"
    assert judge(0, 3, mostly=0.5, confidence=0.875).outcome == "inconclusive"
    assert judge(0, 4, mostly=0.5, confidence=0.875).outcome == "failed"


@given(st.integers(1, 400), st.data(), st.integers(1, 1000))
def test_point_rule_is_exact(n, data, thousandths):
    passed = data.draw(st.integers(0, n))
    expected = "passed" if 1000 * passed >= thousandths * n else "failed"
    assert judge(passed, n, mostly=thousandths / 1000).outcome == expected


@pytest.mark.parametrize(("passed", "n", "mostly"), [(29, 100, 0.29), (7, 100, 0.07), (9, 10, 0.9), (57, 100, 0.57)])
def test_point_rule_passes_on_its_threshold(passed, n, mostly):
    assert judge(passed, n, mostly=mostly).outcome == "passed"
    assert judge(passed - 1, n, mostly=mostly).outcome == "failed"


def test_by_default_every_case_must_pass():
    assert judge(1000, 1000).outcome == "passed"
    assert judge(999, 1000).outcome == "failed"
    assert judge(999, 1000).reason == "999 of 1000 cases pass (99.9 %); 100 % required"


@pytest.mark.parametrize(
    ("passed", "n", "outcome"),
    [
        (29, 29, "passed"),
        (28, 28, "inconclusive"),
        (49, 50, "passed"),
        (48, 50, "inconclusive"),
        (188, 200, "passed"),
        (187, 200, "inconclusive"),
        (41, 50, "inconclusive"),
        (40, 50, "failed"),
        (0, 1, "inconclusive"),
        (0, 2, "failed"),
    ],
)
def test_90_percent_at_95_percent_confidence(passed, n, outcome):
    assert judge(passed, n, **EXACT).outcome == outcome


@pytest.mark.parametrize(("rule", "probability"), [(POINT, 0.2194), (EXACT, 0.0029)])
def test_how_often_a_model_that_is_right_85_percent_of_the_time_is_released(rule, probability):
    released = [passed for passed in range(51) if judge(passed, 50, **rule).outcome == "passed"]
    assert stats.binom.pmf(released, 50, 0.85).sum() == pytest.approx(probability, abs=5e-5)


@pytest.mark.parametrize("rate", [0.8, 0.9])
@pytest.mark.parametrize("n", [30, 50, 200])
def test_wrong_verdicts_are_as_rare_as_the_confidence_promises(rate, n):
    chances = stats.binom.pmf(range(n + 1), n, rate)
    outcomes = [judge(passed, n, mostly=rate, confidence=0.95).outcome for passed in range(n + 1)]
    for wrong in ("passed", "failed"):
        assert sum(chance for chance, outcome in zip(chances, outcomes, strict=True) if outcome == wrong) <= 0.05


def test_inconclusive_says_how_many_cases_are_needed():
    verdict = judge(48, 50, **EXACT)
    assert verdict.needed == 61
    assert judge(59, 61, **EXACT).outcome == "passed"
    assert verdict.interval == pytest.approx((0.879386, 0.992846), abs=1e-6)
    assert verdict.reason == (
        "48 of 50 cases pass (96.0 %); 95 % lower bound 87.9 % < 90 %; 61 cases at this rate would be needed"
    )


@pytest.mark.parametrize(
    ("passed", "n", "ending"),
    [
        (45, 50, "no number of cases at this rate would prove it"),
        (9001, 10_000, "more than 1,000,000 cases at this rate would be needed"),
    ],
)
def test_inconclusive_without_a_number_says_why(passed, n, ending):
    verdict = judge(passed, n, **EXACT)
    assert (verdict.outcome, verdict.needed) == ("inconclusive", None)
    assert verdict.reason.endswith(ending)


def test_reasons_of_passed_and_failed():
    assert judge(29, 29, **EXACT).reason == "29 of 29 cases pass (100.0 %); 95 % lower bound 90.2 % ≥ 90 %"
    assert judge(30, 50, **EXACT).reason == "30 of 50 cases pass (60.0 %); 95 % upper bound 71.7 % < 90 %"
    assert judge(29, 100, mostly=0.29).reason == "29 of 100 cases pass (29.0 %); 29 % required"


def test_a_rounded_percentage_never_contradicts_the_verdict():
    assert judge(8999, 10_000, **POINT).reason == "8999 of 10000 cases pass (89.99 %); 90 % required"
    assert judge(99_999, 100_000).reason == "99999 of 100000 cases pass (99.999 %); 100 % required"
    assert "lower bound 50.0 % ≥ 50 %" in judge(3, 3, mostly=0.5, confidence=0.875).reason


def test_few_cases_never_pass():
    verdict = judge(10, 10, min_n=20)
    assert (verdict.outcome, verdict.needed) == ("inconclusive", 20)
    assert verdict.reason == "10 of 10 cases pass (100.0 %); 100 % required, of at least 20 cases (min_n)"
    assert judge(20, 20, min_n=20).outcome == "passed"


def test_few_cases_fail_once_too_many_fail_for_the_least_number():
    assert judge(9, 10, min_n=20).outcome == "failed"
    assert judge(8, 10, mostly=0.9, min_n=20).outcome == "inconclusive"
    assert judge(8, 10, mostly=0.9, min_n=20).needed is None
    assert judge(7, 10, mostly=0.9, min_n=20).outcome == "failed"
    assert judge(9, 10, mostly=0.9, min_n=20).needed == 20


def test_few_cases_with_a_confidence():
    proven = judge(29, 29, **EXACT, min_n=100)
    assert (proven.outcome, proven.needed) == ("inconclusive", 100)
    assert proven.reason.endswith("lower bound 90.2 % ≥ 90 %, but at least 100 cases are required (min_n)")
    assert judge(20, 29, **EXACT, min_n=100).outcome == "failed"
    assert judge(48, 50, **EXACT, min_n=55).needed == 61
    assert judge(48, 50, **EXACT, min_n=500).needed == 500


@given(
    st.integers(2, 80),
    st.data(),
    st.sampled_from([{}, POINT, EXACT, {"mostly": 0.5, "confidence": 0.5}]),
    st.sampled_from([None, 1, 30, 100]),
)
def test_one_more_passing_case_never_makes_it_worse(n, data, rule, min_n):
    passed = data.draw(st.integers(0, n - 1))
    order = ["failed", "inconclusive", "passed"]
    fewer, more = (judge(count, n, **rule, min_n=min_n) for count in (passed, passed + 1))
    assert order.index(fewer.outcome) <= order.index(more.outcome)


def test_a_verdict_holds_builtin_types_only():
    verdict = judge(np.int64(48), np.int32(50), mostly=np.float32(0.9), confidence=np.float64(0.95), min_n=np.int8(3))
    assert json.loads(json.dumps(asdict(verdict))) == {
        "outcome": "inconclusive",
        "passed": 48,
        "n": 50,
        "value": 0.96,
        "threshold": 0.9,
        "interval": list(verdict.interval),
        "needed": 61,
        "reason": verdict.reason,
        "unit": "cases",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0), "^n is 0"),
        ((-1, 5), "^passed is -1"),
        ((6, 5), "^passed is 6, more than the 5 cases"),
        ((True, 5), "^passed is True"),
        ((2.0, 5), "^passed is 2.0"),
        ((math.nan, 5), "^passed is nan"),
        ((2, "5"), "^n is '5'"),
    ],
)
def test_bad_counts_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        judge(*arguments)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"mostly": 0}, "^mostly is 0;"),
        ({"mostly": 90}, "^mostly is 90;"),
        ({"mostly": math.nan}, "^mostly is nan"),
        ({"mostly": True}, "^mostly is True"),
        ({"mostly": 0.9, "confidence": 95}, "^confidence is 95"),
        ({"mostly": 0.9, "confidence": 0.05}, "^confidence is 0.05"),
        ({"confidence": 0.95}, "^confidence is 0.95 with mostly=1.0"),
        ({"min_n": 0}, "^min_n is 0"),
        ({"min_n": 2.5}, "^min_n is 2.5"),
    ],
)
def test_bad_rules_are_named(rule, message):
    with pytest.raises(ValueError, match=message):
        judge(3, 5, **rule)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["passed"], "passed"),
        (["passed", "inconclusive"], "inconclusive"),
        (["inconclusive", "failed", "passed"], "failed"),
        (iter(["failed", "error", "passed"]), "error"),
    ],
)
def test_the_worst_outcome_wins(outcomes, expected):
    assert worst(outcomes) == expected


def test_no_outcomes_and_unknown_outcomes_are_refused():
    with pytest.raises(ValueError, match="nothing was judged"):
        worst([])
    with pytest.raises(ValueError, match=r"unknown outcomes \['ok'\]"):
        worst(["passed", "ok"])
