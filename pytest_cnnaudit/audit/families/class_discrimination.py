"""Whether heatmaps tell classes apart.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_findings import case_finding
from pytest_cnnaudit.audit.compared_maps import CORRELATION, Floats, correlation, map_view
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.judged_cases import Judged
from pytest_cnnaudit.audit.populations import Images, as_population, where
from pytest_cnnaudit.audit.rule import Rule, RuleArguments
from pytest_cnnaudit.audit.targets import Target, explain
from pytest_cnnaudit.cases import Case, Sample
from pytest_cnnaudit.checks import number
from pytest_cnnaudit.findings import Finding, Threshold, View

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps
    from pytest_cnnaudit.engine.methods import MethodFunction

SECOND = "second"


@assertion(
    title="Heatmaps tell classes apart",
    quantity="rank correlation of the heatmaps of two classes",
    measured=(
        "The heatmap of a class should show what speaks for this class. This audit draws the heatmaps for two classes "
        "of the same picture and compares which cells they rank high: 1 means that both show the same, 0 that they "
        "have nothing in common, −1 that one is high where the other is low."
    ),
    reading=(
        "A value near 1 means that the heatmap shows what catches the eye in the picture, whichever class is asked "
        "for. It says nothing of why this class was predicted."
    ),
    about="whether explanations can be trusted",
    settings=("other",),
)
def assert_class_discriminative(
    context: Context,
    cases: Images,
    other: str | int | Sequence[str | int],
    *,
    correlation_at_most: float = 0.5,
    target: Target = None,
    method: str | MethodFunction = "grad-cam",
    layer: str | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """The heatmaps for two classes differ: their rank correlation is at most `correlation_at_most`.

    `other` is the second class: a name or an index, a sequence of these (one for each case), or `"second"`,
    each case's most probable class but the target. A method that draws the same map for every class, as
    guided backpropagation does (Adebayo 2018, arXiv:1810.03292), explains the picture, not the decision. Where
    nothing speaks for the other class, what speaks against it is compared: its map before ReLU. A case whose own
    heatmap is empty, or either the same in all cells, is unscorable and counts as not passed.
    """
    population = as_population(cases, inputs=True)
    limit = Threshold(CORRELATION, number(correlation_at_most, "correlation_at_most", -1, 1), "at_most")
    maps, aim = explain(context, population, target, method, layer)
    classes = _other_classes(context, other, population, maps)
    others = context.cache.heatmaps(population, targets=classes, method=method, layer=layer, seed=context.seed)
    names = [context.engine.classes.name(index) for index in classes]
    scores = []
    for index, name in enumerate(names):
        score = correlation(maps, index, _evidence(others, index), 0.0, f"for {name!r}")
        if others.empty[index] and score.value is not None:
            score = replace(score, note=f"nothing speaks for {name!r}: compared with its map before ReLU")
        scores.append(score)

    def views(index: int) -> list[View]:
        return [map_view(context, f"for {names[index]!r}", population[index], others, index, scores[index])]

    judged = Judged(population, scores, (limit,), isinstance(cases, Case), CORRELATION)
    lines = (_width_of_chance(maps),)
    return case_finding(context, judged, Rule(**rule), target=aim, maps=maps, lines=lines, views=views)


def _other_classes(context: Context, other: Any, cases: Sequence[Sample], maps: Heatmaps) -> list[int]:
    """The second class of each case, which must not be the first one."""
    if isinstance(other, (str, int, np.integer)):
        each: list[Any] = [other] * len(cases)
    elif isinstance(other, (Sequence, np.ndarray)):
        each = list(other)
        if len(each) != len(cases):
            raise ValueError(f"other has {len(each)} entries for {len(cases)} cases")
    else:
        raise TypeError(f"other is {other!r}; a class' name or index, {SECOND!r}, or a sequence is expected")
    classes = []
    for index, (one, case) in enumerate(zip(each, cases, strict=True)):
        target = int(maps.targets[index])
        second = one == SECOND and isinstance(one, str)
        found = _runner_up(maps.logits[index], target) if second else context.engine.class_index(one)
        if found == target:
            raise ValueError(
                f"{where(case, index)}: other is {one!r}, the class whose heatmap it is compared with: name "
                f"another, or {SECOND!r} for each case's most probable other class"
            )
        classes.append(found)
    return classes


def _runner_up(logits: Floats, target: int) -> int:
    """The most probable class but this one."""
    rest = logits.astype(np.float64)
    rest[target] = -np.inf
    return int(np.argmax(rest))


def _evidence(maps: Heatmaps, index: int) -> Floats:
    """One heatmap, or before ReLU where it is empty."""
    evidence: Floats = maps.signed[index] if maps.empty[index] else maps.maps[index]
    return evidence


def _width_of_chance(maps: Heatmaps) -> str:
    cells = maps.signed.shape[1] * maps.signed.shape[2]
    if cells < 3:
        return ""
    return (
        f"chance is wide: ±{min(1.0, 2 / np.sqrt(cells - 1)):.2f} for unrelated maps of {cells} cells, more for smooth"
    )
