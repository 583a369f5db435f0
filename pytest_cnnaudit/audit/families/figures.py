"""Figures that a suite measures itself.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any

import numpy as np
from PIL import Image

from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_evidence import user_evidence
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.limits import as_limits, compared, holds
from pytest_cnnaudit.audit.one_value import value_finding
from pytest_cnnaudit.cases import Case
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.findings import Finding


@assertion(title="", measured="A figure that this suite measures and judges itself.", about="figures of your own")
def check(
    context: Context,
    name: str,
    value: float,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    chance: float | None = None,
    evidence: Sequence[Any] = (),
) -> Finding:
    """Compares the user's own figure with limits, and records and shows it like ours. Needs no model.

    `evidence` is a sequence of texts, `Case`s, pictures or paths of pictures for the page.
    """
    if not isinstance(name, str) or not name.strip():
        raise TypeError(f"name must be a text that is not empty, not {name!r}")
    measured = number(value, f"value of {name!r}")
    limits = as_limits(
        ("at least", at_least, "at_least", "at_least"),
        ("at most", at_most, "at_most", "at_most"),
        low=-math.inf,
        high=math.inf,
    )
    if chance is not None:
        chance = number(chance, f"chance of {name!r}")
    if not isinstance(evidence, (Iterable, Case, PathLike, Image.Image)):
        expected = "a sequence of texts, Cases, pictures or paths of pictures"
        raise TypeError(f"evidence is {evidence!r}; {expected} is expected")
    items = [evidence] if isinstance(evidence, (str, Case, PathLike, Image.Image, np.ndarray)) else list(evidence)
    limits = tuple(sorted(limits, key=lambda limit: holds(measured, limit, exact=True)))  # a missed one first
    lines = [compared(measured, limit, exact=True) for limit in limits]
    if chance is not None:
        lines.append(f"chance {chance:.4g}")
    return value_finding(
        measured,
        limits,
        n=1,
        passed=int(all(holds(measured, limit, exact=True) for limit in limits)),
        lines=lines,
        evidence=[user_evidence(item, embed=context.embeds) for item in items],
        exact=True,
        name=name,
        chance=chance,
    )
