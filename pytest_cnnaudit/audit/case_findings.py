"""Findings that judge cases one by one, with what the page shows of the worst of them.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_cnnaudit import gate
from pytest_cnnaudit.audit import case_evidence
from pytest_cnnaudit.audit.case_lines import population_lines, single_lines
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.judged_cases import Judged, Judgement
from pytest_cnnaudit.audit.rule import Rule
from pytest_cnnaudit.cases import Region, Sample, case_digest
from pytest_cnnaudit.findings import BarChart, CaseEvidence, Finding, Part, PartBar, Role, View
from pytest_cnnaudit.preprocessing import PreprocessingWarning

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps

MOST_EVIDENCE = 12


def case_finding(
    context: Context,
    judged: Judged,
    rule: Rule,
    *,
    target: str,
    maps: Heatmaps | None = None,
    given: Sequence[Region] | None = None,
    role: Role = "inside",
    controls: Mapping[str, float] | None = None,
    lines: Sequence[str] = (),
    views: Callable[[int], Sequence[View]] = lambda _: (),
    images: Sequence[Sample] | None = None,
) -> Finding:
    """The finding on cases that were judged one by one: what the assertion returns.

    Args:
        context: What the assertion was made with.
        judged: The cases with their scores.
        rule: Which share of them must pass.
        target: What the explained, or the judged, classes are called.
        maps: The heatmaps that were judged, if any were.
        given: The regions that stand for the cases' own.
        role: What the given regions are.
        controls: Mean values of controls, by name.
        lines: Further lines of the message.
        views: Further views of the case at a position, such as its edited images, for the page.
        images: What the model saw, where that was made from the cases.
    """
    finding = _verdict(judged, rule, controls or {})
    context.recorder.saw(judged.cases, case_digest)
    seen = maps.logits if maps is not None and images is None else context.cache.predictions(judged.cases).logits
    heatmaps = "" if maps is None else f"heatmaps: {maps.method} at {maps.layer!r}, target: {target}"
    finding = replace(
        finding,
        target=target,
        method=None if maps is None else maps.method,
        layer=None if maps is None else maps.layer,
        lines=(*finding.lines, *lines, heatmaps, _near_chance(context, judged.cases, seen)),
    )
    if not context.keeps_evidence(finding):
        return finding
    shown = judged.cases if images is None else images
    return replace(finding, evidence=(*finding.evidence, *_shown(context, judged, shown, maps, given, role, views)))


def _verdict(judged: Judged, rule: Rule, controls: Mapping[str, float]) -> Finding:
    """The verdict. With `by`, its numbers are those of the worst class or group."""
    judgements = judged.judgements(rule)
    worst, single = judgements[0], judged.single
    verdict = worst.verdict
    lines = single_lines(judged, worst) if single else population_lines(judged, judgements, rule, controls)
    return Finding(
        test="",
        name="",
        kind="case" if single else "share",
        outcome=verdict.outcome,
        value=judged.scores[0].value if single else verdict.value,
        threshold=judged.decisive(worst.chance) if single else verdict.threshold,
        direction=judged.limits[0].direction if single else "at_least",
        chance=worst.chance,
        interval=None if single else worst.interval,
        n=verdict.n,
        passed=verdict.passed,
        unscorable=sum(judged.results[index].outcome == "unscorable" for index in worst.positions),
        mean=worst.mean,
        mostly=None if single else verdict.threshold,
        confidence=rule.confidence,
        thresholds=judged.limits,
        unit=verdict.unit,
        by=rule.by,
        parts=tuple(_part(one) for one in judgements) if rule.by else (),
        controls=dict(controls),
        cases=judged.results,
        evidence=(_parts_chart(judgements, rule.by),) if rule.by else (),
        lines=tuple(lines),
    )


def _part(judgement: Judgement) -> Part:
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


def _parts_chart(judgements: Sequence[Judgement], by: str) -> BarChart:
    """The share that passes in each class or group, as bars."""
    return BarChart(
        title=f"Verdict in each {by}, worst first",
        unit=f"share of {judgements[0].verdict.unit} that pass",
        rows=tuple(
            PartBar(one.name, one.verdict.value, f"{one.verdict.outcome}: {one.verdict.reason}") for one in judgements
        ),
    )


def _shown(
    context: Context,
    judged: Judged,
    images: Sequence[Sample],
    maps: Heatmaps | None,
    given: Sequence[Region] | None,
    role: Role,
    views: Callable[[int], Sequence[View]],
) -> list[CaseEvidence]:
    """The worst cases as the page shows them."""
    predicted, embed = context.cache.predictions(images), context.embeds
    return [
        CaseEvidence(
            id=judged.results[index].id,
            value=judged.results[index].value,
            outcome=judged.results[index].outcome,
            note=judged.results[index].note,
            label=", ".join(str(name) for name in images[index].labels) or None,
            target=None if maps is None else predicted.name(int(maps.targets[index])),
            chance=judged.scores[index].chance,
            picture=case_evidence.case_image(images[index], embed=embed),
            regions=case_evidence.regions(images[index], given, role, embed=embed),
            heatmap=None if maps is None else case_evidence.heatmap(maps, index),
            predictions=case_evidence.predictions(predicted, index),
            views=tuple(views(index)),
        )
        for index in judged.worst_first()[:MOST_EVIDENCE]
    ]


def _near_chance(context: Context, cases: Sequence[Sample], logits: Any) -> str:
    """A line, and a warning once a session, where the labels are predicted no better than by chance.

    Only for classes that exclude each other: of a sigmoid's several classes the first is no answer.
    """
    labelled = [index for index, case in enumerate(cases) if len(case.labels) == 1]
    engine, classes = context.engine, context.engine.num_classes
    if len(labelled) < 2 or (engine.activation == "sigmoid" and classes > 2):
        return ""
    labels = [engine.class_index(cases[index].labels[0]) for index in labelled]
    right = int(np.sum(np.argmax(logits[labelled], axis=1) == labels))
    if not gate.is_near_chance(right, len(labelled), 1 / classes):
        return ""
    note = (
        f"near chance: the label is predicted for {right} of {len(labelled)} cases, and guessing gives 1 of "
        f"{classes}: is the preprocessing that of training, and are the class names in the outputs' order?"
    )
    if not context.cache.warned_of_chance:
        context.warn(note, PreprocessingWarning)
        context.cache.warned_of_chance = True
    return note
