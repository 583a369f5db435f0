"""Cases that are judged one by one: their scores, their results, and the verdict on all of them.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pytest_cnnaudit import gate
from pytest_cnnaudit.audit.limits import holds
from pytest_cnnaudit.audit.populations import case_id, partition
from pytest_cnnaudit.audit.rule import Rule
from pytest_cnnaudit.cases import Sample
from pytest_cnnaudit.findings import CaseResult, Threshold, excess_over


@dataclass(frozen=True)
class Score:
    """One case's value, its chance level, and why it can't be scored if it can't."""

    value: float | None
    chance: float | None = None
    unscorable: str = ""
    note: str = ""


@dataclass(frozen=True)
class Judgement:
    """The verdict on a population, or on one class or group of it; `positions` are those of its cases."""

    name: str
    positions: Sequence[int]
    verdict: gate.Verdict
    interval: tuple[float, float]
    chance: float | None
    mean: float | None


@dataclass(frozen=True)
class Judged:
    """A population whose cases are judged one by one.

    `measure` is what a single case's value is called. With `share_limit`, for measures whose single values only say
    yes or no, the share of the cases that pass must also be that far above the mean chance of a pass.
    """

    cases: Sequence[Sample]
    scores: Sequence[Score]
    limits: tuple[Threshold, ...]
    single: bool
    measure: str
    share_limit: Threshold | None = None

    @functools.cached_property
    def results(self) -> tuple[CaseResult, ...]:
        """Each case's result, in the order of the cases."""
        return tuple(
            CaseResult(case_id(case, index), score.value, self._outcome(score), score.unscorable or score.note)
            for index, (case, score) in enumerate(zip(self.cases, self.scores, strict=True))
        )

    def _outcome(self, score: Score) -> Literal["passed", "failed", "unscorable"]:
        if score.unscorable or score.value is None:
            return "unscorable"
        return "passed" if all(holds(value, limit) for limit, value in self._pairs(score)) else "failed"

    def _pairs(self, score: Score) -> list[tuple[Threshold, float]]:
        """The limits with what is compared with each."""
        value = score.value or 0.0
        return [(limit, excess_over(score.chance, value) if limit.is_excess else value) for limit in self.limits]

    def missed_first(self, score: Score) -> list[tuple[Threshold, float]]:
        """The limits with what is compared with each, those first that are missed."""
        return sorted(self._pairs(score), key=lambda pair: holds(pair[1], pair[0]))

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

    def without_notes_of_passed(self) -> Judged:
        """The same, where only cases that fail keep their notes: the others' would crowd the message."""
        if self.single:
            return self
        kept = [
            replace(score, note="") if result.outcome == "passed" else score
            for score, result in zip(self.scores, self.results, strict=True)
        ]
        return replace(self, scores=kept)

    def judgements(self, rule: Rule) -> list[Judgement]:
        """The verdict on all cases, or those on each class or group, worst first."""
        parts = {"": range(len(self.cases))} if rule.by is None else partition(self.cases, rule.by, self.single)
        judged = {name: self._judgement(str(name), positions, rule) for name, positions in parts.items()}
        return [judged[name] for name in gate.worst_first({name: one.verdict for name, one in judged.items()})]

    def _judgement(self, name: str, positions: Sequence[int], rule: Rule) -> Judgement:
        scores = [self.scores[index] for index in positions]
        chance = _mean([score.chance for score in scores if score.chance is not None])
        mostly = rule.mostly
        if self.share_limit is not None and chance is not None:
            # Rounded: the gate reads rates as they are written, and 0.25 + 0.2 · 0.75 is no more than 0.4.
            mostly = max(mostly, round(self.share_limit.demanded(chance), 6))
            if mostly == 1 and rule.mostly < 1 and rule.confidence is not None:
                raise ValueError(
                    f"excess_at_least is {self.share_limit.value:g}, which demands that every case passes, and no "
                    "number of cases proves that: demand less, or leave confidence out"
                )
        passed = [self.results[index].outcome == "passed" for index in positions]
        # Within one group of its own, a group's cases are what there is to count.
        groups = () if rule.by == "group" else [self.cases[index].group for index in positions]
        verdict = gate.judge_cases(passed, groups, mostly=mostly, confidence=rule.confidence, min_n=rule.min_n)
        mean = _mean([score.value for score in scores if score.value is not None])
        return Judgement(name, positions, verdict, _interval(verdict, passed, groups), chance, mean)

    def decisive(self, chance: float | None) -> float:
        """The strictest value that the limits demand of a single case."""
        values = [limit.demanded(chance) for limit in self.limits]
        return max(values) if self.limits[0].direction == "at_least" else min(values)


def no_evidence(negative_share: float) -> str:
    """Why a case with an empty heatmap can't be scored."""
    negative = f"{negative_share:.0%} of the evidence is negative"
    return f"no positive evidence for this class at this layer (empty heatmap, {negative})"


def _interval(verdict: gate.Verdict, passed: Sequence[bool], groups: Sequence[Hashable | None]) -> tuple[float, float]:
    """What the share says of the rate behind it: the bounds that decided or, where none did, the 95 % interval.

    Cases of one group are not independent, so where there are groups it is that of the groups.
    """
    if verdict.interval is not None:
        return verdict.interval
    independent = gate.group_outcomes(passed, groups) if any(group is not None for group in groups) else passed
    return gate.clopper_pearson(sum(independent), len(independent), 0.975)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
