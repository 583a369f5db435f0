"""The rule on populations: which share of the cases must pass, and how surely.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, TypedDict, get_args

from pytest_cnnaudit import gate
from pytest_cnnaudit.checks import choice

By: TypeAlias = Literal["label", "group"]


class RuleArguments(TypedDict, total=False):
    """The arguments by which every assertion that judges cases one by one takes its rule; `Rule` has the defaults.

    - `mostly`: the share of the cases that must pass.
    - `confidence`: how surely that must be shown of the rate behind the cases; without one the share itself decides.
    - `min_n`: fewer cases, or groups of them, never pass.
    - `by`: the rule must hold in each label's cases, or in each group's.
    """

    mostly: float
    confidence: float | None
    min_n: int | None
    by: Literal["label", "group"] | None


@dataclass(frozen=True)
class Rule:
    """Which share of the cases must pass, and how surely; see `RuleArguments` and `gate.judge_cases`.

    `ValueError` for a rule by which nothing could be judged.
    """

    mostly: float = 1.0
    confidence: float | None = None
    min_n: int | None = None
    by: Literal["label", "group"] | None = None

    def __post_init__(self) -> None:
        gate.judge(0, 1, mostly=self.mostly, confidence=self.confidence, min_n=self.min_n)
        if self.by is not None:
            choice(self.by, "by", get_args(By))


ARGUMENTS: dict[str, tuple[str, Any]] = {one.name: (str(one.type), one.default) for one in fields(Rule)}
"""Annotation and default of each of the rule's arguments."""
