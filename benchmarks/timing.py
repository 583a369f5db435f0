"""Rivals that take turns, and the rows of the table that come of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
"""A line of the table: plain numbers and texts, so that it can be printed as JSON."""
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def interleaved(rivals: dict[str, Callable[[], Any]], rounds: int, clock: str) -> dict[str, float]:
    """Median seconds of each rival; one warm-up each, then all take turns (A B A B …)."""
    now = CLOCKS[clock]
    for run in rivals.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, run in rivals.items():
            start = now()
            run()
            seconds[name].append(now() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def ratio(name: str, first: float, second: float, direction: str, limit: float) -> Row:
    """How many times the second the first is, which shall be "at most" or "at least" the limit."""
    return _row(name, first, second, first / second, direction, limit)


def difference(name: str, first: float, second: float, direction: str, limit: float) -> Row:
    """By how much the first exceeds the second."""
    return _row(name, first, second, first - second, direction, limit)


def not_installed(name: str, package: str) -> Row:
    """The row of a peer that isn't there; it holds nothing up."""
    return {"name": name, "missing": package, "holds": True}


def _row(name: str, first: float, second: float, value: float, direction: str, limit: float) -> Row:
    holds = value <= limit if direction == "at most" else value >= limit
    return {
        "name": name,
        "first": first,
        "second": second,
        "value": value,
        "direction": direction,
        "limit": limit,
        "holds": bool(holds),
    }
