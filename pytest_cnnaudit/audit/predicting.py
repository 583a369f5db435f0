"""Assertions on predictions.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from pytest_cnnaudit.audit.base import Base, audited
from pytest_cnnaudit.audit.judging import Judged, Rule, Score, as_population, number, where
from pytest_cnnaudit.cases import Case, check_labels
from pytest_cnnaudit.record import Finding, Threshold


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

        Chance a is `top` / classes, what guessing gives. A single case says nothing on it, so `excess_at_least` is
        held against the share of a population: it must be at least a + e · (1 − a), where `mostly` demands less.
        None leaves it to `mostly`.
        """
        population = as_population(cases)
        if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top < self.engine.num_classes:
            raise ValueError(f"top is {top!r}; give 1 to {self.engine.num_classes - 1}, the number of classes less one")
        excess = None if excess_at_least is None else number(excess_at_least, "excess_at_least", -1, 1)
        check_labels(population, self.engine.class_names)
        for index, case in enumerate(population):
            if not case.labels:
                raise ValueError(f"{where(case, index)} has no label: give the Case one")
        predicted = self._results.predictions(population)
        order = np.argsort(-predicted.logits, axis=1, kind="stable")[:, :top]
        scores = []
        for case, best in zip(population, order, strict=True):
            hit = any(self.engine.class_index(label) in best for label in case.labels)
            labels = " or ".join(str(label) for label in case.labels)
            note = "" if hit else f"labelled {labels}, predicted {predicted.name(int(best[0]))}"
            scores.append(Score(float(hit), top / self.engine.num_classes, note=note))
        limits = (Threshold("label among the top " + str(top), 1.0, "at_least"),)
        judged = Judged(
            "predicts",
            population,
            scores,
            limits,
            isinstance(cases, Case),
            "accuracy",
        )
        finding = judged.finding(Rule(mostly, confidence, min_n, by, excess), self._page)
        return self._with_cases(finding, judged, None, None, "inside", "label")
