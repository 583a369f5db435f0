"""Verdicts on a population: k of n cases pass, is that enough?

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

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
Unit: TypeAlias = Literal["cases", "groups"]


@dataclass(frozen=True)
class Verdict:
    """What k passing cases of n say.

    `value` is k / n, `threshold` the share that must pass. `interval` holds the one-sided lower and upper
    Clopper–Pearson bound where a confidence was asked for. `needed` is, for an inconclusive verdict, the
    number of cases in all that would pass if they went on passing at this rate; None where no number would.
    `reason` is one sentence for people. `unit` is what `passed` and `n` count.
    """

    outcome: Literal["passed", "failed", "inconclusive"]
    passed: int
    n: int
    value: float
    threshold: float | None
    interval: tuple[float, float] | None
    needed: int | None
    reason: str
    unit: Unit = "cases"


def judge(
    passed: int,
    n: int,
    *,
    mostly: float = 1.0,
    confidence: float | None = None,
    min_n: int | None = None,
    unit: Unit = "cases",
) -> Verdict:
    """Verdict on `passed` of `n` cases; cases that could not be scored belong to n, not to passed.

    - `mostly=1.0`: passed where every case passes.
    - `mostly=p`: the point rule passed / n ≥ p, in exact integers; 0.9 means nine tenths.
    - `mostly=p, confidence=c`: passed where the one-sided Clopper–Pearson lower bound is ≥ p, failed where
      the upper bound is < p, else inconclusive.
    - `min_n`: fewer cases never pass. They fail where that is certain already: the upper bound is < p, or
      without a confidence, more cases fail than `min_n` cases may; else they are inconclusive.
    - `unit`: what is counted, for the words only; see `judge_cases` for cases that belong together.

    Raises `ValueError` for no cases, for a confidence with `mostly=1.0`, which nothing can prove, and for
    values that are no counts or rates.
    """
    passed, n = checked_counts(passed, n)
    rate, level = checked_rule(mostly, confidence)
    least = 1 if min_n is None else checked_count(min_n, "min_n")
    if level is None:
        return _by_count(passed, n, rate, least, unit)
    return _by_bounds(passed, n, rate, level, least, unit)


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


def _by_count(passed: int, n: int, rate: Fraction, least: int, unit: Unit) -> Verdict:
    most_failing = math.floor((1 - rate) * max(n, least))
    counted = f"{_counted(passed, n, rate, unit)}; {_threshold(rate)} required"
    if n - passed > most_failing:
        return Verdict("failed", passed, n, passed / n, float(rate), None, None, counted, unit)
    if n < least:
        needed = least if passed >= rate * n else None
        counted += f", of at least {least} {unit} (min_n)"
        return Verdict("inconclusive", passed, n, passed / n, float(rate), None, needed, counted, unit)
    return Verdict("passed", passed, n, passed / n, float(rate), None, None, counted, unit)


def _by_bounds(passed: int, n: int, rate: Fraction, level: Fraction, least: int, unit: Unit) -> Verdict:
    interval = clopper_pearson(passed, n, float(level))
    lower, upper = (_percent(bound, rate) for bound in interval)
    counted, proof, required = _counted(passed, n, rate, unit), _threshold(level), _threshold(rate)
    outcome: Literal["passed", "failed", "inconclusive"] = "passed"
    needed = None
    reason = f"{counted}; {proof} lower bound {lower} ≥ {required}"
    if proves_below(passed, n, rate, level):
        outcome, reason = "failed", f"{counted}; {proof} upper bound {upper} < {required}"
    elif not proves_at_least(passed, n, rate, level):
        needed = needed_at_rate(passed, n, rate, level, at_least=max(n + 1, least))
        more = _more(needed, passed > rate * n, unit)
        outcome, reason = "inconclusive", f"{counted}; {proof} lower bound {lower} < {required}; {more}"
    elif n < least:
        outcome, needed = "inconclusive", least
        reason += f", but at least {least} {unit} are required (min_n)"
    return Verdict(outcome, passed, n, passed / n, float(rate), interval, needed, reason, unit)


def _more(needed: int | None, provable: bool, unit: Unit) -> str:
    if needed is not None:
        return f"{needed:,} {unit} at this rate would be needed"
    if provable:
        return f"more than {MOST_CASES:,} {unit} at this rate would be needed"
    return f"no number of {unit} at this rate would prove it"


def _counted(passed: int, n: int, rate: Fraction, unit: Unit) -> str:
    return f"{passed} of {n} {unit} pass ({_percent(passed / n, rate)})"


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
