"""From the cases' values to a finding: thresholds, the verdict on a population, and the words for it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

from pytest_cnnaudit import gate, metrics
from pytest_cnnaudit.cases import Case
from pytest_cnnaudit.record import CaseResult, Finding, Threshold

MOST_LINES = 12
_SIGN = {"at_least": "≥", "at_most": "≤"}


@dataclass(frozen=True)
class Score:
    """One case's value, its chance level, and why it can't be scored if it can't."""

    value: float | None
    chance: float | None = None
    unscorable: str = ""
    note: str = ""


@dataclass(frozen=True)
class Judged:
    """A population whose cases are judged one by one."""

    name: str
    cases: Sequence[Case]
    scores: Sequence[Score]
    passes: Callable[[Score], bool]
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
        return "passed" if self.passes(score) else "failed"

    def worst_first(self) -> list[int]:
        """Positions of the cases: unscorable ones, then from the worst value to the best."""
        sign = 1 if self.limits[0].direction == "at_least" else -1
        return sorted(
            range(len(self.cases)),
            key=lambda index: (
                ("failed", "unscorable", "passed").index(self.results[index].outcome),
                sign * (self.scores[index].value or 0.0),
            ),
        )

    def finding(self, mostly: float, confidence: float | None, min_n: int | None, page: str) -> Finding:
        """The finding, without what heatmaps add."""
        passed = sum(result.outcome == "passed" for result in self.results)
        verdict = gate.judge(passed, len(self.results), mostly=mostly, confidence=confidence, min_n=min_n)
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
            threshold=limit.value if self.single else verdict.threshold,
            direction=limit.direction if self.single else "at_least",
            chance=chance,
            interval=None if self.single else verdict.interval,
            n=len(self.results),
            passed=passed,
            unscorable=unscorable,
            mean=mean,
            mostly=None if self.single else mostly,
            confidence=confidence,
            thresholds=self.limits,
            cases=self.results,
        )
        lines = self._single_lines(chance) if self.single else self._lines(verdict.reason, mean, chance)
        return replace(finding, message=text(self.name, finding.outcome, [*lines, "" if passed == finding.n else page]))

    def _single_lines(self, chance: float | None) -> list[str]:
        score, result = self.scores[0], self.results[0]
        if result.outcome == "unscorable":
            return [f"{result.id}: unscorable, {result.note}"]
        limit = self.limits[0]
        lines = [f"{result.id}: {self.measure} {compared(score.value or 0.0, limit.value, limit.direction)}"]
        if chance is not None:
            lines[0] += f", chance {chance:.3f}"
        for limit in self.limits[1:]:
            excess = float(metrics.excess(score.value or 0.0, chance or 0.0))
            lines.append(f"{limit.name} {compared(excess, limit.value, limit.direction)}, chance 0")
        return [*lines, result.note]

    def _lines(self, reason: str, mean: float | None, chance: float | None) -> list[str]:
        limits = " and ".join(f"{limit.name} {_SIGN[limit.direction]} {limit.value:g}" for limit in self.limits)
        numbers = "" if mean is None else f"; mean {mean:.3f}"
        numbers += "" if chance is None else f", chance {chance:.3f}"
        worst = [index for index in self.worst_first() if self.results[index].outcome == "failed"]
        unscorable = [result for result in self.results if result.outcome == "unscorable"]
        return [
            reason,
            f"a case passes with {limits}{numbers}",
            "worst: " + listed(_brief(self.results[index]) for index in worst) if worst else "",
            f"{len(unscorable)} unscorable: {unscorable[0].id}: {unscorable[0].note}" if unscorable else "",
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
    """Thresholds from (name, value, direction, argument); an excess or share lies in [−1, 1]."""
    bounded = any(argument == "excess_at_least" or "mass" in name for name, _, _, argument in limits)
    low, high = (-1.0, 1.0) if bounded else (-math.inf, math.inf)
    given = tuple(
        Threshold(name, number(value, argument, low, high), direction)
        for name, value, direction, argument in limits
        if value is not None
    )
    if not given:
        raise ValueError(f"No threshold: give {' or '.join(argument for *_, argument in limits)}")
    return given


def text(name: str, outcome: str, lines: Sequence[str]) -> str:
    """A finding's message, at most 12 lines."""
    head, *rest = [line for line in lines if line]
    return "\n  ".join([f"{name}: {outcome}: {head}", *rest][:MOST_LINES])


def compared(value: float, limit: float, direction: str) -> str:
    """`0.312 < 0.5 (margin −0.188)`: a negative margin misses the limit."""
    margin = value - limit if direction == "at_least" else limit - value
    holds = margin >= 0
    sign = {
        ("at_least", True): "≥",
        ("at_least", False): "<",
        ("at_most", True): "≤",
        ("at_most", False): ">",
    }
    return f"{value:.4g} {sign[direction, holds]} {limit:g} (margin {margin:+.3g})"


def holds(value: float, limit: Threshold) -> bool:
    """Whether the value keeps to the limit."""
    return value >= limit.value if limit.direction == "at_least" else value <= limit.value


def _brief(result: CaseResult) -> str:
    return f"{result.id} {result.value:.3f}" if result.value is not None else result.id


def listed(items: Iterable[str], most: int = 5) -> str:
    """The first few, and how many more there are."""
    every = list(items)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
