"""Assertions on predictions.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

import numpy as np

from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_findings import case_finding
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.judged_cases import Judged, Score
from pytest_cnnaudit.audit.limits import excess_limit
from pytest_cnnaudit.audit.populations import as_population, where
from pytest_cnnaudit.audit.rule import Rule, RuleArguments
from pytest_cnnaudit.audit.targets import check_labels_of
from pytest_cnnaudit.cases import Case
from pytest_cnnaudit.checks import is_integer
from pytest_cnnaudit.engine.passes import class_evidence
from pytest_cnnaudit.findings import Finding, Threshold


@assertion(
    title="Predicts the right class",
    quantity="share of pictures classified as labelled",
    measured="The label of each picture is compared with the class that the model gives the highest score.",
    reading="This audit says how often the model is right, not why: it can be right for a wrong reason.",
    about="predictions",
    needs=(class_evidence,),
    yes_no=True,
)
def assert_predicts(
    context: Context,
    cases: Case | Sequence[Case],
    *,
    top: int = 1,
    excess_at_least: float | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """The label is among the `top` most probable classes; of several labels, one is enough.

    Chance a is what guessing gives: `top` / n of n classes, and 1 − C(n − k, `top`) / C(n, `top`) for a case of k
    labels. A single case says nothing on it, so `excess_at_least` is held against the share of a population: it
    must be at least a + e · (1 − a), where `mostly` demands less. None leaves it to `mostly`. A case with so many
    labels that it can't fail passes with a note, and is unscorable where an excess is asked for.
    """
    population = as_population(cases)
    classes = context.engine.num_classes
    if not is_integer(top) or not 1 <= top < classes:
        few = "1" if classes == 2 else f"1 to {classes - 1}"
        raise ValueError(f"top is {top!r}; give {few}, fewer than the {classes} classes")
    share_limit = None if excess_at_least is None else excess_limit(excess_at_least)
    check_labels_of(context, population)
    for index, case in enumerate(population):
        if not case.labels:
            raise ValueError(f"{where(case, index)} has no label: give the Case one")
    predicted = context.cache.predictions(population)
    order = np.argsort(-predicted.logits, axis=1, kind="stable")[:, :top]
    scores = []
    for case, best in zip(population, order, strict=True):
        wanted = {context.engine.class_index(label) for label in case.labels}
        hit, chance = not wanted.isdisjoint(best.tolist()), chance_of_a_hit(classes, len(wanted), int(top))
        labels = " or ".join(str(label) for label in case.labels)
        note = "" if hit else f"labelled {labels}, predicted {predicted.name(int(best[0]))}"
        if chance < 1:
            scores.append(Score(float(hit), chance, note=note))
            continue
        note = f"labelled {len(wanted)} of {classes} classes, so this can't fail"
        above_chance = share_limit is not None  # which nothing is
        scores.append(Score(None, chance, note) if above_chance else Score(float(hit), chance, note=note))
    limits = (Threshold(f"label among the top {top}", 1.0, "at_least"),)
    judged = Judged(population, scores, limits, isinstance(cases, Case), "accuracy", share_limit)
    return case_finding(context, judged, Rule(**rule), target="label")


def chance_of_a_hit(classes: int, labels: int, top: int) -> float:
    """That `top` classes drawn at random hold one of so many labels; one division, so that 1 / 2 is 0.5."""
    every = math.comb(classes, top)
    return (every - math.comb(classes - labels, top)) / every
