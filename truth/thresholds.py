"""Where a threshold belongs that honest models meet and cheating ones miss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

from pytest_cnnaudit import gate
from pytest_cnnaudit.findings import Finding

Direction: TypeAlias = Literal["at_least", "at_most"]


def strictest(finding: Finding) -> float | None:
    """The strictest threshold that this model would pass with; None where it passes with none.

    Judged case by case, it is the value that as many cases reach as must pass; else it is the measured value.
    """
    if finding.outcome == "error" or finding.mostly is None:
        return finding.value
    sign = 1 if finding.thresholds[0].direction == "at_least" else -1
    values = sorted(
        (-math.inf if case.value is None else sign * case.value for case in finding.cases),
        reverse=True,
    )
    for reached in range(1, finding.n + 1):
        verdict = gate.judge(reached, finding.n, mostly=finding.mostly, confidence=finding.confidence)
        if verdict.outcome == "passed":
            value = sign * values[reached - 1]
            return value if math.isfinite(value) else None
    return None


def meets(value: float | None, threshold: float, direction: Direction) -> bool:
    """Whether a model whose strictest threshold is `value` passes with this one."""
    return value is not None and (value >= threshold if direction == "at_least" else value <= threshold)


def between(honest: Sequence[float | None], cheating: Sequence[float | None], direction: Direction) -> float | None:
    """The middle between the worst honest and the best cheating model; None where they overlap."""
    sign = 1 if direction == "at_least" else -1
    worst = min(-math.inf if value is None else sign * value for value in honest)
    best = max((sign * value for value in cheating if value is not None), default=math.nan)
    return sign * (worst + best) / 2 if worst > best else None
