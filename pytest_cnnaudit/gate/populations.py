"""Populations whose cases belong together: classes that are judged apart, groups that are not independent.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from pytest_cnnaudit.gate.verdicts import OUTCOMES, Verdict, judge

Name = TypeVar("Name", bound=Hashable)


def judge_cases(
    passed: Sequence[bool],
    groups: Sequence[Hashable | None] = (),
    *,
    mostly: float = 1.0,
    confidence: float | None = None,
    min_n: int | None = None,
) -> Verdict:
    """Verdict on cases of which some belong together, such as the pictures of one patient.

    Binomial bounds hold for independent cases, and those of one group are not. So where a confidence is asked
    for and any case has a group, groups are judged instead of cases, as `group_outcomes` counts them; `min_n` is then
    a number of groups too. Without a confidence no rate behind the cases is claimed, and cases are counted.
    """
    if confidence is None or all(group is None for group in groups):
        return judge(sum(passed), len(passed), mostly=mostly, confidence=confidence, min_n=min_n)
    whole = group_outcomes(passed, groups)
    return judge(sum(whole), len(whole), mostly=mostly, confidence=confidence, min_n=min_n, unit="groups")


def group_outcomes(passed: Sequence[bool], groups: Sequence[Hashable | None]) -> list[bool]:
    """Whether each group passed, in the order of their first cases: only where all of its cases did.

    A case without a group (None) is a group of its own. That a group fails with one of its cases is the strict
    rule: no number of easy pictures of a patient makes up for a missed one.
    """
    outcomes: dict[Hashable, bool] = {}
    for position, (one, group) in enumerate(zip(passed, groups, strict=True)):
        name = (position,) if group is None else (group, type(group))
        outcomes[name] = outcomes.get(name, True) and one
    return list(outcomes.values())


def worst_first(verdicts: Mapping[Name, Verdict]) -> list[Name]:
    """The names from the worst verdict to the best: by outcome, then by lower bound, then by the share that passes."""

    def badness(name: Name) -> tuple[int, float, float]:
        verdict = verdicts[name]
        lower = verdict.value if verdict.interval is None else verdict.interval[0]
        return OUTCOMES.index(verdict.outcome), lower, verdict.value

    return sorted(verdicts, key=badness)
