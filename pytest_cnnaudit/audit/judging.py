"""From the cases' values to a finding: thresholds, the verdict on a population, and the words for it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any, Literal, get_args, overload

import numpy as np
from PIL import Image

from pytest_cnnaudit import gate
from pytest_cnnaudit.cases import Case, InputRow, Sample
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.findings import CaseResult, Finding, Part, Threshold

MOST_LINES = 12
PAGE = "page: "
LONGEST_ID = 60
EXCESS = "excess"
By = Literal["label", "group"]
# Shares of areas closer than this are the same.
ROUNDING = 1e-9
# Values closer than this share of the limit are at it. What a model gives is float32: a mass of three fifths comes
# out as 0.59999997, and no verdict may hang on that.
FLOAT32_ROUNDING = 1e-6
_NUMBERS = re.compile(r"\d[\d.,%]*")
_SIGN = {"at_least": "≥", "at_most": "≤"}


@dataclass(frozen=True)
class Score:
    """One case's value, its chance level, and why it can't be scored if it can't."""

    value: float | None
    chance: float | None = None
    unscorable: str = ""
    note: str = ""


@dataclass(frozen=True)
class Rule:
    """Which share of the cases must pass, and how surely; see `gate.judge_cases`.

    `by`: the rule must hold in each label's cases, or in each group's. `excess`: the share must also be this
    far above the mean chance of a pass, for measures whose single values only say yes or no.
    """

    mostly: float = 1.0
    confidence: float | None = None
    min_n: int | None = None
    by: By | None = None
    excess: float | None = None


@dataclass(frozen=True)
class _Judgement:
    """The verdict on a population, or on one class or group of it; `positions` are those of its cases."""

    name: str
    positions: Sequence[int]
    verdict: gate.Verdict
    interval: tuple[float, float]
    chance: float | None
    mean: float | None


@dataclass(frozen=True)
class Judged:
    """A population whose cases are judged one by one."""

    name: str
    cases: Sequence[Sample]
    scores: Sequence[Score]
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
        return "passed" if all(holds(value, limit) for limit, value in self._pairs(score)) else "failed"

    def _pairs(self, score: Score) -> list[tuple[Threshold, float]]:
        """The limits with what is held against each."""
        value, chance = score.value or 0.0, max(score.chance or 0.0, 0.0)
        # Not `metrics.excess`, which is of masses: correlations go down to −1.
        return [(limit, (value - chance) / (1 - chance) if limit.name == EXCESS else value) for limit in self.limits]

    def _held(self, score: Score) -> list[tuple[Threshold, float]]:
        """The same, those limits first that are missed."""
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

    def finding(self, rule: Rule, page: str, controls: Mapping[str, float] | None = None) -> Finding:
        """The finding, without what heatmaps add. With `by`, its numbers are those of the worst class or group."""
        judgements = self._judgements(rule)
        worst = judgements[0]
        verdict, limit = worst.verdict, self.limits[0]
        finding = Finding(
            test="",
            name=self.name,
            outcome=verdict.outcome,
            value=self.scores[0].value if self.single else verdict.value,
            threshold=self._decisive(worst.chance) if self.single else verdict.threshold,
            direction=limit.direction if self.single else "at_least",
            chance=worst.chance,
            interval=None if self.single else worst.interval,
            n=verdict.n,
            passed=verdict.passed,
            unscorable=sum(self.results[index].outcome == "unscorable" for index in worst.positions),
            mean=worst.mean,
            mostly=None if self.single else verdict.threshold,
            confidence=rule.confidence,
            thresholds=self.limits,
            unit=verdict.unit,
            by=rule.by,
            parts=tuple(_part(one) for one in judgements) if rule.by else (),
            controls=dict(controls or {}),
            cases=self.results,
            evidence=(_parts_chart(judgements, rule.by),) if rule.by else (),
        )
        lines = self._single_lines(worst) if self.single else self._lines(judgements, rule, controls or {})
        lines += ["" if finding.outcome == "passed" else page]
        return replace(finding, message=text(self.name, finding.outcome, lines))

    def _judgements(self, rule: Rule) -> list[_Judgement]:
        """The verdict on all cases, or those on each class or group, worst first."""
        parts = {"": range(len(self.cases))} if rule.by is None else partition(self.cases, rule.by, self.single)
        judged = {name: self._judgement(str(name), positions, rule) for name, positions in parts.items()}
        return [judged[name] for name in gate.worst_first({name: one.verdict for name, one in judged.items()})]

    def _judgement(self, name: str, positions: Sequence[int], rule: Rule) -> _Judgement:
        scores = [self.scores[index] for index in positions]
        chance = _mean([score.chance for score in scores if score.chance is not None])
        mostly = rule.mostly
        if rule.excess is not None and chance is not None:
            # Rounded: the gate reads rates as they are written, and 0.25 + 0.2 · 0.75 is no more than 0.4.
            mostly = max(mostly, round(demanded(Threshold(EXCESS, rule.excess, "at_least"), chance), 6))
            if mostly == 1 and rule.mostly < 1 and rule.confidence is not None:
                raise ValueError(
                    f"excess_at_least is {rule.excess:g}, which demands that every case passes, and no number of cases "
                    "proves that: demand less, or leave confidence out"
                )
        passed = [self.results[index].outcome == "passed" for index in positions]
        # Within one group of its own, a group's cases are what there is to count.
        groups = () if rule.by == "group" else [self.cases[index].group for index in positions]
        verdict = gate.judge_cases(passed, groups, mostly=mostly, confidence=rule.confidence, min_n=rule.min_n)
        mean = _mean([score.value for score in scores if score.value is not None])
        return _Judgement(name, positions, verdict, _interval(verdict, passed, groups), chance, mean)

    def _decisive(self, chance: float | None) -> float:
        """The strictest value that the limits demand of a single case."""
        values = [demanded(limit, chance) for limit in self.limits]
        return max(values) if self.limits[0].direction == "at_least" else min(values)

    def _demands(self) -> str:
        return " and ".join(f"{limit.name} {_SIGN[limit.direction]} {limit.value:g}" for limit in self.limits)

    def _single_lines(self, judgement: _Judgement) -> list[str]:
        score, result, verdict = self.scores[0], self.results[0], judgement.verdict
        if result.outcome == "unscorable":
            chance = "" if judgement.chance is None else f"; chance {judgement.chance:.3g}"
            return [f"{_short(result.id)}: unscorable, {result.note}", f"a case passes with {self._demands()}{chance}"]
        lines = []
        for limit, value in self._held(score):
            by_chance = 0.0 if limit.name == EXCESS else judgement.chance
            lines.append(f"{EXCESS if limit.name == EXCESS else self.measure} {compared(value, limit)}")
            lines[-1] += "" if by_chance is None else f", chance {by_chance:.3g}"
        lines[0] = f"{_short(result.id)}: {lines[0]}"
        # A single case can pass its limits and still prove nothing about the rate that a confidence asks for.
        undecided = verdict.reason if verdict.outcome == "inconclusive" else ""
        return [undecided, *lines, result.note]

    def _lines(self, judgements: Sequence[_Judgement], rule: Rule, controls: Mapping[str, float]) -> list[str]:
        first, verdict = judgements[0], judgements[0].verdict
        averages = {"mean": first.mean, "chance": first.chance}
        numbers = ", ".join(f"{name} {value:.3f}" for name, value in averages.items() if value is not None)
        numbers = numbers and f"; {f'in {first.name!r} ' if rule.by else ''}{numbers}"
        worst = [index for index in self.worst_first() if self.results[index].outcome == "failed"]
        unscorable = [result for result in self.results if result.outcome == "unscorable"]
        noted = [result for result in self.results if result.outcome == "passed" and result.note]
        part = f"{rule.by} {first.name!r}, the worst of {len(judgements)}: " if rule.by else ""
        return [
            f"{part}{verdict.reason} (margin {_margin(verdict):+.3g}){_interval_text(first)}",
            f"by {rule.by}, worst first: {listed(map(_brief_part, judgements), most=8)}" if rule.by else "",
            self._grouped(first),
            f"a case passes with {self._demands()}{numbers}",
            self._raised(verdict, rule),
            "controls: " + ", ".join(f"{name} {value:.3f}" for name, value in controls.items()) if controls else "",
            "worst: " + listed(_brief(self.results[one], rank < 2) for rank, one in enumerate(worst)) if worst else "",
            _reasons(f"{len(unscorable)} unscorable", unscorable),
            _reasons(f"{len(noted)} passed with a note", noted),
        ]

    def _grouped(self, judgement: _Judgement) -> str:
        """What n counts, where it is not cases."""
        if judgement.verdict.unit == "cases":
            return ""
        passed = sum(self.results[index].outcome == "passed" for index in judgement.positions)
        cases = len(judgement.positions)
        return f"n counts groups: one passes where each of its cases does ({passed} of {cases} cases pass)"

    def _raised(self, verdict: gate.Verdict, rule: Rule) -> str:
        """That the excess demands more than `mostly`, where it does."""
        if rule.excess is None or verdict.threshold is None or verdict.threshold <= rule.mostly:
            return ""
        return (
            f"mostly is {rule.mostly:g}, but an excess of {rule.excess:g} over chance demands {verdict.threshold:.3f}"
        )


@overload
def as_population(cases: Any, *, pictures: bool = False) -> list[Case]: ...
@overload
def as_population(cases: Any, *, pictures: bool = False, inputs: Literal[True]) -> list[Sample]: ...
def as_population(cases: Any, *, pictures: bool = False, inputs: bool = False) -> Any:
    """The cases as a list; an error that names the argument for anything else, for none, and for one id twice.

    With `pictures`, for assertions that need neither region nor label, paths, `PIL.Image`s and `uint8` arrays
    `(H, W, C)` are cases as well, and an iterator of any of these will do; with `inputs` so is an array
    `(N, H, W, C)`, which is model input.
    """
    if inputs and getattr(cases, "ndim", 0) == 4:
        cases = [InputRow(row, source=f"case {index}") for index, row in enumerate(np.asarray(cases))]
    elif pictures or inputs:
        cases = _pictures_as_cases(cases)
    if not isinstance(cases, Case) and (isinstance(cases, str) or not isinstance(cases, Sequence)):
        raise TypeError(f"cases must be a Case or a sequence of Cases, not {type(cases).__name__}")
    population = [cases] if isinstance(cases, Case) else list(cases)
    if not population:
        raise ValueError("cases is empty: there is nothing to judge")
    kinds = (Case, InputRow) if inputs else Case
    wrong = next((case for case in population if not isinstance(case, kinds)), None)
    if wrong is not None:
        raise TypeError(f"cases must hold Cases only, not {type(wrong).__name__}")
    names = [case_id(case, index) for index, case in enumerate(population)]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ValueError(f"cases holds {twice!r} twice: give each case an id of its own")
    return population


def _pictures_as_cases(cases: Any) -> Any:
    if isinstance(cases, (PathLike, Image.Image)) or (isinstance(cases, np.ndarray) and cases.ndim in (2, 3)):
        return Case(cases)
    if getattr(cases, "ndim", 0) == 4:
        raise TypeError(
            f"cases is an array {tuple(cases.shape)}, which is model input, and the pictures themselves are needed "
            "here, since they are edited in their own pixels and colours: give Cases, paths, PIL images or uint8 "
            "arrays (H, W, C)"
        )
    if isinstance(cases, np.ndarray):
        raise ValueError(
            f"cases is an array {cases.shape}; a picture has 3 dimensions (H, W, C), model input 4 (N, H, W, C)"
        )
    if isinstance(cases, Mapping):
        raise TypeError(
            "cases is a mapping, of a model's inputs as it seems: give Cases or pictures, and its other inputs "
            "as other_inputs of the engine"
        )
    if isinstance(cases, (Case, str)) or not isinstance(cases, Iterable):
        return cases
    kinds = (str, PathLike, Image.Image, np.ndarray)
    return [Case(one) if isinstance(one, kinds) else one for one in cases]


def check_rule(arguments: Mapping[str, Any]) -> None:
    """A `ValueError` for a rule on populations that could not be judged, before anything is computed."""
    rule = {name: arguments[name] for name in ("mostly", "confidence", "min_n") if name in arguments}
    gate.judge(0, 1, **rule)
    by, cases = arguments.get("by"), arguments.get("cases")
    if by is None:
        return
    if not isinstance(by, str) or by not in get_args(By):
        raise ValueError(f"by is {by!r}; known: {', '.join(map(repr, get_args(By)))}")
    if isinstance(cases, (Case, Sequence, np.ndarray)) and not isinstance(cases, str):
        partition(as_population(cases, inputs=True), by, isinstance(cases, Case))


def partition(cases: Sequence[Sample], by: str, single: bool = False) -> dict[Hashable, list[int]]:
    """The positions of each label's cases, or of each group's, in the order of the cases.

    A case with several labels is among the cases of each. Labels are told apart as they are written. Raises
    `ValueError` for a single case, which has nothing to be told apart from, and for a case without a label
    or group, which would be in no verdict.
    """
    if single:
        raise ValueError(f"by is {by!r}, but cases is a single Case: leave by out, or hand over a sequence of Cases")
    parts: dict[Hashable, list[int]] = {}
    for index, case in enumerate(cases):
        names: tuple[Hashable, ...] = case.labels
        if by == "group":
            names = () if case.group is None else (case.group,)
        if not names:
            raise ValueError(f"{where(case, index)} has no {by}, and by is {by!r}: give the Case one as {by}=")
        for name in dict.fromkeys(names):
            parts.setdefault(name, []).append(index)
    return parts


def case_id(case: Sample, index: int) -> str:
    """What a finding calls the case."""
    return f"case {index}" if case.name == "case" and case.id is None else case.name


def where(case: Sample, index: int) -> str:
    """What an error message about the case begins with."""
    return case_id(case, index) if case.where == "case" else case.where


def as_limits(*limits: tuple[str, float | None, Any, str], low: float = 0, high: float = 1) -> tuple[Threshold, ...]:
    """Thresholds from (name, value, direction, argument), from `low` to `high`; an excess is from −1 to 1."""
    given = tuple(
        Threshold(name, number(value, argument, *((-1, 1) if name == EXCESS else (low, high))), direction)
        for name, value, direction, argument in limits
        if value is not None
    )
    if not given:
        raise ValueError(f"No threshold: give {' or '.join(argument for *_, argument in limits)}")
    return given


def text(name: str, outcome: str, lines: Sequence[str]) -> str:
    """A finding's message, at most 12 lines."""
    head, *rest = [line for line in lines if line]
    return _joined([f"{name}: {outcome}: {head}", *rest])


def with_line(finding: Finding, line: str) -> Finding:
    """The finding with a further line in its message, before that of the page."""
    *lines, last = finding.message.split("\n  ")
    return replace(finding, message=_joined([*lines, line, last] if last.startswith(PAGE) else [*lines, last, line]))


def _joined(lines: Sequence[str]) -> str:
    """The first lines and that of the page, at most 12 in all."""
    page = [line for line in lines[-1:] if line.startswith(PAGE)]
    others = [line for line in lines if line and line not in page]
    return "\n  ".join([*others[: MOST_LINES - len(page)], *page])


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


def holds(value: float, limit: Threshold, exact: bool = False) -> bool:
    """Whether the value keeps to the limit, as far as float32 tells unless it is `exact`."""
    return (value > limit.value) == (limit.direction == "at_least") or _at(value, limit, exact)


def demanded(limit: Threshold, chance: float | None) -> float:
    """The value that a limit demands; an excess e over chance a demands a + e · (1 − a), a negative a counting as 0."""
    if limit.name != EXCESS or chance is None:
        return limit.value
    chance = max(chance, 0.0)
    return chance + limit.value * (1 - chance)


def _at(value: float, limit: Threshold, exact: bool) -> bool:
    relative, absolute = (ROUNDING, 0.0) if exact else (FLOAT32_ROUNDING, FLOAT32_ROUNDING / 10)
    return math.isclose(value, limit.value, rel_tol=relative, abs_tol=absolute)


def _margin(verdict: gate.Verdict) -> float:
    """From the share that must pass to the share that does, or to the bound that decided."""
    lower, upper = verdict.interval or (verdict.value, verdict.value)
    return (upper if verdict.outcome == "failed" else lower) - (verdict.threshold or 0.0)


def no_evidence(negative_share: float) -> str:
    """Why a case with an empty heatmap can't be scored."""
    negative = f"{negative_share:.0%} of the evidence is negative"
    return f"no positive evidence for this class at this layer (empty heatmap, {negative})"


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _part(judgement: _Judgement) -> Part:
    verdict = judgement.verdict
    return Part(
        judgement.name,
        verdict.outcome,
        verdict.value,
        verdict.threshold,
        judgement.interval,
        verdict.n,
        verdict.passed,
        judgement.mean,
        judgement.chance,
    )


def _brief_part(judgement: _Judgement) -> str:
    verdict = judgement.verdict
    return f"{judgement.name} {verdict.outcome} ({verdict.passed} of {verdict.n})"


def _parts_chart(judgements: Sequence[_Judgement], by: str | None) -> dict[str, Any]:
    """The share that passes in each class or group, as bars."""
    return {
        "kind": "layers",
        "title": f"Verdict in each {by}, worst first",
        "unit": f"share of {judgements[0].verdict.unit} that pass",
        "rows": [
            {"name": one.name, "value": one.verdict.value, "note": f"{one.verdict.outcome}: {one.verdict.reason}"}
            for one in judgements
        ],
    }


def _interval(verdict: gate.Verdict, passed: Sequence[bool], groups: Sequence[Hashable | None]) -> tuple[float, float]:
    """What the share says of the rate behind it: the bounds that decided or, where none did, the 95 % interval.

    Cases of one group are not independent, so where there are groups it is that of the groups.
    """
    if verdict.interval is not None:
        return verdict.interval
    independent = gate.group_outcomes(passed, groups) if any(group is not None for group in groups) else passed
    return gate.clopper_pearson(sum(independent), len(independent), 0.975)


def _interval_text(judgement: _Judgement) -> str:
    """The interval, where the verdict does not speak of it already."""
    if judgement.verdict.interval is not None:
        return ""
    lower, upper = judgement.interval
    return f", 95 % interval {100 * lower:.1f} to {100 * upper:.1f} %"


def _brief(result: CaseResult, with_note: bool) -> str:
    value = "" if result.value is None else f" {result.value:.3f}"
    return f"{_short(result.id)}{value}" + (f" ({result.note})" if result.note and with_note else "")


def _reasons(what: str, results: Sequence[CaseResult]) -> str:
    """Some cases by id with why, those with the same reason together, whatever the numbers in it."""
    same: dict[str, list[CaseResult]] = {}
    for one in results:
        same.setdefault(_NUMBERS.sub("#", one.note), []).append(one)
    reasons = (f"{listed((_short(one.id) for one in some), 3)}: {some[0].note}" for some in same.values())
    return f"{what}: {listed(reasons, 2, between='; ')}" if results else ""


def _short(name: str) -> str:
    """An id on one line, the middle of a long one left out."""
    name = " ".join(name.split())
    return name if len(name) <= LONGEST_ID else f"{name[: LONGEST_ID // 2]}…{name[-LONGEST_ID // 2 :]}"


def listed(items: Iterable[str], most: int = 5, between: str = ", ") -> str:
    """The first few, and how many more there are."""
    every = list(items)
    return between.join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
