"""Whether all activations are finite.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_cnnaudit.audit.assertions import assertion
from pytest_cnnaudit.audit.context import Context
from pytest_cnnaudit.audit.layers import named_layers
from pytest_cnnaudit.audit.limits import compared, listed
from pytest_cnnaudit.audit.one_value import value_finding
from pytest_cnnaudit.audit.populations import as_cases, check_images, image_names, number_of_images
from pytest_cnnaudit.cases import case_digest
from pytest_cnnaudit.engine.passes import finiteness
from pytest_cnnaudit.findings import BarChart, CaseResult, Finding, LayerBar, Threshold

if TYPE_CHECKING:
    from pytest_cnnaudit.engine.errors import NonFiniteError


@assertion(
    title="All activations are finite",
    quantity="share of pictures with NaN or infinity in an activation",
    measured=(
        "Every layer's output is looked at for values that are not numbers (NaN) or infinite, and so is what a layer "
        "hands to its own activation, which can hide them."
    ),
    reading=(
        "The first layer in order is where to look: weights that grew too large in training, a division or logarithm "
        "of zero, or numbers too large for half precision. What comes after it is usually only what follows from it."
    ),
    about="inside the network",
    needs=(finiteness,),
    unit="pictures",
)
def assert_finite(context: Context, cases: Any, *, layers: Sequence[str] | None = None) -> Finding:
    """No activation of any layer is NaN or infinity, for any of the pictures; `layers` are by default all.

    The value is the share of pictures with such an activation, and none is allowed. What a layer hands to an
    activation of its own counts as well: a ReLU makes 0 of −∞, and on TensorFlow of NaN. Elsewhere such
    values are an error; here they are what is judged, so NaN in a weight fails this assertion too: every
    picture counts as one with NaN, without a look at it.
    """
    from pytest_cnnaudit.engine.errors import NonFiniteError

    check_images(cases)
    images = as_cases(cases)
    limit = Threshold("pictures with NaN or infinity", 0.0, "at_most")
    try:
        _ = context.engine
    except NonFiniteError as error:  # found in the model's weights when the engine was made
        return _weights_not_finite(error, cases, limit)
    chosen = named_layers(context, layers)
    paths = None if chosen is None else [layer.path for layer in chosen]
    found = context.cache.finite(cases if images is None else images, paths)
    context.recorder.saw(images or (), case_digest)
    wrong = ~np.stack(list(found.values()))
    n, bad = wrong.shape[1], np.flatnonzero(wrong.any(axis=0))
    names = image_names(cases, n)
    every = np.array(list(found), object)
    share, passed = len(bad) / n, not len(bad)
    lines = [f"{len(bad)} of {n} pictures with NaN or infinity in an activation: {compared(share, limit)}"]
    if not passed:
        first = int(np.argmax(wrong.any(axis=1)))
        there = np.flatnonzero(wrong[first])
        lines += [
            f"first layer: {every[first]!r}, {len(there)} of {n} pictures: {listed(names[one] for one in there)}",
            f"layers with NaN or infinity: {listed(every[wrong.any(axis=1)])}",
            "" if len(there) == len(bad) else f"all such pictures: {listed(names[index] for index in bad)}",
        ]
    lines.append(f"over {n} pictures and {len(every)} layers")
    bars = (
        LayerBar(path, float(flags.mean()), f"{flags.sum()} of {n} pictures")
        for path, flags in zip(every, wrong, strict=True)
    )
    results = (
        CaseResult(name, float(flags.any()), "failed" if flags.any() else "passed", _first_layer(every, flags))
        for name, flags in zip(names, wrong.T, strict=True)
    )
    return value_finding(
        share,
        limit,
        n=n,
        passed=n - len(bad),
        lines=lines,
        evidence=[BarChart("NaN or infinity by layer", "share of pictures", tuple(bars))],
        layer=None if passed else every[first],
        cases=tuple(results),
    )


def _weights_not_finite(error: NonFiniteError, cases: Any, limit: Threshold) -> Finding:
    """Of a model with NaN or infinity in a weight, which computes nothing that could be looked at."""
    n = number_of_images(cases)
    lines = [
        f"a weight holds NaN or infinity, so every picture counts as one that does: {compared(1.0, limit)}",
        str(error),
        f"over {n} pictures" if n else "",
    ]
    note = "in a weight" if error.layer is None else f"in a weight of {error.layer!r}"
    results = tuple(CaseResult(name, 1.0, "failed", note) for name in image_names(cases, n))
    return value_finding(1.0, limit, n=n, passed=0, lines=lines, layer=error.layer, cases=results)


def _first_layer(paths: Any, wrong: Any) -> str:
    """Where NaN or infinity first appear in a picture."""
    return f"first in {paths[np.argmax(wrong)]!r}" if wrong.any() else ""
