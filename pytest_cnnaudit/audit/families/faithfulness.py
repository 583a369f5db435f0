"""Whether what a heatmap calls relevant moves the prediction: insertion and deletion.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from pytest_cnnaudit import edits, metrics
from pytest_cnnaudit.audit import case_evidence
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_findings import case_finding
from pytest_cnnaudit.audit.compared_maps import noted, unranked
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.editing import Subject
from pytest_cnnaudit.audit.judged_cases import Judged, Score
from pytest_cnnaudit.audit.perturbing import Curves, Floats, with_picture
from pytest_cnnaudit.audit.populations import Images, as_population, where
from pytest_cnnaudit.audit.rule import Rule, RuleArguments
from pytest_cnnaudit.audit.targets import Target, explain
from pytest_cnnaudit.cases import Case, InputRow, Sample
from pytest_cnnaudit.checks import integer, number
from pytest_cnnaudit.findings import Curve, Finding, Threshold, View
from pytest_cnnaudit.findings import Curves as Chart
from pytest_cnnaudit.preprocessing import on_white, open_picture

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


def _curves(
    context: Context, cases: Sequence[Sample], maps: Heatmaps, usable: Sequence[int], steps: int
) -> list[_Areas]:
    """Insertion and deletion by each heatmap and in random order; all cases' pictures are predicted together."""
    if not usable:
        return []
    lengths: list[int] = []
    fractions: list[Floats] = []

    def edited() -> Iterator[Sample]:
        for index in usable:
            curves, order, random = _orders(context, cases[index], maps, index)
            # The ends of both are the same, whatever the order between.
            (counts, shares), (inner, random_shares) = curves.steps(order, steps), curves.steps(random, steps)
            fractions.extend([shares, random_shares])
            lengths.append(len(counts))
            for picture in curves.pictures(order, counts):
                yield with_picture(cases[index], picture)
            for picture in curves.pictures(random, inner[1:-1]):
                yield with_picture(cases[index], picture)

    probabilities = context.engine.predict(edited()).probabilities
    areas, start = [], 0
    for position, (index, length) in enumerate(zip(usable, lengths, strict=True)):
        rows = probabilities[start : start + 4 * length - 4, maps.targets[index]]
        start += len(rows)
        own = rows[: 2 * length].reshape(length, 2)
        random = np.concatenate([own[:1], rows[2 * length :].reshape(length - 2, 2), own[-1:]])
        areas.append(_Areas(fractions[2 * position], own, fractions[2 * position + 1], random))
    return areas


def _orders(context: Context, case: Sample, maps: Heatmaps, index: int) -> tuple[Curves, Any, Any]:
    """The pictures of a case's curves, the cells in the order of the heatmap, and in a random one."""
    grid = (maps.signed.shape[1], maps.signed.shape[2])
    order = metrics.relevance_order(maps.maps[index])
    pixels, geometry = _pixels(context, case), maps.geometries[index]
    subject = Subject(where(case, index), pixels, (), geometry, context.seed)
    # An order of its own for each picture: one for all would have its luck in every value.
    return Curves(pixels, geometry, grid), order, subject.random("order").permutation(len(order))


def _pixels(context: Context, case: Sample) -> Any:
    """A picture's pixels `(H, W, C)`; model input itself, of any number of channels."""
    if isinstance(case, InputRow):
        return case.inputs
    picture = open_picture(case)
    if context.engine.preprocessing.bound(context.engine.input_shape).color != "rgba":
        picture = on_white(picture)  # as the preprocessing does it, so that it is edited as it is seen
    return edits.as_pixels(picture)


def _curve_views(context: Context, case: Sample, maps: Heatmaps, index: int, areas: _Areas) -> list[View]:
    """The images half-way of both curves, and the curves themselves."""
    curves, order, _ = _orders(context, case, maps, index)
    counts, shares = curves.steps(order, len(areas.fractions) - 1)
    half = int(np.argmin(np.abs(shares - 0.5)))
    target = context.engine.classes.name(int(maps.targets[index]))
    edited = zip(("inserted", "deleted"), curves.pictures(order, counts[half : half + 1]), strict=True)
    views = [
        View(
            f"the most relevant {shares[half]:.0%} {name}",
            picture=case_evidence.further_case(with_picture(case, image), embed=context.embeds),
            note=f"P({target}) {areas.probabilities[half, column]:.3f}",
        )
        for column, (name, image) in enumerate(edited)
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
