"""Assertions on predictions.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from pytest_cnnaudit.audit.base import Base, audited
from pytest_cnnaudit.audit.judging import Judged, Rule, Score, as_population, where
from pytest_cnnaudit.cases import Case
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.findings import Finding, Threshold


class Predicting(Base):
    """Predictions."""

    @audited
    def assert_predicts(
        self,
        cases: Case | Sequence[Case],
        *,
        top: int = 1,
        excess_at_least: float | None = None,
        mostly: float = 1.0,
        confidence: float | None = None,
        min_n: int | None = None,
        by: Literal["label", "group"] | None = None,
    ) -> Finding:
        """The label is among the `top` most probable classes; of several labels, one is enough.

        Chance a is what guessing gives: `top` / n of n classes, and 1 − C(n − k, `top`) / C(n, `top`) for a case of k
        labels. A single case says nothing on it, so `excess_at_least` is held against the share of a population: it
        must be at least a + e · (1 − a), where `mostly` demands less. None leaves it to `mostly`. A case with so many
        labels that it can't fail passes with a note, and is unscorable where an excess is asked for.
        """
        population = as_population(cases)
        classes = self.engine.num_classes
        if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or not 1 <= top < classes:
            few = "1" if classes == 2 else f"1 to {classes - 1}"
            raise ValueError(f"top is {top!r}; give {few}, fewer than the {classes} classes")
        excess = None if excess_at_least is None else number(excess_at_least, "excess_at_least", -1, 1)
        self._check_labels(population)
        for index, case in enumerate(population):
            if not case.labels:
                raise ValueError(f"{where(case, index)} has no label: give the Case one")
        predicted = self._results.predictions(population)
        order = np.argsort(-predicted.logits, axis=1, kind="stable")[:, :top]
        scores = []
        for case, best in zip(population, order, strict=True):
            wanted = {self.engine.class_index(label) for label in case.labels}
            hit, chance = not wanted.isdisjoint(best.tolist()), chance_of_a_hit(classes, len(wanted), int(top))
            labels = " or ".join(str(label) for label in case.labels)
            note = "" if hit else f"labelled {labels}, predicted {predicted.name(int(best[0]))}"
            if chance < 1:
                scores.append(Score(float(hit), chance, note=note))
                continue
            note = f"labelled {len(wanted)} of {classes} classes, so this can't fail"
            above_chance = excess is not None  # which nothing is
            scores.append(Score(None, chance, note) if above_chance else Score(float(hit), chance, note=note))
        limits = (Threshold(f"label among the top {top}", 1.0, "at_least"),)
        judged = Judged("predicts", population, scores, limits, isinstance(cases, Case), "accuracy")
        finding = judged.finding(Rule(mostly, confidence, min_n, by, excess), self._page)
        return self._with_cases(finding, judged, None, None, "inside", "label")


def chance_of_a_hit(classes: int, labels: int, top: int) -> float:
    """That `top` classes drawn at random hold one of so many labels; one division, so that 1 / 2 is 0.5."""
    every = math.comb(classes, top)
    return (every - math.comb(classes - labels, top)) / every
