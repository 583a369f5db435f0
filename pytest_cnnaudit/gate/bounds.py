"""Exact binomial bounds: what k passing cases of n prove about the rate behind them.

Rates and confidences are read as the decimals they are written as: 0.9 is nine tenths, not the nearest
double. The lower Clopper–Pearson bound reaches p exactly where P(X ≥ k | n, p) ≤ 1 − confidence, the upper
one is below p exactly where P(X ≤ k | n, p) < 1 − confidence (Clopper & Pearson 1934, Biometrika 26:404).
Decisions compare these tails, in integers where floating point can't tell, so that no verdict hangs on
rounding.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Real

from scipy import special, stats

from pytest_cnnaudit.checks import integer

# SciPy's binomial tails are good to about 1e-13 at 100,000 cases; closer calls are made in integers.
CLOSE_CALL = 1e-9
MOST_CASES = 1_000_000


def clopper_pearson(passed: int, n: int, confidence: float) -> tuple[float, float]:
    """Lower and upper Clopper–Pearson bound of the pass rate, each one-sided at `confidence`.

    Each bound alone holds with that confidence, both together with 2 · confidence − 1.
    """
    passed, n = checked_counts(passed, n)
    alpha = float(1 - checked_confidence(confidence))
    lower = 0.0 if passed == 0 else float(stats.beta.ppf(alpha, passed, n - passed + 1))
    upper = 1.0 if passed == n else float(stats.beta.isf(alpha, passed + 1, n - passed))
    return lower, upper


def is_near_chance(right: int, n: int, chance: float, confidence: float = 0.95) -> bool:
    """Whether a share of right answers is no better than guessing, and not for lack of cases.

    True where guessing gives as many with a probability above 1 − confidence, and the upper bound excludes a
    rate half way from chance to perfect. Few cases show neither.
    """
    by_guessing = float(stats.binom.sf(right - 1, n, chance))
    upper = clopper_pearson(right, n, confidence)[1]
    return by_guessing > 1 - confidence and upper < (1 + chance) / 2


def smallest_passing(n: int, mostly: float, confidence: float | None = None) -> int | None:
    """Fewest of n cases that must pass for the verdict to be passed; None where even all n wouldn't do.

    `smallest_passing(50, 0.9)` is 45, `smallest_passing(50, 0.9, 0.95)` is 49.
    """
    n = checked_count(n, "n")
    rate, level = checked_rule(mostly, confidence)
    if level is None:
        return math.ceil(rate * n)
    return _fewest_that_prove(n, rate, level)


def smallest_n(mostly: float, confidence: float, failing: int = 0) -> int:
    """Fewest cases that prove the rate `mostly` when `failing` of them fail.

    `smallest_n(0.9, 0.95)` is 29: whoever has fewer cases can't prove 90 % at 95 % confidence.
    Raises `ValueError` where that takes more than a million cases.
    """
    failing = integer(failing, "failing", least=0)
    rate, level = _provable(mostly, confidence)
    low, high = failing, failing + 1  # low never proves, high is raised until it does
    while not proves_at_least(high - failing, high, rate, level):
        if high >= MOST_CASES:
            raise ValueError(f"proving mostly={mostly!r} with {failing} failing takes more than {MOST_CASES:,} cases")
        low, high = high, min(2 * high, MOST_CASES)
    while high - low > 1:
        middle = (low + high) // 2
        if proves_at_least(middle - failing, middle, rate, level):
            high = middle
        else:
            low = middle
    return high


def needed_at_rate(passed: int, n: int, rate: Fraction, level: Fraction, at_least: int) -> int | None:
    """Smallest number of cases, `at_least` or more, that proves `rate` if cases pass at the rate seen.

    The seen rate passed / n of m cases is rounded to the nearest whole case, halves down. None where the seen
    rate is not above `rate`, so that no number of such cases proves it, or where it takes more than a
    million.
    """
    seen = Fraction(passed, n)
    if seen <= rate:
        return None
    cases = max(at_least, _optimistic_start(seen, rate, level))
    while cases <= MOST_CASES:
        required = _fewest_that_prove(cases, rate, level)
        if required is None:
            cases += 1
        elif math.ceil(seen * cases - Fraction(1, 2)) >= required:
            return cases
        else:
            # A larger number of cases requires no fewer of them, so all numbers that give fewer are skipped.
            cases = max(cases + 1, math.floor((required - Fraction(1, 2)) / seen) + 1)
    return None


def _optimistic_start(seen: Fraction, rate: Fraction, level: Fraction) -> int:
    """Where a rounding that always adds half a case would first prove the rate: no smaller number can."""

    def proves(cases: int) -> bool:
        passing = float(seen) * cases + 0.5
        return bool(special.betainc(passing, cases + 1 - passing, float(rate)) <= float(1 - level))

    low, high = 0, 1
    while high <= MOST_CASES and not proves(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if proves(middle) else (middle, high)
    return high


def proves_at_least(passed: int, n: int, rate: Fraction, level: Fraction) -> bool:
    """Whether the one-sided lower bound at confidence `level` reaches `rate`."""
    tail = float(stats.binom.sf(passed - 1, n, float(rate)))
    alpha = 1 - level
    if _is_close(tail, alpha):
        return _exact_tail(range(passed, n + 1), n, rate) <= alpha
    return tail < alpha


def proves_below(passed: int, n: int, rate: Fraction, level: Fraction) -> bool:
    """Whether the one-sided upper bound at confidence `level` stays below `rate`."""
    tail = float(stats.binom.cdf(passed, n, float(rate)))
    alpha = 1 - level
    if _is_close(tail, alpha):
        return _exact_tail(range(passed + 1), n, rate) < alpha
    return tail < alpha


def _is_close(tail: float, alpha: Fraction) -> bool:
    return math.isclose(tail, alpha, rel_tol=CLOSE_CALL)


def _exact_tail(counts: range, n: int, rate: Fraction) -> Fraction:
    hit, of = rate.as_integer_ratio()
    ways = sum(math.comb(n, count) * hit**count * (of - hit) ** (n - count) for count in counts)
    return Fraction(ways, of**n)


def _fewest_that_prove(n: int, rate: Fraction, level: Fraction) -> int | None:
    passed = min(n, int(stats.binom.isf(float(1 - level), n, float(rate))) + 1)
    while passed > 0 and proves_at_least(passed - 1, n, rate, level):
        passed -= 1
    while passed <= n and not proves_at_least(passed, n, rate, level):
        passed += 1
    return passed if passed <= n else None


def checked_counts(passed: int, n: int) -> tuple[int, int]:
    """Both as `int`; `ValueError` unless 0 ≤ passed ≤ n and n ≥ 1."""
    n = checked_count(n, "n")
    passed = integer(passed, "passed", least=0)
    if passed > n:
        raise ValueError(f"passed is {passed}, more than the {n} cases there are")
    return passed, n


def checked_count(value: int, name: str) -> int:
    """`value` as `int`; `ValueError` unless it is an integer of at least 1."""
    return integer(value, name, least=1)


def checked_rule(mostly: float, confidence: float | None) -> tuple[Fraction, Fraction | None]:
    """The required pass rate and the confidence, if any, as the fractions they are written as."""
    return (_rate(mostly), None) if confidence is None else _provable(mostly, confidence)


def checked_confidence(confidence: float) -> Fraction:
    """The confidence as the fraction it is written as, from 0.5 up to but not 1."""
    level = _decimal(confidence, "confidence")
    if not Fraction(1, 2) <= level < 1:
        raise ValueError(f"confidence is {confidence!r}; give a value from 0.5 up to but not 1, such as 0.95")
    return level


def _provable(mostly: float, confidence: float) -> tuple[Fraction, Fraction]:
    rate, level = _rate(mostly), checked_confidence(confidence)
    if rate == 1:
        raise ValueError(
            f"confidence is {confidence!r} with mostly=1.0, but no number of cases proves 100 %; "
            "give mostly below 1, or leave confidence out so that every case must pass"
        )
    return rate, level


def _rate(mostly: float) -> Fraction:
    rate = _decimal(mostly, "mostly")
    if not 0 < rate <= 1:
        raise ValueError(f"mostly is {mostly!r}; give the share of cases that must pass, above 0 and up to 1")
    return rate


def _decimal(value: float, name: str) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; give a number such as 0.9")
    return Fraction(str(value))
