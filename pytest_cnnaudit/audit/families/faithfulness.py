"""Whether what a heatmap calls relevant moves the prediction: insertion and deletion.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit import case_evidence
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_findings import case_finding
from pytest_cnnaudit.audit.compared_maps import Floats, noted, unranked
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.edited_cases import original_with, seen_by
from pytest_cnnaudit.audit.judged_cases import Judged, Score
from pytest_cnnaudit.audit.populations import Images, as_population
from pytest_cnnaudit.audit.rule import Rule, RuleArguments
from pytest_cnnaudit.audit.targets import Target, explain
from pytest_cnnaudit.cases import Case, Sample
from pytest_cnnaudit.checks import integer, number
from pytest_cnnaudit.edits import RandomOrder, Subject, cells_after, curves_of, edited, steps_of
from pytest_cnnaudit.findings import Curve, Finding, Threshold, View
from pytest_cnnaudit.findings import Curves as Chart

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps
    from pytest_cnnaudit.engine.methods import MethodFunction


@assertion(
    title="Heatmaps show what the prediction uses",
    quantity="gain of the heatmap's order over a random one",
    measured=(
        "Cells of the picture are revealed over a blurred copy, and covered with the mean colour, those first that "
        "the heatmap calls most relevant. Where they matter, the class's probability rises early and falls early. The "
        "number is how much more so than in a random order, which is drawn beside it: 0 is chance."
    ),
    reading=(
        "A value below 0 means that cells taken at random move the prediction more than those that the heatmap shows. "
        "A prediction that hardly moves at all, whatever is covered, tells nothing of the heatmap."
    ),
    about="whether explanations can be trusted",
    settings=("steps",),
)
def assert_faithful(
    context: Context,
    cases: Images,
    *,
    gain_at_least: float = 0.0,
    steps: int = 20,
    target: Target = None,
    method: str | MethodFunction = "grad-cam",
    layer: str | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """What the heatmap calls relevant moves the prediction more than what a random order takes first.

    Insertion reveals the picture over its blurred self, deletion covers it with its mean colour, cell by cell
    of the heatmap's grid in up to `steps` steps, the most relevant first (Petsiuk 2018, arXiv:1806.07421). Of
    model input the numbers themselves are blurred, and averaged channel by channel.
    The value is the area under P(target) of insertion minus that of deletion, minus the same for a
    random order of the same cells, by the seed and the picture, which is the chance level. A case whose heatmap
    is empty, or the same in all cells, or whose P(target) stays within 0.01 whatever is covered, is unscorable
    and counts as not passed.
    """
    population = as_population(cases, inputs=True)
    limit = Threshold("gain", number(gain_at_least, "gain_at_least", -2, 2), "at_least")
    steps = integer(steps, "steps", 2)
    maps, aim = explain(context, population, target, method, layer)
    problems = [unranked(maps, index) for index in range(len(population))]
    usable = [index for index, problem in enumerate(problems) if not problem]
    found = dict(zip(usable, _curves(context, population, maps, usable, steps), strict=True))
    problems = [problem or found[index].flat for index, problem in enumerate(problems)]
    single = isinstance(cases, Case)
    scores = [
        Score(None, None, problem) if problem else noted(found[index].gain, found[index].text, limit, single)
        for index, problem in enumerate(problems)
    ]

    def views(index: int) -> list[View]:
        return [] if index not in found else _curve_views(context, population[index], maps, index, found[index])

    judged = Judged(population, scores, (limit,), single, "gain over random order")
    judgeable = [one for index, one in found.items() if not problems[index]]
    areas = "" if single or not judgeable else _mean_areas(judgeable)
    return case_finding(context, judged, Rule(**rule), target=aim, maps=maps, lines=(areas,), views=views)


def _mean_areas(judgeable: Sequence[_Areas]) -> str:
    own, random = np.mean([one.own for one in judgeable]), np.mean([one.random for one in judgeable])
    return f"insertion − deletion: {own:.3f} by the heatmaps, {random:.3f} at random"


@dataclass(frozen=True, eq=False)
class ByRelevance:
    """Cells in the order of a heatmap, the most relevant first."""

    heatmap: npt.NDArray[np.float32]

    def __call__(self, _: Subject) -> npt.NDArray[np.intp]:
        """The flat positions of the cells, whatever the image."""
        return metrics.relevance_order(self.heatmap)


def _curves(
    context: Context, cases: Sequence[Sample], maps: Heatmaps, usable: Sequence[int], steps: int
) -> list[_Areas]:
    """Insertion and deletion by each heatmap and in random order; all cases' images are predicted together."""
    if not usable:
        return []
    grid, counts = _grid(maps), cells_after(maps.maps[0].size, steps)
    # Of the random order only what lies between: the ends are the same, whatever the order.
    at_random = steps_of(RandomOrder(maps.maps[0].size), grid, counts[1:-1])
    images = edited(
        (
            original_with(context, cases[index], index, maps.geometries[index]),
            [*steps_of(ByRelevance(maps.maps[index]), grid, counts), *at_random],
        )
        for index in usable
    )
    probabilities = context.engine.predict([image for of_case in images for image in of_case]).probabilities
    areas = []
    for index, of_case, rows in zip(usable, images, np.split(probabilities, len(usable)), strict=True):
        subject = of_case[0].subject(seen_by(context, cases[index]))
        orders = ByRelevance(maps.maps[index]), RandomOrder(maps.maps[0].size)
        shares, random_shares = (curves_of(subject, grid).shares(order(subject), counts) for order in orders)
        own, random = np.split(rows[:, maps.targets[index]].reshape(-1, 2), [len(counts)])
        areas.append(_Areas(shares, own, random_shares, np.concatenate([own[:1], random, own[-1:]])))
    return areas


def _grid(maps: Heatmaps) -> tuple[int, int]:
    return (maps.signed.shape[1], maps.signed.shape[2])


def _curve_views(context: Context, case: Sample, maps: Heatmaps, index: int, areas: _Areas) -> list[View]:
    """The images half-way of both curves, and the curves themselves."""
    counts, shares = cells_after(maps.maps[index].size, len(areas.fractions) - 1), areas.fractions
    half = int(np.argmin(np.abs(shares - 0.5)))
    target = context.engine.classes.name(int(maps.targets[index]))
    original = original_with(context, case, index, maps.geometries[index])
    [half_way] = edited([(original, steps_of(ByRelevance(maps.maps[index]), _grid(maps), counts[half : half + 1]))])
    views = [
        View(
            f"the most relevant {shares[half]:.0%} {image.edit.title}",
            picture=case_evidence.edited_image(image, seen_by(context, case), embed=context.embeds),
            note=f"P({target}) {areas.probabilities[half, column]:.3f}",
        )
        for column, image in enumerate(half_way)
    ]
    chart = Chart(across="share of pixels inserted or deleted", up=f"P({target})", lines=areas.lines)
    return [*views, View("Insertion and deletion, step by step", chart=chart)]


# Less than this is rounding, which no order deserves credit for.
_MOVES = 0.01


@dataclass(frozen=True)
class _Areas:
    """P(target) by the fraction of pixels; in the columns of `probabilities` insertion and deletion."""

    fractions: Floats
    probabilities: Floats
    random_fractions: Floats
    random_probabilities: Floats

    @property
    def own(self) -> float:
        """Insertion minus deletion area in the heatmap's order."""
        return _difference(self.fractions, self.probabilities)

    @property
    def random(self) -> float:
        """The same in random order."""
        return _difference(self.random_fractions, self.random_probabilities)

    @property
    def gain(self) -> float:
        """How much more the heatmap's order moves the prediction."""
        return self.own - self.random

    @property
    def flat(self) -> str:
        """Why no order can be better than another; empty where one can."""
        every = np.concatenate([self.probabilities, self.random_probabilities])
        low, high = every.min(), every.max()
        return "" if high - low > _MOVES else f"P(target) stays between {low:.3f} and {high:.3f} whatever is covered"

    @property
    def lines(self) -> tuple[Curve, ...]:
        """Both curves in both orders, for a chart."""
        orders = (
            ("the most relevant first", self.fractions, self.probabilities),
            ("in random order", self.random_fractions, self.random_probabilities),
        )
        return tuple(
            Curve(
                name=f"{name} {order}",
                note=f"area {metrics.curve_area(fractions, column):.3f}",
                points=np.column_stack([fractions, column]).tolist(),
            )
            for order, fractions, probabilities in orders
            for name, column in zip(("inserted,", "deleted,"), probabilities.T, strict=True)
        )

    @property
    def text(self) -> str:
        """The areas, for the finding."""
        insertion, deletion = (metrics.curve_area(self.fractions, column) for column in self.probabilities.T)
        return (
            f"insertion {insertion:.2f} − deletion {deletion:.2f} = {self.own:.2f}, in random order {self.random:.2f}"
        )


def _difference(fractions: Floats, probabilities: Floats) -> float:
    insertion, deletion = (metrics.curve_area(fractions, column) for column in probabilities.T)
    return insertion - deletion
