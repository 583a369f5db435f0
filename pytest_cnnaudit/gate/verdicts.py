"""Verdicts on a population: k of n cases pass, is that enough?

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from pytest_cnnaudit.gate.bounds import (
    MOST_CASES,
    checked_count,
    checked_counts,
    checked_rule,
    clopper_pearson,
    needed_at_rate,
    proves_at_least,
    proves_below,
)

# From the worst to the best.
OUTCOMES = ("error", "failed", "inconclusive", "passed")


@dataclass(frozen=True)
class Verdict:
    """What k passing cases of n say.

    `value` is k / n, `threshold` the share that must pass. `interval` holds the one-sided lower and upper
    Clopper–Pearson bound where a confidence was asked for. `needed` is, for an inconclusive verdict, the
    number of cases in all that would pass if they went on passing at this rate; None where no number would.
    `reason` is one sentence for people.
    """

    outcome: Literal["passed", "failed", "inconclusive"]
    passed: int
    n: int
    value: float
    threshold: float | None
    interval: tuple[float, float] | None
    needed: int | None
    reason: str


def judge(
    passed: int, n: int, *, mostly: float = 1.0, confidence: float | None = None, min_n: int | None = None
) -> Verdict:
    """Verdict on `passed` of `n` cases; cases that could not be scored belong to n, not to passed.

    - `mostly=1.0`: passed where every case passes.
    - `mostly=p`: the point rule passed / n ≥ p, in exact integers; 0.9 means nine tenths.
    - `mostly=p, confidence=c`: passed where the one-sided Clopper–Pearson lower bound is ≥ p, failed where
      the upper bound is < p, else inconclusive.
    - `min_n`: fewer cases never pass. They fail where that is certain already: the upper bound is < p, or
      without a confidence, more cases fail than `min_n` cases may; else they are inconclusive.

    Raises `ValueError` for no cases, for a confidence with `mostly=1.0`, which nothing can prove, and for
    values that are no counts or rates.
    """
    passed, n = checked_counts(passed, n)
    rate, level = checked_rule(mostly, confidence)
    least = 1 if min_n is None else checked_count(min_n, "min_n")
    if level is None:
        return _by_count(passed, n, rate, least)
    return _by_bounds(passed, n, rate, level, least)


def worst(outcomes: Iterable[str]) -> str:
    """The worst of some outcomes: error, then failed, then inconclusive, then passed.

    Raises `ValueError` for none at all, since nothing judged is nothing passed, and for an unknown outcome.
    """
    seen = set(outcomes)
    if not seen:
        raise ValueError("there are no outcomes: where nothing was judged, nothing passed")
    if unknown := seen.difference(OUTCOMES):
        raise ValueError(f"unknown outcomes {sorted(unknown)}; known are {', '.join(OUTCOMES)}")
    return next(outcome for outcome in OUTCOMES if outcome in seen)


def _by_count(passed: int, n: int, rate: Fraction, least: int) -> Verdict:
    most_failing = math.floor((1 - rate) * max(n, least))
    counted = f"{_counted(passed, n, rate)}; {_threshold(rate)} required"
    if n - passed > most_failing:
        return _verdict("failed", passed, n, rate, counted)
    if n < least:
        needed = least if passed >= rate * n else None
        return _verdict("inconclusive", passed, n, rate, f"{counted}, of at least {least} cases (min_n)", needed)
    return _verdict("passed", passed, n, rate, counted)


def _by_bounds(passed: int, n: int, rate: Fraction, level: Fraction, least: int) -> Verdict:
    interval = clopper_pearson(passed, n, float(level))
    lower, upper = (_percent(bound, rate) for bound in interval)
    counted, proof, required = _counted(passed, n, rate), _threshold(level), _threshold(rate)
    if proves_below(passed, n, rate, level):
        reason = f"{counted}; {proof} upper bound {upper} < {required}"
        return _verdict("failed", passed, n, rate, reason, interval=interval)
    if not proves_at_least(passed, n, rate, level):
        needed = needed_at_rate(passed, n, rate, level, at_least=max(n + 1, least))
        reason = f"{counted}; {proof} lower bound {lower} < {required}; {_more(needed, passed > rate * n)}"
        return _verdict("inconclusive", passed, n, rate, reason, needed, interval)
    reason = f"{counted}; {proof} lower bound {lower} ≥ {required}"
    if n < least:
        reason = f"{reason}, but at least {least} cases are required (min_n)"
        return _verdict("inconclusive", passed, n, rate, reason, least, interval)
    return _verdict("passed", passed, n, rate, reason, interval=interval)


def _verdict(
    outcome: Literal["passed", "failed", "inconclusive"],
    passed: int,
    n: int,
    rate: Fraction,
    reason: str,
    needed: int | None = None,
    interval: tuple[float, float] | None = None,
) -> Verdict:
    return Verdict(outcome, passed, n, passed / n, float(rate), interval, needed, reason)


def _more(needed: int | None, provable: bool) -> str:
    if needed is not None:
        return f"{needed:,} cases at this rate would be needed"
    if provable:
        return f"more than {MOST_CASES:,} cases at this rate would be needed"
    return "no number of cases at this rate would prove it"


def _counted(passed: int, n: int, rate: Fraction) -> str:
    return f"{passed} of {n} cases pass ({_percent(passed / n, rate)})"


def _threshold(rate: Fraction) -> str:
    return f"{float(100 * rate):.10g} %"


def _percent(value: float, threshold: Fraction) -> str:
    """A percentage with the decimals it takes to lie on its own side of the threshold."""
    true_side = _side(Fraction(round(value, 9)), Fraction(round(float(threshold), 9)))
    for decimals in range(1, 8):
        text = f"{100 * value:.{decimals}f}"
        if _side(Fraction(text), 100 * threshold) == true_side:
            break
    return f"{text} %"


def _side(value: Fraction, threshold: Fraction) -> int:
    return (value > threshold) - (value < threshold)
