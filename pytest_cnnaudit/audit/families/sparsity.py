"""Whether activations get sparser with depth.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_cnnaudit import metrics
from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.layers import chosen_layers, statistics
from pytest_cnnaudit.audit.limits import compared, holds, listed
from pytest_cnnaudit.audit.one_value import value_finding
from pytest_cnnaudit.audit.populations import check_images, image_names
from pytest_cnnaudit.checks import choice, number
from pytest_cnnaudit.engine.passes import sparsity
from pytest_cnnaudit.findings import BarChart, CaseResult, Finding, LayerBar, Threshold

if TYPE_CHECKING:
    from pytest_cnnaudit.engine import Layer, LayerStats


HOYER_ROUNDING = 1e-5
"""Hoyer's sparsities that differ by at most this may be the same: they come from sums in float32."""


@assertion(
    title="Activations get sparser with depth",
    quantity="trend of sparsity over depth (Kendall's τ)",
    measured=(
        "In a trained network early layers respond to edges nearly everywhere, deep layers only to what they have "
        "specialised in, so activations get sparser from layer to layer. The number is the rank correlation of depth "
        "and sparsity: 1 means that every layer is sparser than the one before, 0 that there is no trend, −1 that "
        "sparsity falls."
    ),
    reading=(
        "A flat or falling profile suggests that the deep layers have not specialised: too little training, or more "
        "layers than the task needs."
    ),
    about="inside the network",
    needs=(sparsity,),
    unit="pictures",
)
def assert_sparsity_rises(
    context: Context,
    cases: Any,
    *,
    layers: Sequence[str] | None = None,
    measure: str = "auto",
    trend_at_least: float = 0.5,
) -> Finding:
    """Activations get sparser with depth: the mean over pictures of Kendall's τ-b is at least `trend_at_least`.

    `layers` (in the order of execution) default to the ReLU-like ones. `measure` is `"zero_fraction"`,
    `"hoyer"`, or `"auto"`: the zero fraction where all layers are ReLU-like, else Hoyer's; the finding's
    `method` is the one that was taken. Zero fractions are exact; Hoyer's sparsities come from sums in float32,
    and two that differ by at most 1e-5 are the same. A picture with the same sparsity in all layers has no
    trend and counts as 0. Judges one value of the population.

    With Hoyer's a `ValueError` for activations so large or small that their squares are unknown.
    """
    limit = Threshold("mean trend", number(trend_at_least, "trend_at_least", -1, 1), "at_least")
    check_images(cases)
    choice(measure, "measure", ("auto", "zero_fraction", "hoyer"))
    chosen = chosen_layers(context, layers, "sparsity on: name the layers, with measure='hoyer'")
    if len(chosen) < 3:
        named = listed(layer.path for layer in chosen)
        raise ValueError(f"A trend over depth needs at least 3 layers; there are {len(chosen)}: {named}")
    stats = statistics(context, cases, chosen)
    measure = _sparsity_measure(measure, chosen, stats)
    profiles = np.stack([_sparsity(stats[layer.path], measure) for layer in chosen], axis=1)
    if measure == "hoyer":
        _check_known(profiles, [(layer.path, stats[layer.path].largest_per_image) for layer in chosen], cases)
    tolerance = HOYER_ROUNDING if measure == "hoyer" else 0.0
    trend = metrics.trend_per_image(profiles, tolerance=tolerance)
    taus = np.where(trend.unscorable, 0.0, trend.taus)
    value, n = float(taus.mean()), len(taus)
    interval = metrics.mean_interval(taus, seed=context.seed)
    results = _picture_results(cases, taus, trend.unscorable, limit)
    flat = int(trend.unscorable.sum())
    page = metrics.page_trend(profiles, tolerance=tolerance)
    means = profiles.mean(axis=0)
    passed = holds(value, limit) and flat < n
    first, last = chosen[0].path, chosen[-1].path
    lines = [
        "no picture has a trend: the same sparsity in all layers" if flat == n else "",
        f"mean of Kendall's τ-b over {n} pictures {compared(value, limit)}, chance 0",
        "" if interval is None else f"95 % bootstrap interval [{interval[0]:.3f}, {interval[1]:.3f}]",
        "" if page is None else f"Page's trend test p = {page:.2g} (reported, not judged)",
        f"{measure}: {means[0]:.3f} at the first layer {first!r}, {means[-1]:.3f} at the last {last!r}",
        f"{flat} of {n} pictures have the same sparsity in all layers and count as 0" if 0 < flat < n else "",
        "" if passed else f"weakest: {listed(_weakest(results, taus))}",
    ]
    chart = BarChart(
        title="Activation sparsity over depth",
        unit=measure.replace("_", " "),
        rows=tuple(LayerBar(layer.path, float(mean)) for layer, mean in zip(chosen, means, strict=True)),
    )
    return value_finding(
        value,
        limit,
        n=n,
        passed=sum(result.outcome == "passed" for result in results),
        lines=lines,
        evidence=[chart],
        holding=passed,
        chance=0.0,
        interval=interval,
        unscorable=flat,
        method=measure,
        cases=results,
    )


def _sparsity_measure(measure: str, layers: Sequence[Layer], stats: dict[str, LayerStats]) -> str:
    if measure == "auto":
        return "zero_fraction" if all(layer.is_relu_like for layer in layers) else "hoyer"
    never = [layer.path for layer in layers if not layer.is_relu_like and not _makes_zeros(stats[layer.path])]
    if measure == "zero_fraction" and never:
        raise ValueError(
            f"The layer {never[0]!r} never gives an exact 0 beside other values, so its zero fraction says nothing: "
            "use measure='hoyer'"
        )
    return measure


def _makes_zeros(stats: LayerStats) -> bool:
    """Whether some values of a picture are 0 but not all: a black picture is 0 in linear layers too."""
    return bool(((stats.sparsity_per_image > 0) & (stats.sparsity_per_image < 1)).any())


def _check_known(profiles: Any, largest: Sequence[tuple[str, Any]], cases: Any) -> None:
    """`ValueError` that names the first layer where a Hoyer sparsity of `profiles` `(N, layers)` is unknown."""
    from pytest_cnnaudit.engine.statistics import SQUARED

    unknown = np.isnan(profiles)
    if not unknown.any():
        return
    layer = int(np.argmax(unknown.any(axis=0)))
    (path, magnitudes), index = largest[layer], int(np.argmax(unknown[:, layer]))
    what = "explode" if magnitudes[index] > 1 else "vanish"
    raise ValueError(
        f"The activations of {path!r} {what}: the largest magnitude in {image_names(cases, len(profiles))[index]} is "
        f"{magnitudes[index]:.3g}, and Hoyer's sparsity can't be computed in float32 outside of {SQUARED[0]:g} to "
        f"{SQUARED[1]:g}. Look at the weights up to this layer, or leave it out with layers="
    )


def _sparsity(stats: LayerStats, measure: str) -> Any:
    return stats.sparsity_per_image if measure == "zero_fraction" else stats.hoyer_per_image


def _weakest(results: Sequence[CaseResult], taus: Any) -> Iterator[str]:
    """The pictures with their trends, the weakest first."""
    return (f"{results[index].id} {taus[index]:.3f}" for index in np.argsort(taus, kind="stable"))


def _picture_results(cases: Any, taus: Any, unscorable: Any, limit: Threshold) -> tuple[CaseResult, ...]:
    return tuple(
        CaseResult(
            name,
            float(tau),
            "unscorable" if flat else "passed" if holds(float(tau), limit) else "failed",
            "the same sparsity in all layers" if flat else "",
        )
        for name, tau, flat in zip(image_names(cases, len(taus)), taus, unscorable, strict=True)
    )
