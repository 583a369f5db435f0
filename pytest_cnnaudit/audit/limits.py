"""Limits: what a value is compared with, whether it keeps to it, and how that reads.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, TypeAlias

from pytest_cnnaudit.checks import number
from pytest_cnnaudit.findings import Threshold

EXCESS = "excess"
LARGEST_ALLOWED_REGION = 0.8
"""A region that covers a larger share of the image leaves nothing to compare it with."""
ROUNDING = 1e-9
"""Shares of areas closer than this are the same."""
# Values closer than this share of the limit are at it. What a model gives is float32: a mass of three fifths comes
# out as 0.59999997, and no verdict may hang on that.
FLOAT32_ROUNDING = 1e-6

Direction: TypeAlias = Literal["at_least", "at_most"]


def as_limits(
    *limits: tuple[str, float | None, Direction, str], low: float = 0, high: float = 1
) -> tuple[Threshold, ...]:
    """Thresholds from (name, value, direction, argument), from `low` to `high`, those of them that are given.

    That of the name `EXCESS` is one of the excess over chance, from −1 to 1.
    """
    given = tuple(
        excess_limit(value, argument)
        if name == EXCESS
        else Threshold(name, number(value, argument, low, high), direction)
        for name, value, direction, argument in limits
        if value is not None
    )
    if not given:
        raise ValueError(f"No threshold: give {' or '.join(argument for *_, argument in limits)}")
    return given


def excess_limit(value: float, argument: str = "excess_at_least") -> Threshold:
    """A limit of the excess over chance."""
    return Threshold(EXCESS, number(value, argument, -1, 1), "at_least", is_excess=True)


def holds(value: float, limit: Threshold, exact: bool = False) -> bool:
    """Whether the value keeps to the limit, as far as float32 tells unless it is `exact`."""
    return (value > limit.value) == (limit.direction == "at_least") or _at(value, limit, exact)


def compared(value: float, limit: Threshold, exact: bool = False) -> str:
    """`0.312 < 0.5 (margin -0.188)`: a negative margin misses the limit."""
    margin = value - limit.value if limit.direction == "at_least" else limit.value - value
    sign = {
        ("at_least", True): "≥",
        ("at_least", False): "<",
        ("at_most", True): "≤",
        ("at_most", False): ">",
    }[limit.direction, holds(value, limit, exact)]
    # 0.49999 is not shown as 0.5 < 0.5.
    digits = 4 if _at(value, limit, exact) or f"{value:.4g}" != f"{limit.value:.4g}" else 12
    return f"{value:.{digits}g} {sign} {limit.value:.{max(6, digits)}g} (margin {margin:+.3g})"


def _at(value: float, limit: Threshold, exact: bool) -> bool:
    relative, absolute = (ROUNDING, 0.0) if exact else (FLOAT32_ROUNDING, FLOAT32_ROUNDING / 10)
    return math.isclose(value, limit.value, rel_tol=relative, abs_tol=absolute)


def listed(items: Iterable[str], most: int = 5, between: str = ", ") -> str:
    """The first few, and how many more there are."""
    every = list(items)
    return between.join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
