"""The lines of the message on cases that are judged one by one.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pytest_cnnaudit import gate
from pytest_cnnaudit.audit.judged_cases import Judged, Judgement
from pytest_cnnaudit.audit.limits import EXCESS, compared, listed
from pytest_cnnaudit.audit.rule import Rule
from pytest_cnnaudit.findings import CaseResult

LONGEST_ID = 60
_NUMBERS = re.compile(r"\d[\d.,%]*")
_SIGN = {"at_least": "≥", "at_most": "≤"}


def single_lines(judged: Judged, judgement: Judgement) -> list[str]:
    """The lines on a single case."""
    score, result, verdict = judged.scores[0], judged.results[0], judgement.verdict
    if result.outcome == "unscorable":
        chance = "" if judgement.chance is None else f"; chance {judgement.chance:.3g}"
        return [f"{short(result.id)}: unscorable, {result.note}", f"a case passes with {_demands(judged)}{chance}"]
    lines = []
    for limit, value in judged.missed_first(score):
        by_chance = 0.0 if limit.is_excess else judgement.chance
        lines.append(f"{EXCESS if limit.is_excess else judged.measure} {compared(value, limit)}")
        lines[-1] += "" if by_chance is None else f", chance {by_chance:.3g}"
    lines[0] = f"{short(result.id)}: {lines[0]}"
    # A single case can pass its limits and still prove nothing about the rate that a confidence asks for.
    undecided = verdict.reason if verdict.outcome == "inconclusive" else ""
    return [undecided, *lines, result.note]


def population_lines(
    judged: Judged, judgements: Sequence[Judgement], rule: Rule, controls: Mapping[str, float]
) -> list[str]:
    """The lines on a population."""
    first, verdict = judgements[0], judgements[0].verdict
    averages = {"mean": first.mean, "chance": first.chance}
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in averages.items() if value is not None)
    numbers = numbers and f"; {f'in {first.name!r} ' if rule.by else ''}{numbers}"
    worst = [index for index in judged.worst_first() if judged.results[index].outcome == "failed"]
    unscorable = [result for result in judged.results if result.outcome == "unscorable"]
    noted = [result for result in judged.results if result.outcome == "passed" and result.note]
    part = f"{rule.by} {first.name!r}, the worst of {len(judgements)}: " if rule.by else ""
    return [
        f"{part}{verdict.reason} (margin {_margin(verdict):+.3g}){_interval_text(first)}",
        f"by {rule.by}, worst first: {listed(map(_brief_part, judgements), most=8)}" if rule.by else "",
        _grouped(judged, first),
        f"a case passes with {_demands(judged)}{numbers}",
        _raised(judged, verdict, rule),
        "controls: " + ", ".join(f"{name} {value:.3f}" for name, value in controls.items()) if controls else "",
        "worst: " + listed(_brief(judged.results[one], rank < 2) for rank, one in enumerate(worst)) if worst else "",
        reasons(f"{len(unscorable)} unscorable", unscorable),
        reasons(f"{len(noted)} passed with a note", noted),
    ]


def _demands(judged: Judged) -> str:
    return " and ".join(f"{limit.name} {_SIGN[limit.direction]} {limit.value:g}" for limit in judged.limits)


def _grouped(judged: Judged, judgement: Judgement) -> str:
    """What n counts, where it is not cases."""
    if judgement.verdict.unit == "cases":
        return ""
    passed = sum(judged.results[index].outcome == "passed" for index in judgement.positions)
    cases = len(judgement.positions)
    return f"n counts groups: one passes where each of its cases does ({passed} of {cases} cases pass)"


def _raised(judged: Judged, verdict: gate.Verdict, rule: Rule) -> str:
    """That the excess demands more than `mostly`, where it does."""
    limit = judged.share_limit
    if limit is None or verdict.threshold is None or verdict.threshold <= rule.mostly:
        return ""
    return f"mostly is {rule.mostly:g}, but an excess of {limit.value:g} over chance demands {verdict.threshold:.3f}"


def _margin(verdict: gate.Verdict) -> float:
    """From the share that must pass to the share that does, or to the bound that decided."""
    lower, upper = verdict.interval or (verdict.value, verdict.value)
    return (upper if verdict.outcome == "failed" else lower) - (verdict.threshold or 0.0)


def _interval_text(judgement: Judgement) -> str:
    """The interval, where the verdict does not speak of it already."""
    if judgement.verdict.interval is not None:
        return ""
    lower, upper = judgement.interval
    return f", 95 % interval {100 * lower:.1f} to {100 * upper:.1f} %"


def _brief_part(judgement: Judgement) -> str:
    verdict = judgement.verdict
    return f"{judgement.name} {verdict.outcome} ({verdict.passed} of {verdict.n})"


def _brief(result: CaseResult, with_note: bool) -> str:
    value = "" if result.value is None else f" {result.value:.3f}"
    return f"{short(result.id)}{value}" + (f" ({result.note})" if result.note and with_note else "")


def reasons(what: str, results: Sequence[CaseResult]) -> str:
    """Some cases by id with why, those with the same reason together, whatever the numbers in it."""
    same: dict[str, list[CaseResult]] = {}
    for one in results:
        same.setdefault(_NUMBERS.sub("#", one.note), []).append(one)
    each = (f"{listed((short(one.id) for one in some), 3)}: {some[0].note}" for some in same.values())
    return f"{what}: {listed(each, 2, between='; ')}" if results else ""


def short(name: str) -> str:
    """An id on one line, the middle of a long one left out."""
    name = " ".join(name.split())
    return name if len(name) <= LONGEST_ID else f"{name[: LONGEST_ID // 2]}…{name[-LONGEST_ID // 2 :]}"
