"""From the cases' values to a finding: thresholds, the verdict on a population, and the words for it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal

import numpy as np

from pytest_cnnaudit import gate, metrics
from pytest_cnnaudit.cases import Case
from pytest_cnnaudit.record import CaseResult, Finding, Threshold

MOST_LINES = 12
EXCESS = "excess"
# Values closer than this share of the limit are at it: (0.6 − 0.5) / (1 − 0.5) is a little less than 0.2.
ROUNDING = 1e-9
_SIGN = {"at_least": "≥", "at_most": "≤"}


@dataclass(frozen=True)
class Score:
    """One case's value, its chance level, and why it can't be scored if it can't."""

    value: float | None
    chance: float | None = None
    unscorable: str = ""
    note: str = ""


@dataclass(frozen=True)
class Rule:
    """Which share of the cases must pass, and how surely; see `gate.judge`."""

    mostly: float = 1.0
    confidence: float | None = None
    min_n: int | None = None
    by: Literal["label", "group"] | None = None


@dataclass(frozen=True)
class Judged:
    """A population whose cases are judged one by one."""

    name: str
    cases: Sequence[Case]
    scores: Sequence[Score]
    limits: tuple[Threshold, ...]
    single: bool
    measure: str

    @functools.cached_property
    def results(self) -> tuple[CaseResult, ...]:
        """Each case's result, in the order of the cases."""
        return tuple(
            CaseResult(case_id(case, index), score.value, self._outcome(score), score.unscorable or score.note)
            for index, (case, score) in enumerate(zip(self.cases, self.scores, strict=True))
        )

    def _outcome(self, score: Score) -> Any:
        if score.unscorable or score.value is None:
            return "unscorable"
        return "passed" if all(holds(value, limit) for limit, value in self._held(score)) else "failed"

    def _held(self, score: Score) -> list[tuple[Threshold, float]]:
        """The limits with what is held against each, those that are missed first."""
        value, chance = score.value or 0.0, score.chance or 0.0
        pairs = [
            (limit, float(metrics.excess(value, chance)) if limit.name == EXCESS else value) for limit in self.limits
        ]
        return sorted(pairs, key=lambda pair: holds(pair[1], pair[0]))

    def worst_first(self) -> list[int]:
        """Positions of the cases: failed, unscorable, passed, and in each from the worst value to the best."""
        sign = 1 if self.limits[0].direction == "at_least" else -1
        return sorted(
            range(len(self.cases)),
            key=lambda index: (
                ("failed", "unscorable", "passed").index(self.results[index].outcome),
                sign * (self.scores[index].value or 0.0),
            ),
        )

    def finding(self, rule: Rule, page: str) -> Finding:
        """The finding, without what heatmaps add."""
        passed = sum(result.outcome == "passed" for result in self.results)
        verdict = gate.judge(
            passed, len(self.results), mostly=rule.mostly, confidence=rule.confidence, min_n=rule.min_n
        )
        unscorable = sum(result.outcome == "unscorable" for result in self.results)
        chances = [score.chance for score in self.scores if score.chance is not None]
        chance = float(np.mean(chances)) if chances else None
        values = [score.value for score in self.scores if score.value is not None]
        mean = float(np.mean(values)) if values else None
        limit = self.limits[0]
        finding = Finding(
            test="",
            name=self.name,
            outcome=verdict.outcome,
            value=self.scores[0].value if self.single else verdict.value,
            threshold=self._decisive(chance) if self.single else verdict.threshold,
            direction=limit.direction if self.single else "at_least",
            chance=chance,
            interval=None if self.single else verdict.interval,
            n=len(self.results),
            passed=passed,
            unscorable=unscorable,
            mean=mean,
            mostly=None if self.single else rule.mostly,
            confidence=rule.confidence,
            thresholds=self.limits,
            cases=self.results,
        )
        lines = self._single_lines(verdict, chance) if self.single else self._lines(verdict, mean, chance)
        lines += ["" if finding.outcome == "passed" else page]
        return replace(finding, message=text(self.name, finding.outcome, lines))

    def _decisive(self, chance: float | None) -> float:
        """The strictest value that the limits demand of a single case."""
        values = [demanded(limit, chance) for limit in self.limits]
        return max(values) if self.limits[0].direction == "at_least" else min(values)

    def _demands(self) -> str:
        return " and ".join(f"{limit.name} {_SIGN[limit.direction]} {limit.value:g}" for limit in self.limits)

    def _single_lines(self, verdict: gate.Verdict, chance: float | None) -> list[str]:
        score, result = self.scores[0], self.results[0]
        if result.outcome == "unscorable":
            return [f"{result.id}: unscorable, {result.note}", f"a case passes with {self._demands()}"]
        lines = []
        for limit, value in self._held(score):
            by_chance = 0.0 if limit.name == EXCESS else chance
            lines.append(f"{EXCESS if limit.name == EXCESS else self.measure} {compared(value, limit)}")
            lines[-1] += "" if by_chance is None else f", chance {by_chance:.3g}"
        lines[0] = f"{result.id}: {lines[0]}"
        # A single case can pass its limits and still prove nothing about the rate that a confidence asks for.
        undecided = verdict.reason if verdict.outcome == "inconclusive" else ""
        return [undecided, *lines, result.note]

    def _lines(self, verdict: gate.Verdict, mean: float | None, chance: float | None) -> list[str]:
        numbers = "" if mean is None else f"; mean {mean:.3f}"
        numbers += "" if chance is None else f", chance {chance:.3f}"
        worst = [index for index in self.worst_first() if self.results[index].outcome == "failed"]
        unscorable = [result for result in self.results if result.outcome == "unscorable"]
        noted = [result for result in self.results if result.outcome == "passed" and result.note]
        return [
            f"{verdict.reason} (margin {_margin(verdict):+.3g})",
            f"a case passes with {self._demands()}{numbers}",
            "worst: " + listed(_brief(self.results[index]) for index in worst) if worst else "",
            f"{len(unscorable)} unscorable: {unscorable[0].id}: {unscorable[0].note}" if unscorable else "",
            f"{len(noted)} passed with a note: {noted[0].id}: {noted[0].note}" if noted else "",
        ]


def as_population(cases: Case | Sequence[Case]) -> list[Case]:
    """The cases as a list; an error that names the argument for anything else, for none, and for one id twice."""
    if not isinstance(cases, Case) and (isinstance(cases, str) or not isinstance(cases, Sequence)):
        raise TypeError(f"cases must be a Case or a sequence of Cases, not {type(cases).__name__}")
    population = [cases] if isinstance(cases, Case) else list(cases)
    if not population:
        raise ValueError("cases is empty: there is nothing to judge")
    wrong = next((case for case in population if not isinstance(case, Case)), None)
    if wrong is not None:
        raise TypeError(f"cases must hold Cases only, not {type(wrong).__name__}")
    names = [case_id(case, index) for index, case in enumerate(population)]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ValueError(f"cases holds {twice!r} twice: give each case an id of its own")
    return population


def case_id(case: Case, index: int) -> str:
    """What a finding calls the case."""
    return f"case {index}" if case.name == "case" and case.id is None else case.name


def where(case: Case, index: int) -> str:
    """What an error message about the case begins with."""
    return case_id(case, index) if case.where == "case" else case.where


def number(value: Any, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number within bounds, as a `float`; else an error that names the argument."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (Real, np.number)):
        raise TypeError(f"{name} is {value!r}; a number is expected")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; a finite number is expected")
    if not low <= float(value) <= high:
        raise ValueError(f"{name} is {value!r}; a number from {low:g} to {high:g} is expected")
    return float(value)


def as_limits(*limits: tuple[str, float | None, Any, str]) -> tuple[Threshold, ...]:
    """Thresholds from (name, value, direction, argument); an excess lies in [−1, 1], a mass in [0, 1]."""
    given = tuple(
        Threshold(name, number(value, argument, *_bounds(name)), direction)
        for name, value, direction, argument in limits
        if value is not None
    )
    if not given:
        raise ValueError(f"No threshold: give {' or '.join(argument for *_, argument in limits)}")
    return given


def _bounds(name: str) -> tuple[float, float]:
    if name == EXCESS:
        return -1.0, 1.0
    return (0.0, 1.0) if name.startswith("mass") else (-math.inf, math.inf)


def text(name: str, outcome: str, lines: Sequence[str]) -> str:
    """A finding's message, at most 12 lines."""
    head, *rest = [line for line in lines if line]
    return "\n  ".join([f"{name}: {outcome}: {head}", *rest][:MOST_LINES])


def compared(value: float, limit: Threshold) -> str:
    """`0.312 < 0.5 (margin -0.188)`: a negative margin misses the limit."""
    margin = value - limit.value if limit.direction == "at_least" else limit.value - value
    sign = {
        ("at_least", True): "≥",
        ("at_least", False): "<",
        ("at_most", True): "≤",
        ("at_most", False): ">",
    }[limit.direction, holds(value, limit)]
    # 0.49999 is not shown as 0.5 < 0.5.
    digits = 4 if _at(value, limit) or f"{value:.4g}" != f"{limit.value:.4g}" else 12
    return f"{value:.{digits}g} {sign} {limit.value:.{max(6, digits)}g} (margin {margin:+.3g})"


def holds(value: float, limit: Threshold) -> bool:
    """Whether the value keeps to the limit."""
    return _at(value, limit) or (value > limit.value) == (limit.direction == "at_least")


def demanded(limit: Threshold, chance: float | None) -> float:
    """The value that a limit demands; an excess e over chance a demands a + e · (1 − a)."""
    return limit.value if limit.name != EXCESS or chance is None else chance + limit.value * (1 - chance)


def _at(value: float, limit: Threshold) -> bool:
    return math.isclose(value, limit.value, rel_tol=ROUNDING)


def _margin(verdict: gate.Verdict) -> float:
    """From the share that must pass to the share that does, or to the bound that decided."""
    lower, upper = verdict.interval or (verdict.value, verdict.value)
    return (upper if verdict.outcome == "failed" else lower) - (verdict.threshold or 0.0)


def _brief(result: CaseResult) -> str:
    value = "" if result.value is None else f" {result.value:.3f}"
    return f"{result.id}{value}" + (f" ({result.note})" if result.note else "")


def listed(items: Iterable[str], most: int = 5) -> str:
    """The first few, and how many more there are."""
    every = list(items)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
