"""Findings that judge one value: of a population, of the layers, or a figure of the user's own.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_cnnaudit.audit.limits import holds
from pytest_cnnaudit.findings import Evidence, Finding, Threshold


def value_finding(
    value: float,
    limits: Threshold | Sequence[Threshold],
    *,
    n: int,
    passed: int,
    lines: Sequence[str],
    evidence: Sequence[Evidence] = (),
    holding: bool | None = None,
    exact: bool = False,
    name: str = "",
    **about: Any,
) -> Finding:
    """The finding on a value: it passes where that keeps to all of the `limits`, unless `holding` says otherwise.

    The first limit is the one that the finding names. Without a `name` the finding has its assertion's. `about` are
    further fields of the finding.
    """
    thresholds = (limits,) if isinstance(limits, Threshold) else tuple(limits)
    if holding is None:
        holding = all(holds(value, limit, exact) for limit in thresholds)
    return Finding(
        test="",
        name=name,
        outcome="passed" if holding else "failed",
        value=value,
        threshold=thresholds[0].value,
        direction=thresholds[0].direction,
        n=n,
        passed=passed,
        thresholds=thresholds,
        lines=tuple(lines),
        evidence=tuple(evidence),
        **about,
    )
