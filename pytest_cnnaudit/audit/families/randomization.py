"""Whether heatmaps depend on what was learned.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.case_findings import case_finding
from pytest_cnnaudit.audit.compared_maps import map_view, noted, ranked, unranked
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.judged_cases import Judged, Score
from pytest_cnnaudit.audit.populations import Images, as_population
from pytest_cnnaudit.audit.rule import Rule, RuleArguments
from pytest_cnnaudit.audit.targets import Target, explain
from pytest_cnnaudit.cases import Case
from pytest_cnnaudit.checks import integer, number
from pytest_cnnaudit.findings import Finding, Threshold, View

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Heatmaps
    from pytest_cnnaudit.engine.methods import MethodFunction

MAGNITUDE = "magnitude of the rank correlation"


@assertion(
    title="Heatmaps depend on what was learned",
    quantity="rank correlation with heatmaps of random weights",
    measured=(
        "The layers from the output down to the explained one get random weights, several times, and the heatmap is "
        "drawn again: of what the network learned there, nothing is left. The number is the mean correlation with the "
        "heatmap of the trained network: 0 means that nothing of it survived."
    ),
    reading=(
        "A value near 1 means that the method draws the same map for a network that learned nothing. It shows the "
        "picture, its edges or its middle, and can't show what a model does with it."
    ),
    about="whether explanations can be trusted",
    settings=("samples",),
)
def assert_responds_to_weights(
    context: Context,
    cases: Images,
    *,
    correlation_at_most: float = 0.5,
    samples: int = 6,
    target: Target = None,
    method: str | MethodFunction = "grad-cam",
    layer: str | None = None,
    **rule: Unpack[RuleArguments],
) -> Finding:
    """With random weights the map becomes another one: |rank correlation| is at most `correlation_at_most`.

    Model-parameter randomisation (Adebayo 2018, arXiv:1810.03292): every layer from the output down to and
    including the explained one gets random weights (`Engine.reinitialized`; the model itself is not touched),
    `samples` times, and the correlations of the map before with those after are averaged. With random weights a
    class is as likely to be against activity as for it, so of a map after and its negative the one that is less
    like the map before counts (`metrics.randomisation_correlation`); an empty map counts as 0. The value is never
    below the least |rank correlation| of the signed maps: maps that are the same, or their negative, after every
    re-initialisation have not responded. A method whose maps hardly change shows the picture's edges, not what
    the network learned.

    Chance is that of unrelated maps of so many independent cells, and more for smooth ones. A case whose own
    heatmap is empty, or the same in all cells, is unscorable and counts as not passed.
    """
    population = as_population(cases, inputs=True)
    limit = Threshold(MAGNITUDE, number(correlation_at_most, "correlation_at_most", 0, 1), "at_most")
    samples = integer(samples, "samples", 1)
    maps, aim = explain(context, population, target, method, layer)
    # A method on the picture itself has the input for a layer: then all of them are re-initialised.
    path = maps.layer if maps.layer in [one.path for one in context.engine.layers] else None
    seed, fresh = context.seed, []
    for draw in range(samples):
        engine = context.engine.reinitialized(path, seed=seed * samples + draw)
        target_classes = maps.targets.tolist()
        fresh.append(engine.heatmaps(population, target=target_classes, method=method, layer=layer, seed=seed))
    single, chance, scores = isinstance(cases, Case), _chance_of_magnitude(maps), []
    for index, signed in enumerate(maps.signed):
        problem = unranked(maps, index)
        if problem:
            scores.append(Score(None, chance, problem))
            continue
        after = np.stack([one.signed[index] for one in fresh])
        each = [abs(ranked(signed, one)) for one in after]
        note = f"of the signed maps from {np.min(each):.2f} to {np.max(each):.2f} over {samples} re-initialisations"
        scores.append(noted(metrics.randomisation_correlation(signed, after), note, limit, single, chance))

    def views(index: int) -> list[View]:
        return [map_view(context, "with random weights", population[index], fresh[0], index)]

    judged = Judged(population, scores, (limit,), single, MAGNITUDE)
    return case_finding(context, judged, Rule(**rule), target=aim, maps=maps, views=views)


def _chance_of_magnitude(maps: Heatmaps) -> float:
    """The mean of |r| for unrelated maps of n independent cells: r is about normal, of variance 1 / (n − 1)."""
    cells = maps.signed.shape[1] * maps.signed.shape[2]
    return min(1.0, float(np.sqrt(2 / (np.pi * max(1, cells - 1)))))
